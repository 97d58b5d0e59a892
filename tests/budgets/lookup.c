/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup NAME COUNT: asks dlsym COUNT times for a function of the stand-in libcuda, or of the C library where NAME does
 * not begin with "cu".
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    static char name[256] __attribute__((aligned(64))); /* strcmp's cost depends on its alignment */
    if (argc != 3)
        return 2;
    strncpy(name, argv[1], sizeof name - 1);
    void *library = dlopen(strncmp(name, "cu", 2) == 0 ? "libcuda.so.1" : "libc.so.6", RTLD_NOW);
    if (!library)
        return 1;
    for (long i = atol(argv[2]); i > 0; i--)
        dlsym(library, name);
    return 0;
}
