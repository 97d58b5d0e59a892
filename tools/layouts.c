/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where fuseln looks for the arguments of a kernel. Reads mangled names, one a line, and prints for each the target
 * that it matches and OFFSET:SIZE of every argument, or "-": "pytorch/dx/f32 0:8 8:8 ...". tools/known_build.py
 * compares this with what the compiler wrote into the kernel.
 */
#include "hooks/targets/match.h"

#include <stdio.h>
#include <string.h>

/* As the CUDA ABI packs parameters: each aligned to its size. */
static void print_arguments(const struct fuseln_layout *layout)
{
    size_t offset = 0;

    for (unsigned i = 0; i < layout->count; i++) {
        const size_t size = fuseln_arg_bytes((enum fuseln_arg_type)layout->type[i]);
        offset = (offset + size - 1) / size * size;
        printf(" %zu:%zu", offset, size);
        offset += size;
    }
}

int main(void)
{
    char name[4096];
    struct fuseln_target target;

    while (fgets(name, sizeof name, stdin)) {
        name[strcspn(name, "\n")] = '\0';
        if (fuseln_targets_match(name, &target)) {
            fputs(target.name, stdout);
            print_arguments(&target.layout);
            putchar('\n');
        } else {
            puts("-");
        }
    }
    return 0;
}
