/*
 * FORWARD and MOMENTS:
 *   mean = sum x / N, rstd = 1 / sqrt(sum (x - mean)^2 / N + eps), y = gamma ((x - mean) rstd) + beta.
 * The row is held in registers from its only read to its write; rows over 32 KB are read a second time.
 * A NULL mean means RMS norm, a NULL y that only the statistics are wanted.
 */
#include "row.cuh"

template <class T, int LANES, int K, bool TWICE, bool NARROW>
static __device__ __forceinline__ void forward(const fuseln_ln_params &p)
{
    using place = row_place<T, LANES, K, TWICE, NARROW>;
    using A = acc_of<T>;
    const place at(p);
    const bool rms = !p.mean;
    chunk<T> x[K];
    moments<A> m = {0, 0, 0};
    long long first = 0;
    do {
        int counts[K];
        at.load_tile(x, p.x, first);
#pragma unroll
        for (int k = 0; k < K; k++)
            counts[k] = at.inside(first, k) / static_cast<int>(sizeof(T));
        const moments<A> part = held_moments<T, place::group>(x, counts, at.held(first), rms);
        m = TWICE ? chan(m, part) : part;
        first += place::tile;
    } while (at.more(first));
    if (LANES > 32)
        m = block_moments<(LANES > 32 ? LANES / 32 : 1)>(m, A(p.cols));
    const A rstd = inverse_root(mul_add(m.m2, reciprocal(A(p.cols)), A(p.eps)));
    if (at.leads()) {
        static_cast<A *>(p.rstd)[at.row] = rstd;
        if (!rms)
            static_cast<A *>(p.mean)[at.row] = m.mean;
    }
    if (!p.y)
        return;
    first = 0;
    do {
        if (TWICE)
            at.load_tile(x, p.x, first);
        chunk<T> gamma[K], beta[K]; /* all loads before the first store: they may be in flight together */
        at.parameter_tile(gamma, p.gamma, first, 1);
        at.parameter_tile(beta, p.beta, first, 0);
#pragma unroll
        for (int k = 0; k < K; k++)
            x[k] = normalise(x[k], m.mean, rstd, gamma[k], beta[k]);
        at.store_tile(p.y, first, x);
        first += place::tile;
    } while (at.more(first));
}

#define KERNEL(name, module, id, type, lanes, chunks, twice, narrow)                                     \
    extern "C" __global__ void __launch_bounds__(row_place<type, lanes, chunks, twice, narrow>::threads) \
        name(const struct fuseln_ln_params p)                                                            \
    {                                                                                                    \
        forward<type, lanes, chunks, twice, narrow>(p);                                                  \
    }
FUSELN_FORWARD_VARIANTS(KERNEL)
#undef KERNEL
