/* SPDX-License-Identifier: Apache-2.0 */
/*
 * APPLY, the second launch of a two-launch forward: y = gamma ((x - mean) rstd) + beta, with mean and rstd from memory.
 * The arithmetic of each element is that of FORWARD, so the bits agree whatever the schedule. One schedule serves all:
 * 1 << p.log_lanes lanes take a row tile by tile, each tile staged in dynamic shared memory. gamma and beta are read in
 * 16-byte chunks where they are aligned, which they mostly are even when the rows are not.
 */
#include "kernels/row.cuh"

template <class T, int K>
struct apply {
    using A = acc_of<T>;
    using tile_type = row_tile<T, 0, K, RAGGED>;
    enum : int { P = chunk<T>::size / 2 };

    static __device__ __forceinline__ void parameter_chunks(chunk<T> (&c)[K], const void *base, long long at,
                                                            const tile_type &tile, int missing)
    {
        const char *from = static_cast<const char *>(base) + at + tile.own();
        const bool aligned = base && skew_of(base) == 0;
#pragma unroll
        for (int k = 0; k < K; k++) {
            c[k] = splat<T>(missing);
            if (aligned && tile.full(k)) {
                c[k].raw = __ldg(reinterpret_cast<const uint4 *>(from + tile.step(k)));
            } else if (base) {
                const int count = tile.count(k);
#pragma unroll
                for (int i = 0; i < chunk<T>::size; i++)
                    if (i < count)
                        c[k].at[i] = reinterpret_cast<const T *>(from + tile.step(k))[i];
            }
        }
    }

    static __device__ __forceinline__ void run(const fuseln_ln_params &p)
    {
        extern __shared__ uint4 fuseln_smem[];
        const long long pitch = p.cols * static_cast<long long>(sizeof(T));
        const unsigned group = threadIdx.x >> p.log_lanes, row = blockIdx.x * (blockDim.x >> p.log_lanes) + group;
        const bool exists = row < static_cast<unsigned>(p.rows);
        const unsigned here = exists ? row : static_cast<unsigned>(p.rows) - 1;
        const A mean = row_value<A>(p.mean, here, true), rstd = row_value<A>(p.rstd, here, true);
        const char *x = static_cast<const char *>(p.x) + here * pitch;
        char *y = static_cast<char *>(p.y) + here * pitch;
        uint4 *slots = fuseln_smem + group * FUSELN_TILE_SLOTS(K << p.log_lanes);
        for (long long at = 0; at < pitch; at += static_cast<long long>(K * FUSELN_CHUNK_BYTES) << p.log_lanes) {
            const tile_type tile(exists ? pitch : at, at, p.log_lanes); /* a missing row is an empty one */
            chunk<T> c[K], gamma[K], beta[K];
            tile.sync_unaligned(); /* the slots of the previous tile are free */
            tile.fetch_unaligned(slots, x + at);
            parameter_chunks(gamma, p.gamma, at, tile, 1);
            parameter_chunks(beta, p.beta, at, tile, 0);
            tile.wait_unaligned();
            tile.read_unaligned(c, slots, x + at);
            tile.sync_unaligned();
#pragma unroll
            for (int k = 0; k < K; k++) {
                pair<A> v[P];
                widen(c[k], v);
                c[k] = normalise<T>(v, mean, rstd, gamma[k], beta[k]);
            }
            tile.store_unaligned(y + at, exists, slots, c);
        }
    }
};

#define KERNEL(name, module, id, type, lanes, chunks, rows, storage, unaligned, blocks)                               \
    extern "C" __global__ void __launch_bounds__(FUSELN_COLUMN_THREADS, blocks) name(const struct fuseln_ln_params p) \
    {                                                                                                                 \
        apply<type, chunks>::run(p);                                                                                  \
    }
FUSELN_APPLY_VARIANTS(KERNEL)
#undef KERNEL
