/*
 * DGAMMA in two launches: dgamma = sum over rows of dy xhat, dbeta = sum over rows of dy, xhat = (x - mean) rstd.
 *   partial: partial row p sums the rows p, p + P, p + 2P, ... in that order; one thread owns one chunk of columns;
 *   reduce:  sums the partial rows in a fixed order and rounds once. Rows 1 ... out_rows - 1 of the output are zero:
 *            they stand for partial sums that the host adds up itself.
 * No atomics, the same bits in every run. A NULL dgamma or dbeta is not wanted.
 */
#include "row.cuh"

/* One thread's sums, kept in the partial row; aligned rows make for aligned partial rows. */
template <class T, bool NARROW, class A = acc_of<T>>
static __device__ __forceinline__ void write_sums(A *to, const A (&sum)[chunk<T>::size], int count)
{
#pragma unroll
    for (int i = 0; i < chunk<T>::size; i += chunk<A>::size) {
        chunk<A> c;
#pragma unroll
        for (int j = 0; j < chunk<A>::size; j++)
            c.at[j] = sum[i + j];
        const int left = (count - i) * static_cast<int>(sizeof(A));
        const int inside = left <= 0 ? 0 : left >= FUSELN_CHUNK_BYTES ? FUSELN_CHUNK_BYTES : left;
        store<A, NARROW>(reinterpret_cast<char *>(to + i), 0, inside, sizeof(A), c);
    }
}

template <class T, bool NARROW>
static __device__ __forceinline__ void partial_sums(const fuseln_ln_params &p)
{
    using A = acc_of<T>;
    constexpr int E = chunk<T>::size, FLIGHT = 4; /* rows whose loads are in flight together */
    const long long bytes = p.cols * static_cast<long long>(sizeof(T));
    const long long chunks = (bytes + FUSELN_CHUNK_BYTES - 1) / FUSELN_CHUNK_BYTES;
    const int lanes = FUSELN_COLUMN_LANES(chunks);
    const unsigned tiles = static_cast<unsigned>((chunks + FUSELN_COLUMN_THREADS - 1) / FUSELN_COLUMN_THREADS);
    const long long part =
        static_cast<long long>(blockIdx.x / tiles) * (FUSELN_COLUMN_THREADS / lanes) + threadIdx.x / lanes;
    const long long index = static_cast<long long>(blockIdx.x % tiles) * FUSELN_COLUMN_THREADS + threadIdx.x % lanes;
    const int inside = bytes_inside<NARROW, long long>(index, bytes);
    if (part >= p.partial_rows || part >= p.rows || !inside)
        return;

    const chunk<T> zero = splat<T>(0);
    A dgamma[E] = {}, dbeta[E] = {};
    for (long long row = part; row < p.rows; row += FLIGHT * p.partial_rows) {
        chunk<T> x[FLIGHT], dy[FLIGHT];
        A mean[FLIGHT], rstd[FLIGHT];
#pragma unroll
        for (int f = 0; f < FLIGHT; f++) {
            const long long r = row + f * p.partial_rows;
            const bool exists = r < p.rows; /* a row that does not exist adds zeros */
            x[f] =
                load<T, NARROW>(static_cast<const char *>(p.x) + r * bytes, index, exists ? inside : 0, p.width, zero);
            dy[f] =
                load<T, NARROW>(static_cast<const char *>(p.dy) + r * bytes, index, exists ? inside : 0, p.width, zero);
            mean[f] = row_value<A>(p.mean, r, exists);
            rstd[f] = row_value<A>(p.rstd, r, exists);
        }
#pragma unroll
        for (int f = 0; f < FLIGHT; f++) {
            A v[E], d[E];
            widen(x[f], v);
            widen(dy[f], d);
#pragma unroll
            for (int i = 0; i < E; i++) {
                dgamma[i] = mul_add(d[i], (v[i] - mean[f]) * rstd[f], dgamma[i]);
                dbeta[i] += d[i];
            }
        }
    }
    A *to = static_cast<A *>(p.partials) + part * p.cols + index * E;
    const int count = inside / static_cast<int>(sizeof(T));
    if (p.dgamma)
        write_sums<T, NARROW>(to, dgamma, count);
    if (p.dbeta)
        write_sums<T, NARROW>(to + p.partial_rows * p.cols, dbeta, count);
}

template <class T>
static __device__ __forceinline__ void reduce_sums(const fuseln_ln_params &p)
{
    using A = acc_of<T>;
    __shared__ A sums[FUSELN_REDUCE_LANES][FUSELN_REDUCE_COLS];
    const int lane = threadIdx.x / FUSELN_REDUCE_COLS, own = threadIdx.x % FUSELN_REDUCE_COLS;
    const long long col = static_cast<long long>(blockIdx.x / 2) * FUSELN_REDUCE_COLS + own;
    T *out = static_cast<T *>(blockIdx.x % 2 ? p.dbeta : p.dgamma);
    if (!out)
        return;
    const long long parts = p.rows < p.partial_rows ? p.rows : p.partial_rows;
    const A *from = static_cast<const A *>(p.partials) + (blockIdx.x % 2) * p.partial_rows * p.cols + col;
    A sum = 0;
    if (col < p.cols) {
#pragma unroll 8
        for (long long part = lane; part < parts; part += FUSELN_REDUCE_LANES)
            sum += from[part * p.cols];
    }
    sums[lane][own] = sum;
    __syncthreads();
    if (col >= p.cols)
        return;
    if (lane == 0) {
        for (int l = 1; l < FUSELN_REDUCE_LANES; l++)
            sum += sums[l][own];
        out[col] = splat<T>(sum).at[0];
    }
    for (long long row = 1 + lane; row < p.out_rows; row += FUSELN_REDUCE_LANES)
        out[row * p.cols + col] = splat<T>(0).at[0];
}

#define KERNEL(name, module, id, type, lanes, chunks, twice, narrow)                                          \
    extern "C" __global__ void __launch_bounds__(FUSELN_COLUMN_THREADS) name(const struct fuseln_ln_params p) \
    {                                                                                                         \
        partial_sums<type, narrow>(p);                                                                        \
    }
FUSELN_PARTIAL_VARIANTS(KERNEL)
#undef KERNEL

#define KERNEL(name, module, id, type, lanes, chunks, twice, narrow)                      \
    extern "C" __global__ void __launch_bounds__(FUSELN_REDUCE_LANES *FUSELN_REDUCE_COLS) \
        name(const struct fuseln_ln_params p)                                             \
    {                                                                                     \
        reduce_sums<type>(p);                                                             \
    }
FUSELN_REDUCE_VARIANTS(KERNEL)
#undef KERNEL
