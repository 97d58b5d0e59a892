/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices and contexts of the stand-in driver: an H100's facts, primary contexts, each thread's stack of current
 * contexts. As with a real driver, calls fail with 3 before cuInit and in a child of fork.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "device_memory.h"
#include "driver_objects.h"
#include "executor.h"

enum { DEVICES_MAX = 8 };

static pid_t initialised_in;
static pthread_mutex_t context_lock = PTHREAD_MUTEX_INITIALIZER;
static CUcontext primary_contexts[DEVICES_MAX];
static unsigned primary_flags[DEVICES_MAX];

// clang-format off
static const struct { int attribute, value; } DEVICE_ATTRIBUTES[] = {
    {1, 1024},                     /* threads per block */
    {2, 1024}, {3, 1024}, {4, 64}, /* block dimensions */
    {5, 2147483647}, {6, 65535}, {7, 65535}, /* grid dimensions */
    {8, 49152},                    /* shared memory per block */
    {9, 65536}, {10, 32}, {11, 2147483647}, {12, 65536}, /* constant memory, warp, pitch, registers per block */
    {13, 1980000}, {14, 512}, {15, 1}, {19, 1}, {31, 1}, {32, 1}, {34, 0}, {36, 2619000}, {37, 5120},
    {38, 52428800},                /* L2 */
    {39, 2048},                    /* threads per SM */
    {40, 3}, {41, 1}, {51, 32}, {78, 1}, {79, 1}, {80, 1},
    {81, 233472}, {82, 65536},     /* shared memory and registers per SM */
    {83, 1}, {90, 1}, {95, 1},
    {97, SOFTGPU_SMEM_BYTES_MAX},  /* opt-in shared memory per block */
    {99, 1}, {102, 1} /* virtual memory */, {106, 32}, {111, 1024}, {115, 1}, {120, 1},
};

static const struct { CUresult error; const char *name, *text; } ERRORS[] = {
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {4, "CUDA_ERROR_DEINITIALIZED", "driver shutting down"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the provided PTX was compiled with an unsupported toolchain."},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {600, "CUDA_ERROR_NOT_READY", "device not ready"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {709, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
    {902, "CUDA_ERROR_STREAM_CAPTURE_MERGE", "operation would result in a merge of separate capture sequences"},
    {903, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not ended in the same stream as it began"},
    {906, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT",
        "operation would make the legacy stream depend on a capturing blocking stream"},
    {907, "CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"},
    {908, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
        "attempt to terminate a thread-local capture sequence from another thread"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"},
};
// clang-format on

static bool is_initialised(void)
{
    return initialised_in == getpid();
}

static CUresult device_check(CUdevice device)
{
    if (!is_initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    return device >= 0 && device < softgpu_facts_get()->device_count ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuInit(unsigned flags)
{
    if (flags || softgpu_facts_get()->device_count > DEVICES_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if (initialised_in && initialised_in != getpid())
        return CUDA_ERROR_NOT_INITIALIZED;
    initialised_in = getpid();
    return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *ret_version)
{
    *ret_version = softgpu_facts_get()->driver_version;
    return CUDA_SUCCESS;
}

static CUresult error_find(CUresult error, const char **ret_name, const char **ret_text)
{
    for (size_t i = 0; i < sizeof ERRORS / sizeof ERRORS[0]; ++i) {
        if (ERRORS[i].error != error)
            continue;
        *ret_name = ERRORS[i].name;
        *ret_text = ERRORS[i].text;
        return CUDA_SUCCESS;
    }
    *ret_name = *ret_text = NULL;
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorName(CUresult error, const char **ret_text)
{
    const char *other;
    return error_find(error, ret_text, &other);
}

CUresult cuGetErrorString(CUresult error, const char **ret_text)
{
    const char *other;
    return error_find(error, &other, ret_text);
}

CUresult cuDeviceGet(CUdevice *ret_device, int ordinal)
{
    CUresult result = device_check(ordinal);
    if (result == CUDA_SUCCESS)
        *ret_device = ordinal;
    return result;
}

CUresult cuDeviceGetCount(int *ret_count)
{
    if (!is_initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    *ret_count = softgpu_facts_get()->device_count;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *ret_name, int length, CUdevice device)
{
    CUresult result = device_check(device);
    if (result == CUDA_SUCCESS && length > 0)
        snprintf(ret_name, (size_t)length, "Software device (tests/softgpu)");
    return result;
}

CUresult cuDeviceGetAttribute(int *ret_value, int attribute, CUdevice device)
{
    CUresult result = device_check(device);
    if (result != CUDA_SUCCESS || attribute < 1)
        return result ? result : CUDA_ERROR_INVALID_VALUE;
    const struct softgpu_facts *facts = softgpu_facts_get();
    *ret_value = attribute == 16   ? facts->sm_count
                 : attribute == 33 ? device + 1 /* PCI bus */
                 : attribute == 75 ? facts->cc_major
                 : attribute == 76 ? facts->cc_minor
                                   : 0;
    for (size_t i = 0; i < sizeof DEVICE_ATTRIBUTES / sizeof DEVICE_ATTRIBUTES[0]; ++i)
        if (DEVICE_ATTRIBUTES[i].attribute == attribute)
            *ret_value = DEVICE_ATTRIBUTES[i].value;
    return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem_v2(size_t *ret_bytes, CUdevice device)
{
    size_t unused;
    CUresult result = device_check(device);
    if (result == CUDA_SUCCESS)
        softgpu_memory_totals(&unused, ret_bytes);
    return result;
}

CUresult cuDeviceGetUuid(void *ret_uuid, CUdevice device)
{
    CUresult result = device_check(device);
    if (result == CUDA_SUCCESS) {
        memcpy(ret_uuid, "fuseln software", 16);
        ((char *)ret_uuid)[15] = (char)device;
    }
    return result;
}

CUresult cuDeviceGetUuid_v2(void *ret_uuid, CUdevice device)
{
    return cuDeviceGetUuid(ret_uuid, device);
}

CUresult cuDeviceGetPCIBusId(char *ret_id, int length, CUdevice device)
{
    CUresult result = device_check(device);
    if (result == CUDA_SUCCESS && length > 0)
        snprintf(ret_id, (size_t)length, "0000:%02x:00.0", (unsigned)device + 1);
    return result;
}

CUresult cuDeviceCanAccessPeer(int *ret_can, CUdevice device, CUdevice peer)
{
    *ret_can = device != peer;
    return device_check(device);
}

CUcontext softgpu_context_make(CUdevice device, bool primary, unsigned flags)
{
    if (device_check(device) != CUDA_SUCCESS)
        return NULL;
    CUcontext context = softgpu_object_make(SOFTGPU_CONTEXT, sizeof *context);
    CUstream legacy = context ? softgpu_object_make(SOFTGPU_STREAM, sizeof *legacy) : NULL;
    if (!legacy)
        return NULL;
    legacy->context = context;
    context->device = device;
    context->primary = primary;
    context->flags = flags;
    context->legacy = legacy;
    return context;
}

void softgpu_context_destroy(CUcontext context)
{
    softgpu_order_wait(NULL);
    struct softgpu_object *object = NULL;
    while ((object = softgpu_object_next(object, SOFTGPU_STREAM)))
        if (((CUstream)object)->context == context)
            softgpu_object_kill(object);
    softgpu_object_kill(context);
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *ret_context, CUdevice device)
{
    CUresult result = device_check(device);
    if (result != CUDA_SUCCESS)
        return result;
    pthread_mutex_lock(&context_lock);
    CUcontext context = primary_contexts[device];
    if (!context)
        context = primary_contexts[device] = softgpu_context_make(device, true, primary_flags[device]);
    if (context)
        ++context->references;
    pthread_mutex_unlock(&context_lock);
    *ret_context = context;
    return context ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
    CUresult result = device_check(device);
    if (result != CUDA_SUCCESS)
        return result;
    pthread_mutex_lock(&context_lock);
    CUcontext context = primary_contexts[device];
    if (!context) {
        result = CUDA_ERROR_INVALID_CONTEXT;
    } else if (--context->references == 0) {
        primary_contexts[device] = NULL;
        softgpu_context_destroy(context);
    }
    pthread_mutex_unlock(&context_lock);
    return result;
}

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags)
{
    CUresult result = device_check(device);
    if (result == CUDA_SUCCESS)
        primary_flags[device] = flags;
    return result;
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *ret_flags, int *ret_active)
{
    CUresult result = device_check(device);
    if (result != CUDA_SUCCESS)
        return result;
    *ret_flags = primary_flags[device];
    *ret_active = primary_contexts[device] != NULL;
    return CUDA_SUCCESS;
}
