/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels/host/launch.c, context.c and scratch.c on the stand-in driver: what is loaded, asked, refused and remembered,
 * and when.
 */
#include "stand_in_context.h"

CUresult cuThreadExchangeStreamCaptureMode(int *mode);

/* Of the last kernel that compares, or sums up. */
static struct fuseln_check_params last_check;

static void launched(const struct stand_in_launch *launch)
{
    if (strncmp(launch->kernel, "fuseln_check_", 13) == 0)
        memcpy(&last_check, launch->params[0], sizeof last_check);
}

static int new_context(void **state)
{
    (void)state;
    enter_new_context();
    memset(stand_in_counts, 0, sizeof stand_in_counts);
    stand_in_driver_launched = launched;
    return 0;
}

static int64_t rows = FUSELN_DIRECT_ROWS / 2 * SMS + 1; /* of float: more than DGAMMA takes in one launch */

static struct fuseln_slab *sums;

static enum fuseln_verdict launch_with(enum fuseln_op op, CUstream stream, size_t limit)
{
    struct fuseln_call call = call_of(op, rows);
    struct fuseln_plan plan;
    struct fuseln_context *context = fuseln_context_current();
    assert_non_null(context);
    config.scratch_bytes = limit;
    assert_int_equal(fuseln_plan_make(&call, fuseln_context_device(context), &plan), FUSELN_VERDICT_OK);
    return fuseln_kernel_launch(&(struct fuseln_job){context, &plan, stream, sums}, &call);
}

static int capture_mode(void)
{
    int mode = 0;
    cuThreadExchangeStreamCaptureMode(&mode);
    stand_in_driver_calls--; /* that one was ours */
    return mode;
}

static enum fuseln_verdict launch(enum fuseln_op op)
{
    const enum fuseln_verdict verdict = launch_with(op, STREAM, 32 << 20);
    assert_int_equal(capture_mode(), 0);
    return verdict;
}

TEST(the_second_launch_asks_for_the_context_only)
{
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_OK);
    assert_int_equal(calls(module_load_data), 1);
    stand_in_driver_calls = 0;
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_OK);
    assert_int_equal(stand_in_driver_calls, 1);
    assert_int_equal(calls(module_load_data), 1);
    assert_int_equal(calls(launch_kernel), 2);
    assert_int_equal(launch(FUSELN_OP_DX), FUSELN_VERDICT_OK); /* another module */
    assert_int_equal(calls(module_load_data), 2);
}

TEST(in_capture_only_what_ran_before)
{
    for (int fails = 0; fails < 2; fails++) { /* or the query itself fails */
        stand_in_capturing = !fails;
        fail_calls(stream_capturing, 1, fails ? ULONG_MAX : 0, 901);
        assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_CAPTURE);
        assert_int_equal(launch(FUSELN_OP_DGAMMA), FUSELN_VERDICT_CAPTURE);
    }
    assert_int_equal(calls(module_load_data) + calls(launch_kernel) + calls(mem_alloc), 0);
    fail_calls(stream_capturing, 0, 0, 0);
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_OK);
    assert_int_equal(stand_in_smem_limit, 0);
    assert_int_equal(launch(FUSELN_OP_DGAMMA), FUSELN_VERDICT_OK);
    assert_int_equal(stand_in_smem_limit, SMEM_OPTIN - FUSELN_STATIC_BYTES); /* a ring may need more than 48 KB */
    stand_in_capturing = 1;
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_OK);
    assert_int_equal(launch(FUSELN_OP_DGAMMA), FUSELN_VERDICT_CAPTURE);
}

TEST(sums_of_few_rows_need_no_scratch_and_may_be_captured)
{
    rows--;
    assert_int_equal(launch_with(FUSELN_OP_DGAMMA, STREAM, 0), FUSELN_VERDICT_OK);
    stand_in_capturing = 1;
    assert_int_equal(launch_with(FUSELN_OP_DGAMMA, STREAM, 0), FUSELN_VERDICT_OK);
    assert_int_equal(calls(launch_kernel), 2);
    assert_int_equal(calls(mem_alloc), 0);
    rows++;
}

TEST(a_stream_of_another_context_is_left_alone)
{
    stand_in_stream_context = 7;
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_CONTEXT);
    assert_int_equal(calls(launch_kernel), 0);
    assert_int_equal(launch_with(FUSELN_OP_FORWARD, CU_STREAM_PER_THREAD, 0), FUSELN_VERDICT_OK);
}

TEST(a_refused_image_gives_way_to_ptx)
{
    fail_calls(module_load_data, 1, 1, CUDA_ERROR_NO_BINARY_FOR_GPU);
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_OK);
    assert_string_equal(report().image, "compute_90");
    assert_string_equal(report().compute_capability, "9.0");
    fail_calls(module_load_data, 1, ULONG_MAX, CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    assert_int_equal(launch(FUSELN_OP_DX), FUSELN_VERDICT_IMAGE);
    const unsigned long loads = calls(module_load_data);
    assert_int_equal(launch(FUSELN_OP_DX), FUSELN_VERDICT_IMAGE);
    assert_int_equal(calls(module_load_data), loads); /* remembered */
}

TEST(only_a_refusal_of_the_kernel_itself_is_remembered)
{
    fail_calls(module_load_data, 1, ULONG_MAX, 2); /* out of memory */
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_REFUSED);
    fail_calls(launch_kernel, 1, 1, 719); /* an error of the host's own */
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_REFUSED);
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_OK);
    fail_calls(launch_kernel, 3, 3, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_REFUSED);
    assert_int_equal(launch(FUSELN_OP_FORWARD), FUSELN_VERDICT_REFUSED);
    assert_int_equal(calls(launch_kernel), 3);
}

static enum fuseln_verdict launch_on(CUstream stream)
{
    return launch_with(FUSELN_OP_DGAMMA, stream, 32 << 20);
}

/* Of sums that were made: a reduction alone. */
static enum fuseln_verdict launch_reduction(CUstream stream)
{
    static struct fuseln_slab slab;
    sums = &slab;
    const enum fuseln_verdict verdict = launch_on(stream);
    sums = NULL;
    return verdict;
}

TEST(a_reduction_may_start_early_on_a_stream_of_its_own)
{
    int *const cc_major = &fuseln_context_current()->record->device.cc_major;
    for (uintptr_t stream = 0; stream <= (uintptr_t)CU_STREAM_PER_THREAD; stream++)
        assert_int_equal(launch_reduction((CUstream)stream), FUSELN_VERDICT_OK);
    *cc_major = 8;
    assert_int_equal(launch_reduction(STREAM), FUSELN_VERDICT_OK);
    assert_int_equal(calls(launch_kernel_ex), 0);
    *cc_major = 9;
    assert_int_equal(launch_reduction(STREAM), FUSELN_VERDICT_OK);
    assert_int_equal(launch(FUSELN_OP_DX), FUSELN_VERDICT_OK);
    assert_int_equal(calls(launch_kernel_ex), 1);
    assert_int_equal(calls(launch_kernel), 4 + 1);
}

TEST(where_that_is_refused_it_is_launched_as_any_other_from_then_on)
{
    fail_calls(launch_kernel_ex, 1, ULONG_MAX, CUDA_ERROR_NOT_SUPPORTED);
    for (int i = 0; i < 3; i++)
        assert_int_equal(launch_reduction(STREAM), FUSELN_VERDICT_OK);
    assert_int_equal(calls(launch_kernel_ex), 1);
    assert_int_equal(calls(launch_kernel), 3);
}

TEST(a_refused_reduction_gives_back_the_slab)
{
    fail_calls(launch_kernel, 2, 2, 719);
    assert_int_equal(launch_on(CU_STREAM_PER_THREAD), FUSELN_VERDICT_REFUSED);
    assert_int_equal(launch_on(CU_STREAM_PER_THREAD), FUSELN_VERDICT_OK);
    assert_int_equal(calls(launch_kernel), 4);
    assert_int_equal(calls(mem_alloc), 1);
}

TEST(a_reduction_refused_for_good_makes_no_sums)
{
    fail_calls(launch_kernel, 2, 2, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    assert_int_equal(launch_on(CU_STREAM_PER_THREAD), FUSELN_VERDICT_REFUSED);
    assert_int_equal(launch_on(CU_STREAM_PER_THREAD), FUSELN_VERDICT_REFUSED);
    assert_int_equal(calls(launch_kernel), 2);
}

TEST(no_slab_before_both_kernels_are_there)
{
    stand_in_stream_context = 7;
    assert_int_equal(launch(FUSELN_OP_DGAMMA), FUSELN_VERDICT_CONTEXT);
    stand_in_stream_context = stand_in_context;
    fail_calls(module_load_data, 1, ULONG_MAX, CUDA_ERROR_NO_BINARY_FOR_GPU);
    assert_int_equal(launch(FUSELN_OP_DGAMMA), FUSELN_VERDICT_IMAGE);
    assert_int_equal(calls(mem_alloc) + calls(launch_kernel), 0);
}

TEST(scratch_is_by_stream_and_under_the_limit)
{
    assert_int_equal(launch_with(FUSELN_OP_DGAMMA, STREAM, 1000), FUSELN_VERDICT_SCRATCH);
    const size_t before = report().scratch_bytes;
    assert_int_equal(launch(FUSELN_OP_DGAMMA), FUSELN_VERDICT_OK);
    const size_t held = report().scratch_bytes, first = held - before;
    stand_in_driver_calls = 0;
    assert_int_equal(launch(FUSELN_OP_DGAMMA), FUSELN_VERDICT_OK);
    assert_int_equal(stand_in_driver_calls, 3); /* context, capture, stream */
    assert_int_equal(calls(mem_alloc), 1);
    assert_int_equal(launch_with(FUSELN_OP_DGAMMA, OTHER_STREAM, held + first - 1), FUSELN_VERDICT_SCRATCH);
    assert_int_equal(launch_with(FUSELN_OP_DGAMMA, OTHER_STREAM, held + first), FUSELN_VERDICT_OK);
    assert_int_equal(calls(mem_alloc), 2);
    fuseln_context_after_fork();
    fuseln_scratch_after_fork();
    struct fuseln_device_report reports[1];
    assert_int_equal(fuseln_device_reports(reports, 1), 0);
}

enum { RACERS = 8 };
static pthread_barrier_t barrier;
static void *race(void *unused)
{
    pthread_barrier_wait(&barrier);
    assert_int_equal(launch_with(FUSELN_OP_FORWARD, NULL, 0), FUSELN_VERDICT_OK);
    return unused;
}

TEST(losers_of_a_race_unload_their_module)
{
    racing = true;
    pthread_barrier_init(&barrier, NULL, RACERS);
    for (int round = 0; round < 50; round++) {
        new_context(state);
        run_threads(RACERS, race);
        assert_int_equal(calls(module_load_data) - calls(module_unload), 1);
    }
    racing = false;
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
    const struct fuseln_check check = {
        .context = fuseln_context_current(), .stream = STREAM, .slice = slice, .owner = owner};
    assert_non_null(check.context);
    config.scratch_bytes = limit;
    const enum fuseln_verdict verdict = fuseln_kernel_check(&check, &call);
    assert_int_equal(capture_mode(), 0);
    return verdict;
}

static enum fuseln_verdict check_some(void *owner)
{
    return check_rows(65, 0x10000000, 0, owner, 32 << 20);
}

/* The device has done the check that was launched last. */
static void finish(double elements)
{
    last_check.result->field[FUSELN_CHECK_ELEMENTS] = elements;
    last_check.result->ticket = last_check.ticket;
}

TEST(a_check_is_three_kernels_and_its_result_comes_later)
{
    struct fuseln_check_result result;
    int owner;
    assert_int_equal(check_some(&owner), FUSELN_VERDICT_OK);
    assert_int_equal(calls(launch_kernel), 3);
    assert_int_equal(calls(host_register), 1);
    assert_null(fuseln_check_collect(&result));
    finish(42);
    assert_ptr_equal(fuseln_check_collect(&result), &owner);
    assert_true(result.field[FUSELN_CHECK_ELEMENTS] == 42);
    assert_null(fuseln_check_collect(&result));
    assert_int_equal(check_some(&owner), FUSELN_VERDICT_OK); /* of the same place, with another ticket */
    assert_null(fuseln_check_collect(&result));
    finish(43);
    assert_ptr_equal(fuseln_check_collect(&result), &owner);
    assert_int_equal(calls(host_register), 1);
}

TEST(rows_that_do_not_fit_are_checked_in_slices)
{
    struct fuseln_check_result result;
    const size_t before = report().scratch_bytes;
    const int64_t many = 1000; /* 4 MB of y; a quarter of 5 MiB holds 250 of them and the records */
    assert_int_equal(check_rows(many, 0x10000000, -1, &last_check, 5 << 20), FUSELN_VERDICT_OK);
    assert_int_equal(calls(launch_kernel), 2 * 4 + 1);
    assert_int_equal(last_check.first_row + last_check.host.rows, many);
    finish(1);
    assert_non_null(fuseln_check_collect(&result));
    static const int64_t first[] = {0, 750, 375};
    for (int slice = 0; slice < 3; slice++) {
        calls(launch_kernel) = 0;
        assert_int_equal(check_rows(many, 0x10000000, slice, &last_check, 5 << 20), FUSELN_VERDICT_OK);
        assert_int_equal(calls(launch_kernel), 3);
        assert_int_equal(last_check.first_row, first[slice]);
        assert_ptr_equal(last_check.host.x, (char *)0x10000000 + first[slice] * 4096);
        finish(1);
        assert_non_null(fuseln_check_collect(&result));
    }
    assert_true(report().scratch_bytes - before <= 5 << 20);
}

TEST(inputs_that_the_original_writes_over_are_copied)
{
    static float rows[2][1024];
    struct fuseln_check_result result;
    const struct fuseln_call call = {.op = FUSELN_OP_FORWARD,
                                     .rows = 2,
                                     .cols = 1024,
                                     .eps = 1e-5,
                                     .x = rows,
                                     .y = rows,
                                     .mean = (void *)0x80000000,
                                     .rstd = (void *)0x90000000};
    struct fuseln_check check = {.context = fuseln_context_current(), .stream = STREAM, .owner = &result};
    config.scratch_bytes = 32 << 20;
    rows[1][5] = 3;
    check.saved = fuseln_kernel_check_save(&check, &call);
    assert_non_null(check.saved.slab);
    rows[1][5] = 4; /* by the original */
    assert_int_equal(fuseln_kernel_check(&check, &call), FUSELN_VERDICT_OK);
    assert_true(((const float *)last_check.host.x)[1024 + 5] == 3);
    finish(1);
    assert_non_null(fuseln_check_collect(&result));
    fuseln_slab_release(check.saved.slab);

    fail_calls(memcpy_device, 2, 2, 2);
    assert_null(fuseln_kernel_check_save(&check, &call).slab);
    stand_in_stream_context = 7;
    assert_null(fuseln_kernel_check_save(&check, &call).slab);
    assert_int_equal(calls(memcpy_device), 2);
    check.saved.slab = NULL;
    assert_int_equal(fuseln_kernel_check(&check, &call), FUSELN_VERDICT_ALIAS);
}

TEST(what_cannot_be_checked_says_why_and_launches_nothing)
{
    stand_in_capturing = 1;
    assert_int_equal(check_some(NULL), FUSELN_VERDICT_CAPTURE);
    assert_int_equal(calls(host_register) + calls(mem_alloc), 0);
    stand_in_capturing = 0;
    assert_int_equal(check_rows(65, 0x40000000, 0, NULL, 32 << 20), FUSELN_VERDICT_ALIAS);
    assert_int_equal(check_rows(65, 0x40000000 - 65 * 4096 + 4, 0, NULL, 32 << 20), FUSELN_VERDICT_ALIAS);
    assert_int_equal(check_rows(65, 0x10000000, 0, NULL, 0), FUSELN_VERDICT_SCRATCH);
    assert_int_equal(calls(launch_kernel) + calls(mem_alloc), 0);
    assert_int_equal(check_rows(65, 0x40000000 - 65 * 4096, 0, &last_check, 32 << 20),
                     FUSELN_VERDICT_OK); /* side by side */
    struct fuseln_check_result result;
    finish(1);
    assert_non_null(fuseln_check_collect(&result));
}

TEST(memory_that_cannot_be_registered_is_asked_for_once)
{
    fail_calls(host_register, 1, ULONG_MAX, CUDA_ERROR_NOT_SUPPORTED);
    for (int i = 0; i < 3; i++)
        assert_int_equal(check_some(NULL), FUSELN_VERDICT_REFUSED);
    assert_int_equal(calls(host_register), 1);
    assert_int_equal(calls(launch_kernel) + calls(mem_alloc), 0);
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
