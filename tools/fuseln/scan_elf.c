/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See scan.h: finds kernel names, the build-id and the CUDA runtime in an ELF file. Names lie uncompressed in a
 * library's read-only data, which __cudaRegisterFunction is called with; those of a cubin are in its string table.
 * Only 64-bit little-endian files, as CUDA runs on no other machine. Functions that return a text return what is wrong,
 * or NULL.
 */
#include "tools/fuseln/scan.h"

#include "core/library.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MACHINE_CUDA = 190 };

static const char overlap[] = "broken: its sections overlap";

struct reader {
    struct part file;
    size_t examined; /* bytes of all parts read so far */
    bool cubin;
    struct scan_elf *elf;
};

/* A part that will be read through. Neither sections nor segments overlap each other in a sound file, so all parts are
 * at most twice its size; this bounds the time that a hostile file takes. */
static const char *examine(struct reader *reader, uint64_t offset, uint64_t size, struct part *ret_part)
{
    if (!fuseln_part_of(reader->file, offset, size, ret_part))
        return fuseln_elf_cut;
    reader->examined += ret_part->size;
    return reader->examined > 2 * reader->file.size ? overlap : NULL;
}

/* ---- the CUDA runtime ---- */

/* The text at offset, if it begins with "libcudart"; wheels rename it (libcudart.3eda8113.so.13). */
static bool read_runtime_name(struct part strings, uint64_t offset, char ret_name[64])
{
    struct part name;
    size_t length = 0;
    if (offset >= strings.size || !fuseln_part_of(strings, offset, strings.size - offset, &name))
        return false;
    while (length < name.size && length < 63 && name.bytes[length] >= 0x20 && name.bytes[length] < 0x7f)
        length++;
    if (length < 9 || memcmp(name.bytes, "libcudart", 9) != 0)
        return false;
    snprintf(ret_name, 64, "%.*s", (int)length, (const char *)name.bytes);
    return true;
}

/* What is loaded at an address, up to the end of its segment; empty if nothing is. */
static struct part loaded_at(struct part file, const Elf64_Ehdr *head, uint64_t address)
{
    Elf64_Phdr segment;
    struct part part = {0};

    for (unsigned i = 0; fuseln_elf_segment(file, head, i, &segment); i++) {
        const uint64_t inside = address - segment.p_vaddr;
        if (segment.p_type == PT_LOAD && address >= segment.p_vaddr && inside < segment.p_filesz &&
            fuseln_part_of(file, segment.p_offset, segment.p_filesz, &part)) {
            fuseln_part_of(part, inside, part.size - inside, &part);
            return part;
        }
    }
    return part;
}

static bool dynamic_at(struct part dynamic, uint64_t index, Elf64_Dyn *ret_entry)
{
    return fuseln_part_copy(dynamic, index * sizeof *ret_entry, ret_entry, sizeof *ret_entry) &&
           ret_entry->d_tag != DT_NULL;
}

static void read_dynamic(struct reader *reader, const Elf64_Ehdr *head, struct part dynamic)
{
    struct scan_elf *elf = reader->elf;
    struct part strings = {0};
    Elf64_Dyn entry;
    char name[sizeof elf->runtime];

    for (uint64_t i = 0; dynamic_at(dynamic, i, &entry); i++)
        if (entry.d_tag == DT_STRTAB) {
            strings = loaded_at(reader->file, head, entry.d_un.d_ptr);
            break; /* each costs a search of all segments */
        }
    for (uint64_t i = 0; dynamic_at(dynamic, i, &entry); i++) {
        if (entry.d_tag == DT_NEEDED && !elf->runtime[0])
            read_runtime_name(strings, entry.d_un.d_val, elf->runtime);
        if (entry.d_tag == DT_SONAME && read_runtime_name(strings, entry.d_un.d_val, name))
            elf->runtime_itself = true;
    }
}

/* ---- segments: what the loader needs; all data if the section table was stripped ---- */

static const char *read_data(struct reader *reader, struct part part)
{
    /* The message of cudaErrorInsufficientDriver. In nine environments of wheels (CUDA 12.0 to 13.2; PyTorch, cuDNN,
     * cuBLAS, NCCL, CTranslate2, CuPy, ...) every libcudart and every library with a CUDA runtime inside holds it, and
     * no other does. */
    static const char marker[] = "CUDA driver version is insufficient for CUDA runtime version";
    reader->elf->runtime_inside |= memmem(part.bytes, part.size, marker, sizeof marker) != NULL;
    return scan_names_read(reader->elf, part.bytes, part.size, reader->cubin);
}

static const char *read_segments(struct reader *reader, const Elf64_Ehdr *head)
{
    Elf64_Phdr segment;
    struct part part;
    const char *wrong = NULL;
    bool dynamic = false;

    for (unsigned i = 0; !wrong && i < head->e_phnum; i++) {
        if (!fuseln_elf_segment(reader->file, head, i, &segment))
            return fuseln_elf_cut;
        const bool data = segment.p_type == PT_LOAD && !head->e_shoff;
        if (segment.p_type != PT_NOTE && segment.p_type != PT_DYNAMIC && !data)
            continue;
        wrong = examine(reader, segment.p_offset, segment.p_filesz, &part);
        if (!wrong && segment.p_type == PT_NOTE && !reader->elf->build_id[0])
            fuseln_library_build_id(part.bytes, part.size, reader->elf->build_id);
        if (!wrong && segment.p_type == PT_DYNAMIC && !dynamic)
            read_dynamic(reader, head, part);
        dynamic |= segment.p_type == PT_DYNAMIC;
        if (!wrong && data)
            wrong = read_data(reader, part);
    }
    return wrong;
}

/* ---- sections ---- */

static const char *read_fatbins(struct reader *reader, struct part part);

struct sections {
    uint64_t offset, count;
    struct part names;
};

static bool section_at(struct part file, const struct sections *sections, uint64_t index, Elf64_Shdr *ret_section)
{
    return index < sections->count &&
           fuseln_part_copy(file, sections->offset + index * sizeof(Elf64_Shdr), ret_section, sizeof *ret_section);
}

/* Finds the section table and its names, and checks that both are inside the file. Counts too large for the header are
 * in the first section. */
static const char *find_sections(struct part file, const Elf64_Ehdr *head, struct sections *ret_sections)
{
    struct sections sections = {.offset = head->e_shoff, .count = 1};
    Elf64_Shdr first, names;

    if (head->e_shentsize != sizeof first || !section_at(file, &sections, 0, &first))
        return fuseln_elf_cut;
    sections.count = head->e_shnum ? head->e_shnum : first.sh_size;
    if (sections.count > (file.size - sections.offset) / sizeof first)
        return fuseln_elf_cut;
    const uint64_t index = head->e_shstrndx == SHN_XINDEX ? first.sh_link : head->e_shstrndx;
    if (index != SHN_UNDEF && (!section_at(file, &sections, index, &names) || names.sh_type == SHT_NOBITS ||
                               !fuseln_part_of(file, names.sh_offset, names.sh_size, &sections.names)))
        return fuseln_elf_cut;
    *ret_sections = sections;
    return NULL;
}

static bool is_named(const struct sections *sections, const Elf64_Shdr *section, const char *prefix)
{
    struct part name;
    return fuseln_part_of(sections->names, section->sh_name, strlen(prefix), &name) &&
           memcmp(name.bytes, prefix, name.size) == 0;
}

/* What the section .nv.info.NAME says of a kernel. */
static void read_info(struct reader *reader, const struct sections *sections, const Elf64_Shdr *section,
                      struct part info)
{
    const uint64_t at = section->sh_name + strlen(".nv.info.");
    struct part name;
    if (at <= sections->names.size && fuseln_part_of(sections->names, at, sections->names.size - at, &name))
        scan_rows_info(reader->elf, name, info);
}

static const char *read_section(struct reader *reader, const struct sections *sections, const Elf64_Shdr *section)
{
    const bool data =
        section->sh_type == SHT_PROGBITS && (section->sh_flags & SHF_ALLOC) && !(section->sh_flags & SHF_EXECINSTR);
    struct part part;

    if (section->sh_type == SHT_NULL || section->sh_type == SHT_NOBITS)
        return NULL;
    const char *wrong = examine(reader, section->sh_offset, section->sh_size, &part);
    if (wrong)
        return wrong;
    if (reader->cubin && is_named(sections, section, ".nv.info."))
        read_info(reader, sections, section, part);
    if (reader->cubin)
        return section->sh_type == SHT_STRTAB ? scan_names_read(reader->elf, part.bytes, part.size, true) : NULL;
    if (data && (is_named(sections, section, ".nv_fatbin") || is_named(sections, section, "__nv_relfatbin")))
        return read_fatbins(reader, part);
    return data ? read_data(reader, part) : NULL;
}

static const char *read_sections(struct reader *reader, const Elf64_Ehdr *head)
{
    struct sections sections;
    Elf64_Shdr section;
    const char *wrong = find_sections(reader->file, head, &sections);

    for (uint64_t i = 0; !wrong && i < sections.count; i++)
        wrong = section_at(reader->file, &sections, i, &section) ? read_section(reader, &sections, &section)
                                                                 : fuseln_elf_cut;
    return wrong;
}

/* ---- fat binaries ---- */

/* A broken cubin is passed over; only too many names, or no memory for them, ends the scan. */
static const char *read_cubin(struct reader *outer, struct part cubin)
{
    struct reader reader = {.file = cubin, .cubin = true, .elf = outer->elf};
    Elf64_Ehdr head;

    if (!fuseln_elf_head(cubin, &head) && head.e_machine == MACHINE_CUDA && head.e_shoff)
        read_sections(&reader, &head);
    return outer->elf->names_wrong;
}

/* The images of one fat binary. Those that cannot be read, such as compressed ones, are passed over: the host code
 * names their kernels. */
static const char *read_images(struct reader *reader, struct part images)
{
    struct {
        uint16_t kind, version;
        uint32_t head;
        uint64_t size;
    } image;
    struct part body;
    const char *wrong = NULL;

    for (uint64_t at = 0; !wrong && fuseln_part_copy(images, at, &image, sizeof image); at += image.head + image.size) {
        if (image.head < sizeof image || image.head > images.size - at ||
            !fuseln_part_of(images, at + image.head, image.size, &body))
            return NULL;
        if (image.kind == 2) /* ELF */
            wrong = read_cubin(reader, body);
    }
    return wrong;
}

/* One fat binary for each translation unit. Only their headers are read, as the rest can be gigabytes. */
static const char *read_fatbins(struct reader *reader, struct part part)
{
    struct {
        uint32_t magic;
        uint16_t version, head;
        uint64_t size;
    } fatbin;
    struct part images;
    const char *wrong = NULL;

    for (uint64_t at = 0; !wrong && fuseln_part_copy(part, at, &fatbin, sizeof fatbin); at = (at + 7) & ~7ull) {
        const bool is_one = fatbin.magic == 0xba55ed50 && fatbin.head >= sizeof fatbin &&
                            fatbin.head <= part.size - at &&
                            fuseln_part_of(part, at + fatbin.head, fatbin.size, &images);
        if (is_one)
            wrong = read_images(reader, images);
        at += is_one ? fatbin.head + fatbin.size : 8;
    }
    return wrong;
}

/* ---- files ---- */

const char *scan_elf_read(const unsigned char *bytes, size_t size, bool wants_rows, struct scan_elf *ret_elf)
{
    struct scan_elf elf = {.wants_rows = wants_rows};
    struct reader reader = {.file = {bytes, size}, .elf = &elf};
    Elf64_Ehdr head;

    const char *wrong = fuseln_elf_head(reader.file, &head);
    if (wrong)
        return wrong;
    elf.cubin = reader.cubin = head.e_machine == MACHINE_CUDA;
    if (!elf.cubin || !head.e_shoff)
        wrong = read_segments(&reader, &head);
    if (!wrong && head.e_shoff)
        wrong = read_sections(&reader, &head);
    if (wrong) {
        scan_elf_free(&elf);
        return wrong;
    }
    scan_names_sort(&elf);
    elf.known_build = elf.build_id[0] && fuseln_targets_known_build(elf.build_id);
    elf.runtime_inside = elf.runtime_inside && !elf.runtime_itself;
    *ret_elf = elf;
    return NULL;
}

void scan_elf_free(struct scan_elf *elf)
{
    free(elf->kernels);
    scan_rows_free(elf);
    *elf = (struct scan_elf){0};
}
