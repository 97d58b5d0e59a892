/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See runtime.h: every way to launch a kernel, and kernels' attributes. Each launch becomes the driver's
 * cuLaunchKernel(Ex) with the CUkernel cast to a CUfunction, as in NVIDIA's runtime 13.
 */
#include "runtime.h"

#include <string.h>

#define SOFTGPU_LAUNCHES(X) X(cuLaunchKernel) X(cuLaunchKernelEx) X(cuLaunchCooperativeKernel)

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
#define X(name) launches[ptsz].name = (__typeof__(launches[0].name))softgpu_runtime_resolve(#name, 2 * ptsz);
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
    CUkernel kernel = NULL;
    cudaError_t error = softgpu_kernel_enter(call->function, &kernel);
    CUfunction function = (CUfunction)kernel;
    if (!error && cooperative)
        error = (cudaError_t)launches[ptsz].cuLaunchCooperativeKernel(function, grid.x, grid.y, grid.z, block.x,
                                                                      block.y, block.z, smem, call->stream, call->args);
    else if (!error)
        error = (cudaError_t)launches[ptsz].cuLaunchKernel(function, grid.x, grid.y, grid.z, block.x, block.y, block.z,
                                                           smem, call->stream, call->args, NULL);
    return softgpu_runtime_set_error(error);
}

static cudaError_t launch_ex(bool ptsz, const cudaLaunchConfig_t *config, const void *function, void **args)
{
    _Static_assert(sizeof(cudaLaunchAttribute) == sizeof(CUlaunchAttribute), "attributes are passed on as they are");
    CUkernel kernel = NULL;
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
        error = (cudaError_t)launches[ptsz].cuLaunchKernelEx(&to, (CUfunction)kernel, args, NULL);
    return softgpu_runtime_set_error(error);
}

#define LAUNCH_ENTRY(name, function_type, ptsz, cooperative)                                                       \
    cudaError_t name(function_type function, dim3 grid, dim3 block, void **args, size_t smem, cudaStream_t stream) \
    {                                                                                                              \
        return launch(&(struct call){function, grid, block, args, smem, stream}, ptsz, cooperative);               \
    }
LAUNCH_ENTRY(cudaLaunchKernel, const void *, false, false)
LAUNCH_ENTRY(cudaLaunchKernel_ptsz, const void *, true, false)
LAUNCH_ENTRY(__cudaLaunchKernel, cudaKernel_t, false, false)
LAUNCH_ENTRY(__cudaLaunchKernel_ptsz, cudaKernel_t, true, false)
LAUNCH_ENTRY(cudaLaunchCooperativeKernel, const void *, false, true)
LAUNCH_ENTRY(cudaLaunchCooperativeKernel_ptsz, const void *, true, true)

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *function, void **args)
{
    return launch_ex(false, config, function, args);
}

cudaError_t cudaLaunchKernelExC_ptsz(const cudaLaunchConfig_t *config, const void *function, void **args)
{
    return launch_ex(true, config, function, args);
}

/* An attribute that the driver does not know has a value that any kernel may have. */
static int attribute(CUkernel kernel, CUfunction_attribute which, CUdevice device, int otherwise)
{
    int value = otherwise;
    return softgpu_driver.cuKernelGetAttribute(&value, which, kernel, device) == CUDA_SUCCESS ? value : otherwise;
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *ret, const void *function)
{
    CUkernel kernel = NULL;
    CUdevice device = 0;
    cudaError_t error = softgpu_kernel_enter(function, &kernel);
    if (!error)
        error = softgpu_runtime_current(&device);
    if (error)
        return softgpu_runtime_set_error(error);
    memset(ret, 0, sizeof *ret);
    ret->maxThreadsPerBlock = attribute(kernel, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, device, 1024);
    ret->sharedSizeBytes = (size_t)attribute(kernel, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, device, 0);
    ret->localSizeBytes = (size_t)attribute(kernel, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, device, 0);
    ret->numRegs = attribute(kernel, CU_FUNC_ATTRIBUTE_NUM_REGS, device, 32);
    ret->ptxVersion = attribute(kernel, CU_FUNC_ATTRIBUTE_PTX_VERSION, device, 90);
    ret->binaryVersion = attribute(kernel, CU_FUNC_ATTRIBUTE_BINARY_VERSION, device, 90);
    ret->maxDynamicSharedSizeBytes =
        attribute(kernel, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, device, 48 * 1024);
    return cudaSuccess;
}

/* In this driver a kernel's attributes are the same on every device. */
cudaError_t cudaFuncSetAttribute(const void *function, enum cudaFuncAttribute which, int value)
{
    CUkernel kernel = NULL;
    cudaError_t error = softgpu_kernel_enter(function, &kernel);
    if (!error)
        error = (cudaError_t)softgpu_driver.cuKernelSetAttribute((CUfunction_attribute)which, value, kernel, 0);
    return softgpu_runtime_set_error(error);
}

cudaError_t cudaKernelSetAttributeForDevice(cudaKernel_t kernel, enum cudaFuncAttribute which, int value, int device)
{
    (void)device;
    return cudaFuncSetAttribute(kernel, which, value);
}

cudaError_t cudaFuncGetName(const char **ret_name, const void *function)
{
    CUkernel kernel = NULL;
    cudaError_t error = softgpu_kernel_enter(function, &kernel);
    if (!error)
        error = (cudaError_t)softgpu_driver.cuKernelGetName(ret_name, kernel);
    return softgpu_runtime_set_error(error);
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *ret_blocks, const void *function, int threads,
                                                                   size_t smem, unsigned flags)
{
    CUkernel kernel = NULL;
    cudaError_t error = softgpu_kernel_enter(function, &kernel);
    if (!error)
        error = (cudaError_t)softgpu_driver.cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
            ret_blocks, (CUfunction)kernel, threads, smem, flags);
    return softgpu_runtime_set_error(error);
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *ret_blocks, const void *function, int threads,
                                                          size_t smem)
{
    return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(ret_blocks, function, threads, smem, 0);
}
