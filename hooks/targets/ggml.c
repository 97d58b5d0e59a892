/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ggml's layer norm and RMS norm of rows of float, without gamma and beta: of llama.cpp in 2023, as ctransformers
 * 0.2.27 holds them, and in 2024, as gpt4all 2.8.2 does. From 2025 on their rows have strides, and others may be fused
 * with them: no row here knows those. Rows and nothing else; words.h explains their words.
 */
#include "hooks/targets/match.h"

// clang-format off
static const struct fuseln_type_name types[] = {{"", 0, FUSELN_DTYPE_F32}}; /* no template argument says it */

#define NORM "op = layernorm  args = ptr ptr i32  x = arg0  y = arg1  cols = arg2  rows = grid.x*block.y  " \
    "variance = one-pass  eps = 1e-5"
#define NORM_EPS "op = layernorm  args = ptr ptr i32 f32  x = arg0  y = arg1  cols = arg2  rows = grid.x*block.y  " \
    "variance = one-pass  eps = arg3"
#define RMS_NORM "op = rmsnorm  args = ptr ptr i32 f32  x = arg0  y = arg1  cols = arg2  rows = grid.x*block.y  eps = arg3"

/* Name, when llama.cpp had it; pattern of the symbol, words. */
static const struct fuseln_target_row rows[] = {
    {"ggml/norm",     "2023", "8norm_f32PKfPfi",              NORM},
    {"ggml/norm",     "2024", "8norm_f32I$IEvPKfPfif",        NORM_EPS},
    {"ggml/rms_norm", "2023", "12rms_norm_f32PKfPfif",        RMS_NORM},
    {"ggml/rms_norm", "2024", "12rms_norm_f32I$IEvPKfPfif",   RMS_NORM},
};
// clang-format on

const struct fuseln_framework fuseln_ggml = {
    .program = "ggml",
    .scope = "_Z",
    .types = types,
    .type_count = sizeof(types) / sizeof(types[0]),
    .rows = rows,
    .row_count = sizeof(rows) / sizeof(rows[0]),
};
