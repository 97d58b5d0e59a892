/*
 * spawn COUNT PROGRAM [ARGUMENT...]: runs PROGRAM COUNT times with LD_PRELOAD=$SPAWN_PRELOAD and COUNT times without,
 * in turn, and prints the median microseconds of each: without, with. In turn, so that both see the same machine.
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

static int compare(const void *a, const void *b)
{
    return *(const double *)a < *(const double *)b ? -1 : 1;
}

int main(int argc, char **argv)
{
    const int count = argc > 2 ? atoi(argv[1]) : 0;
    const char *preload = getenv("SPAWN_PRELOAD");
    char variable[4096], *with[] = {variable, NULL}, *without[] = {NULL};
    double *us = calloc(2 * (size_t)count, sizeof(double));

    if (count < 1 || !preload || !us)
        return 2;
    snprintf(variable, sizeof(variable), "LD_PRELOAD=%s", preload);
    for (int i = 0; i < count; i++) {
        us[i] = run(argv + 2, without);
        us[count + i] = run(argv + 2, with);
    }
    qsort(us, (size_t)count, sizeof(double), compare);
    qsort(us + count, (size_t)count, sizeof(double), compare);
    printf("%.2f %.2f\n", us[count / 2], us[count + count / 2]);
    return 0;
}
