/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to scan_elf.c (headers of a file, sections, segments) and scan_content.c (what is in them). A part is bytes
 * that are known to be inside the file. Functions return NULL, or what is wrong; one of the messages below.
 */
#ifndef FUSELN_SCAN_READ_H
#define FUSELN_SCAN_READ_H

#include "tools/fuseln/scan.h"

extern const char scan_cut[], scan_overlap[], scan_kernels[], scan_memory[];

struct scan_part {
    const unsigned char *bytes;
    size_t size;
};

struct scan_reader {
    struct scan_part file;
    size_t examined; /* of all parts; as they do not overlap in a sound file, no more than its size */
    struct scan_elf *elf;
    size_t capacity; /* of elf->kernels */
};

/* size bytes of whole from offset on, if it has so many. */
bool scan_part_of(struct scan_part whole, uint64_t offset, uint64_t size, struct scan_part *ret_part);
/* The same, copied, as nothing in a broken file is aligned. */
bool scan_take(struct scan_part whole, uint64_t offset, void *ret_value, size_t size);

const char *scan_names(struct scan_reader *reader, struct scan_part part);   /* a string table */
const char *scan_data(struct scan_reader *reader, struct scan_part part);    /* read-only data */
const char *scan_fatbins(struct scan_reader *reader, struct scan_part part); /* .nv_fatbin */
void scan_build_id(struct scan_elf *elf, struct scan_part notes);
void scan_dynamic(struct scan_elf *elf, struct scan_part dynamic, struct scan_part strings);
/* Sorts, and keeps each name once: a name also is in the cubins, one for each architecture. */
void scan_names_finish(struct scan_elf *elf);

/* One inside a fat binary (scan_elf.c). */
const char *scan_cubin(struct scan_reader *reader, struct scan_part cubin);

#endif
