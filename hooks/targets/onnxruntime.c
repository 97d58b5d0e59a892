/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ONNX Runtime's layer norm and RMS norm: cuApplyLayerNorm<x, statistics, y, rms> of its CUDA provider. A row of gamma
 * and beta for each row of x (argument 9), and x + bias + skip (arguments 10 to 12) stay with the original. And
 * SkipLayerNormKernel[Small]<x, threads, [elements a thread,] rms> of x + bias + skip, unless rows share one of skip.
 * Releases before 1.31 name them otherwise, as they have eps in half. Rows and nothing else; words.h explains their
 * words.
 */
#include "hooks/targets/match.h"

// clang-format off
static const struct fuseln_type_name types[] = {
    {"fff",               0, FUSELN_DTYPE_F32},
    {"6__halffS2_",       1, FUSELN_DTYPE_F16},
    {"NS_8BFloat16EfS2_", 1, FUSELN_DTYPE_BF16},
    {"f",                 0, FUSELN_DTYPE_F32}, /* the three of SkipLayerNorm */
    {"6__half",           1, FUSELN_DTYPE_F16},
    {"13__nv_bfloat16",   1, FUSELN_DTYPE_BF16},
};

#define APPLY "args = ptr ptr ptr ptr i32 i32 f32 ptr ptr i32 ptr ptr ptr  rows = arg4  rows_loop = grid.y  " \
    "cols = arg5  eps = arg6  y = arg0  rstd? = arg2  x = arg3  gamma? = arg7  " \
    "require = arg9 == 0, arg10 null, arg11 null, arg12 null"
#define APPLY_TAIL "EEEvPT1_PT0_S5_PKT_iiS4_PKS2_SA_iS8_S8_PS6_"

#define SKIP "args = ptr ptr ptr ptr ptr ptr ptr f32 i32 i32  rows = grid.x  cols = arg8  eps = arg7  y = arg0  " \
    "sum? = arg1  x = arg2  residual = arg3  bias? = arg4  gamma = arg5  round = each-add  variance = one-pass  " \
    "require = arg9 == rows*cols"
#define SKIP_LN  "op = layernorm  beta? = arg6  " SKIP
#define SKIP_RMS "op = rmsnorm  " SKIP ", arg6 null"
#define SKIP_TAIL "EEEvPT_S4_PKS3_S6_S6_S6_S6_fii"

/* Name, wheels that hold it; pattern of the symbol, words. The RMS norm writes the mean, too, if it is asked for it. */
static const struct fuseln_target_row rows[] = {
    {"onnxruntime/layer_norm", "1.31", "4cuda16cuApplyLayerNormI$TLb0" APPLY_TAIL,
     "op = layernorm  mean? = arg1  beta? = arg8  " APPLY},
    {"onnxruntime/rms_norm", "1.31", "4cuda16cuApplyLayerNormI$TLb1" APPLY_TAIL,
     "op = rmsnorm  " APPLY ", arg1 null, arg8 null"},
    {"onnxruntime/skip_layer_norm", "1.31", "7contrib4cuda19SkipLayerNormKernelI$T$ULb0" SKIP_TAIL, SKIP_LN},
    {"onnxruntime/skip_layer_norm", "1.31", "7contrib4cuda24SkipLayerNormKernelSmallI$T$U$ILb0" SKIP_TAIL, SKIP_LN},
    {"onnxruntime/skip_rms_norm", "1.31", "7contrib4cuda19SkipLayerNormKernelI$T$ULb1" SKIP_TAIL, SKIP_RMS},
    {"onnxruntime/skip_rms_norm", "1.31", "7contrib4cuda24SkipLayerNormKernelSmallI$T$U$ILb1" SKIP_TAIL, SKIP_RMS},
};

/* See pytorch.c. */
static const struct fuseln_known_build known_builds[] = {
    {"aeabf866d82e84b2964317e72b71e44491d6b013", "1.31.1", "13", "x86-64", "715314eb22fe11dd"},
    {"ec2af6913ca7981fee50ccc3ebdacf98fbec842d", "1.31.1", "13", "x86-64", "86d874e8a220251e"},
};
// clang-format on

FUSELN_FRAMEWORK(onnxruntime, .program = "ONNX Runtime, `onnxruntime::cuda`", .scope = "_ZN11onnxruntime",
                 FUSELN_KNOWN_BUILDS);
