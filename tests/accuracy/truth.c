/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The true outputs, from the rounded inputs with long double sums; the unit of each error; and the derived bound on
 * ours.
 *
 * Units. Errors are counted in ulp of the output's type at max(|value|, root mean square of the outputs of its row; for
 * dgamma and dbeta, of all columns; for a mean, of the row's inputs). An element near zero is a difference of numbers
 * as large as its row and inherits their rounding, to which its own tiny ulp would be no measure.
 *
 * Bounds. u is half an ulp of the sums, relative. A sum in which no term passes more than `depth` additions is off by
 * at most depth u sum |term|. Ours: at most 12 terms in a thread's chain, then trees: depth <= log2 N + 12 in a row.
 * mean: depth u mean |x| = e. M2: depth u relative; its parts have means, each off by e, and are combined by the
 * squares of their distances d: sum n 2 d e <= 2 e sqrt(N M2) (Cauchy), and N e^2. rstd: half of that, relative. y:
 * both, and one rounding to the type. Backward, mean and rstd given: depth + 12 for the roundings of each term. dgamma,
 * dbeta: a partial row sums at most rows / sm_count of them (a partial row or more for each multiprocessor), 16 lanes
 * share the partial rows, and are summed.
 */
#include <math.h>
#include <stdlib.h>

#include "accuracy.h"

static double sum_unit(enum fuseln_dtype dtype)
{
    return dtype == FUSELN_DTYPE_F64 ? 0x1p-53 : 0x1p-24;
}

/* One rounding to the type, and half a step of the subnormal numbers. */
static double rounding(enum fuseln_dtype dtype, double value, double off)
{
    return ulp(dtype, fabs(value) + off) / 2;
}

static double row_scale(const double *row, int64_t count)
{
    long double squares = 0;
    for (int64_t i = 0; i < count; i++)
        squares += (long double)row[i] * row[i];
    return sqrt((double)(squares / count));
}

static void set_units(double *unit, const double *want, int64_t count, double scale, enum fuseln_dtype dtype)
{
    for (int64_t i = 0; i < count; i++)
        unit[i] = ulp(dtype, fmax(fabs(want[i]), scale));
}

static void set(struct truth *t, enum output o, int64_t at, double want, double bound, enum fuseln_dtype dtype)
{
    t->want[o][at] = want;
    t->bound[o][at] = bound + rounding(output_dtype(dtype, o), want, bound);
}

static void forward_row(struct batch *b, struct truth *t, int64_t r)
{
    const double *x = b->x + r * b->cols, u = sum_unit(b->dtype), depth = log2((double)b->cols) + 12;
    long double mean = 0, rest = 0, m2 = 0, size = 0;
    for (int64_t c = 0; c < b->cols && !b->rms; c++)
        mean += x[c], size += fabs(x[c]);
    mean /= b->cols, size /= b->cols;
    for (int64_t c = 0; c < b->cols && !b->rms; c++)
        rest += x[c] - mean;
    mean += rest / b->cols; /* the sum's own roundings, which constant rows in f64 would show */
    for (int64_t c = 0; c < b->cols; c++)
        m2 += (x[c] - mean) * (x[c] - mean);
    const long double rstd = 1 / sqrtl(m2 / b->cols + b->eps);
    const double root = (double)rstd, mean_off = depth * u * (double)size, shift = mean_off * root;
    const double rstd_off = depth * u + shift + shift * shift;
    set(t, MEAN, r, (double)mean, mean_off, b->dtype);
    set(t, RSTD, r, root, rstd_off * root, b->dtype);
    t->unit[MEAN][r] = ulp(output_dtype(b->dtype, MEAN), fmax(fabs((double)mean), row_scale(x, b->cols)));
    t->unit[RSTD][r] = ulp(output_dtype(b->dtype, RSTD), root);
    b->mean[r] = round_to(output_dtype(b->dtype, MEAN), (double)mean);
    b->rstd[r] = round_to(output_dtype(b->dtype, RSTD), root);
    for (int64_t c = 0; c < b->cols; c++) {
        const long double xhat = (x[c] - mean) * rstd;
        const double off =
            fabs(b->gamma[c]) * ((mean_off + u * fabs((double)mean)) * root + fabs((double)xhat) * rstd_off) +
            2 * u * fabs(b->beta[c]);
        set(t, Y, r * b->cols + c, (double)(b->gamma[c] * xhat + b->beta[c]), off, b->dtype);
    }
    set_units(t->unit[Y] + r * b->cols, t->want[Y] + r * b->cols, b->cols, row_scale(t->want[Y] + r * b->cols, b->cols),
              b->dtype);
}

static void dx_row(const struct batch *b, struct truth *t, int64_t r)
{
    const double *x = b->x + r * b->cols, *dy = b->dy + r * b->cols, *gamma = b->gamma;
    const double error = (log2((double)b->cols) + 24) * sum_unit(b->dtype), n = (double)b->cols, rstd = b->rstd[r];
    long double s1 = 0, s2 = 0, s1_size = 0, s2_size = 0;
    for (int64_t c = 0; c < b->cols; c++) {
        const long double g = (long double)gamma[c] * dy[c], xhat = ((long double)x[c] - b->mean[r]) * rstd;
        s1 += b->rms ? 0 : g, s2 += g * xhat;
        s1_size += b->rms ? 0 : fabsl(g), s2_size += fabsl(g * xhat);
    }
    for (int64_t c = 0; c < b->cols; c++) {
        const long double g = (long double)gamma[c] * dy[c], xhat = ((long double)x[c] - b->mean[r]) * rstd;
        const double off = error * rstd * (double)(fabsl(g) + (fabsl(xhat) * s2_size + s1_size) / n);
        set(t, DX, r * b->cols + c, (double)((n * g - xhat * s2 - s1) * rstd / n), off, b->dtype);
    }
    set_units(t->unit[DX] + r * b->cols, t->want[DX] + r * b->cols, b->cols,
              row_scale(t->want[DX] + r * b->cols, b->cols), b->dtype);
}

static void dgamma_columns(const struct batch *b, struct truth *t)
{
    const double depth = (double)b->rows / b->sm_count + (double)b->rows / 16 + 28, error = depth * sum_unit(b->dtype);
    long double *sums = calloc((size_t)b->cols * 4, sizeof *sums);
    for (int64_t r = 0; sums && r < b->rows; r++)
        for (int64_t c = 0; c < b->cols; c++) {
            const long double dy = b->dy[r * b->cols + c];
            const long double term = dy * ((long double)b->x[r * b->cols + c] - b->mean[r]) * b->rstd[r];
            sums[4 * c] += term, sums[4 * c + 1] += fabsl(term);
            sums[4 * c + 2] += dy, sums[4 * c + 3] += fabsl(dy);
        }
    for (int64_t c = 0; sums && c < b->cols; c++) {
        set(t, DGAMMA, c, (double)sums[4 * c], error * (double)sums[4 * c + 1], b->dtype);
        set(t, DBETA, c, (double)sums[4 * c + 2], error * (double)sums[4 * c + 3], b->dtype);
    }
    for (enum output o = DGAMMA; o <= DBETA; o++)
        set_units(t->unit[o], t->want[o], b->cols, row_scale(t->want[o], b->cols), b->dtype);
    free(sums);
}

struct truth truth_make(struct batch *batch)
{
    struct truth t;
    for (enum output o = 0; o < OUTPUT_COUNT; o++) {
        t.want[o] = doubles(output_count(batch, o));
        t.unit[o] = doubles(output_count(batch, o));
        t.bound[o] = doubles(output_count(batch, o));
    }
    for (int64_t r = 0; r < batch->rows; r++) {
        forward_row(batch, &t, r);
        dx_row(batch, &t, r);
    }
    dgamma_columns(batch, &t);
    return t;
}

void truth_free(struct truth *truth)
{
    for (enum output o = 0; o < OUTPUT_COUNT; o++) {
        free(truth->want[o]);
        free(truth->unit[o]);
        free(truth->bound[o]);
    }
}
