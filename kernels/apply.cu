/* SPDX-License-Identifier: Apache-2.0 */
/*
 * APPLY, the second launch of a two-launch forward: y = gamma ((x - mean) rstd) + beta, mean and rstd read.
 * Element by element the arithmetic of FORWARD, so the same bits whatever the schedule: one schedule, in which a group
 * of 1 << p.log_lanes lanes has a row, tile after tile, each staged in the dynamic shared memory. gamma and beta are
 * read by chunks where they are aligned, as they mostly are, however the rows lie.
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
        const bool aligned = base && phase_of(base) == 0;
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
            const tile_type tile(exists ? pitch : at, at, p.log_lanes); /* a row that does not exist is empty */
            chunk<T> c[K], gamma[K], beta[K];
            tile.sync_narrow(); /* the tile before has left */
            tile.fetch_narrow(slots, x + at);
            parameter_chunks(gamma, p.gamma, at, tile, 1);
            parameter_chunks(beta, p.beta, at, tile, 0);
            tile.wait_narrow();
            tile.take_narrow(c, slots, x + at);
            tile.sync_narrow();
#pragma unroll
            for (int k = 0; k < K; k++) {
                pair<A> v[P];
                widen(c[k], v);
                c[k] = normalise<T>(v, mean, rstd, gamma[k], beta[k]);
            }
            tile.put_narrow(y + at, exists, slots, c);
        }
    }
};

#define KERNEL(name, module, id, type, lanes, chunks, rows, place, narrow, blocks)                                    \
    extern "C" __global__ void __launch_bounds__(FUSELN_COLUMN_THREADS, blocks) name(const struct fuseln_ln_params p) \
    {                                                                                                                 \
        apply<type, chunks>::run(p);                                                                                  \
    }
FUSELN_APPLY_VARIANTS(KERNEL)
#undef KERNEL
