/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which process a report belongs to: wrong clocks, processes with the same pid, processes that exec, fork or clone,
 * folders where others plant names, refused system calls.
 */
#include "report_child.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>

/* NO_LOCKS: like a network file system without locks. */
int flock(int fd, int operation)
{
    if (getenv("NO_LOCKS"))
        return errno = ENOLCK, -1;
    return (int)syscall(SYS_flock, fd, operation);
}

/* KILL: dies in the middle of writing its report. */
ssize_t write(int fd, const void *bytes, size_t size)
{
    if (getenv("KILL") && fd > 2) {
        syscall(SYS_write, fd, bytes, size / 2);
        raise(SIGKILL);
    }
    return syscall(SYS_write, fd, bytes, size);
}

/* ---- clocks ---- */
static int gate[2], all_launched[2];

/* Ranks overlap: none ends before all have launched. By their clock each writes a report a second. */
static void run_as_rank(void)
{
    char byte;
    check(read(gate[0], &byte, 1) == 1);
    for (int i = 0; i < 3; i++) {
        clock_ms += 1000;
        launch_some();
        usleep(1000);
    }
    close(all_launched[1]);
    check(read(all_launched[0], &byte, 1) == 0);
}

/* Runs this many at the same time: each must leave a report of its own with all its launches. False if the system does
 * not allow it (the exit status is 5). */
static bool run_ranks(void (*body)(void), size_t ranks, const char *const *environment)
{
    pid_t pids[8];
    bool allowed = true;
    assert_true(!pipe(gate) && !pipe(all_launched));
    for (size_t i = 0; i < ranks; i++)
        pids[i] = child_start(body, environment);
    close(all_launched[1]);
    usleep(30000);
    assert_int_equal(write(gate[1], "xxxxxxxx", ranks), ranks);
    for (size_t i = 0; i < ranks; i++) {
        const int status = child_end(pids[i]);
        allowed &= status != 5;
        assert_true(status == 0 || status == 5);
    }
    close(gate[0]), close(gate[1]), close(all_launched[0]);
    if (!allowed)
        return false;
    assert_found(.reports = ranks, .launches = ranks * 27);
    return true;
}

static void assert_ranks_keep_their_reports(size_t ranks, const char *const *environment)
{
    assert_true(run_ranks(run_as_rank, ranks, environment));
    assert_int_equal(occurrences(stderr_text, "another process wrote"), ranks - 1);
    assert_int_equal(access(in_folder("r.json"), F_OK), 0);
}

TEST(ranks_keep_their_reports_whatever_the_clocks_say)
{
    static const char *const clocks[][2] = {
        {"SKEW", "60"}, {"SKEW", "-60"}, {"SHIFT", "86400"}, {"SHIFT", "-86400"}, {"RANK", "0"}};
    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++)
        for (int stale = 0; stale < 2; stale++) {
            folder_renew();
            if (stale) {
                assert_child(launch_some, REPORT);
                usleep(30000);
            }
            assert_ranks_keep_their_reports(
                4, (const char *const[]){REPORT, clocks[i][0], clocks[i][1], "SLOW", "1", NULL});
        }
}

TEST(ranks_keep_their_reports_without_locks)
{
    assert_ranks_keep_their_reports(3, (const char *const[]){REPORT, "NO_LOCKS", "1", NULL});
}

TEST(an_earlier_report_is_replaced_whatever_the_clocks_say)
{
    static const char *const clocks[][2] = {{"SKEW", "60"}, {"SKEW", "-60"}, {"SHIFT", "-86400"}, {"SHIFT", "86400"}};
    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        for (int run = 0; run < 3; run++) {
            assert_child(launch_some, REPORT, clocks[i][0], clocks[i][1]);
            assert_child(launch_some, "FUSELN_REPORT", in_folder("r.txt"), clocks[i][0], clocks[i][1]);
        }
        assert_int_equal(find_reports().reports, 1);
        assert_int_equal(find_reports().strangers, 1);
        assert_string_equal(stderr_text, "");
    }
}

/* From an older fuseln or another program, cut short, or huge: none has an id. */
TEST(an_earlier_file_without_an_id_is_replaced)
{
    static const char *const texts[] = {"", "{\"schema\":1,\"process\":{\"pid\":1}}", "\nid ",
                                        "{\"process\":{\"id\":\"ab",
                                        ("\nid 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233"
                                         "445566778899aabbccddeeff00112233445566778899aabbccddeeff0011223344556677")};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        FILE *file = fopen(in_folder("r.json"), "w");
        fputs(texts[i], file);
        fclose(file);
        if (i == 0)
            assert_int_equal(truncate(in_folder("r.json"), 5l << 30), 0);
        assert_child(launch_some, REPORT);
        assert_int_equal(find_reports().reports, 1);
        assert_string_equal(stderr_text, "");
    }
}

static void launch_and_wait(void)
{
    count_launch(); /* the first look */
    make_file("looked");
    wait_for_file("go");
    launch_some();
}

/* From another machine: only its lock shows that it does not come from an earlier run. */
TEST(a_report_that_was_locked_at_the_first_look_is_not_replaced)
{
    static const char other[] = "{\"schema\":1,\"process\":{\"id\":\"00112233445566778899aabbccddeeff\"}}";
    char text[8192];
    for (int locked = 0; locked < 2; locked++) {
        folder_renew();
        const int fd = open(in_folder("r.json"), O_RDWR | O_CREAT, 0600);
        assert_int_equal(write(fd, other, sizeof other - 1), sizeof other - 1);
        assert_true(!locked || !flock(fd, LOCK_EX));
        pid_t pid = child_start(launch_and_wait, (const char *const[]){REPORT, NULL});
        wait_for_file("looked");
        assert_true(!flock(fd, LOCK_UN) && !close(fd)); /* the child has a copy of it */
        make_file("go");
        assert_int_equal(child_end(pid), 0);
        assert_int_equal(!strcmp(read_file(in_folder("r.json"), text, sizeof text), other), locked);
        assert_int_equal(occurrences(stderr_text, "another process wrote"), locked);
    }
}

static void touch_between(void)
{
    launch_some();
    for (int i = 0; i < 4; i++) { /* object stores set a file's times some time after the rename */
        utimensat(AT_FDCWD, in_folder("r.json"), (struct timespec[]){{.tv_sec = 2000000000}, {2000000000 + i, 0}}, 0);
        clock_ms += 1000 << i;
        launch_some();
    }
}

TEST(a_file_whose_time_settles_later_stays_ours)
{
    assert_child(touch_between, REPORT);
    assert_int_equal(find_reports().reports, 1);
    assert_string_equal(stderr_text, "");
}

/* ---- exec, clone, the same pid ---- */
static void exec_again(void)
{
    execl("/proc/self/exe", "again", "--again", "4", NULL);
}

TEST(a_program_that_execs_itself_has_one_report)
{
    static const char *const names[] = {"r.json", "r.txt"};
    for (size_t i = 0; i < 2; i++) {
        assert_child(exec_again, "FUSELN_REPORT", in_folder(names[i]));
        assert_string_equal(stderr_text, "");
    }
    assert_found(.reports = 1, .launches = 9, .strangers = 1);
}

static void clone_a_child(void)
{
    launch_some();
    const pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0) { /* no fork handler ran here */
        clock_ms = 100000;
        if (getenv("LAUNCH"))
            launch_some();
        exit(0);
    }
    waitpid(pid, NULL, 0);
    check(report_number("r.json", "process.pid") == getpid() && !report_is_final("r.json"));
    launch_some();
}

TEST(a_cloned_child_leaves_its_parents_report_alone)
{
    assert_child(clone_a_child, REPORT);
    assert_child(clone_a_child, REPORT, "LAUNCH", "1");
    assert_found(.reports = 1, .launches = 18);
    assert_string_equal(stderr_text, "");
}

static void outlive_the_parent(void)
{
    launch_some();
    if (fork() == 0) {
        wait_for_file("go");
        if (getenv("LAUNCH"))
            launch_some();
        exit(0);
    }
    if (getenv("DIE"))
        raise(SIGKILL); /* the child has inherited the descriptor of its last report */
}

TEST(a_forked_child_does_not_hold_its_ended_parents_report)
{
    for (int dies = 0; dies < 2; dies++) {
        assert_int_equal(child(outlive_the_parent, REPORT, dies ? "DIE" : "RANK", "1"), dies ? 256 + SIGKILL : 0);
        usleep(20000);
        assert_child(launch_some, REPORT); /* replaces that of an earlier run */
        assert_string_equal(stderr_text, "");
        assert_int_equal(find_reports().reports, 1);
    }
    make_file("go");
}

/* To the child, its parent's last report does not come from an earlier run. */
TEST(a_forked_child_does_not_replace_its_ended_parents_report)
{
    assert_child(outlive_the_parent, REPORT, "LAUNCH", "1");
    make_file("go");
    for (int i = 0; i < 500 && find_reports().reports < 2; i++)
        usleep(10000);
    unlink(in_folder("go"));
    assert_int_equal(find_reports().reports, 2);
    assert_int_equal(report_launches("r.json"), 9);
    assert_true(report_is_final("r.json"));
}

/* Like two containers with one host name: each process has pid 1. */
static void run_as_number_1(void)
{
    if (unshare(CLONE_NEWPID))
        _exit(5); /* not allowed here */
    const pid_t pid = fork();
    if (pid == 0) {
        check(getpid() == 1);
        run_as_rank();
        exit(0);
    }
    close(all_launched[1]);
    int status = -1;
    waitpid(pid, &status, 0);
    _exit(status ? 9 : 0);
}

TEST(processes_with_one_pid_keep_their_reports)
{
    bool allowed = true;
    for (int round = 0; allowed && round < 10; round++) {
        folder_renew();
        allowed = run_ranks(run_as_number_1, 3, (const char *const[]){REPORT, "SLOW", "1", NULL});
    }
}

static void run_without_proc(void)
{
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
        _exit(5);
    check(!mount("none", "/proc", "tmpfs", 0, NULL));
    launch_some();
    for (int i = 0; i < 2; i++) {
        if (fork() == 0) {
            launch_some();
            exit(0);
        }
        wait(NULL);
    }
    launch_some();
}

TEST(reports_survive_without_proc)
{
    if (SANITIZED) /* the sanitizers read /proc */
        return;
    const int status = child(run_without_proc, REPORT);
    if (status == 5)
        return;
    assert_int_equal(status, 0);
    assert_found(.reports = 3, .launches = 9 + 9 + 18);
    assert_child(run_without_proc, REPORT);
    json_auto_t *report = load(in_folder("r.json"));
    assert_int_equal(json_array_size(value(report, "process.command")), 1); /* the short name of the program */
}

/* ---- folders, files, systems ---- */
TEST(a_process_killed_while_it_writes_leaves_nothing)
{
    assert_int_equal(child(launch_some, REPORT, "KILL", "1"), 256 + SIGKILL);
    assert_int_equal(find_reports().strangers, 0);
    assert_child(launch_some, REPORT);
    assert_int_equal(child(launch_some, REPORT, "KILL", "1"), 256 + SIGKILL);
    assert_int_equal(find_reports().strangers, 0);
    assert_int_equal(find_reports().reports, 1); /* the earlier one is intact */
}

static void launch_with_open_mask(void)
{
    umask(022);
    launch_some();
}

static void launch_with_strict_mask(void)
{
    umask(0277);
    launch_some();
}

TEST(a_report_is_its_owners_alone)
{
    static const char *const names[] = {"r.json", "r.txt"};
    struct stat info;
    for (size_t i = 0; i < 2; i++) {
        assert_child(launch_with_open_mask, "FUSELN_REPORT", in_folder(names[i]));
        assert_true(!stat(in_folder(names[i]), &info) && (info.st_mode & 07777) == 0600);
        assert_child(launch_with_strict_mask, "FUSELN_REPORT", in_folder(names[i]));
        assert_true(!stat(in_folder(names[i]), &info) && (info.st_mode & 07777) == 0400);
    }
}

/* A folder like /tmp, in which somebody else made a link and a FIFO. */
TEST(what_others_planted_is_not_followed)
{
    char text[4096];
    struct stat info;
    if (geteuid() != 0)
        return; /* only root can make files in another user's name */
    assert_true(!mkdir(in_folder("open"), 0700) && !chmod(in_folder("open"), 01777));
    for (int dangling = 0; dangling < 2; dangling++) {
        if (!dangling)
            fclose(fopen(in_folder("victim.json"), "w"));
        assert_true(!symlink("../victim.json", in_folder("open/r.json")) &&
                    !lchown(in_folder("open/r.json"), 65534, 65534));
        assert_child(launch_some, "FUSELN_REPORT", in_folder("open/r.json"));
        assert_string_equal(read_file(in_folder("victim.json"), text, sizeof text), "");
        assert_true(!lstat(in_folder("open/r.json"), &info) && S_ISREG(info.st_mode));
        unlink(in_folder("open/r.json")), unlink(in_folder("victim.json"));
    }
    assert_true(!mkfifo(in_folder("open/fifo"), 0666) && !chown(in_folder("open/fifo"), 65534, 65534));
    const int reader = open(in_folder("open/fifo"), O_RDONLY | O_NONBLOCK);
    assert_child(launch_some, "FUSELN_REPORT", in_folder("open/fifo"));
    assert_int_equal(read(reader, text, sizeof text), 0);
    assert_non_null(strstr(stderr_text, "Permission denied"));
    assert_true(!lchown(in_folder("open/fifo"), 0, 0)); /* ours now */
    assert_child(launch_some, "FUSELN_REPORT", in_folder("open/fifo"));
    close(reader);
}

TEST(a_link_of_ours_is_followed_even_if_it_dangles)
{
    struct stat info;
    assert_int_equal(mkdir(in_folder("runs"), 0700), 0);
    assert_int_equal(symlink("runs/latest.json", in_folder("r.json")), 0);
    for (int i = 0; i < 2; i++) {
        assert_child(launch_some, REPORT);
        assert_string_equal(stderr_text, "");
        assert_true(!lstat(in_folder("r.json"), &info) && S_ISLNK(info.st_mode));
        assert_true(!lstat(in_folder("runs/latest.json"), &info) && S_ISREG(info.st_mode) && info.st_size > 0);
    }
}

TEST(a_link_that_leads_nowhere_stays_and_is_reported)
{
    static const char *const targets[] = {"missing/r.json", "r.json"};
    struct stat info;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(symlink(targets[i], in_folder("r.json")), 0);
        assert_child(launch_some, REPORT);
        assert_int_equal(occurrences(stderr_text, "cannot be written"), (int)i + 1);
        assert_int_equal(occurrences(stderr_text, "3 replaced"), (int)i + 1);
        assert_true(!lstat(in_folder("r.json"), &info) && S_ISLNK(info.st_mode));
        unlink(in_folder("r.json"));
    }
}

/* Like /proc/1/fd/1, the output of a container: by that name, and through a link. */
TEST(a_file_that_another_process_has_open_is_written_once_and_not_replaced)
{
    char text[8192];
    int ends[2];
    for (int kind = 0; kind < 4; kind++) {
        const bool is_pipe = kind % 2, through_a_link = kind / 2;
        const int file = open(in_folder("log"), O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);
        assert_true(file >= 0 && !pipe(ends) && write(file, "before\n", 7) == 7);
        const char *name = format("/proc/%d/fd/%d", (int)getpid(), is_pipe ? ends[1] : file);
        unlink(in_folder("link"));
        assert_int_equal(symlink(name, in_folder("link")), 0);
        assert_child(launch_some, "FUSELN_REPORT", through_a_link ? in_folder("link") : name);
        assert_string_equal(stderr_text, "");
        assert_int_equal(write(file, "after\n", 6), 6);
        close(ends[1]);
        const ssize_t length = is_pipe ? read(ends[0], text, sizeof text - 1) : pread(file, text, sizeof text - 1, 0);
        text[length < 0 ? 0 : length] = '\0';
        assert_int_equal(occurrences(text, "kernel launches"), 1);
        assert_true(is_pipe || (!strncmp(text, "before\n", 7) && strstr(text, "\nafter\n")));
        assert_true(!strcmp(read_file(in_folder("log"), text, sizeof text), "before\nafter\n") == is_pipe);
        close(ends[0]), close(file);
    }
}

/* If ours was deleted, another file may even have its inode number. */
static void close_ours_and_open_one(void)
{
    struct stat ours, info;
    launch_some();
    check(!stat(getenv("FUSELN_REPORT"), &ours));
    int number = 3;
    while (number < 64 && (fstat(number, &info) || info.st_dev != ours.st_dev || info.st_ino != ours.st_ino))
        number++;
    check(number < 64);
    close(number);
    const int file = open(getenv("FUSELN_REPORT"), O_RDWR);
    check(dup2(file, number) == number);
    clock_ms += 5000;
    launch_some();
    check(!fstat(number, &info) && info.st_ino == ours.st_ino);
}

TEST(a_descriptor_of_the_host_is_not_mistaken_for_ours)
{
    assert_child(close_ours_and_open_one, REPORT);
    assert_string_equal(stderr_text, "");
    assert_int_equal(find_reports().reports, 1);
}

/* NUMBER: this system call fails with EPERM, as old seccomp profiles make it. */
static void launch_where_a_call_is_refused(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)atoi(getenv("NUMBER")), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    check(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
    launch_some();
}

TEST(a_refused_system_call_does_not_mean_that_nothing_is_there)
{
    static const int numbers[] = {SYS_statx, SYS_newfstatat, SYS_flock, SYS_getrandom, SYS_linkat, SYS_renameat2};
    struct stat info;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        folder_renew();
        mkfifo(in_folder("fifo"), 0600);
        const char *number = format("%d", numbers[i]);
        assert_child(launch_where_a_call_is_refused, "FUSELN_REPORT", in_folder("fifo"), "NUMBER", number);
        assert_true(!lstat(in_folder("fifo"), &info) && S_ISFIFO(info.st_mode));
        const bool reported = numbers[i] != SYS_newfstatat; /* without it we cannot tell what stderr is, either */
        assert_int_equal(occurrences(stderr_text, "3 replaced"), reported); /* nobody reads the FIFO */
        assert_child(launch_where_a_call_is_refused, REPORT, "NUMBER", number);
        assert_int_equal(find_reports().reports, reported);
        assert_int_equal(find_reports().strangers, 1);
    }
}

/* ---- the command of a program that set its title ---- */
static void exec_with_a_title(void)
{
    char *words[364] = {"title", "--title", getenv("TITLE")};
    for (int i = 3; i < 363; i++)
        words[i] = "word";
    execv("/proc/self/exe", words);
}

TEST(a_process_title_is_one_word)
{
    static const char *const titles[][2] = {
        {"ray::train", "ray::train"}, {"", NULL}, {"worker: 3 of 4", "worker: 3 of 4"}};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++) {
        assert_child(exec_with_a_title, REPORT, "TITLE", titles[i][0]);
        json_auto_t *report = load(in_folder("r.json"));
        assert_int_equal(json_array_size(value(report, "process.command")), 1);
        assert_string_equal(text(report, "process.command.0"),
                            titles[i][1] ? titles[i][1] : program_invocation_short_name);
    }
}

static int launch_with_title(int argc, char **argv)
{
    char title[64];
    snprintf(title, sizeof title, "%s", argv[2]);
    memset(argv[0], 0, (size_t)(argv[argc - 1] + strlen(argv[argc - 1]) - argv[0]));
    strcpy(argv[0], title);
    launch_some();
    return 0;
}

static int launch_and_exec(char **argv)
{
    char left[2] = {(char)(argv[2][0] - 1), '\0'};
    usleep(20000); /* more than a tick */
    launch_some();
    if (*left > '0')
        execl("/proc/self/exe", "again", "--again", left, NULL);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "--title"))
        return launch_with_title(argc, argv);
    if (argc > 2 && !strcmp(argv[1], "--again"))
        return launch_and_exec(argv);
    return run_registered_tests();
}
