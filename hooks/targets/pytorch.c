/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PyTorch's layer norm and RMS norm: the kernels of at::native in layer_norm_kernel.cu, as the wheels 1.13 to 2.15
 * hold them. Rows and nothing else; words.h explains their words.
 */
#include "hooks/targets/match.h"

// clang-format off
static const struct fuseln_type_name types[] = {
    {"ff",              0, FUSELN_DTYPE_F32},
    {"N3c104HalfEf",    2, FUSELN_DTYPE_F16},
    {"N3c108BFloat16Ef", 2, FUSELN_DTYPE_BF16},
    {"dd",              0, FUSELN_DTYPE_F64},
};

#define FORWARD "op = layernorm  args = i32 acc ptr ptr ptr ptr ptr ptr  rows = grid.x  cols = arg0  eps = arg1  x = arg2  " \
    "gamma? = arg3  beta? = arg4  mean = arg5  rstd = arg6  y = arg7"
#define DX "op = layernorm.dx  args = ptr ptr ptr ptr ptr ptr i32  rows = grid.x  cols = arg6  dy = arg0  x = arg1  " \
    "mean = arg2  rstd = arg3  gamma? = arg4  dx = arg5"
#define DGAMMA "op = layernorm.dgamma  args = i64 i64 ptr ptr ptr ptr ptr ptr  rows = arg0  cols = arg1  dy = arg2  " \
    "x = arg3  mean = arg4  rstd = arg5  dgamma? = arg6  dbeta? = arg7  cols_per_block = "
#define DGAMMA_TAIL "EEvllPKT_S5_PKT0_S8_PS3_S9_"

/* Name, wheels that hold it; pattern of the symbol, words. */
static const struct fuseln_target_row rows[] = {
    {"pytorch/forward/vectorized", "1.13 and later",
     "28vectorized_layer_norm_kernelI$T$REEviT0_PKT_S6_S6_PS3_S7_PS4_", FORWARD},
    {"pytorch/moments", "1.13 to 2.13", "24RowwiseMomentsCUDAKernelI$T$REEvlT0_PKT_PS3_S7_",
     "op = layernorm.moments  args = i64 acc ptr ptr ptr  rows = grid.x  cols = arg0  eps = arg1  x = arg2  "
     "mean = arg3  rstd = arg4"},
    {"pytorch/moments/rows", "2.14 and later", "24RowwiseMomentsCUDAKernelI$T$REEvllT0_PKT_PS3_S7_",
     "op = layernorm.moments  args = i64 i64 acc ptr ptr ptr  rows = arg0  cols = arg1  eps = arg2  x = arg3  "
     "mean = arg4  rstd = arg5"},
    {"pytorch/apply", "1.13 to 2.13", "26LayerNormForwardCUDAKernelI$T$REEvlPKT_PKT0_S8_S5_S5_PS3_",
     "op = layernorm.apply  args = i64 ptr ptr ptr ptr ptr ptr  rows = grid.x  cols = arg0  x = arg1  mean = arg2  "
     "rstd = arg3  gamma? = arg4  beta? = arg5  y = arg6"},
    {"pytorch/apply/rows", "2.14 and later", "26LayerNormForwardCUDAKernelI$T$REEvllPKT_PKT0_S8_S5_S5_PS3_",
     "op = layernorm.apply  args = i64 i64 ptr ptr ptr ptr ptr ptr  rows = arg0  cols = arg1  x = arg2  mean = arg3  "
     "rstd = arg4  gamma? = arg5  beta? = arg6  y = arg7"},
    {"pytorch/dx", "1.13 and later", "28layer_norm_grad_input_kernelI$T$REEvPKT_S5_PKT0_S8_S5_PS3_i", DX},
    {"pytorch/dx/vectorized", "2.2 and later",
     "39layer_norm_grad_input_kernel_vectorizedI$T$REEvPKT_S5_PKT0_S8_S5_PS3_i", DX},
    {"pytorch/dgamma/simple", "1.13 to 2.7", "33GammaBetaBackwardSimpleCUDAKernelI$T" DGAMMA_TAIL, DGAMMA "256"},
    {"pytorch/dgamma/16x32", "1.13 to 2.7", "27GammaBetaBackwardCUDAKernelI$T" DGAMMA_TAIL, DGAMMA "16"},
    {"pytorch/dgamma/32x32", "2.0 to 2.7", "33GammaBetaBackwardCUDAKernel_32x32I$T" DGAMMA_TAIL, DGAMMA "32"},
    {"pytorch/dgamma/template", "2.8 and later",
     "35GammaBetaBackwardCUDAKernelTemplateI$TLj32E$U$ULb0E$B$R" DGAMMA_TAIL, DGAMMA "32"},
    {"pytorch/dgamma/partial", "2.8 and later",
     "35GammaBetaBackwardCUDAKernelTemplateI$TLj32E$U$ULb1E$B$R" DGAMMA_TAIL, DGAMMA "32  out_rows = grid.y"},
};

/*
 * Known builds: their launches are replaced from the first one on. The kernels of each have the names above; in every
 * image their parameters are where the rows above say; and drawn cases passed on the software device, with this build or
 * with one of the same release and device code. tools/known_build.py prints a row; hooks/targets/README.md says how to
 * add one and when to remove it. Build-id (1.13: of libtorch_cuda_cu.so), release, CUDA, machine, device code.
 */
static const struct fuseln_known_build known_builds[] = {
    {"20783bc09b0750a6790155c55f9923832521ca21", "2.0.1", "11.7", "x86-64", "aea9e94ce3e6dcc5"},
    {"267bcd957308a3b22d4b6b816de7e124066e6d78", "2.0.1", "11.7", "x86-64", "aea9e94ce3e6dcc5"},
    {"bad22ac7c528a8253be957e4c3030e4e94db85ed", "2.1.2", "12.1", "x86-64", "54f43a59082fbf5c"},
    {"6b37396cd528b1e38e52991e2e6aaff41f0771ab", "2.2.2", "12.1", "x86-64", "2711c3c97331c846"},
    {"403871a3b454f878c78893d1beb0c09300fa7282", "2.2.2", "12.1", "x86-64", "2711c3c97331c846"},
    {"a80d1a52d823c8420eb5981082595ebe1b048bf6", "2.4.1", "12.1", "x86-64", "2966a7454d29ec7b"},
    {"1561ef4b1230fd77169ae2b0ccc3234e75aea776", "2.4.1", "12.1", "x86-64", "2966a7454d29ec7b"},
    {"6a757528efbe6c9be03389f9df37324ebed177a8", "2.5.1", "12.4", "x86-64", "8ee5511f3410f24a"},
    {"e1352def02efc157cc0575493e45490843cdb672", "2.5.1", "12.4", "x86-64", "8ee5511f3410f24a"},
    {"58d8f7fe0aa934e94694f8feb70211d2a35b89fc", "2.6.0", "12.4", "x86-64", "a0b9c369ac4f082c"},
    {"49ae7f41c97350c84d41d08ad2ba8fc10f7ea36f", "2.6.0", "12.4", "x86-64", "a0b9c369ac4f082c"},
    {"882983d0eef2ba6a410896947c1ec860888f855e", "2.7.1", "12.6", "x86-64", "3e4fb5cebb9e6f9f"},
    {"61c40b1983ccfe9b551f7313bf53417669989990", "2.7.1", "12.6", "x86-64", "3e4fb5cebb9e6f9f"},
    {"971691799723c9e8aeef8ace8341cec52365128c", "2.8.0", "12.8", "x86-64", "4d151b6fbca01c6c"},
    {"fa5baecb4867e34fb4d0dc65c363c9fef766f64e", "2.8.0", "12.8", "x86-64", "4d151b6fbca01c6c"},
    {"533dd75cf95815998e3d561e0c1cdadfc6ba72c2", "2.10.0", "12.8", "x86-64", "fcaa4d15afc01d1b"},
    {"d8fce5a726934db8615e62663d2d7ed3a7189e37", "2.10.0", "12.8", "x86-64", "fcaa4d15afc01d1b"},
    {"29790ad41b7d53b254f233f4141ec43370a58915", "2.11.0", "13.0", "x86-64", "0753df49168c3c64"},
    {"cb444f30c94adecbaccc223dc2ef7c5c7a0806f7", "2.11.0", "13.0", "x86-64", "0753df49168c3c64"},
    {"6a07b5953746b6037d6ddab41c39b8f135379733", "2.12.1", "13.0", "x86-64", "f267d30bceaab201"},
    {"93c43a139ac82d27a85f54c1aaf25a695a9c48f7", "2.12.1", "13.0", "x86-64", "f267d30bceaab201"},
    {"09a871a598fc6166277406750f2a834eec0a006d", "2.13.0", "13.0", "x86-64", "38c64c5d103e387f"},
    {"4b4d248841eeece6dc64c71462b5cb1071864cd9", "2.15.0", "13.2", "x86-64", "e4e8e63b38abbba4"},
    {"bbde1efde45e79b9e9afbe285e6cd2c02f7ca687", "2.15.0", "13.2", "aarch64", "edad5f88fc7af7a7"},
};
// clang-format on

FUSELN_FRAMEWORK(pytorch, .program = "PyTorch, `at::native` of layer_norm_kernel.cu", .scope = "_ZN2at6native",
                 .file = "_20_layer_norm_kernel_cu_", FUSELN_KNOWN_BUILDS);
