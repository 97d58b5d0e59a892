/*
 * A thread's place in a row, for the schedules of variants.h: which row, which lane, and the chunks it holds.
 * LANES <= 32: a part of a warp has a row, and a block has several rows; a row beyond the last has no bytes, its lanes
 * only take part in shuffles. LANES > 32: the block is the row. Rows are addressed in 64 bits.
 * Aligned rows go between memory and registers by 16-byte accesses. Narrow ones go through shared memory, which the
 * lanes of a row copy in accesses of 4 or 2 bytes next to each other; what each thread then holds is the same.
 * All threads of a block make all calls: narrow tiles have barriers inside.
 */
#ifndef FUSELN_ROW_CUH
#define FUSELN_ROW_CUH

#include "welford.cuh"

template <class T, int LANES, int K, bool TWICE, bool NARROW>
struct row_place {
    using A = acc_of<T>;
    static constexpr int threads = LANES > FUSELN_ROW_THREADS ? LANES : FUSELN_ROW_THREADS;
    static constexpr int group = LANES < 32 ? LANES : 32; /* lanes of one warp that share the row */
    static constexpr int tile = LANES * K;                /* chunks that are held at once */

    long long row, offset; /* offset: of the row, in bytes */
    long long bytes;       /* of the row; 0 where there is none. Fits an int unless TWICE. */
    int lane, width;

    __device__ __forceinline__ explicit row_place(const fuseln_ln_params &p)
    {
        row = static_cast<long long>(blockIdx.x) * (threads / LANES) + threadIdx.x / LANES;
        lane = threadIdx.x % LANES;
        const long long pitch = p.cols * static_cast<long long>(sizeof(T));
        offset = row * pitch;
        bytes = row < p.rows ? pitch : 0;
        width = p.width;
    }

    __device__ __forceinline__ bool leads() const
    {
        return lane == 0 && bytes > 0;
    }
    __device__ __forceinline__ bool more(long long first) const
    {
        return TWICE && first * FUSELN_CHUNK_BYTES < bytes;
    }
    __device__ __forceinline__ long long index(long long first, int k) const
    {
        return first + lane + k * LANES;
    }
    /* Bytes of this thread's k-th chunk of the tile that belong to the row. */
    __device__ __forceinline__ int inside(long long first, int k) const
    {
        return TWICE ? bytes_inside<NARROW, long long>(index(first, k), bytes)
                     : bytes_inside<NARROW, int>(lane + k * LANES, static_cast<int>(bytes));
    }
    /* Elements that this thread's warp, or its part of a warp, holds of the tile. */
    __device__ __forceinline__ A held(long long first) const
    {
        int n = 0;
#pragma unroll
        for (int k = 0; k < K; k++) {
            const long long rest = bytes - (first + lane / group * group + k * LANES) * FUSELN_CHUNK_BYTES;
            n += rest <= 0                            ? 0
                 : rest >= group * FUSELN_CHUNK_BYTES ? group * FUSELN_CHUNK_BYTES
                                                      : static_cast<int>(rest);
        }
        return A(n / static_cast<int>(sizeof(T)));
    }

    /* The tile that begins at chunk `first`, of x, dy or another tensor of rows. Missing elements are zero. */
    __device__ __forceinline__ void load_tile(chunk<T> (&c)[K], const void *base, long long first) const
    {
        const char *from = static_cast<const char *>(base) + offset;
        if (NARROW) {
            stage_in(c, from, first, width);
        } else {
#pragma unroll
            for (int k = 0; k < K; k++)
                c[k] = load<T, false>(from, index(first, k), inside(first, k), width, splat<T>(0));
        }
    }
    /* One chunk of gamma or beta, aligned; NULL stands for `missing` in every column. */
    __device__ __forceinline__ chunk<T> parameter(const void *base, long long first, int k, int missing) const
    {
        return load_parameter<T, false>(base, index(first, k), inside(first, k), missing);
    }
    __device__ __forceinline__ void parameter_tile(chunk<T> (&c)[K], const void *base, long long first,
                                                   int missing) const
    {
        if (NARROW && base) {
            const unsigned low = static_cast<unsigned>(reinterpret_cast<unsigned long long>(base) | bytes) | 16;
            stage_in(c, static_cast<const char *>(base), first, static_cast<int>(low & (0u - low)));
        } else {
#pragma unroll
            for (int k = 0; k < K; k++)
                c[k] = NARROW ? splat<T>(missing) : parameter(base, first, k, missing);
        }
    }
    __device__ __forceinline__ void store_tile(void *base, long long first, const chunk<T> (&c)[K]) const
    {
        char *to = static_cast<char *>(base) + offset;
        if (NARROW) {
            stage_out(to, first, c);
        } else {
#pragma unroll
            for (int k = 0; k < K; k++)
                store<T, false>(to, index(first, k), inside(first, k), width, c[k]);
        }
    }

  private:
    static __device__ __forceinline__ uint4 *stage()
    {
        __shared__ uint4 tiles[threads * K];
        return tiles + threadIdx.x / LANES * tile;
    }
    static __device__ __forceinline__ void sync()
    {
        if (LANES > 32)
            __syncthreads();
        else
            __syncwarp();
    }
    /* Bytes of the tile that belong to the row. */
    __device__ __forceinline__ int tile_bytes(long long first) const
    {
        const long long rest = bytes - first * FUSELN_CHUNK_BYTES;
        return rest >= tile * FUSELN_CHUNK_BYTES ? tile * FUSELN_CHUNK_BYTES : static_cast<int>(rest);
    }
    template <class P>
    __device__ __forceinline__ void copy_in(const char *from, int count) const
    {
        P *to = reinterpret_cast<P *>(stage());
#pragma unroll 4
        for (int i = lane; i < tile * FUSELN_CHUNK_BYTES / static_cast<int>(sizeof(P)); i += LANES)
            to[i] = i * static_cast<int>(sizeof(P)) < count ? reinterpret_cast<const P *>(from)[i] : P();
    }
    template <class P>
    __device__ __forceinline__ void copy_out(char *to, int count) const
    {
        const P *from = reinterpret_cast<const P *>(stage());
#pragma unroll 4
        for (int i = lane; i * static_cast<int>(sizeof(P)) < count; i += LANES)
            reinterpret_cast<P *>(to)[i] = from[i];
    }
    __device__ __forceinline__ void stage_in(chunk<T> (&c)[K], const char *from, long long first, int access) const
    {
        const int count = tile_bytes(first);
        from += first * FUSELN_CHUNK_BYTES;
        sync(); /* the tile before has been used */
        if (sizeof(T) > 2 || access > 2)
            copy_in<unsigned>(from, count);
        else
            copy_in<unsigned short>(from, count);
        sync();
#pragma unroll
        for (int k = 0; k < K; k++)
            c[k].raw = stage()[lane + k * LANES];
    }
    __device__ __forceinline__ void stage_out(char *to, long long first, const chunk<T> (&c)[K]) const
    {
        const int count = tile_bytes(first);
        to += first * FUSELN_CHUNK_BYTES;
        sync();
#pragma unroll
        for (int k = 0; k < K; k++)
            stage()[lane + k * LANES] = c[k].raw;
        sync();
        if (sizeof(T) > 2 || width > 2)
            copy_out<unsigned>(to, count);
        else
            copy_out<unsigned short>(to, count);
    }
};

/* y = gamma ((x - mean) rstd) + beta, one rounding. Shared by every kernel that writes y: the bits must agree. */
template <class T>
static __device__ __forceinline__ chunk<T> normalise(const chunk<T> &x, acc_of<T> mean, acc_of<T> rstd,
                                                     const chunk<T> &gamma, const chunk<T> &beta)
{
    acc_of<T> v[chunk<T>::size], g[chunk<T>::size], b[chunk<T>::size];
    widen(x, v);
    widen(gamma, g);
    widen(beta, b);
#pragma unroll
    for (int i = 0; i < chunk<T>::size; i++)
        v[i] = mul_add(g[i], (v[i] - mean) * rstd, b[i]);
    chunk<T> y;
    narrow(v, y);
    return y;
}

/* The statistics of a row that an earlier launch wrote. RMS norm has no mean. */
template <class A>
static __device__ __forceinline__ A row_value(const void *base, long long row, bool exists)
{
    return base && exists ? static_cast<const A *>(base)[row] : A(0);
}

#endif
