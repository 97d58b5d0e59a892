/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launches like an earlier one, whose decision the pipeline remembers, on the stand-in driver (budgets/stand_in.h):
 * they are made as if they were the first, and what is not like it is not taken for it.
 */
#define TEST(name) TEST_WITH(name, forget, NULL)
#include "test.h"

#include <limits.h>

#include "../../src/core/pipeline.c"
#include "../budgets/stand_in.h"
#include "hooks/targets/match.h"
#include "hooks/targets/words.h"

#define UNIT "_ZN2at6native53_GLOBAL__N__4da244e1_20_layer_norm_kernel_cu_9c5ada8a"
static const char *const symbols[] = {
    UNIT "28vectorized_layer_norm_kernelIffLb0EEEviT0_PKT_S6_S6_PS3_S7_PS4_",
    UNIT "28vectorized_layer_norm_kernelIffLb1EEEviT0_PKT_S6_S6_PS3_S7_PS4_", /* RMS norm */
    UNIT "24RowwiseMomentsCUDAKernelIffLb0EEEvllT0_PKT_PS3_S7_",
    UNIT "26LayerNormForwardCUDAKernelIffLb0EEEvllPKT_PKT0_S8_S5_S5_PS3_",
    UNIT "39layer_norm_grad_input_kernel_vectorizedIffLb0EEEvPKT_S5_PKT0_S8_S5_PS3_i",
    UNIT "39layer_norm_grad_input_kernel_vectorizedIffLb1EEEvPKT_S5_PKT0_S8_S5_PS3_i",
    UNIT "35GammaBetaBackwardCUDAKernelTemplateIffLj32ELj1ELj32ELb0ELb0ELb0EEEvllPKT_S5_PKT0_S8_PS3_S9_",
    UNIT "35GammaBetaBackwardCUDAKernelTemplateIffLj32ELj1ELj32ELb0ELb0ELb1EEEvllPKT_S5_PKT0_S8_PS3_S9_",
    UNIT "35GammaBetaBackwardCUDAKernelTemplateIffLj32ELj1ELj32ELb1ELb0ELb0EEEvllPKT_S5_PKT0_S8_PS3_S9_", /* partial */
};
enum { SYMBOLS = sizeof symbols / sizeof symbols[0], FORWARD = 0, MOMENTS = 2, DX = 4, DGAMMA = 6, PARTIAL = 8 };

static _Thread_local struct {
    int launches;
    void (*nested)(void); /* called before the parameters are read */
    const char *kernel;
    unsigned grid;
    struct fuseln_ln_params params;
} seen;

static void launched(const struct stand_in_launch *launch)
{
    void (*const nested)(void) = seen.nested;
    seen.nested = NULL;
    if (nested)
        nested();
    seen.launches++;
    seen.kernel = launch->kernel;
    seen.grid = launch->grid;
    seen.params = *(const struct fuseln_ln_params *)launch->params[0];
}

/* From now on the driver refuses each launch, or none. */
static void refuse_launches(CUresult error)
{
    stand_in_fault = (struct stand_in_fault){STAND_IN_launch_kernel, 1, error ? ULONG_MAX : 0, error};
}

static struct fuseln_library library = {.name = "lib.so", .known = true};
static struct fuseln_target targets[SYMBOLS];
static struct fuseln_target twin; /* of one of them */

/* A launch with its arguments. Pointers are multiples of 256, each argument another one. */
struct made {
    struct fuseln_launch launch;
    uint64_t values[FUSELN_ARGS_MAX];
    void *args[FUSELN_ARGS_MAX];
};

static void set_argument(struct made *made, int role, uint64_t value)
{
    const struct fuseln_layout *layout = &made->launch.target->layout;
    for (unsigned i = 0; i < layout->count; i++)
        if (layout->role[i] == role)
            made->values[i] = value;
}

static void make(struct made *made, const struct fuseln_target *target, int rows, int cols, uint64_t memory)
{
    const struct fuseln_layout *layout = &target->layout;
    const float eps = 1e-5f;
    uint64_t eps_bits = 0;

    memset(made, 0, sizeof *made);
    memcpy(&eps_bits, &eps, sizeof eps);
    made->launch = (struct fuseln_launch){
        .target = target,
        .grid = {(unsigned)(layout->cols_per_block ? (cols + 31) / 32 : rows), 1, 1},
        .args = made->args,
    };
    for (unsigned i = 0; i < layout->count; i++) {
        made->values[i] = memory + 0x100 * i;
        made->args[i] = &made->values[i];
    }
    set_argument(made, FUSELN_ROLE_ROWS, (uint64_t)rows);
    set_argument(made, FUSELN_ROLE_COLS, (uint64_t)cols);
    set_argument(made, FUSELN_ROLE_EPS, eps_bits);
}

static enum fuseln_verdict verdict_of(const struct made *made)
{
    struct fuseln_pass pass;
    fuseln_pipeline_run(&made->launch, &pass);
    return pass.verdict;
}

static void replace(const struct made *made)
{
    assert_int_equal(verdict_of(made), FUSELN_VERDICT_OK);
}

/* Is it like one that was made before? */
static bool is_remembered(const struct made *made)
{
    struct fuseln_pass pass;
    begin(&made->launch, &pass);
    return is_known(&pass);
}

static int forget(void **state)
{
    (void)state;
    fuseln_pipeline_after_fork();
    memset(&seen, 0, sizeof seen);
    stand_in_context = stand_in_stream_context = 7;
    stand_in_driver_launched = launched;
    return 0;
}

/* The same launch, with arguments of its own. */
static struct made *copy(struct made *ret_made, const struct made *made)
{
    *ret_made = *made;
    ret_made->launch.args = ret_made->args;
    for (unsigned i = 0; i < FUSELN_ARGS_MAX; i++)
        ret_made->args[i] = &ret_made->values[i];
    return ret_made;
}

static bool find_targets(void)
{
    for (size_t i = 0; i < SYMBOLS; i++) {
        if (!fuseln_targets_match(symbols[i], &targets[i]))
            return false;
        targets[i].library = &library;
    }
    twin = targets[FORWARD];
    return true;
}

TEST(it_is_made_as_if_it_were_the_first)
{
    struct made one, other;
    for (size_t i = 0; i < SYMBOLS; i++) {
        make(&one, &targets[i], 40, 96, 0x100000);
        make(&other, &targets[i], 40, 96, 0x900000);
        replace(&one);
        assert_true(is_remembered(&other));
        replace(&other);
        const struct fuseln_ln_params again = seen.params;
        const char *const kernel = seen.kernel;
        const unsigned grid = seen.grid;
        forget(state);
        assert_false(is_remembered(&other));
        replace(&other);
        assert_memory_equal(&again, &seen.params, offsetof(struct fuseln_ln_params, stages) + sizeof again.stages);
        assert_ptr_equal(kernel, seen.kernel);
        assert_int_equal(grid, seen.grid);
        assert_true(seen.params.rows == 40 && seen.params.cols == 96);
    }
}

/* Arguments that are neither rows nor cols nor pointers are read anew at each launch. */
TEST(a_later_launch_has_its_own_scalars)
{
    static const char words[] = "args = ptr ptr i32 f32 i32 bool ptr op = rmsnorm rows = grid.x cols = arg2 eps = arg3 "
                                "x = arg0 y = arg1 gamma_add = arg5 require = arg4 == cols, arg6 null";
    const enum fuseln_dtype f32 = FUSELN_DTYPE_F32;
    struct fuseln_target target = {.symbol = "norm", .library = &library};
    struct fuseln_refusal refusal;
    struct made one;

    assert_true(fuseln_words_parse((struct fuseln_text){words, strlen(words)}, &f32, &target, &refusal));
    make(&one, &target, 40, 96, 0x100000);
    one.values[4] = 96;
    one.values[5] = one.values[6] = 0;
    replace(&one);
    assert_true(is_remembered(&one));
    set_argument(&one, FUSELN_ROLE_EPS, 0x3f000000); /* 0.5 */
    replace(&one);
    assert_true(seen.params.eps == 0.5 && seen.params.eps_f == 0.5f && seen.params.gamma_add == 0);
    one.values[4] = 97;
    assert_int_equal(verdict_of(&one), FUSELN_VERDICT_REQUIRE);
    one.values[4] = 96;
    one.values[6] = 0x900000;
    assert_int_equal(verdict_of(&one), FUSELN_VERDICT_REQUIRE);
    one.values[6] = 0;
    one.values[5] = 1;
    assert_false(is_remembered(&one));
    one.values[5] = 0;
    replace(&one);
}

static size_t slot_of(const struct fuseln_target *target, int rows, int cols)
{
    return first_slot(target, &(struct fuseln_call){.rows = rows, .cols = cols});
}

/* The next number of rows, or of columns, that is looked for in the same slot as 40 and 96. */
static int next_rows(const struct fuseln_target *target)
{
    int rows = 41;
    while (slot_of(target, rows, 96) != slot_of(target, 40, 96))
        rows++;
    return rows;
}
static int next_cols(const struct fuseln_target *target)
{
    int cols = 97;
    while (slot_of(target, 40, cols) != slot_of(target, 40, 96))
        cols++;
    return cols;
}

/* Another launch than one that is known. */
static void check_differs(const struct made *like, struct made *other)
{
    assert_false(is_remembered(other));
    assert_true(is_remembered(like));
}

TEST(a_difference_makes_it_another)
{
    struct made one, other;
    make(&one, &targets[FORWARD], 40, 96, 0x100000);
    replace(&one);
#define DIFFERS(change)                     \
    do {                                    \
        copy(&other, &one);                 \
        assert_true(is_remembered(&other)); \
        change;                             \
        check_differs(&one, &other);        \
    } while (0)
    DIFFERS(other.launch.grid[0]++);
    DIFFERS(other.launch.grid[1]++);
    DIFFERS(other.launch.grid[2]++);
    DIFFERS(other.launch.runtime_device++);
    DIFFERS(other.launch.boundary = FUSELN_BOUNDARY_DRIVER; other.launch.runtime_device = -2);
    DIFFERS(other.launch.declined = FUSELN_VERDICT_COOPERATIVE);
    DIFFERS(other.launch.args = NULL);
    DIFFERS(set_argument(&other, FUSELN_ROLE_COLS, (uint64_t)next_cols(&targets[FORWARD])));
    DIFFERS(set_argument(&other, FUSELN_ROLE_GAMMA, 0));
    DIFFERS(set_argument(&other, FUSELN_ROLE_Y, 0x900004));
    for (unsigned i = 0; i < targets[FORWARD].layout.count; i++)
        DIFFERS(other.args[i] = NULL);
    stand_in_context++;
    assert_false(is_remembered(&one));
    stand_in_context--;
    assert_true(is_remembered(&one));
    make(&one, &targets[DGAMMA], 40, 96, 0x100000);
    replace(&one);
    DIFFERS(set_argument(&other, FUSELN_ROLE_ROWS, (uint64_t)next_rows(&targets[DGAMMA])));
    make(&one, &targets[PARTIAL], 40, 96, 0x100000);
    replace(&one);
    DIFFERS(other.launch.grid[1]++); /* rows of partial sums */
    make(&one, &targets[FORWARD], 40, 96, 0x100000);
    replace(&one);
    atomic_store(&slots[slot_of(&twin, 40, 96)], atomic_load(&slots[slot_of(&targets[FORWARD], 40, 96)]));
    DIFFERS(other.launch.target = &twin);
#undef DIFFERS
}

TEST(a_child_forked_in_a_launch_comes_back_from_it)
{
    struct made made;
    make(&made, &targets[FORWARD], 40, 96, 0x100000);
    for (int i = 0; i < 3; i++) {
        seen.nested = fuseln_pipeline_after_fork;
        replace(&made);
        assert_ptr_equal(seen.params.x, (void *)made.values[2]);
        replace(&made);
        assert_true(is_remembered(&made));
    }
}

/* The launches of ours in one of the program's. */
static int launches_in(const struct made *made)
{
    const int before = seen.launches;
    replace(made);
    return seen.launches - before;
}

TEST(they_make_consume_and_invalidate_partial_sums)
{
    struct made dx, dgamma, forward, other;
    stand_in_context = 10;
    make(&dx, &targets[DX], 4096, 96, 0x100000);
    make(&dgamma, &targets[DGAMMA], 4096, 96, 0x100000);
    set_argument(&dx, FUSELN_ROLE_DX, 0x80000000);
    for (int role = FUSELN_ROLE_X; role <= FUSELN_ROLE_RSTD; role++) { /* of the same tensors */
        set_argument(&dx, role, 0x10000000 * (1 + (uint64_t)role));
        set_argument(&dgamma, role, 0x10000000 * (1 + (uint64_t)role));
    }
    make(&forward, &targets[FORWARD], 4096, 96, 0x200000);
    copy(&other, &dx);
    set_argument(&other, FUSELN_ROLE_X, 0x90000000);
    for (int round = 0; round < 3; round++) { /* the first of their kind, and like earlier ones */
        assert_int_equal(launches_in(&dx), 1);
        assert_non_null(seen.params.partials);
        assert_int_equal(launches_in(&dgamma), 1);
        assert_non_null(seen.params.partials);
        assert_int_equal(launches_in(&dgamma), 2); /* they were consumed */
        assert_int_equal(launches_in(&dx), 1);
        assert_int_equal(launches_in(&forward), 1);
        assert_null(seen.params.partials);
        assert_int_equal(launches_in(&dgamma), 2); /* another launch came first */
        assert_int_equal(launches_in(&dx), 1);
        assert_int_equal(launches_in(&dgamma), 1); /* else the site gave up after the third */
        assert_int_equal(launches_in(&dx), 1);
        assert_int_equal(launches_in(&other), 1);
        assert_non_null(seen.params.partials);
        assert_int_equal(launches_in(&dgamma), 2);
        assert_int_equal(launches_in(&dx), 1);
        assert_int_equal(launches_in(&dgamma), 1);
    }
}

/* More kinds than there are slots where they are looked for: the last is decided each time, and uses up nothing. */
TEST(one_that_finds_no_slot_is_decided_each_time)
{
    struct made made;
    int kinds = 0;
    for (int rows = 40; kinds <= PROBES; rows++) {
        if (slot_of(&targets[FORWARD], rows, 96) != slot_of(&targets[FORWARD], 40, 96))
            continue;
        make(&made, &targets[FORWARD], rows, 96, 0x100000);
        replace(&made);
        assert_int_equal(is_remembered(&made), kinds < PROBES);
        kinds++;
    }
    for (int i = 0; i < 2 * SLOTS; i++)
        replace(&made);
    assert_ptr_equal(seen.params.x, (void *)made.values[2]);
    make(&made, &targets[FORWARD + 3], 40, 96, 0x100000);
    replace(&made);
    assert_true(is_remembered(&made));
}

TEST(a_launch_at_a_boundary_that_is_not_hooked_is_left_to_the_other)
{
    const struct fuseln_config *const both = fuseln_config_get();
    struct fuseln_config runtime = *both;
    struct fuseln_pass pass;
    struct made made;
    make(&made, &targets[FORWARD], 40, 96, 0x100000);
    replace(&made);
    made.launch.boundary = FUSELN_BOUNDARY_DRIVER;
    runtime.hooks = 1u << FUSELN_BOUNDARY_RUNTIME;
    atomic_store(&fuseln_config_published, &runtime);
    fuseln_pipeline_run(&made.launch, &pass);
    atomic_store(&fuseln_config_published, both);
    assert_int_not_equal(pass.verdict, FUSELN_VERDICT_OK);
    assert_null(pass.site); /* nothing is counted */
    assert_int_equal(seen.launches, 1);
}

enum { THREADS = 40, KINDS = 64 };

static void *launch_elsewhere(void *argument)
{
    struct made made;
    for (int i = 0; i < 3 * KINDS; i++) {
        make(&made, &targets[FORWARD], 40 + i % KINDS, 96, 0x100000 * (1 + (uintptr_t)argument));
        replace(&made);
        assert_ptr_equal(seen.params.x, (void *)made.values[2]);
        assert_int_equal(seen.params.rows, 40 + i % KINDS);
        assert_true(is_remembered(&made));
    }
    return NULL;
}

TEST(threads_share_what_was_decided)
{
    run_threads(THREADS, launch_elsewhere);
}

/* Last: this context refuses the kernel from here on. */
TEST(what_is_no_number_of_columns_is_not_recorded)
{
    static const uint64_t wrong[] = {(uint64_t)-5, UINT64_C(1) << 60};
    struct fuseln_pass pass;
    struct made made;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        make(&made, &targets[MOMENTS], 4, 64, 0x10000);
        set_argument(&made, FUSELN_ROLE_COLS, wrong[i]);
        fuseln_pipeline_run(&made.launch, &pass);
        assert_int_equal(pass.verdict, FUSELN_VERDICT_SHAPE);
        assert_int_equal(pass.site->key.cols, 0);
        assert_int_equal(pass.site->rows_max, 0);
    }
}

TEST(what_was_refused_is_decided_again)
{
    struct made one;
    make(&one, &targets[FORWARD], 40, 96, 0x100000);
    stand_in_context = 8; /* where no kernel is known yet */
    refuse_launches(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    assert_int_not_equal(verdict_of(&one), FUSELN_VERDICT_OK);
    assert_false(is_remembered(&one));
    assert_int_equal(seen.launches, 1);
    refuse_launches(CUDA_SUCCESS);
    assert_int_not_equal(verdict_of(&one), FUSELN_VERDICT_OK); /* refused for good */
    assert_int_equal(seen.launches, 1);
    stand_in_context = 7;
    replace(&one);
    refuse_launches(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    assert_int_not_equal(verdict_of(&one), FUSELN_VERDICT_OK);
    refuse_launches(CUDA_SUCCESS);
    const int launches = seen.launches;
    assert_int_not_equal(verdict_of(&one), FUSELN_VERDICT_OK);
    assert_int_equal(seen.launches, launches);
}

int main(void)
{
    return find_targets() ? run_registered_tests() : 1;
}
