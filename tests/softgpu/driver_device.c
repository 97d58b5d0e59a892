/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of the stand-in driver: the facts of an H100, error texts, primary contexts. As with a real driver, calls
 * fail with CUDA_ERROR_NOT_INITIALIZED before cuInit and in a forked child.
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
static const struct { CUdevice_attribute attribute; int value; } ATTRIBUTES[] = {
#define A(name, value) {CU_DEVICE_ATTRIBUTE_##name, value},
    A(MAX_THREADS_PER_BLOCK, 1024)
    A(MAX_BLOCK_DIM_X, 1024) A(MAX_BLOCK_DIM_Y, 1024) A(MAX_BLOCK_DIM_Z, 64)
    A(MAX_GRID_DIM_X, 2147483647) A(MAX_GRID_DIM_Y, 65535) A(MAX_GRID_DIM_Z, 65535)
    A(MAX_SHARED_MEMORY_PER_BLOCK, 49152) A(MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, SOFTGPU_SMEM_BYTES_MAX)
    A(MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, 233472) A(RESERVED_SHARED_MEMORY_PER_BLOCK, 1024)
    A(MAX_REGISTERS_PER_BLOCK, 65536) A(MAX_REGISTERS_PER_MULTIPROCESSOR, 65536)
    A(MAX_THREADS_PER_MULTIPROCESSOR, 2048) A(MAX_BLOCKS_PER_MULTIPROCESSOR, 32) A(WARP_SIZE, 32)
    A(TOTAL_CONSTANT_MEMORY, 65536) A(L2_CACHE_SIZE, 52428800) A(MAX_PITCH, 2147483647)
    A(TEXTURE_ALIGNMENT, 512) A(TEXTURE_PITCH_ALIGNMENT, 32)
    A(CLOCK_RATE, 1980000) A(MEMORY_CLOCK_RATE, 2619000) A(GLOBAL_MEMORY_BUS_WIDTH, 5120)
    A(ASYNC_ENGINE_COUNT, 3) A(GPU_OVERLAP, 1) A(CAN_MAP_HOST_MEMORY, 1) A(CONCURRENT_KERNELS, 1) A(ECC_ENABLED, 1)
    A(UNIFIED_ADDRESSING, 1) A(STREAM_PRIORITIES_SUPPORTED, 1) A(GLOBAL_L1_CACHE_SUPPORTED, 1)
    A(LOCAL_L1_CACHE_SUPPORTED, 1) A(MANAGED_MEMORY, 1) A(COMPUTE_PREEMPTION_SUPPORTED, 1) A(COOPERATIVE_LAUNCH, 1)
    A(HOST_REGISTER_SUPPORTED, 1) A(VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 1) A(MEMORY_POOLS_SUPPORTED, 1)
    A(CLUSTER_LAUNCH, 1)
#undef A
};

static const struct { CUresult error; const char *name, *text; } ERRORS[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
#define E(name, text) {CUDA_ERROR_##name, "CUDA_ERROR_" #name, text},
    E(INVALID_VALUE, "invalid argument")
    E(OUT_OF_MEMORY, "out of memory")
    E(NOT_INITIALIZED, "initialization error")
    E(DEINITIALIZED, "driver shutting down")
    E(NO_DEVICE, "no CUDA-capable device is detected")
    E(INVALID_DEVICE, "invalid device ordinal")
    E(INVALID_IMAGE, "device kernel image is invalid")
    E(INVALID_CONTEXT, "invalid device context")
    E(NO_BINARY_FOR_GPU, "no kernel image is available for execution on the device")
    E(INVALID_PTX, "a PTX JIT compilation failed")
    E(UNSUPPORTED_PTX_VERSION, "the provided PTX was compiled with an unsupported toolchain.")
    E(INVALID_HANDLE, "invalid resource handle")
    E(NOT_FOUND, "named symbol not found")
    E(NOT_READY, "device not ready")
    E(ILLEGAL_ADDRESS, "an illegal memory access was encountered")
    E(LAUNCH_OUT_OF_RESOURCES, "too many resources requested for launch")
    E(CONTEXT_IS_DESTROYED, "context is destroyed")
    E(LAUNCH_FAILED, "unspecified launch failure")
    E(NOT_SUPPORTED, "operation not supported")
    E(STREAM_CAPTURE_UNSUPPORTED, "operation not permitted when stream is capturing")
    E(STREAM_CAPTURE_INVALIDATED, "operation failed due to a previous error during capture")
    E(STREAM_CAPTURE_MERGE, "operation would result in a merge of separate capture sequences")
    E(STREAM_CAPTURE_UNMATCHED, "capture was not ended in the same stream as it began")
    E(STREAM_CAPTURE_IMPLICIT, "operation would make the legacy stream depend on a capturing blocking stream")
    E(CAPTURED_EVENT, "operation not permitted on an event last recorded in a capturing stream")
    E(STREAM_CAPTURE_WRONG_THREAD, "attempt to terminate a thread-local capture sequence from another thread")
    E(UNKNOWN, "unknown error")
#undef E
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

CUresult cuDeviceGetAttribute(int *ret_value, CUdevice_attribute attribute, CUdevice device)
{
    CUresult result = device_check(device);
    if (result != CUDA_SUCCESS || attribute < 1)
        return result ? result : CUDA_ERROR_INVALID_VALUE;
    const struct softgpu_facts *facts = softgpu_facts_get();
    *ret_value = attribute == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT       ? facts->sm_count
                 : attribute == CU_DEVICE_ATTRIBUTE_PCI_BUS_ID               ? device + 1
                 : attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? facts->cc_major
                 : attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR ? facts->cc_minor
                                                                             : 0;
    for (size_t i = 0; i < sizeof ATTRIBUTES / sizeof ATTRIBUTES[0]; ++i)
        if (ATTRIBUTES[i].attribute == attribute)
            *ret_value = ATTRIBUTES[i].value;
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

CUresult cuDeviceGetUuid(CUuuid *ret_uuid, CUdevice device)
{
    CUresult result = device_check(device);
    if (result == CUDA_SUCCESS) {
        memcpy(ret_uuid->bytes, "fuseln software", 16);
        ret_uuid->bytes[15] = (char)device;
    }
    return result;
}

CUresult cuDeviceGetUuid_v2(CUuuid *ret_uuid, CUdevice device)
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
    context->device = device;
    context->primary = primary;
    context->flags = flags;
    context->legacy = softgpu_object_make(SOFTGPU_STREAM, sizeof *context->legacy);
    context->legacy->context = context;
    return context;
}

void softgpu_context_destroy(CUcontext context)
{
    softgpu_order_wait(NULL);
    for (CUstream stream = NULL; (stream = softgpu_object_next(stream, SOFTGPU_STREAM));)
        if (stream->context == context)
            softgpu_object_kill(stream);
    softgpu_object_kill(context);
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *ret_context, CUdevice device)
{
    CUresult result = device_check(device);
    if (result != CUDA_SUCCESS)
        return result;
    pthread_mutex_lock(&context_lock);
    if (!primary_contexts[device])
        primary_contexts[device] = softgpu_context_make(device, true, primary_flags[device]);
    *ret_context = primary_contexts[device];
    ++primary_contexts[device]->references;
    pthread_mutex_unlock(&context_lock);
    return CUDA_SUCCESS;
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
