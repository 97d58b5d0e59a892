/*
 * DX: with xhat = (x - mean) rstd,
 *   s1 = sum gamma dy, s2 = sum gamma dy xhat, dx = (N gamma dy - xhat s2 - s1) rstd / N.
 * RMS norm (NULL mean) has xhat = x rstd and no s1. X and dY are read once and held in registers, rows over 32 KB
 * twice.
 */
#include "row.cuh"

template <class T, int LANES, int K, bool TWICE, bool NARROW>
static __device__ __forceinline__ void input_gradient(const fuseln_ln_params &p)
{
    using place = row_place<T, LANES, K, TWICE, NARROW>;
    using A = acc_of<T>;
    constexpr int E = chunk<T>::size;
    const place at(p);
    const A mean = row_value<A>(p.mean, at.row, at.bytes > 0), rstd = row_value<A>(p.rstd, at.row, at.bytes > 0);
    chunk<T> x[K], dy[K], gammas[K]; /* aligned variants load gamma again, from the cache: fewer registers */
    A s1 = 0, s2 = 0;
    long long first = 0;
    do {
        A s1_part[K], s2_part[K];
        at.load_tile(x, p.x, first);
        at.load_tile(dy, p.dy, first);
        if (NARROW)
            at.parameter_tile(gammas, p.gamma, first, 1);
#pragma unroll
        for (int k = 0; k < K; k++) {
            const chunk<T> gamma = NARROW ? gammas[k] : at.parameter(p.gamma, first, k, 1);
            A v[E], d[E], g[E];
            widen(x[k], v);
            widen(dy[k], d);
            widen(gamma, g);
            s1_part[k] = s2_part[k] = 0;
#pragma unroll
            for (int i = 0; i < E; i++) { /* elements beyond the row have dy = 0 and add nothing */
                s1_part[k] = mul_add(g[i], d[i], s1_part[k]);
                s2_part[k] = mul_add(g[i] * d[i], (v[i] - mean) * rstd, s2_part[k]);
            }
        }
        s1 += sum_pairs(s1_part);
        s2 += sum_pairs(s2_part);
        first += place::tile;
    } while (at.more(first));
    s1 = sum_lanes<place::group>(s1);
    s2 = sum_lanes<place::group>(s2);
    if (LANES > 32)
        block_sums<(LANES > 32 ? LANES / 32 : 1)>(s1, s2);
    if (!p.mean)
        s1 = 0;
    const A n = A(p.cols), scale = rstd * reciprocal(n);
    first = 0;
    do {
        if (TWICE) {
            at.load_tile(x, p.x, first);
            at.load_tile(dy, p.dy, first);
        }
        if (NARROW && TWICE)
            at.parameter_tile(gammas, p.gamma, first, 1);
#pragma unroll
        for (int k = 0; k < K; k++) {
            const chunk<T> gamma = NARROW ? gammas[k] : at.parameter(p.gamma, first, k, 1);
            A v[E], d[E], g[E];
            widen(x[k], v);
            widen(dy[k], d);
            widen(gamma, g);
#pragma unroll
            for (int i = 0; i < E; i++)
                v[i] = mul_add((mean - v[i]) * rstd, s2, mul_add(n, g[i] * d[i], -s1)) * scale;
            narrow(v, x[k]);
        }
        at.store_tile(p.dx, first, x);
        first += place::tile;
    } while (at.more(first));
}

#define KERNEL(name, module, id, type, lanes, chunks, twice, narrow)                                     \
    extern "C" __global__ void __launch_bounds__(row_place<type, lanes, chunks, twice, narrow>::threads) \
        name(const struct fuseln_ln_params p)                                                            \
    {                                                                                                    \
        input_gradient<type, lanes, chunks, twice, narrow>(p);                                           \
    }
FUSELN_DX_VARIANTS(KERNEL)
#undef KERNEL
