/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flashinfer's RMSNormKernel and FusedAddRMSNormKernel, as sglang-kernel holds them. Both compute in float and round y
 * once; gamma is the weight plus a number: 0, or 1 for Gemma and where there is no weight. The fused one normalises the
 * sum as it was before it was rounded into the residual.
 */
#include "originals_internal.h"

#include <stdio.h>

static bool parse(const char *s, enum dtype *ret_dtype, bool *ret_fused)
{
    unsigned width;
    int bytes = 0;
    *ret_fused = softgpu_skip(&s, "_ZN10flashinfer4norm21FusedAddRMSNormKernelI");
    if (!*ret_fused && !softgpu_skip(&s, "_ZN10flashinfer4norm13RMSNormKernelI"))
        return false;
    if (sscanf(s, "Lj%uE%n", &width, &bytes) != 1 || !bytes)
        return false;
    s += bytes;
    return softgpu_take_dtype(&s, OF_CUDA, ret_dtype) && *ret_dtype != F64 && softgpu_signature_is(s, "EEvPT0_SSjjjff");
}

/* Plain: x, gamma, y. Fused: x, which y replaces; residual, which the sum replaces; gamma. Then cols, the strides of x
 * and of y or the residual, the number that gamma is added to, eps. */
int softgpu_original_sglang(const struct softgpu_original *launch)
{
    void **params = launch->params;
    enum dtype dtype;
    bool fused;
    if (!parse(launch->symbol, &dtype, &fused))
        return SOFTGPU_ORIGINAL_UNKNOWN;
    struct softgpu_norm norm = {.rows = launch->grid[0],
                                .cols = *(unsigned *)params[3],
                                .rms = true,
                                .x_dtype = dtype,
                                .y_dtype = dtype,
                                .acc = F32,
                                .add_dtype = F32,
                                .x = *(void **)params[0]};
    norm.x_stride = *(unsigned *)params[4];
    norm.y_stride = fused ? norm.x_stride : *(unsigned *)params[5];
    norm.y = *(void **)params[fused ? 0 : 2];
    norm.gamma = *(void **)params[fused ? 2 : 1];
    norm.gamma_add = *(float *)params[6];
    norm.eps = *(float *)params[7];
    if (fused) {
        norm.residual = norm.sum = *(void **)params[1];
        norm.residual_stride = *(unsigned *)params[5];
    }
    return softgpu_norm_run(&norm);
}
