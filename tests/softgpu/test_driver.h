/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What test_driver.c and test_virtual.c share: a context for each test, cubins written by hand (one kernel with the
 * architecture, ELF ABI version and registers that the test asks for), a fat binary, functions, launches, device
 * memory. Loading such a cubin checks what the driver reads in real images.
 */
#ifndef SOFTGPU_TEST_DRIVER_H
#define SOFTGPU_TEST_DRIVER_H

#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "driver_objects.h"

enum { ABI_7 = 7, ABI_8 = 8, CUBIN_BYTES = 4096, REGISTERS = 40, THREADS_MAX = 512 };

static int context_up(void **state)
{
    CUcontext context;
    *state = NULL;
    return cuInit(0) || cuCtxCreate_v2(&context, 0, 0);
}

static int context_down(void **state)
{
    CUcontext context;
    (void)state;
    return softgpu_errors_take() || cuCtxGetCurrent(&context) || cuCtxDestroy_v2(context);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, context_up, context_down)

/* A cubin that holds one kernel. Sections: null, names (of sections and symbols), symbols, info, kernel's info. */
struct cubin_text {
    char names[256];
    unsigned used;
};

static unsigned text_add(struct cubin_text *text, const char *prefix, const char *name)
{
    unsigned at = text->used;
    text->used += (unsigned)sprintf(text->names + at, "%s%s", prefix, name) + 1;
    return at;
}

static void cubin_make(unsigned char *cubin, const char *kernel, unsigned architecture, unsigned abi,
                       unsigned registers)
{
    struct cubin_text text = {.used = 1};
    Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1, abi == ABI_7 ? 33 : 41}};
    header.e_ident[EI_ABIVERSION] = (unsigned char)abi;
    header.e_machine = 190;
    header.e_flags = abi == ABI_7 ? architecture << 16 | 0x500 | architecture : 0x6000004 | architecture << 8;
    header.e_shoff = 1024;
    header.e_shnum = 5;
    header.e_shstrndx = 1;
    Elf64_Sym symbols[2] = {{0},
                            {.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                             .st_other = 0x10, /* STO_CUDA_ENTRY */
                             .st_name = text_add(&text, "", kernel)}};
    uint32_t info[3] = {0x00080000u | 0x2f << 8 | 4, 1, registers};
    const uint32_t bytes = sizeof(struct fuseln_ln_params);
    uint32_t kernel_info[13] = {0x000c0000u | 0x05 << 8 | 4, THREADS_MAX, 1, 1, bytes << 16 | 0x19 << 8 | 3,
                                /* parameters, the last one first */
                                0x000c0000u | 0x17 << 8 | 4, 0, (bytes - 4) << 16 | 1, 4u << 18 | 0x1f000,
                                0x000c0000u | 0x17 << 8 | 4, 0, 0, (bytes - 4) << 18 | 0x1f000};
    Elf64_Shdr sections[5] = {
        {0},
        {.sh_name = text_add(&text, "", ".shstrtab"), .sh_offset = 512},
        {.sh_name = text_add(&text, "", ".symtab"), .sh_offset = 2048, .sh_size = sizeof symbols, .sh_link = 1},
        {.sh_name = text_add(&text, "", ".nv.info"), .sh_offset = 2304, .sh_size = sizeof info},
        {.sh_name = text_add(&text, ".nv.info.", kernel), .sh_offset = 2560, .sh_size = sizeof kernel_info},
    };
    memset(cubin, 0, CUBIN_BYTES);
    memcpy(cubin, &header, sizeof header);
    memcpy(cubin + 512, text.names, sizeof text.names);
    memcpy(cubin + 1024, sections, sizeof sections);
    memcpy(cubin + 2048, symbols, sizeof symbols);
    memcpy(cubin + 2304, info, sizeof info);
    memcpy(cubin + 2560, kernel_info, sizeof kernel_info);
}

/* What a runtime registers: nothing but its magic number is read. */
static const uint32_t FATBIN[4] = {0xba55ed50, 0x00100001};

static CUresult cubin_load(CUmodule *ret_module, const char *kernel, unsigned architecture, unsigned abi,
                           unsigned registers)
{
    static _Alignas(16) unsigned char cubin[CUBIN_BYTES];
    cubin_make(cubin, kernel, architecture, abi, registers);
    return cuModuleLoadData(ret_module, cubin);
}

static CUfunction function_load(const char *kernel, unsigned registers)
{
    CUmodule module;
    CUfunction function;
    assert_int_equal(cubin_load(&module, kernel, 90, ABI_7, registers), 0);
    assert_int_equal(cuModuleGetFunction(&function, module, kernel), 0);
    return function;
}

static CUresult launch(CUfunction function, unsigned blocks, unsigned threads, unsigned smem, CUstream stream,
                       const void *x, void *y, long long cols)
{
    struct fuseln_ln_params params = {.x = x, .y = y, .cols = cols};
    void *args[] = {&params};
    return cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, smem, stream, args, NULL);
}

static void *device_memory(size_t bytes)
{
    CUdeviceptr address;
    assert_int_equal(cuMemAlloc_v2(&address, bytes), 0);
    return (void *)(uintptr_t)address;
}

#endif
