/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ggml's norms of llama.cpp in 2023 and 2024 (ctransformers 0.2.27, gpt4all 2.8.2), without gamma and beta, and in
 * 2025. A row is a warp, in the later forms also a block; a block may have several rows. In 2025 the grid is rows,
 * channels and samples of an x with strides, and RMS norm may multiply by a tensor whose rows, channels and samples
 * begin again where it has fewer. The layer norm takes the variance in one pass.
 */
#include "originals_internal.h"

#include <stddef.h>
#include <string.h>

/* A name is front, for a template the size of a block, and back. (x, y, int cols, float eps); where there is no eps, it
 * is 1e-5. Strided: (x, y, int cols, three strides, float eps), and then (mul, three strides, four ints: its sizes). */
static const struct form {
    const char *front, *back;
    bool rms, has_eps, strided, multiplies;
} forms[] = {
    {"_Z8norm_f32PKfPfi", "", .has_eps = false},
    {"_Z12rms_norm_f32PKfPfif", "", .rms = true, .has_eps = true},
    {"_Z8norm_f32ILi", "EEvPKfPfif", .has_eps = true},
    {"_Z12rms_norm_f32ILi", "EEvPKfPfif", .rms = true, .has_eps = true},
    {"_Z8norm_f32ILi", "EEvPKfPfilllf", .strided = true},
    {"_Z12rms_norm_f32ILi", "EEvPKfPfilllf", .rms = true, .strided = true},
    {"_Z12rms_norm_f32ILi", "ELb0EEvPKfPfilllfS1_llliiii", .rms = true, .strided = true},
    {"_Z12rms_norm_f32ILi", "ELb1EEvPKfPfilllfS1_llliiii", .rms = true, .strided = true, .multiplies = true},
};

static const struct form *find_form(const char *symbol)
{
    for (size_t i = 0; i < COUNT(forms); i++) {
        const char *at = symbol;
        if (!softgpu_skip(&at, forms[i].front))
            continue;
        if (*forms[i].back && !softgpu_skip(&at, "32") && !softgpu_skip(&at, "1024"))
            continue;
        if (strcmp(at, forms[i].back) == 0)
            return &forms[i];
    }
    return NULL;
}

static int64_t stride(const struct softgpu_original *launch, int first, int dimension)
{
    return *(int64_t *)launch->params[first + dimension];
}

/* One row: of dimension 0 rows, 1 channels, 2 samples. */
static int run_row(const struct softgpu_original *launch, const struct form *form, const unsigned at[3])
{
    const int64_t row = ((int64_t)at[2] * launch->grid[1] + at[1]) * launch->grid[0] + at[0];
    int64_t from = 0, gamma = 0;
    for (int i = 0; i < 3; i++) {
        from += at[i] * stride(launch, 3, i);
        if (form->multiplies)
            gamma += at[i] % *(unsigned *)launch->params[12 + i] * stride(launch, 8, i);
    }
    const struct softgpu_norm n = {
        .rows = 1,
        .cols = *(int *)launch->params[2],
        .eps = *(float *)launch->params[6],
        .rms = form->rms,
        .one_pass = !form->rms,
        .x = (float *)softgpu_pointer(launch, 0) + from,
        .y = (float *)softgpu_pointer(launch, 1) + row * *(int *)launch->params[2],
        .gamma = form->multiplies ? (float *)softgpu_pointer(launch, 7) + gamma : NULL,
    };
    return softgpu_norm_run(&n);
}

static int run_strided(const struct softgpu_original *launch, const struct form *form)
{
    int result = 0;
    unsigned at[3];
    if (form->multiplies && *(int *)launch->params[11] != *(int *)launch->params[2])
        return SOFTGPU_ORIGINAL_UNKNOWN; /* a gamma whose columns begin again */
    for (at[2] = 0; at[2] < launch->grid[2]; at[2]++)
        for (at[1] = 0; at[1] < launch->grid[1]; at[1]++)
            for (at[0] = 0; at[0] < launch->grid[0] && !result; at[0]++)
                result = run_row(launch, form, at);
    return result;
}

int softgpu_original_ggml(const struct softgpu_original *launch)
{
    const struct form *form = find_form(launch->symbol);
    if (!form)
        return SOFTGPU_ORIGINAL_UNKNOWN;
    if (form->strided)
        return run_strided(launch, form);
    const struct softgpu_norm n = {
        .rows = (int64_t)launch->grid[0] * launch->block[1],
        .cols = *(int *)launch->params[2],
        .eps = form->has_eps ? *(float *)launch->params[3] : 1e-5f,
        .rms = form->rms,
        .one_pass = !form->rms,
        .x = softgpu_pointer(launch, 0),
        .y = softgpu_pointer(launch, 1),
    };
    return softgpu_norm_run(&n);
}
