/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layer-norm kernels of PyTorch 2.15 (layer_norm_kernel.cu), in float: the same geometry, order of sums, roundings
 * and fused multiply-adds (those that nvcc makes of these expressions). Not bit for bit: reciprocals, divisions and
 * square roots are rounded correctly here, as in our own kernels on the CPU; the GPU's rsqrt is off by up to 2 ulp.
 * Forward: vectorised where cols % 4 == 0, else moments and apply. Backward: dX, and dgamma/dbeta up to 65536 rows.
 */
#include <math.h>

#include "accuracy.h"

enum { WARP = 32, VECTOR = 4, DX_THREADS = 128, FORWARD_THREADS = 128, MOMENTS_THREADS = 512 };

struct moments {
    float mean, m2, count;
};

/* cuWelfordOnlineSum, cuWelfordCombine: of the vectorised kernel. */
static struct moments online(struct moments w, float value)
{
    const float count = w.count + 1, delta = value - w.mean, mean = fmaf(delta, 1 / count, w.mean);
    return (struct moments){mean, fmaf(delta, value - mean, w.m2), count};
}

static struct moments combine(struct moments b, struct moments a)
{
    const float delta = b.mean - a.mean, count = a.count + b.count;
    if (!(count > 0))
        return (struct moments){0, 0, count};
    const float share = 1 / count, na = a.count * share, nb = b.count * share;
    return (struct moments){fmaf(na, a.mean, nb * b.mean), fmaf(delta * delta * a.count, nb, a.m2 + b.m2), count};
}

/* WelfordOps::reduce and combine: of the moments kernel. */
static struct moments online_divided(struct moments w, float value)
{
    const float count = w.count + 1, delta = value - w.mean, mean = w.mean + delta / count;
    return (struct moments){mean, fmaf(delta, value - mean, w.m2), count};
}

static struct moments combine_divided(struct moments a, struct moments b)
{
    if (a.count == 0)
        return b;
    if (b.count == 0)
        return a;
    const float delta = b.mean - a.mean, count = a.count + b.count, share = b.count / count;
    return (struct moments){fmaf(delta, share, a.mean), fmaf(a.count * (delta * delta), share, a.m2 + b.m2), count};
}

/* What lane 0 holds after shuffles down by 16, 8, 4, 2, 1. */
static struct moments warp(struct moments *lane, struct moments (*join)(struct moments, struct moments))
{
    for (int offset = WARP / 2; offset > 0; offset /= 2)
        for (int i = 0; i < offset; i++)
            lane[i] = join(lane[i], lane[i + offset]);
    return lane[0];
}

static float warp_sum(float *lane)
{
    for (int offset = WARP / 2; offset > 0; offset /= 2)
        for (int i = 0; i < offset; i++)
            lane[i] += lane[i + offset];
    return lane[0];
}

static void forward_vectorised(const struct batch *b, struct result *out, int64_t r)
{
    const double *x = b->x + r * b->cols;
    struct moments lane[FORWARD_THREADS] = {{0, 0, 0}}, part[FORWARD_THREADS / WARP];
    for (int t = 0; t < FORWARD_THREADS; t++)
        for (int64_t v = t; v < b->cols / VECTOR; v += FORWARD_THREADS)
            for (int k = 0; k < VECTOR; k++)
                lane[t] = online(lane[t], (float)x[v * VECTOR + k]);
    for (int w = 0; w < FORWARD_THREADS / WARP; w++)
        part[w] = warp(lane + w * WARP, combine);
    for (int offset = FORWARD_THREADS / WARP / 2; offset > 0; offset /= 2)
        for (int w = 0; w < offset; w++)
            part[w] = combine(part[w], part[w + offset]);
    const float mean = part[0].mean, rstd = 1 / sqrtf(part[0].m2 / (float)b->cols + (float)b->eps);
    out->of[MEAN][r] = (double)mean;
    out->of[RSTD][r] = (double)rstd;
    for (int64_t c = 0; c < b->cols; c++)
        out->of[Y][r * b->cols + c] =
            round_to(b->dtype, (double)fmaf(rstd * ((float)x[c] - mean), (float)b->gamma[c], (float)b->beta[c]));
}

static void forward_moments_apply(const struct batch *b, struct result *out, int64_t r)
{
    const double *x = b->x + r * b->cols;
    struct moments lane[MOMENTS_THREADS] = {{0, 0, 0}}, part[WARP] = {{0, 0, 0}};
    for (int t = 0; t < MOMENTS_THREADS; t++)
        for (int64_t c = t; c < b->cols; c += MOMENTS_THREADS)
            lane[t] = online_divided(lane[t], (float)x[c]);
    for (int w = 0; w < MOMENTS_THREADS / WARP; w++)
        part[w] = warp(lane + w * WARP, combine_divided);
    const struct moments row = warp(part, combine_divided);
    const float mean = row.mean, rstd = 1 / sqrtf(row.m2 / row.count + (float)b->eps);
    out->of[MEAN][r] = (double)mean;
    out->of[RSTD][r] = (double)rstd;
    for (int64_t c = 0; c < b->cols; c++)
        out->of[Y][r * b->cols + c] =
            round_to(b->dtype, (double)fmaf(((float)x[c] - mean) * rstd, (float)b->gamma[c], (float)b->beta[c]));
}

static void forward(const struct batch *b, struct result *out)
{
    for (int64_t r = 0; r < b->rows; r++)
        (b->cols % VECTOR == 0 ? forward_vectorised : forward_moments_apply)(b, out, r);
}

/* BlockReduceSum of 128 threads. */
static float block_sum(float *lane)
{
    float part[WARP] = {0};
    for (int w = 0; w < DX_THREADS / WARP; w++)
        part[w] = warp_sum(lane + w * WARP);
    return warp_sum(part);
}

/* Both forms of the kernel add in the same order: four neighbours a thread, the last few to the thread they fall to. */
static void dx_row(const struct batch *b, struct result *out, int64_t r)
{
    const double *x = b->x + r * b->cols, *dy = b->dy + r * b->cols;
    const float mean = (float)b->mean[r], rstd = (float)b->rstd[r], n = (float)b->cols, scale = 1 / n * rstd;
    float s1[DX_THREADS] = {0}, s2[DX_THREADS] = {0};
    for (int t = 0; t < DX_THREADS; t++)
        for (int64_t v = t; v * VECTOR < b->cols; v += DX_THREADS)
            for (int64_t c = v * VECTOR; c < b->cols && c < (v + 1) * VECTOR; c++) {
                const float g = (float)dy[c] * (float)b->gamma[c];
                s1[t] += g;
                s2[t] = fmaf(g * ((float)x[c] - mean), rstd, s2[t]);
            }
    const float sum1 = block_sum(s1), sum2 = block_sum(s2);
    for (int64_t c = 0; c < b->cols; c++) {
        const float taken = ((float)x[c] - mean) * rstd * sum2;
        const float dx = (fmaf(n * (float)b->gamma[c], (float)dy[c], -taken) - sum1) * scale;
        out->of[DX][r * b->cols + c] = round_to(b->dtype, (double)dx);
    }
}

/* 32 columns and `threads` rows of threads a block; each takes 8 rows in turn; a butterfly adds up the threads. */
static void dgamma_block(const struct batch *b, struct result *out, int64_t first)
{
    enum { ROWS = 8 };
    const int threads = b->rows < 64 ? 1 : b->rows < 128 ? 8 : b->rows < 256 ? 16 : 32;
    const int64_t cols = b->cols - first < WARP ? b->cols - first : WARP;
    float dgamma[WARP][WARP] = {{0}}, dbeta[WARP][WARP] = {{0}}; /* [column][thread] */
    for (int64_t r = 0; r < b->rows; r++) {
        const int64_t at = r * b->cols + first, t = r / ROWS % threads;
        const float mean = (float)b->mean[r], rstd = (float)b->rstd[r];
        for (int64_t c = 0; c < cols; c++) {
            const float dy = (float)b->dy[at + c];
            dgamma[c][t] = fmaf(dy * ((float)b->x[at + c] - mean), rstd, dgamma[c][t]);
            dbeta[c][t] += dy;
        }
    }
    for (int64_t c = 0; c < cols; c++) { /* lane 0 of a butterfly has what shuffles down give */
        out->of[DGAMMA][first + c] = round_to(b->dtype, (double)warp_sum(dgamma[c]));
        out->of[DBETA][first + c] = round_to(b->dtype, (double)warp_sum(dbeta[c]));
    }
}

static void backward(const struct batch *b, struct result *out)
{
    for (int64_t r = 0; r < b->rows; r++)
        dx_row(b, out, r);
    for (int64_t c = 0; c < b->cols; c += WARP)
        dgamma_block(b, out, c);
}

const struct algorithm algorithm_pytorch = {"PyTorch", forward, backward};
