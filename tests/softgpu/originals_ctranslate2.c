/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CTranslate2's norms over the last dimension, as its wheel 4.8 holds them. The layer norm was PyTorch's once and kept
 * its name, but takes the variance in one pass, in float, and no statistics leave it; gamma and beta may be null. Each
 * result is rounded once. A row is a block.
 */
#include "originals_internal.h"

#include <stddef.h>

#define LAYER_NORM "_ZN2at6native26LayerNormForwardCUDAKernelI"
#define RMS_NORM   "_ZN11ctranslate23ops15rms_norm_kernelI"

/* (unsigned cols, float eps, x, gamma, beta, y) */
static int run_layer_norm(const struct softgpu_original *launch, struct softgpu_norm n)
{
    n.cols = *(unsigned *)launch->params[0];
    n.eps = *(float *)launch->params[1];
    n.x = softgpu_pointer(launch, 2);
    n.gamma = softgpu_pointer(launch, 3);
    n.beta = softgpu_pointer(launch, 4);
    n.y = softgpu_pointer(launch, 5);
    n.one_pass = n.clamps_variance = true;
    return softgpu_norm_run(&n);
}

/* (x, gamma, y, unsigned cols, float eps, bool adds 1 to gamma) */
static int run_rms_norm(const struct softgpu_original *launch, struct softgpu_norm n)
{
    n.x = softgpu_pointer(launch, 0);
    n.gamma = softgpu_pointer(launch, 1);
    n.y = softgpu_pointer(launch, 2);
    n.cols = *(unsigned *)launch->params[3];
    n.eps = *(float *)launch->params[4];
    n.gamma_add = *(bool *)launch->params[5];
    n.rms = true;
    return softgpu_norm_run(&n);
}

// clang-format off
static const struct {
    const char *name, *signature;
    int (*run)(const struct softgpu_original *launch, struct softgpu_norm n);
} kernels[] = {
    {LAYER_NORM, "jEEvT0_fPKT_SSPS", run_layer_norm},
    {RMS_NORM,   "EEvPKT_SPSjfb",    run_rms_norm},
};
// clang-format on

int softgpu_original_ctranslate2(const struct softgpu_original *launch)
{
    for (size_t k = 0; k < COUNT(kernels); k++) {
        const char *s = launch->symbol;
        struct softgpu_norm n = {.rows = launch->grid[0], .acc = F32};
        if (!softgpu_skip(&s, kernels[k].name) || !softgpu_take_dtype(&s, OF_CUDA, &n.x_dtype) || n.x_dtype == F64 ||
            !softgpu_signature_is(s, kernels[k].signature))
            continue;
        n.y_dtype = n.x_dtype;
        return kernels[k].run(launch, n);
    }
    return SOFTGPU_ORIGINAL_UNKNOWN;
}
