/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CUDA library, a preload library that interposes all its functions, and a program that calls each: built from the
 * list of names that fuseln exports (names.h, made by test_interposers.py: NAMES(X) is X(name) for each of one
 * boundary, OWN(X) for those that fuseln calls itself and the program does not: fuseln must not reach a definition
 * without a version there). Each function of the library and of the interposer counts its calls; at exit it prints
 * them, in lines of "WHO name count".
 *
 *   -DLIBRARY              the runtime or driver: answers 0
 *   -DINTERPOSER           goes on by dlsym(RTLD_NEXT, name); with -DNODE="node" by dlvsym, and with -DHIDDEN only
 *                          a reference with that version binds to it, as to fuseln
 *   -DCALLER=function      int function(void): calls every name; launches a layer norm and another kernel by each
 *                          function that launches
 *   -DPROGRAM              calls every CALLER that it is linked to
 */
#include "launches.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "names.h"

#define PARAMETERS long a, long b, long c, long d, long e, long f, long g, long h, long i, long j, long k
#define ARGUMENTS  a, b, c, d, e, f, g, h, i, j, k
typedef long any(PARAMETERS);

#if defined LIBRARY || defined INTERPOSER

#if defined LIBRARY || defined NODE
#define COUNTED(X) NAMES(X)
#else
#define COUNTED(X) NAMES(X) OWN(X)
#endif
#define X(name) COUNT_##name,
enum { COUNTED(X) COUNTS };
#undef X
static unsigned counts[COUNTS];

static __attribute__((destructor)) void say(void)
{
#define X(name) #name,
    static const char *const names[] = {COUNTED(X)};
#undef X
    for (int n = 0; n < COUNTS; n++)
        printf(WHO " %s %u\n", names[n], counts[n]);
}

#ifdef LIBRARY
/* A kernel's handle is what it is looked up in, function or module; no function is found by its name. */
static long answer(const char *name, long ret, long of)
{
    if (strstr(name, "GetKernel") || strstr(name, "GetFunction"))
        *(long *)ret = of;
    else if (strstr(name, "EntryPoint") || strstr(name, "GetProc"))
        *(long *)of = 0;
    return 0;
}
#define X(name)                     \
    long name(PARAMETERS)           \
    {                               \
        counts[COUNT_##name]++;     \
        return answer(#name, a, b); \
    }
#else
#ifdef NODE
#define NEXT(name) dlvsym(RTLD_NEXT, name, NODE)
#else
#define NEXT(name) dlsym(RTLD_NEXT, name)
#endif
#ifdef HIDDEN
#define DEFINED(name)                                                \
    __asm__(".symver hidden_" #name ", " #name "@" NODE ", remove"); \
    long hidden_##name
#else
#define DEFINED(name) long name
#endif
#define X(name)                            \
    DEFINED(name)(PARAMETERS)              \
    {                                      \
        static any *next;                  \
        if (!next)                         \
            *(void **)&next = NEXT(#name); \
        counts[COUNT_##name]++;            \
        return next(ARGUMENTS);            \
    }
#endif
COUNTED(X)
#undef X

#ifdef EXTRA /* what a runtime has besides, and fuseln asks for */
int cudaGetDevice(int *ret_device)
{
    return *ret_device = 0;
}
int cudaRuntimeGetVersion(int *ret_version)
{
    *ret_version = EXTRA;
    return 0;
}
#endif

#elif defined CALLER

#define X(name) any name;
NAMES(X)
#undef X

static char kernels[2], memory[4096]; /* host functions of a layer norm and another one; any other address */
static const char *const kernel_names[] = {SYMBOL, "_Z5otherv"};

static int is(const char *name, const char *of)
{
    return strncmp(name, of, strlen(of)) == 0;
}

static void launch(const char *name, any *function, void *kernel)
{
    static const struct dim3 grid = {5, 1, 1}, block = {32, 4, 1};
    struct config config = {grid, block, 0, NULL, NULL, 0};
    struct driver_config driver_config = {{5, 1, 1}, {32, 4, 1}, 0, NULL, NULL, 0};
    if (is(name, "cudaLaunchKernelExC"))
        ((runtime_launch_ex *)function)(&config, kernel, launch_args);
    else if (is(name, "cuLaunchKernelEx"))
        ((driver_launch_ex *)function)(&driver_config, kernel, launch_args, NULL);
    else if (is(name, "cuLaunch"))
        ((driver_launch *)function)(kernel, 5, 1, 1, 32, 4, 1, 0, NULL, launch_args, NULL);
    else
        ((runtime_launch *)function)(kernel, grid, block, launch_args, 0, NULL);
}

static void call(const char *name, any *function)
{
    const long at = (long)memory;
    if (strstr(name, "LaunchKernel") || (strstr(name, "CooperativeKernel") && !strstr(name, "MultiDevice")))
        for (int n = 0; n < 2; n++)
            launch(name, function, &kernels[n]);
    else if (is(name, "__cudaRegisterFunction"))
        for (int n = 0; n < 2; n++)
            ((register_function *)function)(memory, &kernels[n], "kernel", kernel_names[n], -1, NULL, NULL, NULL, NULL,
                                            NULL);
    else if (strstr(name, "GetKernel") || strstr(name, "ModuleGetFunction"))
        for (int n = 0; n < 2; n++)
            function(at, (long)&kernels[n], (long)kernel_names[n], 0, 0, 0, 0, 0, 0, 0, 0);
    else if (strstr(name, "EntryPoint") || strstr(name, "GetProc"))
        function((long)"cuInit", at, 12000, 0, at + 64, 0, 0, 0, 0, 0, 0);
    else if (strstr(name, "GetFunction"))
        function(at, (long)&kernels[1], 0, 0, 0, 0, 0, 0, 0, 0, 0);
    else
        function(at, at, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}

/* The order of the calls: what makes handles first, what unloads them last. */
static int rank_of(const char *name)
{
    return strstr(name, "Register") || strstr(name, "GetKernel") || strstr(name, "ModuleGetFunction") ? 0
           : strstr(name, "Unload") || strstr(name, "Unregister")                                     ? 2
                                                                                                      : 1;
}

int CALLER(void);
int CALLER(void)
{
    static const struct {
        const char *name;
        any *function;
    } functions[] = {
#define X(name) {#name, name},
        NAMES(X)
#undef X
    };
    for (int rank = 0; rank < 3; rank++)
        for (size_t n = 0; n < sizeof functions / sizeof functions[0]; n++)
            if (rank_of(functions[n].name) == rank)
                call(functions[n].name, functions[n].function);
    return 0;
}

#else

int call_11(void) __attribute__((weak)), call_12(void) __attribute__((weak)), call_13(void) __attribute__((weak)),
    call_driver(void) __attribute__((weak));
int main(void)
{
    int (*const callers[])(void) = {call_11, call_12, call_13, call_driver};
    dlopen("libcuda.so.1", RTLD_NOW); /* what launches of fuseln's go to */
    for (int n = 0; n < 4; n++)
        if (callers[n])
            callers[n]();
    return 0;
}
#endif
