/*
 * APPLY, the second launch of a two-launch forward: y = gamma ((x - mean) rstd) + beta, mean and rstd read.
 * Element by element the arithmetic of FORWARD, so the same bits whatever the schedule: one schedule, rows shared out
 * over a block by lanes, each lane strides over its row.
 */
#include "row.cuh"

template <class T>
static __device__ __forceinline__ void apply(const fuseln_ln_params &p)
{
    using A = acc_of<T>;
    const long long bytes = p.cols * static_cast<long long>(sizeof(T));
    const long long chunks = (bytes + FUSELN_CHUNK_BYTES - 1) / FUSELN_CHUNK_BYTES;
    const int lanes = FUSELN_COLUMN_LANES(chunks);
    const long long row = static_cast<long long>(blockIdx.x) * (FUSELN_COLUMN_THREADS / lanes) + threadIdx.x / lanes;
    if (row >= p.rows)
        return;
    const A mean = row_value<A>(p.mean, row, true), rstd = row_value<A>(p.rstd, row, true);
    const char *x = static_cast<const char *>(p.x) + row * bytes;
    char *y = static_cast<char *>(p.y) + row * bytes;
    for (long long c = threadIdx.x % lanes; c < chunks; c += lanes) {
        const int inside = bytes_inside<true, long long>(c, bytes);
        const chunk<T> v = load<T, true>(x, c, inside, p.width, splat<T>(0));
        const chunk<T> gamma = load_parameter<T, true>(p.gamma, c, inside, 1);
        const chunk<T> beta = load_parameter<T, true>(p.beta, c, inside, 0);
        store<T, true>(y, c, inside, p.width, normalise(v, mean, rstd, gamma, beta));
    }
}

#define KERNEL(name, module, id, type, lanes, chunks, twice, narrow)                                          \
    extern "C" __global__ void __launch_bounds__(FUSELN_COLUMN_THREADS) name(const struct fuseln_ln_params p) \
    {                                                                                                         \
        apply<type>(p);                                                                                       \
    }
FUSELN_APPLY_VARIANTS(KERNEL)
#undef KERNEL
