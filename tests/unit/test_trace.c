/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace: one line for each substitution, from any thread, in each process's own file; paths that cannot be written.
 */
#include "report_child.h"

static void *trace_many(void *number)
{
    for (int64_t i = 0; i < 500; i++)
        trace_one((intptr_t)number * 500 + i);
    return NULL;
}

static void trace_in_threads_and_child(void)
{
    count_launch();
    run_threads(8, trace_many);
    if (fork() == 0) {
        trace_one(4000);
        exit(0);
    }
    wait(NULL);
}

TEST(the_trace_has_one_line_for_each_substitution)
{
    char line[1024];
    bool seen[4001] = {0};
    assert_child(trace_in_threads_and_child, "FUSELN_TRACE", in_folder("t.%p"));
    assert_string_equal(stderr_text, "");
    snprintf(line, sizeof line, "cd %s && cat t.%d && ls t.* | wc -l | grep -qx 2 && cat t.*", folder, (int)child_pid);
    FILE *lines = popen(line, "r");
    int count = 0;
    while (fgets(line, sizeof line, lines)) {
        json_auto_t *event = json_loads(line, 0, NULL);
        assert_non_null(event);
        assert_true(number(event, "rows") < 4000 ? number(event, "pid") == child_pid
                                                 : number(event, "pid") != child_pid);
        seen[number(event, "rows")] = true;
        assert_true(number(event, "tid") > 0 && json_real_value(value(event, "time")) > 1.6e9);
        assert_string_equal(text(event, "target"), forward.name);
        assert_string_equal(text(event, "kernel"), "our_kernel");
        assert_string_equal(text(event, "stream"), "0xabc");
        assert_int_equal(number(event, "cols"), 12);
        assert_int_equal(number(event, "grid.2"), 3);
        assert_int_equal(number(event, "block.0"), 32);
        count++;
    }
    pclose(lines);
    assert_int_equal(count, 2 * 4000 + 1);
    assert_null(memchr(seen, 0, sizeof seen));
}

static void trace_twice(void)
{
    trace_one(1);
    trace_one(2);
}

TEST(a_trace_that_cannot_be_written_is_reported_once)
{
    assert_child(trace_twice, "FUSELN_TRACE", in_folder("missing/t"));
    assert_int_equal(occurrences(stderr_text, "No such file or directory"), 1);
    assert_int_equal(occurrences(stderr_text, "\n"), 1);
    folder_renew();
    assert_child(trace_twice, "FUSELN_TRACE", "/dev/full");
    assert_int_equal(occurrences(stderr_text, "No space left on device"), 1);
    folder_renew();
    assert_child(trace_twice, "FUSELN_TRACE", "stderr");
    assert_int_equal(occurrences(stderr_text, "our_kernel"), 2);
}

int main(void)
{
    return run_registered_tests();
}
