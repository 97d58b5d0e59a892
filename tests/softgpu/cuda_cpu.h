/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a .cu file of ours needs to be C++ for the CPU: `g++ -x c++ -include cuda_cpu.h`. The qualifiers become
 * attributes, threadIdx and friends read the lane that runs now, barriers and shuffles call the executor
 * (executor.h). Vector and half types are NVIDIA's own, from its headers; cp.async is cuda_pipeline_primitives.h here.
 * Rules for a kernel: extern "C", one by-value argument, shared memory static per kernel or `extern __shared__ uint4
 * fuseln_smem[]`; every lane that a mask names takes part in the shuffle (CUDA allows less; we do not).
 * Only what kernels/ uses is here: add a line when it needs more.
 */
#ifndef FUSELN_CUDA_CPU_H
#define FUSELN_CUDA_CPU_H

#include <cmath>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <vector_types.h>
#include <vector_functions.h>
#include <cuda_fp16.h>
#include <cuda_bf16.h>

#include "executor.h"

#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#undef __constant__
#undef __forceinline__
#undef __launch_bounds__
#undef __grid_constant__
#undef __noinline__
#define __global__ __attribute__((visibility("default")))
#define __device__ __attribute__((unused))
#define __host__
#define __shared__ thread_local
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__

// clang-format off
#define threadIdx (softgpu_lane_current->thread)
#define blockIdx (softgpu_grid_current.block_index)
#define blockDim (softgpu_grid_current.block_dim)
#define gridDim (softgpu_grid_current.grid_dim)
#define warpSize 32
// clang-format on

#define __syncthreads() softgpu_barrier()

inline void __syncwarp(unsigned mask = 0xffffffffu)
{
    softgpu_shuffle(SOFTGPU_SYNCWARP, mask, 0, 0, 0, warpSize);
}

template <class T>
inline T softgpu_shuffle_as(enum softgpu_warp_op op, unsigned mask, T value, unsigned operand, int width)
{
    static_assert(sizeof(T) <= sizeof(uint64_t), "shuffles move at most 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = softgpu_shuffle(op, mask, bits, sizeof value, operand, width);
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Overloads like CUDA's, not templates: an argument of another type converts as it would under nvcc. */
#define SOFTGPU_SHUFFLES(T)                                                                 \
    inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = warpSize)       \
    {                                                                                       \
        return softgpu_shuffle_as(SOFTGPU_SHFL_XOR, mask, value, (unsigned)lanes, width);   \
    }                                                                                       \
    inline T __shfl_down_sync(unsigned mask, T value, unsigned lanes, int width = warpSize) \
    {                                                                                       \
        return softgpu_shuffle_as(SOFTGPU_SHFL_DOWN, mask, value, lanes, width);            \
    }                                                                                       \
    inline T __shfl_sync(unsigned mask, T value, int lane, int width = warpSize)            \
    {                                                                                       \
        return softgpu_shuffle_as(SOFTGPU_SHFL_IDX, mask, value, (unsigned)lane, width);    \
    }
SOFTGPU_SHUFFLES(int)
SOFTGPU_SHUFFLES(unsigned)
SOFTGPU_SHUFFLES(long long)
SOFTGPU_SHUFFLES(unsigned long long)
SOFTGPU_SHUFFLES(float)
SOFTGPU_SHUFFLES(double)
#undef SOFTGPU_SHUFFLES

/* Cache hints change no value. */
#define SOFTGPU_LOADS(X)  X(__ldg) X(__ldca) X(__ldcg) X(__ldcs) X(__ldlu) X(__ldcv)
#define SOFTGPU_STORES(X) X(__stwb) X(__stcg) X(__stcs) X(__stwt)
#define X(name)                     \
    template <class T>              \
    inline T name(const T *address) \
    {                               \
        return *address;            \
    }
SOFTGPU_LOADS(X)
#undef X
#define X(name)                           \
    template <class T>                    \
    inline void name(T *address, T value) \
    {                                     \
        *address = value;                 \
    }
SOFTGPU_STORES(X)
#undef X
#undef SOFTGPU_LOADS
#undef SOFTGPU_STORES

/* The correctly rounded forms; nvcc never contracts them, and -ffp-contract=off keeps g++ from doing so. */
inline float rsqrtf(float x)
{
    return 1.0f / sqrtf(x);
}
inline double rsqrt(double x)
{
    return 1.0 / sqrt(x);
}
inline float __fadd_rn(float a, float b)
{
    return a + b;
}
inline float __fsub_rn(float a, float b)
{
    return a - b;
}
inline float __fmul_rn(float a, float b)
{
    return a * b;
}
inline float __fmaf_rn(float a, float b, float c)
{
    return fmaf(a, b, c);
}
inline float __fdividef(float a, float b)
{
    return a / b;
}
inline float __frcp_rn(float x)
{
    return 1.0f / x;
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift)
{
    return (unsigned)(((uint64_t)high << 32 | low) >> (shift % 32));
}
inline float __int_as_float(int bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
inline int __double2hiint(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (int)(bits >> 32);
}
inline double __hiloint2double(int high, int low)
{
    const uint64_t bits = (uint64_t)(unsigned)high << 32 | (unsigned)low;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
inline void __threadfence_system()
{
    __asm__ volatile("" ::: "memory"); /* lanes take turns, and x86 keeps the order of stores */
}
inline int __float_as_int(float value)
{
    int bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* No kernel of ours may use it; tests/mutants plants it. Lanes take turns, so this is one. */
inline float atomicAdd(float *address, float value)
{
    const float old = *address;
    *address = old + value;
    return old;
}
inline double atomicAdd(double *address, double value)
{
    const double old = *address;
    *address = old + value;
    return old;
}

/* CUDA 12.0's headers give these to device code only. Templates: newer headers' own functions are preferred. */
template <class T>
inline float2 __half22float2(T pair)
{
    return make_float2(__half2float(pair.x), __half2float(pair.y));
}
template <class T>
inline float2 __bfloat1622float2(T pair)
{
    return make_float2(__bfloat162float(pair.x), __bfloat162float(pair.y));
}

#define SOFTGPU_ORDER(T)      \
    inline T min(T a, T b)    \
    {                         \
        return b < a ? b : a; \
    }                         \
    inline T max(T a, T b)    \
    {                         \
        return a < b ? b : a; \
    }
SOFTGPU_ORDER(int)
SOFTGPU_ORDER(unsigned)
SOFTGPU_ORDER(long)
SOFTGPU_ORDER(long long)
SOFTGPU_ORDER(unsigned long long)
#undef SOFTGPU_ORDER

#endif
