/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apex's FusedLayerNorm and FusedRMSNorm at 6424da3b: T is x's type, U that of the statistics, V that of y, gamma, beta
 * and dy. What apex does and PyTorch does not: the normalised value, its product with gamma and the sum with beta are
 * each rounded to V; layer norm with a gamma but no beta applies neither; a gamma nearer to 0 than eps counts as eps
 * where dx is put together, though not in its sums. Kernels of the memory-efficient mode get y in place of x.
 */
#include "originals_internal.h"

#include <math.h>
#include <string.h>

enum { PARTS = 16, ROWS_AT_ONCE = 16 }; /* of cuComputePartGradGammaBeta: grid.y, and rows that a block takes in turn */

/* Pointers by letter: x, y, m mean, r rstd, g gamma, b beta, d dy, D dx, G and B partial sums of dgamma and dbeta, P
 * dgamma, Q dbeta. Others: n rows, c cols, e eps of type U, E a second one (double), s number of parts, R rms_only. */
struct launch {
    enum dtype t, u, v;
    bool rms, from_y;
    int64_t rows, cols;
    double eps;
    int parts;
    void *arg[128];
};

static double at(const struct launch *l, char letter, int64_t i, enum dtype dtype)
{
    return softgpu_load(l->arg[(int)letter], i, dtype);
}

static bool has(const struct launch *l, char letter)
{
    return l->arg[(int)letter] != NULL;
}

static int run_forward(const struct launch *l)
{
    const bool is_affine = has(l, 'g') && (l->rms || has(l, 'b'));
    const struct softgpu_norm norm = {
        .rows = l->rows,
        .cols = l->cols,
        .eps = l->eps,
        .rms = l->rms,
        .rounds_affine = true,
        .x_dtype = l->t,
        .y_dtype = l->v,
        .acc = l->u,
        .x = l->arg['x'],
        .y = l->arg['y'],
        .gamma = is_affine ? l->arg['g'] : NULL,
        .beta = is_affine ? l->arg['b'] : NULL,
        .mean = l->arg['m'],
        .rstd = l->arg['r'],
    };
    return softgpu_norm_run(&norm);
}

static double clamped(const struct launch *l, int64_t i)
{
    const double gamma = at(l, 'g', i, l->v), least = softgpu_round(l->eps, l->v);
    return fabs(gamma) >= least ? gamma : gamma >= 0 ? least : -least;
}

static double xhat(const struct launch *l, int64_t row, int64_t i)
{
    const double x = at(l, 'x', row * l->cols + i, l->t);
    if (!l->from_y)
        return (x - (l->rms ? 0 : at(l, 'm', row, l->u))) * at(l, 'r', row, l->u);
    if (!has(l, 'g'))
        return x;
    return (x - (l->rms ? 0 : at(l, 'b', i, l->v))) / clamped(l, i);
}

static int run_dx(const struct launch *l)
{
    const double n = (double)l->cols;
    for (int64_t row = 0; row < l->rows; row++) {
        const int64_t begin = row * l->cols;
        double s1 = 0, s2 = 0;
        for (int64_t i = 0; i < l->cols; i++) {
            const double dyg = at(l, 'd', begin + i, l->v) * (has(l, 'g') ? at(l, 'g', i, l->v) : 1);
            s1 += l->rms ? 0 : dyg;
            s2 += dyg * xhat(l, row, i);
        }
        for (int64_t i = 0; i < l->cols; i++) {
            const double dyg = at(l, 'd', begin + i, l->v) * (has(l, 'g') ? clamped(l, i) : 1);
            softgpu_store(l->arg['D'], begin + i, l->t,
                          (n * dyg - s1 - xhat(l, row, i) * s2) * at(l, 'r', row, l->u) / n);
        }
    }
    return 0;
}

/* Part p sums a run of whole ROWS_AT_ONCE rows; parts past the last row are zeros. */
static int run_parts(const struct launch *l)
{
    const int64_t groups = (l->rows + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE;
    const int64_t rows = (groups + PARTS - 1) / PARTS * ROWS_AT_ONCE;
    for (int64_t i = 0; i < PARTS * l->cols; i++) {
        const int64_t first = i / l->cols * rows;
        double dgamma = 0, dbeta = 0;
        for (int64_t row = first; row < first + rows && row < l->rows; row++) {
            const double dy = at(l, 'd', row * l->cols + i % l->cols, l->v);
            dgamma += dy * xhat(l, row, i % l->cols);
            dbeta += dy;
        }
        softgpu_store(l->arg['G'], i, l->u, dgamma);
        if (!l->rms)
            softgpu_store(l->arg['B'], i, l->u, dbeta);
    }
    return 0;
}

static int run_dgamma(const struct launch *l)
{
    for (int64_t i = 0; i < l->cols; i++) {
        double dgamma = 0, dbeta = 0;
        for (int part = 0; part < l->parts; part++) {
            dgamma += at(l, 'G', part * l->cols + i, l->u);
            dbeta += l->rms ? 0 : at(l, 'B', part * l->cols + i, l->u);
        }
        softgpu_store(l->arg['P'], i, l->v, dgamma);
        if (!l->rms)
            softgpu_store(l->arg['Q'], i, l->v, dbeta);
    }
    return 0;
}

// clang-format off
static const struct kernel {
    const char *name, *signature, *args;
    int (*run)(const struct launch *l);
} kernels[] = {
    {"_Z16cuApplyLayerNormI",           "vPT1_PT0_SPKT_iiSPKSS",      "ymrxncegb",     run_forward},
    {"_Z14cuApplyRMSNormI",             "vPT1_PT0_PKT_iiSPKS",        "yrxnceg",       run_forward},
    {"_Z26cuComputePartGradGammaBetaI", "vPKT1_PKT_iiPKT0_SSSSPSSdb", "dxncmregbGBER", run_parts},
    {"_Z22cuComputeGradGammaBetaI",     "vPKT_SiiiPT0_Sb",            "GBsncPQR",      run_dgamma},
    {"_Z18cuComputeGradInputI",         "vPKT1_PKT_iiPKT0_SSSSPSdb",  "dxncmregbDER",  run_dx},
};
// clang-format on

/* S1_: the first template argument once more. */
static bool take_type(const char **s, enum dtype first, enum dtype *ret_dtype)
{
    *ret_dtype = first;
    return softgpu_skip(s, "S1_") || softgpu_take_dtype(s, OF_C10, ret_dtype);
}

static const struct kernel *parse(const char *s, struct launch *l)
{
    size_t k = 0;
    while (k < COUNT(kernels) && !softgpu_skip(&s, kernels[k].name))
        k++;
    if (k == COUNT(kernels))
        return NULL;
    const bool sums = kernels[k].run == run_dgamma; /* it has no T */
    if ((!sums && !take_type(&s, F32, &l->t)) || !take_type(&s, F32, &l->u) || !take_type(&s, l->t, &l->v))
        return NULL;
    const bool mode = softgpu_skip(&s, "Lb1E") ? (l->from_y = true) : softgpu_skip(&s, "Lb0E");
    if (mode != (strchr(kernels[k].args, 'E') != NULL) || !softgpu_skip(&s, "E") ||
        !softgpu_signature_is(s, kernels[k].signature))
        return NULL;
    l->rms = !strchr(kernels[k].args, 'm') && !sums;
    return &kernels[k];
}

static void take_argument(struct launch *l, char letter, void *param)
{
    if (letter == 'n')
        l->rows = *(int *)param;
    else if (letter == 'c')
        l->cols = *(int *)param;
    else if (letter == 's')
        l->parts = *(int *)param;
    else if (letter == 'e')
        l->eps = softgpu_load(param, 0, l->u);
    else if (letter == 'R')
        l->rms = *(bool *)param;
    else if (letter != 'E')
        l->arg[(int)letter] = *(void **)param;
}

int softgpu_original_apex(const struct softgpu_original *launch)
{
    struct launch l = {0}; /* whatever the grid is: blocks take rows in turn */
    const struct kernel *kernel = parse(launch->symbol, &l);
    if (!kernel)
        return SOFTGPU_ORIGINAL_UNKNOWN;
    for (int i = 0; kernel->args[i]; i++)
        take_argument(&l, kernel->args[i], launch->params[i]);
    return kernel->run(&l);
}
