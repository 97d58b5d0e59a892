/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads what a module image holds: the kernels of a cubin with their registers, launch bounds, shared memory and
 * parameters, or the entries of PTX text with theirs; and refuses what this device and driver could not load.
 * Cubins: the architecture is in e_flags, in the low byte (ELF ABI version 7) or the next one (version 8); registers
 * are attribute 0x2f of .nv.info, launch bounds 0x05, each parameter 0x17 and the bytes of all 0x19 of .nv.info.NAME
 * (as images of NVRTC 12.0 and 12.8 and of nvcc 13.0 have them for sm_70 ... sm_120; sh_info's top byte holds registers
 * for sm_70 only).
 */
#include <ctype.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "driver_objects.h"

enum { ABI_7 = 7, ABI_8 = 8, DRIVER_OF_ABI_8 = 12080, MACHINE_CUDA = 190, STO_ENTRY = 0x10 /* STO_CUDA_ENTRY */ };
enum { ARCHITECTURE_OF_RESERVED_SMEM = 90, RESERVED_SMEM_BYTES = 1024 };
enum {
    FORMAT_VALUE = 3,
    FORMAT_SIZED = 4,
    ATTRIBUTE_MAX_THREADS = 0x05,
    ATTRIBUTE_PARAM = 0x17,
    ATTRIBUTE_PARAM_BYTES = 0x19,
    ATTRIBUTE_REGISTERS = 0x2f
};

struct cubin {
    const unsigned char *bytes;
    const Elf64_Shdr *sections;
    unsigned section_count;
    const char *names;
};

/* An image for X.y runs on X.z, z >= y. */
static CUresult device_check(unsigned architecture)
{
    const struct softgpu_facts *facts = softgpu_facts_get();
    bool runs = (int)(architecture / 10) == facts->cc_major && (int)(architecture % 10) <= facts->cc_minor;
    return runs ? CUDA_SUCCESS : CUDA_ERROR_NO_BINARY_FOR_GPU;
}

static struct softgpu_image_kernel *kernel_add(CUmodule module, const char *name, size_t length)
{
    module->kernels = softgpu_realloc(module->kernels, (module->kernel_count + 1) * sizeof *module->kernels);
    struct softgpu_image_kernel *kernel = &module->kernels[module->kernel_count++];
    *kernel = (struct softgpu_image_kernel){.name = strndup(name, length)};
    return kernel;
}

static const Elf64_Shdr *section_find(const struct cubin *cubin, const char *prefix, const char *name)
{
    size_t length = strlen(prefix);
    for (unsigned i = 0; i < cubin->section_count; ++i) {
        const char *section = cubin->names + cubin->sections[i].sh_name;
        if (strncmp(section, prefix, length) == 0 && strcmp(section + length, name) == 0)
            return &cubin->sections[i];
    }
    return NULL;
}

struct attribute {
    unsigned id;
    uint32_t words[3]; /* of its payload; without one, the first is the value */
};

/* Reads the attribute at *at of the section and moves behind it; false at the end. */
static bool info_next(const struct cubin *cubin, const Elf64_Shdr *section, size_t *at, struct attribute *ret_attribute)
{
    uint16_t value;
    if (!section || *at + 4 > section->sh_size)
        return false;
    const unsigned char *record = cubin->bytes + section->sh_offset + *at;
    memcpy(&value, record + 2, sizeof value);
    const size_t payload = record[0] == FORMAT_SIZED ? value : 0, words_bytes = sizeof ret_attribute->words;
    *ret_attribute = (struct attribute){.id = record[1], .words = {payload ? 0 : value}};
    memcpy(ret_attribute->words, record + 4, payload < words_bytes ? payload : words_bytes);
    *at += 4 + payload;
    return true;
}

/* Word `index` of an attribute's payload whose first word is key (-1: any); 0 if there is none. */
static unsigned info_word(const struct cubin *cubin, const Elf64_Shdr *section, unsigned attribute, long key, int index)
{
    struct attribute found;
    for (size_t at = 0; info_next(cubin, section, &at, &found);)
        if (found.id == attribute && (key < 0 || (uint32_t)key == found.words[0]))
            return found.words[index];
    return 0;
}

/* Room for parameter `ordinal` and those before it. */
static struct softgpu_parameter *parameter_add(struct softgpu_image_kernel *kernel, unsigned ordinal)
{
    if (ordinal >= kernel->param_count) {
        kernel->params = softgpu_realloc(kernel->params, (ordinal + 1) * sizeof *kernel->params);
        memset(kernel->params + kernel->param_count, 0, (ordinal + 1 - kernel->param_count) * sizeof *kernel->params);
        kernel->param_count = ordinal + 1;
    }
    return &kernel->params[ordinal];
}

/* The compiler writes the last parameter first: ordinal and offset in the second word, the size in the third. */
static void cubin_parameters_add(const struct cubin *cubin, const Elf64_Shdr *section,
                                 struct softgpu_image_kernel *kernel)
{
    struct attribute found;
    for (size_t at = 0; info_next(cubin, section, &at, &found);)
        if (found.id == ATTRIBUTE_PARAM)
            *parameter_add(kernel, found.words[1] & 0xffff) =
                (struct softgpu_parameter){found.words[1] >> 16, found.words[2] >> 18};
}

static void cubin_kernel_add(const struct cubin *cubin, CUmodule module, const char *name, long symbol,
                             unsigned architecture)
{
    struct softgpu_image_kernel *kernel = kernel_add(module, name, strlen(name));
    const Elf64_Shdr *info = section_find(cubin, ".nv.info.", name);
    const Elf64_Shdr *shared = section_find(cubin, ".nv.shared.", name);
    kernel->registers = info_word(cubin, section_find(cubin, ".nv.info", ""), ATTRIBUTE_REGISTERS, symbol, 1);
    kernel->threads_max = info_word(cubin, info, ATTRIBUTE_MAX_THREADS, -1, 0);
    kernel->param_bytes = info_word(cubin, info, ATTRIBUTE_PARAM_BYTES, -1, 0);
    cubin_parameters_add(cubin, info, kernel);
    kernel->smem_static_bytes = shared ? (unsigned)shared->sh_size : 0;
    if (architecture >= ARCHITECTURE_OF_RESERVED_SMEM && kernel->smem_static_bytes >= RESERVED_SMEM_BYTES)
        kernel->smem_static_bytes -= RESERVED_SMEM_BYTES; /* the driver's, not the kernel's */
}

static CUresult cubin_read(const unsigned char *bytes, CUmodule module)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)bytes;
    unsigned abi = header->e_ident[EI_ABIVERSION], flags = header->e_flags;
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != MACHINE_CUDA || abi < ABI_7 || abi > ABI_8)
        return CUDA_ERROR_INVALID_IMAGE;
    if (abi == ABI_8 && softgpu_facts_get()->driver_version < DRIVER_OF_ABI_8)
        return CUDA_ERROR_INVALID_IMAGE;
    unsigned architecture = abi == ABI_7 ? flags & 0xff : flags >> 8 & 0xff;
    CUresult result = device_check(architecture);
    if (result != CUDA_SUCCESS)
        return result;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(bytes + header->e_shoff);
    struct cubin cubin = {bytes, sections, header->e_shnum,
                          (const char *)bytes + sections[header->e_shstrndx].sh_offset};
    const Elf64_Shdr *table = section_find(&cubin, ".symtab", "");
    if (!table || table->sh_link >= cubin.section_count)
        return CUDA_ERROR_INVALID_IMAGE;
    const Elf64_Sym *symbols = (const Elf64_Sym *)(bytes + table->sh_offset);
    const char *strings = (const char *)bytes + sections[table->sh_link].sh_offset;
    for (size_t i = 0; i < table->sh_size / sizeof *symbols; ++i)
        if (ELF64_ST_TYPE(symbols[i].st_info) == STT_FUNC && symbols[i].st_other & STO_ENTRY) /* local symbols too */
            cubin_kernel_add(&cubin, module, strings + symbols[i].st_name, (long)i, architecture);
    return CUDA_SUCCESS;
}

/* The number after a directive, 83 for ".version 8.3", 90 for ".target sm_90a"; 0 without the directive. */
static unsigned directive(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    unsigned number = 0;
    for (at = at ? at + strlen(name) : ""; isdigit((unsigned char)*at) || *at == '.'; ++at)
        if (*at != '.')
            number = number * 10 + (unsigned)(*at - '0');
    return number;
}

/* PTX 8.0 came with CUDA 12.0; minor versions agree up to 12.5, and PTX 8.6 came with CUDA 12.7. */
static unsigned ptx_version_max(int driver_version)
{
    unsigned major = (unsigned)driver_version / 1000, minor = (unsigned)driver_version % 1000 / 10;
    if (major == 11)
        return 70 + minor;
    if (major == 12)
        return 80 + (minor > 5 ? minor - 1 : minor);
    return (major - 4) * 10 + minor;
}

/* The parameter that `text` declares, as in `.param .u64 NAME` or `.param .align 8 .b8 NAME[24]`, behind `bytes` bytes
 * of others. What follows the type, as in `.param .u64 .ptr .global .align 1 NAME`, is about what a pointer points to.
 */
static struct softgpu_parameter ptx_parameter(const char *text, const char *end, unsigned bytes)
{
    unsigned alignment = 0, size = 0;
    const char *at = text + 1;
    while (!size && (at = memchr(at, '.', (size_t)(end - at)))) {
        if (strncmp(at, ".align", 6) == 0)
            alignment = (unsigned)strtoul(at + 6, NULL, 10);
        else if (strchr("usbf", at[1]) && isdigit((unsigned char)at[2]))
            size = (unsigned)strtoul(at + 2, NULL, 10) / 8;
        at++;
    }
    const char *array = at ? memchr(at, '[', (size_t)(end - at)) : NULL;
    alignment = alignment ? alignment : size + !size;
    return (struct softgpu_parameter){(bytes + alignment - 1) / alignment * alignment,
                                      size * (array ? (unsigned)strtoul(array + 1, NULL, 10) : 1)};
}

/* `text` is what follows the entry's name. */
static void ptx_parameters_add(const char *text, struct softgpu_image_kernel *kernel)
{
    const char *end = *text == '(' ? strchr(text, ')') : NULL;
    for (const char *at = end ? strstr(text, ".param") : NULL; at && at < end; at = strstr(at, ".param")) {
        const size_t length = strcspn(at, ",)");
        struct softgpu_parameter *parameter = parameter_add(kernel, kernel->param_count);
        *parameter = ptx_parameter(at, at + length, kernel->param_bytes);
        kernel->param_bytes = parameter->offset + parameter->bytes;
        at += length;
    }
}

static CUresult ptx_read(const char *text, CUmodule module)
{
    static const char ENTRY[] = ".entry";
    const struct softgpu_facts *facts = softgpu_facts_get();
    unsigned version = directive(text, ".version "), target = directive(text, ".target sm_");
    if (!version || !target)
        return CUDA_ERROR_INVALID_PTX;
    if (version > ptx_version_max(facts->driver_version))
        return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
    if (target > (unsigned)(facts->cc_major * 10 + facts->cc_minor))
        return CUDA_ERROR_NO_BINARY_FOR_GPU;
    for (const char *at = text; (at = strstr(at, ENTRY));) {
        at += sizeof ENTRY - 1;
        at += strspn(at, " \t\r\n");
        size_t length = strcspn(at, "( \t\r\n");
        struct softgpu_image_kernel *kernel = kernel_add(module, at, length);
        at += length;
        ptx_parameters_add(at + strspn(at, " \t\r\n"), kernel);
    }
    return CUDA_SUCCESS;
}

/* Its PTX tells of kernels, where it has some that is not compressed and that this device takes; it has any others. */
static CUresult fatbin_read(const void *image, CUmodule module)
{
    char *text = softgpu_fatbin_ptx(image);
    if (text)
        ptx_read(text, module);
    free(text);
    return CUDA_SUCCESS;
}

CUresult softgpu_image_read(const void *image, CUmodule module)
{
    const unsigned char *bytes = image;
    uint32_t magic;
    if (!image)
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(&magic, bytes, sizeof magic);
    if (memcmp(bytes, ELFMAG, SELFMAG) == 0)
        return cubin_read(bytes, module);
    module->any_name = magic == SOFTGPU_FATBIN || magic == SOFTGPU_FATBIN_WRAPPER;
    if (module->any_name)
        return fatbin_read(image, module);
    return isspace(*bytes) || *bytes == '/' || *bytes == '.' ? ptx_read(image, module) : CUDA_ERROR_INVALID_IMAGE;
}
