/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lmdeploy's RMSNorm and BiasResidualRMSNormKernel (TurboMind). A weight about zero has 1 added, and y is rounded once;
 * for others the normalised value and its product are rounded. The residual plus the hidden states plus the bias, each
 * addition rounded, replaces the residual, and its norm the hidden states.
 */
#include "originals_internal.h"

static bool parse(const char *s, enum dtype *ret_dtype, bool *ret_sum, bool *ret_about_zero)
{
    *ret_sum = softgpu_skip(&s, "_ZN9turbomind25BiasResidualRMSNormKernelI");
    if (!*ret_sum && !softgpu_skip(&s, "_ZN9turbomind6kernel7RMSNormI"))
        return false;
    *ret_about_zero = softgpu_skip(&s, "Lb1E");
    if (!*ret_about_zero && !softgpu_skip(&s, "Lb0E"))
        return false;
    *ret_dtype = softgpu_skip(&s, "6__half") ? F16 : BF16;
    if (*ret_dtype == BF16 && !softgpu_skip(&s, "13__nv_bfloat16"))
        return false;
    return softgpu_signature_is(s, *ret_sum ? "fLi512ELi8EEEvPT0_SPKSSiiff" : "fLi512ELi8EEEvPT0_iPKSiSiiff");
}

/* Plain: y, its stride, x, its stride, weight, cols, rows, eps, 1 / cols. Of the sum: residual, hidden states, weight,
 * bias, cols, rows, eps, 1 / cols. */
int softgpu_original_lmdeploy(const struct softgpu_original *launch)
{
    void **params = launch->params;
    enum dtype dtype;
    bool sum, about_zero;
    if (!parse(launch->symbol, &dtype, &sum, &about_zero))
        return SOFTGPU_ORIGINAL_UNKNOWN;
    const int cols = sum ? 4 : 5;
    struct softgpu_norm norm = {.cols = *(int *)params[cols],
                                .rows = *(int *)params[cols + 1],
                                .eps = *(float *)params[cols + 2],
                                .rms = true,
                                .gamma_add = about_zero,
                                .rounds_affine = !about_zero,
                                .x_dtype = dtype,
                                .y_dtype = dtype,
                                .acc = F32,
                                .add_dtype = dtype};
    norm.gamma = *(void **)params[sum ? 2 : 4];
    norm.y = *(void **)params[sum ? 1 : 0];
    norm.x = *(void **)params[sum ? 1 : 2];
    if (sum) {
        norm.residual = norm.sum = *(void **)params[0];
        norm.bias = *(void **)params[3];
        norm.bias_last = true;
    } else {
        norm.y_stride = *(int *)params[1];
        norm.x_stride = *(int *)params[3];
    }
    return softgpu_norm_run(&norm);
}
