/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mean and M2 (the sum of squared distances from the mean) of a row, without cancellation. What a group of lanes holds
 * in registers takes two passes: mean = pivot + sum (x - pivot) / n, then M2 = sum (x - mean)^2. Parts of a row are
 * combined by Chan's formula: n = na + nb, d = mb - ma, mean = ma + d nb / n, M2 = M2a + M2b + d^2 na nb / n; the parts
 * of a block's warps are combined all at once. RMS norm is the same with zero in place of the mean. Sums over lanes are
 * butterflies, so every lane gets the same bits.
 */
#ifndef FUSELN_WELFORD_CUH
#define FUSELN_WELFORD_CUH

#include "kernels/chunk.cuh"

template <class A>
struct moments {
    A n, mean, m2;
};

/* The sum over `lanes` neighbouring lanes of a warp, a power of two. LANES is the same number, or 0 where it is only
 * known at run time. All 32 lanes of the warp must call. */
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
 * Two sums over lanes at once, at half the cost: after the first exchange the lower half of the lanes sums a, the upper
 * half b. broadcast_pair() brings both sums to every lane.
 */
template <int LANES, class A>
static __device__ __forceinline__ A sum_lanes_of_pair(A a, A b, bool upper, int lanes = LANES)
{
    const A own = upper ? b : a, send = upper ? a : b;
    return sum_lanes<LANES / 2>(own + __shfl_xor_sync(0xffffffffu, send, lanes / 2), lanes / 2);
}
template <class A>
static __device__ __forceinline__ void broadcast_pair(A &a, A &b, A sums, int lanes)
{
    a = __shfl_sync(0xffffffffu, sums, 0, lanes);
    b = __shfl_sync(0xffffffffu, sums, lanes / 2, lanes);
}

/* The sum of N values by pairs: short chains of additions, and errors that grow with log N. */
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
    const A weight = a.n * share, m2 = a.m2 + b.m2; /* weight 0 adds nothing, even where d * d overflows */
    return {n, mul_add(d, share, a.mean), weight > 0 ? mul_add(d * d, weight, m2) : m2};
}

/*
 * A sum, held as its difference from n times a pivot. Where the values of the row's first chunk lie close to their
 * mean, that mean is the pivot: it is exact for a constant row of whole chunks, where the original's mean has no error
 * and y = beta, and more accurate for rows far from zero. Elsewhere the pivot is zero: around a mean near zero it would
 * only make the sum larger, and so its rounding. `rest` is scaled by a power of two, so that it does not overflow where
 * the original's mean is finite; the sum of a chunk, which is not, does from 2^125 on (float: 2^126).
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

template <class A, int P>
static __device__ __forceinline__ A chunk_sum(const pair<A> (&v)[P])
{
    pair<A> copy[P];
#pragma unroll
    for (int i = 0; i < P; i++)
        copy[i] = v[i];
    const pair<A> sum = sum_pairs(copy);
    return sum.lo + sum.hi;
}

/* The pivot of the row, from its first lane: `first` are two of the `count` elements of its first chunk, with that sum.
 */
template <class A, class Tile>
static __device__ __forceinline__ A pivot_of(const pair<A> &first, A sum, A count, const Tile &tile)
{
    constexpr int E = Tile::E;
    A pivot = sum * (A(1) / E);
    if (Tile::MAY_BE_RAGGED && count < E)
        pivot = count > 0 ? sum * reciprocal(count) : sum;
    /* Of rows around zero, one in thousands passes by chance. */
    const A distance_max = fabs(pivot) * A(0.03125f);
    const bool close = (fabs(first.lo - pivot) <= distance_max) & (fabs(first.hi - pivot) <= distance_max);
    return __shfl_sync(0xffffffffu, close ? pivot : A(0), 0, tile.group());
}

/* Widens x into v, P pairs a chunk. Returns the sum of what the lanes of one warp that share the row hold; `tile` says
 * which elements exist, and missing ones are zero. */
template <int K, class T, class A, int P, class Tile>
static __device__ __forceinline__ pivoted<A> held_sum(const chunk<T> (&x)[K], pair<A> (&v)[K][P], const Tile &tile)
{
    constexpr int E = 2 * P;
    A part[K] = {}, pivot = 0, scaled[K / 2];
#pragma unroll
    for (int k = 0; k < K && tile.reaches(k); k++) {
        A count = tile.has(k) ? A(E) : A(0);
        if (Tile::MAY_BE_RAGGED)
            count = tile.full(k) ? A(E) : A(tile.count(k));
        widen(x[k], v[k]);
        part[k] = chunk_sum(v[k]);
        if (k == 0)
            pivot = pivot_of(v[0][0], part[0], count, tile);
        part[k] = mul_add(-count, pivot, part[k]);
    }
#pragma unroll
    for (int k = 0; k < K / 2; k++)
        scaled[k] = (part[2 * k] + part[2 * k + 1]) * A(sum_scale<K, E>());
    return {pivot, sum_lanes<Tile::GROUP>(sum_pairs(scaled), tile.group())};
}

/* v becomes v - mean, missing elements stay zero. Returns the sum of the squares. */
template <int K, class A, int P, class Tile>
static __device__ __forceinline__ A held_squares(pair<A> (&v)[K][P], const Tile &tile, A mean)
{
    A part[K] = {};
#pragma unroll
    for (int k = 0; k < K && tile.reaches(k); k++) {
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
        pair<A> sum = mul(v[k][0], v[k][0]);
#pragma unroll
        for (int i = 1; i < P; i++)
            sum = mul_add(v[k][i], v[k][i], sum);
        part[k] = sum.lo + sum.hi;
    }
    return sum_lanes<Tile::GROUP>(sum_pairs(part), tile.group());
}

/* Mean and M2, but not n, of the elements that a group of lanes holds in x; v becomes x - mean. For RMS norm v becomes
 * x and M2 the sum of its squares, but the mean returned is still the row's. */
template <int K, class T, class A, int P, class Tile>
static __device__ __forceinline__ moments<A> held_moments(const chunk<T> (&x)[K], pair<A> (&v)[K][P], const Tile &tile,
                                                          A inverse_n, bool rms)
{
    const pivoted<A> sum = held_sum(x, v, tile); /* also for RMS norm: to branch around it costs more */
    const A mean = mul_add(sum.rest, inverse_n * A(1 / sum_scale<K, 2 * P>()), sum.pivot);
    return {0, mean, held_squares(v, tile, rms ? A(0) : mean)};
}

/* The same for a row that all warps of a block hold, with two barriers. WARPS as LANES of sum_lanes(): 0 also takes
 * rows that lanes of one warp share. */
template <int WARPS, int K, class T, class A, int P, class Tile>
static __device__ __forceinline__ moments<A> block_held_moments(const chunk<T> (&x)[K], pair<A> (&v)[K][P],
                                                                const Tile &tile, A inverse_cols, bool rms)
{
    constexpr A scale = sum_scale<K, 2 * P>();
    __shared__ pivoted<A> sums[FUSELN_ROW_WARPS];
    __shared__ A squares[FUSELN_ROW_WARPS];
    const bool shared = tile.lanes() > 32, leads = threadIdx.x % 32 == 0;
    const int warps = tile.lanes() / 32, w = threadIdx.x % (shared ? warps : 1), own = threadIdx.x / 32;
    const pivoted<A> sum = held_sum(x, v, tile);
    A pivot = sum.pivot, rest = sum.rest;
    if (shared) {
        if (leads)
            sums[own] = sum;
        __syncthreads();
        const pivoted<A> part = sums[w];
        pivot = sums[0].pivot;
        rest = sum_lanes<WARPS>(mul_add(tile.held(w) * scale, part.pivot - pivot, part.rest), warps);
    }
    const A mean = mul_add(rest, inverse_cols * (1 / scale), pivot);
    A m2 = held_squares(v, tile, rms ? A(0) : mean);
    if (shared) {
        if (leads)
            squares[own] = m2;
        __syncthreads();
        m2 = sum_lanes<WARPS>(squares[w], warps);
    }
    return {0, mean, m2};
}

/* The moments of a row from those that the block's warps have of its parts. `slots`: shared, one a warp. One barrier.
 */
template <int WARPS, class A>
static __device__ __forceinline__ moments<A> block_moments(moments<A> *slots, const moments<A> &part, A cols,
                                                           A inverse_cols)
{
    if (threadIdx.x % 32 == 0)
        slots[threadIdx.x / 32] = part;
    __syncthreads();
    const moments<A> own = slots[threadIdx.x % WARPS];
    const A pivot = slots[0].mean;
    const A mean = pivot + sum_lanes<WARPS>(own.n * inverse_cols * (own.mean - pivot));
    const A d = own.mean - mean;
    return {cols, mean, sum_lanes<WARPS>(mul_add(own.n * d, d, own.m2))};
}

#endif
