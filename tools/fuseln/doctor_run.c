/*
 * The doctor runs the program with fuseln, and looks at its processes meanwhile. Every process writes its report into a
 * temporary folder; the program's output goes to stderr.
 */
#include "doctor.h"

#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK "run"

/* Ours in front of those that are there; behind AddressSanitizer's, which insists on being first. */
static void set_preload(const struct doctor *doctor)
{
    char list[4 * PATH_MAX];
    const char *old = getenv("LD_PRELOAD");
    if (old && strstr(old, doctor->library))
        return;
    old = old ? old : "";
    const size_t first = strcspn(old, ": ");
    const char *asan = strstr(old, "asan");
    if (asan && (size_t)(asan - old) < first)
        snprintf(list, sizeof list, "%.*s:%s%s", (int)first, old, doctor->library, old + first);
    else
        snprintf(list, sizeof list, "%s%s%s", doctor->library, *old ? ":" : "", old);
    setenv("LD_PRELOAD", list, 1);
}

static void execute(const struct doctor *doctor, const char *folder)
{
    char report[PATH_MAX + 16];
    signal(SIGINT, SIG_DFL);
    signal(SIGQUIT, SIG_DFL);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    snprintf(report, sizeof report, "%s/%%p.json", folder);
    setenv("FUSELN_REPORT", report, 1);
    setenv("FUSELN_LOG", "info", 1);
    set_preload(doctor);
    execvp(doctor->program[0], doctor->program);
    fprintf(stderr, "%s: %s: %s\n", doctor->name, doctor->program[0], strerror(errno));
    _exit(127);
}

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Short-lived processes come early: look often at first. */
static void pause_after(double age, double look)
{
    double pause = age < 1 ? 0.002 : age < 10 ? 0.02 : 0.25;
    if (pause < 4 * look)
        pause = 4 * look;
    nanosleep(&(struct timespec){(time_t)pause, (long)((pause - (double)(time_t)pause) * 1e9)}, NULL);
}

static void stop(const struct doctor_processes *processes, pid_t root, int number)
{
    for (size_t i = 0; i < processes->count; i++)
        if (processes->list[i].running && processes->list[i].pid != root)
            kill(processes->list[i].pid, number);
    kill(root, number);
}

/* Waits for the program, and stops it when its time is over. Returns its status. */
static int watch(const struct doctor *doctor, pid_t root, struct doctor_processes *processes, bool *ret_stopped)
{
    const double start = now_seconds();
    double limit = doctor->seconds;
    int status, signal_number = SIGTERM;
    *ret_stopped = false;
    while (waitpid(root, &status, WNOHANG) == 0) {
        const double before = now_seconds(), age = before - start;
        doctor_watch(processes, root, doctor->library);
        if (limit > 0 && age > limit) {
            stop(processes, root, signal_number);
            *ret_stopped = true;
            signal_number = SIGKILL;
            limit += 5;
        }
        pause_after(age, now_seconds() - before);
    }
    return status;
}

static void say_end(struct doctor *doctor, int status, bool stopped)
{
    static const char remedy[] = "see whether it does without fuseln too: FUSELN_MODE=off";
    if (stopped)
        doctor_say(doctor, FINDING_OK, CHECK, NULL, "the program was stopped after %u s", doctor->seconds);
    else if (WIFSIGNALED(status))
        doctor_say(doctor, FINDING_NOTE, CHECK, remedy, "the program was killed by signal %d (%s)", WTERMSIG(status),
                   strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status))
        doctor_say(doctor, FINDING_NOTE, CHECK, remedy, "the program ended with exit code %d", WEXITSTATUS(status));
}

/* Does FUSELN_ONLY, if it is set, name the program? As src/config.c asks. */
static bool is_named(const struct doctor *doctor)
{
    const char *list = getenv("FUSELN_ONLY"), *executable = strrchr(doctor->executable, '/');
    char *words = strdup(list ? list : ""), *rest = words;
    bool named = !*words;
    for (char *word; (word = strsep(&rest, ", "));)
        named |= *word && (!fnmatch(word, executable ? executable + 1 : doctor->executable, 0) ||
                           !fnmatch(word, doctor->invoked, 0));
    free(words);
    return named;
}

static void say_only(struct doctor *doctor, enum finding finding)
{
    doctor_say(doctor, finding, "environment", "unset FUSELN_ONLY, or add the program to it",
               "FUSELN_ONLY=%s does not name this program (%s, run as %s)", getenv("FUSELN_ONLY"),
               strrchr(doctor->executable, '/') ? strrchr(doctor->executable, '/') + 1 : doctor->executable,
               doctor->invoked);
}

static void judge(struct doctor *doctor, const char *folder, const struct doctor_processes *processes)
{
    json_t *reports = doctor_reports_read(folder);
    if (json_array_size(reports) > 0)
        doctor_say_reports(doctor, reports, processes);
    else if (!is_named(doctor))
        say_only(doctor, FINDING_BAD);
    else
        doctor_say_silence(doctor, processes);
    json_decref(reports);
}

static void run_in(struct doctor *doctor, const char *folder)
{
    struct doctor_processes processes = {0};
    bool stopped;
    fflush(stdout);
    const pid_t root = fork();
    if (root < 0) {
        doctor_say(doctor, FINDING_BAD, CHECK, NULL, "the program could not be started: %s", strerror(errno));
        return;
    }
    if (root == 0)
        execute(doctor, folder);
    const int status = watch(doctor, root, &processes, &stopped);
    say_end(doctor, status, stopped);
    judge(doctor, folder, &processes);
    free(processes.list);
}

void doctor_run(struct doctor *doctor)
{
    const char *mode = getenv("FUSELN_MODE");
    char folder[PATH_MAX];
    if (!doctor->executable[0] || !doctor->library[0] || (mode && !strcmp(mode, "off"))) {
        doctor_say(doctor, FINDING_NOTE, CHECK, "first mend what is BAD above", "the program was not run");
        return;
    }
    if (doctor->no_run) {
        if (!is_named(doctor))
            say_only(doctor, FINDING_NOTE);
        return;
    }
    if (!fuseln_command_folder_make(folder, sizeof folder)) {
        doctor_say(doctor, FINDING_BAD, CHECK, "set TMPDIR to a folder that this user may write to", "%s: %s", folder,
                   strerror(errno));
        return;
    }
    signal(SIGINT, SIG_IGN); /* the program's to handle: the report is judged after it */
    signal(SIGQUIT, SIG_IGN);
    run_in(doctor, folder);
    fuseln_command_folder_remove(folder);
}
