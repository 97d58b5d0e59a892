/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A runtime library of no cost, for measuring what our hooks add: libcudart.so.13 with the functions that we hook, each
 * of which returns at once. Linked by launch.c, register.c and tests/faults/host.c, which may set the result of a
 * launch.
 */
int (*stand_in_runtime_launched)(const void *function);

static int launched(const void *function)
{
    return stand_in_runtime_launched ? stand_in_runtime_launched(function) : 0;
}

struct dim3 {
    unsigned x, y, z;
};

void *__cudaRegisterFatBinary(void *image)
{
    return image;
}

void __cudaRegisterFunction(void) {}

void __cudaUnregisterFatBinary(void) {}

int __cudaGetKernel(const void **ret_kernel, const void *function)
{
    *ret_kernel = function;
    return 0;
}

int cudaLaunchKernel(const void *function, struct dim3 grid, struct dim3 block, void **args, unsigned long smem_bytes,
                     void *stream)
{
    (void)grid, (void)block, (void)args, (void)smem_bytes, (void)stream;
    return launched(function);
}

int __cudaLaunchKernel(const void *function, struct dim3 grid, struct dim3 block, void **args, unsigned long smem_bytes,
                       void *stream)
{
    (void)grid, (void)block, (void)args, (void)smem_bytes, (void)stream;
    return launched(function);
}

int cudaLaunchKernelExC(const void *config, const void *function, void **args)
{
    (void)config, (void)args;
    return launched(function);
}

int cudaGetDevice(int *ret_device)
{
    return *ret_device = 0;
}

int cudaRuntimeGetVersion(int *ret_version)
{
    *ret_version = 13000;
    return 0;
}
