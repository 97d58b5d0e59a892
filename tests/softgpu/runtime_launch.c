/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See runtime.h: every way to launch a kernel, and kernels' attributes. Each launch becomes the driver's
 * cuLaunchKernel(Ex).
 */
#include "runtime.h"

#include <string.h>

#define HAS_LAUNCH_EX (CUDA_VERSION >= 11080) /* the headers of 11.6 and 11.7 have no cudaLaunchKernelExC */
#if HAS_LAUNCH_EX
#define SOFTGPU_LAUNCHES(X) X(cuLaunchKernel) X(cuLaunchCooperativeKernel) X(cuLaunchKernelEx)
#else
#define SOFTGPU_LAUNCHES(X) X(cuLaunchKernel) X(cuLaunchCooperativeKernel)
#endif

/* [1]: variants whose default stream is the thread's own. */
static struct {
#define X(name) __typeof__(&name) name;
    SOFTGPU_LAUNCHES(X)
#undef X
} launches[2];

static _Thread_local struct {
    dim3 grid, block;
    size_t smem;
    void *stream;
} pushed[8];
static _Thread_local unsigned pushed_count;

void softgpu_launch_resolve(void)
{
    for (unsigned ptsz = 0; ptsz < 2; ptsz++) {
#define X(name) launches[ptsz].name = (__typeof__(launches[0].name))softgpu_runtime_resolve(#name, 0, 2 * ptsz);
        SOFTGPU_LAUNCHES(X)
#undef X
    }
}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t smem, struct CUstream_st *stream)
{
    if (pushed_count == sizeof pushed / sizeof *pushed)
        return 1;
    pushed[pushed_count].grid = grid;
    pushed[pushed_count].block = block;
    pushed[pushed_count].smem = smem;
    pushed[pushed_count++].stream = stream;
    return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *smem, void *stream)
{
    if (pushed_count == 0)
        return cudaErrorMissingConfiguration;
    pushed_count--;
    *grid = pushed[pushed_count].grid;
    *block = pushed[pushed_count].block;
    *smem = pushed[pushed_count].smem;
    *(void **)stream = pushed[pushed_count].stream;
    return cudaSuccess;
}

struct call {
    const void *function;
    dim3 grid, block;
    void **args;
    size_t smem;
    cudaStream_t stream;
};

static cudaError_t launch(const struct call *call, bool ptsz, bool cooperative)
{
    const dim3 grid = call->grid, block = call->block;
    const unsigned smem = (unsigned)call->smem;
    CUfunction function = NULL;
    cudaError_t error = softgpu_kernel_enter(call->function, &function);
    if (!error && cooperative)
        error = (cudaError_t)launches[ptsz].cuLaunchCooperativeKernel(function, grid.x, grid.y, grid.z, block.x,
                                                                      block.y, block.z, smem, call->stream, call->args);
    else if (!error)
        error = (cudaError_t)launches[ptsz].cuLaunchKernel(function, grid.x, grid.y, grid.z, block.x, block.y, block.z,
                                                           smem, call->stream, call->args, NULL);
    return softgpu_runtime_set_error(error);
}

#if HAS_LAUNCH_EX
static cudaError_t launch_ex(bool ptsz, const cudaLaunchConfig_t *config, const void *function, void **args)
{
    _Static_assert(sizeof(cudaLaunchAttribute) == sizeof(CUlaunchAttribute), "attributes are passed on as they are");
    CUfunction kernel = NULL;
    CUlaunchConfig to = {.gridDimX = config->gridDim.x,
                         .gridDimY = config->gridDim.y,
                         .gridDimZ = config->gridDim.z,
                         .blockDimX = config->blockDim.x,
                         .blockDimY = config->blockDim.y,
                         .blockDimZ = config->blockDim.z,
                         .sharedMemBytes = (unsigned)config->dynamicSmemBytes,
                         .hStream = config->stream,
                         .attrs = (CUlaunchAttribute *)(void *)config->attrs,
                         .numAttrs = config->numAttrs};
    cudaError_t error = softgpu_kernel_enter(function, &kernel);
    if (!error)
        error = (cudaError_t)launches[ptsz].cuLaunchKernelEx(&to, kernel, args, NULL);
    return softgpu_runtime_set_error(error);
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *function, void **args)
{
    return launch_ex(false, config, function, args);
}

cudaError_t cudaLaunchKernelExC_ptsz(const cudaLaunchConfig_t *config, const void *function, void **args)
{
    return launch_ex(true, config, function, args);
}
#endif

#define LAUNCH_ENTRY(name, function_type, ptsz, cooperative)                                                       \
    cudaError_t name(function_type function, dim3 grid, dim3 block, void **args, size_t smem, cudaStream_t stream) \
    {                                                                                                              \
        return launch(&(struct call){function, grid, block, args, smem, stream}, ptsz, cooperative);               \
    }
LAUNCH_ENTRY(cudaLaunchKernel, const void *, false, false)
LAUNCH_ENTRY(cudaLaunchKernel_ptsz, const void *, true, false)
#if CUDA_VERSION >= 12000
LAUNCH_ENTRY(__cudaLaunchKernel, cudaKernel_t, false, false)
LAUNCH_ENTRY(__cudaLaunchKernel_ptsz, cudaKernel_t, true, false)
#endif
LAUNCH_ENTRY(cudaLaunchCooperativeKernel, const void *, false, true)
LAUNCH_ENTRY(cudaLaunchCooperativeKernel_ptsz, const void *, true, true)

#if CUDA_VERSION >= 13000 /* in this driver a kernel's attributes are the same on every device */
#define GET_ATTRIBUTE(value, which, kernel) softgpu_driver.cuKernelGetAttribute(value, which, (CUkernel)(kernel), 0)
#define SET_ATTRIBUTE(kernel, which, value) softgpu_driver.cuKernelSetAttribute(which, value, (CUkernel)(kernel), 0)
#else
#define GET_ATTRIBUTE(value, which, kernel) softgpu_driver.cuFuncGetAttribute(value, which, kernel)
#define SET_ATTRIBUTE(kernel, which, value) softgpu_driver.cuFuncSetAttribute(kernel, which, value)
#endif

/* An attribute that the driver does not know has a value that any kernel may have. */
static int attribute(CUfunction kernel, CUfunction_attribute which, int otherwise)
{
    int value = otherwise;
    return GET_ATTRIBUTE(&value, which, kernel) == CUDA_SUCCESS ? value : otherwise;
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *ret, const void *function)
{
    CUfunction kernel = NULL;
    cudaError_t error = softgpu_kernel_enter(function, &kernel);
    if (error)
        return softgpu_runtime_set_error(error);
    memset(ret, 0, sizeof *ret);
    ret->maxThreadsPerBlock = attribute(kernel, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024);
    ret->sharedSizeBytes = (size_t)attribute(kernel, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, 0);
    ret->localSizeBytes = (size_t)attribute(kernel, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, 0);
    ret->numRegs = attribute(kernel, CU_FUNC_ATTRIBUTE_NUM_REGS, 32);
    ret->ptxVersion = attribute(kernel, CU_FUNC_ATTRIBUTE_PTX_VERSION, 90);
    ret->binaryVersion = attribute(kernel, CU_FUNC_ATTRIBUTE_BINARY_VERSION, 90);
    ret->maxDynamicSharedSizeBytes = attribute(kernel, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 48 * 1024);
    return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void *function, enum cudaFuncAttribute which, int value)
{
    CUfunction kernel = NULL;
    cudaError_t error = softgpu_kernel_enter(function, &kernel);
    if (!error)
        error = (cudaError_t)SET_ATTRIBUTE(kernel, (CUfunction_attribute)which, value);
    return softgpu_runtime_set_error(error);
}

#if CUDA_VERSION >= 12080
cudaError_t cudaKernelSetAttributeForDevice(cudaKernel_t kernel, enum cudaFuncAttribute which, int value, int device)
{
    (void)device;
    return cudaFuncSetAttribute(kernel, which, value);
}
#endif

#if CUDA_VERSION >= 13000
cudaError_t cudaFuncGetName(const char **ret_name, const void *function)
{
    CUfunction kernel = NULL;
    cudaError_t error = softgpu_kernel_enter(function, &kernel);
    if (!error)
        error = (cudaError_t)softgpu_driver.cuKernelGetName(ret_name, (CUkernel)kernel);
    return softgpu_runtime_set_error(error);
}
#endif

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *ret_blocks, const void *function, int threads,
                                                                   size_t smem, unsigned flags)
{
    CUfunction kernel = NULL;
    cudaError_t error = softgpu_kernel_enter(function, &kernel);
    if (!error)
        error = (cudaError_t)softgpu_driver.cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(ret_blocks, kernel,
                                                                                                 threads, smem, flags);
    return softgpu_runtime_set_error(error);
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *ret_blocks, const void *function, int threads,
                                                          size_t smem)
{
    return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(ret_blocks, function, threads, smem, 0);
}
