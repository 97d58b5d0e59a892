/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels of test_driver.c, one for each behaviour of the executor. Like all our kernels they take a struct
 * fuseln_ln_params: they read x and write y; cols says where.
 */
#include "kernels/params.h"

extern __shared__ uint4 fuseln_smem[];

/* y[block] = the sum of x over the block's threads, by shuffles, static and dynamic shared memory. */
extern "C" __global__ void __launch_bounds__(128) fuseln_ln_test_sum(const __grid_constant__ struct fuseln_ln_params p)
{
    __shared__ float warps[4];
    float *all = reinterpret_cast<float *>(fuseln_smem);
    float sum = static_cast<const float *>(p.x)[blockIdx.x * blockDim.x + threadIdx.x];
    for (int lanes = 16; lanes > 0; lanes /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
    if (threadIdx.x % 32 == 0)
        warps[threadIdx.x / 32] = sum;
    __syncthreads();
    all[threadIdx.x] = warps[threadIdx.x % 4];
    __syncthreads();
    if (threadIdx.x == 0)
        static_cast<float *>(p.y)[blockIdx.x] = all[124] + all[125] + all[126] + all[127];
}

/* y[thread]: the value of the lane beside it, and of the first one of its half-warp. */
extern "C" __global__ void fuseln_ln_test_shuffle(const __grid_constant__ struct fuseln_ln_params p)
{
    int other = __shfl_xor_sync(0xffffffffu, static_cast<int>(threadIdx.x), 1, 16);
    double first = __shfl_sync(0xffffffffu, 0.5 + threadIdx.x, 0, 16);
    static_cast<double *>(p.y)[threadIdx.x] = other + 1000 * first;
}

extern "C" __global__ void fuseln_ln_test_barrier_missed(const __grid_constant__ struct fuseln_ln_params)
{
    if (blockIdx.x != 1 || threadIdx.x < 40)
        __syncthreads();
}

extern "C" __global__ void fuseln_ln_test_lane_missed(const __grid_constant__ struct fuseln_ln_params)
{
    if (threadIdx.x != 7)
        __shfl_xor_sync(0xffffffffu, 1.0f, 1);
}

/* y: shared memory as the block found it. Then overwrites it, and the next block must find NaN again. */
extern "C" __global__ void fuseln_ln_test_fresh(const __grid_constant__ struct fuseln_ln_params p)
{
    __shared__ float fixed[8];
    float *dynamic = reinterpret_cast<float *>(fuseln_smem);
    static_cast<float *>(p.y)[2 * blockIdx.x] = fixed[7];
    static_cast<float *>(p.y)[2 * blockIdx.x + 1] = dynamic[3];
    fixed[7] = dynamic[3] = 1.0f;
}

extern "C" __global__ void fuseln_ln_test_smem_overrun(const __grid_constant__ struct fuseln_ln_params)
{
    reinterpret_cast<float *>(fuseln_smem)[8] = 1.0f;
}

/* Writes y[cols]. */
extern "C" __global__ void fuseln_ln_test_write(const __grid_constant__ struct fuseln_ln_params p)
{
    static_cast<float *>(p.y)[p.cols] = 1.0f;
}
