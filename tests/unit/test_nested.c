/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A launch that comes out of the original of another: not counted, not looked up, but known to what is pending.
 */
#include "../../hooks/launch.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

_Thread_local struct fuseln_thread_counter fuseln_thread_counter __attribute__((tls_model("initial-exec")));
atomic_uint fuseln_pairing_count;
static void *invalidated; /* the stream of the last launch that pending sums were told of */

void fuseln_pairing_foreign_launch(void *stream)
{
    invalidated = stream;
}
void fuseln_pipeline_run(const struct fuseln_launch *launch, struct fuseln_pass *ret_pass)
{
    (void)launch, (void)ret_pass;
    fail();
}
void fuseln_pipeline_end(const struct fuseln_pass *pass, bool launched)
{
    (void)pass, (void)launched;
}
void fuseln_process_join(void)
{
    fuseln_thread_counter.joined = true;
}
void fuseln_report_tick_wanted(bool substituted)
{
    (void)substituted;
}
void fuseln_trace(const struct fuseln_trace_event *event)
{
    (void)event;
}

static void *const OUTER = (void *)0x10, *const INNER = (void *)0x20;

static int original_inner(const struct fuseln_hooked *hooked)
{
    (void)hooked;
    assert_true(fuseln_thread_counter.nested);
    return 7;
}

static int original_outer(const struct fuseln_hooked *hooked)
{
    assert_ptr_equal(invalidated, OUTER);
    struct fuseln_hooked inner = {.launch = {.stream = INNER, .boundary = FUSELN_BOUNDARY_DRIVER},
                                  .function = hooked->function,
                                  .original = original_inner};
    return fuseln_launch(&inner);
}

static void a_nested_launch_invalidates_what_is_pending(void **state)
{
    (void)state;
    struct fuseln_hooked outer = {.launch = {.stream = OUTER, .boundary = FUSELN_BOUNDARY_DRIVER},
                                  .function = &invalidated,
                                  .original = original_outer};
    atomic_store(&fuseln_pairing_count, 1);
    assert_int_equal(fuseln_launch(&outer), 7);
    assert_ptr_equal(invalidated, INNER);
    assert_false(fuseln_thread_counter.nested);
    assert_int_equal(fuseln_thread_counter.launches[FUSELN_BOUNDARY_DRIVER], 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(a_nested_launch_invalidates_what_is_pending)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
