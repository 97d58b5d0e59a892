/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fuseln/scan.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES_MAX = 4096, KERNELS_MAX = 65536 };

static const char *add_name(struct scan_elf *elf, const char *symbol, bool cubin)
{
    struct fuseln_target target = {0};
    const size_t count = elf->kernel_count;

    if (!fuseln_targets_match(symbol, &target)) {
        if (!cubin)
            scan_rows_name(elf, symbol);
        return NULL;
    }
    if (count == KERNELS_MAX)
        return "broken: it repeats kernel names without end";
    if ((count & (count - 1)) == 0) { /* at each power of two the array is full */
        void *kernels = realloc(elf->kernels, (count ? 2 * count : 1) * sizeof *elf->kernels);
        if (!kernels)
            return "out of memory";
        elf->kernels = kernels;
    }
    elf->kernels[elf->kernel_count++] = (struct scan_kernel){symbol, target};
    return NULL;
}

/* Tries every complete C string that begins with _Z. The byte before need not be zero: it may belong to a number. */
const char *scan_names_read(struct scan_elf *elf, const unsigned char *bytes, size_t size, bool cubin)
{
    const unsigned char *at = bytes, *end = bytes + size;

    while (!elf->names_wrong && (at = memmem(at, (size_t)(end - at), "_Z", 2))) {
        const size_t left = (size_t)(end - at);
        if (memchr(at, '\0', left < NAME_BYTES_MAX ? left : NAME_BYTES_MAX))
            elf->names_wrong = add_name(elf, (const char *)at, cubin);
        at += 2;
    }
    return elf->names_wrong;
}

static int by_target(const void *left, const void *right)
{
    const struct scan_kernel *a = left, *b = right;
    int order = (int)a->target.op - (int)b->target.op;
    if (order == 0)
        order = a->target.rms - b->target.rms;
    if (order == 0)
        order = strcmp(a->target.name, b->target.name);
    return order ? order : strcmp(a->symbol, b->symbol);
}

void scan_names_sort(struct scan_elf *elf)
{
    size_t last = 0;

    if (elf->kernel_count == 0)
        return;
    qsort(elf->kernels, elf->kernel_count, sizeof *elf->kernels, by_target);
    for (size_t i = 1; i < elf->kernel_count; i++)
        if (strcmp(elf->kernels[last].symbol, elf->kernels[i].symbol) != 0)
            elf->kernels[++last] = elf->kernels[i];
    elf->kernel_count = last + 1;
}
