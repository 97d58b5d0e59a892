/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CTranslate2's layer norm and RMS norm over the last dimension, as its wheel 4.8.5 holds them. The layer norm stands
 * in PyTorch's namespace, where it came from, with other arguments. Over another axis there is a kernel that no row
 * here knows. Rows and nothing else; words.h explains their words.
 */
#include "hooks/targets/match.h"

// clang-format off
static const struct fuseln_type_name types[] = {
    {"f",               0, FUSELN_DTYPE_F32},
    {"6__half",         1, FUSELN_DTYPE_F16},
    {"13__nv_bfloat16", 1, FUSELN_DTYPE_BF16},
};

/* Name, releases that hold it; pattern of the symbol, words. */
static const struct fuseln_target_row rows[] = {
    {"ctranslate2/layer_norm", "4.8.5", "2at6native26LayerNormForwardCUDAKernelI$TjEEvT0_fPKT_S5_S5_PS3_",
     "op = layernorm  args = u32 f32 ptr ptr ptr ptr  rows = grid.x  cols = arg0  eps = arg1  x = arg2  gamma? = arg3  "
     "beta? = arg4  y = arg5  variance = one-pass"},
    {"ctranslate2/rms_norm", "4.8.5", "11ctranslate23ops15rms_norm_kernelI$TEEvPKT_S4_PS2_jfb",
     "op = rmsnorm  args = ptr ptr ptr u32 f32 bool  rows = grid.x  cols = arg3  eps = arg4  x = arg0  gamma = arg1  "
     "y = arg2  gamma_add = arg5"},
};
// clang-format on

FUSELN_FRAMEWORK(ctranslate2, .program = "CTranslate2", .scope = "_ZN");
