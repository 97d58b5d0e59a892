/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The planted mistake (driver_objects.h). The end of the kernel's name is its type; its parameters tell which tensor it
 * wrote. Partial sums are left alone; of kernels that reduce them, dgamma is changed.
 */
#include <stdlib.h>
#include <string.h>

#include "driver_objects.h"

static const struct {
    const char *end; /* of the kernel's name */
    size_t bytes;    /* of an element */
} types[] = {{"_f32", 4}, {"_bf16", 2}, {"_f16", 2}, {"_f64", 8}};

static bool is_planted(void)
{
    const char *set = getenv("SOFTGPU_PLANT");
    if (set && strcmp(set, "tail") != 0)
        softgpu_error("SOFTGPU_PLANT=%s is not tail", set);
    return set && strcmp(set, "tail") == 0;
}

/* 0 for a kernel of no type. */
static size_t bytes_of(const char *kernel)
{
    const char *end = strrchr(kernel, '_');
    for (size_t i = 0; end && i < sizeof types / sizeof *types; i++)
        if (strcmp(end, types[i].end) == 0)
            return types[i].bytes;
    return 0;
}

static void damage(size_t bytes, char *tensor, long long rows, long long cols)
{
    for (long long r = 0; tensor && cols >= 6 && r < rows; r++) {
        char *row = tensor + (size_t)(r * cols) * bytes;
        memcpy(row + (size_t)(cols - 3) * bytes, row + (size_t)(cols - 6) * bytes, 3 * bytes);
    }
}

void softgpu_plant(const struct softgpu_launch *launch)
{
    const char *name = launch->function->name;
    const struct fuseln_ln_params *p = &launch->ours.launch;
    const size_t bytes = bytes_of(name);
    if (!is_planted() || !bytes || strncmp(name, "fuseln_ln_", 10) != 0 || strstr(name, "partial"))
        return;
    if (strstr(name, "dgamma"))
        damage(bytes, p->dgamma, 1, p->cols);
    else if (strstr(name, "forward") && !p->y)
        damage(bytes == 8 ? 8 : 4, p->mean, 1, p->rows);
    else
        damage(bytes, p->y ? p->y : p->dx, p->rows, p->cols);
}
