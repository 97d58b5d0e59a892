/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vLLM's rms_norm_kernel and fused_add_rms_norm_kernel, 0.10 to 0.33. Releases differ in their arguments, which the
 * signature tells, and in where they round: up to 0.23 the normalised value is rounded to its type before gamma
 * multiplies it. From 0.24 on the template says whether there is a gamma, and y is rounded once.
 */
#include "originals_internal.h"

#include <stdio.h>

struct kernel {
    enum dtype dtype;
    int rank;       /* of x; 2: rows of one stride */
    int has_weight; /* -1: a release that always has one, and rounds before it */
};

/* Moves behind a template argument such as Li8E, of the kind i or b. False: there is none. */
static bool take_value(const char **s, char kind, int *ret_value)
{
    char found;
    int value, bytes = 0;
    if (sscanf(*s, "L%c%dE%n", &found, &value, &bytes) != 2 || found != kind || !bytes)
        return false;
    *ret_value = value;
    *s += bytes;
    return true;
}

static struct softgpu_norm norm_make(const struct kernel *k)
{
    return (struct softgpu_norm){.rms = true,
                                 .rounds_affine = k->has_weight < 0,
                                 .x_dtype = k->dtype,
                                 .y_dtype = k->dtype,
                                 .acc = F32,
                                 .add_dtype = k->dtype};
}

static const void *element(const void *p, int64_t i, enum dtype dtype)
{
    return (const char *)p + i * (dtype == F32 ? 4 : 2);
}

/* Where a row begins in x, and in ret_outer its index of the outermost dimension, which also chooses gamma's row. */
static int64_t row_find(int rank, int64_t row, void **params, int64_t *ret_outer)
{
    int64_t at = 0;
    for (int d = 0; d < rank - 2; d++) {
        const int64_t size = *(int64_t *)params[5 + d];
        at += row % size * *(int64_t *)params[2 + d];
        row /= size;
    }
    *ret_outer = row;
    return at + row * *(int64_t *)params[rank];
}

/* y, x, strides of x's dimensions before the last (one in 0.10; later three, then the sizes of two), gamma, from 0.25
 * on the stride of its rows, eps, number of rows, cols */
static int run_rms(const struct softgpu_original *launch, const char *signature, const struct kernel *k)
{
    static const struct {
        const char *signature;
        int gamma, stride, eps;
    } forms[] = {{"vPT_PKSlSfii", 3, -1, 4}, {"vPT_PKSlllllSfii", 7, -1, 8}, {"vPT_PKSlllllSlfii", 7, 8, 9}};
    void **params = launch->params;
    size_t f = 0;
    while (f < COUNT(forms) && !softgpu_signature_is(signature, forms[f].signature))
        f++;
    if (f == COUNT(forms))
        return SOFTGPU_ORIGINAL_UNKNOWN;
    struct softgpu_norm norm = norm_make(k);
    norm.rows = 1;
    norm.eps = *(float *)params[forms[f].eps];
    norm.cols = *(int *)params[forms[f].eps + 2];
    int result = 0;
    for (int64_t row = 0; row < launch->grid[0] && result == 0; row++) {
        int64_t outer, at = row_find(k->rank, row, params, &outer);
        const int64_t gamma_at = forms[f].stride < 0 ? 0 : outer * *(int64_t *)params[forms[f].stride];
        norm.x = element(*(void **)params[1], at, k->dtype);
        norm.y = (void *)element(*(void **)params[0], row * norm.cols, k->dtype);
        norm.gamma = k->has_weight ? element(*(void **)params[forms[f].gamma], gamma_at, k->dtype) : NULL;
        result = softgpu_norm_run(&norm);
    }
    return result;
}

/* x, its stride, residual, gamma, eps, number of rows, cols, from 0.28 on the residual's stride. The sum is rounded to
 * its type, replaces the residual, and is what is normalised; y replaces x. */
static int run_fused_add(const struct softgpu_original *launch, const char *signature, const struct kernel *k)
{
    void **params = launch->params;
    const bool strided = softgpu_signature_is(signature, "PSlSPKSfiil");
    if (!strided && !softgpu_signature_is(signature, "PSlSPKSfii"))
        return SOFTGPU_ORIGINAL_UNKNOWN;
    struct softgpu_norm norm = norm_make(k);
    norm.rows = launch->grid[0];
    norm.x = norm.y = *(void **)params[0];
    norm.x_stride = norm.y_stride = *(int64_t *)params[1];
    norm.residual = norm.sum = *(void **)params[2];
    norm.gamma = k->has_weight ? *(void **)params[3] : NULL;
    norm.eps = *(float *)params[4];
    norm.cols = *(int *)params[6];
    norm.residual_stride = strided ? *(int64_t *)params[7] : 0;
    return softgpu_norm_run(&norm);
}

int softgpu_original_vllm(const struct softgpu_original *launch)
{
    struct kernel k = {.rank = 2, .has_weight = -1};
    const char *s = launch->symbol;
    int width;
    const bool rms = softgpu_skip(&s, "_ZN4vllm15rms_norm_kernelI");
    if ((!rms && !softgpu_skip(&s, "_ZN4vllm25fused_add_rms_norm_kernelI")) ||
        !softgpu_take_dtype(&s, OF_C10, &k.dtype) || k.dtype == F64)
        return SOFTGPU_ORIGINAL_UNKNOWN;
    if (take_value(&s, 'i', &width)) /* of its vectors; rms has none in 0.10 */
        take_value(&s, 'i', &k.rank);
    take_value(&s, 'b', &k.has_weight);
    if (!softgpu_skip(&s, "EE") || k.rank < 2 || k.rank > 4)
        return SOFTGPU_ORIGINAL_UNKNOWN;
    if (rms)
        return run_rms(launch, s, &k);
    if (!softgpu_skip(&s, "NSt9enable_ifIXaagtT0_Li0Esr4vllm12_typeConvertIT_EE6existsEvE4typeE") &&
        !softgpu_skip(&s, "NSt9enable_ifIXooeqT0_Li0Entsr4vllm12_typeConvertIT_EE6existsEvE4typeE"))
        return SOFTGPU_ORIGINAL_UNKNOWN;
    return run_fused_add(launch, s, &k);
}
