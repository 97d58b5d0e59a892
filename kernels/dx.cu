/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DX of the rows that kernels/backward.cu does not handle: those above 8192 columns, and all of double.
 *   RING: a block takes the rows blockIdx.x, + gridDim.x, ...; x and dy come through a ring of `stages` stages in
 *         dynamic shared memory, each thread its own chunks.
 *   Else: a block a row, read twice. The bits are the same. Unaligned rows, which use no ring, are staged in two tiles
 *         of dynamic shared memory.
 */
#include "kernels/gradient.cuh"

template <class T, int LANES, int K, bool RING, bool UNALIGNED>
struct wide_gradient {
    using tile_type = row_tile<T, LANES, K, UNALIGNED ? RAGGED : WHOLE>;
    using A = acc_of<T>;
    enum : int { P = chunk<T>::size / 2, WARPS = LANES / 32 };

    const fuseln_ln_params &p;
    const long long pitch;
    const int row_slots;

    __device__ __forceinline__ explicit wide_gradient(const fuseln_ln_params &params)
        : p(params), pitch(p.cols * static_cast<long long>(sizeof(T))),
          row_slots(static_cast<int>((pitch + FUSELN_CHUNK_BYTES - 1) / FUSELN_CHUNK_BYTES))
    {
    }
    /* Shared memory of the tile that begins at byte `at` of a row of x (tensor 0) or dy (1). */
    __device__ __forceinline__ uint4 *slots(int stage, int tensor, long long at) const
    {
        extern __shared__ uint4 fuseln_smem[];
        return RING ? fuseln_smem + (stage * 2 + tensor) * row_slots + at / FUSELN_CHUNK_BYTES
                    : fuseln_smem + tensor * FUSELN_TILE_SLOTS(LANES * K);
    }
    __device__ __forceinline__ const char *source(const void *base, long long row, long long at) const
    {
        return static_cast<const char *>(base) + row * pitch + at;
    }
    __device__ __forceinline__ void fetch(long long row, int stage) const
    {
        for (long long at = 0; row < p.rows && at < pitch; at += LANES * K * FUSELN_CHUNK_BYTES) {
            tile_type(pitch, at).fetch(slots(stage, 0, at), source(p.x, row, at));
            tile_type(pitch, at).fetch(slots(stage, 1, at), source(p.dy, row, at));
        }
        __pipeline_commit();
    }

    /* Computes xhat and g of a tile and adds their terms to the sums. */
    __device__ __forceinline__ void terms(pair<A> (&xhat)[K][P], pair<A> (&g)[K][P], pair<A> &s1, pair<A> &s2,
                                          const tile_type &tile, long long row, long long at, int stage, A mean,
                                          A rstd) const
    {
        chunk<T> x[K], dy[K], gamma[K];
        if (UNALIGNED) {
            __syncthreads(); /* the previous tile has been read */
            tile.fetch_unaligned(slots(0, 0, at), source(p.x, row, at));
            tile.fetch_unaligned(slots(0, 1, at), source(p.dy, row, at));
            tile.wait_unaligned();
            tile.read_unaligned(x, slots(0, 0, at), source(p.x, row, at));
            tile.read_unaligned(dy, slots(0, 1, at), source(p.dy, row, at));
        } else if (RING) {
            tile.read(x, slots(stage, 0, at));
            tile.read(dy, slots(stage, 1, at));
        } else {
            tile.load(x, source(p.x, row, at));
            tile.load(dy, source(p.dy, row, at));
        }
        if (UNALIGNED) {
            __syncthreads(); /* x has been read */
            tile.read_parameter(gamma, slots(0, 0, at), p.gamma, at, 1);
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
            pair<A> d[P], scale[P];
            widen(x[k], xhat[k]);
            widen(dy[k], d);
            widen(gamma[k], scale);
            row_sums(xhat[k], d, g[k], scale, mean, rstd, s1, s2, false);
        }
    }

    __device__ __forceinline__ void step(long long row, int stage, int parity) const
    {
        __shared__ A parts[2][2][WARPS]; /* two sets: a slow warp may still be reading the previous row's */
        const A mean = row_value<A>(p.mean, row, true), rstd = row_value<A>(p.rstd, row, true);
        pair<A> xhat[K][P], g[K][P], s1 = both(A(0)), s2 = s1, unused1 = s1, unused2 = s1;
        for (long long at = 0; at < pitch; at += LANES * K * FUSELN_CHUNK_BYTES)
            terms(xhat, g, s1, s2, tile_type(pitch, at), row, at, stage, mean, rstd);
        A f1 = sum_lanes<32>(s1.lo + s1.hi), f2 = sum_lanes<32>(s2.lo + s2.hi);
        if (threadIdx.x % 32 == 0) {
            parts[parity][0][threadIdx.x / 32] = f1;
            parts[parity][1][threadIdx.x / 32] = f2;
        }
        __syncthreads();
        f1 = sum_lanes<WARPS>(parts[parity][0][threadIdx.x % WARPS]);
        f2 = sum_lanes<WARPS>(parts[parity][1][threadIdx.x % WARPS]);
        row_factors(p, f1, f2, rstd, !p.mean);
        char *to = static_cast<char *>(p.dx) + row * pitch;
        for (long long at = 0; at < pitch; at += LANES * K * FUSELN_CHUNK_BYTES) {
            const tile_type tile(pitch, at);
            chunk<T> dx[K];
            terms(xhat, g, unused1, unused2, tile, row, at, stage, mean, rstd);
#pragma unroll
            for (int k = 0; k < K; k++)
                dx[k] = input_gradient<T>(xhat[k], g[k], rstd, f1, f2);
            if (UNALIGNED) {
                tile.store_unaligned(to + at, true, slots(0, 1, at), dx); /* the slots of dy, which has been read */
            } else {
                tile.store(to + at, dx);
            }
        }
    }

    __device__ __forceinline__ void run() const
    {
        const long long stride = gridDim.x;
        int stage = 0, parity = 0;
        for (int ahead = 0; RING && ahead < p.stages; ahead++)
            fetch(blockIdx.x + ahead * stride, ahead);
        for (long long row = blockIdx.x; row < p.rows; row += stride, parity ^= 1) {
            if (RING) {
                if (p.stages == 1)
                    __pipeline_wait_prior(0);
                else
                    __pipeline_wait_prior(1);
            }
            step(row, stage, parity);
            if (RING) {
                fetch(row + p.stages * stride, stage);
                stage = stage + 1 == p.stages ? 0 : stage + 1;
            }
        }
    }
};

#define KERNEL(name, module, id, type, lanes, chunks, rows, storage, unaligned, blocks)               \
    extern "C" __global__ void __launch_bounds__(lanes, blocks) name(const struct fuseln_ln_params p) \
    {                                                                                                 \
        wide_gradient<type, lanes, chunks, (storage) == FUSELN_RING, unaligned>(p).run();             \
    }
FUSELN_DX_VARIANTS(KERNEL)
#undef KERNEL
