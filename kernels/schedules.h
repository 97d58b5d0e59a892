/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of compiled kernels. Each .cu file expands its part into kernels; kernels/host/plan.c expands all of it, in
 * the same order, into the rows that a plan chooses from. Nothing but macros and enums: C11 and C++17.
 *
 * A row of the matrix is cut into chunks of 16 bytes, counted from its first element whatever its address. A schedule
 * says which thread holds which chunk: `lanes` threads share a row, and thread l of them holds the chunks l, l + lanes,
 * ..., `chunks` of them at once. In an unaligned row the same threads hold the same chunks, so the bits are the same.
 */
#ifndef FUSELN_SCHEDULES_H
#define FUSELN_SCHEDULES_H

// clang-format off

/* The modules, one .cu file and one image per architecture each. X(name) */
#define FUSELN_MODULES(X) X(forward) X(apply) X(residual) X(backward) X(dx) X(dgamma) X(check)

/* X(..., FUSELN_DTYPE_, name, device type). f64 has one variant an operation, below. */
#define FUSELN_TYPES(X, ...)           \
    X(__VA_ARGS__, F32,  f32,  float)  \
    X(__VA_ARGS__, F16,  f16,  __half) \
    X(__VA_ARGS__, BF16, bf16, __nv_bfloat16)

/*
 * Schedules: X(..., name, lanes, chunks, rows, storage, blocks), shortest rows first.
 *   rows:    how many a group of lanes holds at once, so that 64 or 128 bytes a thread are in flight and gamma and beta
 *            are read once for all of them.
 *   storage: where a row stays from its first use to its last: in REGISTERS, in a RING in shared memory, or in MEMORY,
 *            from which it is read twice.
 *   blocks:  at least this many on an SM, which caps the registers.
 * The last two of each list take the rows that the others cannot hold; with the same lanes and chunks their bits agree.
 */
#define FUSELN_FORWARD_SCHEDULES(X, ...)                                                     \
    X(__VA_ARGS__, lanes8x2,  8,   2, 2, REGISTERS, 8) /* <= 256 bytes */                    \
    X(__VA_ARGS__, lanes16x2, 16,  2, 2, REGISTERS, 8) /* <= 512 */                          \
    X(__VA_ARGS__, warp2,     32,  2, 2, REGISTERS, 8) /* <= 1 K */                          \
    X(__VA_ARGS__, warp4,     32,  4, 2, REGISTERS, 4) /* <= 2 K */                          \
    X(__VA_ARGS__, warp8,     32,  8, 1, REGISTERS, 4) /* <= 4 K */                          \
    X(__VA_ARGS__, block64,   64,  8, 1, REGISTERS, 8) /* <= 8 K */                          \
    X(__VA_ARGS__, block128,  128, 8, 1, REGISTERS, 4) /* <= 16 K */                         \
    X(__VA_ARGS__, block256,  256, 8, 1, REGISTERS, 2) /* <= 32 K */                         \
    X(__VA_ARGS__, ring,      512, 4, 1, RING,      1) /* <= half a block's shared memory */ \
    X(__VA_ARGS__, twice,     512, 4, 1, MEMORY,    1)

/* X(..., name, lanes, columns a thread, blocks): by columns, as the sums over rows take two registers a column. */
#define FUSELN_BACKWARD_SCHEDULES(X, ...)                    \
    X(__VA_ARGS__, cols64,   8,   8,  2) /* <= 64 columns */ \
    X(__VA_ARGS__, cols128,  8,   16, 2)                     \
    X(__VA_ARGS__, cols256,  16,  16, 2)                     \
    X(__VA_ARGS__, cols512,  32,  16, 2)                     \
    X(__VA_ARGS__, cols1024, 64,  16, 2)                     \
    X(__VA_ARGS__, cols2048, 128, 16, 2)                     \
    X(__VA_ARGS__, cols4096, 256, 16, 2)                     \
    X(__VA_ARGS__, cols8192, 512, 16, 1)

/* The ring takes any number of chunks. */
#define FUSELN_DX_SCHEDULES(X, ...)             \
    X(__VA_ARGS__, ring,  512, 0, 1, RING,   2) \
    X(__VA_ARGS__, twice, 512, 2, 1, MEMORY, 1)

/*
 * Variants: X(kernel name, module, FUSELN_DTYPE_, device type, lanes, chunks, rows, FUSELN_storage, unaligned, blocks).
 * An unaligned variant takes rows, gamma and beta of any alignment. In FORWARD and BACKWARD one serves all schedules of
 * as many chunks (lanes: 0): it runs with the lanes of the schedule, so the bits are the same.
 */
#define FUSELN_EACH_TYPE(X, op, ...) FUSELN_TYPES(FUSELN_ALIGNED, X, op, op, __VA_ARGS__)
#define FUSELN_ALIGNED(X, module, op, schedule, lanes, chunks, rows, storage, blocks, id, dtype, type) \
    X(fuseln_ln_##op##_##schedule##_##dtype, module, id, type, lanes, chunks, rows, FUSELN_##storage, false, blocks)
#define FUSELN_UNALIGNED(X, module, op, schedule, lanes, chunks, rows, storage, blocks, id, dtype, type) \
    X(fuseln_ln_##op##_##schedule##_##dtype, module, id, type, lanes, chunks, rows, FUSELN_##storage, true, blocks)
#define FUSELN_PLAIN(X, module, op, lanes, chunks, storage, blocks, id, dtype, type) \
    X(fuseln_ln_##op##_##dtype, module, id, type, lanes, chunks, 1, FUSELN_##storage, true, blocks)
#define FUSELN_PLAIN_ALL(X, ...) \
    FUSELN_TYPES(FUSELN_PLAIN, X, __VA_ARGS__) FUSELN_PLAIN(X, __VA_ARGS__, F64, f64, double)

/* FORWARD, and MOMENTS, which is FORWARD with a NULL y: their bits must agree. */
#define FUSELN_FORWARD_VARIANTS(X)                                                         \
    FUSELN_FORWARD_SCHEDULES(FUSELN_EACH_TYPE, X, forward)                                 \
    FUSELN_TYPES(FUSELN_UNALIGNED, X, forward, forward, unaligned2, 0, 2, 1, REGISTERS, 2) \
    FUSELN_TYPES(FUSELN_UNALIGNED, X, forward, forward, unaligned4, 0, 4, 1, REGISTERS, 2) \
    FUSELN_TYPES(FUSELN_UNALIGNED, X, forward, forward, unaligned8, 0, 8, 1, REGISTERS, 1) \
    FUSELN_TYPES(FUSELN_UNALIGNED, X, forward, forward, unaligned, 512, 4, 1, MEMORY, 1)   \
    FUSELN_PLAIN(X, forward, forward, 128, 2, MEMORY, 1, F64, f64, double)

/* DX, DGAMMA or both; not of double. */
#define FUSELN_BACKWARD_VARIANTS(X) FUSELN_BACKWARD_SCHEDULES(FUSELN_BACKWARD_TYPES, X, FUSELN_ALIGNED) \
    FUSELN_BACKWARD_TYPES(X, FUSELN_UNALIGNED, unaligned8, 0, 8, 1)                                     \
    FUSELN_BACKWARD_TYPES(X, FUSELN_UNALIGNED, unaligned16, 0, 16, 1)
#define FUSELN_BACKWARD_TYPES(X, WIDTH, schedule, lanes, cols, blocks)                           \
    WIDTH(X, backward, backward, schedule, lanes, (cols) / 4, 1, RING, blocks, F32, f32, float)  \
    WIDTH(X, backward, backward, schedule, lanes, (cols) / 8, 1, RING, blocks, F16, f16, __half) \
    WIDTH(X, backward, backward, schedule, lanes, (cols) / 8, 1, RING, blocks, BF16, bf16, __nv_bfloat16)

/* DX or both of up to 16384 columns, of float 14336: registers have no room for the sums of more. DX alone of longer
 * rows, of unaligned ones and of double. */
#define FUSELN_DX_VARIANTS(X)                                                                 \
    FUSELN_ALIGNED(X, dx, backward, cols16384, 512, 7, 1, RING, 1, F32, f32, float)           \
    FUSELN_ALIGNED(X, dx, backward, cols16384, 512, 4, 1, RING, 1, F16, f16, __half)          \
    FUSELN_ALIGNED(X, dx, backward, cols16384, 512, 4, 1, RING, 1, BF16, bf16, __nv_bfloat16) \
    FUSELN_DX_SCHEDULES(FUSELN_EACH_TYPE, X, dx)                                              \
    FUSELN_TYPES(FUSELN_UNALIGNED, X, dx, dx, unaligned, 512, 2, 1, MEMORY, 1)                \
    FUSELN_PLAIN(X, dx, dx, 128, 2, MEMORY, 1, F64, f64, double)

/* Blocks of FUSELN_COLUMN_THREADS threads; FUSELN_APPLY_LANES of them share a row. */
#define FUSELN_APPLY_VARIANTS(X) FUSELN_PLAIN_ALL(X, apply, apply, 0, 4, MEMORY, 3)

/* FUSELN_RESIDUAL_WARPS warps at most, as few as hold a row. */
#define FUSELN_RESIDUAL_VARIANTS(X)                                                    \
    FUSELN_TYPES(FUSELN_ALIGNED, X, residual, residual, held, 32, 8, 1, REGISTERS, 1)  \
    FUSELN_TYPES(FUSELN_UNALIGNED, X, residual, residual, staged, 32, 8, 1, MEMORY, 1)

#define FUSELN_PARTIAL_VARIANTS(X)                                                                \
    FUSELN_TYPES(FUSELN_ALIGNED, X, dgamma, dgamma, partial, 256, 1, 1, REGISTERS, 2)             \
    FUSELN_TYPES(FUSELN_UNALIGNED, X, dgamma, dgamma, partial_unaligned, 256, 1, 1, REGISTERS, 2) \
    FUSELN_PLAIN(X, dgamma, dgamma_partial, 256, 1, REGISTERS, 2, F64, f64, double)

#define FUSELN_DIRECT_VARIANTS(X) FUSELN_PLAIN_ALL(X, dgamma, dgamma_direct, 512, 1, REGISTERS, 1)
#define FUSELN_REDUCE_VARIANTS(X) FUSELN_PLAIN_ALL(X, dgamma, dgamma_reduce, 512, 1, REGISTERS, 1)

/* The kernels of check.cu belong to no operation, take any type, and have an argument of their own. */
#define FUSELN_CHECK_VARIANTS(X)                                                \
    X(fuseln_check_rows,    check, F32, float, 0, 0, 1, FUSELN_MEMORY, true, 1) \
    X(fuseln_check_hash,    check, F32, float, 0, 0, 1, FUSELN_MEMORY, true, 1) \
    X(fuseln_check_columns, check, F32, float, 0, 0, 1, FUSELN_MEMORY, true, 1) \
    X(fuseln_check_sum,     check, F32, float, 0, 0, 1, FUSELN_MEMORY, true, 1)

#define FUSELN_NORM_VARIANTS(X)                                                  \
    FUSELN_FORWARD_VARIANTS(X) FUSELN_BACKWARD_VARIANTS(X) FUSELN_DX_VARIANTS(X) \
    FUSELN_APPLY_VARIANTS(X) FUSELN_RESIDUAL_VARIANTS(X) FUSELN_PARTIAL_VARIANTS(X) FUSELN_DIRECT_VARIANTS(X) FUSELN_REDUCE_VARIANTS(X)
#define FUSELN_VARIANTS(X) FUSELN_NORM_VARIANTS(X) FUSELN_CHECK_VARIANTS(X)
// clang-format on

enum { FUSELN_REGISTERS, FUSELN_RING, FUSELN_MEMORY }; /* the storage above */

enum {
    FUSELN_CHUNK_BYTES = 16,
    FUSELN_ROW_THREADS = 128,      /* of a block of FORWARD whose rows have a warp or less; else its lanes */
    FUSELN_RESIDUAL_WARPS = 16,    /* at most, of a row of RESIDUAL */
    FUSELN_BACKWARD_THREADS = 256, /* at least, of a block of BACKWARD; more are one row's lanes */
    FUSELN_ROW_WARPS = 8,          /* at most, of a row of FORWARD in registers */
    FUSELN_BACKWARD_WARPS = 16,    /* at most, of a block of BACKWARD */
    FUSELN_BACKWARD_COLS = 8192,   /* of the longest row of BACKWARD */
    FUSELN_COLUMN_THREADS = 256,   /* of a block of APPLY, and of partial sums of long rows */
    FUSELN_PARTIAL_ALIGN = 4,      /* the length of a partial row is a multiple of this */
    FUSELN_REDUCE_COLS = 32,       /* of a block of the reduction, and of DGAMMA in one launch */
    FUSELN_REDUCE_THREADS = 512,
    FUSELN_ZERO_BYTES = 32768,  /* of a block that writes zeros to an output: four times 16 bytes a thread */
    FUSELN_CHECK_THREADS = 256, /* of a block of check.cu */
    FUSELN_STATIC_BYTES = 2048, /* at most, of a kernel's static shared memory */
};

/* Up to so many rows of a half type for each SM with two partial rows, DGAMMA is one launch (plan.c); a -D may measure
 * another number. */
#ifndef FUSELN_DIRECT_ROWS
#define FUSELN_DIRECT_ROWS 8
#endif

/* Slots of shared memory for an unaligned tile: the row may begin inside a slot, and zeros follow it. */
#define FUSELN_TILE_SLOTS(chunks) ((chunks) + 3)

/* Lanes of APPLY for a row of `chunks` chunks, four or more of them a lane: a power of two. */
#define FUSELN_APPLY_LANES(chunks) \
    ((chunks) > 512 ? 256 : (chunks) > 256 ? 128 : (chunks) > 128 ? 64 : (chunks) > 64 ? 32 : (chunks) > 32 ? 16 : 8)

#endif
