/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planted mistakes (driver_objects.h). The end of the kernel's name is its type; its parameters tell which tensor it
 * wrote. Partial sums are left alone; of kernels that reduce them, dgamma is changed.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "driver_objects.h"
#include "originals_internal.h"

enum plant { NONE, ULP, TAIL, MEAN, PLANTS };
static const char *const names[] = {"", "ulp", "tail", "mean"};

static const struct {
    const char *end; /* of the kernel's name */
    enum dtype dtype;
} types[] = {{"_f32", F32}, {"_bf16", BF16}, {"_f16", F16}, {"_f64", F64}};

static enum plant plant_read(void)
{
    const char *set = getenv("SOFTGPU_PLANT");
    for (int plant = 0; set && plant < PLANTS; plant++)
        if (strcmp(set, names[plant]) == 0)
            return (enum plant)plant;
    if (set)
        softgpu_error("SOFTGPU_PLANT=%s is none of ulp, tail, mean", set);
    return NONE;
}

static bool take_dtype(const char *kernel, enum dtype *ret_dtype)
{
    const char *end = strrchr(kernel, '_');
    for (size_t i = 0; end && i < COUNT(types); i++) {
        *ret_dtype = types[i].dtype;
        if (strcmp(end, types[i].end) == 0)
            return true;
    }
    return false;
}

static size_t bytes_of(enum dtype dtype)
{
    return dtype == F64 ? 8 : dtype == F32 ? 4 : 2;
}

/* Moves an element 4 representable values away from zero. */
static void step(char *to, enum dtype dtype)
{
    uint64_t bits = 0;
    memcpy(&bits, to, bytes_of(dtype)); /* little-endian */
    bits += 4;
    memcpy(to, &bits, bytes_of(dtype));
}

static void damage(enum plant plant, enum dtype dtype, char *tensor, long long rows, long long cols)
{
    const size_t bytes = bytes_of(dtype);
    for (long long r = 0; tensor && r < rows; r++) {
        char *row = tensor + (size_t)(r * cols) * bytes;
        if (plant == ULP)
            step(row + (size_t)((r * 7 + 3) % cols) * bytes, dtype);
        if (plant == TAIL && cols >= 6)
            memcpy(row + (size_t)(cols - 3) * bytes, row + (size_t)(cols - 6) * bytes, 3 * bytes);
        for (long long c = 0; plant == MEAN && c < cols; c++) {
            const double value = softgpu_load(row, c, dtype), distance = 0.01 * (r % 2 ? 1 : fabs(value) + 0.5);
            if (value != 0)
                softgpu_store(row, c, dtype, value + copysign(distance, value));
        }
    }
}

void softgpu_plant(const struct softgpu_launch *launch)
{
    const enum plant plant = plant_read();
    const char *name = launch->function->name;
    const struct fuseln_ln_params *p = &launch->ours.launch;
    enum dtype dtype;
    if (plant == NONE || !take_dtype(name, &dtype) || strncmp(name, "fuseln_ln_", 10) != 0 || strstr(name, "partial"))
        return;
    if (strstr(name, "dgamma"))
        damage(plant, dtype, p->dgamma, 1, p->cols);
    else if (strstr(name, "forward") && !p->y)
        damage(plant, dtype == F64 ? F64 : F32, p->mean, 1, p->rows);
    else
        damage(plant, dtype, p->y ? p->y : p->dx, p->rows, p->cols);
}
