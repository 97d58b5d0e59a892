/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver of no cost, for measuring a matched launch and for failing: libcuda.so.1 with the functions that our own
 * launches call (kernels/host/libcuda.h). It accepts every image and counts its calls; each may be told to fail
 * (stand_in.h).
 */
#include "stand_in.h"

#include <stdlib.h>
#include <string.h>

enum { CUDA_ERROR_INVALID_VALUE = 1, SMEM_WITHOUT_ATTRIBUTE = 48 << 10, LARGE_MAX = 64 };

struct stand_in_fault stand_in_fault;
struct stand_in_count stand_in_counts[STAND_IN_CALLS];
unsigned long stand_in_driver_calls;
unsigned long stand_in_driver_launches;
void (*stand_in_driver_launched)(const char *kernel, void **params, CUresult result);

static CUresult begin(enum stand_in_call call)
{
    const unsigned long number = ++stand_in_counts[call].calls;
    if (call != stand_in_fault.call || number < stand_in_fault.from || number > stand_in_fault.until)
        return CUDA_SUCCESS;
    stand_in_counts[call].failed++;
    return stand_in_fault.error;
}

/* First in each function. */
#define QUERY(member)                                    \
    do {                                                 \
        const CUresult error = begin(STAND_IN_##member); \
        stand_in_driver_calls++;                         \
        if (error)                                       \
            return error;                                \
    } while (0)

/* Functions that were allowed more shared memory than a launch has without asking. */
static const char *_Atomic large[LARGE_MAX];

static void allow_large(const char *function)
{
    for (int i = 0; i < LARGE_MAX; i++) {
        const char *none = NULL;
        if (atomic_load(&large[i]) == function || atomic_compare_exchange_strong(&large[i], &none, function) ||
            none == function)
            return;
    }
}

static bool is_large(const char *function)
{
    for (int i = 0; i < LARGE_MAX && atomic_load(&large[i]); i++)
        if (atomic_load(&large[i]) == function)
            return true;
    return false;
}

CUresult cuCtxGetId(CUcontext ctx, unsigned long long *id)
{
    QUERY(ctx_get_id);
    (void)ctx;
    *id = 1;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *device)
{
    QUERY(ctx_get_device);
    *device = 0;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int len, CUdevice device)
{
    QUERY(device_get_name);
    (void)device;
    strncpy(name, "stand-in", (size_t)len);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device)
{
    QUERY(device_get_attr);
    (void)device;
    *value = attribute == CU_ATTR_MULTIPROCESSOR_COUNT                ? 132
             : attribute == CU_ATTR_COMPUTE_CAPABILITY_MAJOR          ? 9
             : attribute == CU_ATTR_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN ? 232448
                                                                      : 0;
    return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *version)
{
    QUERY(driver_get_version);
    *version = 13000;
    return CUDA_SUCCESS;
}

CUresult cuStreamGetId(CUstream stream, unsigned long long *id)
{
    QUERY(stream_get_id);
    *id = (unsigned long long)(uintptr_t)stream + 1;
    return CUDA_SUCCESS;
}

CUresult cuStreamGetCtx(CUstream stream, CUcontext *ctx)
{
    QUERY(stream_get_ctx);
    (void)stream;
    *ctx = (CUcontext)16;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *ctx)
{
    *ctx = (CUcontext)16;
    stand_in_driver_calls++;
    return CUDA_SUCCESS;
}

CUresult cuStreamIsCapturing(CUstream stream, int *status)
{
    QUERY(stream_capturing);
    (void)stream;
    *status = 0;
    return CUDA_SUCCESS;
}

CUresult cuThreadExchangeStreamCaptureMode(int *mode)
{
    QUERY(exchange_capture);
    *mode = 0;
    return CUDA_SUCCESS;
}

CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
    QUERY(module_load_data);
    *module = (CUmodule)(uintptr_t)image;
    return CUDA_SUCCESS;
}

CUresult cuModuleUnload(CUmodule module)
{
    QUERY(module_unload);
    (void)module;
    return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
    QUERY(module_get_func);
    (void)module;
    *function = (CUfunction)(uintptr_t)name;
    return CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(CUfunction function, int attribute, int value)
{
    QUERY(func_set_attr);
    (void)value;
    if (attribute == CU_FUNC_ATTR_MAX_DYNAMIC_SHARED_SIZE_BYTES)
        allow_large((const char *)function);
    return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr *ptr, size_t bytes)
{
    QUERY(mem_alloc);
    *ptr = (CUdeviceptr)(uintptr_t)malloc(bytes);
    return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent *event, unsigned flags)
{
    QUERY(event_create);
    (void)flags;
    *event = (CUevent)(uintptr_t)1;
    return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent event, CUstream stream)
{
    QUERY(event_record);
    (void)event;
    (void)stream;
    return CUDA_SUCCESS;
}

CUresult cuEventQuery(CUevent event)
{
    QUERY(event_query);
    (void)event;
    return CUDA_SUCCESS;
}

CUresult cuEventElapsedTime(float *ms, CUevent start, CUevent stop)
{
    QUERY(event_elapsed);
    (void)start;
    (void)stop;
    *ms = 1;
    return CUDA_SUCCESS;
}

CUresult cuMemHostRegister_v2(void *ptr, size_t bytes, unsigned flags)
{
    QUERY(host_register);
    (void)ptr;
    (void)bytes;
    (void)flags;
    return CUDA_SUCCESS;
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *ptr, void *host, unsigned flags)
{
    QUERY(host_get_device);
    (void)flags;
    *ptr = (CUdeviceptr)(uintptr_t)host;
    return CUDA_SUCCESS;
}

CUresult cuMemFree_v2(CUdeviceptr ptr)
{
    QUERY(mem_free);
    free((void *)(uintptr_t)ptr);
    return CUDA_SUCCESS;
}

static __attribute__((noinline)) CUresult launch_and_tell(const char *function, unsigned smem_bytes, void **params)
{
    CUresult result = begin(STAND_IN_launch_kernel);
    if (!result && smem_bytes > SMEM_WITHOUT_ATTRIBUTE && !is_large(function))
        result = CUDA_ERROR_INVALID_VALUE;
    stand_in_driver_launched(function, params, result);
    return result;
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned smem_bytes, CUstream stream, void **params,
                        void **extra)
{
    (void)grid_x, (void)grid_y, (void)grid_z, (void)block_x, (void)block_y, (void)block_z, (void)stream, (void)extra;
    stand_in_driver_launches++;
    return stand_in_driver_launched ? launch_and_tell((const char *)function, smem_bytes, params) : CUDA_SUCCESS;
}

CUresult cuLaunchKernelEx(const void *config, CUfunction function, void **params, void **extra)
{
    (void)config, (void)function, (void)params, (void)extra;
    stand_in_driver_launches++;
    return CUDA_SUCCESS;
}
