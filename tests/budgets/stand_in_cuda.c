/*
 * A driver of no cost, for measuring a matched launch: libcuda.so.1 with the functions that our own launches call
 * (kernels/driver.h). It accepts every image and counts its calls.
 */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

unsigned long stand_in_driver_calls; /* all but the launches */
unsigned long stand_in_driver_launches;

static CUresult counted(void)
{
    stand_in_driver_calls++;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetId(CUcontext ctx, unsigned long long *id)
{
    (void)ctx;
    *id = 1;
    return counted();
}

CUresult cuCtxGetDevice(CUdevice *device)
{
    *device = 0;
    return counted();
}

CUresult cuDeviceGetName(char *name, int len, CUdevice device)
{
    (void)device;
    strncpy(name, "stand-in", (size_t)len);
    return counted();
}

CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device)
{
    (void)device;
    *value = attribute == CU_ATTR_MULTIPROCESSOR_COUNT                ? 132
             : attribute == CU_ATTR_COMPUTE_CAPABILITY_MAJOR          ? 9
             : attribute == CU_ATTR_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN ? 232448
                                                                      : 0;
    return counted();
}

CUresult cuDriverGetVersion(int *version)
{
    *version = 13000;
    return counted();
}

CUresult cuStreamGetId(CUstream stream, unsigned long long *id)
{
    *id = (unsigned long long)(uintptr_t)stream + 1;
    return counted();
}

CUresult cuStreamGetCtx(CUstream stream, CUcontext *ctx)
{
    (void)stream;
    *ctx = (CUcontext)16;
    return counted();
}

CUresult cuCtxGetCurrent(CUcontext *ctx)
{
    *ctx = (CUcontext)16;
    return counted();
}

CUresult cuStreamIsCapturing(CUstream stream, int *status)
{
    (void)stream;
    *status = 0;
    return counted();
}

CUresult cuThreadExchangeStreamCaptureMode(int *mode)
{
    *mode = 0;
    return counted();
}

CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
    *module = (CUmodule)(uintptr_t)image;
    return counted();
}

CUresult cuModuleUnload(CUmodule module)
{
    (void)module;
    return counted();
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
    (void)module;
    *function = (CUfunction)(uintptr_t)name;
    return counted();
}

CUresult cuFuncSetAttribute(CUfunction function, int attribute, int value)
{
    (void)function, (void)attribute, (void)value;
    return counted();
}

CUresult cuMemAlloc_v2(CUdeviceptr *ptr, size_t bytes)
{
    *ptr = (CUdeviceptr)(uintptr_t)malloc(bytes);
    return counted();
}

CUresult cuEventCreate(CUevent *event, unsigned flags)
{
    (void)flags;
    *event = (CUevent)(uintptr_t)1;
    return counted();
}

CUresult cuEventRecord(CUevent event, CUstream stream)
{
    (void)event;
    (void)stream;
    return counted();
}

CUresult cuEventQuery(CUevent event)
{
    (void)event;
    return counted();
}

CUresult cuEventElapsedTime(float *ms, CUevent start, CUevent stop)
{
    (void)start;
    (void)stop;
    *ms = 1;
    return counted();
}

CUresult cuMemHostRegister_v2(void *ptr, size_t bytes, unsigned flags)
{
    (void)ptr;
    (void)bytes;
    (void)flags;
    return counted();
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *ptr, void *host, unsigned flags)
{
    (void)flags;
    *ptr = (CUdeviceptr)(uintptr_t)host;
    return counted();
}

CUresult cuMemFree_v2(CUdeviceptr ptr)
{
    free((void *)(uintptr_t)ptr);
    return counted();
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned smem_bytes, CUstream stream, void **params,
                        void **extra)
{
    (void)function, (void)grid_x, (void)grid_y, (void)grid_z, (void)block_x, (void)block_y, (void)block_z;
    (void)smem_bytes, (void)stream, (void)params, (void)extra;
    stand_in_driver_launches++;
    return CUDA_SUCCESS;
}

CUresult cuLaunchKernelEx(const void *config, CUfunction function, void **params, void **extra)
{
    (void)config, (void)function, (void)params, (void)extra;
    stand_in_driver_launches++;
    return CUDA_SUCCESS;
}
