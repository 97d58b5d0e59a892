/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FORWARD of a sum, or with gamma_add: s = x + bias + residual, y = gamma' ((s - mean) rstd) + beta, gamma' = gamma_add
 * + gamma. As p.rounding says, each addition is rounded to the element type, in one order or the other, and y is the
 * norm of the s that is stored; else s is normalised as it is in float, and rounded only to be stored. A warp takes 4
 * KB of a row, and a row has at most 16 warps. Their lanes hold the chunks of an aligned row in registers. Of an
 * unaligned row (STAGED) they share out the elements one by one, which takes whole lines from memory, and leave the
 * sums in shared memory, for the lanes that add up the same chunks in the same order. y may be x, and sum may be
 * residual: what a thread writes, all threads have read. x and residual never take the read-only path, which need not
 * see what other threads write.
 */
#include "kernels/row.cuh"

/* x + c, each sum rounded. */
template <class T>
static __device__ __forceinline__ void add_rounded(chunk<T> &x, const chunk<T> &c)
{
    pair<acc_of<T>> v[chunk<T>::size / 2], addend[chunk<T>::size / 2];
    widen(x, v);
    widen(c, addend);
#pragma unroll
    for (int i = 0; i < chunk<T>::size / 2; i++)
        v[i] = add(v[i], addend[i]);
    round_into(v, x);
}
/* The same of two half types at a time. It rounds as a float sum that is rounded: float has more than twice their
 * digits. */
template <class PAIR, class T>
static __device__ __forceinline__ void add_rounded_pairs(chunk<T> &x, const chunk<T> &c)
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        PAIR a, b;
        memcpy(static_cast<void *>(&a), &x.word[i], sizeof a); /* not trivial to g++ */
        memcpy(static_cast<void *>(&b), &c.word[i], sizeof b);
        a = __hadd2(a, b);
        memcpy(&x.word[i], &a, sizeof a);
    }
}
static __device__ __forceinline__ void add_rounded(chunk<__half> &x, const chunk<__half> &c)
{
    add_rounded_pairs<__half2>(x, c);
}
#if __CUDA_ARCH__ / 100 != 7 /* no instruction adds bfloat16 there; the CPU's build knows no architecture */
static __device__ __forceinline__ void add_rounded(chunk<__nv_bfloat16> &x, const chunk<__nv_bfloat16> &c)
{
    add_rounded_pairs<__nv_bfloat162>(x, c);
}
#endif

template <class T, int K, bool STAGED>
struct residual {
    using A = acc_of<T>;
    using tile_type = row_tile<T, 32, K, STAGED ? ANY : SKIPPED>;
    enum : int {
        E = chunk<T>::size,
        P = E / 2,
        WARP_COLS = 32 * K * E,
        HELD = STAGED ? 1 : K, /* chunks in registers */
        FEW = 4                /* chunks of gamma and beta, or elements of a staged row, that are loaded together */
    };

    const fuseln_ln_params &p;
    const int cols, warps, warp; /* of the row; a row of one warp shares its block with others */
    const unsigned row;          /* rows < 2^31 */
    const long long pitch;
    const tile_type tile; /* the warp's part of the row */
    const long long own;  /* the lane's first byte of the row */
    pair<A> v[HELD][P];

    __device__ __forceinline__ explicit residual(const fuseln_ln_params &params)
        : p(params), cols(static_cast<int>(p.cols)), warps(cols > WARP_COLS ? static_cast<int>(blockDim.x / 32) : 1),
          warp(warps > 1 ? threadIdx.x / 32 : 0),
          row(warps > 1 ? blockIdx.x : blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32),
          pitch(p.cols * static_cast<long long>(sizeof(T))),
          tile(pitch, warp * static_cast<long long>(WARP_COLS * sizeof(T))),
          own(warp * static_cast<long long>(WARP_COLS * sizeof(T)) + tile.own())
    {
    }
    /* This lane's part of a row, or of bias, gamma or beta. */
    __device__ __forceinline__ const char *row_of(const void *base) const
    {
        return static_cast<const char *>(base) + row * pitch + own;
    }
    __device__ __forceinline__ const char *part_of(const void *base) const
    {
        return static_cast<const char *>(base) + own;
    }

    /* Aligned rows: v becomes the sum, one addition at a time; c is that sum rounded. */
    __device__ __forceinline__ void load(chunk<T> (&c)[K], const char *from) const
    {
#pragma unroll
        for (int k = 0; k < K && tile.reaches(k); k++)
            tile.load(c[k], from, k);
    }
    __device__ __forceinline__ void store_sum(int k, const chunk<T> &c) const
    {
        if (p.sum && tile.has(k))
            *reinterpret_cast<uint4 *>(static_cast<char *>(p.sum) + row * pitch + own + tile.step(k)) = c.raw;
    }
    /* By value, not by branch: of loops that load from here the compiler would make two of each. */
    __device__ __forceinline__ const char *addend(bool bias) const
    {
        return part_of(bias ? p.bias : p.residual) + (bias ? 0 : row * pitch);
    }
    __device__ __forceinline__ void add_up()
    {
        bool more = p.bias && p.residual;
        const bool bias_last = p.rounding == FUSELN_BIAS_LAST;
        const char *const last = addend(bias_last);
        chunk<T> x[K], c[K];
        load(x, row_of(p.x));
        if (p.bias || p.residual) {
            load(c, addend(bias_last ? !p.residual : p.bias != nullptr));
        } else {
#pragma unroll
            for (int k = 0; k < K; k++)
                c[k] = splat<T>(-0.0f); /* changes nothing, not even a zero's sign */
        }
        if (p.rounding) {
#pragma unroll 1
            for (;; more = false) {
#pragma unroll
                for (int k = 0; k < K && tile.reaches(k); k++)
                    add_rounded(x[k], c[k]);
                if (!more)
                    break;
                load(c, last);
            }
#pragma unroll
            for (int k = 0; k < K && tile.reaches(k); k++) {
                store_sum(k, x[k]);
                widen(x[k], v[k]);
            }
            return;
        }
#pragma unroll
        for (int k = 0; k < K && tile.reaches(k); k++)
            widen(x[k], v[k]);
#pragma unroll 1
        for (;; more = false) {
#pragma unroll
            for (int k = 0; k < K && tile.reaches(k); k++) {
                pair<A> addend[P];
                widen(c[k], addend);
#pragma unroll
                for (int i = 0; i < P; i++)
                    v[k][i] = add(v[k][i], addend[i]);
                round_into(v[k], c[k]);
            }
            if (!more)
                break;
            load(c, last);
        }
#pragma unroll
        for (int k = 0; k < K && tile.reaches(k); k++)
            store_sum(k, c[k]);
    }

    __device__ __forceinline__ void output(A rstd) const
    {
        char *to = static_cast<char *>(p.y) + row * pitch + own;
        chunk<T> gamma[FEW], beta[FEW];
#pragma unroll
        for (int k = 0; k < K && tile.reaches(k); k++) {
#pragma unroll
            for (int i = 0; i < FEW && k % FEW == 0 && tile.reaches(k + i); i++) {
                gamma[i] = splat<T>(1);
                if (p.gamma)
                    tile.load(gamma[i], part_of(p.gamma), k + i);
                if (p.beta)
                    tile.load(beta[i], part_of(p.beta), k + i);
            }
            pair<A> g[P], b[P] = {};
            widen(gamma[k % FEW], g);
            if (p.beta)
                widen(beta[k % FEW], b);
            if (p.gamma_add != 0) { /* mostly it is */
#pragma unroll
                for (int i = 0; i < P; i++)
                    g[i] = add(g[i], both(A(p.gamma_add)));
            }
            const chunk<T> y = affine<T>(v[k], rstd, g, b);
            if (tile.has(k))
                *reinterpret_cast<uint4 *>(to + tile.step(k)) = y.raw;
        }
    }

    /* Staged rows: the sums, in order, zeros after them up to a whole chunk. */
    __device__ __forceinline__ int padded() const
    {
        return (cols + E - 1) / E * E;
    }
    __device__ __forceinline__ A *window() const
    {
        extern __shared__ uint4 fuseln_smem[];
        return reinterpret_cast<A *>(fuseln_smem) + (warps > 1 ? 0 : threadIdx.x / 32 * padded());
    }
    __device__ __forceinline__ void sync() const
    {
        if (warps > 1)
            __syncthreads();
        else
            __syncwarp();
    }
    __device__ __forceinline__ void add_element(A &sum, T &c, T addend) const
    {
        sum = add(sum, A(addend));
        c = sum;
        if (p.rounding)
            sum = c;
    }
    __device__ __forceinline__ void stage() const
    {
        const long long from = row * p.cols;
        const T *const x = static_cast<const T *>(p.x) + from, *const bias = static_cast<const T *>(p.bias);
        const T *const other = p.residual ? static_cast<const T *>(p.residual) + from : nullptr;
        const bool bias_last = p.rounding == FUSELN_BIAS_LAST;
        const T *const first_addend = bias_last ? other : bias, *const last_addend = bias_last ? bias : other;
        T *const sum = p.sum ? static_cast<T *>(p.sum) + from : nullptr;
        A *const to = window();
        const int threads = warps * 32;
#pragma unroll 1
        for (int first = warp * 32 + tile.lane; first < padded(); first += FEW * threads) {
            T s[FEW], r[FEW];
#pragma unroll
            for (int n = 0; n < FEW; n++) {
                const int i = first + n * threads;
                if (i < cols)
                    s[n] = x[i];
                if (i < cols && last_addend)
                    r[n] = last_addend[i];
            }
#pragma unroll
            for (int n = 0; n < FEW; n++) {
                const int i = first + n * threads;
                A total = 0;
                if (i < cols) {
                    total = s[n];
                    if (first_addend)
                        add_element(total, s[n], first_addend[i]);
                    if (last_addend)
                        add_element(total, s[n], r[n]);
                    if (sum)
                        sum[i] = s[n];
                }
                if (i < padded())
                    to[i] = total;
            }
        }
        sync();
    }
    __device__ __forceinline__ void output_staged(A mean, A rstd) const
    {
        T *const y = static_cast<T *>(p.y) + row * p.cols;
        const T *const gamma = static_cast<const T *>(p.gamma), *const beta = static_cast<const T *>(p.beta);
        const A *const from = window();
#pragma unroll 1
        for (int i = warp * 32 + tile.lane; i < cols; i += warps * 32) {
            const A g = add(gamma ? A(gamma[i]) : A(1), A(p.gamma_add)), b = beta ? A(beta[i]) : A(0);
            y[i] = mul_add(g, add(from[i], -mean) * rstd, b);
        }
    }

    /* v[k % HELD] is this lane's k-th chunk. */
    __device__ __forceinline__ void take(int k)
    {
        if (STAGED && tile.has(k))
            memcpy(v[0], window() + warp * WARP_COLS + (k * 32 + tile.lane) * E, sizeof v[0]);
        else if (STAGED)
            for (int i = 0; i < P; i++)
                v[0][i] = both(A(0));
    }

    /* The sum over the row of what its lanes have; a warp's pivot may differ from the first one's. */
    __device__ __forceinline__ A mean()
    {
        __shared__ pivoted<A> slots[FUSELN_RESIDUAL_WARPS];
        constexpr A scale = sum_scale<K, E>();
        pivoted<A> sum = {0, 0};
#pragma unroll HELD
        for (int k = 0; k < K && tile.reaches(k); k++) {
            take(k);
            const A count = STAGED ? A(tile.count(k)) : tile.has(k) ? A(E) : A(0), part = chunk_sum(v[k % HELD]);
            if (k == 0)
                sum.pivot = pivot_of(v[0][0], part, count, tile);
            sum.rest = mul_add(mul_add(-count, sum.pivot, part), scale, sum.rest);
        }
        sum.rest = sum_lanes<32>(sum.rest);
        if (warps > 1) {
            const int slot = threadIdx.x % FUSELN_RESIDUAL_WARPS, left = cols - slot * WARP_COLS;
            const A held = A(left < 0 ? 0 : left < WARP_COLS ? left : WARP_COLS);
            if (tile.lane == 0)
                slots[warp] = sum;
            __syncthreads();
            const pivoted<A> part = slots[slot < warps ? slot : 0];
            const A rest = mul_add(held * scale, part.pivot - slots[0].pivot, part.rest);
            sum = {slots[0].pivot, sum_lanes<FUSELN_RESIDUAL_WARPS>(slot < warps ? rest : A(0))};
        }
        return mul_add(sum.rest, inverse_cols<A>(p) * (1 / scale), sum.pivot);
    }
    /* Of what is around `middle`; v becomes that. */
    __device__ __forceinline__ A squares(A middle)
    {
        __shared__ A slots[FUSELN_RESIDUAL_WARPS];
        A sum = 0;
#pragma unroll HELD
        for (int k = 0; k < K && tile.reaches(k); k++) {
            take(k);
            const int exist = STAGED ? tile.count(k) : tile.has(k) ? E : 0;
            pair<A>(&c)[P] = v[k % HELD];
#pragma unroll
            for (int i = 0; i < P; i++) {
                c[i] = add(c[i], both(STAGED || exist ? -middle : A(0)));
                if (STAGED)
                    c[i] = {2 * i < exist ? c[i].lo : A(0), 2 * i + 1 < exist ? c[i].hi : A(0)};
            }
            pair<A> part = mul(c[0], c[0]);
#pragma unroll
            for (int i = 1; i < P; i++)
                part = mul_add(c[i], c[i], part);
            sum += part.lo + part.hi;
        }
        sum = sum_lanes<32>(sum);
        if (warps > 1) {
            const int slot = threadIdx.x % FUSELN_RESIDUAL_WARPS;
            if (tile.lane == 0)
                slots[warp] = sum;
            __syncthreads();
            sum = sum_lanes<FUSELN_RESIDUAL_WARPS>(slot < warps ? slots[slot] : A(0));
        }
        return sum;
    }

    __device__ __forceinline__ void run()
    {
        if (row >= p.rows) /* the whole warp: nobody waits for it */
            return;
        if constexpr (STAGED)
            stage();
        else
            add_up();
        const A middle = p.rms ? A(0) : mean();
        const A rstd = rsqrt(mul_add(squares(middle), inverse_cols<A>(p), A(p.eps_f)));
        if (warp == 0 && tile.lane == 0) {
            if (p.mean)
                static_cast<A *>(p.mean)[row] = middle;
            if (p.rstd)
                static_cast<A *>(p.rstd)[row] = rstd;
        }
        if constexpr (STAGED)
            output_staged(middle, rstd);
        else
            output(rstd);
    }
};

#define KERNEL(name, module, id, type, lanes, chunks, rows, storage, unaligned, blocks) \
    extern "C" __global__ void __launch_bounds__(FUSELN_RESIDUAL_WARPS * 32, blocks)    \
        name(const struct fuseln_ln_params p)                                           \
    {                                                                                   \
        residual<type, chunks, unaligned>(p).run();                                     \
    }
FUSELN_RESIDUAL_VARIANTS(KERNEL)
#undef KERNEL
