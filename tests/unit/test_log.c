/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: levels, one line a call, errno, repeated warnings, a file, a file that cannot be written, fork, a closed
 * pipe, a descriptor that the host closed and reused.
 */
#include "child.h"

#include <errno.h>

#include "base/log.h"

static void log_all(void)
{
    fuseln_log(FUSELN_LOG_ERROR, "e %d", 1);
    pr_warn("w");
    pr_info("i");
    pr_debug("d");
}

TEST(the_level_decides_what_is_logged)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    for (size_t i = 0; i < 4; i++) {
        folder_renew();
        assert_child(log_all, "FUSELN_LOG", levels[i]);
        assert_int_equal(occurrences(stderr_text, "\n"), i + 1);
        assert_int_equal(occurrences(stderr_text, "fuseln["), i + 1);
    }
    assert_non_null(strstr(stderr_text, "]: e 1\n"));
}

static void log_odd(void)
{
    static char text[5000];
    memset(text, 'x', sizeof text - 1);
    errno = 77;
    pr_warn("a\nb\x1b[31m\xfc\x80\x80\x80"); /* FC begins no UTF-8 sequence */
    pr_warn("%s", text);
    check(errno == 77);
}

TEST(a_call_writes_one_clean_line_and_preserves_errno)
{
    assert_child(log_odd, "FUSELN_LOG", "warn");
    assert_non_null(strstr(stderr_text, "]: a?b?[31m????\n"));
    assert_int_equal(occurrences(stderr_text, "\n"), 2);
    assert_int_equal(stderr_text[strlen(stderr_text) - 1], '\n');
}

static void log_many(void)
{
    errno = 77;
    for (int i = 0; i < 5; i++) {
        pr_warn("same");
        pr_debug("each");
        pr_warn("different %d", i);
        check(errno == 77);
    }
}

TEST(an_identical_warning_is_logged_once)
{
    assert_child(log_many, "FUSELN_LOG", "debug");
    assert_int_equal(occurrences(stderr_text, "same"), 1);
    assert_int_equal(occurrences(stderr_text, "each"), 5);
    assert_int_equal(occurrences(stderr_text, "different"), 5);
}

static void log_and_fork(void)
{
    count_launch(); /* from here on forks are handled */
    pr_warn("parent");
    if (fork() == 0) {
        pr_warn("child");
        _exit(0);
    }
    wait(NULL);
    pr_warn("parent again");
}

TEST(parent_and_child_log_to_files_of_their_own)
{
    char text[4096];
    assert_child(log_and_fork, "FUSELN_LOG", format("warn:%s/log.%%p", folder));
    assert_string_equal(stderr_text, "");
    read_file(format("%s/log.%d", folder, (int)child_pid), text, sizeof text);
    assert_non_null(strstr(text, "parent again\n"));
    assert_null(strstr(text, "child"));
    FILE *all = popen(format("cat %s/log.*", folder), "r");
    assert_int_equal(text[fread(text, 1, sizeof text - 1, all)] = '\0', 0);
    pclose(all);
    assert_int_equal(occurrences(text, "child\n"), 1);
}

TEST(a_log_that_cannot_be_written_goes_to_stderr)
{
    assert_child(log_many, "FUSELN_LOG", format("warn:%s/missing/log", folder));
    assert_int_equal(occurrences(stderr_text, "No such file or directory"), 1);
    assert_int_equal(occurrences(stderr_text, "same"), 1);
    assert_int_equal(occurrences(stderr_text, "different"), 5);
}

/* In a language of long words. */
char *strerror(int number)
{
    static char text[1024];
    return getenv("LONG") ? memset(text, 'e', sizeof text - 1) : (char *)(uintptr_t)strerrordesc_np(number);
}

TEST(why_a_log_cannot_be_written_is_one_clean_line_of_any_language)
{
    assert_child(log_many, "FUSELN_LOG", "warn:/missing/log", "LONG", "1");
    assert_non_null(strstr(stderr_text, "/missing/log cannot be written: eeee"));
    assert_int_equal(occurrences(stderr_text, "\n"), 7);
    folder_renew();
    assert_child(log_many, "FUSELN_LOG", "warn:/missing/\033[2J\n/log");
    assert_non_null(strstr(stderr_text, "FUSELN_LOG=:/missing/?[2J?/log cannot be written: No such file"));
}

static void log_into_closed_pipe(void)
{
    int ends[2];
    sigset_t pending;
    check(!pipe(ends));
    close(ends[0]);
    dup2(ends[1], STDERR_FILENO);
    pr_warn("nobody reads");
    sigpending(&pending);
    check(!sigismember(&pending, SIGPIPE));
    _exit(3);
}

TEST(a_closed_pipe_does_not_kill_the_host)
{
    assert_int_equal(child(log_into_closed_pipe, "FUSELN_LOG", "warn"), 3);
}

/* Like a daemon: closes every descriptor above 2, then opens files of its own. */
static void log_after_descriptors_were_reused(void)
{
    pr_warn("one");
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    for (int fd = 3; fd < 64; fd++)
        check(open(in_folder("precious"), O_RDWR | O_CREAT, 0600) == fd);
    pr_warn("two");
}

TEST(a_reused_descriptor_is_not_written_to)
{
    char text[512];
    assert_child(log_after_descriptors_were_reused, "FUSELN_LOG", format("warn:%s/log", folder));
    assert_string_equal(read_file(in_folder("precious"), text, sizeof text), "");
    read_file(in_folder("log"), text, sizeof text);
    assert_non_null(strstr(text, "two\n"));
    assert_int_equal(occurrences(text, "\n"), 2);
}

/* A program that runs without stdin, stdout and stderr must not find our files under their numbers. */
static void log_without_descriptors(void)
{
    close(0), close(1), close(2);
    pr_warn("one");
    _exit(fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0 && fcntl(2, F_GETFD) < 0 ? 0 : 1);
}

TEST(the_log_never_takes_a_standard_descriptor)
{
    assert_child(log_without_descriptors, "FUSELN_LOG", format("warn:%s/log", folder));
    assert_non_null(strstr(read_file(in_folder("log"), stderr_text, sizeof stderr_text), "one\n"));
}

int main(void)
{
    return run_registered_tests();
}
