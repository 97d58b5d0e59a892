/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PyTorch's kernels, 1.13 to 2.15. A symbol is split into translation unit, kernel, template arguments and signature;
 * each kernel is one row: its signature and, letter by letter, what its arguments are. Sums are float64. PyTorch's own
 * behaviour is kept: RMS kernels write no mean and no dbeta, a null gamma is 1 and a null beta 0.
 */
#include "originals_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Arguments by letter: n int cols, N int64 cols, M int64 rows, e eps, and pointers: x, d dY, g gamma, b beta,
 * m mean, r rstd, y, D dX, G dgamma, B dbeta. A kernel without one has NULL there. */
struct launch {
    enum dtype dtype, acc; /* acc: type of eps, mean and rstd */
    bool rms;
    int64_t rows, cols;
    int64_t rows_per_block;
    int64_t blocks_y;
    double eps;
    void *arg[128]; /* pointer arguments by their letter */
};

static double value_or(const struct launch *l, char letter, int64_t i, double otherwise)
{
    void *p = l->arg[(int)letter];
    return p ? softgpu_load(p, i, l->dtype) : otherwise;
}

static double row_mean(const struct launch *l, int64_t row)
{
    return l->rms ? 0 : softgpu_load(l->arg['m'], row, l->acc);
}

static int run_norm(const struct launch *l, bool given)
{
    const struct softgpu_norm norm = {.rows = l->rows,
                                      .cols = l->cols,
                                      .eps = l->eps,
                                      .rms = l->rms,
                                      .given = given,
                                      .x_dtype = l->dtype,
                                      .y_dtype = l->dtype,
                                      .acc = l->acc,
                                      .x = l->arg['x'],
                                      .gamma = l->arg['g'],
                                      .beta = l->rms ? NULL : l->arg['b'],
                                      .y = l->arg['y'],
                                      .mean = l->rms ? NULL : l->arg['m'],
                                      .rstd = l->arg['r']};
    return softgpu_norm_run(&norm);
}

static int run_moments(const struct launch *l)
{
    return run_norm(l, false);
}

static int run_apply(const struct launch *l)
{
    return run_norm(l, true);
}

static int run_dx(const struct launch *l)
{
    double n = (double)l->cols;
    for (int64_t row = 0; row < l->rows; row++) {
        double mean = row_mean(l, row), rstd = softgpu_load(l->arg['r'], row, l->acc), s1 = 0, s2 = 0;
        const int64_t at = row * l->cols;
        for (int64_t i = 0; i < l->cols; i++) {
            double dyg = softgpu_load(l->arg['d'], at + i, l->dtype) * value_or(l, 'g', i, 1);
            s1 += l->rms ? 0 : dyg;
            s2 += dyg * (softgpu_load(l->arg['x'], at + i, l->dtype) - mean) * rstd;
        }
        for (int64_t i = 0; i < l->cols; i++) {
            double dyg = softgpu_load(l->arg['d'], at + i, l->dtype) * value_or(l, 'g', i, 1);
            double xhat = (softgpu_load(l->arg['x'], at + i, l->dtype) - mean) * rstd;
            softgpu_store(l->arg['D'], at + i, l->dtype, (n * dyg - xhat * s2 - s1) * (rstd / n));
        }
    }
    return 0;
}

/* Block y writes row y of [blocks_y][cols]: the sums over its groups of rows_per_block rows, blocks_y groups apart. */
static int run_dgamma(const struct launch *l)
{
    double *sums = calloc(2 * (size_t)l->cols + 1, sizeof *sums);
    if (!sums)
        return SOFTGPU_ORIGINAL_NO_MEMORY;
    for (int64_t y = 0; y < l->blocks_y; y++) {
        memset(sums, 0, 2 * (size_t)l->cols * sizeof *sums);
        for (int64_t first = y * l->rows_per_block; first < l->rows; first += l->rows_per_block * l->blocks_y) {
            for (int64_t row = first; row < first + l->rows_per_block && row < l->rows; row++) {
                double mean = row_mean(l, row), rstd = softgpu_load(l->arg['r'], row, l->acc);
                for (int64_t i = 0; i < l->cols; i++) {
                    double dy = softgpu_load(l->arg['d'], row * l->cols + i, l->dtype);
                    sums[i] += dy * (softgpu_load(l->arg['x'], row * l->cols + i, l->dtype) - mean) * rstd;
                    sums[l->cols + i] += dy;
                }
            }
        }
        for (int64_t i = 0; i < l->cols; i++) {
            if (l->arg['G'])
                softgpu_store(l->arg['G'], y * l->cols + i, l->dtype, sums[i]);
            if (l->arg['B'] && !l->rms)
                softgpu_store(l->arg['B'], y * l->cols + i, l->dtype, sums[l->cols + i]);
        }
    }
    free(sums);
    return 0;
}

/* In a signature S stands for any substitution (S4_), whose number only counts earlier types. */
// clang-format off
static const struct kernel {
    const char *name, *signature, *args;
    int (*run)(const struct launch *l);
} kernels[] = {
    {"vectorized_layer_norm_kernel",            "iT0_PKT_SSPSSPS",      "nexgbmry", run_moments},
    {"RowwiseMomentsCUDAKernel",                "lT0_PKT_PSS",          "Nexmr",    run_moments},
    {"RowwiseMomentsCUDAKernel",                "llT0_PKT_PSS",         "MNexmr",   run_moments},
    {"LayerNormForwardCUDAKernel",              "lPKT_PKT0_SSSPS",      "Nxmrgby",  run_apply},
    {"LayerNormForwardCUDAKernel",              "llPKT_PKT0_SSSPS",     "MNxmrgby", run_apply},
    {"layer_norm_grad_input_kernel",            "PKT_SPKT0_SSPSi",      "dxmrgDn",  run_dx},
    {"layer_norm_grad_input_kernel_vectorized", "PKT_SPKT0_SSPSi",      "dxmrgDn",  run_dx},
    {"GammaBetaBackwardSimpleCUDAKernel",       "llPKT_SPKT0_SPSS",     "MNdxmrGB", run_dgamma},
    {"GammaBetaBackwardCUDAKernel",             "llPKT_SPKT0_SPSS",     "MNdxmrGB", run_dgamma},
    {"GammaBetaBackwardCUDAKernel_32x32",       "llPKT_SPKT0_SPSS",     "MNdxmrGB", run_dgamma},
    {"GammaBetaBackwardCUDAKernelTemplate",     "llPKT_SPKT0_SPSS",     "MNdxmrGB", run_dgamma},
};

// clang-format on
/* Reads a length-prefixed name and moves *s behind it. Returns its length, 0 where there is none. */
static size_t take_name(const char **s, const char **ret_name)
{
    char *end;
    size_t n = strtoul(*s, &end, 10);
    if (end == *s || n == 0 || n > strlen(end))
        return 0;
    *ret_name = end;
    *s = end + n;
    return n;
}

/* The template arguments after the types: rows_per_block is the third unsigned, rms the last of one or three flags. */
static bool take_values(const char **s, struct launch *l)
{
    unsigned value[8];
    int uints = 0, flags = 0;
    bool last = false;
    while (softgpu_skip(s, "L")) {
        char kind = *(*s)++, *end;
        unsigned long v = strtoul(*s, &end, 10);
        if (end == *s || *end != 'E' || (kind != 'j' && kind != 'b') || uints == 3 + (kind == 'b'))
            return false;
        *s = end + 1;
        if (kind == 'j')
            value[uints++] = (unsigned)v;
        else if (++flags)
            last = v;
    }
    l->rows_per_block = uints == 3 ? value[2] : 1;
    l->rms = last && (uints == 3 ? flags == 3 : flags == 1);
    return (uints == 0 && flags <= 1) || (uints == 3 && (flags == 2 || flags == 3));
}

static const struct kernel *parse(const char *s, struct launch *l)
{
    const char *unit, *name;
    size_t unit_bytes, name_bytes;
    if (!softgpu_skip(&s, "_ZN2at6native") || !(unit_bytes = take_name(&s, &unit)) ||
        !(name_bytes = take_name(&s, &name)) || strncmp(unit, "_GLOBAL__N__", 12) != 0 ||
        !memmem(unit, unit_bytes, "_20_layer_norm_kernel_cu_", 25) || !softgpu_skip(&s, "I"))
        return NULL;
    if (!softgpu_take_dtype(&s, OF_C10, &l->dtype) || !softgpu_take_dtype(&s, OF_C10, &l->acc) ||
        l->acc != (l->dtype == F64 ? F64 : F32) || !take_values(&s, l) || !softgpu_skip(&s, "EEv"))
        return NULL;
    for (const struct kernel *k = kernels; k < kernels + COUNT(kernels); k++)
        if (strlen(k->name) == name_bytes && strncmp(k->name, name, name_bytes) == 0 &&
            softgpu_signature_is(s, k->signature))
            return k;
    return NULL;
}

/* vectorized_elementwise_kernel<4, FillFunctor<T>, array of 1>(int n, FillFunctor<T> value, array out), which zeroes
 * the parameter gradients of a layer norm without rows, and a graph's seed. The functor holds the value alone. The
 * array's type is std::array, and at::detail::Array before PyTorch 2.4 or so. */
static int run_fill(const char *symbol, void **params)
{
    static const struct {
        const char *type;
        size_t bytes;
    } fills[] = {{"f", 4}, {"d", 8}, {"N3c104HalfE", 2}, {"N3c108BFloat16E", 2}, {"l", 8}, {"i", 4}, {"b", 1}};
    int at = 0;
    sscanf(symbol, "_ZN2at6native29vectorized_elementwise_kernelILi%*uENS0_11FillFunctorI%n", &at);
    if (at == 0)
        return SOFTGPU_ORIGINAL_UNKNOWN;
    for (size_t f = 0; f < COUNT(fills); f++) {
        const size_t bytes = fills[f].bytes;
        const char *rest = symbol + at; /* an E for the end of the functor's arguments and one for that of its name */
        char *to = *(char **)params[2];
        if (!softgpu_skip(&rest, fills[f].type) || !softgpu_skip(&rest, "EE") || !strstr(rest, "EEviT0_T1_"))
            continue;
        for (size_t i = 0; i < (size_t) * (int *)params[0] * bytes; i++) /* counters.h sees no memcpy */
            to[i] = ((const char *)params[1])[i % bytes];
        return 0;
    }
    return SOFTGPU_ORIGINAL_UNKNOWN;
}

int softgpu_original_pytorch(const struct softgpu_original *launch)
{
    struct launch l = {.rows = launch->grid[0], .blocks_y = launch->grid[1]};
    const struct kernel *kernel = parse(launch->symbol, &l);
    void **params = launch->params;
    if (!kernel)
        return run_fill(launch->symbol, params);
    for (int i = 0; kernel->args[i]; i++) {
        char letter = kernel->args[i];
        if (letter == 'n')
            l.cols = *(int *)params[i];
        else if (letter == 'N')
            l.cols = *(int64_t *)params[i];
        else if (letter == 'M' && kernel->run == run_dgamma)
            l.rows = *(int64_t *)params[i];
        else if (letter == 'e')
            l.eps = softgpu_load(params[i], 0, l.acc);
        else if (letter != 'M')
            l.arg[(int)letter] = *(void **)params[i];
    }
    return kernel->run(&l);
}
