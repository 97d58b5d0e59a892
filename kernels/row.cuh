/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread's part of a row, as the schedules of schedules.h divide it: `lanes` threads share a row, and a tile is the
 * lanes * K chunks that they hold at once.
 *   Aligned rows: each thread loads and stores its own chunks, 16 bytes at a time.
 *   Unaligned rows of float and double: each thread reads and writes its own chunks element by element.
 *   Unaligned rows of half types: staged in shared memory. The lanes copy what is aligned in memory 16 bytes at a time
 *   and the few elements before and after it one by one (fetch_inner: with their neighbours in memory), then each
 *   thread reads its own chunks from there.
 * In all three cases a thread holds the same elements, so the results have the same bits. LANES is 0 where the number
 * of lanes is only known at run time: one unaligned kernel serves all schedules of K chunks.
 */
#ifndef FUSELN_ROW_CUH
#define FUSELN_ROW_CUH

#include <cuda_pipeline_primitives.h>

#include "kernels/welford.cuh"

/* Bytes from the last 16-byte boundary to this address. */
static __device__ __forceinline__ int skew_of(const void *address)
{
    return static_cast<int>(reinterpret_cast<unsigned long long>(address) % FUSELN_CHUNK_BYTES);
}

/* The 16 bytes of shared memory from byte `at` on, an even number. */
static __device__ __forceinline__ uint4 read_shifted(const uint4 *slots, unsigned at)
{
    const unsigned *from = reinterpret_cast<const unsigned *>(slots) + at / 4, bits = at % 4 * 8;
    unsigned word[5];
#pragma unroll
    for (int i = 0; i < 5; i++)
        word[i] = from[i];
    return make_uint4(__funnelshift_r(word[0], word[1], bits), __funnelshift_r(word[1], word[2], bits),
                      __funnelshift_r(word[2], word[3], bits), __funnelshift_r(word[3], word[4], bits));
}

/* Of a power of two. */
static __device__ __forceinline__ constexpr int logarithm(int n)
{
    return n > 1 ? 1 + logarithm(n / 2) : 0;
}

/* What is known of the row's chunks in a tile. WHOLE: each is whole or missing, as in aligned rows. SKIPPED: also, a
 * thread does nothing for chunks that it lacks. HELD: also, it lacks none of the first half, as a schedule takes rows
 * that are too long for half its chunks, except the one with the fewest lanes. RAGGED: the row may end inside a chunk.
 * ANY: it may, and missing chunks are skipped.
 */
enum row_fill { HELD, SKIPPED, ANY, WHOLE, RAGGED };

template <class T, int LANES, int K, row_fill FILL>
struct row_tile {
    using A = acc_of<T>;
    enum : int {
        GROUP = LANES < 32 ? LANES : 32, /* the row's lanes in one warp; 0: known at run time */
        LOG_LANES = logarithm(LANES),
        SURE = FILL == HELD && LANES > 8 ? K / 2 : 0, /* so many chunks no thread lacks */
        E = chunk<T>::size
    };
    enum : bool { MAY_BE_RAGGED = FILL == ANY || FILL == RAGGED };

    const int log_lanes, lane; /* lanes is a power of two */
    int left;                  /* bytes of the row in this tile */

    __device__ __forceinline__ explicit row_tile(long long row_bytes, long long first = 0, int run_log_lanes = 0)
        : log_lanes(run_log_lanes), lane(threadIdx.x & (lanes() - 1)),
          left(FILL == HELD || row_bytes - first < bytes() ? static_cast<int>(row_bytes - first) : bytes())
    {
    }
    __device__ __forceinline__ int lanes() const
    {
        return LANES ? LANES : 1 << log_lanes;
    }
    /* Which of the block's groups of lanes this thread is in. */
    __device__ __forceinline__ int group_number() const
    {
        return LANES ? threadIdx.x / (LANES ? LANES : 1) : threadIdx.x >> log_lanes;
    }
    __device__ __forceinline__ int group() const
    {
        return lanes() < 32 ? lanes() : 32;
    }
    __device__ __forceinline__ int bytes() const
    {
        return lanes() * (K * FUSELN_CHUNK_BYTES);
    }
    /* Synchronises the threads that share the row. */
    __device__ __forceinline__ void sync() const
    {
        if (lanes() > 32)
            __syncthreads();
        else
            __syncwarp();
    }

    /* This thread's k-th chunk begins at byte own() + step(k) of the tile. */
    __device__ __forceinline__ int own() const
    {
        return lane * FUSELN_CHUNK_BYTES;
    }
    __device__ __forceinline__ int step(int k) const
    {
        return k * lanes() * FUSELN_CHUNK_BYTES;
    }
    __device__ __forceinline__ int slot(int k) const /* of 16 bytes, in shared memory that holds the tile */
    {
        return lane + k * lanes();
    }
    /* Does the row have any of this chunk? */
    __device__ __forceinline__ bool has(int k) const
    {
        return k < SURE || left - own() > step(k);
    }
    /* Must this thread go on to its k-th chunk? The first is for all, since they exchange the pivot there. */
    __device__ __forceinline__ bool reaches(int k) const
    {
        return FILL >= WHOLE || k == 0 || has(k);
    }
    /* Does it have all of it? */
    __device__ __forceinline__ bool full(int k) const
    {
        return left - own() >= step(k) + FUSELN_CHUNK_BYTES;
    }
    /* How many of its elements? */
    __device__ __forceinline__ int count(int k) const
    {
        const int rest = (left - own() - step(k)) / static_cast<int>(sizeof(T));
        return rest < 0 ? 0 : rest < E ? rest : E;
    }
    /* Elements that warp `warp` of the row's holds: so many in each full turn of the lanes, and its part of the last.
     */
    __device__ __forceinline__ A held(int warp) const
    {
        const int share = group() * FUSELN_CHUNK_BYTES;
        const int turns = static_cast<unsigned>(left) / FUSELN_CHUNK_BYTES >> (LANES ? LOG_LANES : log_lanes);
        const int rest = left - step(turns) - warp * share, last = rest < 0 ? 0 : rest < share ? rest : share;
        return A(static_cast<unsigned>(turns * share + last) / static_cast<unsigned>(sizeof(T)));
    }

    /* Aligned rows, between memory and registers. Missing chunks are zero, unless they are skipped. */
    __device__ __forceinline__ void load(chunk<T> &c, const char *own_part, int k) const
    {
        c.raw = make_uint4(0, 0, 0, 0);
        if (has(k))
            c.raw = *reinterpret_cast<const uint4 *>(own_part + step(k));
    }
    __device__ __forceinline__ void load(chunk<T> (&c)[K], const char *from) const
    {
#pragma unroll
        for (int k = 0; k < K && reaches(k); k++)
            load(c[k], from + own(), k);
    }
    __device__ __forceinline__ void store(char *to, const chunk<T> (&c)[K], bool exists = true) const
    {
        to += own();
#pragma unroll
        for (int k = 0; k < K; k++)
            if (has(k) && exists)
                *reinterpret_cast<uint4 *>(to + step(k)) = c[k].raw;
    }

    /* Each thread's own chunks to shared memory, asynchronously: commit and wait before read(). */
    __device__ __forceinline__ void fetch(uint4 *slots, const char *from) const
    {
        char *to = reinterpret_cast<char *>(slots) + own();
        from += own();
#pragma unroll
        for (int k = 0; k < K; k++)
            if (has(k))
                __pipeline_memcpy_async(to + step(k), from + step(k), FUSELN_CHUNK_BYTES);
    }
    /* Own chunks from shared memory. Missing chunks are zero. */
    __device__ __forceinline__ void read(chunk<T> (&c)[K], const uint4 *slots) const
    {
#pragma unroll
        for (int k = 0; k < K && reaches(k); k++) {
            c[k].raw = make_uint4(0, 0, 0, 0);
            if (has(k))
                c[k].raw = slots[slot(k)];
        }
    }

    /*
     * Unaligned rows: fetch_unaligned, wait_unaligned, read_unaligned, called by all lanes of the row; sync_unaligned
     * before the slots, FUSELN_TILE_SLOTS(lanes * K) of them, are reused. The row keeps its distance from a 16-byte
     * boundary in shared memory, and zeros follow it. Elements of 4 bytes or more are not staged: only read_unaligned
     * does anything then.
     */
    enum : bool { STAGED = sizeof(T) == 2 };
    __device__ __forceinline__ void sync_unaligned() const
    {
        if (STAGED)
            sync();
    }
    __device__ __forceinline__ void wait_unaligned() const
    {
        if (STAGED) {
            __pipeline_commit();
            __pipeline_wait_prior(0);
            sync();
        }
    }
    __device__ __forceinline__ void fetch_unaligned(uint4 *slots, const char *from) const
    {
        if constexpr (STAGED) {
            constexpr int size = sizeof(T);
            const int skew = skew_of(from), before = -skew & (FUSELN_CHUNK_BYTES - 1), at = lane * size;
            const int head = before < left ? before : left, tail = left - (left - head) % FUSELN_CHUNK_BYTES;
            const T zero = splat<T>(0).at[0];
            char *to = reinterpret_cast<char *>(slots) + skew;
#pragma unroll 1
            for (int i = head + own(); i < tail; i += step(1))
                __pipeline_memcpy_async(to + i, from + i, FUSELN_CHUNK_BYTES);
            if (at < head)
                *reinterpret_cast<T *>(to + at) = *reinterpret_cast<const T *>(from + at);
            if (tail + at < left)
                *reinterpret_cast<T *>(to + tail + at) = *reinterpret_cast<const T *>(from + tail + at);
            const int end = skew + left, whole = (end + FUSELN_CHUNK_BYTES - 1) & -FUSELN_CHUNK_BYTES;
            if (end + at < whole)
                *reinterpret_cast<T *>(to + left + at) = zero;
#pragma unroll 1
            for (int i = whole + own(); i < FUSELN_TILE_SLOTS(lanes() * K) * FUSELN_CHUNK_BYTES; i += step(1))
                slots[i / FUSELN_CHUNK_BYTES] = make_uint4(0, 0, 0, 0);
            if (lane == 0 && skew % 4)
                *reinterpret_cast<T *>(to - size) = zero; /* read_shifted() reads the whole word */
        }
    }
    __device__ __forceinline__ void read_unaligned(chunk<T> (&c)[K], const uint4 *slots, const char *from) const
    {
#pragma unroll
        for (int k = 0; k < K; k++)
            if constexpr (STAGED)
                c[k].raw = read_shifted(slots, static_cast<unsigned>(skew_of(from) + own() + step(k)));
            else
                read_elements(c[k], from + own() + step(k), k);
    }
    /* The same for a row with at least 16 bytes of its tensor on either side: the 16-byte pieces of memory that hold
     * some of it come whole, so nothing waits for a load, and so does the next where the row fills its last piece, as
     * read_shifted() reads a word of it. No zeros follow: only read_inner() may read such a row. */
    __device__ __forceinline__ void fetch_inner(uint4 *slots, const char *from) const
    {
        const int skew = skew_of(from);
        char *to = reinterpret_cast<char *>(slots);
        from -= skew;
#pragma unroll 1
        for (int at = own(); STAGED && at <= skew + left; at += step(1))
            __pipeline_memcpy_async(to + at, from + at, FUSELN_CHUNK_BYTES);
    }
    __device__ __forceinline__ void read_inner(chunk<T> (&c)[K], const uint4 *slots, const char *from) const
    {
        const char *staged = STAGED ? reinterpret_cast<const char *>(slots) + skew_of(from) : from;
#pragma unroll
        for (int k = 0; k < K; k++)
            if (STAGED && full(k))
                c[k].raw = read_shifted(slots, static_cast<unsigned>(skew_of(from) + own() + step(k)));
            else
                read_elements(c[k], staged + own() + step(k), k);
    }
    __device__ __forceinline__ void read_elements(chunk<T> &c, const char *from, int k) const
    {
        const T *element = reinterpret_cast<const T *>(from);
        if (full(k)) {
#pragma unroll
            for (int i = 0; i < E; i++)
                c.at[i] = element[i];
            return;
        }
        const int exist = count(k);
        c.raw = make_uint4(0, 0, 0, 0);
#pragma unroll
        for (int i = 0; i < E; i++)
            if (i < exist)
                c.at[i] = element[i];
    }
    /* Own chunks to an unaligned row, through free slots. */
    __device__ __forceinline__ void store_unaligned(char *to, bool exists, uint4 *slots, const chunk<T> (&c)[K]) const
    {
        if constexpr (!STAGED) {
#pragma unroll
            for (int k = 0; exists && k < K; k++) {
                T *element = reinterpret_cast<T *>(to + own() + step(k));
                if (full(k)) {
#pragma unroll
                    for (int i = 0; i < E; i++)
                        element[i] = c[k].at[i];
                } else {
                    const int exist = count(k);
#pragma unroll
                    for (int i = 0; i < E; i++)
                        if (i < exist)
                            element[i] = c[k].at[i];
                }
            }
        } else {
            constexpr int size = sizeof(T);
#pragma unroll
            for (int k = 0; k < K; k++)
                slots[slot(k)] = c[k].raw;
            sync();
            if (!exists)
                return;
            const int before = -skew_of(to) & (FUSELN_CHUNK_BYTES - 1), at = lane * size;
            const int head = before < left ? before : left, tail = left - (left - head) % FUSELN_CHUNK_BYTES;
            const char *from = reinterpret_cast<const char *>(slots);
            if (at < head)
                *reinterpret_cast<T *>(to + at) = *reinterpret_cast<const T *>(from + at);
            if (tail + at < left)
                *reinterpret_cast<T *>(to + tail + at) = *reinterpret_cast<const T *>(from + tail + at);
#pragma unroll 1
            for (int i = head + own(); i < tail; i += step(1))
                *reinterpret_cast<uint4 *>(to + i) = read_shifted(slots, static_cast<unsigned>(i));
        }
    }

    /* gamma or beta from byte `first` on, through free slots. NULL stands for `missing` in every column. */
    __device__ __forceinline__ void read_parameter(chunk<T> (&c)[K], uint4 *slots, const void *base, long long first,
                                                   int missing) const
    {
        const char *from = static_cast<const char *>(base) + first;
        if (!base) {
#pragma unroll
            for (int k = 0; k < K; k++)
                c[k] = splat<T>(missing);
            return;
        }
        fetch_unaligned(slots, from);
        wait_unaligned();
        read_unaligned(c, slots, from);
        sync_unaligned();
    }
};

/* A chunk of an aligned gamma or beta, by the read-only cache: nothing writes them while the kernel runs. */
template <class T>
static __device__ __forceinline__ chunk<T> parameter(const char *from)
{
    chunk<T> c;
    c.raw = __ldg(reinterpret_cast<const uint4 *>(from));
    return c;
}

/* y = gamma ((x - mean) rstd) + beta from d = x - mean, rounded once. Every kernel that writes y calls it, so that
 * their bits agree. */
template <class T, class A, int P>
static __device__ __forceinline__ chunk<T> affine(const pair<A> (&d)[P], A rstd, const pair<A> (&gamma)[P],
                                                  const pair<A> (&beta)[P])
{
    pair<A> v[P];
#pragma unroll
    for (int i = 0; i < P; i++)
        v[i] = mul_add(gamma[i], mul(d[i], both(rstd)), beta[i]);
    chunk<T> y;
    round_into(v, y);
    return y;
}
template <class T, class A, int P>
static __device__ __forceinline__ chunk<T> normalise(pair<A> (&x)[P], A mean, A rstd, const chunk<T> &gamma,
                                                     const chunk<T> &beta)
{
    pair<A> g[P], b[P];
    widen(gamma, g);
    widen(beta, b);
#pragma unroll
    for (int i = 0; i < P; i++)
        x[i] = add(x[i], both(-mean));
    return affine<T>(x, rstd, g, b);
}

template <class A>
static __device__ __forceinline__ A inverse_cols(const fuseln_ln_params &p)
{
    return sizeof(A) == 8 ? A(p.inverse_cols) : A(p.inverse_cols_f);
}
/* The mean or rstd of a row that an earlier launch wrote; zero for the mean of RMS norm, which is NULL. */
template <class A>
static __device__ __forceinline__ A row_value(const void *base, long long row, bool exists)
{
    return base && exists ? static_cast<const A *>(base)[row] : A(0);
}

#endif
