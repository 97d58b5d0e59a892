/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes our .cu files C++ for the CPU: `g++ -x c++ -include cuda_cpu.h`. The qualifiers become attributes, threadIdx
 * and the like read the lane that runs now, barriers and shuffles call the executor (executor.h). Vector and half types
 * come from NVIDIA's own headers; cp.async is in cuda_pipeline_primitives.h here. Rules for a kernel: extern "C"; one
 * argument, by value; shared memory static in the kernel or `extern __shared__ uint4 fuseln_smem[]`; every lane that a
 * mask names takes part in the shuffle (CUDA demands less). Only what kernels/ and the tests' own kernels use is here:
 * add a line when they need more.
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

/* As kernels/gradient.cuh names them. Dependents may start at once here, so that a block that does not wait shows. */
#define FUSELN_DEPENDENTS_START() ((void)0)
#define FUSELN_DEPENDENCY_WAIT()  softgpu_dependency_wait()

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
#define SOFTGPU_SHUFFLES(T)                                                               \
    inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = warpSize)     \
    {                                                                                     \
        return softgpu_shuffle_as(SOFTGPU_SHFL_XOR, mask, value, (unsigned)lanes, width); \
    }                                                                                     \
    inline T __shfl_sync(unsigned mask, T value, int lane, int width = warpSize)          \
    {                                                                                     \
        return softgpu_shuffle_as(SOFTGPU_SHFL_IDX, mask, value, (unsigned)lane, width);  \
    }
SOFTGPU_SHUFFLES(int)
SOFTGPU_SHUFFLES(unsigned)
SOFTGPU_SHUFFLES(long long)
SOFTGPU_SHUFFLES(unsigned long long)
SOFTGPU_SHUFFLES(float)
SOFTGPU_SHUFFLES(double)
#undef SOFTGPU_SHUFFLES

/* A cache hint changes no value. */
template <class T>
inline T __ldg(const T *address)
{
    return *address;
}

/* Correctly rounded, which a device's need not be. */
inline float rsqrt(float x)
{
    return 1.0f / sqrtf(x);
}
inline double rsqrt(double x)
{
    return 1.0 / sqrt(x);
}
inline float __fdividef(float a, float b)
{
    return a / b;
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
inline unsigned __float_as_uint(float value)
{
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Four of the eight bytes of a (0 to 3) and b (4 to 7), each chosen by a digit of selector. */
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector)
{
    const uint64_t bytes = (uint64_t)b << 32 | a;
    unsigned chosen = 0;
    for (unsigned i = 0; i < 4; i++)
        chosen |= (unsigned)(bytes >> (selector >> 4 * i & 7) * 8 & 0xff) << 8 * i;
    return chosen;
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

/* No kernel of ours may use it; tests/mutants plants it. Lanes take turns, so this is atomic. */
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

/* CUDA 12.0's headers have this for device code only. A template, so that a newer header's own function is preferred.
 */
template <class T>
inline float2 __half22float2(T pair)
{
    return make_float2(__half2float(pair.x), __half2float(pair.y));
}
/* The same of a pair of half types: each sum is rounded once, from float, which holds all of its digits that count. */
template <class PAIR>
inline PAIR __hadd2(PAIR a, PAIR b)
{
    a.x = static_cast<float>(a.x) + static_cast<float>(b.x);
    a.y = static_cast<float>(a.y) + static_cast<float>(b.y);
    return a;
}

#endif
