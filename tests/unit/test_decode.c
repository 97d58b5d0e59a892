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

static const char *const encodings[] = {"ff", "N3c104HalfEf", "N3c108BFloat16Ef", "dd"};

/* A name of this row: the pattern with its placeholders filled in. */
static void make_symbol(const struct fuseln_target_row *row, enum fuseln_dtype dtype, char *ret_symbol)
{
    bool class_type = dtype == FUSELN_DTYPE_F16 || dtype == FUSELN_DTYPE_BF16;
    char *out =
        ret_symbol + sprintf(ret_symbol, "_ZN2at6native53_GLOBAL__N__4da244e1_20_layer_norm_kernel_cu_9c5ada8a");

    for (const char *at = row->symbol; *at;) {
        if (*at == '$') {
            out += sprintf(out, "%s",
                           at[1] == 'T'   ? encodings[dtype]
                           : at[1] == 'U' ? "Lj16E"
                           : at[1] == 'R' ? ""
                                          : "Lb1E");
            at += 2;
        } else if (at[0] == 'S' && at[1] && at[2] == '_' && class_type) {
            out += sprintf(out, "S%c_", at[1] + 2 > '9' ? at[1] + 2 - '9' + 'A' - 1 : at[1] + 2);
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

static void make_arguments(const struct fuseln_layout *layout, struct arguments *ret_arguments)
{
    memset(ret_arguments, 0xff, sizeof(*ret_arguments));
    for (unsigned i = 0; i < layout->count; i++) {
        int64_t integer = layout->role[i] == FUSELN_ROLE_ROWS ? ROWS : COLS;
        float f32 = 0.5f;
        double f64 = 0.5;
        void *pointer = pointer_of(layout->role[i]);
        const void *from = layout->type[i] == FUSELN_ARG_PTR   ? (const void *)&pointer
                           : layout->type[i] == FUSELN_ARG_F32 ? (const void *)&f32
                           : layout->type[i] == FUSELN_ARG_F64 ? (const void *)&f64
                                                               : (const void *)&integer;
        size_t bytes = layout->type[i] == FUSELN_ARG_F32 || layout->type[i] == FUSELN_ARG_I32 ? 4 : 8;
        memcpy(ret_arguments->storage[i], from, bytes);
        ret_arguments->pointers[i] = ret_arguments->storage[i];
    }
}

static struct fuseln_launch make_launch(const struct fuseln_target *target, struct arguments *arguments)
{
    const unsigned per_block = target->layout.cols_per_block;

    make_arguments(&target->layout, arguments);
    return (struct fuseln_launch){
        .target = target,
        .grid = {per_block ? (COLS + per_block - 1) / per_block : ROWS, target->layout.partial ? PARTIALS : 1, 1},
        .block = {128, 1, 1},
        .args = arguments->pointers,
    };
}

static const void *expect(const struct fuseln_layout *layout, int role)
{
    for (unsigned i = 0; i < layout->count; i++)
        if (layout->role[i] == role)
            return pointer_of(role);
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
    assert_true(call->eps == (call->op == FUSELN_OP_FORWARD || call->op == FUSELN_OP_MOMENTS ? 0.5 : 0.0));
    assert_ptr_equal(call->x, expect(layout, FUSELN_ROLE_X));
    assert_ptr_equal(call->dy, expect(layout, FUSELN_ROLE_DY));
    assert_ptr_equal(call->gamma, expect(layout, FUSELN_ROLE_GAMMA));
    assert_ptr_equal(call->beta, expect(layout, FUSELN_ROLE_BETA));
    assert_ptr_equal(call->mean, expect(layout, FUSELN_ROLE_MEAN));
    assert_ptr_equal(call->rstd, expect(layout, FUSELN_ROLE_RSTD));
    assert_ptr_equal(call->y, expect(layout, FUSELN_ROLE_Y));
    assert_ptr_equal(call->dx, expect(layout, FUSELN_ROLE_DX));
    assert_ptr_equal(call->dgamma, expect(layout, FUSELN_ROLE_DGAMMA));
    assert_ptr_equal(call->dbeta, expect(layout, FUSELN_ROLE_DBETA));
    assert_non_null(call->x);
    assert_non_null(call->rstd);
}

static void for_each_target(void (*check)(const struct fuseln_target *target))
{
    struct fuseln_target_row row;
    size_t rows = 0;

    for (; fuseln_targets_row(rows, &row); rows++) {
        for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++) {
            char symbol[512];
            struct fuseln_target target;
            make_symbol(&row, (enum fuseln_dtype)dtype, symbol);
            assert_true(fuseln_targets_match_row(rows, symbol, &target));
            assert_int_equal(target.dtype, dtype);
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
    assert_int_equal(call.nulls, 0);
    assert_int_equal(call.low_bits, 0);
}

static void wrong_grids(const struct fuseln_target *target)
{
    struct arguments arguments;
    struct fuseln_launch launch = make_launch(target, &arguments);
    struct fuseln_call call;
    bool rows_are_an_argument = expect(&target->layout, FUSELN_ROLE_ROWS) != NULL;

    launch.grid[2] = 2;
    assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_GEOMETRY);
    launch.grid[2] = 1;
    if (!target->layout.partial) {
        launch.grid[1] = 2;
        assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_GEOMETRY);
        launch.grid[1] = 1;
    }
    launch.grid[0]++;
    if (rows_are_an_argument)
        assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_GEOMETRY);
    else
        assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_OK); /* one row more is another launch */
}

static void nulls(const struct fuseln_target *target)
{
    struct arguments arguments;
    struct fuseln_launch launch = make_launch(target, &arguments);
    struct fuseln_call call;

    for (unsigned i = 0; i < target->layout.count; i++) {
        if (target->layout.type[i] != FUSELN_ARG_PTR)
            continue;
        make_arguments(&target->layout, &arguments);
        memset(arguments.storage[i], 0, 8);
        assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_OK);
        assert_int_equal(call.nulls, 1u << target->layout.role[i]);
        arguments.storage[i][0] = 6; /* two bytes past an address that is a multiple of 4 */
        assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_OK);
        assert_int_equal(call.low_bits, 6);
    }
    arguments.pointers[0] = NULL;
    assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_NULLPTR);
    launch.args = NULL;
    assert_int_equal(fuseln_decode(&launch, &call), FUSELN_VERDICT_NULLPTR);
}

TEST(every_row_reads_back_its_arguments)
{
    for_each_target(round_trip);
}

TEST(a_grid_the_name_is_not_known_for_is_declined)
{
    for_each_target(wrong_grids);
}

TEST(null_arguments_are_seen)
{
    for_each_target(nulls);
}

int main(void)
{
    return run_registered_tests();
}
