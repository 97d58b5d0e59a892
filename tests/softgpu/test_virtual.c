/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of memory that the program reserves and maps itself (driver_virtual.c), through the driver's entry points.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "driver_objects.h"
#include "test_driver.h"

enum { PAGE = 2 << 20 }; /* the granularity */

#define DEVICE(ordinal)                                      \
    {                                                        \
        .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = (ordinal) \
    }
static const CUmemAllocationProp ON_DEVICE = {.type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = DEVICE(0)};
static const CUmemAccessDesc NONE = {DEVICE(0), CU_MEM_ACCESS_FLAGS_PROT_NONE};
static const CUmemAccessDesc ALL = {DEVICE(0), CU_MEM_ACCESS_FLAGS_PROT_READWRITE};

static size_t free_bytes(void)
{
    size_t available, total;
    assert_int_equal(cuMemGetInfo_v2(&available, &total), 0);
    return available;
}

static CUdeviceptr reserved(size_t bytes)
{
    CUdeviceptr at;
    assert_int_equal(cuMemAddressReserve(&at, bytes, 0, 0, 0), 0);
    assert_int_equal(at % PAGE, 0);
    return at;
}

static CUmemGenericAllocationHandle created(size_t bytes)
{
    CUmemGenericAllocationHandle handle;
    assert_int_equal(cuMemCreate(&handle, bytes, &ON_DEVICE, 0), 0);
    return handle;
}

/* Maps memory with all access and releases its handle: the memory goes when it is unmapped. */
static CUdeviceptr mapped(size_t bytes)
{
    CUdeviceptr at = reserved(bytes);
    CUmemGenericAllocationHandle handle = created(bytes);
    assert_int_equal(cuMemMap(at, bytes, 0, handle, 0), 0);
    assert_int_equal(cuMemSetAccess(at, bytes, &ALL, 1), 0);
    assert_int_equal(cuMemRelease(handle), 0);
    return at;
}

static void unmapped(CUdeviceptr at, size_t bytes)
{
    assert_int_equal(cuMemUnmap(at, bytes), 0);
    assert_int_equal(cuMemAddressFree(at, bytes), 0);
}

static float *floats(CUdeviceptr at)
{
    return (float *)(uintptr_t)at;
}

/* Asks the kernel, which answers EFAULT where the program would fault. */
static bool host_has_access(CUdeviceptr at)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const bool reads = write(ends[1], floats(at), 1) == 1;
    assert_true(reads || errno == EFAULT);
    assert_int_equal(write(ends[1], "", 1), 1);
    const bool writes = read(ends[0], floats(at), 1) == 1;
    assert_true(writes || errno == EFAULT);
    close(ends[0]);
    close(ends[1]);
    assert_true(reads == writes);
    return writes;
}

/* Counts those of all allocations, by the name of their memory. */
static int mappings_of_the_process(void)
{
    char line[512];
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        count += strstr(line, "memfd:softgpu") != NULL;
    fclose(maps);
    return count;
}

static void a_mapping_is_memory_of_the_device(void **state)
{
    (void)state;
    const size_t before = free_bytes();
    CUdeviceptr at = mapped(2 * PAGE), base;
    size_t bytes;
    unsigned type = 0;
    float back[2] = {0}, *other;
    assert_int_equal(free_bytes(), before - 2 * PAGE);
    assert_true(isnan(floats(at)[0]));
    assert_int_equal(launch(function_load("fuseln_ln_test_write", REGISTERS), 1, 1, 0, NULL, NULL, floats(at), 1), 0);
    other = device_memory(sizeof back);
    assert_int_equal(cuMemcpyDtoD_v2((CUdeviceptr)(uintptr_t)other, at, sizeof back), 0);
    assert_int_equal(cuMemcpyDtoH_v2(back, (CUdeviceptr)(uintptr_t)other, sizeof back), 0);
    assert_int_equal(cuMemFree_v2((CUdeviceptr)(uintptr_t)other), 0);
    assert_float_equal(back[1], 1, 0);
    assert_int_equal(cuMemGetAddressRange_v2(&base, &bytes, at + PAGE + 4), 0);
    assert_true(base == at && bytes == 2 * PAGE);
    assert_int_equal(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, at), 0);
    assert_int_equal(type, CU_MEMORYTYPE_DEVICE);
    assert_int_equal(cuMemFree_v2(at), CUDA_ERROR_INVALID_VALUE);
    unmapped(at, 2 * PAGE);
    assert_int_equal(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, at), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(free_bytes(), before);
}

static void addresses_are_aligned_and_memory_is_limited(void **state)
{
    (void)state;
    const size_t alignment = 32 * (size_t)PAGE;
    CUmemGenericAllocationHandle handle;
    CUdeviceptr at;
    assert_int_equal(cuMemAddressReserve(&at, PAGE, alignment, 0, 0), 0);
    assert_int_equal(at % alignment, 0);
    assert_int_equal(cuMemAddressFree(at, PAGE), 0);
    assert_int_equal(cuMemCreate(&handle, (free_bytes() / PAGE + 1) * PAGE, &ON_DEVICE, 0), CUDA_ERROR_OUT_OF_MEMORY);
}

static void data_is_gone_after_unmap_and_release(void **state)
{
    (void)state;
    const size_t before = free_bytes();
    CUdeviceptr at = mapped(PAGE);
    *floats(at) = 7;
    assert_int_equal(mappings_of_the_process(), 1);
    assert_int_equal(cuMemUnmap(at, PAGE), 0);
    assert_int_equal(mappings_of_the_process(), 0);
    assert_int_equal(free_bytes(), before);
    assert_false(host_has_access(at));
    CUmemGenericAllocationHandle handle = created(PAGE);
    assert_int_equal(cuMemMap(at, PAGE, 0, handle, 0), 0);
    assert_false(host_has_access(at));
    assert_int_equal(cuMemSetAccess(at, PAGE, &ALL, 1), 0);
    assert_true(isnan(*floats(at)));
    assert_true(host_has_access(at));
    assert_int_equal(cuMemRelease(handle), 0);
    unmapped(at, PAGE);
}

static void copies_fail(CUdeviceptr at)
{
    char host[8] = {0};
    assert_int_equal(cuMemcpyHtoD_v2(at, host, sizeof host), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemcpyHtoDAsync_v2(at, host, sizeof host, NULL), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemsetD8_v2(at, 0, sizeof host), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemcpyDtoH_v2(host, at, sizeof host), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(softgpu_errors_take(), 4);
}

static void copies_without_access_are_errors(void **state)
{
    (void)state;
    CUdeviceptr at = reserved(3 * PAGE);
    CUmemGenericAllocationHandle handle = created(PAGE);
    copies_fail(at);
    assert_int_equal(cuMemMap(at, PAGE, 0, handle, 0), 0);
    copies_fail(at);
    assert_int_equal(cuMemSetAccess(at, PAGE, &ALL, 1), 0);
    assert_int_equal(cuMemsetD8_v2(at, 0, PAGE), 0);
    copies_fail(at + PAGE - 4); /* its second half is beyond the mapping */
    assert_int_equal(cuMemsetD8_v2(at, 0, PAGE), 0);
    assert_int_equal(cuMemSetAccess(at, PAGE, &NONE, 1), 0);
    assert_false(host_has_access(at));
    copies_fail(at);
    assert_int_equal(cuMemUnmap(at, PAGE), 0);
    copies_fail(at);
    assert_int_equal(cuMemRelease(handle), 0);
    assert_int_equal(cuMemAddressFree(at, 3 * PAGE), 0);
}

static void a_launch_with_a_pointer_to_nothing_is_an_error(void **state)
{
    (void)state;
    CUdeviceptr at = mapped(PAGE);
    CUfunction write = function_load("fuseln_ln_test_write", REGISTERS);
    assert_int_equal(launch(write, 1, 1, 0, NULL, NULL, floats(at), 1), 0);
    assert_int_equal(cuMemUnmap(at, PAGE), 0);
    assert_int_equal(launch(write, 1, 1, 0, NULL, NULL, floats(at), 1), CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_int_equal(softgpu_errors_take(), 1);
    assert_int_equal(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_int_equal(cuMemAddressFree(at, PAGE), 0);
}

static void an_original_with_a_pointer_to_nothing_is_an_error(void **state)
{
    (void)state;
    CUdeviceptr at = reserved(PAGE);
    CUlibrary library;
    CUkernel kernel;
    CUdeviceptr no_pointer = at; /* an int parameter, which is half of a word that looks like a pointer */
    void *params[] = {&no_pointer, &at};
    assert_int_equal(cuLibraryLoadData(&library, FATBIN, NULL, NULL, 0, NULL, NULL, 0), 0);
    assert_int_equal(cuLibraryGetKernel(&kernel, library, "_Z7unknownii"), 0);
    assert_int_equal(cuLaunchKernel((CUfunction)kernel, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL),
                     CUDA_ERROR_NOT_SUPPORTED);
    assert_int_equal(softgpu_errors_take(), 0);
    assert_int_equal(cuLibraryGetKernel(&kernel, library, "_Z7unknowniPf"), 0);
    assert_int_equal(cuLaunchKernel((CUfunction)kernel, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL),
                     CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_int_equal(softgpu_errors_take(), 1);
    assert_int_equal(cuMemAddressFree(at, PAGE), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_mapping_is_memory_of_the_device),
        TEST(addresses_are_aligned_and_memory_is_limited),
        TEST(data_is_gone_after_unmap_and_release),
        TEST(copies_without_access_are_errors),
        TEST(a_launch_with_a_pointer_to_nothing_is_an_error),
        TEST(an_original_with_a_pointer_to_nothing_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
