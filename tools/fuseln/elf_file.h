/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads files that may be broken or hostile, for scan and doctor: every access is checked against the file's size, and
 * everything is copied, as nothing in a broken file need be aligned. ELF files are read as CUDA knows them: 64-bit and
 * little-endian.
 */
#ifndef FUSELN_ELF_FILE_H
#define FUSELN_ELF_FILE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that are known to be inside the file. */
struct part {
    const unsigned char *bytes;
    size_t size;
};

/* Maps a whole file. False with errno: ENOEXEC for what has no bytes, as a folder, a FIFO or an empty file. */
bool fuseln_elf_map(int fd, struct part *ret_file);
void fuseln_elf_unmap(struct part file);

bool fuseln_part_of(struct part whole, uint64_t offset, uint64_t size, struct part *ret_part);
bool fuseln_part_copy(struct part whole, uint64_t offset, void *ret_value, size_t size);

/* NULL, or what is wrong: one of these texts. */
const char *fuseln_elf_head(struct part file, Elf64_Ehdr *ret_head);
extern const char fuseln_elf_none[], fuseln_elf_foreign[], fuseln_elf_cut[];
/* False: there is none, or it lies beyond the end. */
bool fuseln_elf_segment(struct part file, const Elf64_Ehdr *head, unsigned index, Elf64_Phdr *ret_segment);

#endif
