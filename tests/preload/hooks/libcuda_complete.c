/* SPDX-License-Identifier: Apache-2.0 */
/* What our own launches need of a driver besides libcuda.c: one device, one context, no capture. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int cuCtxGetId(void *context, unsigned long long *ret_id)
{
    (void)context;
    *ret_id = 1;
    return 0;
}

int cuCtxGetDevice(int *ret_device)
{
    *ret_device = 0;
    return 0;
}

int cuDeviceGetName(char *ret_name, int length, int device)
{
    (void)device;
    strncpy(ret_name, "matrix", (size_t)length);
    return 0;
}

/* A compute capability of 9.0, 132 multiprocessors, 227 KB of shared memory. */
int cuDeviceGetAttribute(int *ret_value, int attribute, int device)
{
    (void)device;
    *ret_value = attribute == 16 ? 132 : attribute == 75 ? 9 : attribute == 97 ? 232448 : 0;
    return 0;
}

int cuDriverGetVersion(int *ret_version)
{
    *ret_version = 13000;
    return 0;
}

int cuStreamGetId(void *stream, unsigned long long *ret_id)
{
    *ret_id = (unsigned long long)(uintptr_t)stream;
    return 0;
}

int cuStreamGetCtx(void *stream, void **ret_context)
{
    (void)stream;
    *ret_context = NULL;
    return 0;
}

int cuStreamIsCapturing(void *stream, int *ret_status)
{
    (void)stream;
    *ret_status = 0;
    return 0;
}

int cuThreadExchangeStreamCaptureMode(int *mode)
{
    (void)mode;
    return 0;
}

int cuModuleLoadData(void **ret_module, const void *image)
{
    *ret_module = (void *)(uintptr_t)image;
    return 0;
}

int cuFuncSetAttribute(void *function, int attribute, int value)
{
    (void)function, (void)attribute, (void)value;
    return 0;
}

int cuMemAlloc_v2(uint64_t *ret_address, size_t bytes)
{
    *ret_address = (uint64_t)(uintptr_t)malloc(bytes);
    return 0;
}

int cuMemFree_v2(uint64_t address)
{
    free((void *)(uintptr_t)address);
    return 0;
}

int cuMemHostRegister_v2(void *address, size_t bytes, unsigned flags)
{
    (void)address, (void)bytes, (void)flags;
    return 801; /* as where a device cannot */
}

int cuMemHostGetDevicePointer_v2(uint64_t *ret_address, void *host, unsigned flags)
{
    (void)ret_address, (void)host, (void)flags;
    return 801;
}

int cuEventCreate(void **ret_event, unsigned flags)
{
    (void)flags;
    *ret_event = (void *)1;
    return 0;
}

int cuEventRecord(void *event, void *stream)
{
    (void)event, (void)stream;
    return 0;
}

int cuEventQuery(void *event)
{
    (void)event;
    return 0;
}

int cuEventElapsedTime(float *ret_ms, void *start, void *stop)
{
    (void)start, (void)stop;
    *ret_ms = 1;
    return 0;
}
