/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch WHAT COUNT: makes COUNT launches as a program built by nvcc does, on the stand-in libraries, and prints
 * nanoseconds a launch, then what happened in all of them but the first 1000: driver calls, driver launches,
 * allocations. WHAT: foreign (cudaLaunchKernel), foreign13 (__cudaLaunchKernel), foreign-ex (cudaLaunchKernelExC),
 * foreign-driver (cuLaunchKernel, as dlsym returns it), foreign-driver-ex (cuLaunchKernelEx), pair (dx, then its
 * dgamma, a launch each), or a kernel of layer_norms.h.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../faults/layer_norms.h"

int __cudaGetKernel(void **ret_kernel, const void *function);
runtime_launch __cudaLaunchKernel;
extern unsigned long stand_in_driver_calls, stand_in_driver_launches; /* stand_in.h */

static unsigned long allocations;
void *__libc_malloc(size_t bytes);
void *malloc(size_t bytes)
{
    allocations++;
    return __libc_malloc(bytes);
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

#define STREAM \
    ((void *)0x5000) /* no default stream: there a reduction is launched with an attribute, which costs more */

static const char host_function[1], partner_function[1], other_function[1];

static void prepare(const struct kernel *kernel, const char *function, void **ret_handle)
{
    __cudaRegisterFunction(ret_handle, function, NULL, kernel->name, -1, NULL, NULL, NULL, NULL, NULL);
    __cudaGetKernel(ret_handle, function);
}

/* Functions of their own, so that callgrind can count their instructions: a kernel, and what follows it in a pair. */
static __attribute__((noinline)) void launch_one(const struct kernel *kernel, void *handle)
{
    __cudaLaunchKernel(handle, kernel->grid, kernel->block, (void **)kernel->args, 0, STREAM);
}
static const struct kernel *partner;
static __attribute__((noinline)) void launch_partner(void *handle)
{
    __cudaLaunchKernel(handle, partner->grid, partner->block, (void **)partner->args, 0, STREAM);
}

static void *of_driver(const char *name)
{
    return dlsym(dlopen("libcuda.so.1", RTLD_NOW), name);
}

static void launch(const char *what, const struct kernel *kernel, void *handle, long count)
{
    void **args = (void **)kernel->args;
    const struct config config = {.grid = kernel->grid, .block = kernel->block};
    const struct driver_config driver_config = {.grid = {1, 1, 1}, .block = {1, 1, 1}};

    if (strcmp(what, "foreign-driver") == 0) {
        driver_launch *const real = (driver_launch *)of_driver("cuLaunchKernel");
        for (long i = 0; i < count; i++)
            real(handle, 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL);
    } else if (strcmp(what, "foreign-driver-ex") == 0) {
        driver_launch_ex *const real = (driver_launch_ex *)of_driver("cuLaunchKernelEx");
        for (long i = 0; i < count; i++)
            real(&driver_config, handle, args, NULL);
    } else if (strcmp(what, "foreign-ex") == 0) {
        for (long i = 0; i < count; i++)
            cudaLaunchKernelExC(&config, host_function, args);
    } else if (strcmp(what, "pair") == 0) {
        void *partner_handle = NULL;
        partner = kernel_named("dgamma");
        prepare(partner, partner_function, &partner_handle);
        for (long i = 0; i < count / 2; i++) {
            launch_one(kernel, handle);
            launch_partner(partner_handle);
        }
    } else if (strcmp(what, "foreign") == 0) {
        for (long i = 0; i < count; i++)
            cudaLaunchKernel(host_function, kernel->grid, kernel->block, args, 0, NULL);
    } else if (strcmp(what, "foreign13") == 0) {
        for (long i = 0; i < count; i++)
            __cudaLaunchKernel(handle, kernel->grid, kernel->block, args, 0, NULL);
    } else {
        for (long i = 0; i < count; i++)
            launch_one(kernel, handle);
    }
}

int main(int argc, char **argv)
{
    const long warm_up = 1000, count = argc > 2 ? atol(argv[2]) : 0;
    const char *const what = argc > 1 ? argv[1] : "";
    const struct kernel *kernel = kernel_named(strcmp(what, "pair") == 0          ? "dx"
                                               : strncmp(what, "foreign", 7) == 0 ? "foreign"
                                                                                  : what);
    void *handle = NULL;

    if (!kernel)
        return 2;
    prepare(kernel, host_function, &handle);
    __cudaLaunchKernel((void *)other_function, kernel->grid, kernel->block, NULL, 0, NULL); /* as any program does */
    launch(what, kernel, handle, warm_up);
    const unsigned long calls = stand_in_driver_calls, launches = stand_in_driver_launches, before = allocations;
    const double begin = now_ns();
    launch(what, kernel, handle, count);
    const double ns = (now_ns() - begin) / (double)(count ? count : 1);
    printf("%.3f %lu %lu %lu\n", ns, stand_in_driver_calls - calls, stand_in_driver_launches - launches,
           allocations - before);
    return 0;
}
