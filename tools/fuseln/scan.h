/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to `fuseln scan`: scan.c finds the files, those inside a wheel too; scan_elf.c reads one ELF file in memory,
 * scan_names.c the kernel names in a part of it; scan_print.c says what was found, scan_rows.c how a row of the user's
 * own begins. Files may be broken or hostile:
 * every access is checked against the file's size, and time and memory are bounded by it.
 */
#ifndef FUSELN_SCAN_H
#define FUSELN_SCAN_H

#include "hooks/targets/match.h"
#include "tools/fuseln/command.h"
#include "tools/fuseln/elf_file.h"

struct scan_kernel {
    const char *symbol; /* in the file's mapping */
    struct fuseln_target target;
};

/* A norm that no row of ours has. */
struct scan_row {
    const char *symbol;              /* allocated */
    unsigned count;                  /* of parameters, as a cubin says; 0: none says it */
    unsigned bytes[FUSELN_ARGS_MAX]; /* of each; 0: unknown */
};

/* What one ELF file holds. */
struct scan_elf {
    bool wants_rows; /* the next two are collected */
    struct scan_row *rows;
    size_t row_count;
    char build_id[41]; /* GNU build-id in hex; "" where there is none */
    bool known_build;
    bool cubin;                  /* device code itself: it has no CUDA runtime */
    char runtime[64];            /* the shared CUDA runtime that it needs, "libcudart.so.13"; "" for none */
    bool runtime_inside;         /* linked statically */
    bool runtime_itself;         /* the file is a libcudart */
    struct scan_kernel *kernels; /* that fuseln knows, each name once, by op and target */
    size_t kernel_count;
    const char *names_wrong; /* why scan_names_read gave up */
};

/* The bytes of an ELF file. NULL: *ret_elf, is filled in, and freed by scan_elf_free. Else what is wrong, maybe one of
 * the texts of fuseln_elf_head. */
const char *scan_elf_read(const unsigned char *bytes, size_t size, bool wants_rows, struct scan_elf *ret_elf);
void scan_elf_free(struct scan_elf *elf);

/* scan_names.c: adds the kernel names in these bytes, which stay mapped; returns elf->names_wrong, NULL as a rule. */
const char *scan_names_read(struct scan_elf *elf, const unsigned char *bytes, size_t size, bool cubin);
/* Sorts them, and drops what is there twice: a library's names are also in its cubins, one for each architecture. */
void scan_names_sort(struct scan_elf *elf);

/* scan_rows.c: notes a mangled name, or a kernel of a cubin (its name, which ends with a zero byte or the part, and its
 * section .nv.info.NAME), where rows are wanted; prints and numbers the skeletons. */
void scan_rows_name(struct scan_elf *elf, const char *symbol);
void scan_rows_info(struct scan_elf *elf, struct part name, struct part info);
void scan_rows_print(const char *path, const struct scan_elf *elf, size_t *number);
void scan_rows_free(struct scan_elf *elf);

struct scan {
    bool json, symbols;
    bool rows;                          /* print skeletons of rows, and nothing else */
    size_t row_count;                   /* printed so far */
    bool many;                          /* what was named is a folder or a wheel */
    json_t *files, *errors;             /* with json */
    size_t elf_files, holding, kernels; /* so far: files read, those with known kernels, these */
    size_t failures;
    double bytes, bytes_read; /* of all files that were named, for the bar; 0: there is none */
};

/* Prints "fuseln scan: PATH: message" on stderr; fuseln scan will exit with EXIT_USAGE. */
void scan_fail(struct scan *scan, const char *path, const char *format, ...) __attribute__((format(printf, 3, 4)));
void scan_print_file(struct scan *scan, const char *path, const struct scan_elf *elf);
/* For a folder or wheel that was named: none of its ELF files holds a known kernel. */
void scan_print_nothing(struct scan *scan, const char *path, size_t elf_files);
void scan_print_end(struct scan *scan);

#endif
