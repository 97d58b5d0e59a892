/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ONNX Runtime's kernels, as its CUDA provider 1.31 holds them. cuApplyLayerNorm<x, statistics, y, rms> adds x, bias
 * and skip in the statistics' type, and its RMS norm writes the mean too if it is asked for. SkipLayerNormKernel and
 * SkipLayerNormKernelSmall round x + bias and again + skip to the tensors' type, and take the variance in one pass.
 */
#include "originals_internal.h"

#include <stdio.h>
#include <string.h>

#define SCOPE "_ZN11onnxruntime"

static int integer(const struct softgpu_original *launch, int i)
{
    return *(int *)launch->params[i];
}

/* (y, mean, rstd, x, int rows, int cols, eps, gamma, beta, int broadcast, skip, bias, sum) */
static int run_apply(const struct softgpu_original *launch, struct softgpu_norm n)
{
    n.y = softgpu_pointer(launch, 0);
    n.mean = softgpu_pointer(launch, 1);
    n.rstd = softgpu_pointer(launch, 2);
    n.x = softgpu_pointer(launch, 3);
    n.rows = integer(launch, 4);
    n.cols = integer(launch, 5);
    n.eps = softgpu_load(launch->params[6], 0, n.acc);
    n.gamma = softgpu_pointer(launch, 7);
    n.beta = n.rms ? NULL : softgpu_pointer(launch, 8);
    n.gamma_per_row = integer(launch, 9);
    n.residual = softgpu_pointer(launch, 10);
    n.bias = softgpu_pointer(launch, 11);
    n.sum = softgpu_pointer(launch, 12);
    n.add_dtype = n.acc;
    return softgpu_norm_run(&n);
}

/* (y, sum, x, skip, bias, gamma, beta, float eps, int cols, int elements of skip) */
static int run_skip(const struct softgpu_original *launch, struct softgpu_norm n)
{
    n.y = softgpu_pointer(launch, 0);
    n.sum = softgpu_pointer(launch, 1);
    n.x = softgpu_pointer(launch, 2);
    n.residual = softgpu_pointer(launch, 3);
    n.bias = softgpu_pointer(launch, 4);
    n.gamma = softgpu_pointer(launch, 5);
    n.beta = n.rms ? NULL : softgpu_pointer(launch, 6);
    n.eps = softgpu_load(launch->params[7], 0, F32);
    n.rows = launch->grid[0];
    n.cols = integer(launch, 8);
    n.residual_period = integer(launch, 9);
    n.add_dtype = n.x_dtype;
    n.one_pass = true;
    return softgpu_norm_run(&n);
}

// clang-format off
static const struct {
    const char *name;
    int ints; /* template arguments that are integers */
    const char *signature;
    int (*run)(const struct softgpu_original *launch, struct softgpu_norm n);
} kernels[] = {
    {"4cuda16cuApplyLayerNormI",                  0, "PT1_PT0_SPKT_iiSPKSSiSSPS", run_apply},
    {"7contrib4cuda19SkipLayerNormKernelI",       1, "PT_SPKSSSSSfii",            run_skip},
    {"7contrib4cuda24SkipLayerNormKernelSmallI",  2, "PT_SPKSSSSSfii",            run_skip},
};

/* How the types of a kernel read; those of the skip kernels alone stand behind. */
static const struct { const char *mangled; enum dtype x, acc, y; } types[] = {
    {"6__halffS2_", F16, F32, F16}, {"6__halfff", F16, F32, F32}, {"NS_8BFloat16EfS2_", BF16, F32, BF16},
    {"ff6__half", F32, F32, F16},   {"fff", F32, F32, F32},       {"dfd", F64, F32, F64},
    {"ddd", F64, F64, F64},
    {"6__half", F16, F32, F16},     {"13__nv_bfloat16", BF16, F32, BF16}, {"f", F32, F32, F32},
};
// clang-format on

static bool take_types(const char **s, struct softgpu_norm *n)
{
    for (size_t t = 0; t < COUNT(types); t++) {
        if (softgpu_skip(s, types[t].mangled)) {
            n->x_dtype = types[t].x;
            n->acc = types[t].acc;
            n->y_dtype = types[t].y;
            return true;
        }
    }
    return false;
}

/* The integers among the template arguments, and the last argument, which is rms. */
static bool take_values(const char **s, int ints, struct softgpu_norm *n)
{
    for (int i = 0; i < ints; i++) {
        int bytes = 0;
        sscanf(*s, "L%*1[ij]%*uE%n", &bytes);
        *s += bytes;
        if (!bytes)
            return false;
    }
    n->rms = strncmp(*s, "Lb1E", 4) == 0;
    return softgpu_skip(s, n->rms ? "Lb1E" : "Lb0E") && softgpu_skip(s, "EEv");
}

int softgpu_original_onnxruntime(const struct softgpu_original *launch)
{
    for (size_t k = 0; k < COUNT(kernels); k++) {
        const char *s = launch->symbol;
        struct softgpu_norm n = {0};
        if (softgpu_skip(&s, SCOPE) && softgpu_skip(&s, kernels[k].name) && take_types(&s, &n) &&
            take_values(&s, kernels[k].ints, &n) && softgpu_signature_is(s, kernels[k].signature))
            return kernels[k].run(launch, n);
    }
    return SOFTGPU_ORIGINAL_UNKNOWN;
}
