/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mean and M2 (sum of squared distances from the mean) of a row, without cancellation: what a group of lanes holds in
 * registers by two passes, mean = pivot + sum (x - pivot) / n, then M2 = sum (x - mean)^2; parts of a row by
 * n = na + nb, d = mb - ma, mean = ma + d nb / n, M2 = M2a + M2b + d^2 na nb / n (Chan); the warps of a block for all
 * parts at once. RMS norm is the same with zero in place of the mean. Sums over lanes are butterflies: every lane gets
 * the same bits.
 */
#ifndef FUSELN_WELFORD_CUH
#define FUSELN_WELFORD_CUH

#include "kernels/chunk.cuh"

template <class A>
struct moments {
    A n, mean, m2;
};

/* `lanes` neighbours of a warp, a power of two; LANES is the same number, or 0 where it is not known at compile time.
 * All 32 lanes of the warp must call. */
template <int LANES, class A>
static __device__ __forceinline__ A sum_lanes(A v, int lanes = LANES)
{
    if constexpr (LANES == 0) {
#pragma unroll 1
        for (int distance = lanes / 2; distance > 0; distance /= 2)
            v += __shfl_xor_sync(0xffffffffu, v, distance);
    } else {
#pragma unroll
        for (int distance = LANES / 2; distance > 0; distance /= 2)
            v += __shfl_xor_sync(0xffffffffu, v, distance);
    }
    return v;
}

/*
 * Two sums over lanes at once, at half the price: after the first exchange the lower half of the lanes carries a, the
 * upper half b. take_pair() gives both to every lane.
 */
template <int LANES, class A>
static __device__ __forceinline__ A sum_lanes_of_pair(A a, A b, bool upper, int lanes = LANES)
{
    const A keep = upper ? b : a, send = upper ? a : b;
    return sum_lanes<LANES / 2>(keep + __shfl_xor_sync(0xffffffffu, send, lanes / 2), lanes / 2);
}
template <class A>
static __device__ __forceinline__ void take_pair(A &a, A &b, A sums, int lanes)
{
    a = __shfl_sync(0xffffffffu, sums, 0, lanes);
    b = __shfl_sync(0xffffffffu, sums, lanes / 2, lanes);
}

/* Sum of N values, pairwise: short chains, and errors that grow with log N. */
template <int N, class A>
static __device__ __forceinline__ A sum_pairs(A (&v)[N])
{
#pragma unroll
    for (int step = 1; step < N; step *= 2)
#pragma unroll
        for (int i = 0; i + step < N; i += 2 * step)
            v[i] = add(v[i], v[i + step]);
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
 * A sum as what it is beyond n times a pivot. Where the row's first chunk is narrow beside its mean, the pivot is that
 * mean: exact for a constant row of whole chunks, where the original has a mean without error and y = beta, and better
 * far from zero. Else it is zero: around a mean near zero a pivot would only make the sum larger, and its rounding.
 * `rest` is scaled by a power of two: it must not overflow where the original's mean is finite.
 */
template <class A>
struct alignas(2 * sizeof(A)) pivoted {
    A pivot, rest;
};
template <int K, int E>
static __device__ __forceinline__ constexpr float sum_scale()
{
    return 1.0f / (1024 * K * E);
}

/* `tile` says which elements the lanes of a warp that share the row hold in v, P pairs of them a chunk; missing ones
 * are zero. */
template <int K, class A, int P, class Tile>
static __device__ __forceinline__ pivoted<A> held_sum(const pair<A> (&v)[K][P], const Tile &tile)
{
    constexpr int E = 2 * P;
    A part[K];
#pragma unroll
    for (int k = 0; k < K; k++) {
        pair<A> copy[P];
#pragma unroll
        for (int i = 0; i < P; i++)
            copy[i] = v[k][i];
        const pair<A> sum = sum_pairs(copy);
        part[k] = sum.lo + sum.hi;
    }
    A counts[K], scaled[K / 2];
#pragma unroll
    for (int k = 0; k < K; k++) {
        counts[k] = tile.has(k) ? A(E) : A(0);
        if (Tile::MAY_BE_RAGGED)
            counts[k] = tile.full(k) ? A(E) : A(tile.count(k));
    }
    A pivot = part[0] * (A(1) / E);
    if (Tile::MAY_BE_RAGGED && !tile.full(0)) {
        const A first = counts[0] > 0 ? counts[0] : A(1);
        pivot = first < E ? part[0] * reciprocal(first) : pivot;
    }
    /* Around zero, both are so near in one row of thousands by chance. */
    const A near = absolute(pivot) * A(0.03125f);
    const bool narrow = (absolute(v[0][0].lo - pivot) <= near) & (absolute(v[0][0].hi - pivot) <= near);
    pivot = narrow ? pivot : A(0);
    pivot = __shfl_sync(0xffffffffu, pivot, 0, tile.group());
#pragma unroll
    for (int k = 0; k < K; k++)
        part[k] = mul_add(-counts[k], pivot, part[k]);
#pragma unroll
    for (int k = 0; k < K / 2; k++)
        scaled[k] = (part[2 * k] + part[2 * k + 1]) * A(sum_scale<K, E>());
    return {pivot, sum_lanes<Tile::GROUP>(sum_pairs(scaled), tile.group())};
}

/* v becomes v - mean, missing elements stay zero; their squares are summed. */
template <int K, class A, int P, class Tile>
static __device__ __forceinline__ A held_squares(pair<A> (&v)[K][P], const Tile &tile, A mean)
{
#pragma unroll
    for (int k = 0; k < K; k++) {
        const pair<A> subtract = both(Tile::MAY_BE_RAGGED || tile.has(k) ? -mean : A(0));
#pragma unroll
        for (int i = 0; i < P; i++)
            v[k][i] = add(v[k][i], subtract);
        if (Tile::MAY_BE_RAGGED && !tile.full(k)) {
            const int count = tile.count(k);
#pragma unroll
            for (int i = 0; i < P; i++) {
                v[k][i].lo = 2 * i < count ? v[k][i].lo : A(0);
                v[k][i].hi = 2 * i + 1 < count ? v[k][i].hi : A(0);
            }
        }
    }
    A part[K];
#pragma unroll
    for (int k = 0; k < K; k++) {
        pair<A> sum = mul(v[k][0], v[k][0]);
#pragma unroll
        for (int i = 1; i < P; i++)
            sum = mul_add(v[k][i], v[k][i], sum);
        part[k] = sum.lo + sum.hi;
    }
    return sum_lanes<Tile::GROUP>(sum_pairs(part), tile.group());
}

/* Mean and M2 of what a group of lanes holds, n elements; v becomes v - mean. For RMS norm v stays and M2 is the sum of
 * its squares, but mean is the row's all the same. */
template <int K, class A, int P, class Tile>
static __device__ __forceinline__ moments<A> held_moments(pair<A> (&v)[K][P], const Tile &tile, A n, A inverse_n,
                                                          bool rms)
{
    const pivoted<A> sum = held_sum(v, tile); /* for RMS norm too: a branch around it costs more */
    const A mean = mul_add(sum.rest, inverse_n * A(1 / sum_scale<K, 2 * P>()), sum.pivot);
    return {n, mean, held_squares(v, tile, rms ? A(0) : mean)};
}

/* The same for a row that a block holds, `warps` of them (WARPS, or 0 as above). Two barriers. */
template <int WARPS, int K, class A, int P, class Tile>
static __device__ __forceinline__ moments<A> block_held_moments(pair<A> (&v)[K][P], const Tile &tile, A cols,
                                                                A inverse_cols, bool rms)
{
    constexpr A scale = sum_scale<K, 2 * P>();
    __shared__ pivoted<A> sums[FUSELN_ROW_WARPS];
    __shared__ A counts[FUSELN_ROW_WARPS], squares[FUSELN_ROW_WARPS];
    const int warps = tile.lanes() / 32, w = threadIdx.x % warps, own = threadIdx.x / 32;
    const bool leads = threadIdx.x % 32 == 0;
    const pivoted<A> sum = held_sum(v, tile);
    A count = tile.held() * scale;
    if (leads) {
        sums[own] = sum;
        if (!Tile::ALL_FULL)
            counts[own] = count;
    }
    __syncthreads();
    if (!Tile::ALL_FULL)
        count = counts[w];
    const pivoted<A> part = sums[w];
    const A pivot = sums[0].pivot, rest = mul_add(count, part.pivot - pivot, part.rest);
    const A mean = mul_add(sum_lanes<WARPS>(rest, warps), inverse_cols * (1 / scale), pivot);
    const A m2 = held_squares(v, tile, rms ? A(0) : mean);
    if (leads)
        squares[own] = m2;
    __syncthreads();
    return {cols, mean, sum_lanes<WARPS>(squares[w], warps)};
}

/* A whole row from the parts of the warps of a block. `slots` are shared, one for each warp. One barrier. */
template <int WARPS, class A>
static __device__ __forceinline__ moments<A> block_moments(moments<A> *slots, const moments<A> &part, A cols,
                                                           A inverse_cols)
{
    if (threadIdx.x % 32 == 0)
        slots[threadIdx.x / 32] = part;
    __syncthreads();
    const moments<A> own = slots[threadIdx.x % WARPS];
    const A pivot = slots[0].mean;
    const A mean = pivot + sum_lanes<WARPS>(product(own.n * inverse_cols, own.mean - pivot));
    const A d = own.mean - mean;
    return {cols, mean, sum_lanes<WARPS>(mul_add(own.n * d, d, own.m2))};
}

#endif
