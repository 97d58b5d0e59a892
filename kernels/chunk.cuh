/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The element types and the arithmetic of all kernels, and the chunk: 16 bytes of a row, counted from its first
 * element, held as loaded and converted where they are computed with. row.cuh, and dgamma.cu for sums over rows, say
 * how rows of any alignment become chunks without touching a byte outside the row.
 */
#ifndef FUSELN_CHUNK_CUH
#define FUSELN_CHUNK_CUH

#include <cuda_fp16.h>
#include <cuda_bf16.h>
#include "kernels/params.h"
#include "kernels/schedules.h"

template <class T>
struct accumulator {
    using type = float;
};
template <>
struct accumulator<double> {
    using type = double;
};
template <class T>
using acc_of = typename accumulator<T>::type;

/* Products are added by mul_add and never by `a * b + c`, so that all variants, compilers and the CPU round alike. */
template <class A>
static __device__ __forceinline__ A mul_add(A a, A b, A c)
{
    return fma(a, b, c);
}
template <class A>
static __device__ __forceinline__ A add(A a, A b)
{
    return a + b;
}
/*
 * Two numbers at once: one instruction from compute capability 10.0 on, where scalar instructions would take longer
 * than the memory. Each half rounds as the scalar form does.
 */
template <class A>
struct pair {
    A lo, hi;
};
template <class A>
static __device__ __forceinline__ pair<A> both(A v)
{
    return {v, v};
}
template <class A>
static __device__ __forceinline__ pair<A> add(pair<A> a, pair<A> b)
{
    return {a.lo + b.lo, a.hi + b.hi};
}
template <class A>
static __device__ __forceinline__ pair<A> mul(pair<A> a, pair<A> b)
{
    return {a.lo * b.lo, a.hi * b.hi};
}
template <class A>
static __device__ __forceinline__ pair<A> mul_add(pair<A> a, pair<A> b, pair<A> c)
{
    return {mul_add(a.lo, b.lo, c.lo), mul_add(a.hi, b.hi, c.hi)};
}
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000 && __CUDA_ARCH__ < 1100
static __device__ __forceinline__ pair<float> pair_of(float2 v)
{
    return {v.x, v.y};
}
template <>
__device__ __forceinline__ pair<float> add(pair<float> a, pair<float> b)
{
    return pair_of(__fadd2_rn(make_float2(a.lo, a.hi), make_float2(b.lo, b.hi)));
}
template <>
__device__ __forceinline__ pair<float> mul(pair<float> a, pair<float> b)
{
    return pair_of(__fmul2_rn(make_float2(a.lo, a.hi), make_float2(b.lo, b.hi)));
}
template <>
__device__ __forceinline__ pair<float> mul_add(pair<float> a, pair<float> b, pair<float> c)
{
    return pair_of(__ffma2_rn(make_float2(a.lo, a.hi), make_float2(b.lo, b.hi), make_float2(c.lo, c.hi)));
}
#endif

/* 1 / n for a count n: a division would carry a slow path for values that a count never has. */
static __device__ __forceinline__ float reciprocal(float n)
{
    const float guess = __fdividef(1.0f, n);
    return fmaf(fmaf(-n, guess, 1.0f), guess, guess);
}
static __device__ __forceinline__ double reciprocal(double n)
{
    return 1.0 / n;
}

template <class T>
union chunk {
    enum : int {
        size = FUSELN_CHUNK_BYTES / sizeof(T)
    }; /* an enum, as a static member would be a symbol in the image */
    uint4 raw;
    uint2 half[2];
    unsigned word[4];
    T at[size];
};

/* From elements to the type of the sums, in pairs. For half types one instruction widens an element and one rounds a
 * pair. */
template <class T, class A>
static __device__ __forceinline__ void widen(const chunk<T> &c, pair<A> (&v)[chunk<T>::size / 2])
{
#pragma unroll
    for (int i = 0; i < chunk<T>::size / 2; i++)
        v[i] = {c.at[2 * i], c.at[2 * i + 1]};
}
static __device__ __forceinline__ void widen(const chunk<__half> &c, pair<float> (&v)[4])
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        __half2 two;
        memcpy(static_cast<void *>(&two), &c.word[i], sizeof two); /* not trivial to g++ */
        const float2 wide = __half22float2(two);
        v[i] = {wide.x, wide.y};
    }
}
static __device__ __forceinline__ void widen(const chunk<__nv_bfloat16> &c, pair<float> (&v)[4])
{
#pragma unroll
    for (int i = 0; i < 4; i++)
        v[i] = {__int_as_float(static_cast<int>(c.word[i] << 16)),
                __int_as_float(static_cast<int>(c.word[i] & 0xffff0000u))};
}

/* Rounds to the element type; every output is rounded once. */
template <class T, class A>
static __device__ __forceinline__ void round_into(const pair<A> (&v)[chunk<T>::size / 2], chunk<T> &c)
{
#pragma unroll
    for (int i = 0; i < chunk<T>::size / 2; i++) {
        c.at[2 * i] = v[i].lo;
        c.at[2 * i + 1] = v[i].hi;
    }
}
static __device__ __forceinline__ void round_into(const pair<float> (&v)[4], chunk<__half> &c)
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const __half2 two = __floats2half2_rn(v[i].lo, v[i].hi);
        memcpy(&c.word[i], &two, sizeof two);
    }
}
#if __CUDA_ARCH__ < 800 /* so is the CPU's build, which knows no architecture */
/* No instruction rounds to bfloat16 there. The upper half is the result: to the nearest, ties to even. */
static __device__ __forceinline__ unsigned round_to_upper_half(float v)
{
    const unsigned bits = __float_as_uint(v);
    return v != v ? 0x7fff0000u : bits + 0x7fffu + (bits >> 16 & 1);
}
static __device__ __forceinline__ void round_into(const pair<float> (&v)[4], chunk<__nv_bfloat16> &c)
{
#pragma unroll
    for (int i = 0; i < 4; i++)
        c.word[i] = __byte_perm(round_to_upper_half(v[i].lo), round_to_upper_half(v[i].hi), 0x7632);
}
#else
static __device__ __forceinline__ void round_into(const pair<float> (&v)[4], chunk<__nv_bfloat16> &c)
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const __nv_bfloat162 two = __floats2bfloat162_rn(v[i].lo, v[i].hi);
        memcpy(&c.word[i], &two, sizeof two);
    }
}
#endif

/* A chunk of equal elements. */
template <class T>
static __device__ __forceinline__ chunk<T> splat(acc_of<T> value)
{
    pair<acc_of<T>> v[chunk<T>::size / 2];
    chunk<T> c;
#pragma unroll
    for (int i = 0; i < chunk<T>::size / 2; i++)
        v[i] = both(value);
    round_into(v, c);
    return c;
}

#endif
