/*
 * 16 bytes of a row, the only unit in which rows are read and written: held raw, converted when used.
 * A chunk is counted from the row's first element; `inside` is how many of its bytes belong to the row, and no other
 * byte is touched. Aligned rows take one 16-byte access per chunk. A narrow variant takes accesses of 8 or 4 bytes
 * where `width` allows, else, and in the chunk that ends the row, of one element.
 */
#ifndef FUSELN_CHUNK_CUH
#define FUSELN_CHUNK_CUH

#include <cuda_fp16.h>
#include <cuda_bf16.h>
#include "params.h"
#include "variants.h"

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

/* Products are added by these and never by `a * b + c`, so that every variant, compiler and the CPU round alike. */
static __device__ __forceinline__ float mul_add(float a, float b, float c)
{
    return fmaf(a, b, c);
}
static __device__ __forceinline__ double mul_add(double a, double b, double c)
{
    return fma(a, b, c);
}
/* A product that is added to another lane's: contracting it would round the two lanes apart. */
static __device__ __forceinline__ float product(float a, float b)
{
    return __fmul_rn(a, b);
}
static __device__ __forceinline__ double product(double a, double b)
{
    return a * b;
}
/* 1 / n and a / n for a count n: a true division brings a slow path for values that a count never has. */
static __device__ __forceinline__ float reciprocal(float n)
{
    const float guess = __fdividef(1.0f, n);
    return fmaf(fmaf(-n, guess, 1.0f), guess, guess);
}
static __device__ __forceinline__ double reciprocal(double n)
{
    return 1.0 / n;
}
template <class A>
static __device__ __forceinline__ A divide(A a, A n, A reciprocal_n)
{
    const A guess = a * reciprocal_n;
    return mul_add(mul_add(-guess, n, a), reciprocal_n, guess);
}
static __device__ __forceinline__ float inverse_root(float v)
{
    return rsqrtf(v);
}
static __device__ __forceinline__ double inverse_root(double v)
{
    return rsqrt(v);
}

template <class T>
union chunk {
    static constexpr int size = FUSELN_CHUNK_BYTES / sizeof(T);
    uint4 raw;
    uint2 half[2];
    unsigned word[4];
    T at[size];
};

/* Half types go two at a time: one instruction widens an element, one rounds a pair. */
template <class T>
static __device__ __forceinline__ void widen(const chunk<T> &c, T (&v)[chunk<T>::size])
{
#pragma unroll
    for (int i = 0; i < chunk<T>::size; i++)
        v[i] = c.at[i];
}
static __device__ __forceinline__ void widen(const chunk<__half> &c, float (&v)[8])
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        __half2 pair;
        memcpy(static_cast<void *>(&pair), &c.word[i], sizeof pair); /* not trivial to g++ */
        const float2 two = __half22float2(pair);
        v[2 * i] = two.x;
        v[2 * i + 1] = two.y;
    }
}
static __device__ __forceinline__ void widen(const chunk<__nv_bfloat16> &c, float (&v)[8])
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        v[2 * i] = __int_as_float(static_cast<int>(c.word[i] << 16));
        v[2 * i + 1] = __int_as_float(static_cast<int>(c.word[i] & 0xffff0000u));
    }
}

/* The one rounding to the element type. */
template <class T>
static __device__ __forceinline__ void narrow(const T (&v)[chunk<T>::size], chunk<T> &c)
{
#pragma unroll
    for (int i = 0; i < chunk<T>::size; i++)
        c.at[i] = v[i];
}
static __device__ __forceinline__ void narrow(const float (&v)[8], chunk<__half> &c)
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const __half2 pair = __floats2half2_rn(v[2 * i], v[2 * i + 1]);
        memcpy(&c.word[i], &pair, sizeof pair);
    }
}
static __device__ __forceinline__ void narrow(const float (&v)[8], chunk<__nv_bfloat16> &c)
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const __nv_bfloat162 pair = __floats2bfloat162_rn(v[2 * i], v[2 * i + 1]);
        memcpy(&c.word[i], &pair, sizeof pair);
    }
}

/* All elements alike. */
template <class T>
static __device__ __forceinline__ chunk<T> splat(acc_of<T> value)
{
    acc_of<T> v[chunk<T>::size];
    chunk<T> c;
#pragma unroll
    for (int i = 0; i < chunk<T>::size; i++)
        v[i] = value;
    narrow(v, c);
    return c;
}

/* Bytes of a chunk that belong to the row; in aligned rows all or none. */
template <bool NARROW, class I>
static __device__ __forceinline__ int bytes_inside(I index, I row_bytes)
{
    const I rest = row_bytes - index * FUSELN_CHUNK_BYTES;
    return rest <= 0 ? 0 : !NARROW || rest >= FUSELN_CHUNK_BYTES ? FUSELN_CHUNK_BYTES : static_cast<int>(rest);
}

/* `c` comes with the values of missing elements. */
template <class T, bool NARROW>
static __device__ __forceinline__ chunk<T> load(const char *row, long long index, int inside, int width, chunk<T> c)
{
    const char *from = row + index * FUSELN_CHUNK_BYTES;
    if (!NARROW) {
        if (inside)
            c.raw = *reinterpret_cast<const uint4 *>(from);
    } else if (inside == FUSELN_CHUNK_BYTES && width >= 8) {
        c.half[0] = reinterpret_cast<const uint2 *>(from)[0];
        c.half[1] = reinterpret_cast<const uint2 *>(from)[1];
    } else if (sizeof(T) < 4 && inside == FUSELN_CHUNK_BYTES && width == 4) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            c.word[i] = reinterpret_cast<const unsigned *>(from)[i];
    } else {
#pragma unroll
        for (int i = 0; i < chunk<T>::size; i++)
            if (i * static_cast<int>(sizeof(T)) < inside)
                c.at[i] = reinterpret_cast<const T *>(from)[i];
    }
    return c;
}

template <class T, bool NARROW>
static __device__ __forceinline__ void store(char *row, long long index, int inside, int width, const chunk<T> &c)
{
    char *to = row + index * FUSELN_CHUNK_BYTES;
    if (!NARROW) {
        if (inside)
            *reinterpret_cast<uint4 *>(to) = c.raw;
    } else if (inside == FUSELN_CHUNK_BYTES && width >= 8) {
        reinterpret_cast<uint2 *>(to)[0] = c.half[0];
        reinterpret_cast<uint2 *>(to)[1] = c.half[1];
    } else if (sizeof(T) < 4 && inside == FUSELN_CHUNK_BYTES && width == 4) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            reinterpret_cast<unsigned *>(to)[i] = c.word[i];
    } else {
#pragma unroll
        for (int i = 0; i < chunk<T>::size; i++)
            if (i * static_cast<int>(sizeof(T)) < inside)
                reinterpret_cast<T *>(to)[i] = c.at[i];
    }
}

/* A chunk of gamma or beta; NULL stands for `missing` in every column. Its own alignment decides its width: where
 * cols is odd, rows are unaligned and gamma and beta are not. */
template <class T, bool NARROW>
static __device__ __forceinline__ chunk<T> load_parameter(const void *base, long long index, int inside, int missing)
{
    const unsigned low = static_cast<unsigned>(reinterpret_cast<unsigned long long>(base)) | FUSELN_CHUNK_BYTES;
    return load<T, NARROW>(static_cast<const char *>(base), index, base ? inside : 0,
                           static_cast<int>(low & (0u - low)), splat<T>(acc_of<T>(missing)));
}

#endif
