/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planted defects of test_counters.c: each kernel has one where p.rows is 1 and is right where it is 0. One block of
 * 128 threads unless the table says otherwise; x has 1024 floats, y as many. Dynamic shared memory: 4096 bytes.
 */
#include <cuda_pipeline_primitives.h>

#include "kernels/params.h"

extern __shared__ uint4 fuseln_smem[];

#define KERNEL(name) extern "C" __global__ void name(const __grid_constant__ struct fuseln_ln_params p)

static __device__ float *shared_floats()
{
    return reinterpret_cast<float *>(fuseln_smem);
}
static __device__ const float *x_of(const struct fuseln_ln_params &p)
{
    return static_cast<const float *>(p.x);
}
static __device__ float *y_of(const struct fuseln_ln_params &p)
{
    return static_cast<float *>(p.y);
}

/* Another warp's elements, without the barrier: warps run in their order, so the values would be right. */
KERNEL(fuseln_test_barrier_removed)
{
    float *s = shared_floats();
    s[threadIdx.x] = x_of(p)[threadIdx.x];
    if (!p.rows)
        __syncthreads();
    y_of(p)[threadIdx.x] = threadIdx.x < 32 ? 0 : s[threadIdx.x - 32];
}

/* A buffer used a second time before all have read it. */
KERNEL(fuseln_test_buffer_reused)
{
    float *s = shared_floats(), sum = 0;
    for (int i = 0; i < 2; i++) {
        s[threadIdx.x] = x_of(p)[threadIdx.x + i * 128];
        __syncthreads();
        sum += s[127 - threadIdx.x];
        if (!p.rows)
            __syncthreads();
    }
    y_of(p)[threadIdx.x] = sum;
}

/* The last warp, which runs last, overwrites what the first one reads. */
KERNEL(fuseln_test_write_after_read)
{
    float *s = shared_floats();
    s[threadIdx.x] = x_of(p)[threadIdx.x];
    __syncthreads();
    if (threadIdx.x < 32)
        y_of(p)[threadIdx.x] = s[threadIdx.x + 96];
    if (!p.rows)
        __syncthreads();
    if (threadIdx.x >= 96)
        s[threadIdx.x] = 0;
}

/* Lanes of a warp, without __syncwarp; a shuffle in its place orders no memory. */
KERNEL(fuseln_test_syncwarp_removed)
{
    float *s = shared_floats();
    s[threadIdx.x] = x_of(p)[threadIdx.x];
    if (!p.rows)
        __syncwarp();
    else
        __shfl_xor_sync(0xffffffffu, 1, 1);
    y_of(p)[threadIdx.x] = s[threadIdx.x ^ 1];
}

/* __syncwarp where another warp wrote. */
KERNEL(fuseln_test_syncwarp_for_barrier)
{
    float *s = shared_floats();
    s[threadIdx.x] = x_of(p)[threadIdx.x];
    if (p.rows)
        __syncwarp();
    else
        __syncthreads();
    y_of(p)[threadIdx.x] = threadIdx.x < 32 ? 0 : s[threadIdx.x - 32];
}

KERNEL(fuseln_test_index_shifted)
{
    for (int i = threadIdx.x; i < 1024; i += 128)
        y_of(p)[i + (p.rows ? 1 : 0)] = x_of(p)[i];
}

KERNEL(fuseln_test_beyond_the_row)
{
    const int chunks = p.rows ? 257 : 256; /* of 16 bytes */
    for (int i = threadIdx.x; i < chunks; i += 128)
        reinterpret_cast<float4 *>(p.y)[i % 256] = reinterpret_cast<const float4 *>(p.x)[i];
}

/* gamma is memory that nothing wrote. */
KERNEL(fuseln_test_global_unset)
{
    y_of(p)[threadIdx.x] = p.rows ? static_cast<const float *>(p.gamma)[threadIdx.x] : x_of(p)[threadIdx.x];
}

KERNEL(fuseln_test_shared_unset)
{
    float *s = shared_floats();
    if (!p.rows || threadIdx.x < 127) /* the tail is dropped */
        s[threadIdx.x] = x_of(p)[threadIdx.x];
    __syncthreads();
    y_of(p)[threadIdx.x] = s[127 - threadIdx.x];
}

/* Two blocks: what the first one wrote does not count for the second. */
KERNEL(fuseln_test_shared_unset_in_block)
{
    float *s = shared_floats();
    if (!p.rows || blockIdx.x == 0)
        s[threadIdx.x] = x_of(p)[threadIdx.x];
    __syncthreads();
    y_of(p)[blockIdx.x * 128 + threadIdx.x] = s[127 - threadIdx.x];
}

KERNEL(fuseln_test_misaligned)
{
    const char *from = static_cast<const char *>(p.x) + (p.rows ? 8 : 16) + threadIdx.x * 16;
    reinterpret_cast<float4 *>(p.y)[threadIdx.x] = *reinterpret_cast<const float4 *>(from);
}

KERNEL(fuseln_test_async_unwaited)
{
    float *s = shared_floats();
    for (int i = 0; i < 2; i++) {
        __pipeline_memcpy_async(s + i * 512 + threadIdx.x * 4, x_of(p) + i * 512 + threadIdx.x * 4, 16);
        __pipeline_commit();
    }
    __pipeline_wait_prior(p.rows ? 1 : 0);
    y_of(p)[threadIdx.x] = s[threadIdx.x * 4] + s[512 + threadIdx.x * 4];
}

/* A wait makes a thread's own copies visible to itself only. */
KERNEL(fuseln_test_async_barrier_removed)
{
    float *s = shared_floats();
    __pipeline_memcpy_async(s + threadIdx.x * 4, x_of(p) + threadIdx.x * 4, 16);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    if (!p.rows)
        __syncthreads();
    y_of(p)[threadIdx.x] = s[threadIdx.x ? threadIdx.x * 4 - 1 : 0];
}

/* The next stage's copy is issued before everyone has read the last one's. */
KERNEL(fuseln_test_async_issued_early)
{
    float *s = shared_floats(), sum = 0;
    for (int i = 0; i < 2; i++) {
        __pipeline_memcpy_async(s + threadIdx.x * 4, x_of(p) + i * 512 + threadIdx.x * 4, 16);
        __pipeline_commit();
        __pipeline_wait_prior(0);
        __syncthreads();
        sum += s[511 - threadIdx.x * 4];
        if (!p.rows)
            __syncthreads();
    }
    y_of(p)[threadIdx.x] = sum;
}

/* zfill keeps the copy inside of x. */
KERNEL(fuseln_test_async_beyond)
{
    float *s = shared_floats();
    const size_t last = threadIdx.x == 127;
    __pipeline_memcpy_async(s + threadIdx.x * 4, x_of(p) + 516 + threadIdx.x * 4, 16, p.rows ? 0 : last * 16);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    y_of(p)[threadIdx.x] = s[threadIdx.x * 4];
}

KERNEL(fuseln_test_blocks_overlap)
{
    y_of(p)[blockIdx.x * (p.rows ? 64 : 128) + threadIdx.x] = x_of(p)[threadIdx.x];
}

KERNEL(fuseln_test_smem_beyond)
{
    if (threadIdx.x == 0)
        shared_floats()[p.rows ? 1024 : 1023] = 1.0f;
}

/* For test_async.c: what the executor refuses, chosen by cols. */
KERNEL(fuseln_test_async_refused)
{
    char *shared = reinterpret_cast<char *>(fuseln_smem), *y = static_cast<char *>(p.y);
    const char *x = static_cast<const char *>(p.x);
    if (p.cols == 0)
        __pipeline_memcpy_async(shared, x, 12);
    else if (p.cols == 1)
        __pipeline_memcpy_async(shared, x, 16, 17);
    else if (p.cols == 2)
        __pipeline_memcpy_async(shared, x + 4, 8);
    else if (p.cols == 3)
        __pipeline_memcpy_async(shared + 8, x, 16);
    else if (p.cols == 4)
        __pipeline_memcpy_async(y, x, 16);
    else
        __pipeline_memcpy_async(shared, shared + 16, 16);
}

/* The first warp's copies are never waited for; the second warp runs when it has returned. */
KERNEL(fuseln_test_async_at_end)
{
    float *s = shared_floats();
    if (threadIdx.x < 32)
        __pipeline_memcpy_async(s + threadIdx.x, x_of(p) + threadIdx.x, 4);
    else
        y_of(p)[threadIdx.x - 32] = s[threadIdx.x - 32];
}

/* Launched with programmatic serialisation, two blocks: the launch ahead may still write what is read. */
KERNEL(fuseln_test_access_before_wait)
{
    float *y = y_of(p) + blockIdx.x * 128;
    if (p.rows)
        y[threadIdx.x] = 1;
    FUSELN_DEPENDENCY_WAIT();
    y[threadIdx.x] = 1;
}

/* The second block has nothing to do, and ends at once. */
KERNEL(fuseln_test_block_without_wait)
{
    if (p.rows && blockIdx.x == 1)
        return;
    FUSELN_DEPENDENCY_WAIT();
    if (blockIdx.x == 0)
        y_of(p)[threadIdx.x] = 1;
}
