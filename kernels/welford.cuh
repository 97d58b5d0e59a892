/*
 * Mean and M2 (sum of squared distances from the mean) of a row, without
 * cancellation: what one warp holds: two passes over registers, mean = sum / n,
 * M2 = sum (x - mean)^2; parts of a row:      n = na + nb, d = mb - ma, mean =
 * ma + d nb / n, M2 = M2a + M2b + d^2 na nb / n  (Chan); the warps of a block:
 * the same for all parts at once, M2 = sum (M2_w + n_w (m_w - mean)^2). RMS
 * norm is the same with the mean held at zero. Sums over lanes are butterflies:
 * every lane gets the same bits.
 */
#ifndef FUSELN_WELFORD_CUH
#define FUSELN_WELFORD_CUH

#include "chunk.cuh"

template <class A>
struct moments {
    A n, mean, m2;
};

/* LANES neighbours of a warp, a power of two. All 32 lanes of the warp must
 * call. */
template <int LANES, class A>
static __device__ __forceinline__ A sum_lanes(A v)
{
#pragma unroll
    for (int distance = LANES / 2; distance > 0; distance /= 2)
        v += __shfl_xor_sync(0xffffffffu, v, distance);
    return v;
}

/* Sum of N values, pairwise: short chains, and errors that grow with log N. */
template <int N, class A>
static __device__ __forceinline__ A sum_pairs(A (&v)[N])
{
#pragma unroll
    for (int step = 1; step < N; step *= 2)
#pragma unroll
        for (int i = 0; i + step < N; i += 2 * step)
            v[i] += v[i + step];
    return v[0];
}

template <class A>
static __device__ __forceinline__ moments<A> chan(const moments<A> &a, const moments<A> &b)
{
    const A n = a.n + b.n, d = b.mean - a.mean, share = n > 0 ? b.n * reciprocal(n) : A(0);
    const A weight = a.n * share, m2 = a.m2 + b.m2; /* no weight: nothing is added, even if d squared overflows */
    return {n, mul_add(d, share, a.mean), weight > 0 ? mul_add(d * d, weight, m2) : m2};
}

/*
 * The n elements that the LANES (<= 32) lanes of a group hold in K chunks each,
 * `counts[k]` elements valid. The rounding of a sum shifts the mean by up to an
 * ulp of it, which is nothing beside the spread of a row, unless the row is
 * constant: there the original has a mean without error and y = beta. So the
 * mean is corrected by the mean of what is left of each chunk's sum, exact for
 * equal elements, and M2 by the square of that (two steps a chunk). Sums of
 * chunks are scaled by a power of two: their sum must not overflow where the
 * original's mean is finite.
 */
template <class T, int LANES, int K>
static __device__ __forceinline__ moments<acc_of<T>> held_moments(const chunk<T> (&x)[K], const int (&counts)[K],
                                                                  acc_of<T> n, bool rms)
{
    using A = acc_of<T>;
    constexpr int E = chunk<T>::size;
    constexpr A scale = A(1) / (LANES * K * E);
    const A count = n > 0 ? n : A(1), inverse = reciprocal(count);
    A part[K], rest[K] = {}, v[E], mean = 0;
    if (!rms) {
#pragma unroll
        for (int k = 0; k < K; k++) {
            widen(x[k], v);
            rest[k] = sum_pairs(v);
            part[k] = rest[k] * scale;
        }
        mean = divide(sum_lanes<LANES>(sum_pairs(part)), count * scale, inverse / scale);
#pragma unroll
        for (int k = 0; k < K; k++)
            rest[k] = mul_add(A(-counts[k]), mean, rest[k]);
    }
#pragma unroll
    for (int k = 0; k < K; k++) {
        part[k] = 0;
        widen(x[k], v);
#pragma unroll
        for (int i = 0; i < E; i++) {
            const A d = i < counts[k] ? v[i] - mean : A(0);
            part[k] = mul_add(d, d, part[k]);
        }
    }
    A m2 = sum_lanes<LANES>(sum_pairs(part));
    if (!rms) {
        const A shift = sum_lanes<LANES>(sum_pairs(rest)) * inverse;
        const A square = n * shift * shift;
        if (m2 - m2 == 0) /* NaN and Inf stay */
            m2 = square < m2 ? m2 - square : A(0);
        mean += shift;
    }
    return {n, mean, m2};
}

/* The whole row, from the part of each warp of the block. One barrier. */
template <int WARPS, class A>
static __device__ __forceinline__ moments<A> block_moments(const moments<A> &part, A cols)
{
    __shared__ A n[WARPS], mean[WARPS], m2[WARPS];
    if (threadIdx.x % 32 == 0) {
        n[threadIdx.x / 32] = part.n;
        mean[threadIdx.x / 32] = part.mean;
        m2[threadIdx.x / 32] = part.m2;
    }
    __syncthreads();
    const int w = threadIdx.x % WARPS;
    const A pivot = mean[0];
    const A all = pivot + sum_lanes<WARPS>(product(n[w] * reciprocal(cols), mean[w] - pivot));
    const A d = mean[w] - all;
    return {cols, all, sum_lanes<WARPS>(mul_add(n[w] * d, d, m2[w]))};
}

/* Sum over all threads of a block of two values at once. One barrier. */
template <int WARPS, class A>
static __device__ __forceinline__ void block_sums(A &a, A &b)
{
    __shared__ A as[WARPS], bs[WARPS];
    if (threadIdx.x % 32 == 0) {
        as[threadIdx.x / 32] = a;
        bs[threadIdx.x / 32] = b;
    }
    __syncthreads();
    a = sum_lanes<WARPS>(as[threadIdx.x % WARPS]);
    b = sum_lanes<WARPS>(bs[threadIdx.x % WARPS]);
}

#endif
