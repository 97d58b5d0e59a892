/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn COUNT PROGRAM [ARGUMENT...]: runs PROGRAM COUNT times, with LD_PRELOAD=$SPAWN_PRELOAD where that is set, and
 * prints the least microseconds of one.
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double run(char **argv, char **env)
{
    struct timespec begin, end;
    pid_t pid;
    int status;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (posix_spawn(&pid, argv[0], NULL, NULL, argv, env) != 0 || waitpid(pid, &status, 0) != pid || status != 0)
        exit(2);
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (double)(end.tv_sec - begin.tv_sec) * 1e6 + (double)(end.tv_nsec - begin.tv_nsec) / 1e3;
}

int main(int argc, char **argv)
{
    const int count = argc > 2 ? atoi(argv[1]) : 0;
    const char *preload = getenv("SPAWN_PRELOAD");
    char variable[4096], *env[] = {preload && *preload ? variable : NULL, NULL};
    double least = 1e9;

    if (count < 1)
        return 2;
    snprintf(variable, sizeof(variable), "LD_PRELOAD=%s", preload ? preload : "");
    for (int i = 0; i < count; i++) {
        const double us = run(argv + 2, env);
        least = us < least ? us : least;
    }
    printf("%.2f\n", least);
    return 0;
}
