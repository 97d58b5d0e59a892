/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other algorithms: apex's forward (csrc/layer_norm_cuda_kernel.cu), a plain two-pass layer norm in float, and the
 * naive sum of squares, which no kernel should use and which shows that the margins can be broken.
 */
#include <math.h>

#include "accuracy.h"

enum { WARP = 32, THREADS = 128 };

struct moments {
    float mean, m2, count;
};

/* cuWelfordOnlineSum and cuChanOnlineSum, with true divisions. */
static void online(struct moments *w, float value)
{
    w->count += 1;
    const float delta = value - w->mean;
    w->mean += delta / w->count;
    w->m2 = fmaf(delta, value - w->mean, w->m2);
}

static struct moments combine(struct moments a, struct moments b)
{
    const float delta = b.mean - a.mean, count = a.count + b.count;
    if (!(count > 0))
        return (struct moments){0, 0, count};
    const float na = a.count / count, nb = b.count / count;
    return (struct moments){fmaf(na, a.mean, nb * b.mean), fmaf(delta * delta * na * nb, count, a.m2 + b.m2), count};
}

/* Each lane adds what the lane 1, 2, 4, 8, 16 beyond it holds. */
static struct moments warp(struct moments *lane)
{
    for (int distance = 1; distance < WARP; distance *= 2) {
        struct moments next[WARP];
        for (int i = 0; i < WARP; i++)
            next[i] = combine(lane[i], lane[(i + distance) % WARP]);
        for (int i = 0; i < WARP; i++)
            lane[i] = next[i];
    }
    return lane[0];
}

/* Four neighbours a thread; f16: eight, after one element where the row begins between two words. */
static struct moments row_moments(const struct batch *b, int64_t r)
{
    const double *x = b->x + r * b->cols;
    const int64_t size = b->dtype == FUSELN_DTYPE_F16 ? 8 : 4, skip = b->dtype == FUSELN_DTYPE_F16 && r * b->cols % 2;
    struct moments lane[THREADS] = {{0, 0, 0}}, part[THREADS / WARP];
    if (skip)
        online(&lane[0], (float)x[0]);
    for (int t = 0; t < THREADS; t++)
        for (int64_t first = skip + size * t; first < b->cols; first += size * THREADS)
            for (int64_t c = first; c < b->cols && c < first + size; c++)
                online(&lane[t], (float)x[c]);
    for (int w = 0; w < THREADS / WARP; w++)
        part[w] = warp(lane + w * WARP);
    for (int offset = THREADS / WARP / 2; offset > 0; offset /= 2)
        for (int w = 0; w < offset; w++)
            part[w] = combine(part[w], part[w + offset]);
    return part[0];
}

/* The affine part in the element type, each operation rounded; in f32 it is fused. */
static double apex_affine(const struct batch *b, int64_t c, float xhat)
{
    const double rounded = round_to(b->dtype, (double)xhat);
    if (b->dtype == FUSELN_DTYPE_F32)
        return (double)fmaf((float)b->gamma[c], xhat, (float)b->beta[c]);
    const float scaled = (float)round_to(b->dtype, (double)((float)b->gamma[c] * (float)rounded));
    return round_to(b->dtype, (double)(scaled + (float)b->beta[c]));
}

static void apex_forward(const struct batch *b, struct result *out)
{
    for (int64_t r = 0; r < b->rows; r++) {
        const struct moments row = row_moments(b, r);
        const float rstd = 1 / sqrtf(row.m2 / (float)b->cols + (float)b->eps);
        out->of[MEAN][r] = (double)row.mean;
        out->of[RSTD][r] = (double)rstd;
        for (int64_t c = 0; c < b->cols; c++)
            out->of[Y][r * b->cols + c] = apex_affine(b, c, rstd * ((float)b->x[r * b->cols + c] - row.mean));
    }
}

/* From the mean and the variance on. */
static void plain_row(const struct batch *b, struct result *out, int64_t r, float mean, float variance)
{
    const float rstd = 1 / sqrtf(variance + (float)b->eps);
    out->of[MEAN][r] = (double)mean;
    out->of[RSTD][r] = (double)rstd;
    for (int64_t c = 0; c < b->cols; c++) {
        const float xhat = ((float)b->x[r * b->cols + c] - mean) * rstd;
        out->of[Y][r * b->cols + c] = round_to(b->dtype, (double)(xhat * (float)b->gamma[c] + (float)b->beta[c]));
    }
}

static void two_pass_forward(const struct batch *b, struct result *out)
{
    for (int64_t r = 0; r < b->rows; r++) {
        const double *x = b->x + r * b->cols;
        float sum = 0, squares = 0;
        for (int64_t c = 0; c < b->cols; c++)
            sum += (float)x[c];
        const float mean = sum / (float)b->cols;
        for (int64_t c = 0; c < b->cols; c++)
            squares += ((float)x[c] - mean) * ((float)x[c] - mean);
        plain_row(b, out, r, mean, squares / (float)b->cols);
    }
}

static void naive_forward(const struct batch *b, struct result *out)
{
    for (int64_t r = 0; r < b->rows; r++) {
        const double *x = b->x + r * b->cols;
        float sum = 0, squares = 0;
        for (int64_t c = 0; c < b->cols; c++)
            sum += (float)x[c], squares += (float)x[c] * (float)x[c];
        const float mean = sum / (float)b->cols;
        plain_row(b, out, r, mean, fmaxf(squares / (float)b->cols - mean * mean, 0));
    }
}

static void plain_dx_row(const struct batch *b, struct result *out, int64_t r)
{
    const double *x = b->x + r * b->cols, *dy = b->dy + r * b->cols;
    const float mean = (float)b->mean[r], rstd = (float)b->rstd[r], n = (float)b->cols;
    float s1 = 0, s2 = 0;
    for (int64_t c = 0; c < b->cols; c++) {
        const float g = (float)b->gamma[c] * (float)dy[c];
        s1 += g, s2 += g * (((float)x[c] - mean) * rstd);
    }
    for (int64_t c = 0; c < b->cols; c++) {
        const float g = (float)b->gamma[c] * (float)dy[c], xhat = ((float)x[c] - mean) * rstd;
        out->of[DX][r * b->cols + c] = round_to(b->dtype, (double)((g - s1 / n - xhat * (s2 / n)) * rstd));
    }
}

static void plain_backward(const struct batch *b, struct result *out)
{
    double *dgamma = out->of[DGAMMA], *dbeta = out->of[DBETA]; /* float sums */
    for (int64_t c = 0; c < b->cols; c++)
        dgamma[c] = dbeta[c] = 0;
    for (int64_t r = 0; r < b->rows; r++) {
        plain_dx_row(b, out, r);
        for (int64_t c = 0; c < b->cols; c++) {
            const float dy = (float)b->dy[r * b->cols + c];
            const float xhat = ((float)b->x[r * b->cols + c] - (float)b->mean[r]) * (float)b->rstd[r];
            dgamma[c] = (double)((float)dgamma[c] + dy * xhat);
            dbeta[c] = (double)((float)dbeta[c] + dy);
        }
    }
    for (int64_t c = 0; c < b->cols; c++) {
        dgamma[c] = round_to(b->dtype, dgamma[c]);
        dbeta[c] = round_to(b->dtype, dbeta[c]);
    }
}

const struct algorithm algorithm_apex = {"apex", apex_forward, NULL};
const struct algorithm algorithm_two_pass = {"two-pass", two_pass_forward, plain_backward};
const struct algorithm algorithm_naive = {"naive", naive_forward, plain_backward};
