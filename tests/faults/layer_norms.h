/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layer norms that programs on the stand-in libraries launch: PyTorch's kernels with its arguments and geometry, on
 * tensors that nothing reads or writes.
 */
#ifndef LAYER_NORMS_H
#define LAYER_NORMS_H

#include "../cudart.h"
#include "kernels/params.h"

#include <string.h>

register_image __cudaRegisterFatBinary;
void __cudaUnregisterFatBinary(void *fatbin);
register_function __cudaRegisterFunction;
runtime_launch cudaLaunchKernel;
runtime_launch_ex cudaLaunchKernelExC;

enum { COLS = 1024, WIDE = 12288 };

#define UNIT       "_ZN2at6native53_GLOBAL__N__4da244e1_20_layer_norm_kernel_cu_9c5ada8a"
#define FORWARD    UNIT "28vectorized_layer_norm_kernelIffLb0EEEviT0_PKT_S6_S6_PS3_S7_PS4_"
#define MOMENTS    UNIT "24RowwiseMomentsCUDAKernelIffLb0EEEvllT0_PKT_PS3_S7_"
#define DX         UNIT "39layer_norm_grad_input_kernel_vectorizedIffLb0EEEvPKT_S5_PKT0_S8_S5_PS3_i"
#define DGAMMA     UNIT "35GammaBetaBackwardCUDAKernelTemplateIffLj32ELj32ELj256ELb0ELb1ELb0EEEvllPKT_S5_PKT0_S8_PS3_S9_"
#define DGAMMA_FEW UNIT "35GammaBetaBackwardCUDAKernelTemplateIffLj32ELj1ELj32ELb0ELb0ELb0EEEvllPKT_S5_PKT0_S8_PS3_S9_"

/* Addresses without memory, far enough apart for 4096 rows. */
#define TENSOR(n) ((void *)((n)*0x100000000000))
static void *x = TENSOR(1), *y = TENSOR(2), *dy = TENSOR(3), *dx = TENSOR(4), *gamma_ = TENSOR(5), *mean = TENSOR(6),
            *rstd = TENSOR(7), *dgamma = TENSOR(8), *dbeta = TENSOR(9);
static int cols = COLS, wide = WIDE;
static long long few = 1, many = 4096, cols64 = COLS;
static float eps = 1e-5f;

/* The first dgamma follows the dx that it makes a pair with. */
static const struct kernel {
    const char *what, *name;
    struct dim3 grid, block;
    void *args[9];
} kernels[] = {
    {"forward", FORWARD, {1, 1, 1}, {32, 4, 1}, {&cols, &eps, &x, &gamma_, &gamma_, &mean, &rstd, &y}},
    {"forward-wide", FORWARD, {1, 1, 1}, {32, 4, 1}, {&wide, &eps, &x, &gamma_, &gamma_, &mean, &rstd, &y}},
    {"moments", MOMENTS, {1, 1, 1}, {512, 1, 1}, {&few, &cols64, &eps, &x, &mean, &rstd}},
    {"dx-few", DX, {1, 1, 1}, {128, 1, 1}, {&dy, &x, &mean, &rstd, &gamma_, &dx, &cols}},
    {"dx", DX, {4096, 1, 1}, {128, 1, 1}, {&dy, &x, &mean, &rstd, &gamma_, &dx, &cols}},
    {"dgamma", DGAMMA, {32, 1, 1}, {32, 32, 1}, {&many, &cols64, &dy, &x, &mean, &rstd, &dgamma, &dbeta}},
    {"dgamma-alone", DGAMMA, {32, 1, 1}, {32, 32, 1}, {&many, &cols64, &dy, &x, &mean, &rstd, &dgamma, &dbeta}},
    {"dgamma-few", DGAMMA_FEW, {32, 1, 1}, {32, 1, 1}, {&few, &cols64, &dy, &x, &mean, &rstd, &dgamma, &dbeta}},
    {"foreign", "_Z7foreignPf", {1, 1, 1}, {1, 1, 1}, {&x}},
};
enum { KERNELS = sizeof kernels / sizeof *kernels, LAYER_NORMS = KERNELS - 1, FORWARDS = 3 };

/* NULL if there is none of that name. */
static inline const struct kernel *kernel_named(const char *what)
{
    for (int i = 0; i < KERNELS; i++)
        if (strcmp(kernels[i].what, what) == 0)
            return &kernels[i];
    return NULL;
}

/* Whether a kernel of ours writes the program's output: one that only computes partial sums does not. */
static inline int writes_output(const char *kernel, const struct fuseln_ln_params *params)
{
    if (strstr(kernel, "_forward_"))
        return params->y == y || params->mean == mean;
    if (strstr(kernel, "_reduce_") || strstr(kernel, "_direct_"))
        return params->dgamma == dgamma;
    return params->dx == dx;
}

/* Finishes a check as the device would that found nothing wrong. */
static inline void finish_check(struct fuseln_check_result *result, unsigned long long ticket)
{
    memset(result->field, 0, sizeof result->field);
    result->field[FUSELN_CHECK_ELEMENTS] = 100;
    result->field[FUSELN_CHECK_TELLING] = 1;
    result->field[FUSELN_CHECK_FIRST] = FUSELN_CHECK_NONE;
    __atomic_store_n(&result->ticket, ticket, __ATOMIC_RELEASE);
}

#endif
