/* SPDX-License-Identifier: Apache-2.0 */
/*
 * register FILE: registers every kernel name in FILE (one a line), as a library's constructor does, each with its own
 * host function, and prints how many milliseconds that took.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void __cudaRegisterFunction(void **fatbin, const char *host, char *device, const char *name, int threads, void *tid,
                            void *bid, void *block, void *grid, int *warp);

enum { NAMES_MAX = 1 << 16 };
static char host_functions[NAMES_MAX];
static char *names[NAMES_MAX];

int main(int argc, char **argv)
{
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    char *line = NULL;
    size_t capacity = 0, count = 0;
    struct timespec begin, end;
    void *fatbin = NULL;

    if (!file)
        return 2;
    while (count < NAMES_MAX && getline(&line, &capacity, file) > 0) {
        line[strcspn(line, "\n")] = 0;
        names[count++] = strdup(line);
    }
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (size_t i = 0; i < count; i++)
        __cudaRegisterFunction(&fatbin, &host_functions[i], names[i], names[i], -1, NULL, NULL, NULL, NULL, NULL);
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%zu %.4f\n", count,
           (double)(end.tv_sec - begin.tv_sec) * 1e3 + (double)(end.tv_nsec - begin.tv_nsec) / 1e6);
    return 0;
}
