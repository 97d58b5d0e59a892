/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See runtime.h: fat binaries, the kernels they hold, and which host function stands for which kernel. Registration
 * only stores a name (a PyTorch wheel registers 24,000 before anything runs); the driver learns of a library and a
 * kernel at their first use. One hash table by address, with open addressing, under a mutex.
 */
#include "runtime.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

struct fatbin {
    void *wrapper;
    CUlibrary library; /* NULL until a kernel of it is used */
};

struct function {
    const void *address;
    const char *name;
    struct fatbin *fatbin; /* NULL: unregistered, or the address is a kernel handle */
    CUkernel kernel;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct function *table;
static size_t capacity, used;

static struct function *slot(struct function *in, size_t size, const void *address)
{
    size_t i = (size_t)((uintptr_t)address * 0x9E3779B97F4A7C15ull >> 20) & (size - 1);
    while (in[i].address && in[i].address != address)
        i = (i + 1) & (size - 1);
    return &in[i];
}

static bool grow(void)
{
    size_t size = capacity ? 2 * capacity : 1u << 14;
    struct function *bigger = calloc(size, sizeof *bigger);
    if (!bigger)
        return false;
    for (size_t i = 0; i < capacity; i++)
        if (table[i].address)
            *slot(bigger, size, table[i].address) = table[i];
    free(table);
    table = bigger;
    capacity = size;
    return true;
}

static void add(struct function function)
{
    pthread_mutex_lock(&lock);
    if (2 * used < capacity || grow()) {
        struct function *entry = slot(table, capacity, function.address);
        used += !entry->address;
        *entry = function;
    }
    pthread_mutex_unlock(&lock);
}

void **__cudaRegisterFatBinary(void *wrapper)
{
    struct fatbin *fatbin = calloc(1, sizeof *fatbin);
    if (fatbin)
        fatbin->wrapper = wrapper;
    return (void **)fatbin;
}

void __cudaRegisterFatBinaryEnd(void **handle)
{
    (void)handle;
}

char __cudaInitModule(void **handle)
{
    (void)handle;
    return 1;
}

void __cudaRegisterFunction(void **handle, const char *host_function, char *device_function, const char *device_name,
                            int thread_limit, uint3 *tid, uint3 *bid, dim3 *block, dim3 *grid, int *warp)
{
    (void)device_function, (void)thread_limit, (void)tid, (void)bid, (void)block, (void)grid, (void)warp;
    add((struct function){.address = host_function, .name = device_name, .fatbin = (struct fatbin *)handle});
}

/* Device variables are not supported: asking for the address of one is an error by name. */
void __cudaRegisterVar(void **handle, char *host_variable, char *device_address, const char *device_name, int external,
                       size_t bytes, int constant, int global)
{
    (void)handle, (void)host_variable, (void)device_address, (void)device_name, (void)external, (void)bytes;
    (void)constant, (void)global;
}

void __cudaUnregisterFatBinary(void **handle)
{
    struct fatbin *fatbin = (struct fatbin *)handle;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < capacity; i++)
        if (table[i].fatbin == fatbin)
            table[i].fatbin = NULL, table[i].kernel = NULL;
    pthread_mutex_unlock(&lock);
    if (fatbin->library)
        softgpu_driver.cuLibraryUnload(fatbin->library);
    free(fatbin);
}

static cudaError_t load(struct function *function)
{
    struct fatbin *fatbin = function->fatbin;
    CUresult result = CUDA_SUCCESS;
    if (!fatbin)
        return cudaErrorInvalidDeviceFunction;
    if (!fatbin->library)
        result = softgpu_driver.cuLibraryLoadData(&fatbin->library, fatbin->wrapper, NULL, NULL, 0, NULL, NULL, 0);
    if (result == CUDA_SUCCESS)
        result = softgpu_driver.cuLibraryGetKernel(&function->kernel, fatbin->library, function->name);
    return result == CUDA_ERROR_NOT_FOUND ? cudaErrorInvalidDeviceFunction : (cudaError_t)result;
}

/* Calls the driver under the lock: it never calls back into the runtime. */
cudaError_t softgpu_kernel_enter(const void *function, CUkernel *ret_kernel)
{
    cudaError_t error = softgpu_runtime_enter();
    if (error)
        return error;
    error = cudaErrorInvalidDeviceFunction;
    pthread_mutex_lock(&lock);
    struct function *found = capacity ? slot(table, capacity, function) : NULL;
    if (found && found->address) {
        error = found->kernel ? cudaSuccess : load(found);
        if (!error)
            *ret_kernel = found->kernel;
    }
    pthread_mutex_unlock(&lock);
    return error;
}

void softgpu_kernel_learn(CUkernel kernel)
{
    add((struct function){.address = kernel, .kernel = kernel});
}

cudaError_t cudaGetKernel(cudaKernel_t *ret_kernel, const void *host_function)
{
    cudaError_t error = softgpu_kernel_enter(host_function, (CUkernel *)ret_kernel);
    if (!error)
        softgpu_kernel_learn((CUkernel)*ret_kernel);
    return softgpu_runtime_set_error(error);
}

cudaError_t __cudaGetKernel(cudaKernel_t *ret_kernel, const void *host_function)
{
    return cudaGetKernel(ret_kernel, host_function);
}
