/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flashinfer's RMS norm, plain and of a sum in place, as sglang-kernel (before: sgl-kernel) holds it, and as flashinfer
 * compiles it on a user's machine. Gemma's adds 1 to the weight. The sum is normalised as it was before it was rounded.
 * Rows and nothing else; words.h explains their words.
 */
#include "hooks/targets/match.h"

// clang-format off
static const struct fuseln_type_name types[] = {
    {"f",               0, FUSELN_DTYPE_F32},
    {"6__half",         1, FUSELN_DTYPE_F16},
    {"13__nv_bfloat16", 1, FUSELN_DTYPE_BF16},
};

/* Name, wheels that hold it; pattern of the symbol, words. */
static const struct fuseln_target_row rows[] = {
    {"sglang/rmsnorm", "sglang-kernel 0.4.10, sgl-kernel 0.3.21", "13RMSNormKernelI$U$TEEvPT0_S3_S3_jjjff",
     "op = rmsnorm  args = ptr ptr ptr u32 u32 u32 f32 f32  rows = grid.x  cols = arg3  eps = arg7  x = arg0  "
     "gamma = arg1  gamma_add = arg6  y = arg2  xstride = arg4  ystride = arg5"},
    {"sglang/fused_add_rmsnorm", "sglang-kernel 0.4.10, sgl-kernel 0.3.21",
     "21FusedAddRMSNormKernelI$U$TEEvPT0_S3_S3_jjjff",
     "op = rmsnorm  args = ptr ptr ptr u32 u32 u32 f32 f32  rows = grid.x  cols = arg3  eps = arg7  x = arg0  "
     "residual = arg1  gamma = arg2  gamma_add = arg6  xstride = arg4  rstride = arg5  inplace = y:x, sum:residual"},
};

/* See pytorch.c (sglang-kernel, its library for sm_90). */
static const struct fuseln_known_build known_builds[] = {
    {"95bcc2e1fe3ad1250525b9b3e7241ddf52a4e4a5", "0.4.10", "13", "x86-64", "819a1b4d2bfa8c69"},
};
// clang-format on

FUSELN_FRAMEWORK(sglang, .program = "sglang, `flashinfer::norm`", .scope = "_ZN10flashinfer4norm", FUSELN_KNOWN_BUILDS);
