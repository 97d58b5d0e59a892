/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the report goes, and what happens if a path cannot be written, processes share a path, or the disk is full.
 */
#include "report_child.h"

static void fork_children(void)
{
    launch_some();
    for (int i = 0; i < 3; i++)
        if (fork() == 0) {
            if (i > 0) /* the first launches nothing */
                launch_some();
            exit(0);
        }
    while (wait(NULL) > 0)
        ;
    launch_some();
}

TEST(a_forked_child_writes_its_own_report_once_it_launches)
{
    assert_child(fork_children, REPORT, "FUSELN_SKIP", "bad");
    assert_int_equal(occurrences(stderr_text, "\"bad\" is not known"), 1); /* children do not repeat it */
    assert_found(.reports = 3, .launches = 9 + 9 + 18);
    assert_int_equal(report_launches("r.json"), 18); /* the parent's */
    assert_int_equal(occurrences(stderr_text, "another process wrote"), 2);
}

static int gate[2];
static void wait_and_launch(void)
{
    char byte;
    check(read(gate[0], &byte, 1) == 1);
    launch_some();
    usleep(20000);
    if (getenv("KILL"))
        raise(SIGKILL); /* so that no report is written again at exit */
}

TEST(processes_with_one_path_lose_no_report)
{
    enum { PROCESSES = 6 };
    pid_t pids[PROCESSES];
    for (int round = 0; round < 20; round++) {
        bool killed = round / 2 % 2;
        folder_renew();
        if (round % 2) { /* replaces the report of an earlier run */
            assert_child(launch_some, REPORT);
            usleep(30000);
        }
        assert_int_equal(pipe(gate), 0);
        for (int i = 0; i < PROCESSES; i++)
            pids[i] = child_start(wait_and_launch,
                                  (const char *const[]){REPORT, "SLOW", "1", killed ? "KILL" : NULL, "1", NULL});
        usleep(30000);
        assert_int_equal(write(gate[1], "xxxxxx", PROCESSES), PROCESSES);
        for (int i = 0; i < PROCESSES; i++)
            assert_int_equal(child_end(pids[i]), killed ? 256 + SIGKILL : 0);
        close(gate[0]), close(gate[1]);
        assert_found(.reports = PROCESSES, .launches = PROCESSES * (killed ? 1 : 9));
        assert_int_equal(occurrences(stderr_text, "another process wrote"), PROCESSES - 1);
    }
}

TEST(a_later_run_replaces_the_report)
{
    for (int i = 0; i < 5; i++)
        assert_child(launch_some, REPORT);
    assert_int_equal(find_reports().reports, 1);
    assert_string_equal(stderr_text, "");
}

static void limit_files_and_launch(void)
{
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){.rlim_cur = 100, .rlim_max = 100});
    dup2(open("/dev/null", O_WRONLY), STDERR_FILENO); /* the limit covers that file, too */
    launch_some();
    exit(3);
}

TEST(what_cannot_be_written_goes_to_stderr_with_one_line)
{
    static const char *const rows[][2] = {{"missing/r.json", "No such file or directory"},
                                          {"", "Is a directory"},
                                          {"stderr/r.json", "Not a directory"},
                                          {"fifo", "No such device or address"},
                                          {"full", "No space left on device"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        folder_renew();
        mkfifo(in_folder("fifo"), 0600);
        assert_int_equal(symlink("/dev/full", in_folder("full")), 0);
        assert_child(launch_some, "FUSELN_REPORT", in_folder(rows[i][0]));
        if (occurrences(stderr_text, "fuseln[") != 1 || occurrences(stderr_text, rows[i][1]) != 1)
            fail_msg("%s: %s", rows[i][0], stderr_text);
        assert_int_equal(occurrences(stderr_text, "3 replaced, 5 passed on"), 1); /* nothing is lost */
        assert_int_equal(find_reports().reports, 0);
    }
    assert_int_equal(child(limit_files_and_launch, REPORT), 3); /* no SIGXFSZ */
    assert_int_equal(find_reports().strangers, 2);              /* only fifo and full */
}

TEST(a_device_or_a_link_stays_what_it_is)
{
    char text_read[8192];
    struct stat info;
    assert_child(launch_some, "FUSELN_REPORT", "/dev/null");
    assert_string_equal(stderr_text, "");
    assert_true(!stat("/dev/null", &info) && S_ISCHR(info.st_mode));
    assert_child(launch_some, "FUSELN_REPORT", "/dev/stderr");
    assert_int_equal(occurrences(stderr_text, "3 replaced"), 1);
    assert_int_equal(occurrences(stderr_text, "kernel launches"), 1); /* no snapshots there */
    assert_true(!lstat("/dev/stderr", &info) && S_ISLNK(info.st_mode));
    assert_int_equal(symlink("behind.txt", in_folder("link.json")), 0);
    fclose(fopen(in_folder("behind.txt"), "w"));
    assert_child(launch_some, "FUSELN_REPORT", in_folder("link.json"));
    assert_true(!lstat(in_folder("link.json"), &info) && S_ISLNK(info.st_mode));
    assert_non_null(strstr(read_file(in_folder("behind.txt"), text_read, sizeof text_read), "\"final\":true"));
    assert_int_equal(child(launch_and_be_killed, "FUSELN_REPORT", in_folder("link.json")), 256 + SIGKILL);
    assert_true(!lstat(in_folder("link.json"), &info) && S_ISLNK(info.st_mode));
    assert_non_null(strstr(read_file(in_folder("behind.txt"), text_read, sizeof text_read), "\"final\":false"));
}

static void *launch_in_thread(void *unused)
{
    launch_some();
    return unused;
}

static void exit_while_a_thread_writes(void)
{
    pthread_t thread;
    check(!pthread_create(&thread, NULL, launch_in_thread, NULL));
    usleep(200000);
}

TEST(a_last_report_that_is_not_written_is_reported)
{
    assert_child(exit_while_a_thread_writes, REPORT, "STALL", "5");
    assert_int_equal(occurrences(stderr_text, "the last report is not written"), 1);
}

static void launch_into_closed_pipe(void)
{
    int ends[2];
    check(!pipe(ends));
    close(ends[0]);
    dup2(ends[1], STDERR_FILENO);
    launch_some();
    exit(4);
}

TEST(a_closed_pipe_does_not_kill_the_host)
{
    assert_int_equal(child(launch_into_closed_pipe, "FUSELN_REPORT", "stderr"), 4);
}

static void launch_and_move(void)
{
    count_launch();
    setenv("WHERE", "elsewhere", 1);
    check(!chdir("/"));
    launch_some();
}

static void start_in_folder(void)
{
    check(!chdir(folder));
    launch_and_move();
}

TEST(the_path_is_fixed_at_the_first_launch)
{
    assert_child(start_in_folder, "FUSELN_REPORT", "%q{WHERE}.json", "WHERE", "here");
    assert_string_equal(stderr_text, "");
    assert_int_equal(access(in_folder("here.json"), F_OK), 0);
}

static void go_down(bool make)
{
    char name[200] = "";
    memset(name, 'd', sizeof name - 1);
    check(!chdir(folder));
    for (int i = 0; i < 8; i++)
        check((!make || !mkdir(name, 0700)) && !chdir(name));
}

static void start_deep_down(void)
{
    go_down(true);
    fuseln_config_get(); /* as a look-up or registration does */
    check(!chdir("/"));
    launch_some();
    fuseln_report_write();
    go_down(false);
    check(!access("deep.json", F_OK));
}

TEST(a_path_starts_in_the_folder_that_the_program_started_in)
{
    assert_child(start_deep_down, "FUSELN_REPORT", "deep.json");
    assert_string_equal(stderr_text, "");
}

int main(void)
{
    return run_registered_tests();
}
