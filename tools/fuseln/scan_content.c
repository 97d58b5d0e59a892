/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See scan_read.h. Kernel names lie uncompressed in a library's read-only data, where __cudaRegisterFunction gets them
 * from; those of a cubin are in its string table.
 */
#include "tools/fuseln/scan_read.h"

#include <elf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A fat binary: magic, version, header bytes, bytes that follow; then its images: kind, version, header bytes, bytes.
 */
enum { FATBIN_MAGIC = (int)0xba55ed50, FATBIN_HEAD = 16, IMAGE_HEAD_MIN = 16, IMAGE_KIND_ELF = 2 };
enum { NAME_MAX_BYTES = 4096, KERNELS_MAX = 65536 };

/* The message of cudaErrorInsufficientDriver. In nine environments of wheels (CUDA 12.0 to 13.2; PyTorch, cuDNN,
 * cuBLAS, NCCL, CTranslate2, CuPy, ...) each libcudart and each library with a CUDA runtime inside holds it, and no
 * other does. */
static const char runtime_marker[] = "CUDA driver version is insufficient for CUDA runtime version";
static const char unit_marker[] = "_20_layer_norm_kernel_cu_";

const char scan_cut[] = "cut short or broken: its headers point beyond its end";
const char scan_overlap[] = "broken: its sections overlap";
const char scan_kernels[] = "broken: it repeats kernel names without end";
const char scan_memory[] = "out of memory";

bool scan_part_of(struct scan_part whole, uint64_t offset, uint64_t size, struct scan_part *ret_part)
{
    if (offset > whole.size || size > whole.size - offset)
        return false;
    *ret_part = (struct scan_part){whole.bytes + offset, (size_t)size};
    return true;
}

bool scan_take(struct scan_part whole, uint64_t offset, void *ret_value, size_t size)
{
    struct scan_part part;
    if (!scan_part_of(whole, offset, size, &part))
        return false;
    memcpy(ret_value, part.bytes, size);
    return true;
}

static const char *add_kernel(struct scan_reader *reader, const char *symbol, bool known,
                              const struct fuseln_target *target)
{
    struct scan_elf *elf = reader->elf;
    const size_t count = elf->known + elf->others;

    if (count == KERNELS_MAX)
        return scan_kernels;
    if (count == reader->capacity) {
        const size_t capacity = count ? 2 * count : 128;
        struct scan_kernel *kernels = realloc(elf->kernels, capacity * sizeof *kernels);
        if (!kernels)
            return scan_memory;
        elf->kernels = kernels;
        reader->capacity = capacity;
    }
    elf->kernels[count] = (struct scan_kernel){.symbol = symbol, .known = known, .target = *target};
    *(known ? &elf->known : &elf->others) += 1;
    return NULL;
}

static const char *add_name(struct scan_reader *reader, const char *symbol)
{
    struct fuseln_target target = {0};

    if (fuseln_targets_match(symbol, &target))
        return add_kernel(reader, symbol, true, &target);
    /* A string table also has device functions and constants, so what is no kernel of ours says nothing there. */
    if (!reader->elf->cubin && strncmp(symbol, "_ZN2at6native", 13) == 0 && strstr(symbol, unit_marker))
        return add_kernel(reader, symbol, false, &target);
    return NULL;
}

/* Each complete C string from _Z on. What stands before need not be a zero: it may be a number. */
const char *scan_names(struct scan_reader *reader, struct scan_part part)
{
    const unsigned char *at = part.bytes, *end = part.bytes + part.size;
    const char *wrong = NULL;

    while (!wrong && (at = memmem(at, (size_t)(end - at), "_Z", 2))) {
        const size_t left = (size_t)(end - at);
        if (memchr(at, '\0', left < NAME_MAX_BYTES ? left : NAME_MAX_BYTES))
            wrong = add_name(reader, (const char *)at);
        at += 2;
    }
    return wrong;
}

static int compare_kernels(const void *left, const void *right)
{
    const struct scan_kernel *a = left, *b = right;

    if (a->known != b->known)
        return a->known ? -1 : 1;
    if (a->target.op != b->target.op)
        return a->target.op < b->target.op ? -1 : 1;
    if (a->target.rms != b->target.rms)
        return a->target.rms ? 1 : -1;
    const int names = strcmp(a->target.name, b->target.name);
    return names ? names : strcmp(a->symbol, b->symbol);
}

void scan_names_finish(struct scan_elf *elf)
{
    const size_t count = elf->known + elf->others;
    size_t kept = 0;

    elf->known = elf->others = 0;
    if (count)
        qsort(elf->kernels, count, sizeof *elf->kernels, compare_kernels);
    for (size_t i = 0; i < count; i++) {
        if (kept && strcmp(elf->kernels[kept - 1].symbol, elf->kernels[i].symbol) == 0)
            continue;
        elf->kernels[kept++] = elf->kernels[i];
        *(elf->kernels[i].known ? &elf->known : &elf->others) += 1;
    }
}

/* The images of one fat binary. A compressed one begins by another magic; that the host side names its kernels is
 * enough, so what cannot be read here is passed over. */
static const char *read_fatbin(struct scan_reader *reader, struct scan_part images)
{
    const char *wrong = NULL;
    uint64_t at = 0;
    struct {
        uint16_t kind, version;
        uint32_t head;
        uint64_t stored;
    } image;
    struct scan_part body;

    while (!wrong && scan_take(images, at, &image, sizeof image)) {
        if (image.head < IMAGE_HEAD_MIN || image.head > images.size - at ||
            !scan_part_of(images, at + image.head, image.stored, &body))
            return NULL;
        if (image.kind == IMAGE_KIND_ELF && body.size >= SELFMAG && memcmp(body.bytes, ELFMAG, SELFMAG) == 0)
            wrong = scan_cubin(reader, body);
        at += image.head + image.stored;
    }
    return wrong;
}

/* A row of fat binaries, one for each translation unit; only their headers are touched. */
const char *scan_fatbins(struct scan_reader *reader, struct scan_part part)
{
    const char *wrong = NULL;
    uint64_t at = 0;
    struct {
        uint32_t magic;
        uint16_t version, head;
        uint64_t size;
    } fatbin;
    struct scan_part images;

    while (!wrong && scan_take(part, at, &fatbin, sizeof fatbin)) {
        if (fatbin.magic != (uint32_t)FATBIN_MAGIC || fatbin.head < FATBIN_HEAD || fatbin.head > part.size - at ||
            !scan_part_of(part, at + fatbin.head, fatbin.size, &images)) {
            at += 8;
            continue;
        }
        wrong = read_fatbin(reader, images);
        at = (at + fatbin.head + fatbin.size + 7) & ~7ull;
    }
    return wrong;
}

void scan_build_id(struct scan_elf *elf, struct scan_part notes)
{
    Elf64_Nhdr head;
    char name[4];
    struct scan_part desc;

    for (uint64_t at = 0; !elf->build_id[0] && scan_take(notes, at, &head, sizeof head);) {
        const uint64_t desc_at = at + sizeof head + ((head.n_namesz + 3ull) & ~3ull);
        if (!scan_part_of(notes, desc_at, head.n_descsz, &desc))
            return;
        if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 && scan_take(notes, at + sizeof head, name, 4) &&
            memcmp(name, "GNU", 4) == 0) {
            for (size_t i = 0; i < desc.size && i < (sizeof elf->build_id - 1) / 2; i++) {
                elf->build_id[2 * i] = "0123456789abcdef"[desc.bytes[i] >> 4];
                elf->build_id[2 * i + 1] = "0123456789abcdef"[desc.bytes[i] & 15];
            }
        }
        at = desc_at + ((head.n_descsz + 3ull) & ~3ull);
    }
}

static bool is_text(unsigned char c)
{
    return c >= 0x20 && c < 0x7f;
}

/* A string of the dynamic string table, if it begins by "libcudart"; wheels rename it (libcudart.3eda8113.so.13). */
static bool read_runtime_name(struct scan_part strings, uint64_t offset, char *ret_name, size_t size)
{
    static const char prefix[] = "libcudart";
    const size_t length = sizeof prefix - 1;
    struct scan_part name;
    size_t n = 0;

    if (offset >= strings.size || !scan_part_of(strings, offset, strings.size - offset, &name))
        return false;
    if (name.size < length || memcmp(name.bytes, prefix, length) != 0)
        return false;
    for (; n < size - 1 && n < name.size && is_text(name.bytes[n]); n++)
        ret_name[n] = (char)name.bytes[n];
    ret_name[n] = '\0';
    return true;
}

void scan_dynamic(struct scan_elf *elf, struct scan_part dynamic, struct scan_part strings)
{
    Elf64_Dyn entry;
    char name[sizeof elf->runtime];

    for (uint64_t at = 0; scan_take(dynamic, at, &entry, sizeof entry) && entry.d_tag != DT_NULL; at += sizeof entry) {
        if (entry.d_tag == DT_NEEDED && !elf->runtime[0])
            read_runtime_name(strings, entry.d_un.d_val, elf->runtime, sizeof elf->runtime);
        if (entry.d_tag == DT_SONAME && read_runtime_name(strings, entry.d_un.d_val, name, sizeof name))
            elf->runtime_itself = true;
    }
}

const char *scan_data(struct scan_reader *reader, struct scan_part part)
{
    if (!reader->elf->cubin && memmem(part.bytes, part.size, runtime_marker, sizeof runtime_marker))
        reader->elf->runtime_inside = true;
    return scan_names(reader, part);
}
