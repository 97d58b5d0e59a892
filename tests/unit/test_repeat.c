/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launches like an earlier one of their thread (src/core/repeat.h, and the pipeline that uses it), on a driver of this
 * file's that keeps what it is given: they are made as if they were the first, and what is not like it is not taken for
 * it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "../fake_device.h"
#include "core/pipeline.h"
#include "core/repeat.h"
#include "hooks/targets/match.h"

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
};
enum { SYMBOLS = sizeof symbols / sizeof symbols[0], FORWARD = 0, DX = 4, DGAMMA = 6 };

/* ---- the driver ---- */

static _Thread_local struct {
    int launches;
    CUresult result;
    void (*nested)(void); /* called before the parameters are read */
    CUfunction function;
    unsigned grid;
    struct fuseln_ln_params params;
} seen;
static _Thread_local unsigned long long context = 7;

static CUresult ctx_get_id(CUcontext ctx, unsigned long long *id)
{
    (void)ctx;
    errno = EIO; /* as a driver may */
    *id = context;
    return CUDA_SUCCESS;
}
static CUresult func_set_attr(CUfunction function, int attribute, int value)
{
    (void)function, (void)attribute, (void)value;
    return CUDA_SUCCESS;
}
static CUresult stream_capturing(CUstream stream, int *status)
{
    (void)stream;
    *status = 0;
    return CUDA_SUCCESS;
}
static CUresult stream_get_id(CUstream stream, unsigned long long *id)
{
    *id = (uintptr_t)stream;
    return CUDA_SUCCESS;
}
static CUresult mem_alloc(CUdeviceptr *ptr, size_t bytes)
{
    (void)bytes;
    *ptr = 0x4000000;
    return CUDA_SUCCESS;
}
static CUresult exchange_capture(int *mode)
{
    (void)mode;
    return CUDA_SUCCESS;
}
static CUresult module_load_data(CUmodule *module, const void *image)
{
    (void)image;
    *module = (CUmodule)(uintptr_t)0x1000;
    return CUDA_SUCCESS;
}
static CUresult module_unload(CUmodule module)
{
    (void)module;
    return CUDA_SUCCESS;
}
static CUresult module_get_func(CUfunction *function, CUmodule module, const char *name)
{
    (void)module;
    *function = (CUfunction)(uintptr_t)name;
    return CUDA_SUCCESS;
}
static CUresult launch_kernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                              unsigned bz, unsigned smem, CUstream stream, void **params, void **extra)
{
    (void)gy, (void)gz, (void)bx, (void)by, (void)bz, (void)smem, (void)stream, (void)extra;
    void (*const nested)(void) = seen.nested;
    seen.nested = NULL;
    if (nested)
        nested();
    seen.launches++;
    seen.function = function;
    seen.grid = gx;
    seen.params = *(const struct fuseln_ln_params *)params[0];
    return seen.result;
}

_Atomic(const struct fuseln_driver *) fuseln_driver_published;
const struct fuseln_driver *fuseln_driver_find(void)
{
    static const struct fuseln_driver driver = {
        .ctx_get_id = ctx_get_id,
        FAKE_DEVICE_FUNCTIONS,
        .stream_capturing = stream_capturing,
        .stream_get_id = stream_get_id,
        .mem_alloc = mem_alloc,
        .exchange_capture = exchange_capture,
        .module_load_data = module_load_data,
        .module_unload = module_unload,
        .module_get_func = module_get_func,
        .func_set_attr = func_set_attr,
        .launch_kernel = launch_kernel,
    };
    atomic_store(&fuseln_driver_published, &driver);
    return &driver;
}

/* ---- launches ---- */

static struct fuseln_library library = {.name = "lib.so", .known = true};
static struct fuseln_target targets[SYMBOLS];
enum { COPIES = 1000 };
static struct fuseln_target copies[COPIES]; /* of one of them */

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
        .runtime_device = FAKE_DEVICE,
    };
    for (unsigned i = 0; i < layout->count; i++) {
        made->values[i] = memory + 0x100 * i;
        made->args[i] = &made->values[i];
    }
    set_argument(made, FUSELN_ROLE_ROWS, (uint64_t)rows);
    set_argument(made, FUSELN_ROLE_COLS, (uint64_t)cols);
    set_argument(made, FUSELN_ROLE_EPS, eps_bits);
}

static void run(const struct made *made)
{
    errno = 0;
    assert_int_equal(fuseln_pipeline_run(&made->launch), FUSELN_REPLACED);
    assert_int_equal(errno, 0);
}

/* Is it like one that this thread has made? */
static bool is_known(const struct made *made)
{
    return fuseln_repeats && fuseln_repeat_find(fuseln_repeats, &made->launch);
}

static int forget(void **state)
{
    (void)state;
    fuseln_repeat_after_fork();
    memset(&seen, 0, sizeof seen);
    context = 7;
    return 0;
}

static int find_targets(void **state)
{
    (void)state;
    for (size_t i = 0; i < SYMBOLS; i++) {
        if (!fuseln_targets_match(symbols[i], &targets[i]))
            return -1;
        targets[i].library = &library;
    }
    for (size_t i = 0; i < COPIES; i++)
        copies[i] = targets[FORWARD];
    return 0;
}

static void it_is_made_as_if_it_were_the_first(void **state)
{
    struct made one, other;
    for (size_t i = 0; i < SYMBOLS; i++) {
        make(&one, &targets[i], 40, 96, 0x100000);
        make(&other, &targets[i], 40, 96, 0x900000);
        run(&one);
        assert_true(is_known(&other));
        run(&other);
        const struct fuseln_ln_params again = seen.params;
        const CUfunction function = seen.function;
        const unsigned grid = seen.grid;
        forget(state);
        assert_false(is_known(&other));
        run(&other);
        assert_memory_equal(&again, &seen.params, offsetof(struct fuseln_ln_params, stages) + sizeof again.stages);
        assert_ptr_equal(function, seen.function);
        assert_int_equal(grid, seen.grid);
        assert_true(seen.params.rows == 40 && seen.params.cols == 96);
    }
}

static struct fuseln_repeat *place(const struct fuseln_target *target, int rows, int cols)
{
    return fuseln_repeat_place(fuseln_repeats, target, rows, cols);
}

/* The next number of rows, or of columns, that is kept in the same place as 40 and 96. */
static int next_rows(const struct fuseln_target *target)
{
    int rows = 41;
    while (place(target, rows, 96) != place(target, 40, 96))
        rows++;
    return rows;
}
static int next_cols(const struct fuseln_target *target)
{
    int cols = 97;
    while (place(target, 40, cols) != place(target, 40, 96))
        cols++;
    return cols;
}

/* Another launch than one that is known. */
static void check_differs(const struct made *like, struct made *other)
{
    assert_false(is_known(other));
    assert_true(is_known(like));
}

static void a_difference_makes_it_another(void **state)
{
    (void)state;
    struct made one, other;
    make(&one, &targets[FORWARD], 40, 96, 0x100000);
    run(&one);
#define DIFFERS(change)                                   \
    do {                                                  \
        other = one;                                      \
        for (unsigned at = 0; at < FUSELN_ARGS_MAX; at++) \
            other.args[at] = &other.values[at];           \
        other.launch.args = other.args;                   \
        assert_true(is_known(&other));                    \
        change;                                           \
        check_differs(&one, &other);                      \
    } while (0)
    DIFFERS(other.launch.grid[0]++);
    DIFFERS(other.launch.grid[1]++);
    DIFFERS(other.launch.grid[2]++);
    DIFFERS(other.launch.runtime_device++);
    DIFFERS(other.launch.boundary++);
    DIFFERS(other.launch.declined = FUSELN_VERDICT_COOPERATIVE);
    DIFFERS(other.launch.args = NULL);
    DIFFERS(set_argument(&other, FUSELN_ROLE_COLS, (uint64_t)next_cols(&targets[FORWARD])));
    DIFFERS(set_argument(&other, FUSELN_ROLE_EPS, other.values[1] + 1));
    DIFFERS(set_argument(&other, FUSELN_ROLE_GAMMA, 0));
    DIFFERS(set_argument(&other, FUSELN_ROLE_Y, 0x900004));
    for (unsigned i = 0; i < targets[FORWARD].layout.count; i++)
        DIFFERS(other.args[i] = NULL);
    context++;
    assert_false(is_known(&one));
    context--;
    assert_true(is_known(&one));
    make(&one, &targets[DGAMMA], 40, 96, 0x100000);
    run(&one);
    DIFFERS(set_argument(&other, FUSELN_ROLE_ROWS, (uint64_t)next_rows(&targets[DGAMMA])));
    const struct fuseln_target *same = copies; /* one that is kept in the same place */
    while (same < copies + COPIES && place(same, 40, 96) != place(&targets[FORWARD], 40, 96))
        same++;
    assert_true(same < copies + COPIES);
    make(&one, &targets[FORWARD], 40, 96, 0x100000);
    run(&one);
    DIFFERS(other.launch.target = same);
#undef DIFFERS
}

static void what_was_refused_is_decided_again(void **state)
{
    (void)state;
    struct made one;
    make(&one, &targets[FORWARD], 40, 96, 0x100000);
    context = 8; /* where no kernel is known yet */
    seen.result = CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    assert_int_equal(fuseln_pipeline_run(&one.launch), FUSELN_ORIGINAL);
    assert_false(is_known(&one));
    assert_int_equal(seen.launches, 1);
    seen.result = CUDA_SUCCESS;
    assert_int_equal(fuseln_pipeline_run(&one.launch), FUSELN_ORIGINAL); /* refused for good */
    assert_int_equal(seen.launches, 1);
    context = 7;
    run(&one);
    seen.result = CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    assert_int_equal(fuseln_pipeline_run(&one.launch), FUSELN_ORIGINAL);
    seen.result = CUDA_SUCCESS;
    const int launches = seen.launches;
    assert_int_equal(fuseln_pipeline_run(&one.launch), FUSELN_ORIGINAL);
    assert_int_equal(seen.launches, launches);
}

static struct made inner;
static struct fuseln_ln_params inner_params;
static void launch_inner(void)
{
    run(&inner);
    inner_params = seen.params;
}

/* As a tool's callback does in a driver call. */
static void a_launch_in_a_launch_leaves_it_alone(void **state)
{
    (void)state;
    struct made outer;
    context = 9;
    make(&outer, &targets[FORWARD + 3], 40, 96, 0x100000);
    make(&inner, &targets[FORWARD + 3], 40, 96, 0x900000);
    for (int round = 0; round < 3; round++) { /* the first of its kind, and like an earlier one */
        seen.nested = launch_inner;
        run(&outer);
        assert_ptr_equal(seen.params.x, (void *)outer.values[2]);
        assert_ptr_equal(inner_params.x, (void *)inner.values[2]);
        assert_false(fuseln_repeats->busy);
    }
}

static void a_child_forked_in_a_launch_comes_back_from_it(void **state)
{
    (void)state;
    struct made made;
    make(&made, &targets[FORWARD], 40, 96, 0x100000);
    for (int i = 0; i < 3; i++) {
        seen.nested = fuseln_repeat_after_fork;
        run(&made);
        assert_ptr_equal(seen.params.x, (void *)made.values[2]);
        run(&made);
        assert_true(is_known(&made));
    }
}

/* The launches of ours in one of the program's. */
static int launches_in(const struct made *made)
{
    const int before = seen.launches;
    run(made);
    return seen.launches - before;
}

static void they_use_make_and_forget_partial_sums(void **state)
{
    (void)state;
    struct made dx, dgamma, forward, other;
    context = 10;
    make(&dx, &targets[DX], 4096, 96, 0x100000);
    make(&dgamma, &targets[DGAMMA], 4096, 96, 0x100000);
    set_argument(&dx, FUSELN_ROLE_DX, 0x80000000);
    for (int role = FUSELN_ROLE_X; role <= FUSELN_ROLE_RSTD; role++) { /* of the same tensors */
        set_argument(&dx, role, 0x10000000 * (1 + (uint64_t)role));
        set_argument(&dgamma, role, 0x10000000 * (1 + (uint64_t)role));
    }
    make(&forward, &targets[FORWARD], 4096, 96, 0x200000);
    other = dx;
    other.launch.args = other.args;
    for (unsigned i = 0; i < targets[DX].layout.count; i++)
        other.args[i] = &other.values[i];
    set_argument(&other, FUSELN_ROLE_X, 0x90000000);
    for (int round = 0; round < 3; round++) { /* the first of their kind, and like earlier ones */
        assert_int_equal(launches_in(&dx), 1);
        assert_non_null(seen.params.partials);
        assert_int_equal(launches_in(&dgamma), 1);
        assert_non_null(seen.params.partials);
        assert_int_equal(launches_in(&dgamma), 2); /* they were used */
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

enum { THREADS = 100, ALIVE = 40 };
static pthread_barrier_t all_alive;

static void *launch_elsewhere(void *argument)
{
    struct made made;
    make(&made, &targets[FORWARD], 40, 96, 0x100000 * (1 + (uintptr_t)argument));
    for (int i = 0; i < 3; i++) {
        run(&made);
        assert_ptr_equal(seen.params.x, (void *)made.values[2]);
    }
    const bool known = is_known(&made);
    if ((uintptr_t)argument < ALIVE)
        pthread_barrier_wait(&all_alive);
    return (void *)(uintptr_t)known;
}

static void threads_give_back_what_they_took(void **state)
{
    (void)state;
    pthread_t threads[ALIVE];
    int known = 0;
    pthread_barrier_init(&all_alive, NULL, ALIVE);
    for (uintptr_t i = 0; i < ALIVE; i++)
        pthread_create(&threads[i], NULL, launch_elsewhere, (void *)i);
    for (size_t i = 0; i < ALIVE; i++) {
        void *is;
        pthread_join(threads[i], &is);
        known += is != NULL;
    }
    pthread_barrier_destroy(&all_alive);
    assert_in_range(known, 1, ALIVE - 1); /* more than there is room for */
    for (uintptr_t i = ALIVE; i < THREADS; i++) {
        void *is;
        pthread_create(&threads[0], NULL, launch_elsewhere, (void *)i);
        pthread_join(threads[0], &is);
        assert_non_null(is);
    }
}

static pthread_barrier_t forgotten, taken_again, forked_ended;

static void *keep_over_the_others_end(void *unused)
{
    struct made made;
    (void)unused;
    make(&made, &targets[FORWARD], 40, 96, 0x100000);
    pthread_barrier_wait(&forgotten);
    run(&made);
    pthread_barrier_wait(&taken_again);
    pthread_barrier_wait(&forked_ended);
    return (void *)(uintptr_t)is_known(&made);
}

static void *fork_and_end(void *unused)
{
    struct made made;
    (void)unused;
    make(&made, &targets[FORWARD], 40, 96, 0x100000);
    run(&made);
    fuseln_repeat_after_fork();
    pthread_barrier_wait(&forgotten);
    pthread_barrier_wait(&taken_again);
    return NULL;
}

/* A thread that had a part before fork gives nothing back at its end. */
static void what_another_has_is_not_given_back(void **state)
{
    (void)state;
    pthread_t forked, keeps;
    void *known;
    pthread_barrier_init(&forgotten, NULL, 2);
    pthread_barrier_init(&taken_again, NULL, 2);
    pthread_barrier_init(&forked_ended, NULL, 2);
    pthread_create(&forked, NULL, fork_and_end, NULL);
    pthread_create(&keeps, NULL, keep_over_the_others_end, NULL);
    pthread_join(forked, NULL);
    pthread_barrier_wait(&forked_ended);
    pthread_join(keeps, &known);
    assert_non_null(known);
    pthread_barrier_destroy(&forgotten);
    pthread_barrier_destroy(&taken_again);
    pthread_barrier_destroy(&forked_ended);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_is_made_as_if_it_were_the_first, forget),
        cmocka_unit_test_setup(a_difference_makes_it_another, forget),
        cmocka_unit_test_setup(a_launch_in_a_launch_leaves_it_alone, forget),
        cmocka_unit_test_setup(a_child_forked_in_a_launch_comes_back_from_it, forget),
        cmocka_unit_test_setup(they_use_make_and_forget_partial_sums, forget),
        cmocka_unit_test_setup(threads_give_back_what_they_took, forget),
        cmocka_unit_test_setup(what_another_has_is_not_given_back, forget),
        cmocka_unit_test_setup(what_was_refused_is_decided_again, forget),
    };
    return cmocka_run_group_tests(tests, find_targets, NULL);
}
