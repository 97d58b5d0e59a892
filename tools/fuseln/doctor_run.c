/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor runs the program with fuseln, and looks at its processes meanwhile. Every process writes its report into a
 * temporary folder; the program's output goes to stderr.
 */
#include "tools/fuseln/doctor.h"

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

static void execute(const struct doctor *doctor, const char *folder)
{
    char *report = fuseln_command_report_in(folder);
    fuseln_command_signals_return();
    dup2(STDERR_FILENO, STDOUT_FILENO);
    if (report)
        setenv("FUSELN_REPORT", report, 1);
    setenv("FUSELN_LOG", "info", 1);
    fuseln_command_set_preload(doctor->library);
    execvp(doctor->program[0], doctor->program);
    fuseln_command_fail(doctor->name, 1, "%s: %s", doctor->program[0], strerror(errno));
    _exit(127);
}

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Those that end us, if they are not ignored here. From the terminal they reach the program by themselves, and its
 * report is judged after it; whoever sends one to the doctor alone wants both of us gone. */
static sigset_t ending_signals(void)
{
    static const int numbers[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
    struct sigaction action;
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&set, numbers[i]);
    return set;
}

/* Short-lived processes come early: look often at first. Returns the signal that came for us, or 0. */
static int pause_after(double age, double look, const sigset_t *signals)
{
    siginfo_t signal;
    double pause = age < 1 ? 0.002 : age < 10 ? 0.02 : 0.25;
    if (pause < 4 * look)
        pause = 4 * look;
    const struct timespec time = {(time_t)pause, (long)((pause - (double)(time_t)pause) * 1e9)};
    return sigtimedwait(signals, &signal, &time) > 0 && signal.si_code != SI_KERNEL ? signal.si_signo : 0;
}

struct ending {
    bool stopped;      /* we ended the program */
    int signal_number; /* that came for us; 0: none */
};

static void stop(const struct doctor_processes *processes, pid_t root, int number)
{
    for (size_t i = 0; i < processes->count; i++)
        if (processes->list[i].running && processes->list[i].pid != root)
            kill(processes->list[i].pid, number);
    kill(root, number);
}

/* Waits for the program, and stops it when its time is over or a signal came for us. Returns its status. */
static int watch(const struct doctor *doctor, pid_t root, struct doctor_processes *processes, struct ending *ret_ending)
{
    const sigset_t signals = ending_signals();
    const double start = now_seconds();
    double limit = doctor->seconds;
    int status = 0, signal_number = SIGTERM;
    *ret_ending = (struct ending){0};
    while (waitpid(root, &status, WNOHANG) == 0) {
        const double before = now_seconds(), age = before - start;
        doctor_watch(processes, root, doctor->library);
        if (limit > 0 && age > limit) {
            stop(processes, root, signal_number);
            ret_ending->stopped = true;
            signal_number = SIGKILL;
            limit = age + 5;
        }
        const int came = pause_after(age, now_seconds() - before, &signals);
        if (came && !ret_ending->signal_number) {
            ret_ending->signal_number = came;
            limit = 1e-9; /* over */
        }
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

/* Does FUSELN_ONLY, if it is set, name the program? As src/base/config.c asks. */
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

/* Returns the signal that is to end us, or 0. */
static int run_in(struct doctor *doctor, const char *folder)
{
    struct doctor_processes processes = {0};
    struct ending ending;
    fflush(stdout);
    const pid_t root = fork();
    if (root < 0) {
        doctor_say(doctor, FINDING_BAD, CHECK, NULL, "the program could not be started: %s", strerror(errno));
        return 0;
    }
    if (root == 0)
        execute(doctor, folder);
    const int status = watch(doctor, root, &processes, &ending);
    if (!ending.signal_number) {
        say_end(doctor, status, ending.stopped);
        judge(doctor, folder, &processes);
    }
    free(processes.list);
    return ending.signal_number;
}

void doctor_run(struct doctor *doctor)
{
    const char *mode = getenv("FUSELN_MODE");
    char folder[PATH_MAX];
    sigset_t before;
    if (!doctor->executable[0] || !doctor->library[0] || (mode && !strcmp(mode, "off"))) {
        doctor_say(doctor, FINDING_NOTE, CHECK, "first mend what is BAD above", "the program was not run");
        return;
    }
    if (doctor->no_run) {
        if (!is_named(doctor))
            say_only(doctor, FINDING_NOTE);
        return;
    }
    const sigset_t signals = ending_signals();
    sigprocmask(SIG_BLOCK, &signals, &before);
    if (!fuseln_command_folder_make(folder)) {
        doctor_say(doctor, FINDING_BAD, CHECK, "set TMPDIR to a folder that this user may write to",
                   "no folder for reports in TMPDIR or /tmp: %s", strerror(errno));
        sigprocmask(SIG_SETMASK, &before, NULL);
        return;
    }
    const int signal_number = run_in(doctor, folder);
    fuseln_command_folder_remove(folder);
    if (signal_number)
        exit(fuseln_command_end_by(signal_number));
    sigprocmask(SIG_SETMASK, &before, NULL);
}
