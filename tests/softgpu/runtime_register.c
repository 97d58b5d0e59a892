/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See runtime.h: fat binaries, the kernels they hold, and which host function stands for which kernel. Registration
 * only stores a name (a PyTorch wheel registers 24,000 before anything runs); the driver learns of a library and a
 * kernel at their first use, before CUDA 13 in each context. One hash table by address, with open addressing, under a
 * mutex.
 */
#include "runtime.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#if CUDA_VERSION < 12000
struct loaded { /* a fat binary in one context */
    CUcontext context;
    CUmodule module;
    struct loaded *next;
};
#endif

struct fatbin {
    void *wrapper;
#if CUDA_VERSION >= 12000
    CUlibrary library; /* NULL until a kernel of it is used */
#else
    struct loaded *loaded;
#endif
};

struct function {
    const void *address;
    const char *name;
    struct fatbin *fatbin; /* NULL: unregistered, or the address is a kernel handle */
#if CUDA_VERSION >= 12000
    CUkernel kernel;
#endif
    CUcontext context; /* where `found` was looked up last; NULL: nowhere yet, or in every context */
    CUfunction found;
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

#if CUDA_VERSION >= 12000
static void unload(struct fatbin *fatbin)
{
    if (fatbin->library)
        softgpu_driver.cuLibraryUnload(fatbin->library);
}

static CUresult load(struct fatbin *fatbin)
{
    if (fatbin->library)
        return CUDA_SUCCESS;
    return softgpu_driver.cuLibraryLoadData(&fatbin->library, fatbin->wrapper, NULL, NULL, 0, NULL, NULL, 0);
}

/* The handle that is the same in every context. */
static CUresult find_kernel(struct function *function)
{
    CUresult result = CUDA_SUCCESS;
    if (!function->kernel)
        result = load(function->fatbin);
    if (!function->kernel && result == CUDA_SUCCESS)
        result = softgpu_driver.cuLibraryGetKernel(&function->kernel, function->fatbin->library, function->name);
    return result;
}
#endif

#if CUDA_VERSION >= 13000
static CUresult find(struct function *function, CUcontext context)
{
    (void)context;
    CUresult result = find_kernel(function);
    function->found = (CUfunction)function->kernel;
    return result;
}
#elif CUDA_VERSION >= 12000
static CUresult find(struct function *function, CUcontext context)
{
    CUmodule module;
    CUresult result;
    if (function->context == context)
        return CUDA_SUCCESS;
    if (function->kernel) {
        result = softgpu_driver.cuKernelGetFunction(&function->found, function->kernel);
    } else {
        result = load(function->fatbin);
        if (result == CUDA_SUCCESS)
            result = softgpu_driver.cuLibraryGetModule(&module, function->fatbin->library);
        if (result == CUDA_SUCCESS)
            result = softgpu_driver.cuModuleGetFunction(&function->found, module, function->name);
    }
    function->context = result == CUDA_SUCCESS ? context : NULL;
    return result;
}
#else
static void unload(struct fatbin *fatbin)
{
    for (struct loaded *next, *loaded = fatbin->loaded; loaded; loaded = next) {
        next = loaded->next;
        softgpu_driver.cuModuleUnload(loaded->module);
        free(loaded);
    }
}

static CUresult load(struct fatbin *fatbin, CUcontext context, CUmodule *ret_module)
{
    struct loaded *loaded = fatbin->loaded;
    while (loaded && loaded->context != context)
        loaded = loaded->next;
    if (!loaded) {
        loaded = calloc(1, sizeof *loaded);
        if (!loaded)
            return CUDA_ERROR_OUT_OF_MEMORY;
        const CUresult result = softgpu_driver.cuModuleLoadData(&loaded->module, fatbin->wrapper);
        if (result != CUDA_SUCCESS) {
            free(loaded);
            return result;
        }
        loaded->context = context;
        loaded->next = fatbin->loaded;
        fatbin->loaded = loaded;
    }
    *ret_module = loaded->module;
    return CUDA_SUCCESS;
}

static CUresult find(struct function *function, CUcontext context)
{
    CUmodule module;
    if (function->context == context)
        return CUDA_SUCCESS;
    CUresult result = load(function->fatbin, context, &module);
    if (result == CUDA_SUCCESS)
        result = softgpu_driver.cuModuleGetFunction(&function->found, module, function->name);
    function->context = result == CUDA_SUCCESS ? context : NULL;
    return result;
}
#endif

static bool is_kernel_handle(const struct function *function)
{
#if CUDA_VERSION >= 12000
    return !function->fatbin && function->kernel;
#else
    return (void)function, false;
#endif
}

void __cudaUnregisterFatBinary(void **handle)
{
    struct fatbin *fatbin = (struct fatbin *)handle;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < capacity; i++)
        if (table[i].fatbin == fatbin)
            table[i] = (struct function){.address = table[i].address};
    pthread_mutex_unlock(&lock);
    unload(fatbin);
    free(fatbin);
}

static struct function *lookup(const void *address)
{
    struct function *function = capacity ? slot(table, capacity, address) : NULL;
    return function && (function->fatbin || is_kernel_handle(function)) ? function : NULL;
}

static cudaError_t runtime_error(CUresult result)
{
    return result == CUDA_ERROR_NOT_FOUND ? cudaErrorInvalidDeviceFunction : (cudaError_t)result;
}

/* Calls the driver under the lock: it never calls back into the runtime. */
cudaError_t softgpu_kernel_enter(const void *address, CUfunction *ret_kernel)
{
    CUcontext context = NULL;
    cudaError_t error = softgpu_runtime_enter();
    if (error)
        return error;
    softgpu_driver.cuCtxGetCurrent(&context);
    pthread_mutex_lock(&lock);
    struct function *function = lookup(address);
    error = function ? runtime_error(find(function, context)) : cudaErrorInvalidDeviceFunction;
    if (!error)
        *ret_kernel = function->found;
    pthread_mutex_unlock(&lock);
    return error;
}

/* In the current context; of a handle, too. */
cudaError_t cudaGetFuncBySymbol(cudaFunction_t *ret_function, const void *host_function)
{
    CUfunction found = NULL;
    cudaError_t error = softgpu_kernel_enter(host_function, &found);
#if CUDA_VERSION >= 13000
    if (!error)
        error = (cudaError_t)softgpu_driver.cuKernelGetFunction(&found, (CUkernel)found);
#endif
    if (!error)
        *ret_function = found;
    return softgpu_runtime_set_error(error);
}

#if CUDA_VERSION >= 12000
void softgpu_kernel_learn(CUkernel kernel)
{
    add((struct function){.address = kernel, .kernel = kernel});
}

cudaError_t cudaGetKernel(cudaKernel_t *ret_kernel, const void *host_function)
{
    cudaError_t error = softgpu_runtime_enter();
    if (error)
        return softgpu_runtime_set_error(error);
    pthread_mutex_lock(&lock);
    struct function *function = lookup(host_function);
    error = function ? runtime_error(find_kernel(function)) : cudaErrorInvalidDeviceFunction;
    if (!error)
        *ret_kernel = (cudaKernel_t)function->kernel;
    pthread_mutex_unlock(&lock);
    if (!error)
        softgpu_kernel_learn((CUkernel)*ret_kernel);
    return softgpu_runtime_set_error(error);
}

cudaError_t __cudaGetKernel(cudaKernel_t *ret_kernel, const void *host_function)
{
    return cudaGetKernel(ret_kernel, host_function);
}
#endif
