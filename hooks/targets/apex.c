/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apex's FusedLayerNorm and FusedRMSNorm where x, y and gamma have one type: forward, dX and the partial sums of dgamma
 * and dbeta, whose names are those of both norms: the last argument says which. It rounds the normalised value and its
 * product with gamma. Layer norm applies gamma only together with beta, so a launch that lacks either stays with the
 * original. So do the memory-efficient mode (Lb1) and the kernel that adds up the 16 rows of partial sums, of which
 * ours writes the sums to the first and 0 to the others. Rows and nothing else; words.h explains their words.
 */
#include "hooks/targets/match.h"

// clang-format off
static const struct fuseln_type_name types[] = {
    {"fff",                 0, FUSELN_DTYPE_F32},
    {"N3c104HalfEfS1_",     2, FUSELN_DTYPE_F16},
    {"N3c108BFloat16EfS1_", 2, FUSELN_DTYPE_BF16},
    {"ddd",                 0, FUSELN_DTYPE_F64},
};

/* Name, releases that hold it; pattern of the symbol, words. */
static const struct fuseln_target_row rows[] = {
    {"apex/layer_norm", "at 6424da3b", "16cuApplyLayerNormI$TEvPT1_PT0_S3_PKT_iiS2_PKS0_S8_",
     "op = layernorm  args = ptr ptr ptr ptr i32 i32 acc ptr ptr  rows = arg4  rows_loop = grid.y  cols = arg5  "
     "eps = arg6  y = arg0  mean = arg1  rstd = arg2  x = arg3  gamma = arg7  beta = arg8  round = before-affine"},
    {"apex/rms_norm", "at 6424da3b", "14cuApplyRMSNormI$TEvPT1_PT0_PKT_iiS2_PKS0_",
     "op = rmsnorm  args = ptr ptr ptr i32 i32 acc ptr  rows = arg3  rows_loop = grid.y  cols = arg4  eps = arg5  "
     "y = arg0  rstd = arg1  x = arg2  gamma? = arg6  round = before-affine"},
    {"apex/layer_norm_dx", "at 6424da3b", "18cuComputeGradInputI$TLb0EEvPKT1_PKT_iiPKT0_S8_S6_S2_S2_PS3_db",
     "op = layernorm.dx  args = ptr ptr i32 i32 ptr ptr acc ptr ptr ptr f64 bool  rows = arg2  rows_loop = grid.y  "
     "cols = arg3  dy = arg0  x = arg1  mean = arg4  rstd = arg5  gamma? = arg7  dx = arg9  ignore = arg6, arg8, arg10  "
     "rms = arg11"},
    {"apex/layer_norm_dgamma", "at 6424da3b", "26cuComputePartGradGammaBetaI$TLb0EEvPKT1_PKT_iiPKT0_S8_S6_S2_S2_PS6_S9_db",
     "op = layernorm.dgamma  args = ptr ptr i32 i32 ptr ptr acc ptr ptr ptr ptr f64 bool  rows = arg2  cols = arg3  "
     "cols_per_block = 32  out_rows = grid.y  gdtype = acc  dy = arg0  x = arg1  mean = arg4  rstd = arg5  "
     "dgamma = arg9  dbeta = arg10  ignore = arg6, arg7, arg8, arg11  rms = arg12"},
};
// clang-format on

FUSELN_FRAMEWORK(apex, .program = "apex, FusedLayerNorm", .scope = "_Z");
