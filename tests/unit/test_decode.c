/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode: every row of hooks/targets/match.c, in every dtype, read back from arguments made by the row's own layout;
 * grids that a name is not known for; null arguments.
 */
#include "test.h"

#include "core/decode.h"
#include "hooks/targets/match.h"

#include <stdio.h>
#include <string.h>

enum { ROWS = 40, COLS = 96, PARTIALS = 5 };

/* A name of this row: the pattern with its placeholders filled in. */
static void make_symbol(const struct fuseln_framework *framework, const struct fuseln_target_row *row,
                        const struct fuseln_type_name *type, char *ret_symbol)
{
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    char *out = ret_symbol + sprintf(ret_symbol, "%s", framework->scope);

    if (framework->file)
        out += sprintf(out, "53_GLOBAL__N__4da244e1%s9c5ada8a", framework->file);
    for (const char *at = row->symbol; *at;) {
        if (*at == '$') {
            out += sprintf(out, "%s",
                           at[1] == 'T'   ? type->encoding
                           : at[1] == 'U' ? "Lj16E"
                           : at[1] == 'I' ? "Li8E"
                           : at[1] == 'R' ? ""
                                          : "Lb1E");
            at += 2;
        } else if (at[0] == 'S' && at[1] && at[2] == '_') {
            out += sprintf(out, "S%c_", strchr(letters, at[1])[type->substitutions]);
            at += 3;
        } else {
            *out++ = *at++;
        }
    }
    *out = '\0';
}

struct arguments {
    char storage[FUSELN_ARGS_MAX][8];
    void *pointers[FUSELN_ARGS_MAX];
};

static void *pointer_of(int role)
{
    return (void *)(uintptr_t)(0x10000 * (role + 1));
}

static const unsigned grids[][3] = {[FUSELN_ROWS_GRID_X] = {ROWS, 1, 1},
                                    [FUSELN_ROWS_GRID_X_BLOCK_Y] = {ROWS / 4, 1, 1},
                                    [FUSELN_ROWS_GRID] = {ROWS / 8, 4, 2},
                                    [FUSELN_ROWS_LOOP] = {1, ROWS, 1}};

static const struct fuseln_require *require_of(const struct fuseln_layout *layout, unsigned argument)
{
    for (int i = 0; i < layout->require_count; i++)
        if (layout->require[i].argument == argument)
            return &layout->require[i];
    return NULL;
}

/* What an argument that is an integer must be; anything, where the row ignores it. */
static int64_t integer_of(const struct fuseln_layout *layout, unsigned argument)
{
    const struct fuseln_require *require = require_of(layout, argument);

    if (!require)
        return layout->role[argument] == FUSELN_ROLE_ROWS        ? ROWS
               : layout->role[argument] == FUSELN_ROLE_GAMMA_ADD ? 1
               : layout->role[argument] == FUSELN_ROLE_RMS       ? 0
                                                                 : COLS;
    const unsigned *grid = grids[layout->rows_from];
    const int64_t factors[FUSELN_FACTOR_COUNT] = {ROWS, COLS, grid[0], grid[1]};
    int64_t product = require->factors ? 1 : require->low;
    for (int i = 0; i < FUSELN_FACTOR_COUNT; i++)
        product *= require->factors >> i & 1 ? factors[i] : 1;
    return product;
}

static void make_arguments(const struct fuseln_layout *layout, struct arguments *ret_arguments)
{
    memset(ret_arguments, 0xff, sizeof(*ret_arguments));
    for (unsigned i = 0; i < layout->count; i++) {
        const int64_t integer = integer_of(layout, i);
        const float f32 = 0.5f;
        const double f64 = 0.5;
        void *const pointer = pointer_of(layout->role[i]);
        const bool is_pointer = layout->type[i] == FUSELN_ARG_PTR && layout->role[i] != FUSELN_ROLE_REQUIRE;
        const void *from = is_pointer                          ? (const void *)&pointer
                           : layout->type[i] == FUSELN_ARG_F32 ? (const void *)&f32
                           : layout->type[i] == FUSELN_ARG_F64 ? (const void *)&f64
                                                               : (const void *)&integer;
        memcpy(ret_arguments->storage[i], from, fuseln_arg_bytes((enum fuseln_arg_type)layout->type[i]));
        ret_arguments->pointers[i] = ret_arguments->storage[i];
    }
}

static struct fuseln_launch make_launch(const struct fuseln_target *target, struct arguments *arguments)
{
    const struct fuseln_layout *layout = &target->layout;
    struct fuseln_launch launch = {.target = target, .block = {32, 4, 1}, .args = arguments->pointers};

    make_arguments(layout, arguments);
    memcpy(launch.grid, grids[layout->rows_from], sizeof(launch.grid));
    if (layout->cols_per_block)
        launch.grid[0] = (COLS + layout->cols_per_block - 1) / layout->cols_per_block;
    if (layout->partial)
        launch.grid[1] = PARTIALS;
    return launch;
}

/* The pointer of a role, which may share its argument with another; NULL where the row has none. */
static const void *expect(const struct fuseln_layout *layout, int role)
{
    for (unsigned i = 0; i < layout->pointer_count; i++)
        if (layout->pointers[i].role == role)
            return pointer_of(layout->role[layout->pointers[i].argument]);
    return NULL;
}

static void check_call(const struct fuseln_target *target, const struct fuseln_call *call)
{
    const struct fuseln_layout *layout = &target->layout;

    assert_int_equal(call->op, target->op);
    assert_int_equal(call->dtype, target->dtype);
    assert_int_equal(call->rows, ROWS);
    assert_int_equal(call->cols, COLS);
    assert_int_equal(call->out_rows, layout->partial ? PARTIALS : 1);
    assert_true(call->eps == (layout->eps >= 0 ? 0.5 : layout->eps_value));
    assert_true(call->gamma_add == (layout->add < 0                               ? layout->gamma_add
                                    : layout->type[layout->add] == FUSELN_ARG_F32 ? 0.5f
                                                                                  : 1.0f));
    assert_int_equal(call->rms, target->rms);
    assert_int_equal(call->rounding, layout->rounding);
    const void *const found[] = {[FUSELN_ROLE_X] = call->x,
                                 [FUSELN_ROLE_DY] = call->dy,
                                 [FUSELN_ROLE_GAMMA] = call->gamma,
                                 [FUSELN_ROLE_BETA] = call->beta,
                                 [FUSELN_ROLE_MEAN] = call->mean,
                                 [FUSELN_ROLE_RSTD] = call->rstd,
                                 [FUSELN_ROLE_Y] = call->y,
                                 [FUSELN_ROLE_DX] = call->dx,
                                 [FUSELN_ROLE_DGAMMA] = call->dgamma,
                                 [FUSELN_ROLE_DBETA] = call->dbeta,
                                 [FUSELN_ROLE_SUM] = call->sum,
                                 [FUSELN_ROLE_BIAS] = call->bias,
                                 [FUSELN_ROLE_RESIDUAL] = call->residual};
    for (int role = 0; role < FUSELN_POINTER_ROLES_END; role++)
        assert_ptr_equal(found[role], expect(layout, role));
    assert_non_null(call->x);
}

static void for_each_target(void (*check)(const struct fuseln_target *target))
{
    const struct fuseln_framework *framework;
    struct fuseln_target_row row;
    size_t rows = 0;

    for (; (framework = fuseln_targets_row(rows, &row)); rows++) {
        for (size_t i = 0; i < framework->type_count; i++) {
            char symbol[512];
            struct fuseln_target target;
            make_symbol(framework, &row, &framework->types[i], symbol);
            if (!fuseln_targets_match_row(rows, symbol, &target))
                fail_msg("%s: not a name of its row, or its words are refused", symbol);
            assert_int_equal(target.dtype, framework->types[i].dtype);
            check(&target);
        }
    }
    assert_true(rows >= 12);
}

static void round_trip(const struct fuseln_target *target)
{
    struct arguments arguments;
    struct fuseln_launch launch = make_launch(target, &arguments);
    struct fuseln_call call;

    assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_OK);
    check_call(target, &call);
    assert_int_equal(call.nulls, call.gamma_add != 0 ? 1u << FUSELN_ROLE_GAMMA_ADD : 0);
    assert_int_equal(call.low_bits, 0);
}

static void wrong_grids(const struct fuseln_target *target)
{
    struct arguments arguments;
    struct fuseln_launch launch = make_launch(target, &arguments);
    struct fuseln_call call;
    bool rows_are_an_argument = target->layout.rows >= 0, rows_are_required = false;

    launch.grid[1] = 65536; /* no launch: the driver refuses it */
    assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_GEOMETRY);
    launch = make_launch(target, &arguments);
    if (target->layout.rows_from == FUSELN_ROWS_GRID) /* any other grid */
        return;
    launch.grid[1] = 0;
    assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_GEOMETRY);
    launch = make_launch(target, &arguments);
    launch.grid[2] = 2;
    assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_GEOMETRY);
    launch.grid[2] = 1;
    if (!target->layout.partial) {
        launch.grid[1] = 2;
        assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_GEOMETRY);
        launch.grid[1] = 1;
    }
    for (int i = 0; i < target->layout.require_count; i++)
        rows_are_required |= target->layout.require[i].factors & (1 << FUSELN_FACTOR_ROWS | 1 << FUSELN_FACTOR_GRID_X);
    launch.grid[0]++;
    if (rows_are_an_argument)
        assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_GEOMETRY);
    else if (rows_are_required)
        assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_REQUIRE);
    else
        assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_OK); /* one row more is another launch */
}

static void others_than_required(const struct fuseln_target *target)
{
    struct arguments arguments;
    struct fuseln_launch launch = make_launch(target, &arguments);
    struct fuseln_call call;

    for (int i = 0; i < target->layout.require_count; i++) {
        const struct fuseln_require *require = &target->layout.require[i];
        make_arguments(&target->layout, &arguments);
        if (!require->factors && require->high != require->low)
            continue;
        arguments.storage[require->argument][0] ^= 1;
        assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_REQUIRE);
    }
}

/* Its kernel has a mean and a dbeta, too: these are neither read nor written, and may be null. */
static void rms_by_argument(const struct fuseln_target *target)
{
    const struct fuseln_layout *layout = &target->layout;
    struct arguments arguments;
    struct fuseln_launch launch = make_launch(target, &arguments);
    struct fuseln_call call;

    if (layout->rms < 0)
        return;
    arguments.storage[layout->rms][0] = 1;
    for (int null = 0; null < 2; null++) {
        assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_OK);
        assert_true(call.rms == 1 && !call.mean && call.rstd && !call.dbeta);
        assert_int_equal(call.nulls, 1u << FUSELN_ROLE_RMS); /* a site of its own */
        for (unsigned i = 0; i < layout->count; i++)
            if (layout->role[i] == FUSELN_ROLE_MEAN || layout->role[i] == FUSELN_ROLE_DBETA)
                memset(arguments.storage[i], 0, 8);
    }
    arguments.storage[layout->rms][0] = 2;
    assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_REQUIRE);
    arguments.pointers[layout->rms] = NULL;
    assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_NULLPTR);
}

static void nulls(const struct fuseln_target *target)
{
    struct arguments arguments;
    struct fuseln_launch launch = make_launch(target, &arguments);
    struct fuseln_call call;

    for (unsigned i = 0; i < target->layout.count; i++) {
        unsigned roles = 0;
        for (unsigned j = 0; j < target->layout.pointer_count; j++)
            roles |= target->layout.pointers[j].argument == i ? 1u << target->layout.pointers[j].role : 0;
        if (!roles)
            continue;
        make_arguments(&target->layout, &arguments);
        memset(arguments.storage[i], 0, 8);
        assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_OK);
        assert_int_equal(call.nulls & ~(1u << FUSELN_ROLE_GAMMA_ADD), roles);
        arguments.storage[i][0] = 6; /* two bytes past an address that is a multiple of 4 */
        assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_OK);
        assert_int_equal(call.low_bits, 6);
    }
    arguments.pointers[0] = NULL;
    assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_NULLPTR);
    launch.args = NULL;
    assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_NULLPTR);
}

/* The arguments are what is left of the products in 64 bits. */
static void products_of_more_than_64_bits(const struct fuseln_target *target)
{
    const struct fuseln_layout *layout = &target->layout;
    const uint64_t cols = 0x7fffffff, grid_x = 0x7fffffff, grid_y = 0xffff;
    struct arguments arguments;
    struct fuseln_launch launch = make_launch(target, &arguments);
    struct fuseln_call call;
    bool is_beyond = false;

    memcpy(launch.grid, (const unsigned[]){(unsigned)grid_x, (unsigned)grid_y, 1}, sizeof(launch.grid));
    memcpy(arguments.storage[layout->cols], &cols, fuseln_arg_bytes(layout->type[layout->cols]));
    for (int i = 0; i < layout->require_count; i++) {
        const struct fuseln_require *require = &layout->require[i];
        const bool has_y = require->factors >> FUSELN_FACTOR_GRID_Y & 1;
        const uint64_t product =
            cols * (require->factors >> FUSELN_FACTOR_GRID_X & 1 ? grid_x : 1) * (has_y ? grid_y : 1);
        if (require->factors)
            memcpy(arguments.storage[require->argument], &product, 8);
        is_beyond |= has_y;
    }
    if (is_beyond)
        assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_REQUIRE);
}

static void *argument_of(const struct fuseln_layout *layout, struct arguments *arguments, int role)
{
    for (int i = 0; i < layout->pointer_count; i++)
        if (layout->pointers[i].role == role)
            return arguments->storage[layout->pointers[i].argument];
    return NULL;
}

/* In place, x + x: the sum and y are one tensor. */
static void x_that_is_its_own_residual(const struct fuseln_target *target)
{
    struct arguments arguments;
    struct fuseln_launch launch = make_launch(target, &arguments);
    struct fuseln_call call;
    void *sum = argument_of(&target->layout, &arguments, FUSELN_ROLE_SUM);

    if (!sum)
        return;
    memcpy(sum, argument_of(&target->layout, &arguments, FUSELN_ROLE_Y), 8);
    assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_REQUIRE);
}

/* Two more arguments, of 21 values each. */
static void values_in_ranges(const struct fuseln_target *original)
{
    struct fuseln_target target = *original;
    struct fuseln_layout *layout = &target.layout;
    struct arguments arguments;
    struct fuseln_call call;
    bool seen[FUSELN_FLAGS_MAX] = {false};

    if (layout->plain || layout->require_count + 2 > FUSELN_REQUIRES_MAX || layout->count + 2 > FUSELN_ARGS_MAX)
        return;
    for (int i = 0; i < 2; i++) {
        layout->type[layout->count] = FUSELN_ARG_I32;
        layout->role[layout->count] = FUSELN_ROLE_REQUIRE;
        layout->require[layout->require_count++] =
            (struct fuseln_require){.argument = layout->count++, .low = -10, .high = 10};
    }
    const struct fuseln_launch launch = make_launch(&target, &arguments);
    for (int32_t one = -10; one <= 10; one++)
        for (int32_t other = -10; other <= 10; other++) {
            memcpy(arguments.storage[layout->count - 2], &one, sizeof one);
            memcpy(arguments.storage[layout->count - 1], &other, sizeof other);
            assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_OK);
            assert_false(seen[call.nulls >> FUSELN_ROLE_COUNT]);
            seen[call.nulls >> FUSELN_ROLE_COUNT] = true;
        }
}

TEST(every_row_reads_back_its_arguments)
{
    for_each_target(round_trip);
}

TEST(a_grid_the_name_is_not_known_for_is_declined)
{
    for_each_target(wrong_grids);
}

TEST(an_argument_that_is_not_as_required_is_declined)
{
    for_each_target(others_than_required);
}

TEST(a_product_of_more_than_64_bits_is_declined)
{
    for_each_target(products_of_more_than_64_bits);
}

TEST(a_sum_that_lies_where_y_does_is_declined)
{
    for_each_target(x_that_is_its_own_residual);
}

TEST(values_in_ranges_tell_launches_apart)
{
    for_each_target(values_in_ranges);
}

TEST(null_arguments_are_seen)
{
    for_each_target(nulls);
}

TEST(an_argument_says_that_it_is_rms_norm)
{
    for_each_target(rms_by_argument);
}

int main(void)
{
    return run_registered_tests();
}
