/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vLLM's RMS norm of rows of one stride (rank 2), and of a sum in place, each generation of their arguments. Without a
 * weight (ELb0E) the pointer is null. Up to 0.23 the normalised value is rounded before the weight multiplies it. The
 * kernel of a sum has one name for wide accesses and one for others. Rows and nothing else; words.h explains their
 * words.
 */
#include "hooks/targets/match.h"

// clang-format off
static const struct fuseln_type_name types[] = {
    {"f",                0, FUSELN_DTYPE_F32},
    {"N3c104HalfE",      2, FUSELN_DTYPE_F16},
    {"N3c108BFloat16E",  2, FUSELN_DTYPE_BF16},
};

#define RMS "op = rmsnorm  args = ptr ptr i64 i64 i64 i64 i64 ptr f32 i32 i32  rows = grid.x  cols = arg10  eps = arg8  " \
    "y = arg0  x = arg1  xstride = arg2  ignore = arg3, arg4, arg5, arg6  require = arg9 == rows"
#define RMS_STRIDED "op = rmsnorm  args = ptr ptr i64 i64 i64 i64 i64 ptr i64 f32 i32 i32  rows = grid.x  cols = arg11  " \
    "eps = arg9  y = arg0  x = arg1  xstride = arg2  ignore = arg3, arg4, arg5, arg6  require = arg10 == rows, arg8 == 0"

#define ADD(template, condition, tail) "25fused_add_rms_norm_kernelI$T$I" template "EENSt9enable_ifIX" condition \
    "sr4vllm12_typeConvertIT_EE6existsEvE4typeEPS2_lS5_PKS2_" tail
#define WIDE "aagtT0_Li0E"
#define OTHER "ooeqT0_Li0Ent"
#define SUM "op = rmsnorm  rows = grid.x  cols = arg6  eps = arg4  x = arg0  residual = arg2  inplace = y:x, sum:residual  " \
    "xstride = arg1  require = arg5 == rows"
#define SUM_ARGS "  args = ptr i64 ptr ptr f32 i32 i32"
#define SUM_LATER SUM_ARGS "  round = sum"
#define SUM_STRIDED SUM_ARGS " i64  rstride = arg7  round = sum"
#define SUM_FIRST SUM_ARGS "  gamma = arg3  round = sum before-affine"

/* Name, wheels that hold it; pattern of the symbol, words. */
static const struct fuseln_target_row rows[] = {
    {"vllm/rms_norm", "0.25 and later", "15rms_norm_kernelI$T$ILi2ELb1EEEvPT_PKS1_lllllS4_lfii",
     RMS_STRIDED "  gamma = arg7"},
    {"vllm/rms_norm", "0.25 and later", "15rms_norm_kernelI$T$ILi2ELb0EEEvPT_PKS1_lllllS4_lfii",
     RMS_STRIDED ", arg7 null"},
    {"vllm/rms_norm", "0.24", "15rms_norm_kernelI$T$ILi2ELb1EEEvPT_PKS1_lllllS4_fii", RMS "  gamma = arg7"},
    {"vllm/rms_norm", "0.24", "15rms_norm_kernelI$T$ILi2ELb0EEEvPT_PKS1_lllllS4_fii", RMS ", arg7 null"},
    {"vllm/rms_norm", "0.19 to 0.23", "15rms_norm_kernelI$T$ILi2EEEvPT_PKS1_lllllS4_fii",
     RMS "  gamma = arg7  round = before-affine"},
    {"vllm/rms_norm", "0.10", "15rms_norm_kernelI$TEEvPT_PKS1_lS4_fii",
     "op = rmsnorm  args = ptr ptr i64 ptr f32 i32 i32  rows = grid.x  cols = arg6  eps = arg4  y = arg0  x = arg1  "
     "xstride = arg2  gamma = arg3  require = arg5 == rows  round = before-affine"},
    {"vllm/fused_add_rms_norm", "0.28 and later", ADD("Lb1E", WIDE, "fiil"), SUM SUM_STRIDED "  gamma = arg3"},
    {"vllm/fused_add_rms_norm", "0.28 and later", ADD("Lb1E", OTHER, "fiil"), SUM SUM_STRIDED "  gamma = arg3"},
    {"vllm/fused_add_rms_norm", "0.28 and later", ADD("Lb0E", WIDE, "fiil"), SUM ", arg3 null" SUM_STRIDED},
    {"vllm/fused_add_rms_norm", "0.28 and later", ADD("Lb0E", OTHER, "fiil"), SUM ", arg3 null" SUM_STRIDED},
    {"vllm/fused_add_rms_norm", "0.24 to 0.25", ADD("Lb1E", WIDE, "fii"), SUM SUM_LATER "  gamma = arg3"},
    {"vllm/fused_add_rms_norm", "0.24 to 0.25", ADD("Lb1E", OTHER, "fii"), SUM SUM_LATER "  gamma = arg3"},
    {"vllm/fused_add_rms_norm", "0.24 to 0.25", ADD("Lb0E", WIDE, "fii"), SUM ", arg3 null" SUM_LATER},
    {"vllm/fused_add_rms_norm", "0.24 to 0.25", ADD("Lb0E", OTHER, "fii"), SUM ", arg3 null" SUM_LATER},
    {"vllm/fused_add_rms_norm", "0.10 to 0.23", ADD("", WIDE, "fii"), SUM SUM_FIRST},
    {"vllm/fused_add_rms_norm", "0.10 to 0.23", ADD("", OTHER, "fii"), SUM SUM_FIRST},
};

/* See pytorch.c. */
static const struct fuseln_known_build known_builds[] = {
    {"66f9f14f6c92fbdcae04638e7e58fd5b01fc3379", "0.33.0", "13", "x86-64", "04835adb3f61dde9"},
};
// clang-format on

FUSELN_FRAMEWORK(vllm, .program = "vLLM, `vllm`", .scope = "_ZN4vllm", FUSELN_KNOWN_BUILDS);
