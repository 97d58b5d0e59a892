/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows with NaN and Inf: y, mean and rstd of ours must be NaN, +Inf, -Inf or finite where PyTorch's are.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "accuracy.h"

static const int64_t widths[] = {64, 768, 777, 1024, 4096};
static const struct {
    const char *name;
    double first, second; /* two elements of the row; 0: unchanged */
} kinds[] = {{"NaN", NAN, 0}, {"+Inf", INFINITY, 0}, {"-Inf", -INFINITY, 0}, {"Inf and -Inf", INFINITY, -INFINITY}};
enum { KINDS = sizeof kinds / sizeof kinds[0], COLUMNS = 8 };

static int class_of(double v)
{
    return isnan(v) ? 1 : isinf(v) ? (v > 0 ? 2 : 3) : 0;
}

/* Of the odd element of row r: from the first column to the last. */
static int64_t column_of(const struct batch *b, int64_t r)
{
    return r / KINDS * (b->cols - 1) / (COLUMNS - 1);
}

static int differs(const double *a, const double *b, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (class_of(a[i]) != class_of(b[i]))
            return 1;
    return 0;
}

/* PyTorch's mean stays Inf if the Inf is the last element that one of its threads reads; elsewhere Inf - Inf makes it
 * NaN. Either way y is NaN, so a mean of ours must only be finite where PyTorch's is. */
static void check_row(const struct batch *b, const struct result *ours, const struct result *theirs, int64_t r,
                      struct not_finite *found)
{
    const double mean = ours->of[MEAN][r], their_mean = theirs->of[MEAN][r];
    const char *where = differs(ours->of[Y] + r * b->cols, theirs->of[Y] + r * b->cols, b->cols) ? "y"
                        : differs(ours->of[RSTD] + r, theirs->of[RSTD] + r, 1)                   ? "rstd"
                        : isfinite(mean) != isfinite(their_mean)                                 ? "mean"
                                                                                                 : NULL;
    found->mean_is_nan += isnan(mean) && isinf(their_mean);
    if (!where)
        return;
    found->differ++;
    printf("X %s in a row of %d columns, element %d: %s differs; mean and rstd of ours %g, %g, PyTorch's %g, %g\n",
           kinds[r % KINDS].name, (int)b->cols, (int)column_of(b, r), where, mean, ours->of[RSTD][r], their_mean,
           theirs->of[RSTD][r]);
}

static struct batch rows_make(enum fuseln_dtype dtype, int64_t cols)
{
    struct batch b = batch_make(dtype, NORMAL, KINDS * COLUMNS, cols);
    for (int64_t r = 0; r < b.rows; r++) {
        const int64_t col = column_of(&b, r);
        b.x[r * cols + col] = kinds[r % KINDS].first;
        if (kinds[r % KINDS].second != 0)
            b.x[r * cols + (col + cols / 3) % cols] = kinds[r % KINDS].second;
    }
    return b;
}

struct not_finite not_finite_check(const struct algorithm *ours, enum fuseln_dtype dtype)
{
    struct not_finite found = {0, 0, 0};
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        struct batch b = rows_make(dtype, widths[w]);
        struct result results[2];
        for (int i = 0; i < 2; i++) {
            for (enum output o = 0; o < OUTPUT_COUNT; o++)
                results[i].of[o] = doubles(output_count(&b, o));
            (i ? &algorithm_pytorch : ours)->forward(&b, &results[i]);
        }
        for (int64_t r = 0; r < b.rows; r++)
            check_row(&b, &results[0], &results[1], r, &found);
        found.rows += (int)b.rows;
        for (int i = 0; i < 2; i++)
            for (enum output o = 0; o < OUTPUT_COUNT; o++)
                free(results[i].of[o]);
        batch_free(&b);
    }
    return found;
}
