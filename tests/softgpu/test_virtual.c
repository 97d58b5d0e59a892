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

enum { MB = 1 << 20, PAGE = 2 * MB }; /* PAGE: the granularity */

#define DEVICE(ordinal)                                      \
    {                                                        \
        .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = (ordinal) \
    }
static const CUmemAllocationProp ON_DEVICE = {.type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = DEVICE(0)};
static const CUmemAccessDesc NONE = {DEVICE(0), CU_MEM_ACCESS_FLAGS_PROT_NONE};
static const CUmemAccessDesc READ = {DEVICE(0), CU_MEM_ACCESS_FLAGS_PROT_READ};
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

/* Which access the program has. Asks the kernel, which answers EFAULT where the program would fault. */
static int host_access(CUdeviceptr at)
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
    return writes ? ALL.flags : reads ? READ.flags : NONE.flags;
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

static void two_addresses_show_the_same_memory(void **state)
{
    (void)state;
    CUdeviceptr at = reserved(2 * PAGE);
    CUmemGenericAllocationHandle handle = created(PAGE);
    for (int i = 0; i < 2; ++i)
        assert_int_equal(cuMemMap(at + (CUdeviceptr)i * PAGE, PAGE, 0, handle, 0), 0);
    assert_int_equal(cuMemSetAccess(at, 2 * PAGE, &ALL, 1), 0);
    assert_int_equal(cuMemsetD32_v2(at, 0x40a00000, 2), 0);
    assert_float_equal(floats(at + PAGE)[1], 5, 0);
    assert_int_equal(cuMemUnmap(at, PAGE), 0);
    assert_float_equal(floats(at + PAGE)[1], 5, 0);
    assert_int_equal(cuMemRelease(handle), 0);
    assert_float_equal(floats(at + PAGE)[1], 5, 0);
    assert_int_equal(cuMemUnmap(at + PAGE, PAGE), 0);
    assert_int_equal(cuMemAddressFree(at, 2 * PAGE), 0);
}

static void a_handle_keeps_what_was_unmapped(void **state)
{
    (void)state;
    CUdeviceptr at = reserved(PAGE);
    CUmemGenericAllocationHandle handle = created(PAGE);
    for (int i = 0; i < 2; ++i) {
        assert_int_equal(cuMemMap(at, PAGE, 0, handle, 0), 0);
        assert_int_equal(cuMemSetAccess(at, PAGE, &ALL, 1), 0);
        assert_true(i == 0 ? isnan(*floats(at)) : *floats(at) == 7);
        *floats(at) = 7;
        assert_int_equal(cuMemUnmap(at, PAGE), 0);
    }
    assert_int_equal(cuMemRelease(handle), 0);
    assert_int_equal(cuMemRelease(handle), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemAddressFree(at, PAGE), 0);
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
    assert_int_equal(host_access(at), NONE.flags);
    CUmemGenericAllocationHandle handle = created(PAGE);
    assert_int_equal(cuMemMap(at, PAGE, 0, handle, 0), 0);
    assert_int_equal(host_access(at), NONE.flags);
    assert_int_equal(cuMemSetAccess(at, PAGE, &ALL, 1), 0);
    assert_true(isnan(*floats(at)));
    assert_int_equal(host_access(at), ALL.flags);
    assert_int_equal(cuMemRelease(handle), 0);
    unmapped(at, PAGE);
}

static void copies_fail(CUdeviceptr at, unsigned reads)
{
    char host[8] = {0};
    assert_int_equal(cuMemcpyHtoD_v2(at, host, sizeof host), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemcpyHtoDAsync_v2(at, host, sizeof host, NULL), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemsetD8_v2(at, 0, sizeof host), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemcpyDtoH_v2(host, at, sizeof host), reads ? CUDA_ERROR_INVALID_VALUE : 0);
    assert_int_equal(softgpu_errors_take(), 3 + reads);
}

static void copies_without_access_are_errors(void **state)
{
    (void)state;
    CUdeviceptr at = reserved(3 * PAGE);
    CUmemGenericAllocationHandle handle = created(PAGE);
    copies_fail(at, 1);
    assert_int_equal(cuMemMap(at, PAGE, 0, handle, 0), 0);
    copies_fail(at, 1);
    assert_int_equal(cuMemSetAccess(at, PAGE, &READ, 1), 0);
    copies_fail(at, 0);
    assert_int_equal(host_access(at), READ.flags);
    assert_int_equal(cuMemSetAccess(at, PAGE, &ALL, 1), 0);
    assert_int_equal(cuMemsetD8_v2(at, 0, PAGE), 0);
    copies_fail(at + PAGE - 4, 1); /* its second half is beyond the mapping */
    assert_int_equal(cuMemsetD8_v2(at, 0, PAGE), 0);
    assert_int_equal(cuMemSetAccess(at, PAGE, &NONE, 1), 0);
    assert_int_equal(host_access(at), NONE.flags);
    copies_fail(at, 1);
    assert_int_equal(cuMemUnmap(at, PAGE), 0);
    copies_fail(at, 1);
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

static void reservations_follow_their_arguments(void **state)
{
    (void)state;
    CUdeviceptr at = reserved(PAGE), other;
    static const struct {
        size_t bytes, alignment;
        CUdeviceptr hint;
        unsigned long long flags;
        CUresult result;
    } CASES[] = {
        {0, 0, 0, 0, CUDA_ERROR_INVALID_VALUE},
        {PAGE + 1, 0, 0, 0, CUDA_ERROR_INVALID_VALUE},
        {PAGE, 3 * PAGE, 0, 0, CUDA_ERROR_INVALID_VALUE},
        {PAGE, 0, 0x1001, 0, CUDA_ERROR_INVALID_VALUE},
        {PAGE, 0, 0, 1, CUDA_ERROR_INVALID_VALUE},
        {(size_t)1 << 60, 0, 0, 0, CUDA_ERROR_OUT_OF_MEMORY},
        {PAGE, 64 * (size_t)MB, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; ++i)
        assert_int_equal(cuMemAddressReserve(&other, CASES[i].bytes, CASES[i].alignment, CASES[i].hint, CASES[i].flags),
                         CASES[i].result);
    assert_int_equal(other % (64 * MB), 0);
    assert_int_equal(cuMemAddressFree(other, 2 * PAGE), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemAddressFree(other + 4096, PAGE), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemAddressFree(other, PAGE), 0);
    assert_int_equal(cuMemAddressFree(other, PAGE), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemAddressReserve(&other, PAGE, 0, at, 0), 0); /* a hint that is taken */
    assert_true(other != at);
    assert_int_equal(cuMemAddressFree(other, PAGE), 0);
    assert_int_equal(cuMemAddressFree(at, PAGE), 0);
}

static void allocations_follow_their_arguments(void **state)
{
    (void)state;
    const size_t before = free_bytes();
    CUmemGenericAllocationHandle handle;
    size_t granularity = 0;
    CUmemAllocationProp properties = ON_DEVICE;
    assert_int_equal(cuMemGetAllocationGranularity(&granularity, &ON_DEVICE, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED), 0);
    assert_int_equal(granularity, PAGE);
    assert_int_equal(cuMemGetAllocationGranularity(&granularity, &ON_DEVICE, 2), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemCreate(&handle, 0, &ON_DEVICE, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemCreate(&handle, MB, &ON_DEVICE, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemCreate(&handle, PAGE, &ON_DEVICE, 1), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemCreate(&handle, PAGE, NULL, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemCreate(&handle, (before / PAGE + 1) * PAGE, &ON_DEVICE, 0), CUDA_ERROR_OUT_OF_MEMORY);
    properties.location.id = 8;
    assert_int_equal(cuMemCreate(&handle, PAGE, &properties, 0), CUDA_ERROR_INVALID_DEVICE);
    properties.location.type = CU_MEM_LOCATION_TYPE_HOST;
    assert_int_equal(cuMemCreate(&handle, PAGE, &properties, 0), CUDA_ERROR_NOT_SUPPORTED);
    properties.type = 0;
    assert_int_equal(cuMemCreate(&handle, PAGE, &properties, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemRelease(0x12345678), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(free_bytes(), before);
}

static void mappings_follow_their_arguments(void **state)
{
    (void)state;
    CUdeviceptr at = reserved(3 * PAGE);
    CUmemGenericAllocationHandle handle = created(PAGE);
    const CUmemAccessDesc odd = {DEVICE(0), (CUmemAccess_flags)2};
    const CUmemAccessDesc elsewhere = {DEVICE(8), CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    assert_int_equal(cuMemMap(at, PAGE, PAGE, handle, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemMap(at, PAGE, 0, handle, 1), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemMap(at + MB, PAGE, 0, handle, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemMap(at, 2 * PAGE, 0, handle, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemMap(at, PAGE, 0, handle + 8, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemMap(at + 3 * PAGE, PAGE, 0, handle, 0), CUDA_ERROR_INVALID_VALUE);
    for (int i = 0; i < 2; ++i)
        assert_int_equal(cuMemMap(at + (CUdeviceptr)i * PAGE, PAGE, 0, handle, 0), 0);
    assert_int_equal(cuMemMap(at, PAGE, 0, handle, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemSetAccess(at, 3 * PAGE, &ALL, 1), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemSetAccess(at, MB, &ALL, 1), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemSetAccess(at, PAGE, &odd, 1), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemSetAccess(at, PAGE, &elsewhere, 1), CUDA_ERROR_INVALID_DEVICE);
    assert_int_equal(cuMemSetAccess(at, PAGE, NULL, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(host_access(at), NONE.flags);
    assert_int_equal(cuMemAddressFree(at, 3 * PAGE), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemUnmap(at, 3 * PAGE), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemUnmap(at, MB), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemUnmap(at + MB, PAGE), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemUnmap(at, 2 * PAGE), 0);
    assert_int_equal(cuMemUnmap(at, PAGE), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemRelease(handle), 0);
    assert_int_equal(cuMemAddressFree(at, 3 * PAGE), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_mapping_is_memory_of_the_device),
        TEST(two_addresses_show_the_same_memory),
        TEST(a_handle_keeps_what_was_unmapped),
        TEST(data_is_gone_after_unmap_and_release),
        TEST(copies_without_access_are_errors),
        TEST(a_launch_with_a_pointer_to_nothing_is_an_error),
        TEST(an_original_with_a_pointer_to_nothing_is_an_error),
        TEST(reservations_follow_their_arguments),
        TEST(allocations_follow_their_arguments),
        TEST(mappings_follow_their_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
