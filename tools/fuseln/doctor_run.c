/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor runs the program with fuseln, and looks at its processes meanwhile. Every process writes its report into a
 * temporary folder; the program's output goes to stderr.
 */
#include "tools/fuseln/doctor.h"

#include "base/config.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK "run"

struct run {
    struct doctor *doctor;
    char folder[PATH_MAX]; /* for reports */
    sigset_t signals;      /* that end the doctor, and the program with it */
    struct doctor_processes processes;
    bool stopped;      /* we ended the program */
    int signal_number; /* that came for us; 0: none */
};

/* In the child. The log tells at the first launch that the preload is in effect. */
static void execute(const struct run *run)
{
    char **program = run->doctor->program, *report = fuseln_command_report_in(run->folder);
    fuseln_command_signals_return();
    dup2(STDERR_FILENO, STDOUT_FILENO);
    if (report)
        setenv("FUSELN_REPORT", report, 1);
    setenv("FUSELN_LOG", "info", 1);
    fuseln_command_set_preload(run->doctor->library);
    execvp(program[0], program);
    fuseln_command_fail(program_invocation_name, 1, "%s: %s", program[0], strerror(errno));
    _exit(127);
}

/* Those that end us, if they are not ignored here. From the terminal they reach the program by themselves, and its
 * report is read after it; whoever sends one to the doctor alone wants both of us gone. */
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

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Short-lived processes come early: look often at first, but for no more than a fifth of the time. Returns the signal
 * that came for us, or 0. */
static int pause_after(double age, double look, const sigset_t *signals)
{
    siginfo_t signal;
    const double least = age < 1 ? 0.002 : age < 10 ? 0.02 : 0.25, pause = 4 * look > least ? 4 * look : least;
    const struct timespec time = {(time_t)pause, (long)((pause - (double)(time_t)pause) * 1e9)};
    return sigtimedwait(signals, &signal, &time) > 0 && signal.si_code != SI_KERNEL ? signal.si_signo : 0;
}

/* Waits for the program. When its time is over or a signal came for us, it is stopped: by SIGTERM, 5 s later by
 * SIGKILL. Returns its status. */
static int wait_for(struct run *run)
{
    const double start = now_seconds();
    double limit = run->doctor->seconds;
    int status = 0, signal_number = SIGTERM;
    while (waitpid(run->processes.root, &status, WNOHANG) == 0) {
        const double before = now_seconds(), age = before - start;
        doctor_processes_look(&run->processes);
        if (limit > 0 && age > limit) {
            doctor_processes_kill(&run->processes, signal_number);
            run->stopped = true;
            signal_number = SIGKILL;
            limit = age + 5;
        }
        const int came = pause_after(age, now_seconds() - before, &run->signals);
        if (came && !run->signal_number) {
            run->signal_number = came;
            limit = 1e-9; /* over */
        }
    }
    return status;
}

static void say_end(struct doctor *doctor, int status, bool stopped)
{
    const char *failure = doctor_child_failure(status);
    if (stopped)
        doctor_say(doctor, FINDING_OK, CHECK, NULL, "the program was stopped after %u s", doctor->seconds);
    else if (failure)
        doctor_say(doctor, FINDING_NOTE, CHECK, "see whether it does without fuseln too: FUSELN_MODE=off",
                   "the program %s", failure);
}

/* Says so, and returns true, where FUSELN_ONLY keeps fuseln out of the program. */
static bool say_not_named(struct doctor *doctor, enum finding finding)
{
    const char *only = getenv("FUSELN_ONLY"), *executable = basename(doctor->executable),
               *invoked = basename(doctor->invoked);
    if (!only || fuseln_config_names(only, executable, invoked))
        return false;
    doctor_say(doctor, finding, "environment", "unset FUSELN_ONLY, or add the program to it",
               "FUSELN_ONLY=%s does not name this program (%s, run as %s)", only, executable, invoked);
    return true;
}

static void run_program(struct run *run)
{
    struct doctor *doctor = run->doctor;
    const pid_t root = doctor_child();
    if (root == 0)
        execute(run);
    if (root < 0) {
        doctor_say(doctor, FINDING_BAD, CHECK, NULL, "the program could not be started: %s", strerror(errno));
        return;
    }
    run->processes = (struct doctor_processes){.root = root, .library = doctor->library};
    const int status = wait_for(run);
    if (run->signal_number)
        return;
    say_end(doctor, status, run->stopped);
    if (!doctor_say_reports(doctor, run->folder) && !say_not_named(doctor, FINDING_BAD))
        doctor_say_no_report(doctor, &run->processes);
    doctor_say_files(doctor, &run->processes);
}

void doctor_check_run(struct doctor *doctor)
{
    const char *mode = getenv("FUSELN_MODE");
    struct run run = {.doctor = doctor, .signals = ending_signals()};
    sigset_t before;
    if (!*doctor->executable || !*doctor->library || (mode && !strcmp(mode, "off"))) {
        doctor_say(doctor, FINDING_NOTE, CHECK, "first fix what is BAD above", "the program was not run");
        return;
    }
    if (doctor->no_run) {
        say_not_named(doctor, FINDING_NOTE);
        return;
    }
    sigprocmask(SIG_BLOCK, &run.signals, &before);
    if (fuseln_command_folder_make(run.folder)) {
        run_program(&run);
        fuseln_command_folder_remove(run.folder);
        free(run.processes.list);
    } else {
        doctor_say(doctor, FINDING_BAD, CHECK, "set TMPDIR to a folder that this user may write to",
                   "no folder for reports in TMPDIR or /tmp: %s", strerror(errno));
    }
    if (run.signal_number)
        exit(fuseln_command_end_by(run.signal_number));
    sigprocmask(SIG_SETMASK, &before, NULL);
}
