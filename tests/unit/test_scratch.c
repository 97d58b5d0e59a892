/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slabs in stream capture (kernels/host/scratch.c): whose they are, as long as the graph lives and after it. In each
 * test's context DX and the reduction of DGAMMA have run.
 */
#include "stand_in_context.h"

#include <sched.h>

enum { CAPTURE = 100 };

static struct fuseln_plan plans[2]; /* DX, DGAMMA */

static void run(int which)
{
    struct fuseln_call call = call_of(which ? FUSELN_OP_DGAMMA : FUSELN_OP_DX, FUSELN_DIRECT_ROWS * SMS + 1);
    struct fuseln_context *context = fuseln_context_current();
    assert_int_equal(fuseln_plan_make(&call, fuseln_context_device(context), &plans[which]), FUSELN_VERDICT_OK);
    assert_int_equal(fuseln_kernel_launch(&(struct fuseln_job){context, &plans[which], NULL, NULL}, &call),
                     FUSELN_VERDICT_OK);
}

static int new_context(void **state)
{
    (void)state;
    enter_new_context();
    config.scratch_bytes = (size_t)1 << 40;
    run(0);
    run(1);
    memset(stand_in_counts, 0, sizeof stand_in_counts);
    return 0;
}

static enum fuseln_verdict acquire(int which, CUstream stream, struct fuseln_slab **ret_slab)
{
    return fuseln_slab_acquire(&(struct fuseln_job){fuseln_context_current(), &plans[which], stream, NULL}, ret_slab);
}

/* The slab of a pair that was launched here and now. */
static struct fuseln_slab *pair(int capture, CUstream stream)
{
    struct fuseln_slab *slab;
    stand_in_capturing = capture;
    assert_int_equal(acquire(0, stream, &slab), FUSELN_VERDICT_OK);
    fuseln_slab_release(slab);
    return slab;
}

TEST(all_pairs_of_a_captured_stream_share_one_slab)
{
    struct fuseln_slab *first = pair(CAPTURE, STREAM);
    for (int i = 0; i < 23; i++)
        assert_ptr_equal(pair(CAPTURE, STREAM), first);
    assert_int_equal(calls(mem_alloc), 1);
    assert_int_equal(calls(graph_retain), 1);
    assert_ptr_not_equal(pair(CAPTURE, OTHER_STREAM), first);
    assert_ptr_not_equal(pair(CAPTURE + 1, STREAM), first);
    assert_ptr_not_equal(pair(0, STREAM), first);
    plans[0].scratch_bytes *= 2; /* a larger one beside it */
    assert_ptr_not_equal(pair(CAPTURE, STREAM), first);
    assert_int_equal(calls(mem_alloc), 5);
    assert_int_equal(calls(graph_retain), 4);
}

TEST(a_slab_whose_graph_is_gone_is_anybodys_in_its_context)
{
    struct fuseln_slab *first = pair(CAPTURE, STREAM);
    stand_in_destroy_graphs();
    assert_ptr_equal(pair(CAPTURE + 1, OTHER_STREAM), first);
    assert_ptr_not_equal(pair(CAPTURE + 2, STREAM), first);
    stand_in_destroy_graphs();
    assert_ptr_equal(pair(0, STREAM), first);
    stand_in_destroy_graphs(); /* it is a stream's now */
    assert_ptr_equal(pair(0, STREAM), first);
    pair(CAPTURE + 3, STREAM);
    assert_int_equal(calls(mem_alloc), 2);
    new_context(NULL); /* the old one is gone, and only then the graph */
    stand_in_destroy_graphs();
    pair(CAPTURE, STREAM);
    assert_int_equal(calls(mem_alloc), 1);
}

TEST(in_capture_only_a_pair_whose_kernels_ran_takes_memory)
{
    struct fuseln_slab *slab;
    stand_in_capturing = CAPTURE;
    assert_int_equal(acquire(1, STREAM, &slab), FUSELN_VERDICT_CAPTURE);
    for (int which = 0; which < 2; which++) {
        const struct fuseln_variant *variant = which ? plans[0].reduction : plans[0].kernel[0];
        _Atomic uintptr_t *slot = fuseln_function_slot(fuseln_context_current(), variant);
        const uintptr_t known = atomic_exchange(slot, 0);
        assert_int_equal(acquire(0, STREAM, &slab), FUSELN_VERDICT_CAPTURE);
        atomic_store(slot, known);
    }
    assert_int_equal(calls(mem_alloc) + calls(object_create) + calls(capture_info), 0);
    pair(CAPTURE, STREAM);
}

TEST(any_error_means_none_and_what_was_taken_is_used_later)
{
    struct fuseln_slab *slab;
    stand_in_capturing = CAPTURE;
    fail_calls(capture_info, 1, ULONG_MAX, 1);
    assert_int_equal(acquire(0, STREAM, &slab), FUSELN_VERDICT_CAPTURE);
    fail_calls(exchange_capture, 1, ULONG_MAX, 1);
    assert_int_equal(acquire(0, STREAM, &slab), FUSELN_VERDICT_SCRATCH);
    assert_int_equal(calls(mem_alloc), 0);
    fuseln_context_current()->scratch_pause = 0;
    fail_calls(object_create, 1, 1, 1);
    assert_int_equal(acquire(0, STREAM, &slab), FUSELN_VERDICT_CAPTURE);
    fail_calls(graph_retain, 1, 1, 1);
    assert_int_equal(acquire(0, STREAM, &slab), FUSELN_VERDICT_CAPTURE);
    assert_int_equal(calls(object_release), 1);
    pair(CAPTURE, STREAM);
    assert_int_equal(calls(mem_alloc), 1);
    fail_calls(mem_alloc, 2, 2, 1);
    for (int i = 0; i < 100; i++) /* asked once */
        assert_int_equal(acquire(0, OTHER_STREAM, &slab), FUSELN_VERDICT_SCRATCH);
    assert_int_equal(calls(mem_alloc), 2);
    fail_calls(stream_get_id, 1, ULONG_MAX, 1);
    assert_int_equal(acquire(0, STREAM, &slab), FUSELN_VERDICT_CONTEXT);
}

TEST(a_driver_without_user_objects_has_no_pairs_in_capture)
{
    struct fuseln_slab *slab;
    const struct fuseln_driver *driver = fuseln_driver_known();
    struct fuseln_driver old = *driver;
    old.object_create = NULL;
    atomic_store(&fuseln_driver_published, &old);
    stand_in_capturing = CAPTURE;
    assert_int_equal(acquire(0, STREAM, &slab), FUSELN_VERDICT_CAPTURE);
    atomic_store(&fuseln_driver_published, driver);
    pair(CAPTURE, STREAM);
}

TEST(an_order_that_the_program_sets_parts_the_pairs_of_a_stream)
{
    struct fuseln_slab *first = pair(CAPTURE, STREAM), *outside = pair(0, STREAM);
    fuseln_scratch_unordered();
    struct fuseln_slab *second = pair(CAPTURE, STREAM);
    assert_ptr_not_equal(second, first);
    assert_ptr_equal(pair(CAPTURE, STREAM), second);
    assert_ptr_equal(pair(0, STREAM), outside);
}

TEST(what_is_refused_is_counted_once_as_long_as_its_graph_lives)
{
    struct fuseln_slab *slab;
    const size_t held = config.scratch_bytes = report().scratch_bytes;
    size_t wanted = 0;
    assert_int_equal(report().scratch_wanted, 0);
    for (int capture = CAPTURE; capture < CAPTURE + 40; capture += 2) {
        for (int i = 0; i < 4; i++) {
            stand_in_capturing = capture + i / 2;
            assert_int_equal(acquire(0, STREAM, &slab), FUSELN_VERDICT_SCRATCH);
        }
        if (wanted)
            assert_int_equal(report().scratch_wanted, wanted);
        wanted = report().scratch_wanted;
        stand_in_destroy_graphs();
    }
    config.scratch_bytes = wanted;
    pair(CAPTURE + 40, STREAM);
    pair(CAPTURE + 41, STREAM);
    assert_int_equal(report().scratch_bytes, wanted);
    assert_true(wanted > held);
}

static atomic_int made, destroyed;
static void *destroy(void *count)
{
    while (atomic_load(&destroyed) != (int)(uintptr_t)count) {
        const int before = atomic_load(&made);
        stand_in_destroy_graphs();
        atomic_store(&destroyed, before);
    }
    return NULL;
}

TEST(a_destructor_may_run_during_a_launch)
{
    enum { COUNT = 1000, AT_ONCE = 4 };
    pthread_t thread;
    pthread_create(&thread, NULL, destroy, (void *)(uintptr_t)COUNT);
    for (int i = 0; i < COUNT; i++) {
        pair(CAPTURE + i, i % 2 ? STREAM : OTHER_STREAM);
        atomic_fetch_add(&made, 1);
        pair(0, STREAM);
        while (atomic_load(&made) - atomic_load(&destroyed) > AT_ONCE)
            sched_yield();
    }
    pthread_join(thread, NULL);
    assert_true(calls(mem_alloc) <= AT_ONCE + 2);
}

TEST(a_full_table_means_none)
{
    struct fuseln_slab *slab;
    int captures = 0;
    do
        stand_in_capturing = CAPTURE + captures++;
    while (acquire(0, STREAM, &slab) == FUSELN_VERDICT_OK);
    assert_true(captures > 100);
    config.scratch_bytes = 0; /* what is refused has no room to be counted either */
    for (int i = 0; i < 1000; i++, stand_in_capturing++)
        assert_int_equal(acquire(0, STREAM, &slab), FUSELN_VERDICT_SCRATCH);
    fuseln_scratch_after_fork(); /* for the next test */
}

TEST(after_fork_all_are_forgotten)
{
    pair(CAPTURE, STREAM);
    fuseln_context_after_fork();
    fuseln_scratch_after_fork();
    struct fuseln_device_report reports[1];
    assert_int_equal(fuseln_device_reports(reports, 1), 0);
    stand_in_destroy_graphs();
    new_context(NULL);
    pair(CAPTURE, STREAM);
    assert_int_equal(calls(mem_alloc), 1);
}

TEST(a_capture_into_a_graph_ends_pairs_in_captures)
{
    struct fuseln_slab *slab;
    fuseln_scratch_into_graph();
    stand_in_capturing = CAPTURE;
    assert_int_equal(acquire(0, STREAM, &slab), FUSELN_VERDICT_CAPTURE);
    pair(0, STREAM);
}

int main(void)
{
    return run_registered_tests();
}
