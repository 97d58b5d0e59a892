/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See scan.h. The sections of an ELF file, or its segments where it has no section table (stripped off). Everything is
 * little-endian and 64 bits wide, as all that CUDA runs on.
 */
#include "tools/fuseln/scan_read.h"

#include <elf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MACHINE_CUDA = 190 };

/* Each part is read through once; so many bytes are more than a sound file has. */
static const char *charge(struct scan_reader *reader, size_t size)
{
    reader->examined += size;
    return reader->examined > 2 * reader->file.size ? scan_overlap : NULL;
}

/* ---- sections --------------------------------------------------------------------------------------------------- */

struct sections {
    uint64_t offset, count;
    struct scan_part names;
};

static bool section_at(struct scan_part file, const struct sections *sections, uint64_t index, Elf64_Shdr *ret_section)
{
    return index < sections->count &&
           scan_take(file, sections->offset + index * sizeof(Elf64_Shdr), ret_section, sizeof *ret_section);
}

/* The table is inside the file, with its names; large counts stand in the first section. */
static const char *find_sections(struct scan_part file, const Elf64_Ehdr *head, struct sections *ret_sections)
{
    struct sections sections = {.offset = head->e_shoff, .count = 1};
    Elf64_Shdr first, names;

    if (head->e_shentsize != sizeof first || !section_at(file, &sections, 0, &first))
        return scan_cut;
    sections.count = head->e_shnum ? head->e_shnum : first.sh_size;
    if (sections.count > (file.size - sections.offset) / sizeof first)
        return scan_cut;
    const uint64_t index = head->e_shstrndx == SHN_XINDEX ? first.sh_link : head->e_shstrndx;
    if (index != SHN_UNDEF && (!section_at(file, &sections, index, &names) || names.sh_type == SHT_NOBITS ||
                               !scan_part_of(file, names.sh_offset, names.sh_size, &sections.names)))
        return scan_cut;
    *ret_sections = sections;
    return NULL;
}

static bool is_named(const struct sections *sections, const Elf64_Shdr *section, const char *prefix)
{
    struct scan_part name;
    return scan_part_of(sections->names, section->sh_name, strlen(prefix), &name) &&
           memcmp(name.bytes, prefix, name.size) == 0;
}

static const char *read_section(struct scan_reader *reader, const struct sections *sections, const Elf64_Shdr *section)
{
    const bool data =
        section->sh_type == SHT_PROGBITS && (section->sh_flags & SHF_ALLOC) && !(section->sh_flags & SHF_EXECINSTR);
    struct scan_part part, strings;
    Elf64_Shdr linked;

    if (section->sh_type == SHT_NULL || section->sh_type == SHT_NOBITS)
        return NULL;
    if (!scan_part_of(reader->file, section->sh_offset, section->sh_size, &part))
        return scan_cut;
    const char *wrong = charge(reader, part.size);
    if (wrong)
        return wrong;
    if (reader->elf->cubin)
        return section->sh_type == SHT_STRTAB ? scan_names(reader, part) : NULL;
    if (section->sh_type == SHT_NOTE)
        scan_build_id(reader->elf, part);
    if (section->sh_type == SHT_DYNAMIC && section_at(reader->file, sections, section->sh_link, &linked) &&
        linked.sh_type == SHT_STRTAB && scan_part_of(reader->file, linked.sh_offset, linked.sh_size, &strings))
        scan_dynamic(reader->elf, part, strings);
    if (data && (is_named(sections, section, ".nv_fatbin") || is_named(sections, section, "__nv_relfatbin")))
        return scan_fatbins(reader, part);
    if (data && !is_named(sections, section, ".eh_frame") && !is_named(sections, section, ".gcc_except_table"))
        return scan_data(reader, part);
    return NULL;
}

static const char *read_sections(struct scan_reader *reader, const Elf64_Ehdr *head)
{
    struct sections sections;
    Elf64_Shdr section;
    const char *wrong = find_sections(reader->file, head, &sections);

    for (uint64_t i = 0; !wrong && i < sections.count; i++)
        wrong = section_at(reader->file, &sections, i, &section) ? read_section(reader, &sections, &section) : scan_cut;
    return wrong;
}

/* ---- segments --------------------------------------------------------------------------------------------------- */

static bool segment_at(struct scan_part file, const Elf64_Ehdr *head, unsigned index, Elf64_Phdr *ret_segment)
{
    return index < head->e_phnum && head->e_phoff < file.size &&
           scan_take(file, head->e_phoff + (uint64_t)index * sizeof *ret_segment, ret_segment, sizeof *ret_segment);
}

/* What is loaded at an address, from there to the segment's end. */
static bool loaded_at(struct scan_part file, const Elf64_Ehdr *head, uint64_t address, struct scan_part *ret_part)
{
    Elf64_Phdr segment;
    struct scan_part part;

    for (unsigned i = 0; segment_at(file, head, i, &segment); i++) {
        const uint64_t inside = address - segment.p_vaddr;
        if (segment.p_type == PT_LOAD && address >= segment.p_vaddr && inside < segment.p_filesz &&
            scan_part_of(file, segment.p_offset, segment.p_filesz, &part))
            return scan_part_of(part, inside, part.size - inside, ret_part);
    }
    return false;
}

static void read_dynamic_segment(struct scan_reader *reader, const Elf64_Ehdr *head, struct scan_part dynamic)
{
    Elf64_Dyn entry;
    struct scan_part strings;

    for (uint64_t at = 0; scan_take(dynamic, at, &entry, sizeof entry) && entry.d_tag != DT_NULL; at += sizeof entry)
        if (entry.d_tag == DT_STRTAB) {
            if (loaded_at(reader->file, head, entry.d_un.d_ptr, &strings))
                scan_dynamic(reader->elf, dynamic, strings);
            return;
        }
}

static const char *read_segments(struct scan_reader *reader, const Elf64_Ehdr *head)
{
    Elf64_Phdr segment;
    struct scan_part part;
    const char *wrong = NULL;
    bool dynamic = false;

    for (unsigned i = 0; !wrong && i < head->e_phnum; i++) {
        if (!segment_at(reader->file, head, i, &segment) ||
            !scan_part_of(reader->file, segment.p_offset, segment.p_filesz, &part))
            return scan_cut;
        if (segment.p_type != PT_NOTE && segment.p_type != PT_DYNAMIC && segment.p_type != PT_LOAD)
            continue;
        wrong = charge(reader, part.size);
        if (!wrong && segment.p_type == PT_NOTE)
            scan_build_id(reader->elf, part);
        if (!wrong && segment.p_type == PT_DYNAMIC && !dynamic) {
            read_dynamic_segment(reader, head, part);
            dynamic = true; /* there is one; each costs a search of all segments */
        }
        if (!wrong && segment.p_type == PT_LOAD)
            wrong = scan_data(reader, part);
    }
    return wrong;
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

const char scan_foreign[] = "no 64-bit little-endian ELF file, as all are that hold CUDA kernels";

static const char *read_header(struct scan_part file, Elf64_Ehdr *ret_head)
{
    unsigned char ident[EI_NIDENT];

    if (!scan_take(file, 0, ident, sizeof ident))
        return scan_cut;
    if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB)
        return scan_foreign;
    return scan_take(file, 0, ret_head, sizeof *ret_head) ? NULL : scan_cut;
}

/* What is wrong with it is its own matter, short of there being too many names. */
const char *scan_cubin(struct scan_reader *reader, struct scan_part cubin)
{
    struct scan_reader inner = {.file = cubin, .elf = reader->elf, .capacity = reader->capacity};
    Elf64_Ehdr head;

    if (read_header(cubin, &head) || head.e_machine != MACHINE_CUDA || !head.e_shoff)
        return NULL;
    inner.elf->cubin = true;
    const char *wrong = read_sections(&inner, &head);
    inner.elf->cubin = false;
    reader->capacity = inner.capacity;
    return wrong == scan_kernels || wrong == scan_memory ? wrong : NULL;
}

const char *scan_elf_read(const unsigned char *bytes, size_t size, struct scan_elf *ret_elf)
{
    struct scan_elf elf = {0};
    struct scan_reader reader = {.file = {bytes, size}, .elf = &elf};
    Elf64_Ehdr head;

    const char *wrong = read_header(reader.file, &head);
    if (wrong)
        return wrong;
    elf.cubin = head.e_machine == MACHINE_CUDA;
    wrong = head.e_shoff ? read_sections(&reader, &head) : read_segments(&reader, &head);
    if (wrong) {
        scan_elf_free(&elf);
        return wrong;
    }
    scan_names_finish(&elf);
    elf.known_build = elf.build_id[0] && fuseln_targets_known_build(elf.build_id);
    elf.runtime_inside = elf.runtime_inside && !elf.runtime_itself;
    *ret_elf = elf;
    return NULL;
}

void scan_elf_free(struct scan_elf *elf)
{
    free(elf->kernels);
    *elf = (struct scan_elf){0};
}
