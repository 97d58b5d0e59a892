/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of the backward, shared by all of its kernels, so that their bits agree. With
 * xhat = (x - mean) rstd and g = gamma dy:
 *   s1 = sum g, s2 = sum g xhat over a row;  dx = rstd g - rstd/N (s1 + xhat s2);
 *   dgamma = sum dy xhat, dbeta = sum dy over rows.
 * RMS norm has no mean, no s1 and no dbeta.
 */
#ifndef FUSELN_GRADIENT_CUH
#define FUSELN_GRADIENT_CUH

#include "kernels/row.cuh"

/* x becomes xhat. */
template <int P, class A>
static __device__ __forceinline__ void standardise(pair<A> (&x)[P], A mean, A rstd)
{
#pragma unroll
    for (int i = 0; i < P; i++)
        x[i] = mul(add(x[i], both(-mean)), both(rstd));
}

/* Elements that the row lacks have zeros for x and dy, which add nothing to its sums unless mean x rstd overflows, as
 * in rows of one enormous value: 0 x Inf is NaN. Only then their xhat becomes zero. */
template <class Tile, class A, int K, int P>
static __device__ __forceinline__ void clear_missing(pair<A> (&xhat)[K][P], const Tile &tile, A mean, A rstd)
{
    if (isfinite(mean * rstd))
        return;
    asm volatile("");
#pragma unroll
    for (int k = 0; k < K; k++) {
        const int count = tile.count(k);
#pragma unroll
        for (int i = 0; i < P; i++) {
            xhat[k][i].lo = 2 * i < count ? xhat[k][i].lo : A(0);
            xhat[k][i].hi = 2 * i + 1 < count ? xhat[k][i].hi : A(0);
        }
    }
}

/* Computes g from dy, and adds its and xhat's terms to the row's sums, those of even and of odd elements apart. */
template <int P, class A>
static __device__ __forceinline__ void row_sums(const pair<A> (&xhat)[P], const pair<A> (&dy)[P], pair<A> (&g)[P],
                                                const pair<A> (&gamma)[P], pair<A> &s1, pair<A> &s2, bool first)
{
#pragma unroll
    for (int i = 0; i < P; i++) {
        g[i] = mul(gamma[i], dy[i]);
        s1 = first && i == 0 ? g[i] : add(s1, g[i]);
        s2 = first && i == 0 ? mul(g[i], xhat[i]) : mul_add(g[i], xhat[i], s2);
    }
}

/* The sums of a row become the factors f1 and f2 of input_gradient(). */
template <class A>
static __device__ __forceinline__ void row_factors(const fuseln_ln_params &p, A &s1, A &s2, A rstd, bool rms)
{
    const A share = rstd * inverse_cols<A>(p);
    s1 = rms ? A(0) : s1 * -share;
    s2 = s2 * -share;
}

template <class T, class A, int P>
static __device__ __forceinline__ chunk<T> input_gradient(const pair<A> (&xhat)[P], const pair<A> (&g)[P], A rstd, A f1,
                                                          A f2)
{
    pair<A> v[P];
#pragma unroll
    for (int i = 0; i < P; i++)
        v[i] = mul_add(xhat[i], both(f2), mul_add(g[i], both(rstd), both(f1)));
    chunk<T> dx;
    round_into(v, dx);
    return dx;
}

template <int P, class A>
static __device__ __forceinline__ void column_sums(pair<A> (&dgamma)[P], pair<A> (&dbeta)[P], const pair<A> (&xhat)[P],
                                                   const pair<A> (&dy)[P])
{
#pragma unroll
    for (int i = 0; i < P; i++) {
        dgamma[i] = mul_add(dy[i], xhat[i], dgamma[i]);
        dbeta[i] = add(dbeta[i], dy[i]);
    }
}

/*
 * Programmatic dependent launch, from compute capability 9.0 on: DGAMMA's second kernel, launched so, may start once
 * every block of the first one has ended or said FUSELN_DEPENDENTS_START, and not before FUSELN_DEPENDENCY_WAIT has it
 * what the first one wrote. Elsewhere both are nothing: the second kernel is launched as any other.
 * Every block of the second waits, also one that has nothing to do. The kernel that the program launches next may start
 * when the blocks of the second have ended; if one ended without waiting, that could be before the first kernel has.
 * A pass that writes dX never says START: what comes next may be a kernel of the program's, which may rely on it that
 * PyTorch's own kernel does not.
 */
#ifndef FUSELN_DEPENDENCY_WAIT /* the CPU build has its own */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define FUSELN_DEPENDENTS_START() asm volatile("griddepcontrol.launch_dependents;" ::: "memory")
#define FUSELN_DEPENDENCY_WAIT()  asm volatile("griddepcontrol.wait;" ::: "memory")
#else
#define FUSELN_DEPENDENTS_START() ((void)0)
#define FUSELN_DEPENDENCY_WAIT()  ((void)0)
#endif
#endif

/* Elements from one partial row to the next, rounded up so that 16-byte accesses stay aligned. */
static __device__ __forceinline__ long long partial_pitch(long long cols)
{
    return (cols + FUSELN_PARTIAL_ALIGN - 1) / FUSELN_PARTIAL_ALIGN * FUSELN_PARTIAL_ALIGN;
}

/* Writes the sums of a chunk's columns to a partial row: `count` of them, rounded up to 16 bytes. */
template <int P, class A>
static __device__ __forceinline__ void write_sums(A *to, const pair<A> (&sum)[P], int count)
{
    constexpr int pairs = chunk<A>::size / 2;
#pragma unroll
    for (int i = 0; i < P; i += pairs) {
        chunk<A> c;
#pragma unroll
        for (int j = 0; j < pairs; j++) {
            c.at[2 * j] = sum[i + j].lo;
            c.at[2 * j + 1] = sum[i + j].hi;
        }
        if (2 * i < count)
            *reinterpret_cast<uint4 *>(to + 2 * i) = c.raw;
    }
}

#endif
