/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backward of the rows that kernels/backward.cu does not handle: those above 8192 columns, and all of double.
 *   RING: x and dy of a row come through a ring of `stages` rows in shared memory and are read from there twice: for
 *         the sums of the row, and for dX. Each thread copies and reads its own chunks, so the ring needs no barrier. A
 *         thread that has at most 32 columns (28 of float) also keeps gamma and the sums over rows in registers: one
 *         pass makes dX and the partial sums of dgamma and dbeta. Partial row b is that of block b, which takes the
 *         rows b, b + gridDim.x, ... as the kernel of dgamma.cu does.
 *   Else: DX alone, a block a row, read twice. The bits are the same. Unaligned rows are staged in two tiles of dynamic
 *         shared memory.
 */
#include "kernels/gradient.cuh"

/* K: chunks of a thread, at most, whose columns are summed over rows. 0: any number of chunks, and no sums. */
template <class T, int LANES, int K>
struct held_gradient {
    using A = acc_of<T>;
    enum : int {
        P = chunk<T>::size / 2,
        WARPS = LANES / 32,
        STEP = LANES * FUSELN_CHUNK_BYTES, /* from one chunk of a thread to its next */
        KEPT = K ? K : 1,
        UNROLL = K ? K : 2
    };
    /* Of a chunk, and of a row. */
    struct terms {
        pair<A> xhat[P], dy[P], g[P];
    };
    struct sums {
        A mean, rstd;
        pair<A> s1, s2;
    };

    const fuseln_ln_params &p;
    const unsigned rows, stride; /* rows < 2^31 */
    const int pitch, own;        /* bytes of a row; of it, those before this thread's first chunk */
    chunk<T> gamma[KEPT];
    pair<A> dgamma[KEPT][P], dbeta[KEPT][P];

    __device__ __forceinline__ explicit held_gradient(const fuseln_ln_params &params)
        : p(params), rows(static_cast<unsigned>(p.rows)), stride(gridDim.x),
          pitch(static_cast<int>(p.cols) * static_cast<int>(sizeof(T))), own(threadIdx.x * FUSELN_CHUNK_BYTES)
    {
    }
    /* Does the row have this thread's k-th chunk? Where K is 0, the loops end at the first that it does not have. */
    __device__ __forceinline__ bool has(int k) const
    {
        return pitch - own > k * STEP;
    }
    __device__ __forceinline__ bool more(int k) const
    {
        return K ? k < K : has(k);
    }
    __device__ __forceinline__ unsigned long long offset(unsigned row) const
    {
        return static_cast<unsigned long long>(row) * static_cast<unsigned>(pitch) + own;
    }
    /* A stage of the ring holds a warp's chunks of x, then its chunks of dy, and so on: the distance from a chunk of x
     * to that of dy is a constant. This is the slot of the thread's first chunk of x. */
    enum : int { TO_DY = 32, TO_NEXT = 2 * LANES };
    __device__ __forceinline__ uint4 *slot_in(int stage) const
    {
        extern __shared__ uint4 fuseln_smem[];
        const int warp_bytes = 32 * FUSELN_CHUNK_BYTES, row_slots = (pitch + warp_bytes - 1) / warp_bytes * 32;
        return fuseln_smem + (stage * 2 * row_slots + threadIdx.x + threadIdx.x / 32 * 32);
    }
    __device__ __forceinline__ void fetch(uint4 *slot, unsigned row) const
    {
        const char *x = static_cast<const char *>(p.x) + offset(row);
        const char *dy = static_cast<const char *>(p.dy) + offset(row);
#pragma unroll 2
        for (int k = 0; row < rows && has(k); k++) {
            __pipeline_memcpy_async(slot + k * TO_NEXT, x + k * STEP, FUSELN_CHUNK_BYTES);
            __pipeline_memcpy_async(slot + k * TO_NEXT + TO_DY, dy + k * STEP, FUSELN_CHUNK_BYTES);
        }
        __pipeline_commit();
    }
    __device__ __forceinline__ chunk<T> load_gamma(int k) const
    {
        return p.gamma ? parameter<T>(static_cast<const char *>(p.gamma) + own + k * STEP) : splat<T>(1);
    }
    /* Of a row whose sums begin; beyond the last row, of the last. */
    __device__ __forceinline__ sums statistics(unsigned row) const
    {
        const unsigned from = row < rows ? row : rows - 1;
        return {p.mean ? static_cast<const A *>(p.mean)[from] : A(0), static_cast<const A *>(p.rstd)[from], both(A(0)),
                both(A(0))};
    }

    /* Computes the terms of a chunk in the ring and adds them to the row's sums. */
    __device__ __forceinline__ terms compute(sums &row, const uint4 *slot, int k) const
    {
        chunk<T> x, dy;
        terms t;
        pair<A> scale[P];
        x.raw = slot[k * TO_NEXT];
        dy.raw = slot[k * TO_NEXT + TO_DY];
        widen(x, t.xhat);
        widen(dy, t.dy);
        widen(K ? gamma[K ? k : 0] : load_gamma(k), scale);
        standardise(t.xhat, row.mean, row.rstd);
        row_sums(t.xhat, t.dy, t.g, scale, row.s1, row.s2, false);
        return t;
    }

    /* Sums over the block. The upper half of each warp's lanes sums b, see sum_lanes_of_pair(). */
    static __device__ __forceinline__ void reduce(A &a, A &b, int parity)
    {
        __shared__ A parts[2][2][WARPS]; /* two sets: a slow warp may still be reading the previous row's */
        const int upper = threadIdx.x / 16 % 2;
        A sum = sum_lanes_of_pair<32>(a, b, upper);
        if (threadIdx.x % 16 == 0)
            parts[parity][upper][threadIdx.x / 32] = sum;
        __syncthreads();
        sum = sum_lanes<WARPS>(parts[parity][upper][threadIdx.x % WARPS]);
        broadcast_pair(a, b, sum, 32);
    }

    __device__ __forceinline__ void begin()
    {
        for (int stage = 0; stage < p.stages; stage++)
            fetch(slot_in(stage), blockIdx.x + stage * stride);
#pragma unroll
        for (int k = 0; k < K; k++) {
            if (has(k))
                gamma[k] = load_gamma(k);
#pragma unroll
            for (int i = 0; i < P; i++)
                dgamma[k][i] = dbeta[k][i] = both(A(0));
        }
    }

    /* Sums a row, writes its dX, and fetches the row that takes its place in the ring. from: offset(row). */
    __device__ __forceinline__ void step(sums &s, unsigned row, uint4 *slot, int parity)
    {
#pragma unroll UNROLL
        for (int k = 0; more(k); k++) {
            if (!has(k))
                continue;
            const terms t = compute(s, slot, k);
            if (K) /* whether they are asked for or not: a test would cost more */
                column_sums(dgamma[K ? k : 0], dbeta[K ? k : 0], t.xhat, t.dy);
        }
        A f1 = s.s1.lo + s.s1.hi, f2 = s.s2.lo + s.s2.hi;
        reduce(f1, f2, parity);
        row_factors(p, f1, f2, s.rstd, !p.mean);
        char *to = static_cast<char *>(p.dx) + offset(row);
#pragma unroll UNROLL
        for (int k = 0; more(k); k++) {
            if (!has(k))
                continue;
            const terms t = compute(s, slot, k);
            *reinterpret_cast<uint4 *>(to + k * STEP) = input_gradient<T>(t.xhat, t.g, s.rstd, f1, f2).raw;
        }
        s = statistics(row + stride);
        fetch(slot, row + p.stages * stride);
    }

    __device__ __forceinline__ void finish(const pair<A> (&sum)[KEPT][P], A *to) const
    {
#pragma unroll
        for (int k = 0; k < K; k++)
            if (has(k))
                write_sums(to + (own + k * STEP) / static_cast<int>(sizeof(T)), sum[k], 2 * P);
    }

    __device__ __forceinline__ void run()
    {
        sums s = statistics(blockIdx.x);
        uint4 *slot = slot_in(0), *other = slot_in(p.stages - 1);
        int parity = 0;
        begin();
        for (unsigned row = blockIdx.x; row < rows; row += stride) {
            if (p.stages == 1)
                __pipeline_wait_prior(0);
            else
                __pipeline_wait_prior(1);
            step(s, row, slot, parity);
            uint4 *const now = slot;
            slot = other;
            other = now;
            parity ^= 1;
        }
        if (!K || !p.partials)
            return;
        A *to = static_cast<A *>(p.partials) + blockIdx.x * partial_pitch(p.cols);
        finish(dgamma, to);
        finish(dbeta, to + p.partial_rows * partial_pitch(p.cols));
    }
};

template <class T, int LANES, int K, bool UNALIGNED>
struct wide_gradient {
    using tile_type = row_tile<T, LANES, K, UNALIGNED ? RAGGED : WHOLE>;
    using A = acc_of<T>;
    enum : int { P = chunk<T>::size / 2, WARPS = LANES / 32 };

    const fuseln_ln_params &p;
    const long long pitch;

    __device__ __forceinline__ explicit wide_gradient(const fuseln_ln_params &params)
        : p(params), pitch(p.cols * static_cast<long long>(sizeof(T)))
    {
    }
    /* Shared memory of a tile of x (tensor 0) or dy (1). */
    static __device__ __forceinline__ uint4 *slots(int tensor)
    {
        extern __shared__ uint4 fuseln_smem[];
        return fuseln_smem + tensor * FUSELN_TILE_SLOTS(LANES * K);
    }
    __device__ __forceinline__ const char *source(const void *base, long long row, long long at) const
    {
        return static_cast<const char *>(base) + row * pitch + at;
    }

    /* Computes xhat and g of a tile and adds their terms to the sums. */
    __device__ __forceinline__ void terms(pair<A> (&xhat)[K][P], pair<A> (&g)[K][P], pair<A> &s1, pair<A> &s2,
                                          const tile_type &tile, long long row, long long at, A mean, A rstd) const
    {
        chunk<T> x[K], dy[K], gamma[K];
        if (UNALIGNED) {
            __syncthreads(); /* the previous tile has been read */
            tile.fetch_unaligned(slots(0), source(p.x, row, at));
            tile.fetch_unaligned(slots(1), source(p.dy, row, at));
            tile.wait_unaligned();
            tile.read_unaligned(x, slots(0), source(p.x, row, at));
            tile.read_unaligned(dy, slots(1), source(p.dy, row, at));
        } else {
            tile.load(x, source(p.x, row, at));
            tile.load(dy, source(p.dy, row, at));
        }
        if (UNALIGNED) {
            __syncthreads(); /* x has been read */
            tile.read_parameter(gamma, slots(0), p.gamma, at, 1);
        } else {
#pragma unroll
            for (int k = 0; k < K; k++) {
                gamma[k] = splat<T>(1);
                if (p.gamma && tile.has(k))
                    gamma[k] = parameter<T>(static_cast<const char *>(p.gamma) + at + tile.own() + tile.step(k));
            }
        }
#pragma unroll
        for (int k = 0; k < K; k++) {
            widen(x[k], xhat[k]);
            standardise(xhat[k], mean, rstd);
        }
        clear_missing(xhat, tile, mean, rstd);
#pragma unroll
        for (int k = 0; k < K; k++) {
            pair<A> d[P], scale[P];
            widen(dy[k], d);
            widen(gamma[k], scale);
            row_sums(xhat[k], d, g[k], scale, s1, s2, false);
        }
    }

    __device__ __forceinline__ void run() const
    {
        __shared__ A parts[2][WARPS];
        const long long row = blockIdx.x;
        const A mean = row_value<A>(p.mean, row, true), rstd = row_value<A>(p.rstd, row, true);
        pair<A> xhat[K][P], g[K][P], s1 = both(A(0)), s2 = s1, unused1 = s1, unused2 = s1;
        for (long long at = 0; at < pitch; at += LANES * K * FUSELN_CHUNK_BYTES)
            terms(xhat, g, s1, s2, tile_type(pitch, at), row, at, mean, rstd);
        A f1 = sum_lanes<32>(s1.lo + s1.hi), f2 = sum_lanes<32>(s2.lo + s2.hi);
        if (threadIdx.x % 32 == 0) {
            parts[0][threadIdx.x / 32] = f1;
            parts[1][threadIdx.x / 32] = f2;
        }
        __syncthreads();
        f1 = sum_lanes<WARPS>(parts[0][threadIdx.x % WARPS]);
        f2 = sum_lanes<WARPS>(parts[1][threadIdx.x % WARPS]);
        row_factors(p, f1, f2, rstd, !p.mean);
        char *to = static_cast<char *>(p.dx) + row * pitch;
        for (long long at = 0; at < pitch; at += LANES * K * FUSELN_CHUNK_BYTES) {
            const tile_type tile(pitch, at);
            chunk<T> dx[K];
            terms(xhat, g, unused1, unused2, tile, row, at, mean, rstd);
#pragma unroll
            for (int k = 0; k < K; k++)
                dx[k] = input_gradient<T>(xhat[k], g[k], rstd, f1, f2);
            if (UNALIGNED) {
                tile.store_unaligned(to + at, true, slots(1), dx); /* the slots of dy, which has been read */
            } else {
                tile.store(to + at, dx);
            }
        }
    }
};

template <class T, int LANES, int K, bool RING, bool UNALIGNED>
static __device__ __forceinline__ void gradient(const fuseln_ln_params &p)
{
    if constexpr (RING)
        held_gradient<T, LANES, K>(p).run();
    else
        wide_gradient<T, LANES, K, UNALIGNED>(p).run();
}

#define KERNEL(name, module, id, type, lanes, chunks, rows, storage, unaligned, blocks)               \
    extern "C" __global__ void __launch_bounds__(lanes, blocks) name(const struct fuseln_ln_params p) \
    {                                                                                                 \
        gradient<type, lanes, chunks, (storage) == FUSELN_RING, unaligned>(p);                        \
    }
FUSELN_DX_VARIANTS(KERNEL)
#undef KERNEL
