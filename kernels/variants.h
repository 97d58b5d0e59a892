/*
 * The one table of compiled kernels. Each .cu file expands its part into kernels, variants.c expands all of it into
 * the rows that a plan chooses from, in the same order. Nothing but macros and plain structs: C11 and C++17.
 *
 * A row of the matrix is cut into chunks of 16 bytes, counted from its first element whatever its address. A schedule
 * says which thread holds which chunk: `lanes` threads share a row, thread l of them holds the chunks l, l + lanes, ...
 * (`chunks` of them at once). The narrow twin of a variant has the same chunks in the same threads, so the same bits.
 */
#ifndef FUSELN_VARIANTS_H
#define FUSELN_VARIANTS_H

// clang-format off

/* The modules, one .cu file and one image per architecture each. X(name) */
#define FUSELN_MODULES(X) X(forward) X(apply) X(dx) X(dgamma)

/* X(..., FUSELN_DTYPE_, name, device type). f64 has one plain variant per operation, below. */
#define FUSELN_TYPES(X, ...)            \
    X(__VA_ARGS__, F32,  f32,  float)   \
    X(__VA_ARGS__, F16,  f16,  __half)  \
    X(__VA_ARGS__, BF16, bf16, __nv_bfloat16)

/* X(..., name, lanes, chunks, read twice): by bytes in a row, smallest first; the last takes what the others cannot
 * hold in registers and reads the row a second time. DX holds two rows, which at 8 chunks a lane took 196 to 235
 * registers: there a block shares the row that FORWARD gives to a warp. */
#define FUSELN_SCHEDULES(X, four_k, ...)                   \
    X(__VA_ARGS__, lanes8,    8,   1, false) /* <= 128 */   \
    X(__VA_ARGS__, lanes16,   16,  1, false) /* <= 256 */   \
    X(__VA_ARGS__, lanes16x2, 16,  2, false) /* <= 512 */   \
    X(__VA_ARGS__, warp2,     32,  2, false) /* <= 1 K */   \
    X(__VA_ARGS__, warp4,     32,  4, false) /* <= 2 K */   \
    four_k(X, __VA_ARGS__)                   /* <= 4 K */   \
    X(__VA_ARGS__, block128,  128, 4, false) /* <= 8 K */   \
    X(__VA_ARGS__, block256,  256, 4, false) /* <= 16 K */  \
    X(__VA_ARGS__, block512,  512, 4, false) /* <= 32 K */  \
    X(__VA_ARGS__, twice,     512, 2, true)

#define FUSELN_FORWARD_4K(X, ...) X(__VA_ARGS__, warp8, 32, 8, false)
#define FUSELN_DX_4K(X, ...) X(__VA_ARGS__, block128x2, 128, 2, false)

/* Variants: X(kernel name, module, FUSELN_DTYPE_, device type, lanes, chunks, read twice, narrow) */
#define FUSELN_ROW_VARIANTS(X, op, four_k)                                          \
    FUSELN_SCHEDULES(FUSELN_ROW_TYPES, four_k, X, op)                                       \
    X(fuseln_ln_##op##_f64, op, F64, double, 128, 2, true, true)
#define FUSELN_ROW_TYPES(X, op, ...) FUSELN_TYPES(FUSELN_ROW_WIDTHS, X, op, __VA_ARGS__)
#define FUSELN_ROW_WIDTHS(X, op, schedule, lanes, chunks, twice, id, dtype, type)                           \
    X(fuseln_ln_##op##_##schedule##_##dtype,          op, id, type, lanes, chunks, twice, false)            \
    X(fuseln_ln_##op##_##schedule##_##dtype##_narrow, op, id, type, lanes, chunks, twice, true)

/* FORWARD; with y NULL it is MOMENTS, which must give the same bits. */
#define FUSELN_FORWARD_VARIANTS(X) FUSELN_ROW_VARIANTS(X, forward, FUSELN_FORWARD_4K)
#define FUSELN_DX_VARIANTS(X) FUSELN_ROW_VARIANTS(X, dx, FUSELN_DX_4K)

/* FUSELN_COLUMN_THREADS threads a block, which FUSELN_COLUMN_LANES shares out. Only ever launched for rows
 * that the host found unaligned: no aligned twin. */
#define FUSELN_APPLY_VARIANTS(X)                                                     \
    FUSELN_TYPES(FUSELN_APPLY_TYPE, X)                                               \
    FUSELN_APPLY_TYPE(X, F64, f64, double)
#define FUSELN_APPLY_TYPE(X, id, dtype, type) X(fuseln_ln_apply_##dtype, apply, id, type, 256, 1, true, true)

#define FUSELN_PARTIAL_VARIANTS(X)                                                   \
    FUSELN_TYPES(FUSELN_PARTIAL_TYPE, X)                                             \
    X(fuseln_ln_dgamma_partial_f64, dgamma, F64, double, 256, 1, false, true)
#define FUSELN_PARTIAL_TYPE(X, id, dtype, type)                                      \
    X(fuseln_ln_dgamma_partial_##dtype,          dgamma, id, type, 256, 1, false, false) \
    X(fuseln_ln_dgamma_partial_##dtype##_narrow, dgamma, id, type, 256, 1, false, true)

#define FUSELN_REDUCE_VARIANTS(X)                                                    \
    FUSELN_TYPES(FUSELN_REDUCE_TYPE, X)                                              \
    FUSELN_REDUCE_TYPE(X, F64, f64, double)
#define FUSELN_REDUCE_TYPE(X, id, dtype, type) X(fuseln_ln_dgamma_reduce_##dtype, dgamma, id, type, 512, 1, false, true)

#define FUSELN_VARIANTS(X)                                                           \
    FUSELN_FORWARD_VARIANTS(X) FUSELN_DX_VARIANTS(X) FUSELN_APPLY_VARIANTS(X)        \
    FUSELN_PARTIAL_VARIANTS(X) FUSELN_REDUCE_VARIANTS(X)
// clang-format on

enum {
    FUSELN_CHUNK_BYTES = 16,
    FUSELN_ROW_THREADS = 128,    /* threads of a block where a warp or less has a row; else a block is one row */
    FUSELN_COLUMN_THREADS = 256, /* threads of a block of apply and partial sums */
    FUSELN_REDUCE_COLS = 32,     /* the reduction's block: 32 columns, 16 threads each */
    FUSELN_REDUCE_LANES = 16,
};

/* Lanes that a row of `chunks` chunks gets in a block of FUSELN_COLUMN_THREADS: a power of two. */
#define FUSELN_COLUMN_LANES(chunks) \
    ((chunks) > 128 ? 256 : (chunks) > 64 ? 128 : (chunks) > 32 ? 64 : (chunks) > 16 ? 32 : (chunks) > 8 ? 16 : 8)

#endif
