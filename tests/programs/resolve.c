/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve: asks the driver's resolver for each name of its input, at every version and with every flag, and prints
 * result, status and the library that the answer lies in. Linked to no CUDA library.
 */
#include "../object_of.h"

#include <stdint.h>
#include <stdio.h>

typedef int resolver(const char *name, void **ret_function, int version, uint64_t flags, int *ret_status);

int main(void)
{
    static const int versions[] = {0,     2000,  4000,  6050,  7000,  8000,  9000,  10000, 11000, 11020, 11030,
                                   11040, 11060, 12000, 12020, 12030, 12040, 12050, 12080, 13000, 99000};
    void *libcuda = dlopen("libcuda.so.1", RTLD_NOW);
    resolver *ask = libcuda ? (resolver *)dlsym(libcuda, "cuGetProcAddress_v2") : NULL;
    char name[256];

    while (ask && fgets(name, sizeof name, stdin)) {
        name[strcspn(name, "\n")] = '\0';
        for (size_t v = 0; v < sizeof versions / sizeof versions[0]; v++)
            for (uint64_t flags = 0; flags < 3; flags++) {
                void *function = NULL;
                int status = -1;
                const int result = ask(name, &function, versions[v], flags, &status);
                printf("%s %d %d: %d %d %s\n", name, versions[v], (int)flags, result, status, object_of(function));
            }
    }
    return ask == NULL;
}
