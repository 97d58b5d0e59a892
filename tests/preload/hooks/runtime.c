/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CUDA runtime that only prints that it was called: TAG, function, and what identifies the call. Built with a version
 * node or without one. It stands behind the hooks in test_hooks.py, which expects the same words with and without
 * fuseln.
 */
#include "../../cudart.h"

#include <stdio.h>

#define SAY(format, ...) printf(TAG " %s " format "\n", __func__, __VA_ARGS__)

void *__cudaRegisterFatBinary(void *image)
{
    return image;
}

void __cudaUnregisterFatBinary(void *handle)
{
    (void)handle;
    SAY("%s", "");
}

void __cudaRegisterFunction(void *handle, const char *host_function, char *device_function, const char *device_name,
                            int thread_limit, void *tid, void *bid, void *block, void *grid, int *warp_size)
{
    (void)handle, (void)host_function, (void)tid, (void)bid, (void)block, (void)grid, (void)warp_size;
    SAY("%s %s %d", device_function, device_name, thread_limit);
}

/* A handle that differs from the function, as CUDA 13's does. */
int __cudaGetKernel(void **ret_kernel, const void *function)
{
    *ret_kernel = (char *)function + 1;
    return 0;
}

int cudaGetDevice(int *ret_device)
{
    *ret_device = 0;
    return 0;
}

#define LAUNCH(name)                                                                                                  \
    int name(const void *function, struct dim3 grid, struct dim3 block, void **args, size_t smem_bytes, void *stream) \
    {                                                                                                                 \
        (void)function;                                                                                               \
        SAY("%u %u %u, %u %u %u, %zu %p %d", grid.x, grid.y, grid.z, block.x, block.y, block.z, smem_bytes, stream,   \
            *(int *)args[0]);                                                                                         \
        return 7;                                                                                                     \
    }
LAUNCH(cudaLaunchKernel)
LAUNCH(cudaLaunchKernel_ptsz)
LAUNCH(__cudaLaunchKernel)
LAUNCH(__cudaLaunchKernel_ptsz)
LAUNCH(cudaLaunchCooperativeKernel)
LAUNCH(cudaLaunchCooperativeKernel_ptsz)

#define LAUNCH_EX(name)                                                      \
    int name(const struct config *config, const void *function, void **args) \
    {                                                                        \
        (void)function;                                                      \
        SAY("%u %d", config->grid.x, *(int *)args[0]);                       \
        return 7;                                                            \
    }
LAUNCH_EX(cudaLaunchKernelExC)
LAUNCH_EX(cudaLaunchKernelExC_ptsz)
