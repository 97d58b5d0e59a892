/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lmdeploy's RMSNorm and BiasResidualRMSNormKernel, LayerNorm and ResidualBiasLayerNorm (TurboMind). Of RMS norm a
 * weight about zero has 1 added, and y is rounded once; for others the normalised value and its product are rounded.
 * Layer norm takes the variance in one pass, at least 0, and rounds y alone. The residual plus the hidden states plus
 * the bias, each addition rounded, replaces the residual, and its norm the hidden states.
 */
#include "originals_internal.h"

#include <string.h>

enum { NONE = -1 };

// clang-format off
/* Behind the columns come rows, eps and 1 / cols; behind y and x their strides, unless there is a residual. */
static const struct kernel {
    const char *name;
    int y, x, gamma, beta, residual, bias, cols; /* which argument */
    const char *signature;
} kernels[] = {
    {"6kernel7RMSNormI",                0, 2, 4, NONE, NONE, NONE, 5, "EEvPT0_iPKSiSiiff"},
    {"25BiasResidualRMSNormKernelI",    1, 1, 2, NONE, 0,    3,    4, "EEvPT0_SPKSSiiff"},
    {"6kernel9LayerNormI",              0, 2, 4, 5,    NONE, NONE, 6, "EEvPT_iPKSiSSiiff"},
    {"6kernel21ResidualBiasLayerNormI", 0, 0, 2, 3,    1,    4,    5, "EEvPT_SPKSSSiiff"},
};
// clang-format on

/* A template argument that is bool. */
static bool take_flag(const char **s, bool *ret_flag)
{
    *ret_flag = strncmp(*s, "Lb1E", 4) == 0;
    return softgpu_skip(s, *ret_flag ? "Lb1E" : "Lb0E");
}

/* RMS norm says whether the weight is about zero; layer norm behind the other arguments whether it has beta, and the
 * one of a sum whether that has a bias. */
static const struct kernel *parse(const char *s, struct softgpu_norm *ret_norm, bool *ret_has_beta, bool *ret_has_bias)
{
    const struct kernel *k = kernels;
    bool about_zero = false;
    if (!softgpu_skip(&s, "_ZN9turbomind"))
        return NULL;
    while (k < kernels + COUNT(kernels) && !softgpu_skip(&s, k->name))
        k++;
    if (k == kernels + COUNT(kernels))
        return NULL;
    const bool rms = k->beta == NONE;
    if ((rms && !take_flag(&s, &about_zero)) || !softgpu_take_dtype(&s, OF_CUDA, &ret_norm->x_dtype) ||
        ret_norm->x_dtype == F32 || ret_norm->x_dtype == F64 || !softgpu_skip(&s, "fLi512ELi8E"))
        return NULL;
    *ret_has_bias = true;
    if (!rms && (!take_flag(&s, ret_has_beta) || (k->residual != NONE && !take_flag(&s, ret_has_bias))))
        return NULL;
    ret_norm->rms = rms;
    ret_norm->gamma_add = about_zero;
    ret_norm->rounds_affine = rms && !about_zero;
    return softgpu_signature_is(s, k->signature) ? k : NULL;
}

int softgpu_original_lmdeploy(const struct softgpu_original *launch)
{
    struct softgpu_norm norm = {.acc = F32, .bias_last = true};
    bool has_beta = false, has_bias = false;
    const struct kernel *k = parse(launch->symbol, &norm, &has_beta, &has_bias);
    if (!k)
        return SOFTGPU_ORIGINAL_UNKNOWN;
    norm.y_dtype = norm.add_dtype = norm.x_dtype;
    norm.one_pass = norm.clamps_variance = !norm.rms;
    norm.y = softgpu_pointer(launch, k->y);
    norm.x = softgpu_pointer(launch, k->x);
    norm.gamma = softgpu_pointer(launch, k->gamma);
    norm.beta = has_beta ? softgpu_pointer(launch, k->beta) : NULL;
    if (k->residual == NONE) {
        norm.y_stride = *(int *)launch->params[k->y + 1];
        norm.x_stride = *(int *)launch->params[k->x + 1];
    } else {
        norm.residual = norm.sum = softgpu_pointer(launch, k->residual);
        norm.bias = has_bias ? softgpu_pointer(launch, k->bias) : NULL;
    }
    norm.cols = *(int *)launch->params[k->cols];
    norm.rows = *(int *)launch->params[k->cols + 1];
    norm.eps = softgpu_load(launch->params[k->cols + 2], 0, F32);
    return softgpu_norm_run(&norm);
}
