/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ggml's norms without gamma and beta, of llama.cpp in 2023 and 2024 (ctransformers 0.2.27, gpt4all 2.8.2). A row is a
 * warp, in the later form also a block; a block may have several rows. The layer norm takes the variance in one pass.
 */
#include "originals_internal.h"

#include <stddef.h>
#include <string.h>

/* (x, y, int cols, float eps); where there is no eps, it is 1e-5 */
static const struct {
    const char *name;
    bool rms, has_eps;
} kernels[] = {
    {"_Z8norm_f32PKfPfi", false, false},
    {"_Z8norm_f32ILi32EEvPKfPfif", false, true},
    {"_Z8norm_f32ILi1024EEvPKfPfif", false, true},
    {"_Z12rms_norm_f32PKfPfif", true, true},
    {"_Z12rms_norm_f32ILi32EEvPKfPfif", true, true},
    {"_Z12rms_norm_f32ILi1024EEvPKfPfif", true, true},
};

int softgpu_original_ggml(const struct softgpu_original *launch)
{
    size_t k = 0;
    while (k < COUNT(kernels) && strcmp(launch->symbol, kernels[k].name) != 0)
        k++;
    if (k == COUNT(kernels))
        return SOFTGPU_ORIGINAL_UNKNOWN;
    const struct softgpu_norm n = {
        .rows = (int64_t)launch->grid[0] * launch->block[1],
        .cols = *(int *)launch->params[2],
        .eps = kernels[k].has_eps ? *(float *)launch->params[3] : 1e-5f,
        .rms = kernels[k].rms,
        .one_pass = !kernels[k].rms,
        .x = softgpu_pointer(launch, 0),
        .y = softgpu_pointer(launch, 1),
    };
    return softgpu_norm_run(&n);
}
