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
    const struct doctor *doctor;
    sigset_t signals; /* that end the doctor, and the program with it */
    struct doctor_processes processes;
    bool stopped;      /* we ended the program */
    int signal_number; /* that came for us; 0: none */
};

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

static void say_end(const struct run *run, int status)
{
    const char *failure = doctor_child_failure(status);
    if (run->stopped)
        doctor_say(OK, CHECK, NULL, "the program was stopped after %u s", run->doctor->seconds);
    else if (failure)
        doctor_say(NOTE, CHECK, "see whether it does without fuseln too: FUSELN_MODE=off", "the program %s", failure);
}

/* Says so, and returns true, where FUSELN_ONLY keeps fuseln out of the program. */
static bool say_not_named(const struct doctor *doctor, enum finding finding)
{
    const char *only = getenv("FUSELN_ONLY"), *executable = basename(doctor->executable),
               *invoked = basename(doctor->invoked);
    if (!only || fuseln_config_names(only, executable, invoked))
        return false;
    doctor_say(finding, "environment", "unset FUSELN_ONLY, or add the program to it",
               "FUSELN_ONLY=%s does not name this program (%s, run as %s)", only, executable, invoked);
    return true;
}

static void say_run(const struct run *run, int status, const char *folder)
{
    say_end(run, status);
    if (!doctor_say_reports(folder) && !say_not_named(run->doctor, BAD))
        doctor_say_no_report(&run->processes);
    doctor_say_files(&run->processes);
}

/* The log tells at the first launch that the preload is in effect. */
static void run_program(struct run *run, const char *folder)
{
    setenv("FUSELN_LOG", "info", 1);
    fuseln_start_set_preload(run->doctor->library);
    const int error = fuseln_start(run->doctor->program, true, &run->processes.root);
    const int status = error ? 0 : wait_for(run);
    if (error)
        doctor_say(BAD, CHECK, "see whether it starts without fuseln", "the program could not be started: %s",
                   strerror(error));
    else if (!run->signal_number)
        say_run(run, status, folder);
}

void doctor_check_run(const struct doctor *doctor)
{
    const char *mode = getenv("FUSELN_MODE");
    char folder[PATH_MAX];
    struct run run = {.doctor = doctor,
                      .signals = ending_signals(),
                      .processes = {.library = doctor->library, .cuda = json_object()}};
    if (!*doctor->executable || !*doctor->library || (mode && !strcmp(mode, "off"))) {
        doctor_say(NOTE, CHECK, "first fix what is BAD above", "the program was not run");
    } else if (doctor->no_run) {
        say_not_named(doctor, NOTE);
    } else if (!fuseln_start_folder(folder)) {
        doctor_say(BAD, CHECK, "set TMPDIR to a folder that this user may write to",
                   "no folder for reports in TMPDIR or /tmp: %s", strerror(errno));
    } else {
        sigprocmask(SIG_BLOCK, &run.signals, NULL);
        run_program(&run, folder);
        fuseln_start_remove(folder);
        if (run.signal_number)
            exit(fuseln_start_end_by(run.signal_number));
    }
}
