/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fuseln/elf_file.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

const char fuseln_elf_none[] = "not an ELF file";
const char fuseln_elf_foreign[] = "no 64-bit little-endian ELF file, as all are that hold CUDA kernels";
const char fuseln_elf_cut[] = "cut short or broken: its headers point beyond its end";

bool fuseln_elf_map(int fd, struct part *ret_file)
{
    struct stat status;
    const bool regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
    void *bytes = regular ? mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (!regular)
        errno = ENOEXEC;
    if (bytes == MAP_FAILED)
        return false;
    *ret_file = (struct part){bytes, (size_t)status.st_size};
    return true;
}

void fuseln_elf_unmap(struct part file)
{
    munmap((void *)file.bytes, file.size);
}

bool fuseln_part_of(struct part whole, uint64_t offset, uint64_t size, struct part *ret_part)
{
    if (offset > whole.size || size > whole.size - offset)
        return false;
    *ret_part = (struct part){whole.bytes + offset, (size_t)size};
    return true;
}

bool fuseln_part_copy(struct part whole, uint64_t offset, void *ret_value, size_t size)
{
    struct part part;
    if (!fuseln_part_of(whole, offset, size, &part))
        return false;
    memcpy(ret_value, part.bytes, size);
    return true;
}

const char *fuseln_elf_head(struct part file, Elf64_Ehdr *ret_head)
{
    if (file.size < SELFMAG || memcmp(file.bytes, ELFMAG, SELFMAG) != 0)
        return fuseln_elf_none;
    if (file.size < EI_NIDENT)
        return fuseln_elf_cut;
    if (file.bytes[EI_CLASS] != ELFCLASS64 || file.bytes[EI_DATA] != ELFDATA2LSB)
        return fuseln_elf_foreign;
    return fuseln_part_copy(file, 0, ret_head, sizeof *ret_head) ? NULL : fuseln_elf_cut;
}

bool fuseln_elf_segment(struct part file, const Elf64_Ehdr *head, unsigned index, Elf64_Phdr *ret_segment)
{
    return index < head->e_phnum && head->e_phoff < file.size &&
           fuseln_part_copy(file, head->e_phoff + (uint64_t)index * sizeof *ret_segment, ret_segment,
                            sizeof *ret_segment);
}
