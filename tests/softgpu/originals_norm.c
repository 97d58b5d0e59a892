/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forward norm of originals_internal.h, a row at a time in float64. Only the variance in one pass is computed as on
 * a GPU, in f32 and by a block of threads: its error is what tells those originals from others.
 */
#include "originals_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 256 };

struct moments {
    double mean, rstd;
};

static int64_t row_begin(const struct softgpu_norm *n, int64_t row, int64_t stride)
{
    return row * (stride ? stride : n->cols);
}

/* An element as the kernel computes with it. */
static double value(const struct softgpu_norm *n, const void *p, int64_t i, enum dtype dtype)
{
    return softgpu_round(softgpu_load(p, i, dtype), n->acc);
}

static double add_bias(const struct softgpu_norm *n, double s, int64_t i, bool is_its_turn)
{
    return n->bias && is_its_turn ? softgpu_round(s + value(n, n->bias, i, n->x_dtype), n->add_dtype) : s;
}

/* What is normalised; kept in `s`, so that results may be written over x and residual. */
static void row_sum(const struct softgpu_norm *n, int64_t row, double *s)
{
    for (int64_t i = 0; i < n->cols; i++) {
        int64_t at = row_begin(n, row, n->residual_stride) + i;
        s[i] = value(n, n->x, row_begin(n, row, n->x_stride) + i, n->x_dtype);
        s[i] = add_bias(n, s[i], i, !n->bias_last);
        if (n->residual) {
            int64_t from = n->residual_period ? at % n->residual_period : at;
            s[i] = softgpu_round(s[i] + value(n, n->residual, from, n->x_dtype), n->add_dtype);
        }
        s[i] = add_bias(n, s[i], i, n->bias_last);
        if (n->sum)
            softgpu_store(n->sum, at, n->x_dtype, s[i]);
    }
}

static float lanes_sum(float lane[LANES])
{
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

static struct moments moments_one_pass(const struct softgpu_norm *n, const double *s)
{
    float sum[LANES] = {0}, squares[LANES] = {0};
    for (int64_t i = 0; i < n->cols; i++) {
        sum[i % LANES] += (float)s[i];
        squares[i % LANES] += (float)s[i] * (float)s[i];
    }
    float mean = lanes_sum(sum) / (float)n->cols, square = lanes_sum(squares) / (float)n->cols;
    float variance = n->rms ? square : square - mean * mean;
    if (n->clamps_variance && variance < 0)
        variance = 0;
    return (struct moments){mean, 1 / sqrtf(variance + (float)n->eps)};
}

static struct moments moments_two_pass(const struct softgpu_norm *n, const double *s)
{
    double count = (double)n->cols, sum = 0, squares = 0, rest = 0;
    for (int64_t i = 0; i < n->cols; i++)
        sum += s[i];
    double mean = n->cols ? sum / count : 0, about = n->rms ? 0 : mean;
    for (int64_t i = 0; i < n->cols; i++) {
        squares += (s[i] - about) * (s[i] - about);
        rest += s[i] - about;
    }
    if (!n->rms && n->cols) { /* corrects what rounding left in the mean */
        mean += rest / count;
        squares -= rest * rest / count;
    }
    if (n->rms && !n->y) /* in two launches PyTorch adds the mean's square: NaN where that is not finite */
        squares += 0 * sum;
    return (struct moments){mean, 1 / sqrt(squares / count + n->eps)};
}

static struct moments moments_given(const struct softgpu_norm *n, int64_t row)
{
    return (struct moments){n->rms ? 0 : softgpu_load(n->mean, row, n->acc), softgpu_load(n->rstd, row, n->acc)};
}

static int64_t gamma_begin(const struct softgpu_norm *n, int64_t row)
{
    if (n->gamma_per_row == 0)
        return 0;
    return n->cols * (n->gamma_per_row > 0 ? row / n->gamma_per_row : row % -n->gamma_per_row);
}

static void row_apply(const struct softgpu_norm *n, int64_t row, struct moments m, const double *s)
{
    const int64_t first = gamma_begin(n, row);
    const enum dtype step = n->rounds_affine ? n->y_dtype : F64;
    for (int64_t i = 0; i < n->cols; i++) {
        double y = softgpu_round((s[i] - (n->rms ? 0 : m.mean)) * m.rstd, step);
        if (n->gamma) {
            double gamma = n->gamma_add + value(n, n->gamma, first + i, n->y_dtype);
            y = softgpu_round(y * softgpu_round(gamma, n->acc), step);
        }
        if (n->beta)
            y += value(n, n->beta, first + i, n->y_dtype);
        softgpu_store(n->y, row_begin(n, row, n->y_stride) + i, n->y_dtype, y);
    }
}

int softgpu_norm_run(const struct softgpu_norm *n)
{
    double *s = malloc(((size_t)n->cols + 1) * sizeof *s);
    if (!s)
        return SOFTGPU_ORIGINAL_NO_MEMORY;
    for (int64_t row = 0; row < n->rows; row++) {
        row_sum(n, row, s);
        struct moments m = n->given      ? moments_given(n, row)
                           : n->one_pass ? moments_one_pass(n, s)
                                         : moments_two_pass(n, s);
        if (n->y)
            row_apply(n, row, m, s);
        if (n->mean && !n->given)
            softgpu_store(n->mean, row, n->acc, m.mean);
        if (n->rstd && !n->given)
            softgpu_store(n->rstd, row, n->acc, m.rstd);
    }
    free(s);
    return 0;
}
