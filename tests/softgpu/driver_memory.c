/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuMem* of the stand-in driver, on top of device_memory.h. Copies and memsets are operations of a stream like
 * launches, so captures hold them too.
 */
#include <stdlib.h>
#include <string.h>

#include "counters.h"
#include "device_memory.h"
#include "driver_objects.h"

/* Every call that may synchronise asks this first. */
static CUresult blocking_ready(void)
{
    CUcontext context;
    CUresult result = softgpu_context_ready(&context);
    return result ? result : softgpu_capture_forbids();
}

static CUresult allocate(CUdeviceptr *ret_address, size_t bytes)
{
    if (!bytes)
        return CUDA_ERROR_INVALID_VALUE;
    void *address = softgpu_memory_allocate(bytes);
    if (!address)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *ret_address = (CUdeviceptr)(uintptr_t)address;
    return CUDA_SUCCESS;
}

static CUresult release(CUdeviceptr address)
{
    bool known = !address || softgpu_memory_free((void *)(uintptr_t)address);
    return known ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemAlloc_v2(CUdeviceptr *ret_address, size_t bytes)
{
    CUresult result = blocking_ready();
    return result ? result : allocate(ret_address, bytes);
}

CUresult cuMemFree_v2(CUdeviceptr address)
{
    CUresult result = blocking_ready();
    if (result == CUDA_SUCCESS)
        softgpu_order_wait(NULL);
    return result ? result : release(address);
}

/* Graphs have no memory nodes here. */
static CUresult async_ready(CUstream handle, CUstream *ret_stream)
{
    CUresult result = softgpu_stream_ready(handle, ret_stream);
    return result ? result : (*ret_stream)->capture ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
}

CUresult cuMemAllocAsync(CUdeviceptr *ret_address, size_t bytes, CUstream handle)
{
    CUstream stream;
    CUresult result = async_ready(handle, &stream);
    return result ? result : allocate(ret_address, bytes);
}

CUresult cuMemFreeAsync(CUdeviceptr address, CUstream handle)
{
    CUstream stream;
    CUresult result = async_ready(handle, &stream);
    if (result == CUDA_SUCCESS)
        softgpu_order_wait(stream);
    return result ? result : release(address);
}

CUresult cuMemHostAlloc(void **ret_address, size_t bytes, unsigned flags)
{
    (void)flags;
    CUresult result = blocking_ready();
    if (result != CUDA_SUCCESS)
        return result;
    return posix_memalign(ret_address, 4096, bytes ? bytes : 1) == 0 ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemAllocHost_v2(void **ret_address, size_t bytes)
{
    return cuMemHostAlloc(ret_address, bytes, 0);
}

CUresult cuMemFreeHost(void *address)
{
    CUresult result = blocking_ready();
    if (result != CUDA_SUCCESS)
        return result;
    softgpu_order_wait(NULL);
    free(address);
    return CUDA_SUCCESS;
}

/* Kernels may use the host's memory; every byte of it counts as written. */
CUresult cuMemHostRegister_v2(void *address, size_t bytes, unsigned flags)
{
    (void)flags;
    CUresult result = blocking_ready();
    if (result != CUDA_SUCCESS || !address || !bytes)
        return result ? result : CUDA_ERROR_INVALID_VALUE;
    softgpu_counters_add("registered host memory", address, bytes);
    softgpu_counters_fill(address, bytes);
    return CUDA_SUCCESS;
}

CUresult cuMemHostUnregister(void *address)
{
    CUresult result = blocking_ready();
    if (result == CUDA_SUCCESS)
        softgpu_counters_remove(address);
    return result;
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *ret_address, void *host, unsigned flags)
{
    (void)flags;
    *ret_address = (CUdeviceptr)(uintptr_t)host;
    return CUDA_SUCCESS;
}

CUresult cuMemGetInfo_v2(size_t *ret_free, size_t *ret_total)
{
    CUcontext context;
    CUresult result = softgpu_context_ready(&context);
    if (result == CUDA_SUCCESS)
        softgpu_memory_totals(ret_free, ret_total);
    return result;
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr *ret_base, size_t *ret_bytes, CUdeviceptr address)
{
    void *base;
    size_t bytes;
    if (!softgpu_memory_find((void *)(uintptr_t)address, &base, &bytes))
        return CUDA_ERROR_NOT_FOUND;
    if (ret_base)
        *ret_base = (CUdeviceptr)(uintptr_t)base;
    if (ret_bytes)
        *ret_bytes = bytes;
    return CUDA_SUCCESS;
}

CUresult cuPointerGetAttribute(void *ret_value, CUpointer_attribute attribute, CUdeviceptr address)
{
    const unsigned memory_type = CU_MEMORYTYPE_DEVICE;
    const bool is_managed = false;
    void *base;
    size_t bytes;
    CUcontext context;
    CUresult result = softgpu_context_ready(&context);
    if (result != CUDA_SUCCESS || !softgpu_memory_find((void *)(uintptr_t)address, &base, &bytes))
        return result ? result : CUDA_ERROR_INVALID_VALUE;
    const struct {
        CUpointer_attribute attribute;
        const void *value;
        size_t bytes;
    } values[] = {
        {CU_POINTER_ATTRIBUTE_CONTEXT, &context, sizeof context},
        {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, &memory_type, sizeof memory_type},
        {CU_POINTER_ATTRIBUTE_DEVICE_POINTER, &address, sizeof address},
        {CU_POINTER_ATTRIBUTE_BUFFER_ID, &base, sizeof base},
        {CU_POINTER_ATTRIBUTE_IS_MANAGED, &is_managed, sizeof is_managed},
        {CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, &context->device, sizeof context->device},
        {CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, &base, sizeof base},
        {CU_POINTER_ATTRIBUTE_RANGE_SIZE, &bytes, sizeof bytes},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; ++i)
        if (values[i].attribute == attribute) {
            memcpy(ret_value, values[i].value, values[i].bytes);
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult cuPointerGetAttributes(unsigned count, CUpointer_attribute *attributes, void **ret_values, CUdeviceptr address)
{
    for (unsigned i = 0; i < count; ++i)
        cuPointerGetAttribute(ret_values[i], attributes[i], address);
    return CUDA_SUCCESS;
}

static CUresult copy_run(const struct softgpu_operation *operation)
{
    void *target = operation->copy.target;
    const void *source = operation->copy.source;
    const size_t bytes = operation->copy.bytes;
    if (!softgpu_virtual_allows("a copy", "reads", source, bytes) ||
        !softgpu_virtual_allows("a copy", "writes", target, bytes))
        return CUDA_ERROR_INVALID_VALUE;
    memmove(target, source, bytes);
    softgpu_counters_fill(target, bytes);
    return CUDA_SUCCESS;
}

static CUresult copy_submit(void *target, const void *source, size_t bytes, CUstream stream)
{
    struct softgpu_operation operation = {.run = copy_run, .copy = {target, source, bytes}, .is_copy = true};
    return softgpu_stream_submit(stream, &operation);
}

/* On the legacy stream, and done when it returns. */
static CUresult copy_now(void *target, const void *source, size_t bytes)
{
    CUstream legacy;
    CUresult result = blocking_ready();
    result = result ? result : copy_submit(target, source, bytes, NULL);
    if (result == CUDA_SUCCESS && softgpu_stream_ready(NULL, &legacy) == CUDA_SUCCESS)
        softgpu_order_wait(legacy);
    return result;
}

static CUresult set_run(const struct softgpu_operation *operation)
{
    unsigned value = operation->set.value, width = operation->set.width;
    unsigned char *target = operation->set.target;
    if (!softgpu_virtual_allows("a memset", "writes", target, operation->set.count * width))
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < operation->set.count; ++i)
        memcpy(target + i * width, &value, width); /* little-endian */
    softgpu_counters_fill(target, operation->set.count * width);
    return CUDA_SUCCESS;
}

static CUresult set_submit(CUdeviceptr target, unsigned value, unsigned width, size_t count, CUstream stream)
{
    struct softgpu_operation operation = {.run = set_run, .set = {(void *)(uintptr_t)target, value, width, count}};
    return softgpu_stream_submit(stream, &operation);
}

/* X(direction, suffix of the name, type of target, type of source) */
#define COPIES(X)                           \
    X(, , CUdeviceptr, CUdeviceptr)         \
    X(HtoD, _v2, CUdeviceptr, const void *) \
    X(DtoH, _v2, void *, CUdeviceptr)       \
    X(DtoD, _v2, CUdeviceptr, CUdeviceptr)
#define X(kind, version, target_type, source_type)                                                                 \
    CUresult cuMemcpy##kind##version(target_type target, source_type source, size_t bytes)                         \
    {                                                                                                              \
        return copy_now((void *)(uintptr_t)target, (const void *)(uintptr_t)source, bytes);                        \
    }                                                                                                              \
    CUresult cuMemcpy##kind##Async##version(target_type target, source_type source, size_t bytes, CUstream stream) \
    {                                                                                                              \
        return copy_submit((void *)(uintptr_t)target, (const void *)(uintptr_t)source, bytes, stream);             \
    }
COPIES(X)
#undef X
#undef COPIES

#define SETS(X) X(D8, unsigned char) X(D16, unsigned short) X(D32, unsigned)
#define X(kind, type)                                                                             \
    CUresult cuMemset##kind##_v2(CUdeviceptr target, type value, size_t count)                    \
    {                                                                                             \
        return set_submit(target, value, sizeof(type), count, NULL);                              \
    }                                                                                             \
    CUresult cuMemset##kind##Async(CUdeviceptr target, type value, size_t count, CUstream stream) \
    {                                                                                             \
        return set_submit(target, value, sizeof(type), count, stream);                            \
    }
SETS(X)
#undef X
#undef SETS
