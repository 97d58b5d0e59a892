/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may crash, hang or end the process is tried in a child process (doctor.h).
 */
#include "tools/fuseln/doctor.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

const char *doctor_child_failure(int status)
{
    static char text[128];
    if (WIFSIGNALED(status))
        snprintf(text, sizeof text, "was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text, sizeof text, "ended with exit code %d", WEXITSTATUS(status));
    return status ? text : NULL;
}

void *doctor_share(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        exit(fuseln_fail(1, "out of memory"));
    return memory;
}

/* An alarm ends it in time, whatever is blocked or ignored here; if we end first, it ends with us. */
static void limit(unsigned seconds)
{
    const int null = open("/dev/null", O_RDWR);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGALRM, SIG_DFL);
    alarm(seconds);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
}

const char *doctor_try(void (*work)(void *argument), void *argument, unsigned seconds)
{
    int status = 0;
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        limit(seconds);
        work(argument);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return "could not be tried in a process of its own";
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        return "did not come back in time";
    return doctor_child_failure(status);
}
