/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that the program maps itself (driver_objects.h). A reservation is an address range without access; an
 * allocation is a memfd, so that several addresses can map it, and lives until its last handle and mapping are gone.
 * Fresh memory holds 0xFF bytes, as in device_memory.c. Memory on the host or shared with other processes, or only for
 * reading, is not supported.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device_memory.h"
#include "driver_objects.h"

enum { GRANULARITY = 2 << 20 };

struct allocation {
    struct softgpu_object object;
    int file;
    size_t bytes;
    unsigned handles, mappings;
};

struct range {
    struct softgpu_object object; /* SOFTGPU_RESERVATION or SOFTGPU_MAPPING */
    char *at;
    size_t bytes;
    struct allocation *allocation; /* this and the next: of a mapping */
    bool has_access;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool is_in_use; /* something was reserved */

/* The first range that has any of these bytes. */
static struct range *range_at(enum softgpu_kind kind, const char *at, size_t bytes)
{
    struct range *range = NULL;
    do
        range = softgpu_object_next(range, kind);
    while (range && !(at < range->at + range->bytes && range->at < at + bytes));
    return range;
}

/* The mapping that begins at *at, before end; *at moves to its end. */
static struct range *mapping_next(char **at, const char *end)
{
    struct range *mapping = *at < end ? range_at(SOFTGPU_MAPPING, *at, 1) : NULL;
    if (!mapping || mapping->at != *at)
        return NULL;
    *at += mapping->bytes;
    return mapping;
}

/* Only whole mappings can change. */
static bool are_whole_mappings(char *at, size_t bytes)
{
    const char *end = at + bytes;
    while (mapping_next(&at, end)) {
    }
    return bytes && at == end;
}

static CUresult location_check(const CUmemLocation *location)
{
    CUdevice device;
    if (location->type == CU_MEM_LOCATION_TYPE_DEVICE)
        return cuDeviceGet(&device, location->id);
    softgpu_note("memory at a location of type %d is not supported", (int)location->type);
    return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult cuMemGetAllocationGranularity(size_t *ret_bytes, const CUmemAllocationProp *properties,
                                       CUmemAllocationGranularity_flags which)
{
    (void)which;
    if (!ret_bytes || !properties || properties->type != CU_MEM_ALLOCATION_TYPE_PINNED)
        return CUDA_ERROR_INVALID_VALUE;
    *ret_bytes = GRANULARITY;
    return location_check(&properties->location);
}

/* Maps more than it needs, and unmaps what the alignment leaves over. */
static char *addresses_take(CUdeviceptr hint, size_t bytes, size_t alignment)
{
    char *start = bytes + alignment > bytes ? mmap((void *)(uintptr_t)hint, bytes + alignment, PROT_NONE,
                                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                                            : MAP_FAILED;
    if (start == MAP_FAILED)
        return NULL;
    const size_t before = (alignment - (uintptr_t)start % alignment) % alignment;
    if (before)
        munmap(start, before);
    munmap(start + before + bytes, alignment - before);
    return start + before;
}

CUresult cuMemAddressReserve(CUdeviceptr *ret_address, size_t bytes, size_t alignment, CUdeviceptr hint,
                             unsigned long long flags)
{
    int count;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    CUresult result = cuDeviceGetCount(&count);
    if (result != CUDA_SUCCESS)
        return result;
    if (!ret_address || !bytes || bytes % page || hint % page || alignment & (alignment - 1) || flags)
        return CUDA_ERROR_INVALID_VALUE;
    char *at = addresses_take(hint, bytes, alignment > GRANULARITY ? alignment : GRANULARITY);
    if (!at)
        return CUDA_ERROR_OUT_OF_MEMORY;
    pthread_mutex_lock(&lock);
    struct range *range = softgpu_object_make(SOFTGPU_RESERVATION, sizeof *range);
    range->at = at;
    range->bytes = bytes;
    is_in_use = true;
    *ret_address = (CUdeviceptr)(uintptr_t)at;
    pthread_mutex_unlock(&lock);
    return CUDA_SUCCESS;
}

CUresult cuMemAddressFree(CUdeviceptr address, size_t bytes)
{
    char *at = (char *)(uintptr_t)address;
    CUresult result = CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&lock);
    struct range *range = range_at(SOFTGPU_RESERVATION, at, 1);
    if (range && range->at == at && range->bytes == bytes && !range_at(SOFTGPU_MAPPING, at, bytes)) {
        munmap(at, bytes);
        softgpu_object_kill(range);
        result = CUDA_SUCCESS;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static int file_make(size_t bytes)
{
    int file = memfd_create("softgpu", MFD_CLOEXEC);
    void *memory = MAP_FAILED;
    if (file >= 0 && ftruncate(file, (off_t)bytes) == 0)
        memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory != MAP_FAILED) {
        memset(memory, 0xff, bytes);
        munmap(memory, bytes);
        return file;
    }
    if (file >= 0)
        close(file);
    return -1;
}

CUresult cuMemCreate(CUmemGenericAllocationHandle *ret_handle, size_t bytes, const CUmemAllocationProp *properties,
                     unsigned long long flags)
{
    size_t granularity;
    CUresult result = cuMemGetAllocationGranularity(&granularity, properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM);
    if (result != CUDA_SUCCESS || !ret_handle || !bytes || bytes % granularity || flags)
        return result ? result : CUDA_ERROR_INVALID_VALUE;
    if (properties->requestedHandleTypes & ~(unsigned)CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (!softgpu_memory_reserve(bytes))
        return CUDA_ERROR_OUT_OF_MEMORY;
    int file = file_make(bytes);
    if (file < 0) {
        softgpu_memory_unreserve(bytes);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    pthread_mutex_lock(&lock);
    struct allocation *allocation = softgpu_object_make(SOFTGPU_ALLOCATION, sizeof *allocation);
    allocation->file = file;
    allocation->bytes = bytes;
    allocation->handles = 1;
    *ret_handle = (uintptr_t)allocation;
    pthread_mutex_unlock(&lock);
    return CUDA_SUCCESS;
}

/* NULL for a number that is no handle. */
static struct allocation *allocation_find(CUmemGenericAllocationHandle handle)
{
    struct allocation *allocation = NULL;
    do
        allocation = softgpu_object_next(allocation, SOFTGPU_ALLOCATION);
    while (allocation && !((uintptr_t)allocation == handle && allocation->handles));
    return allocation;
}

static void allocation_drop(struct allocation *allocation)
{
    if (allocation->handles || allocation->mappings)
        return;
    close(allocation->file);
    softgpu_memory_unreserve(allocation->bytes);
    softgpu_object_kill(allocation);
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle)
{
    pthread_mutex_lock(&lock);
    struct allocation *allocation = allocation_find(handle);
    if (allocation) {
        allocation->handles--;
        allocation_drop(allocation);
    }
    pthread_mutex_unlock(&lock);
    return allocation ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult map(char *at, size_t bytes, struct allocation *allocation)
{
    struct range *reservation = range_at(SOFTGPU_RESERVATION, at, 1);
    if (!reservation || at + bytes > reservation->at + reservation->bytes || range_at(SOFTGPU_MAPPING, at, bytes) ||
        !allocation || bytes > allocation->bytes)
        return CUDA_ERROR_INVALID_VALUE;
    if (mmap(at, bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, allocation->file, 0) == MAP_FAILED)
        return CUDA_ERROR_OUT_OF_MEMORY;
    struct range *mapping = softgpu_object_make(SOFTGPU_MAPPING, sizeof *mapping);
    mapping->at = at;
    mapping->bytes = bytes;
    mapping->allocation = allocation;
    allocation->mappings++;
    return CUDA_SUCCESS;
}

CUresult cuMemMap(CUdeviceptr address, size_t bytes, size_t offset, CUmemGenericAllocationHandle handle,
                  unsigned long long flags)
{
    if (!bytes || address % GRANULARITY || bytes % GRANULARITY || offset || flags)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&lock);
    CUresult result = map((char *)(uintptr_t)address, bytes, allocation_find(handle));
    pthread_mutex_unlock(&lock);
    return result;
}

static void mapping_access(struct range *mapping, bool access)
{
    mprotect(mapping->at, mapping->bytes, access ? PROT_READ | PROT_WRITE : PROT_NONE);
    if (!mapping->has_access && access)
        softgpu_memory_adopt(mapping->at, mapping->bytes);
    if (mapping->has_access && !access)
        softgpu_memory_disown(mapping->at);
    mapping->has_access = access;
}

CUresult cuMemSetAccess(CUdeviceptr address, size_t bytes, const CUmemAccessDesc *access, size_t count)
{
    char *at = (char *)(uintptr_t)address;
    const char *end = at + bytes;
    if (!access || count != 1 || (access->flags && access->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE))
        return CUDA_ERROR_NOT_SUPPORTED;
    CUresult result = location_check(&access->location);
    if (result != CUDA_SUCCESS)
        return result;
    softgpu_order_wait(NULL);
    pthread_mutex_lock(&lock);
    result = are_whole_mappings(at, bytes) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    for (struct range *mapping; result == CUDA_SUCCESS && (mapping = mapping_next(&at, end));)
        mapping_access(mapping, access->flags);
    pthread_mutex_unlock(&lock);
    return result;
}

CUresult cuMemUnmap(CUdeviceptr address, size_t bytes)
{
    char *at = (char *)(uintptr_t)address;
    const char *end = at + bytes;
    softgpu_order_wait(NULL);
    pthread_mutex_lock(&lock);
    CUresult result = are_whole_mappings(at, bytes) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    for (struct range *mapping; result == CUDA_SUCCESS && (mapping = mapping_next(&at, end));) {
        mapping_access(mapping, false);
        mmap(mapping->at, mapping->bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
        mapping->allocation->mappings--;
        allocation_drop(mapping->allocation);
        softgpu_object_kill(mapping);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

bool softgpu_virtual_is_in_use(void)
{
    return is_in_use;
}

/* The first of these bytes to which there is no access; NULL if there is to all. */
static const char *first_refused(const char *at, const char *end)
{
    const struct range *reservation = range_at(SOFTGPU_RESERVATION, at, (size_t)(end - at));
    if (!reservation)
        return NULL;
    at = at > reservation->at ? at : reservation->at;
    while (at < end && at < reservation->at + reservation->bytes) {
        const struct range *mapping = range_at(SOFTGPU_MAPPING, at, 1);
        if (!mapping || !mapping->has_access)
            return at;
        at = mapping->at + mapping->bytes;
    }
    return NULL;
}

bool softgpu_virtual_allows(const char *who, const char *does, const void *at, size_t bytes)
{
    const char *first = at;
    if (!bytes || !is_in_use)
        return true;
    pthread_mutex_lock(&lock);
    const char *refused = first_refused(first, first + bytes);
    const bool mapped = refused && range_at(SOFTGPU_MAPPING, refused, 1);
    pthread_mutex_unlock(&lock);
    if (refused)
        softgpu_error("%s %s reserved memory at %p, %s", who, does, (const void *)refused,
                      mapped ? "which it has no access to" : "where nothing is mapped");
    return !refused;
}
