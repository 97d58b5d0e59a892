/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuseln run PROGRAM ...: runs the program with libfuseln.so preloaded, as if it had been started without us: this
 * process forwards signals to it, stops when it stops, and ends as it ends. At the end it adds up the reports of the
 * program and its children, or names them where they were asked for.
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

/* In the child. The pipe tells the parent why exec failed; it closes by itself when exec succeeds. */
static void execute(char **program, int pipe_end)
{
    fuseln_command_signals_return();
    execvp(program[0], program);
    const int error = errno;
    if (write(pipe_end, &error, sizeof error) != sizeof error)
        _exit(1);
    _exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

/* What the terminal sends reaches the program by itself, as it is in the same process group. Only what a process sends
 * to us alone is forwarded. */
static void forward(pid_t program, const siginfo_t *signal)
{
    if (signal->si_code == SI_USER || signal->si_code == SI_QUEUE || signal->si_code == SI_TKILL)
        kill(program, signal->si_signo);
}

/* True when the program has ended, with its status; if the system cannot tell, that of exit code 1. */
static bool has_ended(pid_t program, int *ret_status)
{
    int status;
    pid_t found;
    while ((found = waitpid(program, &status, WNOHANG | WUNTRACED)) == program && WIFSTOPPED(status)) {
        raise(SIGSTOP); /* whoever continues us continues the program too */
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
            forward(program, &signal);
    return status;
}

/* Returns 0 with the program's status, or the exit code if there is no program. */
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

/* The pattern of all names that processes make from this template: each expands %x in its own way, and those that find
 * NAME.EXT taken write NAME.PID.EXT. The caller frees it. */
static char *pattern_of(const char *template)
{
    const char *slash = strrchr(template, '/'), *dot = strrchr(slash ? slash : template, '.'), *closing;
    char *pattern = NULL;
    size_t size;
    FILE *text = open_memstream(&pattern, &size);
    for (const char *at = template; text && *at; at++) {
        if (at == dot)
            fputs("{,.*}", text);
        if (strchr("*?[]{},\\", *at))
            fputc('\\', text);
        if (at[0] == '%' && at[1] != '%') {
            fputc('*', text);
            closing = at[1] == 'q' ? strchr(at, '}') : NULL;
            at = closing ? closing : at + (at[1] != '\0');
        } else {
            fputc(*at, text);
            at += *at == '%';
        }
    }
    if (text && !dot)
        fputs("{,.*}", text);
    if (text)
        fclose(text);
    return pattern;
}

/* Was the i-th file written since begin (NULL: all were), and is it not listed before? */
static bool is_new(const glob_t *files, size_t i, const struct timespec *begin)
{
    struct stat status;
    for (size_t j = 0; j < i; j++)
        if (strcmp(files->gl_pathv[i], files->gl_pathv[j]) == 0)
            return false;
    return !begin || (stat(files->gl_pathv[i], &status) == 0 && S_ISREG(status.st_mode) &&
                      (status.st_mtim.tv_sec > begin->tv_sec ||
                       (status.st_mtim.tv_sec == begin->tv_sec && status.st_mtim.tv_nsec >= begin->tv_nsec)));
}

/* Prints one table of all reports, if they are in a folder of ours; else their names. */
static void print_reports(const char *name, bool ours, const char *template, const struct timespec *begin)
{
    struct fuseln_merged merged = fuseln_merge_new();
    char *pattern = pattern_of(template);
    glob_t files = {0};
    size_t count = 0;
    if (pattern)
        glob(pattern, GLOB_BRACE, NULL, &files);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        if (!is_new(&files, i, ours ? NULL : begin))
            continue;
        count++;
        if (!ours)
            fuseln_say(stderr, "%s: report: %s", name, files.gl_pathv[i]);
        else if (!fuseln_merge_add(&merged, files.gl_pathv[i]))
            fuseln_command_fail(name, 1, "%s: %s", files.gl_pathv[i], merged.error);
    }
    fuseln_merge_finish(&merged, 0);
    if (count == 0)
        fuseln_say(stderr,
                   "%s: no report: no kernel was launched, or LD_PRELOAD did not arrive (fuseln doctor -- PROGRAM)",
                   name);
    else if (ours)
        fuseln_merge_print(merged.report, stderr);
    fuseln_merge_free(&merged);
    globfree(&files);
    free(pattern);
}

/* Sets FUSELN_REPORT: to what --report says, else as it is, else into a folder of ours. Returns it; NULL: no folder. */
static const char *set_report(const char *asked, char ret_folder[PATH_MAX])
{
    *ret_folder = '\0';
    if (asked)
        setenv("FUSELN_REPORT", asked, 1);
    const char *set = getenv("FUSELN_REPORT");
    if (set && *set)
        return set;
    if (!fuseln_command_folder_make(ret_folder)) {
        *ret_folder = '\0';
        return NULL;
    }
    char *report = fuseln_command_report_in(ret_folder);
    setenv("FUSELN_REPORT", report ? report : "", 1);
    free(report);
    return getenv("FUSELN_REPORT");
}

/* Returns the exit code; or 0, and *ret_status is the program's. */
static int run_and_report(const char *name, const struct fuseln_given *given, int *ret_status)
{
    char folder[PATH_MAX];
    struct timespec begin;
    sigset_t all;
    clock_gettime(CLOCK_REALTIME_COARSE, &begin); /* as file systems stamp */
    sigfillset(&all); /* to the end, so that no signal ends us before the table is printed and the folder removed */
    sigprocmask(SIG_SETMASK, &all, NULL);
    const char *report = set_report(given->option['r'], folder);
    if (!report)
        fuseln_say(stderr, "%s: no table at the end: no folder for reports in TMPDIR or /tmp: %s", name,
                   strerror(errno));
    const int code = run(name, given->words, &all, ret_status);
    if (code == 0 && report && strcmp(report, "stderr") != 0 && strcmp(report, "stdout") != 0)
        print_reports(name, *folder, report, &begin);
    if (*folder)
        fuseln_command_folder_remove(folder);
    return code;
}

/* False: more than one of them. */
static bool set_mode(const struct fuseln_given *given)
{
    static const char *const modes[] = {"observe", "verify", "measure"}; /* by their first letters */
    int count = 0;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (given->option[(int)*modes[i]]) {
            setenv("FUSELN_MODE", modes[i], 1);
            count++;
        }
    return count <= 1;
}

int fuseln_command_run(int argc, char **argv)
{
    static const struct argp_option accepted[] = {
        {"report", 'r', "FILE", 0, "Leave the report there (as FUSELN_REPORT: %p pid, %r rank, ...; JSON if .json)", 0},
        {"observe", 'o', NULL, 0, "Replace nothing, only count (FUSELN_MODE=observe)", 0},
        {"verify", 'v', NULL, 0, "Replace nothing, verify ours against the originals (FUSELN_MODE=verify)", 0},
        {"measure", 'm', NULL, 0, "Time ours and the originals, launch the faster ones (FUSELN_MODE=measure)", 0},
        {0}};
    static const struct argp argp = {
        .options = accepted,
        .parser = fuseln_command_option,
        .args_doc = "PROGRAM [ARGUMENT...]",
        .doc =
            "Run a program with libfuseln.so in front of whatever LD_PRELOAD holds. Signals and the exit code are the "
            "program's.\v"
            "Without --report and FUSELN_REPORT, what the program and its children did is printed as a table on stderr "
            "at the end. Other settings are those of the environment: FUSELN_SKIP, FUSELN_ONLY, FUSELN_LOG, ... Exit "
            "code: the program's; 127 if there is no such program, 126 if it cannot be run, 1 if fuseln could not "
            "begin.",
    };
    struct fuseln_given given = {0};
    int status = 0, code;

    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &given))
        return EXIT_USAGE;
    if (given.count == 0)
        return fuseln_command_fail(argv[0], EXIT_USAGE, "no program is named");
    if (!set_mode(&given))
        return fuseln_command_fail(argv[0], EXIT_USAGE, "only one of --observe, --verify and --measure at a time");
    if ((code = set_preload(argv[0])) || (code = run_and_report(argv[0], &given, &status)))
        return code;
    return WIFEXITED(status) ? WEXITSTATUS(status) : fuseln_command_end_by(WTERMSIG(status));
}
