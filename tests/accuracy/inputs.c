/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows that are measured: eight distributions, drawn from a fixed seed, and real rows from the file of
 * activations.py. Every element is rounded to the element type first, so that float64 starts from the same numbers as
 * the kernels. dy is unit normal with mean 0.1, gamma is about 1, beta about 0.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "accuracy.h"

static uint64_t state;

static double uniform(void)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return ((double)(state >> 11) + 0.5) * 0x1p-53;
}

static double normal(void)
{
    static double second;
    static int has;
    has = !has;
    if (!has)
        return second;
    const double radius = sqrt(-2 * log(uniform())), angle = 2 * M_PI * uniform();
    second = radius * sin(angle);
    return radius * cos(angle);
}

static void fill(double *row, int64_t cols, double middle, double spread)
{
    for (int64_t c = 0; c < cols; c++)
        row[c] = middle + spread * normal();
}
static void unit_normal(double *row, int64_t cols)
{
    fill(row, cols, 0, 1);
}
static void offset_1e2(double *row, int64_t cols)
{
    fill(row, cols, 1e2, 1);
}
static void offset_1e4(double *row, int64_t cols)
{
    fill(row, cols, 1e4, 1);
}
static void tiny(double *row, int64_t cols)
{
    fill(row, cols, 0, 1e-4);
}
static void huge(double *row, int64_t cols)
{
    fill(row, cols, 0, 1e4);
}
static void constant(double *row, int64_t cols)
{
    const double value = 10 * normal();
    fill(row, cols, value, 0);
}
static void outlier(double *row, int64_t cols)
{
    fill(row, cols, 0, 1);
    row[(int64_t)(uniform() * (double)cols)] = 1e4;
}
static void alternating(double *row, int64_t cols)
{
    for (int64_t c = 0; c < cols; c++)
        row[c] = (c % 2 ? -1 : 1) * (1 + fabs(normal()));
}

static const struct {
    const char *name;
    void (*row)(double *row, int64_t cols);
} distributions[] = {
    [NORMAL] = {"normal", unit_normal},        [OFFSET_1E2] = {"offset 1e2", offset_1e2},
    [OFFSET_1E4] = {"offset 1e4", offset_1e4}, [TINY] = {"tiny 1e-4", tiny},
    [HUGE_1E4] = {"huge 1e4", huge},           [CONSTANT] = {"constant", constant},
    [OUTLIER] = {"outlier 1e4", outlier},      [ALTERNATING] = {"alternating", alternating},
    [ACTIVATIONS] = {"activations", NULL},
};

const char *distribution_name(int which)
{
    return which < (int)(sizeof distributions / sizeof distributions[0]) ? distributions[which].name : NULL;
}

struct batch batch_room(enum fuseln_dtype dtype, int64_t rows, int64_t cols)
{
    return (struct batch){.dtype = dtype,
                          .sm_count = 132,
                          .rows = rows,
                          .cols = cols,
                          .eps = dtype == FUSELN_DTYPE_F64 ? 1e-5 : (double)1e-5f,
                          .x = doubles(rows * cols),
                          .dy = doubles(rows * cols),
                          .gamma = doubles(cols),
                          .beta = doubles(cols),
                          .mean = doubles(rows),
                          .rstd = doubles(rows)};
}

/* What f16 cannot hold is clipped: huge 1e4 reaches its largest number at 6.5 deviations. */
static void round_all(enum fuseln_dtype dtype, double *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = round_to(dtype, dtype == FUSELN_DTYPE_F16 ? fmax(-65504, fmin(65504, values[i])) : values[i]);
}

static void batch_round(struct batch *b)
{
    round_all(b->dtype, b->x, b->rows * b->cols);
    round_all(b->dtype, b->dy, b->rows * b->cols);
    round_all(b->dtype, b->gamma, b->cols);
    round_all(b->dtype, b->beta, b->cols);
}

struct batch batch_make(enum fuseln_dtype dtype, int which, int64_t rows, int64_t cols)
{
    struct batch b = batch_room(dtype, rows, cols);
    state = 88172645463325252u + 1000003u * (unsigned)which + (uint64_t)cols; /* the same rows for every type */
    for (int64_t r = 0; r < rows; r++)
        distributions[which].row(b.x + r * cols, cols);
    fill(b.dy, rows * cols, 0.1, 1);
    fill(b.gamma, cols, 1, 0.25);
    fill(b.beta, cols, 0, 0.5);
    batch_round(&b);
    return b;
}

static int read_bf16(FILE *file, double *to, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        union {
            uint32_t word;
            float value;
        } wide = {0};
        uint16_t bits;
        if (fread(&bits, sizeof bits, 1, file) != 1)
            return 0;
        wide.word = (uint32_t)bits << 16;
        to[i] = (double)wide.value;
    }
    return 1;
}

struct batch batch_read(enum fuseln_dtype dtype, void *file)
{
    int64_t shape[2];
    if (fread(shape, sizeof shape, 1, file) != 1)
        return (struct batch){.rows = 0};
    struct batch b = batch_room(dtype, shape[0], shape[1]);
    if (!read_bf16(file, b.gamma, b.cols) || !read_bf16(file, b.beta, b.cols) ||
        !read_bf16(file, b.x, b.rows * b.cols) || !read_bf16(file, b.dy, b.rows * b.cols)) {
        fprintf(stderr, "accuracy: the file of activations ends early: make it again with activations.py\n");
        exit(2);
    }
    batch_round(&b);
    return b;
}

void batch_free(struct batch *b)
{
    double *all[] = {b->x, b->dy, b->gamma, b->beta, b->mean, b->rstd};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}
