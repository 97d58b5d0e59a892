/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DX of rows that kernels/backward.cu does not take, above 8192 columns, and of double. RING: rows blockIdx.x,
 * + gridDim.x, ... of X and dY come through the dynamic shared memory (`stages` of them at once), each thread its own
 * chunks. Else a row a block, read twice; the bits are the same. Narrow rows, which are not in a ring, are staged in
 * two tiles of the dynamic shared memory.
 */
#include "kernels/gradient.cuh"

template <class T, int LANES, int K, bool RING, bool NARROW>
struct wide_gradient {
    using tile_type = row_tile<T, LANES, K, NARROW ? RAGGED : WHOLE>;
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

    /* xhat and g of a tile, and what they add to the sums. */
    __device__ __forceinline__ void terms(pair<A> (&xhat)[K][P], pair<A> (&g)[K][P], pair<A> &s1, pair<A> &s2,
                                          const tile_type &tile, long long row, long long at, int stage, A mean,
                                          A rstd) const
    {
        chunk<T> x[K], dy[K], gamma[K];
        if (NARROW) {
            __syncthreads(); /* the tile before has been used */
            tile.fetch_narrow(slots(0, 0, at), source(p.x, row, at));
            tile.fetch_narrow(slots(0, 1, at), source(p.dy, row, at));
            tile.wait_narrow();
            tile.take_narrow(x, slots(0, 0, at), source(p.x, row, at));
            tile.take_narrow(dy, slots(0, 1, at), source(p.dy, row, at));
        } else if (RING) {
            tile.take(x, slots(stage, 0, at));
            tile.take(dy, slots(stage, 1, at));
        } else {
            tile.load(x, source(p.x, row, at));
            tile.load(dy, source(p.dy, row, at));
        }
        if (NARROW) {
            __syncthreads(); /* x has been taken */
            tile.take_parameter(gamma, slots(0, 0, at), p.gamma, at, 1);
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

    __device__ __forceinline__ void step(long long row, int stage, int turn) const
    {
        __shared__ A parts[2][2][WARPS]; /* by turns: a slow warp may still read the row before */
        const A mean = row_value<A>(p.mean, row, true), rstd = row_value<A>(p.rstd, row, true);
        pair<A> xhat[K][P], g[K][P], s1 = both(A(0)), s2 = s1, unused1 = s1, unused2 = s1;
        for (long long at = 0; at < pitch; at += LANES * K * FUSELN_CHUNK_BYTES)
            terms(xhat, g, s1, s2, tile_type(pitch, at), row, at, stage, mean, rstd);
        A f1 = sum_lanes<32>(s1.lo + s1.hi), f2 = sum_lanes<32>(s2.lo + s2.hi);
        if (threadIdx.x % 32 == 0) {
            parts[turn][0][threadIdx.x / 32] = f1;
            parts[turn][1][threadIdx.x / 32] = f2;
        }
        __syncthreads();
        f1 = sum_lanes<WARPS>(parts[turn][0][threadIdx.x % WARPS]);
        f2 = sum_lanes<WARPS>(parts[turn][1][threadIdx.x % WARPS]);
        row_factors(p, f1, f2, rstd, !p.mean);
        char *to = static_cast<char *>(p.dx) + row * pitch;
        for (long long at = 0; at < pitch; at += LANES * K * FUSELN_CHUNK_BYTES) {
            const tile_type tile(pitch, at);
            chunk<T> dx[K];
            terms(xhat, g, unused1, unused2, tile, row, at, stage, mean, rstd);
#pragma unroll
            for (int k = 0; k < K; k++)
                dx[k] = input_gradient<T>(xhat[k], g[k], rstd, f1, f2);
            if (NARROW) {
                tile.put_narrow(to + at, true, slots(0, 1, at), dx); /* where dy has been taken */
            } else {
                tile.store(to + at, dx);
            }
        }
    }

    __device__ __forceinline__ void run() const
    {
        const long long stride = gridDim.x;
        int stage = 0, turn = 0;
        for (int ahead = 0; RING && ahead < p.stages; ahead++)
            fetch(blockIdx.x + ahead * stride, ahead);
        for (long long row = blockIdx.x; row < p.rows; row += stride, turn ^= 1) {
            if (RING) {
                if (p.stages == 1)
                    __pipeline_wait_prior(0);
                else
                    __pipeline_wait_prior(1);
            }
            step(row, stage, turn);
            if (RING) {
                fetch(row + p.stages * stride, stage);
                stage = stage + 1 == p.stages ? 0 : stage + 1;
            }
        }
    }
};

#define KERNEL(name, module, id, type, lanes, chunks, rows, place, narrow, blocks)                    \
    extern "C" __global__ void __launch_bounds__(lanes, blocks) name(const struct fuseln_ln_params p) \
    {                                                                                                 \
        wide_gradient<type, lanes, chunks, (place) == FUSELN_RING, narrow>(p).run();                  \
    }
FUSELN_DX_VARIANTS(KERNEL)
#undef KERNEL
