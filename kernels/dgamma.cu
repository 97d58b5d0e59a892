/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DGAMMA alone of the rows that kernels/backward.cu does not handle (above 8192 columns, and all of double), and the
 * reduction of partial sums for all:
 *   partial: partial row b of P sums the rows b, b + P, b + 2P, ... in that order; a thread owns one chunk of columns;
 *   reduce:  sums the partial rows in a fixed order and rounds once, FUSELN_REDUCE_COLS columns of one output a block;
 *   direct:  both in one launch, for too few rows for partial sums to pay; FUSELN_REDUCE_COLS columns a block.
 * The last two write row 0 of the output. Rows 1 ... out_rows - 1 become zero, by blocks of their own behind the
 * others: the program takes them for partial sums and adds them up itself; there may be 16,384. No atomics, so the bits
 * are the same in every run. A NULL dgamma or dbeta is not computed.
 */
#include "kernels/gradient.cuh"

/* Bytes of this chunk that belong to the row. */
static __device__ __forceinline__ int bytes_inside(long long index, long long row_bytes)
{
    const long long rest = row_bytes - index * FUSELN_CHUNK_BYTES;
    return rest <= 0 ? 0 : rest >= FUSELN_CHUNK_BYTES ? FUSELN_CHUNK_BYTES : static_cast<int>(rest);
}

/* The chunk at `from`, of which `inside` bytes exist, in accesses of `width` bytes if it is whole. c holds the values
 * of missing elements. */
template <class T>
static __device__ __forceinline__ chunk<T> load(const char *from, int inside, int width, chunk<T> c)
{
    if (inside == FUSELN_CHUNK_BYTES && width >= 8) {
        c.half[0] = reinterpret_cast<const uint2 *>(from)[0];
        c.half[1] = reinterpret_cast<const uint2 *>(from)[1];
    } else if (sizeof(T) < 4 && inside == FUSELN_CHUNK_BYTES && width == 4) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            c.word[i] = reinterpret_cast<const unsigned *>(from)[i];
    } else {
#pragma unroll
        for (int i = 0; i < chunk<T>::size; i++)
            if (i * static_cast<int>(sizeof(T)) < inside)
                c.at[i] = reinterpret_cast<const T *>(from)[i];
    }
    return c;
}

/* How rows are read: in 16-byte chunks; in accesses of p.width bytes; or element by element, which is the least code.
 */
enum row_access { ALIGNED, UNALIGNED, ELEMENTS };

template <class T, row_access ROWS>
static __device__ __forceinline__ chunk<T> load_any(const char *from, int inside, int width)
{
    chunk<T> c;
    c.raw = make_uint4(0, 0, 0, 0);
    if (ROWS != ALIGNED)
        return load<T>(from, inside, ROWS == UNALIGNED ? width : sizeof(T), c);
    if (inside)
        c.raw = *reinterpret_cast<const uint4 *>(from);
    return c;
}

/* Sums the rows first, first + step, ... in that order, for the chunk of columns `index`, of which `inside` bytes
 * exist. The loads of FLIGHT rows are in flight together. */
template <class T, row_access ROWS, int FLIGHT, class A, int P>
static __device__ __forceinline__ void sum_rows(const fuseln_ln_params &p, long long index, int inside, long long first,
                                                long long step, pair<A> (&dgamma)[P], pair<A> (&dbeta)[P])
{
    const long long bytes = p.cols * static_cast<long long>(sizeof(T));
    const char *x_from = static_cast<const char *>(p.x) + index * FUSELN_CHUNK_BYTES;
    const char *dy_from = static_cast<const char *>(p.dy) + index * FUSELN_CHUNK_BYTES;
#pragma unroll 1
    for (long long row = first; row < p.rows; row += FLIGHT * step) {
        chunk<T> x[FLIGHT], dy[FLIGHT];
        A mean[FLIGHT], rstd[FLIGHT];
#pragma unroll
        for (int f = 0; f < FLIGHT; f++) {
            const long long r = row + f * step;
            const bool exists = r < p.rows; /* a missing row adds zeros */
            x[f] = load_any<T, ROWS>(x_from + r * bytes, exists ? inside : 0, p.width);
            dy[f] = load_any<T, ROWS>(dy_from + r * bytes, exists ? inside : 0, p.width);
            mean[f] = row_value<A>(p.mean, r, exists);
            rstd[f] = row_value<A>(p.rstd, r, exists);
        }
#pragma unroll
        for (int f = 0; f < FLIGHT; f++) {
            pair<A> v[P], d[P];
            widen(x[f], v);
            widen(dy[f], d);
#pragma unroll
            for (int i = 0; i < P; i++)
                v[i] = mul(add(v[i], both(-mean[f])), both(rstd[f]));
            column_sums(dgamma, dbeta, v, d);
        }
    }
}

template <class T, row_access ROWS>
static __device__ __forceinline__ void partial_sums(const fuseln_ln_params &p)
{
    using A = acc_of<T>;
    constexpr int E = chunk<T>::size;
    const long long bytes = p.cols * static_cast<long long>(sizeof(T));
    const long long chunks = (bytes + FUSELN_CHUNK_BYTES - 1) / FUSELN_CHUNK_BYTES;
    const unsigned tiles = static_cast<unsigned>((chunks + FUSELN_COLUMN_THREADS - 1) / FUSELN_COLUMN_THREADS);
    const long long part = blockIdx.x / tiles;
    const long long index = static_cast<long long>(blockIdx.x % tiles) * FUSELN_COLUMN_THREADS + threadIdx.x;
    const int inside = bytes_inside(index, bytes);
    if (!inside)
        return;

    pair<A> dgamma[E / 2] = {}, dbeta[E / 2] = {};
    sum_rows<T, ROWS, ROWS == UNALIGNED ? 2 : 4>(p, index, inside, part, p.partial_rows, dgamma, dbeta);
    FUSELN_DEPENDENTS_START();
    const long long pitch = partial_pitch(p.cols);
    A *to = static_cast<A *>(p.partials) + part * pitch + index * E;
    const int count = inside / static_cast<int>(sizeof(T));
    write_sums(to, dgamma, count);
    write_sums(to + p.partial_rows * pitch, dbeta, count);
}

/* Zeros for FUSELN_ZERO_BYTES of the rows from 1 on, counted from the 16-byte boundary before them: blocks 0, 2, ...
 * for dgamma, 1, 3, ... for dbeta. */
template <class T>
static __device__ __forceinline__ void zero_rows(const fuseln_ln_params &p, unsigned block)
{
    constexpr int E = chunk<T>::size;
    T *out = static_cast<T *>(block % 2 ? p.dbeta : p.dgamma);
    if (!out)
        return;
    out += p.cols;
    const int before = static_cast<int>(reinterpret_cast<unsigned long long>(out) % FUSELN_CHUNK_BYTES / sizeof(T));
    const long long count = (p.out_rows - 1) * p.cols, first = block / 2 * (FUSELN_ZERO_BYTES / sizeof(T)) - before;
#pragma unroll
    for (int i = 0; i < FUSELN_ZERO_BYTES / FUSELN_CHUNK_BYTES; i += FUSELN_REDUCE_THREADS) {
        const long long at = first + (i + static_cast<int>(threadIdx.x)) * E;
        if (at >= 0 && at + E <= count)
            *reinterpret_cast<uint4 *>(out + at) = make_uint4(0, 0, 0, 0);
        else
            for (int e = 0; e < E; e++)
                if (at + e >= 0 && at + e < count)
                    out[at + e] = splat<T>(0).at[0];
    }
}

static __device__ __forceinline__ unsigned column_blocks(const fuseln_ln_params &p)
{
    return static_cast<unsigned>((p.cols + FUSELN_REDUCE_COLS - 1) / FUSELN_REDUCE_COLS);
}

/* FUSELN_REDUCE_COLS columns a block: ACROSS threads side by side read a partial row, each 16 bytes of it. */
template <class T>
static __device__ __forceinline__ void reduce_sums(const fuseln_ln_params &p)
{
    using A = acc_of<T>;
    constexpr int E = chunk<A>::size, ACROSS = FUSELN_REDUCE_COLS / E, LANES = FUSELN_REDUCE_THREADS / ACROSS,
                  CHAINS = 4;
    constexpr int ROWS = FUSELN_REDUCE_THREADS / FUSELN_REDUCE_COLS;
    __shared__ A sums[LANES][FUSELN_REDUCE_COLS];
    const int lane = threadIdx.x / ACROSS, own = threadIdx.x % ACROSS * E;
    const unsigned blocks = 2 * column_blocks(p);
    if (blockIdx.x >= blocks) {
        zero_rows<T>(p, blockIdx.x - blocks);
        return;
    }
    const long long first = static_cast<long long>(blockIdx.x / 2) * FUSELN_REDUCE_COLS, pitch = partial_pitch(p.cols);
    T *out = static_cast<T *>(blockIdx.x % 2 ? p.dbeta : p.dgamma);
    if (!out)
        return;
    const A *from = static_cast<const A *>(p.partials) + (blockIdx.x % 2) * p.partial_rows * pitch + first + own;
    A chains[CHAINS][E] = {}; /* short chains of additions, and so small errors */
    if (first + own < p.cols) {
#pragma unroll 1
        for (long long part = lane; part < p.parts; part += CHAINS * LANES) {
#pragma unroll
            for (int c = 0; c < CHAINS; c++) {
                chunk<A> more;
                more.raw = make_uint4(0, 0, 0, 0);
                if (part + c * LANES < p.parts)
                    more.raw = *reinterpret_cast<const uint4 *>(from + (part + c * LANES) * pitch);
#pragma unroll
                for (int i = 0; i < E; i++)
                    chains[c][i] += more.at[i];
            }
        }
    }
#pragma unroll
    for (int i = 0; i < E; i++)
        sums[lane][own + i] = (chains[0][i] + chains[1][i]) + (chains[2][i] + chains[3][i]);
    const int row = threadIdx.x / FUSELN_REDUCE_COLS, column = threadIdx.x % FUSELN_REDUCE_COLS;
#pragma unroll 1
    for (int distance = LANES / 2; distance > 0; distance /= 2) {
        __syncthreads();
        for (int l = row; l < distance; l += ROWS)
            sums[l][column] += sums[l + distance][column];
    }
    __syncthreads();
    const long long col = first + column;
    if (row == 0 && col < p.cols)
        out[col] = splat<T>(sums[0][column]).at[0];
}

/* FUSELN_REDUCE_COLS columns a block: a thread sums one chunk of columns over every LANES-th row. Shuffles add up the
 * lanes of a warp, shared memory the warps. */
template <class T>
static __device__ __forceinline__ void direct_sums(const fuseln_ln_params &p)
{
    using A = acc_of<T>;
    constexpr int E = chunk<T>::size, ACROSS = FUSELN_REDUCE_COLS / E, LANES = FUSELN_REDUCE_THREADS / ACROSS,
                  WARPS = FUSELN_REDUCE_THREADS / 32;
    __shared__ A sums[2][WARPS][FUSELN_REDUCE_COLS];
    if (blockIdx.x >= column_blocks(p)) {
        zero_rows<T>(p, blockIdx.x - column_blocks(p));
        return;
    }
    const int own = threadIdx.x % ACROSS, warp = threadIdx.x / 32;
    const long long index = static_cast<long long>(blockIdx.x) * ACROSS + own;
    pair<A> both_sums[2][E / 2] = {};
    const int inside = bytes_inside(index, p.cols * static_cast<long long>(sizeof(T))), lane = threadIdx.x / ACROSS;
    if (p.width == FUSELN_CHUNK_BYTES)
        sum_rows<T, ALIGNED, 4>(p, index, inside, lane, LANES, both_sums[0], both_sums[1]);
    else
        sum_rows<T, ELEMENTS, 1>(p, index, inside, lane, LANES, both_sums[0], both_sums[1]);
#pragma unroll
    for (int i = 0; i < E; i++) {
        pair<A> &sum = both_sums[i / (E / 2)][i % (E / 2)];
#pragma unroll
        for (int distance = 16; distance >= ACROSS; distance /= 2) {
            sum.lo += __shfl_xor_sync(0xffffffffu, sum.lo, distance);
            sum.hi += __shfl_xor_sync(0xffffffffu, sum.hi, distance);
        }
    }
    if (threadIdx.x % 32 < ACROSS)
#pragma unroll
        for (int i = 0; i < E; i++) {
            const pair<A> sum = both_sums[i / (E / 2)][i % (E / 2)];
            sums[i / (E / 2)][warp][own * E + i % (E / 2) * 2] = sum.lo;
            sums[i / (E / 2)][warp][own * E + i % (E / 2) * 2 + 1] = sum.hi;
        }
    __syncthreads();
    const int column = threadIdx.x % FUSELN_REDUCE_COLS;
    const long long col = static_cast<long long>(blockIdx.x) * FUSELN_REDUCE_COLS + column;
    T *out = static_cast<T *>(warp ? p.dbeta : p.dgamma);
    if (warp > 1 || !out || col >= p.cols)
        return;
    A sum = 0;
#pragma unroll 4
    for (int w = 0; w < WARPS; w++)
        sum += sums[warp][w][column];
    out[col] = splat<T>(sum).at[0];
}

#define KERNEL(name, module, id, type, lanes, chunks, rows, storage, unaligned, blocks)                               \
    extern "C" __global__ void __launch_bounds__(FUSELN_COLUMN_THREADS, blocks) name(const struct fuseln_ln_params p) \
    {                                                                                                                 \
        partial_sums<type, unaligned ? UNALIGNED : ALIGNED>(p);                                                       \
    }
FUSELN_PARTIAL_VARIANTS(KERNEL)
#undef KERNEL

#define KERNEL(name, module, id, type, lanes, chunks, rows, storage, unaligned, blocks)                       \
    extern "C" __global__ void __launch_bounds__(FUSELN_REDUCE_THREADS) name(const struct fuseln_ln_params p) \
    {                                                                                                         \
        direct_sums<type>(p);                                                                                 \
    }
FUSELN_DIRECT_VARIANTS(KERNEL)
#undef KERNEL

#define KERNEL(name, module, id, type, lanes, chunks, rows, storage, unaligned, blocks)                       \
    extern "C" __global__ void __launch_bounds__(FUSELN_REDUCE_THREADS) name(const struct fuseln_ln_params p) \
    {                                                                                                         \
        FUSELN_DEPENDENCY_WAIT();                                                                             \
        reduce_sums<type>(p);                                                                                 \
    }
FUSELN_REDUCE_VARIANTS(KERNEL)
#undef KERNEL
