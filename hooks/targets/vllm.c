/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vLLM's RMS norm of rows of one stride (rank 2), each generation of its arguments. Without a weight (ELb0E) the pointer
 * is null. Up to 0.23 the normalised value is rounded before the weight multiplies it. Rows and nothing else; words.h
 * explains their words.
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
};
// clang-format on

const struct fuseln_framework fuseln_vllm = {
    .program = "vLLM, `vllm`",
    .scope = "_ZN4vllm",
    .types = types,
    .type_count = sizeof(types) / sizeof(types[0]),
    .rows = rows,
    .row_count = sizeof(rows) / sizeof(rows[0]),
};
