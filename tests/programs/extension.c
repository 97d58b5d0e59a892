/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library as nvcc makes one, of the CUDA version whose headers compile it: its constructor registers PyTorch's layer
 * norm for float (SYMBOL), and extension_run launches it as nvcc's code does, on 5 rows of 768. Both must reach its own
 * runtime, since no other knows its host function: that of cudaFuncGetAttributes, which fuseln leaves alone.
 */
#include <cuda_runtime_api.h>

#include "rows.h"

void **__cudaRegisterFatBinary(void *image);
void __cudaUnregisterFatBinary(void **fatbin);
void __cudaRegisterFunction(void **fatbin, const char *host_function, char *device_function, const char *device_name,
                            int thread_limit, uint3 *tid, uint3 *bid, dim3 *block, dim3 *grid, int *warp_size);
#if CUDART_VERSION >= 13000
cudaError_t __cudaGetKernel(cudaKernel_t *ret_kernel, const void *function);
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **args, size_t smem, cudaStream_t on);
#endif

static char host_function;
static void **fatbin;

static __attribute__((constructor)) void load(void)
{
    static int image[6] = {0x466243b1, 1}; /* __fatBinC_Wrapper_t: the software device reads its magic number alone */
    fatbin = __cudaRegisterFatBinary(image);
    __cudaRegisterFunction(fatbin, &host_function, SYMBOL, SYMBOL, -1, NULL, NULL, NULL, NULL, NULL);
}

static __attribute__((destructor)) void unload(void)
{
    __cudaUnregisterFatBinary(fatbin);
}

static cudaError_t launch(void **args)
{
    const dim3 grid = {ROWS, 1, 1}, block = {32, 4, 1};
#if CUDART_VERSION >= 13000
    cudaKernel_t kernel;
    const cudaError_t error = __cudaGetKernel(&kernel, &host_function);
    return error ? error : __cudaLaunchKernel(kernel, grid, block, args, 24, NULL);
#else
    return cudaLaunchKernel(&host_function, grid, block, args, 24, NULL);
#endif
}

/* Prints the version of the runtime, and the error of y as a share of its bound; returns the sum of all error codes. */
int extension_run(void);
int extension_run(void)
{
    int cols = COLS, version = 0, errors = 0;
    float eps = 1e-5f, *device_x, *device_y, *mean, *rstd, *gamma = NULL;
    void *args[] = {&cols, &eps, &device_x, &gamma, &gamma, &mean, &rstd, &device_y};
    struct cudaFuncAttributes attributes;

    x_fill();
    errors += cudaFuncGetAttributes(&attributes, &host_function);
    errors += cudaRuntimeGetVersion(&version);
    errors += cudaMalloc((void **)&device_x, sizeof x) + cudaMalloc((void **)&device_y, sizeof x);
    errors += cudaMalloc((void **)&mean, 256) + cudaMalloc((void **)&rstd, 256);
    errors += cudaMemcpy(device_x, x, sizeof x, cudaMemcpyHostToDevice);
    errors += launch(args);
    errors += cudaMemcpy(y, device_y, sizeof y, cudaMemcpyDeviceToHost);
    errors += cudaFree(device_x) + cudaFree(device_y) + cudaFree(mean) + cudaFree(rstd);
    printf("headers %d, runtime %d, error ", CUDART_VERSION, version);
    print_error();
    fflush(stdout);
    return errors;
}
