/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One function, cudaFree, for the order in which libraries are searched: each definition prints where it is.
 *
 *   -DRUNTIME, -DPLAIN   a runtime (linked with a version script), or another library's definition without a version
 *   -DIFUNC              the same by an IFUNC
 *   -DCALLS              int call(void): calls it
 *   -DASKS               looks it up before the program starts, as a preload in front does
 *   -DLINKED             a program that is linked to a library that calls
 *   -DPOINTER            a program that prints whether the address it was linked with is the one that dlsym finds
 *   -DOPENS              a program that opens libraries: +FILE into the global scope, -FILE into its own; ~FILE closes
 *                        FILE, ^ moves what is opened later to other addresses, ! calls
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int cudaFree(void *pointer), call(void);

#if defined RUNTIME || defined PLAIN
int cudaFree(void *pointer)
{
    (void)pointer;
    return puts(WHO) < 0;
}
#endif

#ifdef RUNTIME
int cudaRuntimeGetVersion(int *ret_version)
{
    *ret_version = 13000;
    return 0;
}
#endif

#ifdef IFUNC
static int definition(void *pointer)
{
    (void)pointer;
    return puts(WHO) < 0;
}
static void *resolve(void)
{
    return (void *)definition;
}
int cudaFree(void *pointer) __attribute__((ifunc("resolve")));
#endif

#ifdef CALLS
int call(void)
{
    return cudaFree(NULL);
}
#endif

#ifdef ASKS
static __attribute__((constructor)) void ask(void)
{
    puts(dlsym(RTLD_DEFAULT, "cudaFree") ? "found" : "nothing");
}
#endif

#ifdef LINKED
int main(void)
{
    return call();
}
#endif

#ifdef POINTER
int main(void)
{
    int (*volatile function)(void *) = cudaFree;
    puts(dlsym(RTLD_DEFAULT, "cudaFree") == (void *)function ? "same" : "different");
    return function(NULL);
}
#endif

#ifdef OPENS
int main(int argc, char **argv)
{
    int (*function)(void) = NULL;
    for (int i = 1; i < argc; i++) {
        const char what = argv[i][0], *file = argv[i] + 1;
        void *handle = strchr("+-~", what) ? dlopen(file, what == '-' ? RTLD_NOW : RTLD_NOW | RTLD_GLOBAL) : NULL;
        if (what == '~')
            dlclose(handle), dlclose(handle);
        else if (handle && dlsym(handle, "call"))
            *(void **)&function = dlsym(handle, "call");
        else if (what == '!')
            function();
        for (int k = 0; what == '^' && k < 64; k++)
            mmap(NULL, 1 << 14, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    return 0;
}
#endif
