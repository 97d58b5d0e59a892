/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library as nvcc makes it: registers a layer-norm kernel and another one in its constructor, and launches both, by
 * their host function and by the runtime's handle, through every entry point, on a stream of its own and on the default
 * one. With LAUNCH_AT_LOAD its constructor launches too. test_matrix.py knows the order of all these.
 */
#include "launches.h"

#include <stdio.h>

register_image __cudaRegisterFatBinary;
void __cudaUnregisterFatBinary(void *fatbin);
register_function __cudaRegisterFunction;
int __cudaGetKernel(void **ret_kernel, const void *function);
runtime_launch cudaLaunchKernel, cudaLaunchKernel_ptsz, __cudaLaunchKernel, __cudaLaunchKernel_ptsz,
    cudaLaunchCooperativeKernel, cudaLaunchCooperativeKernel_ptsz;
runtime_launch_ex cudaLaunchKernelExC, cudaLaunchKernelExC_ptsz;

static char layer_norm[16], other[16], image[16];
static void *fatbin;

static int launch_on(void *stream, void *function)
{
    void **args = launch_args;
    struct dim3 grid = {5, 1, 1}, block = {32, 4, 1};
    struct config config = {grid, block, 24, stream, &serialization, 1};
    int sum = 0;

    sum += cudaLaunchKernel(function, grid, block, args, 24, stream);
    sum += cudaLaunchKernel_ptsz(function, grid, block, args, 24, stream);
    sum += cudaLaunchCooperativeKernel(function, grid, block, args, 24, stream);
    sum += cudaLaunchCooperativeKernel_ptsz(function, grid, block, args, 24, stream);
    sum += __cudaLaunchKernel(function, grid, block, args, 24, stream);
    sum += __cudaLaunchKernel_ptsz(function, grid, block, args, 24, stream);
    sum += cudaLaunchKernelExC(&config, function, args) + cudaLaunchKernelExC_ptsz(&config, function, args);
    config.attributes = &cluster;
    return sum + cudaLaunchKernelExC(&config, function, args);
}

void client_run(void);
void client_run(void)
{
    for (int i = 0; i < 2; i++) {
        void *const function = i ? other : layer_norm, *handle;
        __cudaGetKernel(&handle, function);
        printf("sum %d\n", launch_on(STREAM, function) + launch_on(NULL, function));
        printf("sum %d\n", launch_on(STREAM, handle) + launch_on(NULL, handle));
    }
}

#ifdef WAIT_AT_LOAD
#include <stdatomic.h>
#include <unistd.h>
extern atomic_int threads_started;
#endif

static __attribute__((constructor)) void load(void)
{
#ifdef WAIT_AT_LOAD /* with the loader's lock held, until all threads of the program are in their first launches */
    while (atomic_load(&threads_started) < 64)
        usleep(1000);
    usleep(200000);
#endif
    fatbin = __cudaRegisterFatBinary(image);
    __cudaRegisterFunction(fatbin, layer_norm, "layer_norm", SYMBOL, -1, NULL, NULL, NULL, NULL, NULL);
    __cudaRegisterFunction(fatbin, other, "other", "_Z5otherv", -1, NULL, NULL, NULL, NULL, NULL);
#ifdef LAUNCH_AT_LOAD
    client_run();
#endif
}

static __attribute__((destructor)) void unload(void)
{
    __cudaUnregisterFatBinary(fatbin);
}
