/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every noticed function (hooks/names.h), called between the two halves of a backward. Built as the rest of a
 * runtime (-DRUNTIME=its version) and of a driver (-DDRIVER), and as the program: -DCLIENT of a runtime, with -DLINKED
 * or -DASKED of the driver. The program prints the name of each function after which the sums were still consumed, with
 * who called it (another thread with "another" stream, the "same" one or the "default" stream in all its arguments;
 * none: the thread itself), or that did not get its arguments; last, how many there were, and "ok" if nothing else
 * invalidates the sums.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#include "hooks/names.h"

#define PARAMETERS long a, long b, long c, long d, long e, long f, long g, long h, long i
#define WEIGHTED   (a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i)
#define ARGUMENTS  1, 2, 3, 4, 5, 6, 7, 8, 9
enum { WANTED = 1 + 4 + 9 + 16 + 25 + 36 + 49 + 64 + 81 };

#if defined RUNTIME || defined DRIVER

#define X(name, reach)    \
    long name(PARAMETERS) \
    {                     \
        return WEIGHTED;  \
    }
#ifdef DRIVER
FUSELN_DRIVER_NOTICED(X)
#else
FUSELN_CUDART_NOTICED(X)

int cudaRuntimeGetVersion(int *ret_version)
{
    *ret_version = RUNTIME;
    return 0;
}
int cudaGetDriverEntryPoint(const char *name, void **ret_function, unsigned long long flags)
{
    (void)flags;
    *ret_function = dlsym(dlopen("libcuda.so.1", RTLD_NOW), name);
    return *ret_function ? 0 : 500;
}
#endif

#else

#include "layer_norms.h"

typedef long any(PARAMETERS);
int cudaGetDevice(int *ret_device);
int cudaGetDriverEntryPoint(const char *name, void **ret_function, unsigned long long flags);

#ifdef CLIENT
#define FUNCTIONS(X) FUSELN_CUDART_NOTICED(X)
#else
#define FUNCTIONS(X) FUSELN_DRIVER_NOTICED(X)
#endif
#ifdef ASKED
#define LINKED_OR_NULL(name) NULL
#else
#define LINKED_OR_NULL(name) name
#define X(name, reach)       any name;
FUNCTIONS(X)
#undef X
#endif

static const struct {
    const char *name;
    any *function;
} functions[] = {
#define X(name, reach) {#name, LINKED_OR_NULL(name)},
    FUNCTIONS(X)
#undef X
};

static const struct kernel *halves[2]; /* a backward's dx and dgamma; their host functions too */
static unsigned long *launches;
enum { DEFAULT = 0, SAME = 0x1000, ANOTHER = 0x2000 }; /* streams; the halves' is SAME */

/* Launches one half and returns how many launches it became. */
static unsigned long launch(int half)
{
    const unsigned long before = *launches;
    cudaLaunchKernel(halves[half], halves[half]->grid, halves[half]->block, (void **)halves[half]->args, 0,
                     (void *)SAME);
    return *launches - before;
}

struct call {
    any *function;
    long stream, result;
};

static void *call_elsewhere(void *argument)
{
    struct call *call = argument;
    const long stream = call->stream;
    call->result = call->function(stream, stream, stream, stream, stream, stream, stream, stream, stream);
    return NULL;
}

/* DX, something, DGAMMA: is that a pair? Two pairs before it, so that sums are made. */
static int is_pair(any *between, long *ret_result)
{
    for (int i = 0; i < 2; i++) {
        launch(0);
        launch(1);
    }
    const unsigned long first = launch(0);
    *ret_result = between ? between(ARGUMENTS) : 0;
    return first == 1 && launch(1) == 1;
}

static int is_pair_elsewhere(any *between, long stream)
{
    struct call call = {between, stream, 0};
    pthread_t thread;
    const unsigned long first = launch(0);
    pthread_create(&thread, NULL, call_elsewhere, &call);
    pthread_join(thread, NULL);
    return (first == 1 && launch(1) == 1) || call.result != (1 + 9) * 9 / 2 * stream;
}

int main(void)
{
    void *const libcuda = dlopen("libcuda.so.1", RTLD_NOW);
    void *fatbin, *entry = NULL;
    const size_t count = sizeof functions / sizeof functions[0];
    long result;
    int device;

    launches = dlsym(libcuda, "stand_in_driver_launches");
    for (int i = 0; i < 2; i++) {
        const char *const function = (const char *)(halves[i] = kernel_named(i ? "dgamma" : "dx"));
        __cudaRegisterFunction(&fatbin, function, NULL, halves[i]->name, -1, NULL, NULL, NULL, NULL, NULL);
    }
    for (size_t i = 0; i < count; i++) {
        any *function = functions[i].function;
        if (!function)
            *(void **)&function = dlsym(libcuda, functions[i].name);
        if (is_pair(function, &result) || result != WANTED)
            printf("%s\n", functions[i].name);
        static const struct {
            const char *name;
            long stream;
        } streams[] = {{"another", ANOTHER}, {"same", SAME}, {"default", DEFAULT}};
        launch(0), launch(1);
        for (size_t j = 0; j < 3; j++)
            if (is_pair_elsewhere(function, streams[j].stream))
                printf("%s %s\n", functions[i].name, streams[j].name);
    }
    cudaGetDriverEntryPoint("cuMemsetD8Async", &entry, 0);
    const int asked = is_pair((any *)entry, &result);
    cudaGetDevice(&device);
    printf("%zu %s\n", count, !asked && is_pair(NULL, &result) ? "ok" : "wrong");
    return 0;
}
#endif
