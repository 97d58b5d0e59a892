/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ggml's layer norm and RMS norm of rows of float, without gamma and beta: of llama.cpp in 2023, as ctransformers
 * 0.2.27 holds them, in 2024, as gpt4all 2.8.2 does, and in 2025, when x got strides: they must be those of a packed
 * tensor. The RMS norm of July 2025 may multiply by a gamma. Those after it, which also add or have sizes for a
 * division, have no row. Rows and nothing else; words.h explains their words.
 */
#include "hooks/targets/match.h"

// clang-format off
static const struct fuseln_type_name types[] = {{"", 0, FUSELN_DTYPE_F32}}; /* no template argument says it */

#define NORM "op = layernorm  args = ptr ptr i32  x = arg0  y = arg1  cols = arg2  rows = grid.x*block.y  " \
    "variance = one-pass  eps = 1e-5"
#define NORM_EPS "op = layernorm  args = ptr ptr i32 f32  x = arg0  y = arg1  cols = arg2  rows = grid.x*block.y  " \
    "variance = one-pass  eps = arg3"
#define RMS_NORM "op = rmsnorm  args = ptr ptr i32 f32  x = arg0  y = arg1  cols = arg2  rows = grid.x*block.y  eps = arg3"
#define STRIDED(op) "op = " op "  x = arg0  y = arg1  cols = arg2  rows = grid.x*grid.y*grid.z  eps = arg6  " \
    "xstride = arg3  require = arg4 == cols*grid.x, arg5 == cols*grid.x*grid.y"
#define STRIDED_ARGS "  args = ptr ptr i32 i64 i64 i64 f32"
#define MUL_ARGS STRIDED_ARGS " ptr i64 i64 i64 i32 i32 i32 i32  ignore = arg8, arg9, arg10"
#define MUL_TAIL "EEvPKfPfilllfS1_llliiii"

/* Name, when llama.cpp had it; pattern of the symbol, words. */
static const struct fuseln_target_row rows[] = {
    {"ggml/norm",     "2023", "8norm_f32PKfPfi",              NORM},
    {"ggml/norm",     "2024", "8norm_f32I$IEvPKfPfif",        NORM_EPS},
    {"ggml/norm",     "2025", "8norm_f32I$IEvPKfPfilllf",     STRIDED("layernorm") STRIDED_ARGS "  variance = one-pass"},
    {"ggml/rms_norm", "2023", "12rms_norm_f32PKfPfif",        RMS_NORM},
    {"ggml/rms_norm", "2024", "12rms_norm_f32I$IEvPKfPfif",   RMS_NORM},
    {"ggml/rms_norm", "early in 2025", "12rms_norm_f32I$IEvPKfPfilllf", STRIDED("rmsnorm") STRIDED_ARGS},
    {"ggml/rms_norm", "July 2025", "12rms_norm_f32I$ILb0" MUL_TAIL,
     STRIDED("rmsnorm") ", arg7 null" MUL_ARGS ", arg11, arg12, arg13, arg14"},
    {"ggml/rms_norm_mul", "July 2025", "12rms_norm_f32I$ILb1" MUL_TAIL,
     STRIDED("rmsnorm") ", arg11 == cols, arg12 == 1, arg13 == 1, arg14 == 1" MUL_ARGS "  gamma = arg7"},
};
// clang-format on

FUSELN_FRAMEWORK(ggml, .program = "ggml", .scope = "_Z");
