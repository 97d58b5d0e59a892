/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuseln run PROGRAM ...: runs the program with libfuseln.so preloaded, as if it had been started without us: this
 * process forwards signals to it, stops when it stops, and ends as it ends. At the end it adds up the reports of the
 * program and its children, or names them where they were asked for.
 */
#include "tools/fuseln/command.h"
#include "tools/fuseln/merge.h"

#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 }; /* as shells and env(1) have it */

/* ---- the program ---- */

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

/* Was the i-th file written since begin, and is it not listed before? */
static bool is_new(const glob_t *files, size_t i, const struct timespec *begin)
{
    struct stat status;
    for (size_t j = 0; j < i; j++)
        if (strcmp(files->gl_pathv[i], files->gl_pathv[j]) == 0)
            return false;
    return stat(files->gl_pathv[i], &status) == 0 && S_ISREG(status.st_mode) &&
           (status.st_mtim.tv_sec > begin->tv_sec ||
            (status.st_mtim.tv_sec == begin->tv_sec && status.st_mtim.tv_nsec >= begin->tv_nsec));
}

/* Names the reports that were written since begin, and adds them up if wanted. Returns how many there are, with
 * those that cannot be read. */
static size_t name_reports(const char *template, const struct timespec *begin, struct fuseln_merged *merged)
{
    char *pattern = pattern_of(template);
    glob_t files = {0};
    size_t count = 0;
    if (pattern)
        glob(pattern, GLOB_BRACE, NULL, &files);
    for (size_t i = 0; i < files.gl_pathc; i++)
        if (is_new(&files, i, begin)) {
            fuseln_say(stderr, "%s: report: %s", program_invocation_name, files.gl_pathv[i]);
            if (merged)
                fuseln_merge_add(merged, files.gl_pathv[i]);
            count++;
        }
    globfree(&files);
    free(pattern);
    return count;
}

/* FUSELN_REPORT as it was asked for, or else in a folder of ours. */
static void set_report(const char *asked, char ret_folder[PATH_MAX])
{
    const char *set = asked ? asked : getenv("FUSELN_REPORT");
    *ret_folder = '\0';
    if (set && *set) {
        setenv("FUSELN_REPORT", set, 1);
    } else if (!fuseln_start_folder(ret_folder)) {
        *ret_folder = '\0';
        fuseln_say(stderr, "%s: no report at the end: no folder for it in TMPDIR or /tmp: %s", program_invocation_name,
                   strerror(errno));
    }
}

#define NO_REPORT "no report: no kernel was launched, or LD_PRELOAD did not arrive (fuseln doctor -- PROGRAM)"

/* The page is written in any case: one of an earlier run must not be taken for this one's. */
static void write_page(const char *page, const struct fuseln_merged *merged, size_t found)
{
    if (json_array_size(json_object_get(merged->report, "files")) == 0)
        json_object_set_new(merged->report, "why", json_string(found ? "no report could be read" : NO_REPORT));
    if (fuseln_html_write(merged->report, page) == 0)
        fuseln_say(stderr, "%s: page: %s", program_invocation_name, page);
}

/* One table of all reports in our folder, or else their names; and the page. */
static void print_reports(const char *folder, const char *page, const struct timespec *begin)
{
    const char *report = getenv("FUSELN_REPORT");
    if (!report || !*report || strcmp(report, "stderr") == 0 || strcmp(report, "stdout") == 0)
        return;
    struct fuseln_merged merged = fuseln_merge_new();
    const size_t count =
        *folder ? fuseln_merge_folder(&merged, folder) : name_reports(report, begin, page ? &merged : NULL);
    fuseln_merge_finish(&merged, 0);
    if (*folder && count > 0)
        fuseln_merge_print(merged.report, stderr);
    if (count == 0)
        fuseln_say(stderr, "%s: " NO_REPORT, program_invocation_name);
    if (page)
        write_page(page, &merged, count);
    fuseln_merge_free(&merged);
}

/* Returns the exit code; or 0, and *ret_status is the program's. */
static int run_and_report(const struct fuseln_given *given, int *ret_status)
{
    char folder[PATH_MAX];
    struct timespec begin;
    sigset_t all;
    pid_t program;
    clock_gettime(CLOCK_REALTIME_COARSE, &begin); /* as file systems stamp */
    sigfillset(&all); /* to the end, so that no signal ends us before the table is printed and the folder removed */
    sigprocmask(SIG_SETMASK, &all, NULL);
    set_report(given->option['r'], folder);
    const int error = fuseln_start(given->words, false, &program);
    if (!error) {
        *ret_status = wait_for(program, &all);
        print_reports(folder, given->option['H'], &begin);
    }
    if (*folder)
        fuseln_start_remove(folder);
    if (error)
        fuseln_fail(1, "%s: %s", given->words[0], strerror(error));
    return !error ? 0 : error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
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

/* Before the program runs, as that may take days. Returns the exit code. */
static int check_page(const struct fuseln_given *given)
{
    const char *page = given->option['H'], *set = getenv("FUSELN_REPORT");
    const char *report = given->option['r'] ? given->option['r'] : set ? set : "";
    if (page && strcmp(page, "-") == 0)
        return fuseln_fail(EXIT_USAGE, "--html=- is for fuseln report; here stdout is the program's");
    if (page && *report && !fuseln_is_json(report))
        return fuseln_fail(EXIT_USAGE, "--html needs reports in JSON, and FUSELN_REPORT or --report is %s", report);
    return page ? fuseln_html_check(page) : 0;
}

static int run(const struct fuseln_given *given)
{
    char library[PATH_MAX];
    int status = 0;
    const int wrong = check_page(given);
    if (wrong)
        return wrong;
    if (!set_mode(given))
        return fuseln_fail(EXIT_USAGE, "only one of --observe, --verify and --measure at a time");
    if (!fuseln_start_library(library))
        return fuseln_fail(1, "no libfuseln.so beside this command, or in ../lib");
    if (!fuseln_start_can_preload(library))
        return fuseln_fail(1, "%s: " FUSELN_CANNOT_PRELOAD, library);
    fuseln_start_set_preload(library);
    const int code = run_and_report(given, &status);
    if (code)
        return code;
    return WIFEXITED(status) ? WEXITSTATUS(status) : fuseln_start_end_by(WTERMSIG(status));
}

static const struct argp_option options[] = {
    {"report", 'r', "FILE", 0, "Leave the report there (as FUSELN_REPORT: %p pid, %r rank, ...; JSON if .json)", 0},
    {"html", 'H', "FILE", 0, "Also write a page there, to look at in a browser", 0},
    {"observe", 'o', NULL, 0, "Replace nothing, only count (FUSELN_MODE=observe)", 0},
    {"verify", 'v', NULL, 0, "Replace nothing, verify ours against the originals (FUSELN_MODE=verify)", 0},
    {"measure", 'm', NULL, 0, "Time ours and the originals, launch the faster ones (FUSELN_MODE=measure)", 0},
    {0}};
const struct fuseln_command fuseln_command_run = {
    .name = "run",
    .help = "run a program with fuseln in front of it",
    .arguments = "[--] PROGRAM [ARGUMENT...]",
    .doc = "Run a program with libfuseln.so in front of whatever LD_PRELOAD holds. Signals and the exit code are the "
           "program's.\v"
           "Without --report and FUSELN_REPORT, what the program and its children did is printed as a table on stderr "
           "at the end. Other settings are those of the environment: FUSELN_SKIP, FUSELN_ONLY, FUSELN_LOG, ... Exit "
           "code: the program's; 127 if there is no such program, 126 if it cannot be run, 1 if fuseln could not "
           "begin.",
    .options = options,
    .runs = true,
    .missing = "no program is named",
    .run = run,
};
