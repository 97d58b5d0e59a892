/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backward of rows of up to FUSELN_BACKWARD_COLS columns in one pass: dX and, from the same read of dY and X, the
 * partial sums of dgamma and dbeta. Either may be left out (NULL dx, NULL partials); the other's bits do not change.
 * Persistent blocks: block b of P (partial_rows) takes the rows (t G + g) P + b for t = 0, 1, ..., where each of its G
 * groups of lanes g handles one row at a time; so even few rows are spread over all blocks. While a thread works,
 * cp.async brings the chunks of its next rows into its own slots of shared memory; gamma and the sums over rows stay in
 * its registers. At the end the block adds up its groups in order and writes partial row b. No atomics; one barrier a
 * row where a row takes more than a warp.
 */
#include "kernels/gradient.cuh"

/* LANES 0: unaligned rows, of 1 << p.log_lanes lanes, where other lanes may have fetched a thread's chunks. */
template <class T, int LANES, int K, row_fill FILL>
struct backward {
    using A = acc_of<T>;
    enum : bool { UNALIGNED = LANES == 0 };
    enum : int {
        P = chunk<T>::size / 2,
        WARPS = LANES > 32 ? LANES / 32 : 0,
        SURE = K * P > 4 ? K / 2 : 0, /* so many chunks no thread lacks; the shortest schedule takes any rows */
    };
    using tile_type = row_tile<T, LANES, K, FILL>;

    const fuseln_ln_params &p;
    const unsigned pitch, rows; /* bytes; rows < 2^31 */
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
          threads(UNALIGNED ? blockDim.x : block_threads()),
          groups(UNALIGNED ? threads >> p.log_lanes : block_threads() / (LANES ? LANES : 1)), group(tile.group_number())
    {
    }
    static __device__ __forceinline__ uint4 *shared()
    {
        extern __shared__ uint4 fuseln_smem[];
        return fuseln_smem;
    }
    /* Slots of one row. A stage of the ring holds a row of x for each group, then a row of dy for each. Behind two
     * stages unaligned rows have room for dx. */
    __device__ __forceinline__ int row_slots() const
    {
        return UNALIGNED ? FUSELN_TILE_SLOTS(tile.lanes() * K) : tile.lanes() * K;
    }
    /* Where this group's row of x begins, in bytes. */
    __device__ __forceinline__ int stage_slot(int stage) const
    {
        return (stage * 2 * groups + group) * row_slots() * FUSELN_CHUNK_BYTES;
    }
    /* The slot at byte `at` of shared memory: offsets in bytes make shorter addresses. */
    static __device__ __forceinline__ uint4 *slot_at(int at)
    {
        return reinterpret_cast<uint4 *>(reinterpret_cast<char *>(shared()) + at);
    }
    /* The same value in a register: the compiler cannot see through the empty instruction, so it does not compute the
     * value again for every row. */
    template <class V>
    static __device__ __forceinline__ V keep(V value)
    {
        unsigned word;
        static_assert(sizeof word == sizeof value, "one register");
        if (UNALIGNED) /* which has no register to spare */
            return value;
        memcpy(&word, &value, sizeof word);
        asm volatile("" : "+r"(word));
        memcpy(&value, &word, sizeof word);
        return value;
    }

    /* Reads gamma, while the first rows are on their way. */
    __device__ __forceinline__ void begin()
    {
#pragma unroll
        for (int k = 0; k < K; k++) {
            chunk<T> c = splat<T>(1);
            const char *from = static_cast<const char *>(p.gamma) + tile.own() + tile.step(k);
            if (p.gamma && UNALIGNED)
                tile.read_elements(c, from, k);
            else if (p.gamma && tile.has(k))
                c = parameter<T>(from);
            widen(c, gamma[k]);
#pragma unroll
            for (int i = 0; i < P; i++) {
                gamma[k][i] = {keep(gamma[k][i].lo), keep(gamma[k][i].hi)};
                dgamma[k][i] = dbeta[k][i] = both(A(0));
            }
        }
    }

    /* Where a thread's chunks lie in the tensors and in the ring. */
    struct ring_position {
        unsigned own;    /* bytes from the start of a row; 0 for unaligned rows */
        int slot, other; /* of its first chunk of x, or of the unaligned row, in this stage and the other one */
        int rest;        /* bytes of the row from the thread's first chunk on */
    };
    __device__ __forceinline__ bool has(const ring_position &at, int k) const
    {
        return k < SURE || at.rest > tile.step(k);
    }
    static __device__ __forceinline__ void copy(uint4 *x_slot, const char *x, uint4 *dy_slot, const char *dy)
    {
        __pipeline_memcpy_async(x_slot, x, FUSELN_CHUNK_BYTES);
        __pipeline_memcpy_async(dy_slot, dy, FUSELN_CHUNK_BYTES);
    }
    __device__ __forceinline__ void clear(uint4 *slots, int k) const
    {
        slots[k * tile.lanes()] = slots[groups * row_slots() + k * tile.lanes()] = make_uint4(0, 0, 0, 0);
    }
    /* Fetches a row of x and dy into the current stage; zeros for a row beyond the last. */
    __device__ __forceinline__ void fetch(const ring_position &at, unsigned row) const
    {
        const int dys = groups * row_slots();
        uint4 *slots = slot_at(at.slot);
        const unsigned long long offset = static_cast<unsigned long long>(row) * pitch + at.own;
        const char *x = static_cast<const char *>(p.x) + offset, *dy = static_cast<const char *>(p.dy) + offset;
        if (row >= rows) { /* matters only beside another group's row: else the block ends before it */
#pragma unroll
            for (int k = 0; !UNALIGNED && groups > 1 && k < K; k++)
                clear(slots, k);
        } else if (UNALIGNED && row > 0 && row < rows - 1 && pitch >= FUSELN_CHUNK_BYTES) {
            tile.fetch_inner(slots, x);
            tile.fetch_inner(slots + dys, dy);
        } else if (UNALIGNED) {
            tile.fetch_unaligned(slots, x);
            tile.fetch_unaligned(slots + dys, dy);
        } else {
            /* Mostly a lane has all of its chunks: then none needs a test and an address of its own. */
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
    /* Fetches the first rows. Chunks that a row does not have become zero: no later fetch writes their slots. */
    __device__ __forceinline__ void fetch_first(ring_position &at, unsigned row, unsigned stride) const
    {
        for (int stage = 0; stage < p.stages; stage++, row += stride) {
            fetch(at, row);
#pragma unroll
            for (int k = 0; !UNALIGNED && k < K; k++)
                if (!has(at, k))
                    clear(slot_at(at.slot), k);
            swap_stages(at);
        }
    }
    /* This thread's chunks of x, or of dy, which lies `further` slots on. */
    __device__ __forceinline__ void read(chunk<T> (&c)[K], const void *base, const ring_position &at, unsigned row,
                                         int further) const
    {
        const uint4 *slots = slot_at(at.slot) + further;
        if constexpr (UNALIGNED) {
#pragma unroll
            for (int k = 0; k < K; k++)
                c[k].raw = make_uint4(0, 0, 0, 0);
            if (row < rows)
                tile.read_inner(c, slots,
                                static_cast<const char *>(base) + static_cast<unsigned long long>(row) * pitch);
        } else {
#pragma unroll
            for (int k = 0; k < K; k++)
                c[k].raw = slots[k * tile.lanes()];
        }
    }
    /* mean or rstd of a row; beyond the last row, that of the last. */
    __device__ __forceinline__ A statistic(const void *base, unsigned row) const
    {
        return static_cast<const A *>(base)[row < rows ? row : rows - 1];
    }

    static __device__ __forceinline__ char *parts()
    {
        /* Two sets: a slow warp may still be reading the previous row's. */
        __shared__ A values[2][2][FUSELN_BACKWARD_WARPS];
        return reinterpret_cast<char *>(values);
    }
    enum { HALF_PARTS = FUSELN_BACKWARD_WARPS * sizeof(A) };
    /* Where the part of a warp of this thread's row lies in parts(), in bytes. The upper half of the lanes sums s2 (see
     * sum_lanes_of_pair), whose parts begin at HALF_PARTS. */
    __device__ __forceinline__ int part(int warp) const
    {
        const bool upper = threadIdx.x % tile.group() >= static_cast<unsigned>(tile.group() / 2);
        const int warps = tile.lanes() / 32, first = warps ? threadIdx.x / 32 / warps * warps : 0;
        return (upper * FUSELN_BACKWARD_WARPS + first + (warps ? warp % warps : 0)) * static_cast<int>(sizeof(A));
    }
    /* Sums s1 and s2 over the lanes of a row. to: part() of the own warp in the lanes that write it, -1 in the others;
     * from: part() of the warp that this lane reads. */
    __device__ __forceinline__ void reduce(A &s1, A &s2, int buffer, int to, int from) const
    {
        A sums = sum_lanes_of_pair<tile_type::GROUP>(s1, s2, from >= HALF_PARTS, tile.group());
        if (tile.lanes() > 32) {
            if (to >= 0)
                *reinterpret_cast<A *>(parts() + buffer + to) = sums;
            __syncthreads();
            sums = sum_lanes<WARPS>(*reinterpret_cast<const A *>(parts() + buffer + from), tile.lanes() / 32);
        }
        broadcast_pair(s1, s2, sums, tile.group());
    }

    __device__ __forceinline__ void write(const ring_position &at, unsigned row, const chunk<T> (&dx)[K]) const
    {
        char *to = static_cast<char *>(p.dx) + (static_cast<unsigned long long>(row) * pitch + at.own);
        if (!UNALIGNED) {
#pragma unroll
            for (int k = 0; k < K; k++)
                if (has(at, k) && (groups == 1 || row < rows))
                    *reinterpret_cast<uint4 *>(to + tile.step(k)) = dx[k].raw;
            return;
        }
        if (p.stages == 1)
            tile.sync_unaligned(); /* x has been read */
        tile.store_unaligned(to, row < rows, slot_at(p.stages == 2 ? stage_slot(2) : at.slot), dx);
    }

    /* Adds up dgamma or dbeta over the groups, in order, and writes it. */
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

    static __device__ __forceinline__ void swap_stages(ring_position &at)
    {
        const int now = at.slot;
        at.slot = at.other;
        at.other = now;
    }

    __device__ __forceinline__ void run()
    {
        const bool rms = !p.mean;
        const void *means = rms ? p.rstd : p.mean; /* anything that can be read */
        const unsigned parts = static_cast<unsigned>(p.partial_rows), stride = parts * groups;
        const int own = UNALIGNED ? 0 : tile.own();
        ring_position at = {keep(static_cast<unsigned>(own)), keep(stage_slot(0) + own),
                            keep(stage_slot(p.stages - 1) + own), keep(tile.left - tile.own())};
        const int to = keep(threadIdx.x % 16 ? -1 : part(threadIdx.x / 32));
        const int from = keep(part(threadIdx.x % FUSELN_BACKWARD_WARPS));
        unsigned row = group * parts + blockIdx.x, ahead = row + p.stages * stride;
        A mean = statistic(means, row), rstd = statistic(p.rstd, row);
        fetch_first(at, row, stride);
        begin();
        /* The same number of iterations for every group of the block: the barriers need all threads. */
        for (int buffer = 0; row - group * parts < rows; row += stride, ahead += stride) {
            chunk<T> c[K];
            pair<A> xhat[K][P], d[K][P], g[K][P], s1 = both(A(0)), s2 = s1;
            /* What is missing has zeros for x and dy, and rstd 0 too: where mean x rstd overflows, 0 x Inf is NaN. */
            const A existing = groups == 1 || row < rows ? rstd : A(0);
            const A next_mean = statistic(means, row + stride), next_rstd = statistic(p.rstd, row + stride);
            if (p.stages == 1)
                __pipeline_wait_prior(0);
            else
                __pipeline_wait_prior(1);
            if (UNALIGNED)
                tile.sync_unaligned();
            read(c, p.x, at, row, 0);
#pragma unroll
            for (int k = 0; k < K; k++)
                widen(c[k], xhat[k]);
            read(c, p.dy, at, row, groups * row_slots());
#pragma unroll
            for (int k = 0; k < K; k++)
                widen(c[k], d[k]);
            if (!UNALIGNED)
                fetch(at, ahead);
#pragma unroll
            for (int k = 0; k < K; k++)
                standardise(xhat[k], rms ? A(0) : mean, UNALIGNED || has(at, k) ? existing : A(0));
            if (UNALIGNED)
                clear_missing(xhat, tile, mean, rstd);
#pragma unroll
            for (int k = 0; k < K; k++)
                row_sums(xhat[k], d[k], g[k], gamma[k], s1, s2, k == 0);
            if (p.partials)
#pragma unroll
                for (int k = 0; k < K; k++)
                    column_sums(dgamma[k], dbeta[k], xhat[k], d[k]);
            if (p.dx) {
                A f1 = s1.lo + s1.hi, f2 = s2.lo + s2.hi;
                reduce(f1, f2, buffer, to, from);
                row_factors(p, f1, f2, rstd, rms);
#pragma unroll
                for (int k = 0; k < K; k++)
                    c[k] = input_gradient<T>(xhat[k], g[k], rstd, f1, f2);
                write(at, row, c);
            }
            if (UNALIGNED) { /* all lanes must have read the stage before it is overwritten */
                if (!p.dx || p.stages == 1)
                    tile.sync_unaligned(); /* else the barrier of write() is enough */
                fetch(at, ahead);
            }
            mean = next_mean;
            rstd = next_rstd;
            swap_stages(at);
            buffer = 2 * HALF_PARTS - buffer;
        }
        if (!p.partials)
            return;
        if (!p.dx)
            FUSELN_DEPENDENTS_START();
        A *sums = static_cast<A *>(p.partials) + blockIdx.x * partial_pitch(p.cols);
        finish(dgamma, sums);
        finish(dbeta, sums + p.partial_rows * partial_pitch(p.cols));
    }
};

#define THREADS(lanes) ((lanes) == 0 ? 32 * FUSELN_BACKWARD_WARPS : backward<float, lanes, 1, WHOLE>::block_threads())
#define KERNEL(name, module, id, type, lanes, chunks, rows, storage, unaligned, blocks)                        \
    extern "C" __global__ void __launch_bounds__(THREADS(lanes), blocks) name(const struct fuseln_ln_params p) \
    {                                                                                                          \
        backward<type, lanes, chunks, unaligned ? RAGGED : WHOLE>(p).run();                                    \
    }
FUSELN_BACKWARD_VARIANTS(KERNEL)
#undef KERNEL
