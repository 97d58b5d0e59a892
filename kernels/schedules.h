/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of compiled kernels. Each .cu file expands its part into kernels, variants.c expands all of it into
 * the rows that a plan chooses from, in the same order. Nothing but macros and plain structs: C11 and C++17.
 *
 * A row of the matrix is cut into chunks of 16 bytes, counted from its first element whatever its address. A schedule
 * says which thread holds which chunk: `lanes` threads share a row, thread l of them holds the chunks l, l + lanes, ...
 * (`chunks` of them at once). Rows that are not aligned have the same chunks in the same threads, so the same bits.
 */
#ifndef FUSELN_VARIANTS_H
#define FUSELN_VARIANTS_H

// clang-format off

/* The modules, one .cu file and one image per architecture each. X(name) */
#define FUSELN_MODULES(X) X(forward) X(apply) X(backward) X(dx) X(dgamma) X(check)

/* X(..., FUSELN_DTYPE_, name, device type). f64 has one plain variant per operation, below. */
#define FUSELN_TYPES(X, ...)            \
    X(__VA_ARGS__, F32,  f32,  float)   \
    X(__VA_ARGS__, F16,  f16,  __half)  \
    X(__VA_ARGS__, BF16, bf16, __nv_bfloat16)

/*
 * Schedules: X(..., name, lanes, chunks, rows, place, blocks), smallest rows first. rows: how many a group of lanes
 * holds at once, so that 64 or 128 bytes a thread are in flight and gamma and beta are read once for all of them.
 * place: HELD in registers, in a RING of shared memory, or read TWICE. blocks: at least so many on an SM, which caps
 * the registers. The last two of each list take what the others cannot hold; they share lanes and chunks, so bits.
 */
#define FUSELN_FORWARD_SCHEDULES(X, ...)                         \
    X(__VA_ARGS__, lanes8x2,  8,   2, 2, HELD,  8) /* <= 256 bytes */ \
    X(__VA_ARGS__, lanes16x2, 16,  2, 2, HELD,  8) /* <= 512 */  \
    X(__VA_ARGS__, warp2,     32,  2, 2, HELD,  8) /* <= 1 K */  \
    X(__VA_ARGS__, warp4,     32,  4, 2, HELD,  4) /* <= 2 K */  \
    X(__VA_ARGS__, warp8,     32,  8, 1, HELD,  4) /* <= 4 K */  \
    X(__VA_ARGS__, block64,   64,  8, 1, HELD,  8) /* <= 8 K */  \
    X(__VA_ARGS__, block128,  128, 8, 1, HELD,  4) /* <= 16 K */ \
    X(__VA_ARGS__, block256,  256, 8, 1, HELD,  2) /* <= 32 K */ \
    X(__VA_ARGS__, ring,      512, 4, 1, RING,  1) /* <= half of a block's shared memory */ \
    X(__VA_ARGS__, twice,     512, 4, 1, TWICE, 1)

/* By columns, not bytes: the sums over rows take two registers a column. X(..., name, lanes, columns a thread, blocks) */
#define FUSELN_BACKWARD_SCHEDULES(X, ...)            \
    X(__VA_ARGS__, cols64,   8,   8,  2) /* <= 64 columns */ \
    X(__VA_ARGS__, cols128,  8,   16, 2)             \
    X(__VA_ARGS__, cols256,  16,  16, 2)             \
    X(__VA_ARGS__, cols512,  32,  16, 2)             \
    X(__VA_ARGS__, cols1024, 64,  16, 2)             \
    X(__VA_ARGS__, cols2048, 128, 16, 2)             \
    X(__VA_ARGS__, cols4096, 256, 16, 2)             \
    X(__VA_ARGS__, cols8192, 512, 16, 1)

#define FUSELN_DX_SCHEDULES(X, ...)            \
    X(__VA_ARGS__, ring,  512, 2, 1, RING,  1) \
    X(__VA_ARGS__, twice, 512, 2, 1, TWICE, 1)

/*
 * Variants: X(kernel name, module, FUSELN_DTYPE_, device type, lanes, chunks, rows, FUSELN_place, narrow, blocks).
 * A narrow variant takes rows, or a gamma or beta, of any alignment; in FORWARD and BACKWARD it serves all schedules of
 * as many chunks (lanes: 0), with as many lanes, and so the same bits.
 */
#define FUSELN_EACH_TYPE(X, op, ...) FUSELN_TYPES(FUSELN_ALIGNED, X, op, op, __VA_ARGS__)
#define FUSELN_ALIGNED(X, module, op, schedule, lanes, chunks, rows, place, blocks, id, dtype, type) \
    X(fuseln_ln_##op##_##schedule##_##dtype, module, id, type, lanes, chunks, rows, FUSELN_##place, false, blocks)
#define FUSELN_NARROW(X, module, op, schedule, lanes, chunks, rows, place, blocks, id, dtype, type) \
    X(fuseln_ln_##op##_##schedule##_##dtype, module, id, type, lanes, chunks, rows, FUSELN_##place, true, blocks)
#define FUSELN_PLAIN(X, module, op, lanes, chunks, place, blocks, id, dtype, type) \
    X(fuseln_ln_##op##_##dtype, module, id, type, lanes, chunks, 1, FUSELN_##place, true, blocks)

/* FORWARD; with y NULL it is MOMENTS, which must give the same bits. */
#define FUSELN_FORWARD_VARIANTS(X)                                                 \
    FUSELN_FORWARD_SCHEDULES(FUSELN_EACH_TYPE, X, forward)                         \
    FUSELN_TYPES(FUSELN_NARROW, X, forward, forward, narrow2, 0, 2, 1, HELD, 2)    \
    FUSELN_TYPES(FUSELN_NARROW, X, forward, forward, narrow4, 0, 4, 1, HELD, 2)    \
    FUSELN_TYPES(FUSELN_NARROW, X, forward, forward, narrow8, 0, 8, 1, HELD, 1)    \
    FUSELN_TYPES(FUSELN_NARROW, X, forward, forward, narrow, 512, 4, 1, TWICE, 1)  \
    FUSELN_PLAIN(X, forward, forward, 128, 2, TWICE, 1, F64, f64, double)

/* DX, DGAMMA or both; never double. */
#define FUSELN_BACKWARD_VARIANTS(X) FUSELN_BACKWARD_SCHEDULES(FUSELN_BACKWARD_TYPES, X, FUSELN_ALIGNED) \
    FUSELN_BACKWARD_TYPES(X, FUSELN_NARROW, narrow8, 0, 8, 1)                                         \
    FUSELN_BACKWARD_TYPES(X, FUSELN_NARROW, narrow16, 0, 16, 1)
#define FUSELN_BACKWARD_TYPES(X, WIDTH, schedule, lanes, cols, blocks)                          \
    WIDTH(X, backward, backward, schedule, lanes, (cols) / 4, 1, RING, blocks, F32, f32, float)  \
    WIDTH(X, backward, backward, schedule, lanes, (cols) / 8, 1, RING, blocks, F16, f16, __half) \
    WIDTH(X, backward, backward, schedule, lanes, (cols) / 8, 1, RING, blocks, BF16, bf16, __nv_bfloat16)

#define FUSELN_DX_VARIANTS(X)                                     \
    FUSELN_DX_SCHEDULES(FUSELN_EACH_TYPE, X, dx)                  \
    FUSELN_TYPES(FUSELN_NARROW, X, dx, dx, narrow, 512, 2, 1, TWICE, 1) \
    FUSELN_PLAIN(X, dx, dx, 128, 2, TWICE, 1, F64, f64, double)

/* FUSELN_COLUMN_THREADS threads a block, which FUSELN_APPLY_LANES shares out. */
#define FUSELN_APPLY_VARIANTS(X)                                   \
    FUSELN_TYPES(FUSELN_PLAIN, X, apply, apply, 0, 4, TWICE, 3)     \
    FUSELN_PLAIN(X, apply, apply, 0, 4, TWICE, 3, F64, f64, double)

#define FUSELN_PARTIAL_VARIANTS(X)                                                      \
    FUSELN_TYPES(FUSELN_ALIGNED, X, dgamma, dgamma, partial, 256, 1, 1, HELD, 2)        \
    FUSELN_TYPES(FUSELN_NARROW, X, dgamma, dgamma, partial_narrow, 256, 1, 1, HELD, 2)  \
    FUSELN_PLAIN(X, dgamma, dgamma_partial, 256, 1, HELD, 2, F64, f64, double)

#define FUSELN_DIRECT_VARIANTS(X)                                           \
    FUSELN_TYPES(FUSELN_PLAIN, X, dgamma, dgamma_direct, 512, 1, HELD, 1)    \
    FUSELN_PLAIN(X, dgamma, dgamma_direct, 512, 1, HELD, 1, F64, f64, double)

#define FUSELN_REDUCE_VARIANTS(X)                                           \
    FUSELN_TYPES(FUSELN_PLAIN, X, dgamma, dgamma_reduce, 512, 1, HELD, 1)    \
    FUSELN_PLAIN(X, dgamma, dgamma_reduce, 512, 1, HELD, 1, F64, f64, double)

/* Of no operation: they compare what launches wrote, whatever its type, and have an argument of their own. */
#define FUSELN_CHECK_VARIANTS(X)                                                \
    X(fuseln_check_rows,    check, F32, float, 0, 0, 1, FUSELN_TWICE, true, 1)  \
    X(fuseln_check_columns, check, F32, float, 0, 0, 1, FUSELN_TWICE, true, 1)  \
    X(fuseln_check_sum,     check, F32, float, 0, 0, 1, FUSELN_TWICE, true, 1)

#define FUSELN_NORM_VARIANTS(X)                                                  \
    FUSELN_FORWARD_VARIANTS(X) FUSELN_BACKWARD_VARIANTS(X) FUSELN_DX_VARIANTS(X) \
    FUSELN_APPLY_VARIANTS(X) FUSELN_PARTIAL_VARIANTS(X) FUSELN_DIRECT_VARIANTS(X) FUSELN_REDUCE_VARIANTS(X)
#define FUSELN_VARIANTS(X) FUSELN_NORM_VARIANTS(X) FUSELN_CHECK_VARIANTS(X)
// clang-format on

/* What a variant does with rows, the `place` above. */
enum { FUSELN_HELD, FUSELN_RING, FUSELN_TWICE };

enum {
    FUSELN_CHUNK_BYTES = 16,
    FUSELN_ROW_THREADS = 128,      /* threads of a block of FORWARD where a warp or less has a row; else lanes */
    FUSELN_BACKWARD_THREADS = 256, /* the same of BACKWARD, where a block has several groups of lanes */
    FUSELN_ROW_WARPS = 8,          /* warps that share a row of FORWARD in registers, at most */
    FUSELN_BACKWARD_WARPS = 16,    /* warps of a block of BACKWARD, at most */
    FUSELN_BACKWARD_COLS = 8192,   /* the widest row of BACKWARD */
    FUSELN_COLUMN_THREADS = 256,   /* threads of a block of APPLY and of partial sums of wide rows */
    FUSELN_PARTIAL_ALIGN = 4,      /* a partial row takes a multiple of so many elements */
    FUSELN_REDUCE_COLS = 32,       /* columns of a block of the reduction, and of DGAMMA in one launch */
    FUSELN_REDUCE_THREADS = 512,
    FUSELN_CHECK_THREADS = 256, /* of a block of check.cu */
    FUSELN_DIRECT_ROWS = 16,    /* rows for each SM up to which DGAMMA is one launch */
    FUSELN_STATIC_BYTES = 2048, /* of shared memory, at most, that a kernel has besides the dynamic one */
};

/* Shared memory of a narrow tile, in chunks: the row may begin inside of one, and zeros follow it. */
#define FUSELN_TILE_SLOTS(chunks) ((chunks) + 3)

/* Lanes that a row of `chunks` chunks gets of APPLY, which has four chunks a lane: a power of two. */
#define FUSELN_APPLY_LANES(chunks) \
    ((chunks) > 512 ? 256 : (chunks) > 256 ? 128 : (chunks) > 128 ? 64 : (chunks) > 64 ? 32 : (chunks) > 32 ? 16 : 8)

#endif
