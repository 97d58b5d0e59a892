/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the doctor tries what may crash, hang or end the process (doctor.h): in a child process, with a time limit.
 */
#include "tools/fuseln/doctor.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void *doctor_share(size_t size)
{
    void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        exit(fuseln_command_fail("fuseln doctor", 1, "no memory"));
    return shared;
}

static void work_in_child(void (*work)(void *shared), void *shared)
{
    const int null = open("/dev/null", O_RDWR);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (null >= 0) {
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
    }
    work(shared);
    _exit(0);
}

const char *doctor_apart(void (*work)(void *shared), void *shared, unsigned seconds)
{
    static char text[128];
    const struct timespec pause = {0, 5000000};
    int status = 0;
    fflush(stdout);
    const pid_t child = fork();
    if (child < 0)
        return "no process could be started for it";
    if (child == 0)
        work_in_child(work, shared);
    for (unsigned rounds = 0; waitpid(child, &status, WNOHANG) == 0; rounds++) {
        if (rounds > seconds * 200) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            snprintf(text, sizeof text, "it did not come back within %u s", seconds);
            return text;
        }
        nanosleep(&pause, NULL);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return NULL;
    if (WIFSIGNALED(status))
        snprintf(text, sizeof text, "it was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text, sizeof text, "it ended the process with exit code %d", WEXITSTATUS(status));
    return text;
}
