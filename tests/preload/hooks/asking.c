/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a library's own look-ups find: for each name of NAMES (names.h), by RTLD_NEXT, RTLD_DEFAULT, dlvsym and its own
 * handle, the file that the answer lies in.
 *
 *   -DASK=function   int function(void): prints all answers, in lines of "WHO way name file"
 *   -DDRIVER         a libcuda.so.1 that defines all of NAMES, with -DPOOR none; its cuInit prints the answers. With
 *                    -DINNER="file" a shim that asks that library for each of them
 *   -DPROGRAM        calls the function of the library that it is linked to, or of the one that it opens: MODE LIBRARY
 */
#include "../../object_of.h"

#include <stdio.h>

#ifdef PROGRAM

#ifndef CALLED
#define CALLED "ask_driver"
#endif

int ask(void) __attribute__((weak)), cuInit(void) __attribute__((weak));
int main(int argc, char **argv)
{
    int (*function)(void) = ask ? ask : cuInit;
    if (argc > 2) /* MODE LIBRARY */
        *(void **)&function = dlsym(dlopen(argv[2], RTLD_LAZY | (*argv[1] == 'g' ? RTLD_GLOBAL : RTLD_LOCAL)), CALLED);
    return function();
}

#else

#include "names.h"

static const char *file_of(void *function)
{
    return function ? object_of(function) : dlerror() ? "nothing" : "nothing, without an error";
}

#ifdef DRIVER
#ifndef POOR
#define X(name)    \
    int name(void) \
    {              \
        return 0;  \
    }
NAMES(X)
#undef X
#endif
#define ASK ask_driver
#endif

int ASK(void);
int ASK(void)
{
    static const char *const names[] = {
#define X(name) #name,
        NAMES(X)
#undef X
            "cudaMalloc",
        "cuNoSuchFunction",
        "cudaNoSuchFunction",
    };
    Dl_info info;
    dladdr((void *)ASK, &info);
    void *const self = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
#ifdef INNER
    void *const inner = dlopen(INNER, RTLD_NOW);
    int (*ask_inner)(void);
    *(void **)&ask_inner = dlsym(inner, "ask_driver");
    ask_inner();
#endif
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        printf("%s next %s %s\n", WHO, names[i], file_of(dlsym(RTLD_NEXT, names[i])));
        printf("%s default %s %s\n", WHO, names[i], file_of(dlsym(RTLD_DEFAULT, names[i])));
        printf("%s itself %s %s\n", WHO, names[i], file_of(dlsym(self, names[i])));
        printf("%s version %s %s\n", WHO, names[i], file_of(dlvsym(self, names[i], "libcudart.so.13")));
#ifdef INNER
        printf("%s inner %s %s\n", WHO, names[i], file_of(dlsym(inner, names[i])));
#endif
    }
    return 0;
}
#ifdef DRIVER
int cuInit(void);
int cuInit(void)
{
    return ASK();
}
#endif
#endif
