/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lmdeploy's RMS norm (TurboMind), plain and of hidden states plus the residual, in place. A weight about zero (Lb1)
 * has 1 added to it; for others the normalised value is rounded before the weight multiplies it. The sum adds a bias
 * last, which ours adds first, and each addition rounds: only launches without a bias are replaced. The last argument
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
#define SUM "op = rmsnorm  args = ptr ptr ptr ptr i32 i32 f32 f32  rows = arg5  cols = arg4  eps = arg6  x = arg1  " \
    "residual = arg0  inplace = y:x, sum:residual  gamma = arg2  require = arg3 null  ignore = arg7"

/* Name, wheels that hold it; pattern of the symbol, words. */
static const struct fuseln_target_row rows[] = {
    {"lmdeploy/rms_norm", "0.18", "6kernel7RMSNormILb0E$TfLi512ELi8EEEvPT0_iPKS2_iS5_iiff", RMS "  round = before-affine"},
    {"lmdeploy/rms_norm", "0.18", "6kernel7RMSNormILb1E$TfLi512ELi8EEEvPT0_iPKS2_iS5_iiff", RMS "  gamma_add = 1"},
    {"lmdeploy/residual_rms_norm", "0.18", "25BiasResidualRMSNormKernelILb0E$TfLi512ELi8EEEvPT0_S2_PKS1_S4_iiff",
     SUM "  round = sum before-affine"},
    {"lmdeploy/residual_rms_norm", "0.18", "25BiasResidualRMSNormKernelILb1E$TfLi512ELi8EEEvPT0_S2_PKS1_S4_iiff",
     SUM "  round = sum  gamma_add = 1"},
};
// clang-format on

const struct fuseln_framework fuseln_lmdeploy = {
    .program = "lmdeploy, `turbomind`",
    .scope = "_ZN9turbomind",
    .types = types,
    .type_count = sizeof(types) / sizeof(types[0]),
    .rows = rows,
    .row_count = sizeof(rows) / sizeof(rows[0]),
};
