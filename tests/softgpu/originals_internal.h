/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of references share: elements of any type, names to compare, and the forward norm with all that
 * originals do differently. Each program has a file, originals_PROGRAM.c, and a line in SOFTGPU_PROGRAMS.
 */
#ifndef SOFTGPU_ORIGINALS_INTERNAL_H
#define SOFTGPU_ORIGINALS_INTERNAL_H

#include "originals.h"

#include <stdbool.h>
#include <stdint.h>

/* The programs whose kernels have references: softgpu_original_run asks each in turn. The function of a program returns
 * SOFTGPU_ORIGINAL_UNKNOWN for a name that is not one of its kernels. */
#define SOFTGPU_PROGRAMS(X) \
    X(pytorch) X(onnxruntime) X(ctranslate2) X(vllm) X(sglang) X(apex) X(ggml) X(lmdeploy) X(closed)

#define X(program) int softgpu_original_##program(const struct softgpu_original *launch);
SOFTGPU_PROGRAMS(X)
#undef X

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum dtype { F32, F64, F16, BF16 };

double softgpu_load(const void *p, int64_t i, enum dtype dtype);
void softgpu_store(void *p, int64_t i, enum dtype dtype, double value); /* rounds to nearest even, once */
double softgpu_round(double value, enum dtype dtype);

static inline void *softgpu_pointer(const struct softgpu_original *launch, int i)
{
    return *(void **)launch->params[i];
}

/* Moves *s behind the word, if it begins with it. */
bool softgpu_skip(const char **s, const char *word);

/* Moves *s behind a type, as c10 spells them or as CUDA does. */
enum spelling { OF_C10, OF_CUDA };
bool softgpu_take_dtype(const char **s, enum spelling spelling, enum dtype *ret_dtype);

/* Compares the end of a mangled name. In `expected`, S stands for any substitution (S_, S4_), whose number only counts
 * earlier types. */
bool softgpu_signature_is(const char *s, const char *expected);

/* y = norm(s) (gamma_add + gamma) + beta of each row, where s = x + bias + residual. Null pointers: no such term, and
 * nothing to write. y may be x, and sum may be residual. Of no columns the mean is 0 and rstd NaN. */
struct softgpu_norm {
    int64_t rows, cols;
    int64_t x_stride, y_stride, residual_stride; /* elements between rows, sum's is residual's; 0: cols */
    int64_t residual_period;                     /* elements after which residual begins again; 0: never */
    int gamma_per_row; /* gamma and beta have a row: 0 in all, r > 0 for each r rows, < 0 for each row modulo -r */
    double eps, gamma_add;
    bool rms;                        /* about 0; `mean` still gets the mean */
    bool given;                      /* mean and rstd are read, not written */
    bool one_pass;                   /* variance E[s^2] - E[s]^2, in f32; else about the mean, in float64 */
    bool clamps_variance;            /* of one pass: a negative one counts as 0 */
    bool rounds_affine;              /* rounds xhat, the product and the sum to y's type; else y alone */
    enum dtype x_dtype;              /* of x, bias, residual and sum */
    enum dtype y_dtype;              /* of y, gamma and beta */
    enum dtype acc;                  /* of mean and rstd; all inputs, and gamma_add + gamma, are rounded to it */
    enum dtype add_dtype;            /* to which each addition to s is rounded */
    const void *x, *bias, *residual; /* bias is one row */
    bool bias_last;                  /* s = x + residual + bias */
    const void *gamma, *beta;
    void *y, *sum, *mean, *rstd;
};

/* Returns 0 or SOFTGPU_ORIGINAL_NO_MEMORY. */
int softgpu_norm_run(const struct softgpu_norm *norm);

#endif
