/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See runtime.h: how the runtime starts, the thread's context and last error, names of errors.
 */
#include "runtime.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

enum { DEVICES_MAX = 16 };

struct softgpu_driver softgpu_driver;

static __typeof__(&cuGetProcAddress) get_proc_address;
static bool driver_is_complete = true;
static cudaError_t start_error = cudaErrorInsufficientDriver;
static CUcontext primary[DEVICES_MAX];
static int devices;
static pthread_mutex_t primary_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local int thread_device;
static _Thread_local cudaError_t last_error;

/* cuGetProcAddress has a fifth parameter since CUDA 12, the status. */
#if CUDA_VERSION >= 12000
#define RESOLVER "cuGetProcAddress_v2"
static CUresult ask(const char *name, void **ret_pointer, int version, cuuint64_t flags)
{
    CUdriverProcAddressQueryResult status;
    return get_proc_address(name, ret_pointer, version, flags, &status);
}
#else
#define RESOLVER "cuGetProcAddress"
static CUresult ask(const char *name, void **ret_pointer, int version, cuuint64_t flags)
{
    return get_proc_address(name, ret_pointer, version, flags);
}
#endif

void *softgpu_runtime_resolve(const char *name, int version, unsigned flags)
{
    void *pointer = NULL;
    if (ask(name, &pointer, version ? version : CUDA_VERSION, flags) != CUDA_SUCCESS || !pointer)
        driver_is_complete = false;
    return pointer;
}

/* NVIDIA's runtime asks the resolver for itself and continues with the answer: a hook that does not return itself would
 * lose every later look-up. It first asks for the empty name at version 0, which must not fail. */
static bool find_resolver(void *libcuda)
{
    static const int versions[] = {11030, 12000};
    void *pointer = NULL;
    get_proc_address = (__typeof__(get_proc_address))dlsym(libcuda, RESOLVER);
    if (!get_proc_address)
        return false;
    ask("", &pointer, 0, 0);
    for (int i = 0; i < 2 && versions[i] <= CUDA_VERSION; i++) {
        pointer = NULL;
        if (ask("cuGetProcAddress", &pointer, versions[i], 0) != CUDA_SUCCESS || !pointer)
            return false;
    }
    get_proc_address = (__typeof__(get_proc_address))pointer;
    return true;
}

static void start(void)
{
    void *libcuda = dlopen("libcuda.so.1", RTLD_NOW);
    if (!libcuda || !find_resolver(libcuda))
        return;
#define X(name) softgpu_driver.name = (__typeof__(softgpu_driver.name))softgpu_runtime_resolve(#name, 0, 0);
    SOFTGPU_DRIVER(X)
#undef X
    softgpu_stream_resolve();
    softgpu_stream_resolve_ptsz();
    softgpu_launch_resolve();
    if (!driver_is_complete)
        return;
    start_error = (cudaError_t)softgpu_driver.cuInit(0);
    if (!start_error)
        start_error = (cudaError_t)softgpu_driver.cuDeviceGetCount(&devices);
    if (!start_error && devices == 0)
        start_error = cudaErrorNoDevice;
}

cudaError_t softgpu_runtime_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start);
    return start_error;
}

static cudaError_t make_current(int device)
{
    cudaError_t error = cudaSuccess;
    if (device < 0 || device >= devices || device >= DEVICES_MAX)
        return cudaErrorInvalidDevice;
    pthread_mutex_lock(&primary_lock);
    if (!primary[device])
        error = (cudaError_t)softgpu_driver.cuDevicePrimaryCtxRetain(&primary[device], device);
    pthread_mutex_unlock(&primary_lock);
    return error ? error : (cudaError_t)softgpu_driver.cuCtxSetCurrent(primary[device]);
}

cudaError_t softgpu_runtime_enter(void)
{
    CUcontext context = NULL;
    cudaError_t error = softgpu_runtime_start();
    if (error)
        return error;
    error = (cudaError_t)softgpu_driver.cuCtxGetCurrent(&context);
    return error || context ? error : make_current(thread_device);
}

cudaError_t softgpu_runtime_current(CUdevice *ret_device)
{
    CUcontext context = NULL;
    cudaError_t error = softgpu_runtime_start();
    if (error)
        return error;
    if (softgpu_driver.cuCtxGetCurrent(&context) == CUDA_SUCCESS && context)
        return (cudaError_t)softgpu_driver.cuCtxGetDevice(ret_device);
    *ret_device = thread_device;
    return cudaSuccess;
}

cudaError_t softgpu_runtime_set_error(int result)
{
    if (result)
        last_error = (cudaError_t)result;
    return (cudaError_t)result;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError(void)
{
    return last_error;
}

cudaError_t cudaSetDevice(int device)
{
    cudaError_t error = softgpu_runtime_start();
    if (!error)
        error = make_current(device);
    if (!error)
        thread_device = device;
    return softgpu_runtime_set_error(error);
}

cudaError_t cudaGetDevice(int *device)
{
    return softgpu_runtime_set_error(softgpu_runtime_current(device));
}

cudaError_t cudaGetDeviceCount(int *count)
{
    cudaError_t error = softgpu_runtime_start();
    *count = error ? 0 : devices;
    return softgpu_runtime_set_error(error);
}

static const char *error_text(cudaError_t error, CUresult (*get)(CUresult, const char **))
{
    static _Thread_local char number[32];
    const char *text = NULL;
    if (get && get((CUresult)error, &text) == CUDA_SUCCESS && text)
        return text;
    snprintf(number, sizeof number, "CUDA error %d", (int)error);
    return number;
}

const char *cudaGetErrorName(cudaError_t error)
{
    return softgpu_runtime_start(), error_text(error, softgpu_driver.cuGetErrorName);
}

const char *cudaGetErrorString(cudaError_t error)
{
    return softgpu_runtime_start(), error_text(error, softgpu_driver.cuGetErrorString);
}

#if CUDA_VERSION >= 12000
cudaError_t cudaGetDriverEntryPointByVersion(const char *symbol, void **pointer, unsigned version,
                                             unsigned long long flags, enum cudaDriverEntryPointQueryResult *status)
{
    CUdriverProcAddressQueryResult found = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    cudaError_t error = softgpu_runtime_start();
    if (!error)
        error = (cudaError_t)get_proc_address(symbol, pointer, (int)version, flags, &found);
    if (error == cudaErrorSymbolNotFound) /* the runtime says so by status and a null pointer alone */
        *pointer = NULL, error = cudaSuccess;
    if (status)
        *status = (enum cudaDriverEntryPointQueryResult)found;
    return softgpu_runtime_set_error(error);
}

cudaError_t cudaGetDriverEntryPoint(const char *symbol, void **pointer, unsigned long long flags,
                                    enum cudaDriverEntryPointQueryResult *status)
{
    return cudaGetDriverEntryPointByVersion(symbol, pointer, CUDA_VERSION, flags, status);
}
#else
cudaError_t cudaGetDriverEntryPoint(const char *symbol, void **pointer, unsigned long long flags)
{
    cudaError_t error = softgpu_runtime_start();
    return softgpu_runtime_set_error(error ? error : (cudaError_t)ask(symbol, pointer, CUDA_VERSION, flags));
}
#endif
