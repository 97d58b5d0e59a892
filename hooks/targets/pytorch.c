/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PyTorch's layer norm and RMS norm: the kernels of at::native in layer_norm_kernel.cu, as the wheels 1.13 to 2.15
 * hold them. Rows and nothing else; match.h explains their words.
 */
#include "hooks/targets/match.h"

// clang-format off
#define DGAMMA_ARGS "rows:i64 cols:i64 dy x mean rstd dgamma dbeta"
#define DGAMMA_TAIL "EEvllPKT_S5_PKT0_S8_PS3_S9_"

/* Name, operation, columns per block, wheels that hold it; pattern of the symbol, arguments. */
static const struct fuseln_target_row rows[] = {
    {"pytorch/forward/vectorized", FUSELN_OP_FORWARD,   0, "1.13 and later",
     "28vectorized_layer_norm_kernelI$T$REEviT0_PKT_S6_S6_PS3_S7_PS4_", "cols:i32 eps:acc x gamma beta mean rstd y"},
    {"pytorch/moments",            FUSELN_OP_MOMENTS,   0, "1.13 to 2.13",
     "24RowwiseMomentsCUDAKernelI$T$REEvlT0_PKT_PS3_S7_", "cols:i64 eps:acc x mean rstd"},
    {"pytorch/moments/rows",       FUSELN_OP_MOMENTS,   0, "2.14 and later",
     "24RowwiseMomentsCUDAKernelI$T$REEvllT0_PKT_PS3_S7_", "rows:i64 cols:i64 eps:acc x mean rstd"},
    {"pytorch/apply",              FUSELN_OP_APPLY,     0, "1.13 to 2.13",
     "26LayerNormForwardCUDAKernelI$T$REEvlPKT_PKT0_S8_S5_S5_PS3_", "cols:i64 x mean rstd gamma beta y"},
    {"pytorch/apply/rows",         FUSELN_OP_APPLY,     0, "2.14 and later",
     "26LayerNormForwardCUDAKernelI$T$REEvllPKT_PKT0_S8_S5_S5_PS3_", "rows:i64 cols:i64 x mean rstd gamma beta y"},
    {"pytorch/dx",                 FUSELN_OP_DX,        0, "1.13 and later",
     "28layer_norm_grad_input_kernelI$T$REEvPKT_S5_PKT0_S8_S5_PS3_i", "dy x mean rstd gamma dx cols:i32"},
    {"pytorch/dx/vectorized",      FUSELN_OP_DX,        0, "2.2 and later",
     "39layer_norm_grad_input_kernel_vectorizedI$T$REEvPKT_S5_PKT0_S8_S5_PS3_i", "dy x mean rstd gamma dx cols:i32"},
    {"pytorch/dgamma/simple",      FUSELN_OP_DGAMMA,  256, "1.13 to 2.7",
     "33GammaBetaBackwardSimpleCUDAKernelI$T" DGAMMA_TAIL, DGAMMA_ARGS},
    {"pytorch/dgamma/16x32",       FUSELN_OP_DGAMMA,   16, "1.13 to 2.7",
     "27GammaBetaBackwardCUDAKernelI$T" DGAMMA_TAIL, DGAMMA_ARGS},
    {"pytorch/dgamma/32x32",       FUSELN_OP_DGAMMA,   32, "2.0 to 2.7",
     "33GammaBetaBackwardCUDAKernel_32x32I$T" DGAMMA_TAIL, DGAMMA_ARGS},
    {"pytorch/dgamma/template",    FUSELN_OP_DGAMMA,   32, "2.8 and later",
     "35GammaBetaBackwardCUDAKernelTemplateI$TLj32E$U$ULb0E$B$R" DGAMMA_TAIL, DGAMMA_ARGS},
    {"pytorch/dgamma/partial",     FUSELN_OP_DGAMMA,   32, "2.8 and later",
     "35GammaBetaBackwardCUDAKernelTemplateI$TLj32E$U$ULb1E$B$R" DGAMMA_TAIL, DGAMMA_ARGS " partial"},
};

/*
 * Known builds: their launches are replaced from the first one on. The kernels of each have the names above; in every
 * image their parameters are where the rows above say; and drawn cases passed on the software device, with this build or
 * with one of the same release and device code. tools/known_build.py prints a row; hooks/README.md says how to add one
 * and when to remove it. Build-id (1.13: of libtorch_cuda_cu.so), PyTorch, CUDA, machine, device code.
 */
static const struct fuseln_known_build known_builds[] = {
    {"4b4d248841eeece6dc64c71462b5cb1071864cd9", "2.15.0", "13.2", "x86-64", "e4e8e63b38abbba4"},
};
// clang-format on

const struct fuseln_framework fuseln_pytorch = {
    .scope = "_ZN2at6native",
    .file = "_20_layer_norm_kernel_cu_",
    .rows = rows,
    .row_count = sizeof(rows) / sizeof(rows[0]),
    .known_builds = known_builds,
    .build_count = sizeof(known_builds) / sizeof(known_builds[0]),
};
