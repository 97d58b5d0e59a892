/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backward of rows of up to FUSELN_BACKWARD_COLS columns in one pass: dX and, from the same read of dY and X,
 * partial sums of dgamma and dbeta. Either may be left out (NULL dx, NULL partials) without a change of the other's
 * bits. Blocks stay: block b, of P (partial_rows), takes the rows (t P + b) G + g for t = 0, 1, ..., where G groups of
 * lanes have a row each. The chunks of a thread's next rows come by cp.async into its own slots of shared memory while
 * it works; gamma and the sums over rows are in its registers. At the end the block adds its groups up in order and
 * writes partial row b. No atomics; one barrier a row where a row has more than a warp.
 */
#include "kernels/gradient.cuh"

/* LANES 0: narrow rows, of 1 << p.log_lanes lanes, whose chunks each other lane may have fetched. */
template <class T, int LANES, int K, row_fill FILL>
struct backward {
    using A = acc_of<T>;
    enum : bool { NARROW = LANES == 0 };
    enum : int { P = chunk<T>::size / 2, WARPS = LANES > 32 ? LANES / 32 : 0 };
    using tile_type = row_tile<T, LANES, K, FILL>;

    const fuseln_ln_params &p;
    const unsigned pitch, rows; /* bytes; rows are less than 2^31, so that row numbers are 32 bits */
    const tile_type tile;
    const int threads, groups, group;
    pair<A> gamma[K][P], dgamma[K][P], dbeta[K][P];

    static __device__ __forceinline__ constexpr int block_threads()
    {
        return LANES > FUSELN_BACKWARD_THREADS ? LANES : FUSELN_BACKWARD_THREADS;
    }
    __device__ __forceinline__ explicit backward(const fuseln_ln_params &params)
        : p(params), pitch(static_cast<unsigned>(p.cols) * static_cast<unsigned>(sizeof(T))),
          rows(static_cast<unsigned>(p.rows)), tile(pitch, 0, p.log_lanes),
          threads(NARROW ? blockDim.x : block_threads()),
          groups(NARROW ? threads >> p.log_lanes : block_threads() / (LANES ? LANES : 1)), group(tile.group_number())
    {
    }
    static __device__ __forceinline__ uint4 *shared()
    {
        extern __shared__ uint4 fuseln_smem[];
        return fuseln_smem;
    }
    /* A stage of the ring holds a row of x of each group, then one of dy, in so many slots each: */
    __device__ __forceinline__ int row_slots() const
    {
        return NARROW ? FUSELN_TILE_SLOTS(tile.lanes() * K) : tile.lanes() * K;
    }
    /* This group's row of x is at, in bytes: */
    __device__ __forceinline__ int stage_slot(int stage) const
    {
        return (stage * 2 * groups + group) * row_slots() * FUSELN_CHUNK_BYTES;
    }
    /* The slot at byte `at` of shared memory, which is kept in bytes for the sake of the addresses. */
    static __device__ __forceinline__ uint4 *slot_at(int at)
    {
        return reinterpret_cast<uint4 *>(reinterpret_cast<char *>(shared()) + at);
    }
    /*
     * The same value, by way of shared memory that this thread owns: the compiler cannot see through it, and so keeps a
     * value that it would else compute anew for every row.
     */
    template <class V>
    static __device__ __forceinline__ V keep(V value)
    {
        if (NARROW) /* has no registers to spare */
            return value;
        volatile V *slot = reinterpret_cast<V *>(shared() + threadIdx.x);
        *slot = value;
        return *slot;
    }

    __device__ __forceinline__ void begin()
    {
        chunk<T> c[K];
        if (NARROW) {
            __syncthreads(); /* what keep() used */
            tile.take_parameter(c, slot_at(stage_slot(0)), p.gamma, 0, 1);
            __syncthreads();
        } else {
#pragma unroll
            for (int k = 0; k < K; k++) {
                c[k] = splat<T>(1);
                if (p.gamma && tile.has(k))
                    c[k] = parameter<T>(static_cast<const char *>(p.gamma) + tile.own() + tile.step(k));
            }
        }
#pragma unroll
        for (int k = 0; k < K; k++) {
            widen(c[k], gamma[k]);
#pragma unroll
            for (int i = 0; i < P; i++) {
                gamma[k][i] = {keep(gamma[k][i].lo), keep(gamma[k][i].hi)};
                dgamma[k][i] = dbeta[k][i] = both(A(0));
            }
        }
        __syncthreads();
        /* What the row has not is zero for good. */
        for (int slot = threadIdx.x; slot < 2 * p.stages * groups * row_slots(); slot += threads)
            shared()[slot] = make_uint4(0, 0, 0, 0);
        __syncthreads();
    }

    /* A thread's place in the tensors and in the ring, kept over all rows. */
    struct place {
        unsigned long long own; /* bytes from the start of a row; 0 in narrow rows */
        int slot, other; /* of this thread's first chunk of x, or of the narrow row, in this and the other stage */
        int rest;        /* bytes of the row from the thread's first chunk on */
    };
    __device__ __forceinline__ bool has(const place &at, int k) const
    {
        return at.rest > tile.step(k);
    }
    static __device__ __forceinline__ void copy(uint4 *x_slot, const char *x, uint4 *dy_slot, const char *dy)
    {
        __pipeline_memcpy_async(x_slot, x, FUSELN_CHUNK_BYTES);
        __pipeline_memcpy_async(dy_slot, dy, FUSELN_CHUNK_BYTES);
    }
    /* A row of x and of dy into the stage now; zeros where there is no such row. */
    __device__ __forceinline__ void fetch(const place &at, unsigned row) const
    {
        const int dys = groups * row_slots();
        uint4 *slots = slot_at(at.slot);
        const unsigned long long offset = static_cast<unsigned long long>(row) * pitch + at.own;
        const char *x = static_cast<const char *>(p.x) + offset, *dy = static_cast<const char *>(p.dy) + offset;
        if (row >= rows) { /* only where the block has other rows: else it ends before this one's turn */
#pragma unroll
            for (int k = 0; !NARROW && groups > 1 && k < K; k++)
                slots[k * tile.lanes()] = slots[dys + k * tile.lanes()] = make_uint4(0, 0, 0, 0);
        } else if (NARROW) {
            tile.fetch_narrow(slots, x);
            tile.fetch_narrow(slots + dys, dy);
        } else {
            /* All of a lane's chunks, mostly: without a test, and an address, for each. */
            const bool all = has(at, K - 1);
#pragma unroll
            for (int k = 0; all && k < K; k++)
                copy(slots + k * tile.lanes(), x + tile.step(k), slots + dys + k * tile.lanes(), dy + tile.step(k));
#pragma unroll
            for (int k = 0; !all && k < K - 1; k++)
                if (has(at, k))
                    copy(slots + k * tile.lanes(), x + tile.step(k), slots + dys + k * tile.lanes(), dy + tile.step(k));
        }
        __pipeline_commit();
    }
    /* The chunks of this group's row of x or dy, which lies `further` slots on. */
    __device__ __forceinline__ void take(chunk<T> (&c)[K], const void *base, const place &at, unsigned row,
                                         int further) const
    {
        const uint4 *slots = slot_at(at.slot) + further;
        if constexpr (NARROW) {
#pragma unroll
            for (int k = 0; k < K; k++)
                c[k].raw = make_uint4(0, 0, 0, 0);
            if (row < rows)
                tile.take_narrow(c, slots,
                                 static_cast<const char *>(base) + static_cast<unsigned long long>(row) * pitch);
        } else {
#pragma unroll
            for (int k = 0; k < K; k++)
                c[k].raw = slots[k * tile.lanes()];
        }
    }
    /* mean or rstd; of the last row where there is no such row. */
    __device__ __forceinline__ A statistic(const void *base, unsigned row) const
    {
        return static_cast<const A *>(base)[row < rows ? row : rows - 1];
    }

    static __device__ __forceinline__ char *parts()
    {
        __shared__ A values[2][2][FUSELN_BACKWARD_WARPS]; /* by turns: a slow warp may still read the row before */
        return reinterpret_cast<char *>(values);
    }
    enum { HALF_PARTS = FUSELN_BACKWARD_WARPS * sizeof(A) };
    /* Place, in bytes, of a warp of this thread's row in parts(), and there of the sum that this half of the lanes has,
     * see sum_lanes_of_pair(): of the upper half from HALF_PARTS on. */
    __device__ __forceinline__ int part(int warp) const
    {
        const bool upper = threadIdx.x % tile.group() >= static_cast<unsigned>(tile.group() / 2);
        const int warps = tile.lanes() / 32, first = warps ? threadIdx.x / 32 / warps * warps : 0;
        return (upper * FUSELN_BACKWARD_WARPS + first + (warps ? warp % warps : 0)) * static_cast<int>(sizeof(A));
    }
    /* The sums of a row over its lanes; in `to` part() of the own warp in the lanes that write it, in the others less
     * than zero; in `from` part() of the warp to be read. */
    __device__ __forceinline__ void reduce(A &s1, A &s2, int turn, int to, int from) const
    {
        A sums = sum_lanes_of_pair<tile_type::GROUP>(s1, s2, from >= HALF_PARTS, tile.group());
        if (tile.lanes() > 32) {
            if (to >= 0)
                *reinterpret_cast<A *>(parts() + turn + to) = sums;
            __syncthreads();
            sums = sum_lanes<WARPS>(*reinterpret_cast<const A *>(parts() + turn + from), tile.lanes() / 32);
        }
        take_pair(s1, s2, sums, tile.group());
    }

    __device__ __forceinline__ void write(const place &at, unsigned row, const chunk<T> (&dx)[K]) const
    {
        char *to = static_cast<char *>(p.dx) + (static_cast<unsigned long long>(row) * pitch + at.own);
        if (!NARROW) {
#pragma unroll
            for (int k = 0; k < K; k++)
                if (has(at, k) && (groups == 1 || row < rows))
                    *reinterpret_cast<uint4 *>(to + tile.step(k)) = dx[k].raw;
            return;
        }
        tile.sync_narrow(); /* x has been taken */
        tile.put_narrow(to, row < rows, slot_at(at.slot), dx);
    }

    /* Add one of the two sums up over the groups, in order, and write it. */
    __device__ __forceinline__ void finish(const pair<A> (&sum)[K][P], A *to) const
    {
        A *own =
            groups == 1 ? to : reinterpret_cast<A *>(shared() + group * tile.lanes() * K * (2 * P / chunk<A>::size));
        __syncthreads();
#pragma unroll
        for (int k = 0; k < K; k++)
            write_sums(own + tile.slot(k) * (2 * P), sum[k], tile.count(k));
        if (groups == 1)
            return;
        __syncthreads();
        const A *all = reinterpret_cast<const A *>(shared());
        for (int col = threadIdx.x * chunk<A>::size; col < p.cols; col += threads * chunk<A>::size) {
            chunk<A> c;
            c.raw = *reinterpret_cast<const uint4 *>(all + col);
            for (int other = 1; other < groups; other++) {
                chunk<A> more;
                more.raw = *reinterpret_cast<const uint4 *>(all + other * (tile.lanes() * K * 2 * P) + col);
#pragma unroll
                for (int i = 0; i < chunk<A>::size; i++)
                    c.at[i] += more.at[i];
            }
            *reinterpret_cast<uint4 *>(to + col) = c.raw;
        }
    }

    static __device__ __forceinline__ void turn_stage(place &at)
    {
        const int now = at.slot;
        at.slot = at.other;
        at.other = now;
    }

    __device__ __forceinline__ void run()
    {
        const bool rms = !p.mean;
        const void *means = rms ? p.rstd : p.mean; /* something to read */
        const unsigned stride = static_cast<unsigned>(p.partial_rows) * groups;
        place at = {keep(static_cast<unsigned long long>(NARROW ? 0 : tile.own())),
                    keep(stage_slot(0) + (NARROW ? 0 : tile.own())),
                    keep(stage_slot(p.stages - 1) + (NARROW ? 0 : tile.own())), keep(tile.left - tile.own())};
        const int to = keep(threadIdx.x % 16 ? -1 : part(threadIdx.x / 32));
        const int from = keep(part(threadIdx.x % FUSELN_BACKWARD_WARPS));
        unsigned row = blockIdx.x * groups + group, ahead = row;
        A mean = statistic(means, row), rstd = statistic(p.rstd, row);
        begin();
        for (int stage = 0; stage < 2; stage++, ahead += stage <= p.stages ? stride : 0) {
            if (stage < p.stages)
                fetch(at, ahead);
            turn_stage(at);
        }
        /* Every group of the block makes the same number of turns. */
        for (int turn = 0; row - group < rows; row += stride, ahead += stride) {
            chunk<T> c[K];
            pair<A> xhat[K][P], d[K][P], g[K][P], s1 = both(A(0)), s2 = s1;
            const A next_mean = statistic(means, row + stride), next_rstd = statistic(p.rstd, row + stride);
            if (p.stages == 1)
                __pipeline_wait_prior(0);
            else
                __pipeline_wait_prior(1);
            if (NARROW)
                tile.sync();
            take(c, p.x, at, row, 0);
#pragma unroll
            for (int k = 0; k < K; k++)
                widen(c[k], xhat[k]);
            take(c, p.dy, at, row, groups * row_slots());
#pragma unroll
            for (int k = 0; k < K; k++)
                widen(c[k], d[k]);
            if (!NARROW)
                fetch(at, ahead);
#pragma unroll
            for (int k = 0; k < K; k++)
                row_sums(xhat[k], d[k], g[k], gamma[k], rms ? A(0) : mean, rstd, s1, s2, k == 0);
            if (p.partials)
#pragma unroll
                for (int k = 0; k < K; k++)
                    column_sums(dgamma[k], dbeta[k], xhat[k], d[k]);
            if (p.dx) {
                A f1 = s1.lo + s1.hi, f2 = s2.lo + s2.hi;
                reduce(f1, f2, turn, to, from);
                row_factors(p, f1, f2, rstd, rms);
#pragma unroll
                for (int k = 0; k < K; k++)
                    c[k] = input_gradient<T>(xhat[k], g[k], rstd, f1, f2);
                write(at, row, c);
            }
            if (NARROW) { /* the stage may only be overwritten when all lanes are through with it */
                tile.sync();
                fetch(at, ahead);
            }
            mean = next_mean;
            rstd = next_rstd;
            turn_stage(at);
            turn = 2 * HALF_PARTS - turn;
        }
        if (!p.partials)
            return;
        A *sums = static_cast<A *>(p.partials) + blockIdx.x * partial_pitch(p.cols);
        finish(dgamma, sums);
        finish(dbeta, sums + p.partial_rows * partial_pitch(p.cols));
    }
};

#define THREADS(lanes) ((lanes) == 0 ? 32 * FUSELN_BACKWARD_WARPS : backward<float, lanes, 1, WHOLE>::block_threads())
#define KERNEL(name, module, id, type, lanes, chunks, rows, place, narrow, blocks)                             \
    extern "C" __global__ void __launch_bounds__(THREADS(lanes), blocks) name(const struct fuseln_ln_params p) \
    {                                                                                                          \
        backward<type, lanes, chunks, narrow ? RAGGED : WHOLE>(p).run();                                       \
    }
FUSELN_BACKWARD_VARIANTS(KERNEL)
#undef KERNEL
