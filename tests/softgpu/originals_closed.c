/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The norms of tests/programs/closed_norms.cu, which stand for those of a closed binary. All are of floats.
 */
#include "originals_internal.h"

#include <math.h>
#include <string.h>

/* (x, gamma, beta, y, scale, eps, rows, cols, capacity) */
static int run_norm(const struct softgpu_original *launch, struct softgpu_norm n)
{
    n.beta = softgpu_pointer(launch, 2);
    n.y = softgpu_pointer(launch, 3);
    n.eps = *(float *)launch->params[5];
    n.cols = *(int *)launch->params[7];
    n.rms = false;
    return softgpu_norm_run(&n);
}

/* (x, residual, gamma, eps, cols) */
static int run_add_norm(const struct softgpu_original *launch, struct softgpu_norm n)
{
    n.y = softgpu_pointer(launch, 0);
    n.residual = n.sum = softgpu_pointer(launch, 1);
    n.gamma = softgpu_pointer(launch, 2);
    return softgpu_norm_run(&n);
}

/* (x, gamma, y, eps, cols) */
static int run_rms(const struct softgpu_original *launch, struct softgpu_norm n)
{
    (void)launch;
    return softgpu_norm_run(&n);
}

static int run_two_rows(const struct softgpu_original *launch, struct softgpu_norm n)
{
    n.rows *= 2;
    return run_rms(launch, n);
}

/* (x, gamma, y, peak, eps, cols) */
static int run_peak(const struct softgpu_original *launch, struct softgpu_norm n)
{
    const int result = softgpu_norm_run(&n);
    float *peak = softgpu_pointer(launch, 3);
    for (int64_t i = 0; result == 0 && i < n.rows * n.cols; i++)
        peak[i / n.cols] = fmaxf(i % n.cols ? peak[i / n.cols] : -INFINITY, ((float *)n.y)[i]);
    return result;
}

static int run_rms_v3(const struct softgpu_original *launch, struct softgpu_norm n)
{
    const int result = softgpu_norm_run(&n);
    float *x = softgpu_pointer(launch, 0);
    for (int64_t row = 0; result == 0 && row < n.rows; row++)
        x[row * n.cols] = ((float *)n.y)[row * n.cols];
    return result;
}

// clang-format off
static const struct {
    const char *name;
    int eps; /* the argument; cols follows, unless the kernel sets both */
    int (*run)(const struct softgpu_original *launch, struct softgpu_norm n);
} kernels[] = {
    {"_ZN6closed4normEPKfS1_S1_Pfffiii",      5, run_norm},
    {"_ZN6closed8add_normEPfS0_PKffi",        3, run_add_norm},
    {"_ZN6closed9norm_peakEPKfS1_PfS2_fi",    4, run_peak},
    {"_ZN6closed8two_rowsEPKfS1_Pffi",        3, run_two_rows},
    {"closed_rms_v2",                         3, run_rms},
    {"closed_rms_v3",                         3, run_rms_v3},
};
// clang-format on

int softgpu_original_closed(const struct softgpu_original *launch)
{
    for (size_t k = 0; k < COUNT(kernels); k++) {
        if (strcmp(launch->symbol, kernels[k].name) != 0)
            continue;
        return kernels[k].run(launch, (struct softgpu_norm){.rows = launch->grid[0],
                                                            .cols = *(int *)launch->params[kernels[k].eps + 1],
                                                            .eps = *(float *)launch->params[kernels[k].eps],
                                                            .rms = true,
                                                            .x_dtype = F32,
                                                            .y_dtype = F32,
                                                            .acc = F32,
                                                            .add_dtype = F32,
                                                            .x = softgpu_pointer(launch, 0),
                                                            .gamma = softgpu_pointer(launch, 1),
                                                            .y = softgpu_pointer(launch, 2)});
    }
    return SOFTGPU_ORIGINAL_UNKNOWN;
}
