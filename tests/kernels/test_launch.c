/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels/host/launch.c, context.c and scratch.c against a driver of this file's: what is loaded, asked, refused and
 * remembered, and when. The driver's state is plain counters; every test uses contexts that no other test has seen.
 */
#define TEST(name) TEST_WITH(name, new_context, NULL)
#include "../unit/test.h"

#include <string.h>

#include "../fake_device.h"
#include "base/config.h"
#include "kernels/host/context.h"

static struct {
    atomic_int loads, unloads, launches, allocations, queries;
    atomic_int mode; /* capture mode of the thread under test: back at 0 after every call */
    int capturing, load_result[2], launch_result, refuse_launch; /* launch number `refuse_launch` gets launch_result */
    unsigned long long context, stream_context;
    size_t bytes;
    atomic_bool y_null, mean_null;
    int registrations, register_result;
    struct fuseln_check_params check; /* of the last kernel that compares, or sums up */
    int smem_limit;
} fake;

static CUresult ctx_get_id(CUcontext ctx, unsigned long long *id)
{
    fake.queries++;
    *id = ctx ? fake.stream_context : fake.context;
    return CUDA_SUCCESS;
}
static CUresult func_set_attr(CUfunction function, int attribute, int value)
{
    (void)function;
    if (attribute == CU_FUNC_ATTR_MAX_DYNAMIC_SHARED_SIZE_BYTES)
        fake.smem_limit = value;
    return CUDA_SUCCESS;
}
static CUresult stream_get_id(CUstream stream, unsigned long long *id)
{
    fake.queries++;
    *id = (uintptr_t)stream;
    return CUDA_SUCCESS;
}
static CUresult stream_get_ctx(CUstream stream, CUcontext *ctx)
{
    fake.queries++;
    *ctx = (CUcontext)stream;
    return CUDA_SUCCESS;
}
static CUresult stream_capturing(CUstream stream, int *status)
{
    (void)stream;
    fake.queries++;
    *status = fake.capturing == 1;
    return fake.capturing == 2 ? 901 : CUDA_SUCCESS; /* 2: the query itself fails */
}
static CUresult exchange_capture(int *mode)
{
    const int before = atomic_exchange(&fake.mode, *mode);
    *mode = before;
    return CUDA_SUCCESS;
}
static CUresult module_load_data(CUmodule *module, const void *image)
{
    const CUresult result = fake.load_result[*(const char *)image == 'p'];
    *module = (CUmodule)(uintptr_t)(0x1000 + 16 * atomic_fetch_add(&fake.loads, 1));
    return result;
}
static CUresult module_unload(CUmodule module)
{
    (void)module;
    fake.unloads++;
    return CUDA_SUCCESS;
}
static CUresult module_get_func(CUfunction *function, CUmodule module, const char *name)
{
    (void)module;
    *function = (CUfunction)(uintptr_t)name;
    return CUDA_SUCCESS;
}
static CUresult mem_alloc(CUdeviceptr *ptr, size_t bytes)
{
    assert_int_equal(fake.mode, CU_STREAM_CAPTURE_MODE_RELAXED);
    *ptr = 0x100000;
    fake.bytes = bytes;
    fake.allocations++;
    return CUDA_SUCCESS;
}
static CUresult launch_kernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                              unsigned bz, unsigned smem, CUstream stream, void **params, void **extra)
{
    (void)function, (void)gx, (void)gy, (void)gz, (void)bx, (void)by, (void)bz, (void)smem, (void)stream, (void)extra;
    const struct fuseln_ln_params *p = params[0];
    if (strncmp((const char *)function, "fuseln_check_", 13) == 0)
        memcpy(&fake.check, params[0], sizeof fake.check);
    fake.y_null = !p->y;
    fake.mean_null = !p->mean;
    return ++fake.launches == fake.refuse_launch ? fake.launch_result : CUDA_SUCCESS;
}

static CUresult host_register(void *ptr, size_t bytes, unsigned flags)
{
    (void)ptr;
    assert_int_equal(fake.mode, CU_STREAM_CAPTURE_MODE_RELAXED);
    assert_int_equal(bytes % 4096, 0);
    assert_int_equal(flags, CU_HOST_REGISTER_PORTABLE | CU_HOST_REGISTER_DEVICEMAP);
    fake.registrations++;
    return fake.register_result;
}
static CUresult host_get_device(CUdeviceptr *ptr, void *host, unsigned flags)
{
    (void)flags;
    *ptr = (CUdeviceptr)(uintptr_t)host;
    return CUDA_SUCCESS;
}

pthread_mutex_t fuseln_host_mutex = PTHREAD_MUTEX_INITIALIZER;
_Atomic(const struct fuseln_driver *) fuseln_driver_published;
const struct fuseln_driver *fuseln_driver_find(void)
{
    static const struct fuseln_driver driver = {
        .ctx_get_id = ctx_get_id,
        FAKE_DEVICE_FUNCTIONS,
        .stream_get_id = stream_get_id,
        .stream_get_ctx = stream_get_ctx,
        .stream_capturing = stream_capturing,
        .exchange_capture = exchange_capture,
        .module_load_data = module_load_data,
        .module_unload = module_unload,
        .module_get_func = module_get_func,
        .func_set_attr = func_set_attr,
        .mem_alloc = mem_alloc,
        .host_register = host_register,
        .host_get_device = host_get_device,
        .launch_kernel = launch_kernel,
    };
    atomic_store(&fuseln_driver_published, &driver);
    return &driver;
}

const struct fuseln_image *fuseln_image_find(enum fuseln_module module, const struct fuseln_device *device, bool ptx)
{
    static const struct fuseln_image images[] = {{.name = "sm_90", .compiler = "c", .data = "machine code"},
                                                 {.name = "compute_90", .compiler = "c", .data = "ptx"}};
    (void)module, (void)device;
    return &images[ptx];
}

static CUstream const STREAM = (CUstream)0x5000, OTHER_STREAM = (CUstream)0x6000;

static int new_context(void **state)
{
    static unsigned long long contexts = 100;
    (void)state;
    memset(&fake, 0, sizeof fake);
    fake.context = fake.stream_context = ++contexts;
    return 0;
}

static int64_t rows = FUSELN_DIRECT_ROWS * FAKE_SMS + 1; /* more than DGAMMA takes in one launch */

/* FUSELN_SCRATCH. */
static void set_scratch(size_t bytes)
{
    static struct fuseln_config config;
    config.scratch_bytes = bytes;
    atomic_store(&fuseln_config_published, &config);
}

static enum fuseln_verdict launch_with(enum fuseln_op op, bool rms, CUstream stream, size_t limit)
{
    static char memory[64] __attribute__((aligned(16)));
    struct fuseln_call call = {.op = op,
                               .rms = rms,
                               .rows = rows,
                               .cols = 1024,
                               .eps = 1e-5,
                               .x = memory,
                               .dy = memory,
                               .mean = memory,
                               .rstd = memory,
                               .y = memory,
                               .dx = memory,
                               .dgamma = memory,
                               .dbeta = memory,
                               .out_rows = 1};
    struct fuseln_plan plan;
    struct fuseln_context *context = fuseln_context_current();
    assert_non_null(context);
    set_scratch(limit);
    assert_int_equal(fuseln_plan_make(&call, fuseln_context_device(context), &plan), FUSELN_VERDICT_OK);
    return fuseln_kernel_launch(&(struct fuseln_job){context, &plan, stream, NULL}, &call);
}

static enum fuseln_verdict launch(enum fuseln_op op)
{
    const enum fuseln_verdict verdict = launch_with(op, false, STREAM, 32 << 20);
    assert_int_equal(fake.mode, 0);
    return verdict;
}

TEST(the_second_launch_asks_for_the_context_only)
{
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_OK);
    assert_int_equal(fake.loads, 1);
    fake.queries = 0;
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_OK);
    assert_int_equal(fake.queries, 1);
    assert_int_equal(fake.loads, 1);
    assert_int_equal(fake.launches, 2);
    assert_int_equal(launch(FUSELN_OP_DX), FUSELN_VERDICT_OK); /* another module */
    assert_int_equal(fake.loads, 2);
}

TEST(moments_write_no_y_and_rms_norm_no_mean)
{
    assert_int_equal(launch(FUSELN_OP_MOMENTS), FUSELN_VERDICT_OK);
    assert_true(fake.y_null && !fake.mean_null);
    assert_int_equal(launch_with(FUSELN_OP_FORWARD, true, STREAM, 0), FUSELN_VERDICT_OK);
    assert_true(!fake.y_null && fake.mean_null);
}

TEST(in_capture_only_what_ran_before)
{
    for (fake.capturing = 1; fake.capturing <= 2; fake.capturing++) {
        assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_CAPTURE);
        assert_int_equal(launch(FUSELN_OP_DGAMMA), FUSELN_VERDICT_CAPTURE);
    }
    assert_int_equal(fake.loads + fake.launches + fake.allocations, 0);
    fake.capturing = 0;
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_OK);
    assert_int_equal(fake.smem_limit, 0);
    assert_int_equal(launch(FUSELN_OP_DGAMMA), FUSELN_VERDICT_OK);
    assert_int_equal(fake.smem_limit, FAKE_SMEM_OPTIN - FUSELN_STATIC_BYTES); /* a ring may need more than 48 KB */
    fake.capturing = 1;
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_OK);
    assert_int_equal(launch(FUSELN_OP_DGAMMA), FUSELN_VERDICT_CAPTURE);
}

TEST(sums_of_few_rows_need_no_scratch_and_may_be_captured)
{
    rows--;
    assert_int_equal(launch_with(FUSELN_OP_DGAMMA, false, STREAM, 0), FUSELN_VERDICT_OK);
    fake.capturing = 1;
    assert_int_equal(launch_with(FUSELN_OP_DGAMMA, false, STREAM, 0), FUSELN_VERDICT_OK);
    assert_int_equal(fake.launches, 2);
    assert_int_equal(fake.allocations, 0);
    rows++;
}

TEST(a_stream_of_another_context_is_left_alone)
{
    fake.stream_context = 7;
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_CONTEXT);
    assert_int_equal(fake.launches, 0);
    assert_int_equal(launch_with(FUSELN_OP_FORWARD, false, CU_STREAM_PER_THREAD, 0), FUSELN_VERDICT_OK);
}

TEST(a_refused_image_gives_way_to_ptx)
{
    fake.load_result[0] = CUDA_ERROR_NO_BINARY_FOR_GPU;
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_OK);
    struct fuseln_device_report report[FUSELN_DEVICES_MAX];
    assert_int_equal(fuseln_device_reports(report, FUSELN_DEVICES_MAX), 1);
    assert_string_equal(report[0].image, "compute_90");
    assert_string_equal(report[0].compute_capability, "9.0");
    fake.load_result[1] = CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
    assert_int_equal(launch(FUSELN_OP_DX), FUSELN_VERDICT_IMAGE);
    const int loads = fake.loads;
    assert_int_equal(launch(FUSELN_OP_DX), FUSELN_VERDICT_IMAGE);
    assert_int_equal(fake.loads, loads); /* remembered */
}

TEST(only_a_refusal_of_the_kernel_itself_is_remembered)
{
    fake.load_result[0] = 2; /* out of memory */
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_REFUSED);
    fake.load_result[0] = CUDA_SUCCESS;
    fake.refuse_launch = 1, fake.launch_result = 719; /* an error of the host's own */
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_REFUSED);
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_OK);
    fake.refuse_launch = 3, fake.launch_result = CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_REFUSED);
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_REFUSED);
    assert_int_equal(fake.launches, 3);
}

TEST(a_refused_reduction_gives_back_the_slab)
{
    fake.refuse_launch = 2, fake.launch_result = 719;
    assert_int_equal(launch(FUSELN_OP_DGAMMA), FUSELN_VERDICT_REFUSED);
    assert_int_equal(launch(FUSELN_OP_DGAMMA), FUSELN_VERDICT_OK);
    assert_int_equal(fake.launches, 4);
    assert_int_equal(fake.allocations, 1);
}

TEST(a_reduction_refused_for_good_makes_no_sums)
{
    fake.refuse_launch = 2, fake.launch_result = CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    assert_int_equal(launch(FUSELN_OP_DGAMMA), FUSELN_VERDICT_REFUSED);
    assert_int_equal(launch(FUSELN_OP_DGAMMA), FUSELN_VERDICT_REFUSED);
    assert_int_equal(fake.launches, 2);
}

TEST(no_slab_before_both_kernels_are_there)
{
    fake.stream_context = 7;
    assert_int_equal(launch(FUSELN_OP_DGAMMA), FUSELN_VERDICT_CONTEXT);
    fake.stream_context = fake.context;
    fake.load_result[0] = fake.load_result[1] = CUDA_ERROR_NO_BINARY_FOR_GPU;
    assert_int_equal(launch(FUSELN_OP_DGAMMA), FUSELN_VERDICT_IMAGE);
    assert_int_equal(fake.allocations + fake.launches, 0);
}

TEST(scratch_is_by_stream_and_under_the_limit)
{
    assert_int_equal(launch_with(FUSELN_OP_DGAMMA, false, STREAM, 1000), FUSELN_VERDICT_SCRATCH);
    fake.queries = 0;
    assert_int_equal(launch(FUSELN_OP_DGAMMA), FUSELN_VERDICT_OK);
    const size_t first = fake.bytes;
    fake.queries = 0;
    assert_int_equal(launch(FUSELN_OP_DGAMMA), FUSELN_VERDICT_OK);
    assert_int_equal(fake.queries, 3); /* context, capture, stream */
    assert_int_equal(fake.allocations, 1);
    struct fuseln_device_report report[FUSELN_DEVICES_MAX];
    fuseln_device_reports(report, FUSELN_DEVICES_MAX);
    const size_t held = report[0].scratch_bytes; /* of earlier tests too */
    assert_int_equal(launch_with(FUSELN_OP_DGAMMA, false, OTHER_STREAM, held + first - 1), FUSELN_VERDICT_SCRATCH);
    assert_int_equal(launch_with(FUSELN_OP_DGAMMA, false, OTHER_STREAM, held + first), FUSELN_VERDICT_OK);
    assert_int_equal(fake.allocations, 2);
    fuseln_context_after_fork();
    fuseln_scratch_after_fork();
    assert_int_equal(fuseln_device_reports(report, FUSELN_DEVICES_MAX), 0);
}

static void *launch_in_thread(void *barrier)
{
    pthread_barrier_wait(barrier);
    return (void *)(uintptr_t)launch_with(FUSELN_OP_FORWARD, false, NULL, 0);
}

TEST(losers_of_a_race_unload_their_module)
{
    for (int round = 0; round < 50; round++) {
        pthread_t threads[8];
        pthread_barrier_t barrier;
        new_context(state);
        pthread_barrier_init(&barrier, NULL, 8);
        for (int i = 0; i < 8; i++)
            pthread_create(&threads[i], NULL, launch_in_thread, &barrier);
        for (int i = 0; i < 8; i++) {
            void *verdict;
            pthread_join(threads[i], &verdict);
            assert_int_equal((uintptr_t)verdict, FUSELN_VERDICT_OK);
        }
        pthread_barrier_destroy(&barrier);
        assert_int_equal(fake.loads - fake.unloads, 1);
    }
}

/* ---- checks ---- */

static enum fuseln_verdict check_rows(int64_t many, uintptr_t x, int slice, void *owner, size_t limit)
{
    const struct fuseln_call call = {.op = FUSELN_OP_FORWARD,
                                     .rows = many,
                                     .cols = 1024,
                                     .eps = 1e-5,
                                     .x = (void *)x,
                                     .y = (void *)0x40000000,
                                     .mean = (void *)0x80000000,
                                     .rstd = (void *)0x90000000,
                                     .out_rows = 1};
    const struct fuseln_check check = {fuseln_context_current(), STREAM, slice, owner};
    assert_non_null(check.context);
    set_scratch(limit);
    const enum fuseln_verdict verdict = fuseln_kernel_check(&check, &call);
    assert_int_equal(fake.mode, 0);
    return verdict;
}

static enum fuseln_verdict check_some(void *owner)
{
    return check_rows(65, 0x10000000, 0, owner, 32 << 20);
}

/* The device has done the check that was launched last. */
static void finish(double elements)
{
    fake.check.result->field[FUSELN_CHECK_ELEMENTS] = elements;
    fake.check.result->ticket = fake.check.ticket;
}

TEST(a_check_is_three_kernels_and_its_result_comes_later)
{
    struct fuseln_check_result result;
    int owner;
    assert_int_equal(check_some(&owner), FUSELN_VERDICT_OK);
    assert_int_equal(fake.launches, 3);
    assert_int_equal(fake.registrations, 1);
    assert_null(fuseln_check_collect(&result));
    finish(42);
    assert_ptr_equal(fuseln_check_collect(&result), &owner);
    assert_true(result.field[FUSELN_CHECK_ELEMENTS] == 42);
    assert_null(fuseln_check_collect(&result));
    assert_int_equal(check_some(&owner), FUSELN_VERDICT_OK); /* of the same place, with another ticket */
    assert_null(fuseln_check_collect(&result));
    finish(43);
    assert_ptr_equal(fuseln_check_collect(&result), &owner);
    assert_int_equal(fake.registrations, 1);
}

TEST(rows_that_do_not_fit_are_checked_in_slices)
{
    struct fuseln_check_result result;
    const int64_t many = 1000; /* 4 MB of y; a quarter of 4 MiB holds 250 of them */
    assert_int_equal(check_rows(many, 0x10000000, -1, &fake, 4 << 20), FUSELN_VERDICT_OK);
    assert_int_equal(fake.launches, 2 * 4 + 1);
    assert_int_equal(fake.check.first_row + fake.check.host.rows, many);
    finish(1);
    assert_non_null(fuseln_check_collect(&result));
    static const int64_t first[] = {0, 750, 375};
    for (int slice = 0; slice < 3; slice++) {
        fake.launches = 0;
        assert_int_equal(check_rows(many, 0x10000000, slice, &fake, 4 << 20), FUSELN_VERDICT_OK);
        assert_int_equal(fake.launches, 3);
        assert_int_equal(fake.check.first_row, first[slice]);
        assert_ptr_equal(fake.check.host.x, (char *)0x10000000 + first[slice] * 4096);
        finish(1);
        assert_non_null(fuseln_check_collect(&result));
    }
    assert_true(fake.bytes <= 4 << 20);
}

TEST(what_cannot_be_checked_says_why_and_launches_nothing)
{
    fake.capturing = 1;
    assert_int_equal(check_some(NULL), FUSELN_VERDICT_CAPTURE);
    assert_int_equal(fake.registrations + fake.allocations, 0);
    fake.capturing = 0;
    assert_int_equal(check_rows(65, 0x40000000, 0, NULL, 32 << 20), FUSELN_VERDICT_ALIAS);
    assert_int_equal(check_rows(65, 0x40000000 - 65 * 4096 + 4, 0, NULL, 32 << 20), FUSELN_VERDICT_ALIAS);
    assert_int_equal(check_rows(65, 0x10000000, 0, NULL, 0), FUSELN_VERDICT_SCRATCH);
    assert_int_equal(fake.launches + fake.allocations, 0);
    assert_int_equal(check_rows(65, 0x40000000 - 65 * 4096, 0, &fake, 32 << 20), FUSELN_VERDICT_OK); /* side by side */
    struct fuseln_check_result result;
    finish(1);
    assert_non_null(fuseln_check_collect(&result));
}

TEST(memory_that_cannot_be_registered_is_asked_for_once)
{
    fake.register_result = CUDA_ERROR_NOT_SUPPORTED;
    for (int i = 0; i < 3; i++)
        assert_int_equal(check_some(NULL), FUSELN_VERDICT_REFUSED);
    assert_int_equal(fake.registrations, 1);
    assert_int_equal(fake.launches + fake.allocations, 0);
}

TEST(results_that_do_not_come_leave_no_place)
{
    int checks = 0;
    while (check_some(&checks) == FUSELN_VERDICT_OK && checks < 10000)
        checks++;
    assert_int_equal(checks, 256);
    assert_int_equal(check_some(&checks), FUSELN_VERDICT_BUSY);
    struct fuseln_check_result result;
    finish(7);
    assert_ptr_equal(fuseln_check_collect(&result), &checks);
    assert_int_equal(check_some(&checks), FUSELN_VERDICT_OK);
}

int main(void)
{
    return run_registered_tests();
}
