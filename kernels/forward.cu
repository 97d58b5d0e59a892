/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FORWARD and MOMENTS:
 *   mean = sum x / N, rstd = 1 / sqrt(sum (x - mean)^2 / N + eps), y = gamma ((x - mean) rstd) + beta.
 * A row is read once and held on chip until it is written: in registers, or in a ring in shared memory that fetches the
 * next row meanwhile. A row that fits in neither is read twice.
 * A NULL y selects MOMENTS; a NULL rstd says that no statistics are wanted. In RMS norm a row with an Inf has rstd 0 in
 * FORWARD but NaN in MOMENTS, as in the originals: PyTorch's MOMENTS computes the variance and adds the square of the
 * mean, its FORWARD does not.
 */
#include "kernels/row.cuh"

template <class A>
static __device__ __forceinline__ A rstd_of(const fuseln_ln_params &p, A m2)
{
    return rsqrt(mul_add(m2, inverse_cols<A>(p), sizeof(A) == 8 ? A(p.eps) : A(p.eps_f)));
}
/* Where rstd is wanted: that, and of layer norm the mean. */
template <class A>
static __device__ __forceinline__ void write_statistics(const fuseln_ln_params &p, long long row, A mean, A rstd)
{
    static_cast<A *>(p.rstd)[row] = rstd;
    if (!p.rms)
        static_cast<A *>(p.mean)[row] = mean;
}

/* The same for MOMENTS: in RMS norm rstd becomes NaN where the mean, which is not written, is not finite. */
template <class A>
static __device__ __forceinline__ void write_moments(const fuseln_ln_params &p, long long row, A mean, A rstd)
{
    write_statistics(p, row, mean, p.rms ? mul_add(mean, A(0), rstd) : rstd);
}

/* v becomes x - mean; in RMS norm it becomes x. */
template <int LANES, int K, class T, class A, int P, class Tile>
static __device__ __forceinline__ moments<A> row_moments(const fuseln_ln_params &p, const chunk<T> (&x)[K],
                                                         pair<A> (&v)[K][P], const Tile &tile)
{
    const A inverse = inverse_cols<A>(p);
    if constexpr (LANES == 0 || LANES > 32)
        return block_held_moments<LANES / 32>(x, v, tile, inverse, p.rms);
    else
        return held_moments(x, v, tile, inverse, p.rms);
}

/*
 * Each group of lanes holds ROWS aligned rows in registers, and reads and widens gamma and beta once for all of them.
 * For a row beyond the last, a group loads the last one and writes nothing, or ends if it is all of a warp.
 * The loads of FEW chunks of gamma and beta wait for memory together; with those of the rows, where registers hold all
 * of it. They are plain loads: the compiler would take those of the read-only path apart again.
 */
template <class T, int LANES, int K, int ROWS>
struct forward_held {
    using tile_type = row_tile<T, LANES, K, HELD>;
    using A = acc_of<T>;
    enum : int { P = chunk<T>::size / 2, threads = LANES > 32 ? LANES : FUSELN_ROW_THREADS, groups = threads / LANES };
    /* the short half-type rows have 64 registers, and no room */
    enum : int { FEW = sizeof(T) == 4 ? K : K == 2 ? 1 : 4 };
    enum : bool { TOGETHER = K == FEW };

    const fuseln_ln_params &p;
    const tile_type tile;
    const unsigned pitch, rows, first; /* rows < 2^31 */
    chunk<T> x[ROWS][K], gamma[FEW], beta[FEW];
    pair<A> v[ROWS][K][P];
    A mean[ROWS], rstd[ROWS];

    __device__ __forceinline__ explicit forward_held(const fuseln_ln_params &params)
        : p(params), tile(p.cols * static_cast<long long>(sizeof(T))),
          pitch(static_cast<unsigned>(p.cols) * static_cast<unsigned>(sizeof(T))), rows(static_cast<unsigned>(p.rows)),
          first(groups == 1 ? blockIdx.x * ROWS : blockIdx.x * (groups * ROWS) + threadIdx.x / LANES)
    {
    }
    __device__ __forceinline__ unsigned row(int r) const
    {
        return first + r * groups;
    }
    __device__ __forceinline__ bool exists(int r) const
    {
        return ROWS == 1 || row(r) < rows;
    }
    __device__ __forceinline__ unsigned long long offset(unsigned row_number) const
    {
        return static_cast<unsigned long long>(row_number) * pitch;
    }

    __device__ __forceinline__ void load()
    {
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            tile.load(x[r], static_cast<const char *>(p.x) + offset(exists(r) ? row(r) : rows - 1));
        if (TOGETHER && p.y) {
            if (p.gamma)
                load_parameters<true, false>(0);
            if (p.beta || !p.gamma)
                load_parameters<false, true>(0);
        }
    }
    template <bool GAMMA, bool BETA>
    __device__ __forceinline__ void load_parameters(int from)
    {
        const char *gammas = static_cast<const char *>(p.gamma) + tile.own();
        const char *betas = static_cast<const char *>(p.beta) + tile.own();
#pragma unroll
        for (int k = 0; k < FEW && tile.reaches(from + k); k++) {
            if (GAMMA)
                tile.load(gamma[k], gammas, from + k);
            if (BETA && (GAMMA || p.beta))
                tile.load(beta[k], betas, from + k);
            else if (BETA)
                beta[k].raw = make_uint4(0, 0, 0, 0);
        }
    }

    __device__ __forceinline__ void statistics()
    {
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            const moments<A> m = row_moments<LANES>(p, x[r], v[r], tile);
            mean[r] = m.mean;
            rstd[r] = rstd_of(p, m.m2);
        }
    }

    template <bool GAMMA, bool BETA>
    __device__ __forceinline__ void write()
    {
        char *to[ROWS];
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            to[r] = static_cast<char *>(p.y) + offset(row(r)) + tile.own();
#pragma unroll
        for (int k = 0; k < K && tile.reaches(k); k++) {
            if (!TOGETHER && k % FEW == 0)
                load_parameters<GAMMA, BETA>(k);
            pair<A> g[P], b[P];
            widen(GAMMA ? gamma[k % FEW] : splat<T>(1), g);
            widen(BETA ? beta[k % FEW] : splat<T>(0), b);
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                const chunk<T> y = affine<T>(v[r][k], rstd[r], g, b);
                if (tile.has(k) && exists(r))
                    *reinterpret_cast<uint4 *>(to[r] + tile.step(k)) = y.raw;
            }
        }
    }

    __device__ __forceinline__ void run()
    {
        if (ROWS == 1 && groups > 1 && row(0) >= rows) /* the whole warp: nobody waits for it */
            return;
        load();
        statistics();
        if (!p.y) {
#pragma unroll
            for (int r = 0; r < ROWS; r++)
                if (tile.lane == 0 && exists(r))
                    write_moments(p, row(r), mean[r], rstd[r]);
            return;
        }
#pragma unroll
        for (int r = 0; r < ROWS && p.rstd; r++)
            if (tile.lane == 0 && exists(r))
                write_statistics(p, row(r), mean[r], rstd[r]);
        if (p.gamma && p.beta)
            write<true, true>();
        else if (p.gamma)
            write<true, false>();
        else
            write<false, true>(); /* few layers: it also takes those with neither */
    }
};

/* A row of any alignment for each group of lanes; half types are staged in dynamic shared memory, a tile a group. */
template <class T, int K>
struct forward_unaligned {
    using A = acc_of<T>;
    enum : int { P = chunk<T>::size / 2 };

    static __device__ __forceinline__ void run(const fuseln_ln_params &p)
    {
        extern __shared__ uint4 fuseln_smem[];
        const long long pitch = p.cols * static_cast<long long>(sizeof(T));
        const unsigned group = threadIdx.x >> p.log_lanes, row = blockIdx.x * (blockDim.x >> p.log_lanes) + group;
        const bool exists = row < static_cast<unsigned>(p.rows);
        /* a missing row is an empty one */
        const row_tile<T, 0, K, RAGGED> tile(exists ? pitch : 0, 0, p.log_lanes);
        const long long offset = row * pitch;
        uint4 *slots = fuseln_smem + group * FUSELN_TILE_SLOTS(tile.lanes() * K);
        const char *from = static_cast<const char *>(p.x) + offset;

        chunk<T> x[K], y[K];
        pair<A> v[K][P];
        tile.fetch_unaligned(slots, from);
        tile.wait_unaligned();
        tile.read_unaligned(x, slots, from);
        const moments<A> m = row_moments<0>(p, x, v, tile);
        const A rstd = rstd_of(p, m.m2);
        if (!p.y) {
            if (tile.lane == 0 && exists)
                write_moments(p, row, m.mean, rstd);
            return;
        }
        if (p.rstd && tile.lane == 0 && exists)
            write_statistics(p, row, m.mean, rstd);
        tile.sync_unaligned(); /* x has been read */
        tile.read_parameter(x, slots, p.gamma, 0, 1);
        tile.read_parameter(y, slots, p.beta, 0, 0);
#pragma unroll
        for (int k = 0; k < K; k++) {
            pair<A> gamma[P], beta[P];
            widen(x[k], gamma);
            widen(y[k], beta);
            y[k] = affine<T>(v[k], rstd, gamma, beta);
        }
        tile.store_unaligned(static_cast<char *>(p.y) + offset, exists, slots, y);
    }
};

/*
 * A block to a row, tile by tile.
 *   RING: a block takes the rows blockIdx.x, + gridDim.x, ..., which alternate between the two halves of dynamic shared
 *         memory, each thread its own chunks.
 *   Else: a block a row, read twice. The bits are the same. Unaligned rows, which use no ring, are staged in dynamic
 *         shared memory, a tile at a time.
 */
template <class T, int LANES, int K, bool RING, bool UNALIGNED>
struct forward_wide {
    using tile_type = row_tile<T, LANES, K, UNALIGNED ? RAGGED : SKIPPED>;
    using A = acc_of<T>;
    enum : int { P = chunk<T>::size / 2, WARPS = LANES / 32 };

    const fuseln_ln_params &p;
    const long long pitch;
    const int row_slots; /* of one half of the ring, or of a tile */

    __device__ __forceinline__ explicit forward_wide(const fuseln_ln_params &params)
        : p(params), pitch(p.cols * static_cast<long long>(sizeof(T))),
          row_slots(RING ? static_cast<int>((pitch + FUSELN_CHUNK_BYTES - 1) / FUSELN_CHUNK_BYTES) : LANES * K)
    {
    }
    static __device__ __forceinline__ uint4 *shared()
    {
        extern __shared__ uint4 fuseln_smem[];
        return fuseln_smem;
    }
    __device__ __forceinline__ uint4 *slots(int stage, long long first_byte) const
    {
        return RING ? shared() + (stage & 1) * row_slots + first_byte / FUSELN_CHUNK_BYTES : shared();
    }
    __device__ __forceinline__ const char *source(long long row) const
    {
        return static_cast<const char *>(p.x) + row * pitch;
    }

    __device__ __forceinline__ void fetch(long long row, int stage) const
    {
        for (long long at = 0; row < p.rows && at < pitch; at += LANES * K * FUSELN_CHUNK_BYTES)
            tile_type(pitch, at).fetch(slots(stage, at), source(row) + at);
        __pipeline_commit();
    }
    __device__ __forceinline__ void load(chunk<T> (&x)[K], const tile_type &tile, long long row, long long at,
                                         int stage) const
    {
        if (UNALIGNED) {
            __syncthreads(); /* the previous tile has been read */
            tile.fetch_unaligned(slots(stage, at), source(row) + at);
            tile.wait_unaligned();
            tile.read_unaligned(x, slots(stage, at), source(row) + at);
        } else if (RING) {
            tile.read(x, slots(stage, at));
        } else {
            tile.load(x, source(row) + at);
        }
    }

    __device__ __forceinline__ moments<A> statistics(long long row, int stage) const
    {
        __shared__ moments<A> parts[2][WARPS]; /* two sets: a slow warp may still be reading the previous row's */
        moments<A> m = {0, 0, 0};
        for (long long at = 0; at < pitch; at += LANES * K * FUSELN_CHUNK_BYTES) {
            const tile_type tile(pitch, at);
            chunk<T> x[K];
            pair<A> v[K][P];
            load(x, tile, row, at, stage);
            const A n = tile.held(threadIdx.x / 32);
            moments<A> part = held_moments(x, v, tile, reciprocal(n > 0 ? n : A(1)), p.rms);
            part.n = n;
            if (p.rms) {
                part.m2 = p.y ? part.m2 : mul_add(part.mean, A(0), part.m2); /* as write_moments() */
                part.mean = 0;
            }
            m = chan(m, part);
        }
        return block_moments<WARPS>(parts[stage & 1], m, A(p.cols), inverse_cols<A>(p));
    }

    __device__ __forceinline__ void write(long long row, int stage, A mean, A rstd) const
    {
        char *to = static_cast<char *>(p.y) + row * pitch;
        for (long long at = 0; at < pitch; at += LANES * K * FUSELN_CHUNK_BYTES) {
            const tile_type tile(pitch, at);
            chunk<T> x[K], gamma[K], beta[K];
            load(x, tile, row, at, stage);
            if (UNALIGNED) {
                __syncthreads(); /* x has been read */
                tile.read_parameter(gamma, slots(stage, at), p.gamma, at, 1);
                tile.read_parameter(beta, slots(stage, at), p.beta, at, 0);
            } else {
#pragma unroll
                for (int k = 0; k < K && tile.reaches(k); k++) {
                    const long long from = at + tile.own() + tile.step(k);
                    gamma[k] = splat<T>(1);
                    beta[k] = splat<T>(0);
                    if (tile.has(k) && p.gamma)
                        gamma[k] = parameter<T>(static_cast<const char *>(p.gamma) + from);
                    if (tile.has(k) && p.beta)
                        beta[k] = parameter<T>(static_cast<const char *>(p.beta) + from);
                }
            }
#pragma unroll
            for (int k = 0; k < K && tile.reaches(k); k++) {
                pair<A> v[P];
                widen(x[k], v);
                gamma[k] = normalise<T>(v, mean, rstd, gamma[k], beta[k]);
            }
            if (UNALIGNED) {
                tile.store_unaligned(to + at, true, slots(stage, at), gamma);
            } else {
                tile.store(to + at, gamma);
            }
        }
    }

    __device__ __forceinline__ void run() const
    {
        int stage = 0;
        if (RING)
            fetch(blockIdx.x, 0);
        for (long long row = blockIdx.x; row < p.rows; row += gridDim.x, stage++) {
            if (RING) {
                fetch(row + gridDim.x, stage + 1);
                __pipeline_wait_prior(1);
            }
            const moments<A> m = statistics(row, stage);
            const A rstd = rstd_of(p, m.m2);
            if (p.rstd && threadIdx.x == 0)
                write_statistics(p, row, m.mean, rstd);
            if (p.y)
                write(row, stage, m.mean, rstd);
        }
    }
};

template <class T, int LANES, int K, int ROWS, int STORAGE, bool UNALIGNED>
static __device__ __forceinline__ void forward(const fuseln_ln_params &p)
{
    if constexpr (STORAGE != FUSELN_REGISTERS)
        forward_wide<T, LANES, K, STORAGE == FUSELN_RING, UNALIGNED>(p).run();
    else if constexpr (UNALIGNED)
        forward_unaligned<T, K>::run(p);
    else
        forward_held<T, LANES, K, ROWS>(p).run();
}

#define THREADS(lanes) ((lanes) == 0 ? 32 * FUSELN_ROW_WARPS : (lanes) > 32 ? (lanes) : FUSELN_ROW_THREADS)
#define KERNEL(name, module, id, type, lanes, chunks, rows, storage, unaligned, blocks)                        \
    extern "C" __global__ void __launch_bounds__(THREADS(lanes), blocks) name(const struct fuseln_ln_params p) \
    {                                                                                                          \
        forward<type, lanes, chunks, rows, storage, unaligned>(p);                                             \
    }
FUSELN_FORWARD_VARIANTS(KERNEL)
#undef KERNEL
