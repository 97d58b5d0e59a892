/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lmdeploy's RMS norm and layer norm (TurboMind), plain and of hidden states plus the residual plus a bias, in place. A
 * weight of RMS norm about zero (Lb1) has 1 added to it; for others the normalised value is rounded before the weight
 * multiplies it. A layer norm says in its name whether it has beta, and whether its sum has a bias. The last argument
 * is 1 / cols. Rows and nothing else; words.h explains their words.
 */
#include "hooks/targets/match.h"

// clang-format off
static const struct fuseln_type_name types[] = {
    {"6__half",         1, FUSELN_DTYPE_F16},
    {"13__nv_bfloat16", 1, FUSELN_DTYPE_BF16},
};

#define RMS "op = rmsnorm  args = ptr i32 ptr i32 ptr i32 i32 f32 f32  rows = arg6  cols = arg5  eps = arg7  y = arg0  " \
    "ystride = arg1  x = arg2  xstride = arg3  gamma = arg4  ignore = arg8"
#define SUM_RMS "op = rmsnorm  args = ptr ptr ptr ptr i32 i32 f32 f32  rows = arg5  cols = arg4  eps = arg6  x = arg1  " \
    "residual = arg0  inplace = y:x, sum:residual  gamma = arg2  bias? = arg3  ignore = arg7"
#define LN "op = layernorm  args = ptr i32 ptr i32 ptr ptr i32 i32 f32 f32  rows = arg7  cols = arg6  eps = arg8  y = arg0  " \
    "ystride = arg1  x = arg2  xstride = arg3  gamma = arg4  variance = one-pass  ignore = arg9"
#define SUM_LN "op = layernorm  args = ptr ptr ptr ptr ptr i32 i32 f32 f32  rows = arg6  cols = arg5  eps = arg7  x = arg0  " \
    "residual = arg1  inplace = y:x, sum:residual  gamma = arg2  round = bias-last  variance = one-pass  ignore = arg8"
#define LN_TAIL "EEEvPT_iPKS2_iS5_S5_iiff"
#define SUM_TAIL "EEEvPT_S3_PKS2_S5_S5_iiff"

/* Name, wheels that hold it; pattern of the symbol, words. */
static const struct fuseln_target_row rows[] = {
    {"lmdeploy/rms_norm", "0.18", "6kernel7RMSNormILb0E$TfLi512ELi8EEEvPT0_iPKS2_iS5_iiff", RMS "  round = before-affine"},
    {"lmdeploy/rms_norm", "0.18", "6kernel7RMSNormILb1E$TfLi512ELi8EEEvPT0_iPKS2_iS5_iiff", RMS "  gamma_add = 1"},
    {"lmdeploy/residual_rms_norm", "0.18", "25BiasResidualRMSNormKernelILb0E$TfLi512ELi8EEEvPT0_S2_PKS1_S4_iiff",
     SUM_RMS "  round = bias-last before-affine"},
    {"lmdeploy/residual_rms_norm", "0.18", "25BiasResidualRMSNormKernelILb1E$TfLi512ELi8EEEvPT0_S2_PKS1_S4_iiff",
     SUM_RMS "  round = bias-last  gamma_add = 1"},
    {"lmdeploy/layer_norm", "0.18", "6kernel9LayerNormI$TfLi512ELi8ELb0" LN_TAIL, LN "  require = arg5 null"},
    {"lmdeploy/layer_norm", "0.18", "6kernel9LayerNormI$TfLi512ELi8ELb1" LN_TAIL, LN "  beta = arg5"},
    {"lmdeploy/residual_layer_norm", "0.18", "6kernel21ResidualBiasLayerNormI$TfLi512ELi8ELb0ELb0" SUM_TAIL,
     SUM_LN "  require = arg3 null, arg4 null"},
    {"lmdeploy/residual_layer_norm", "0.18", "6kernel21ResidualBiasLayerNormI$TfLi512ELi8ELb0ELb1" SUM_TAIL,
     SUM_LN "  require = arg3 null  bias = arg4"},
    {"lmdeploy/residual_layer_norm", "0.18", "6kernel21ResidualBiasLayerNormI$TfLi512ELi8ELb1ELb0" SUM_TAIL,
     SUM_LN "  beta = arg3  require = arg4 null"},
    {"lmdeploy/residual_layer_norm", "0.18", "6kernel21ResidualBiasLayerNormI$TfLi512ELi8ELb1ELb1" SUM_TAIL,
     SUM_LN "  beta = arg3  bias = arg4"},
};
// clang-format on

FUSELN_FRAMEWORK(lmdeploy, .program = "lmdeploy, `turbomind`", .scope = "_ZN9turbomind");
