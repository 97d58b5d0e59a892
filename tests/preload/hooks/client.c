/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library as nvcc makes it: registers a layer-norm kernel and another one in its constructor, and launches both
 * through every entry point that it is linked to. With LAUNCH_AT_LOAD its constructor launches too.
 */
#include "launches.h"

#include <stdio.h>

void **__cudaRegisterFatBinary(void *image);
void __cudaUnregisterFatBinary(void **handle);
void __cudaRegisterFunction(void **handle, const char *host_function, char *device_function, const char *device_name,
                            int thread_limit, void *tid, void *bid, void *block, void *grid, int *warp_size);
int __cudaGetKernel(void **ret_kernel, const void *function);
typedef int launch(const void *function, struct dim3 grid, struct dim3 block, void **args, size_t smem_bytes,
                   void *stream);
launch cudaLaunchKernel, cudaLaunchKernel_ptsz, __cudaLaunchKernel, __cudaLaunchKernel_ptsz,
    cudaLaunchCooperativeKernel, cudaLaunchCooperativeKernel_ptsz;
int cudaLaunchKernelExC(const struct config *config, const void *function, void **args);
int cudaLaunchKernelExC_ptsz(const struct config *config, const void *function, void **args);

static char layer_norm[16], other[16], image[16];
static void **fatbin;

static void launch_all(void *function)
{
    void **args = launch_args, *kernel;
    struct dim3 grid = {5, 1, 1}, block = {32, 4, 1};
    struct config config = {grid, block, 24, (void *)0x40, &serialization, 1};
    launch *const launches[] = {cudaLaunchKernel, cudaLaunchKernel_ptsz, cudaLaunchCooperativeKernel,
                                cudaLaunchCooperativeKernel_ptsz};
    int sum = 0;

    for (size_t i = 0; i < sizeof(launches) / sizeof(launches[0]); i++)
        sum += launches[i](function, grid, block, args, 24, (void *)0x40);
    __cudaGetKernel(&kernel, function);
    sum += __cudaLaunchKernel(kernel, grid, block, args, 24, (void *)0x40);
    sum += __cudaLaunchKernel_ptsz(kernel, grid, block, args, 24, NULL);
    sum += cudaLaunchKernelExC(&config, function, args) + cudaLaunchKernelExC_ptsz(&config, function, args);
    config.attributes = &cluster;
    sum += cudaLaunchKernelExC(&config, function, args);
    printf("sum %d\n", sum);
}

void client_run(void);
void client_run(void)
{
    launch_all(layer_norm);
    launch_all(other);
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
