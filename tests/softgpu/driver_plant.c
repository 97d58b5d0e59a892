/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See driver_plant.h. The end of the kernel's name is its type; its parameters tell which tensor it wrote. Partial sums
 * are left alone; of kernels that reduce them, dgamma is changed.
 */
#include "driver_plant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum plant { NONE, ULP, TAIL, MEAN, PLANTS };
static const char *const names[] = {"", "ulp", "tail", "mean"};

struct format {
    const char *end; /* of the kernel's name */
    int bytes, digits, lowest;
};
static const struct format formats[] = {
    {"_f32", 4, 23, -126}, {"_bf16", 2, 7, -126}, {"_f16", 2, 10, -14}, {"_f64", 8, 52, -1022}};

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

static const struct format *format_of(const char *kernel)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const size_t length = strlen(kernel), end = strlen(formats[i].end);
        if (length > end && strcmp(kernel + length - end, formats[i].end) == 0)
            return &formats[i];
    }
    return NULL;
}

static double get(const struct format *f, const void *from, long long i)
{
    uint32_t word = f->bytes == 2 ? ((const uint16_t *)from)[i] : 0;
    float value;
    if (f->bytes == 8)
        return ((const double *)from)[i];
    if (f->bytes == 4)
        return (double)((const float *)from)[i];
    if (f->digits == 10)
        return ldexp((word & 0x7c00 ? 1024 : 0) + (word & 0x3ff), (int)((word & 0x7c00 ? word >> 10 & 31 : 1)) - 25) *
               (word & 0x8000 ? -1 : 1);
    word <<= 16;
    memcpy(&value, &word, sizeof value);
    return (double)value;
}

/* Moves an element `steps` representable values away from zero. */
static void step(const struct format *f, void *to, long long i, long long steps)
{
    if (f->bytes == 8)
        ((uint64_t *)to)[i] += (uint64_t)steps;
    else if (f->bytes == 4)
        ((uint32_t *)to)[i] += (uint32_t)steps;
    else
        ((uint16_t *)to)[i] = (uint16_t)(((uint16_t *)to)[i] + steps);
}

/* Moves an element away from zero by about `distance`, in steps of its own ulp. */
static void move(const struct format *f, void *to, long long i, double distance)
{
    const double v = fabs(get(f, to, i));
    const int exponent = v > 0 ? ilogb(v) : f->lowest;
    const double ulp = ldexp(1, (exponent < f->lowest ? f->lowest : exponent) - f->digits);
    if (v > 0 && isfinite(v) && distance / ulp < 0x1p51)
        step(f, to, i, (long long)(distance / ulp));
}

static void damage(enum plant plant, const struct format *f, char *tensor, long long rows, long long cols)
{
    for (long long r = 0; tensor && r < rows; r++) {
        char *row = tensor + r * cols * f->bytes;
        if (plant == ULP)
            step(f, row, (r * 7 + 3) % cols, 4);
        if (plant == TAIL && cols >= 6)
            memcpy(row + (cols - 3) * f->bytes, row + (cols - 6) * f->bytes, 3 * (size_t)f->bytes);
        for (long long c = 0; plant == MEAN && c < cols; c++)
            move(f, row, c, 0.01 * (r % 2 ? 1 : fabs(get(f, row, c)) + 0.5));
    }
}

void softgpu_plant(const struct softgpu_launch *launch)
{
    const enum plant plant = plant_read();
    const char *name = launch->function->name;
    const struct format *f = format_of(name);
    const struct fuseln_ln_params *p = &launch->ours.launch;
    static const struct format f32 = {"", 4, 23, -126};
    if (plant == NONE || !f || strncmp(name, "fuseln_ln_", 10) != 0 || strstr(name, "partial"))
        return;
    if (strstr(name, "dgamma"))
        damage(plant, f, p->dgamma, 1, p->cols);
    else if (strstr(name, "forward") && !p->y)
        damage(plant, f->bytes == 8 ? f : &f32, p->mean, 1, p->rows);
    else
        damage(plant, f, p->y ? p->y : p->dx, p->rows, p->cols);
}
