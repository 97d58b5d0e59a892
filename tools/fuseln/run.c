/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuseln run PROGRAM ...: the program with libfuseln.so preloaded. Its signals, its exit code and its place in the
 * terminal are its own: this process waits, hands on what is sent to it, stops when the program stops and ends as it
 * ends. Reports of the program and its children are added up at the end, or left where --report says.
 */
#include "tools/fuseln/command.h"
#include "tools/fuseln/merge.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 }; /* as shells and env(1) have it */

struct options {
    const char *report;
    const char *mode; /* NULL: as FUSELN_MODE says */
    char **program;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->err_stream = fuseln_command_errors();
        return 0;
    case 'r':
        options->report = argument;
        return 0;
    case 'o':
    case 'v':
    case 'm':
        if (options->mode)
            argp_error(state, "only one of --observe, --verify and --measure at a time");
        options->mode = key == 'o' ? "observe" : key == 'v' ? "verify" : "measure";
        return 0;
    case ARGP_KEY_ARGS:
        options->program = state->argv + state->next;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "no program is named");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int set_preload(const char *name)
{
    char library[PATH_MAX];
    if (!fuseln_command_library(library))
        return fuseln_command_fail(name, 1, "no libfuseln.so beside this command, or in ../lib");
    if (!fuseln_command_can_preload(library))
        return fuseln_command_fail(name, 1, "%s: " FUSELN_CANNOT_PRELOAD, library);
    fuseln_command_set_preload(library);
    return 0;
}

/* ---- the program ---- */

/* In the child. The pipe tells the parent why there is no program; it closes by itself when there is one. */
static void execute(char **program, int pipe_end)
{
    fuseln_command_signals_return();
    execvp(program[0], program);
    const int error = errno;
    if (write(pipe_end, &error, sizeof error) != sizeof error)
        _exit(1);
    _exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

/* What the terminal sends reaches the program by itself, as it is in the same group; what somebody sends to this
 * process alone is for the program. */
static void hand_on(pid_t program, const siginfo_t *signal)
{
    if (signal->si_code == SI_USER || signal->si_code == SI_QUEUE || signal->si_code == SI_TKILL)
        kill(program, signal->si_signo);
}

/* True when the program has ended, with its status; where the system cannot tell it, as if by exit code 1. */
static bool has_ended(pid_t program, int *ret_status)
{
    int status;
    pid_t found;
    while ((found = waitpid(program, &status, WNOHANG | WUNTRACED)) == program && WIFSTOPPED(status)) {
        raise(SIGSTOP); /* until somebody continues us, and with us the program */
        kill(program, SIGCONT);
    }
    if (found != 0)
        *ret_status = found == program ? status : W_EXITCODE(1, 0);
    return found != 0;
}

static int wait_for(pid_t program, const sigset_t *signals)
{
    int status = 0;
    siginfo_t signal;
    while (!has_ended(program, &status))
        if (sigwaitinfo(signals, &signal) > 0 && signal.si_signo != SIGCHLD)
            hand_on(program, &signal);
    return status;
}

/* 0 with the program's status, or the exit code. */
static int run(const char *name, char **program, const sigset_t *blocked, int *ret_status)
{
    int ends[2], error = 0;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return fuseln_command_fail(name, 1, "pipe: %s", strerror(errno));
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0)
        execute(program, ends[1]);
    close(ends[1]);
    if (child < 0)
        return fuseln_command_fail(name, 1, "fork: %s", strerror(errno));
    const ssize_t failed = read(ends[0], &error, sizeof error);
    close(ends[0]);
    *ret_status = wait_for(child, blocked);
    if (failed == sizeof error)
        return fuseln_command_fail(name, error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE, "%s: %s", program[0],
                                   strerror(error));
    return 0;
}

/* ---- its reports ---- */

/* A template as a pattern: what a process puts in place of %x is not known here. */
static void pattern_of(const char *from, const char *end, char *ret_pattern, size_t size)
{
    size_t used = 0;
    for (; from < end && used + 3 < size; from++) {
        if (*from == '%' && from + 1 < end && from[1] == '%') {
            ret_pattern[used++] = '%';
            from++;
        } else if (*from == '%') {
            const char *closing = from[1] == 'q' ? strchr(from, '}') : NULL;
            from = closing ? closing : from + 1;
            ret_pattern[used++] = '*';
        } else {
            if (strchr("*?[\\", *from))
                ret_pattern[used++] = '\\';
            ret_pattern[used++] = *from;
        }
    }
    ret_pattern[used] = '\0';
}

/* begin is NULL where all are. */
static bool is_new(const char *path, const struct timespec *begin)
{
    struct stat status;
    return !begin || (stat(path, &status) == 0 && S_ISREG(status.st_mode) &&
                      (status.st_mtim.tv_sec > begin->tv_sec ||
                       (status.st_mtim.tv_sec == begin->tv_sec && status.st_mtim.tv_nsec >= begin->tv_nsec)));
}

/* The files that this template has become since the beginning; NAME.PID.EXT are those of processes that came second. */
static void find_reports(const char *template, const struct timespec *begin, glob_t *ret_files)
{
    char pattern[2 * PATH_MAX], name[PATH_MAX];
    const char *slash = strrchr(template, '/'), *dot = strrchr(slash ? slash : template, '.');
    const char *end = template + strlen(template);
    size_t kept = 0;

    pattern_of(template, end, pattern, sizeof pattern);
    glob(pattern, 0, NULL, ret_files);
    pattern_of(template, dot ? dot : end, name, sizeof name);
    snprintf(pattern, sizeof pattern, "%s.*%s", name, dot ? dot : "");
    glob(pattern, GLOB_APPEND, NULL, ret_files);
    for (size_t i = 0; i < ret_files->gl_pathc; i++) {
        bool wanted = is_new(ret_files->gl_pathv[i], begin);
        for (size_t j = 0; j < kept && wanted; j++)
            wanted = strcmp(ret_files->gl_pathv[i], ret_files->gl_pathv[j]) != 0;
        char *path = ret_files->gl_pathv[i];
        ret_files->gl_pathv[i] = ret_files->gl_pathv[kept];
        ret_files->gl_pathv[kept] = path;
        kept += wanted;
    }
    for (size_t i = kept; i < ret_files->gl_pathc; i++)
        free(ret_files->gl_pathv[i]);
    ret_files->gl_pathc = kept;
}

static void print_table(const char *name, const glob_t *files)
{
    struct fuseln_merged merged = fuseln_merge_new();
    for (size_t i = 0; i < files->gl_pathc; i++)
        if (!fuseln_merge_add(&merged, files->gl_pathv[i]))
            fuseln_command_fail(name, 1, "%s: %s", files->gl_pathv[i], merged.error);
    fuseln_merge_finish(&merged, 0);
    fuseln_merge_print(merged.report, stderr);
    fuseln_merge_free(&merged);
}

/* Where the program's reports go: to --report, to FUSELN_REPORT as it is set, or to a folder of ours. NULL: nowhere. */
static char *set_report(const struct options *options, char ret_folder[PATH_MAX])
{
    const char *set = options->report ? options->report : getenv("FUSELN_REPORT");
    char *template = NULL;

    *ret_folder = '\0';
    if (set && *set)
        template = strdup(set);
    else if (fuseln_command_folder_make(ret_folder))
        template = fuseln_command_report_in(ret_folder);
    else
        *ret_folder = '\0';
    if (template)
        setenv("FUSELN_REPORT", template, 1);
    return template;
}

static void tell(const char *name, const char *folder, const char *template, const struct timespec *begin)
{
    glob_t files = {0};
    if (strcmp(template, "stderr") == 0 || strcmp(template, "stdout") == 0)
        return;
    find_reports(template, *folder ? NULL : begin, &files);
    if (files.gl_pathc == 0)
        fuseln_say(stderr,
                   "%s: no report: no kernel was launched, or LD_PRELOAD did not arrive (fuseln doctor -- PROGRAM)",
                   name);
    else if (*folder)
        print_table(name, &files);
    for (size_t i = 0; i < files.gl_pathc && !*folder; i++)
        fuseln_say(stderr, "%s: report: %s", name, files.gl_pathv[i]);
    globfree(&files);
}

int fuseln_command_run(int argc, char **argv)
{
    static const struct argp_option accepted[] = {
        {"report", 'r', "FILE", 0, "Leave the report there (as FUSELN_REPORT: %p pid, %r rank, ...; JSON if .json)", 0},
        {"observe", 'o', NULL, 0, "Replace nothing, only count (FUSELN_MODE=observe)", 0},
        {"verify", 'v', NULL, 0, "Replace nothing, compare ours with the originals (FUSELN_MODE=verify)", 0},
        {"measure", 'm', NULL, 0, "Time ours and the originals, keep the faster ones (FUSELN_MODE=measure)", 0},
        {0}};
    static const struct argp argp = {
        .options = accepted,
        .parser = parse,
        .args_doc = "PROGRAM [ARGUMENT...]",
        .doc =
            "Run a program with libfuseln.so in front of whatever LD_PRELOAD holds. Signals and the exit code are the "
            "program's.\v"
            "Without --report and FUSELN_REPORT, what the program and its children did is printed as a table on stderr "
            "at the end. Other settings are those of the environment: FUSELN_SKIP, FUSELN_ONLY, FUSELN_LOG, ... Exit "
            "code: the program's; 127 if there is no such program, 126 if it cannot be run, 1 if fuseln could not "
            "begin.",
    };
    struct options options = {0};
    char folder[PATH_MAX];
    struct timespec begin;
    sigset_t all;
    int status = 0;

    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &options);
    clock_gettime(CLOCK_REALTIME_COARSE, &begin); /* as file systems stamp */
    int code = set_preload(argv[0]);
    if (code)
        return code;
    sigfillset(
        &all); /* to the end: what is sent from here on is the program's, and the table and the folder are ours */
    sigprocmask(SIG_SETMASK, &all, NULL);
    char *report = set_report(&options, folder);
    if (!report)
        fuseln_say(stderr, "%s: no table at the end: no folder for reports in TMPDIR or /tmp: %s", argv[0],
                   strerror(errno));
    if (options.mode)
        setenv("FUSELN_MODE", options.mode, 1);
    code = run(argv[0], options.program, &all, &status);
    if (code == 0 && report)
        tell(argv[0], folder, report, &begin);
    if (*folder)
        fuseln_command_folder_remove(folder);
    free(report);
    if (code)
        return code;
    return WIFEXITED(status) ? WEXITSTATUS(status) : fuseln_command_end_by(WTERMSIG(status));
}
