/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines written to a program's own descriptors and pipes: what is a stream and what is data, paths that name an open
 * descriptor, readers that stall, pending signals, cancellation.
 */
#include "report_child.h"

#include <sys/mount.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/log.h"

/* ---- what descriptor 2 is ---- */
static int put_at_2(int fd)
{
    check(fd >= 0 && dup2(fd, 2) == 2);
    if (fd != 2)
        close(fd);
    return 2;
}

static void warn_beside_data(void)
{
    const int flags = atoi(getenv("FLAGS"));
    fuseln_config_get();
    close(2);
    check(open(in_folder("data"), flags | O_CREAT, 0600) == 2);
    check(write(2, "43 bytes", 8) == 8);
    pr_warn("not into data");
    launch_some();
    fuseln_report_write();
    _exit(0);
}

TEST(data_at_descriptor_2_is_left_alone)
{
    static const int flags[] = {O_RDWR, O_WRONLY | O_TRUNC, O_WRONLY | O_APPEND | O_CLOEXEC};
    static const char *const reports[] = {"stderr", "/dev/stderr", "/proc/self/fd/2", ""};
    char text[4096];
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        for (size_t j = 0; j < sizeof reports / sizeof *reports; j++) {
            unlink(in_folder("data"));
            const char *value = format("%d", flags[i]);
            assert_child(warn_beside_data, "FUSELN_REPORT", reports[j], "FLAGS", value);
            assert_string_equal(read_file(in_folder("data"), text, sizeof text), "43 bytes");
        }
}

/* The file is there when fuseln first looks, but an inherited descriptor would survive exec. */
static void warn_beside_earlier_data(void)
{
    close(2);
    check(open(in_folder("data"), O_RDWR | O_CREAT | O_CLOEXEC, 0600) == 2);
    check(write(2, "mine", 4) == 4);
    pr_warn("not into data");
}

TEST(data_that_exec_would_close_is_left_alone)
{
    char text[256];
    assert_child(warn_beside_earlier_data, "FUSELN_REPORT", "stderr");
    assert_string_equal(read_file(in_folder("data"), text, sizeof text), "mine");
}

static void warn_beside_a_connection(void)
{
    int ends[2];
    char text[8];
    fuseln_config_get();
    if (getenv("SOCKET"))
        check(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    else
        check(!pipe(ends));
    put_at_2(ends[1]);
    pr_warn("not into a connection");
    check(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 && read(ends[0], text, sizeof text) < 0);
}

TEST(a_connection_at_descriptor_2_is_left_alone)
{
    assert_child(warn_beside_a_connection, "SOCKET", "1");
    assert_child(warn_beside_a_connection, "FUSELN_LOG", "warn");
}

static void warn_into_a_log_of_the_program(void)
{
    fuseln_config_get();
    const int saved = dup(2);
    put_at_2(open(in_folder("log"), O_WRONLY | O_CREAT | O_APPEND, 0600));
    pr_warn("one");
    const int both = open(in_folder("both"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    check(dup2(both, 1) == 1);
    put_at_2(both);
    pr_warn("two");
    put_at_2(open("/dev/null", O_WRONLY));
    pr_warn("three");
    put_at_2(saved);
    pr_warn("four");
}

TEST(a_stream_that_the_program_redirects_is_followed)
{
    char text[4096];
    assert_child(warn_into_a_log_of_the_program, "FUSELN_LOG", "warn");
    assert_int_equal(occurrences(read_file(in_folder("log"), text, sizeof text), "one\n"), 1);
    assert_int_equal(occurrences(read_file(in_folder("both"), text, sizeof text), "two\n"), 1);
    assert_int_equal(occurrences(stderr_text, "four\n"), 1);
    assert_int_equal(occurrences(stderr_text, "\n"), 1);
}

TEST_IN_CHILD(an_inherited_stream_that_was_restored_is_a_stream, "FUSELN_LOG", "warn")
{
    int ends[2], status;
    char text[256] = "";
    check(!pipe(ends));
    put_at_2(ends[1]);
    if (fork() == 0) {
        const int saved = dup(2);
        put_at_2(open(in_folder("data"), O_RDWR | O_CREAT, 0600));
        fuseln_config_get(); /* the first look */
        check(dup2(saved, 2) == 2);
        pr_warn("back");
        _exit(0);
    }
    check(wait(&status) > 0 && status == 0 && !fcntl(ends[0], F_SETFL, O_NONBLOCK));
    check(read(ends[0], text, sizeof text - 1) > 0 && strstr(text, "back\n"));
}

/* As in (program; echo more) >log 2>&1. */
static void log_and_write_more(void)
{
    put_at_2(open(in_folder("log"), O_WRONLY | O_CREAT | O_TRUNC, 0600));
    const bool by_pid = strstr(getenv("NAME"), "%d") != NULL;
    setenv("FUSELN_LOG", by_pid ? format("warn:/proc/%d/fd/2", (int)getpid()) : format("warn:%s", getenv("NAME")), 1);
    pr_warn("first");
    check(write(2, "more\n", 5) == 5);
    pr_warn("second");
    check(write(2, "most\n", 5) == 5);
}

TEST(a_path_can_name_an_open_descriptor)
{
    char text[4096], names[2][600];
    snprintf(names[0], sizeof names[0], "%s/link", folder);
    snprintf(names[1], sizeof names[1], "%s/fds/2", folder);
    const char *const all[] = {"/dev/stderr", "/dev/fd/2", "/proc/self/fd/2", "/proc/%d/fd/2", names[0], names[1]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        folder_renew();
        memcpy(names[0], folder, strlen(folder)), memcpy(names[1], folder, strlen(folder));
        assert_int_equal(symlink("second", in_folder("link")), 0); /* a link to a link */
        assert_int_equal(symlink("/dev/stderr", in_folder("second")), 0);
        assert_int_equal(symlink("/proc/self/fd", in_folder("fds")), 0);
        assert_child(log_and_write_more, "NAME", all[i]);
        read_file(in_folder("log"), text, sizeof text);
        if (occurrences(text, "\n") != 4 || !strstr(text, "first\nmore\n") || !strstr(text, "second\nmost\n"))
            fail_msg("%s: %s", all[i], text);
    }
}

TEST(a_link_that_is_too_long_names_no_descriptor)
{
    char target[300] = "/dev/";
    while (strlen(target) < 251)
        strcat(target, "./");
    strcat(target, "fd/22"); /* of 256 bytes: 255 of them name another descriptor */
    assert_int_equal(symlink(target, in_folder("link")), 0);
    assert_int_equal(fuseln_file_number(in_folder("link")), -1);
}

static void use_another_descriptor(void)
{
    char text[256];
    const int fd = open(in_folder("mine"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    setenv("FUSELN_LOG", format("warn:/dev/fd/%d", fd), 1);
    pr_warn("one");
    check(write(fd, "more\n", 5) == 5);
    check(occurrences(read_file(in_folder("mine"), text, sizeof text), "one\nmore\n") == 1);
    close(fd);
    check(open(in_folder("data"), O_RDWR | O_CREAT, 0600) == fd);
    pr_warn("two");
    check(!*read_file(in_folder("data"), text, sizeof text));
}

TEST(a_named_descriptor_that_became_another_file_is_left_alone)
{
    assert_child(use_another_descriptor, "RANK", "0");
    assert_int_equal(occurrences(stderr_text, "two\n"), 1);
}

/* ---- files with the same inode number on two file systems ---- */
static void log_beside_a_twin(void)
{
    char text[256];
    struct stat a, b;
    const char *log = in_folder("a/log"), *twin = in_folder("b/data");
    mkdir(in_folder("a"), 0700), mkdir(in_folder("b"), 0700);
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
        _exit(5); /* not allowed here */
    check(!mount("none", in_folder("a"), "tmpfs", 0, NULL) && !mount("none", in_folder("b"), "tmpfs", 0, NULL));
    pr_warn("one");
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    for (int fd = 3; fd < 64; fd++)
        check(open(twin, O_RDWR | O_CREAT | O_APPEND, 0600) == fd);
    check(!stat(log, &a) && !stat(twin, &b) && a.st_ino == b.st_ino && a.st_dev != b.st_dev);
    pr_warn("two");
    check(!*read_file(twin, text, sizeof text));
    check(occurrences(read_file(log, text, sizeof text), "\n") == 2);
}

TEST(the_same_inode_number_elsewhere_is_not_mistaken_for_the_log)
{
    struct fuseln_descriptor descriptor = {0};
    const int status = child(log_beside_a_twin, "FUSELN_LOG", format("warn:%s/a/log", folder));
    assert_true(status == 0 || status == 5);
    const int fd = open(in_folder("file"), O_RDWR | O_CREAT, 0600);
    fuseln_descriptor_borrow(&descriptor, fd);
    assert_int_equal(fuseln_descriptor_get(&descriptor), fd);
    descriptor.device++;
    assert_true(fuseln_descriptor_get(&descriptor) < 0);
    fuseln_descriptor_close(&descriptor);
    assert_int_equal(close(fd), 0); /* it was not ours to close */
}

/* ---- readers that stall ---- */
static double now(void)
{
    struct timespec time;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static char piped[4 << 20];
/* Everything that is in the pipe now. */
static char *drain(int fd)
{
    size_t length = 0;
    for (ssize_t part; (part = read(fd, piped + length, sizeof piped - 1 - length)) > 0;)
        length += (size_t)part;
    piped[length] = '\0';
    return piped;
}

static void trace_to_a_stalled_reader(void)
{
    enum { LINES = 20000 };
    const int fd = open(in_folder("fifo"), O_RDONLY | O_NONBLOCK);
    alarm(20);
    const double start = now();
    for (int i = 0; i < LINES; i++)
        trace_one(1);
    check(now() - start < 5); /* takes 0.1 s; a wait for each lost line would take hours */
    size_t there = occurrences(drain(fd), "\"rows\":1");
    check(there > 1000 && there < LINES && !strstr(piped, "\"lost\""));
    trace_one(1);
    check(occurrences(drain(fd), "\n") == 2);
    json_auto_t *line = json_loads(piped, JSON_DISABLE_EOF_CHECK, NULL);
    check(number(line, "lost") == (json_int_t)(LINES - there));
    check(occurrences(piped, "\"rows\":1") == 1);
}

TEST(a_stalled_reader_of_the_trace_loses_lines_but_costs_no_time)
{
    mkfifo(in_folder("fifo"), 0600);
    assert_child(trace_to_a_stalled_reader, "FUSELN_TRACE", in_folder("fifo"));
    assert_int_equal(occurrences(stderr_text, "nobody reads it"), 1);
    assert_int_equal(occurrences(stderr_text, "\n"), 1);
}

TEST_IN_CHILD(a_stalled_reader_costs_no_time_where_no_file_may_be_opened, "FUSELN_LOG", "debug")
{
    int ends[2];
    check(!pipe(ends));
    put_at_2(ends[1]);
    pr_debug("the first line");
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){0}); /* poll fails then */
    for (int i = 0; i < 10000; i++)
        pr_debug("line %d", i);
    _exit(0);
}

TEST_IN_CHILD(a_stalled_reader_of_stderr_loses_lines_but_costs_no_time, "FUSELN_LOG", "debug")
{
    int ends[2];
    alarm(20);
    check(!pipe(ends) && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    put_at_2(ends[1]); /* a write to it would block */
    for (int i = 0; i < 10000; i++)
        pr_debug("line %d", i);
    const size_t there = occurrences(drain(ends[0]), "line ");
    check(there > 100 && there < 10000);
    pr_debug("line again");
    drain(ends[0]);
    check(strtoul(piped + strlen("fuseln: "), NULL, 10) == 10000 - there && strstr(piped, "lost here\nfuseln["));
}

static bool takes_nothing;

ssize_t write(int fd, const void *bytes, size_t size)
{
    return takes_nothing ? 0 : syscall(SYS_write, fd, bytes, size);
}

TEST(a_file_that_takes_nothing_is_not_written_to_for_ever)
{
    takes_nothing = true;
    const int error = fuseln_write(STDERR_FILENO, "x", 1, FUSELN_WRITE_FILE);
    takes_nothing = false;
    assert_int_equal(error, -EIO);
}

/* ---- signals and cancellation ---- */
static void log_with_a_pending_signal(void)
{
    int ends[2];
    const bool broken_pipe = getenv("PIPE");
    const int pending_number = broken_pipe && !getenv("SAME") ? SIGXFSZ : SIGPIPE;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, pending_number);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(pending_number);
    if (broken_pipe) {
        check(!pipe(ends) && !close(ends[0]));
        put_at_2(ends[1]);
    } else {
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){.rlim_cur = 4, .rlim_max = 4});
        put_at_2(open(in_folder("limited"), O_WRONLY | O_CREAT | O_APPEND, 0600));
    }
    for (int i = 0; i < 3; i++)
        pr_debug("which raises a signal");
    sigpending(&set);
    _exit(sigismember(&set, pending_number) ? 3 : 4);
}

TEST(only_a_signal_of_ours_is_discarded)
{
    assert_int_equal(child(log_with_a_pending_signal, "FUSELN_LOG", "debug"), 3);
    assert_int_equal(child(log_with_a_pending_signal, "FUSELN_LOG", "debug", "PIPE", "1"), 3);
    assert_int_equal(child(log_with_a_pending_signal, "FUSELN_LOG", "debug", "PIPE", "1", "SAME", "1"), 3);
}

static _Atomic int reached;
static void *launch_cancelled(void *unused)
{
    pthread_cancel(pthread_self());
    launch(&forward, 1024, 1, FUSELN_VERDICT_OK);
    reached = 1;
    trace_one(1);
    reached = 2;
    pr_debug("line");
    reached = 3;
    return unused;
}

TEST_IN_CHILD(a_cancelled_thread_leaves_no_launch_half_done, REPORT, "FUSELN_TRACE", in_folder("trace"), "FUSELN_LOG",
              format("debug:%s/log", folder))
{
    run_thread(launch_cancelled, NULL);
    check(reached == 3);
    clock_ms = 5000;
    launch(&forward, 1024, 1, FUSELN_VERDICT_OK); /* the report can be written again */
    check(report_number("r.json", "totals.substituted") == 2);
}

static sigjmp_buf away;
static void jump(int signal)
{
    (void)signal;
    siglongjmp(away, 1);
}

static void jump_out_of_launches(void)
{
    static volatile int jumps;
    signal(SIGALRM, jump);
    if (sigsetjmp(away, 1))
        jumps++;
    while (jumps < 300) {
        setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, 200}}, NULL);
        for (int i = 0; i < 3000; i++) {
            clock_ms += 1000; /* each launch writes a report */
            launch(&forward, 1024, 1, FUSELN_VERDICT_OK);
            trace_one(1);
        }
    }
    signal(SIGALRM, SIG_IGN);
    clock_ms += 40000;
    launch(&gradient, 7, 7, FUSELN_VERDICT_CAPTURE);
    check(report_number("r.json", "totals.reasons.capture") == 1);
}

TEST(reports_continue_after_a_jump_out_of_a_handler)
{
    assert_child(jump_out_of_launches, REPORT, "FUSELN_REPORT_EVERY", "1", "FUSELN_TRACE", "/dev/null");
    assert_true(report_is_final("r.json"));
}

int main(void)
{
    return run_registered_tests();
}
