/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The choice of kernels and geometry for a call: pure functions over the table of schedules.h. The variant depends on
 * op, cols, dtype, alignment and device alone; rows decide the grid and, for DGAMMA, whether one launch does it all.
 */

#include "kernels/host/variant.h"

#include <limits.h>
#include <string.h>

const struct fuseln_variant fuseln_variants[] = {
#define X(kernel, module, dtype, type, lanes, chunks, rows, storage, unaligned, blocks) \
    {#kernel, FUSELN_MODULE_##module, FUSELN_DTYPE_##dtype, unaligned, storage, rows, blocks, chunks, lanes},
    FUSELN_VARIANTS(X)
#undef X
};
_Static_assert(sizeof fuseln_variants / sizeof fuseln_variants[0] == FUSELN_VARIANT_COUNT, "one row per variant");

const char *fuseln_variant_name(const struct fuseln_variant *variant)
{
    return variant->name;
}

const struct fuseln_variant *fuseln_variant_named(const char *name)
{
    const struct fuseln_variant *variant = fuseln_variants;
    while (strcmp(variant->name, name) != 0)
        variant++;
    return variant;
}

/* The first variant of each part of the table, in its order. */
enum {
#define COUNT(...) +1
    FORWARD = 0,
    BACKWARD = FORWARD FUSELN_FORWARD_VARIANTS(COUNT),
    DX = BACKWARD FUSELN_BACKWARD_VARIANTS(COUNT),
    APPLY = DX FUSELN_DX_VARIANTS(COUNT),
    RESIDUAL = APPLY FUSELN_APPLY_VARIANTS(COUNT),
    PARTIAL = RESIDUAL FUSELN_RESIDUAL_VARIANTS(COUNT),
    DIRECT = PARTIAL FUSELN_PARTIAL_VARIANTS(COUNT),
    REDUCE = DIRECT FUSELN_DIRECT_VARIANTS(COUNT),
    FORWARD_SCHEDULES = 0 FUSELN_FORWARD_SCHEDULES(COUNT, ),
    FORWARD_HELD = FORWARD_SCHEDULES - 2, /* in registers; the ring and twice follow */
    BACKWARD_SCHEDULES = 0 FUSELN_BACKWARD_SCHEDULES(COUNT, , ),
    DX_RING = 1, /* after the one pass */
    DX_SCHEDULES = DX_RING FUSELN_DX_SCHEDULES(COUNT, ),
#undef COUNT
};

/* Each part lists its schedules, then its unaligned variants like more schedules, each in all types but double, and
 * ends with the one variant of double: that is the F64 of the last of them. */
static const struct fuseln_variant *variant_of(size_t part, size_t schedule, enum fuseln_dtype dtype)
{
    return &fuseln_variants[part + schedule * FUSELN_DTYPE_F64 + dtype];
}

/* Of the longest row that a schedule holds at once. */
static int64_t held_bytes(const struct fuseln_variant *variant)
{
    return (int64_t)variant->lanes * variant->chunks * FUSELN_CHUNK_BYTES;
}

static int64_t row_bytes(const struct fuseln_call *call)
{
    return call->cols * (int64_t)fuseln_dtype_bytes(call->dtype);
}

static int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static bool reads_dy(enum fuseln_op op)
{
    return op == FUSELN_OP_DX || op == FUSELN_OP_DGAMMA;
}
static bool writes_y(enum fuseln_op op)
{
    return op == FUSELN_OP_FORWARD || op == FUSELN_OP_APPLY;
}

/* Is a pointer NULL that the operation always reads or writes? FORWARD may have no statistics, but not one of two. */
static bool lacks_pointer(const struct fuseln_call *call)
{
    const bool has_statistics = call->rstd && (call->rms || call->mean),
               wants_none = call->op == FUSELN_OP_FORWARD && !call->rstd && !call->mean;
    return !call->x || !(has_statistics || wants_none) || (reads_dy(call->op) && !call->dy) ||
           (writes_y(call->op) && !call->y) || (call->op == FUSELN_OP_DX && !call->dx);
}

/* FORWARD of a sum, or with a number added to gamma: kernels/residual.cu. */
static bool has_sum(const struct fuseln_call *call)
{
    return call->residual || call->bias || call->sum || call->gamma_add != 0;
}
static bool lacks_kernel(const struct fuseln_call *call)
{
    return has_sum(call) && (call->op != FUSELN_OP_FORWARD || call->dtype == FUSELN_DTYPE_F64 ||
                             (call->sum && !call->residual && !call->bias));
}

static uintptr_t bits(const void *pointer)
{
    return (uintptr_t)pointer;
}

static enum fuseln_verdict validate(const struct fuseln_call *call)
{
    const size_t size = fuseln_dtype_bytes(call->dtype), acc = fuseln_acc_bytes(call->dtype);
    if (call->rows == 0 || call->cols == 0)
        return FUSELN_VERDICT_EMPTY;
    if (call->rows < 0 || call->rows > INT_MAX || call->cols < 0 || call->cols > INT_MAX ||
        call->rows > INT64_MAX / 8 / call->cols || (call->op == FUSELN_OP_DGAMMA && call->out_rows < 1))
        return FUSELN_VERDICT_SHAPE;
    if (lacks_kernel(call))
        return FUSELN_VERDICT_REQUIRE;
    if (lacks_pointer(call))
        return FUSELN_VERDICT_NULLPTR;
    const uintptr_t tensors = bits(call->x) | bits(call->dy) | bits(call->y) | bits(call->dx) | bits(call->gamma) |
                              bits(call->beta) | bits(call->residual) | bits(call->bias) | bits(call->sum);
    const uintptr_t statistics = bits(call->rstd) | bits(call->mean),
                    gradients = bits(call->dgamma) | bits(call->dbeta);
    return tensors % size || statistics % acc || gradients % fuseln_dtype_bytes(fuseln_gradient_dtype(call))
               ? FUSELN_VERDICT_ALIGN
               : FUSELN_VERDICT_OK;
}

static bool parameters_aligned(const struct fuseln_call *call)
{
    const uintptr_t gamma = call->op == FUSELN_OP_DX || call->op == FUSELN_OP_FORWARD ? bits(call->gamma) : 0;
    const uintptr_t beta = call->op == FUSELN_OP_FORWARD ? bits(call->beta) : 0;
    return (gamma | beta | bits(call->bias)) % FUSELN_CHUNK_BYTES == 0;
}

/* The common alignment of the rows that the operation touches, at most 16, and 16 only if gamma and beta have it too.
 */
static unsigned row_width(const struct fuseln_call *call)
{
    const uintptr_t all = bits(call->x) | (reads_dy(call->op) ? bits(call->dy) : 0) | (uintptr_t)row_bytes(call) |
                          (writes_y(call->op) ? bits(call->y) : 0) | (call->op == FUSELN_OP_DX ? bits(call->dx) : 0) |
                          bits(call->residual) | bits(call->sum) | FUSELN_CHUNK_BYTES;
    const unsigned width = (unsigned)(all & (0 - all)); /* the lowest bit */
    return width == FUSELN_CHUNK_BYTES && !parameters_aligned(call) ? FUSELN_CHUNK_BYTES / 2 : width;
}

/* Does the call need an unaligned variant? Double has no other. */
static bool is_unaligned(const struct fuseln_call *call, const struct fuseln_plan *plan)
{
    return plan->width < FUSELN_CHUNK_BYTES || call->dtype == FUSELN_DTYPE_F64;
}

static enum fuseln_verdict set_grid(struct fuseln_plan *plan, int which, int64_t blocks, int64_t threads)
{
    if (blocks > INT_MAX)
        return FUSELN_VERDICT_SHAPE;
    plan->grid[which] = (unsigned)blocks;
    plan->block[which] = (unsigned)threads;
    return FUSELN_VERDICT_OK;
}

/* Of a power of two. */
static unsigned logarithm(int64_t lanes)
{
    return (unsigned)__builtin_ctzll((unsigned long long)lanes);
}
static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Dynamic shared memory of a block when `blocks` of them share an SM. */
static int64_t shared_bytes(const struct fuseln_device *device, int64_t blocks)
{
    return device->smem_optin_bytes / blocks - FUSELN_STATIC_BYTES;
}

/* Shared memory of an unaligned tile. */
static unsigned tile_bytes(int chunks)
{
    return (unsigned)FUSELN_TILE_SLOTS(chunks) * FUSELN_CHUNK_BYTES;
}

/* Shared memory of two rows: the row and the next one, or for DX x and dy, each of whole warps. */
static int64_t ring_bytes(const struct fuseln_call *call)
{
    const int64_t unit = call->op == FUSELN_OP_DX ? 32 * FUSELN_CHUNK_BYTES : FUSELN_CHUNK_BYTES;
    return 2 * divide_up(row_bytes(call), unit) * unit;
}

/* A block to a row, for FORWARD and DX: the ring if shared memory holds two rows, else read twice. Unaligned rows have
 * one variant for both. */
static enum fuseln_verdict plan_long_row(const struct fuseln_call *call, const struct fuseln_device *device,
                                         struct fuseln_plan *plan)
{
    const bool dx = call->op == FUSELN_OP_DX;
    const size_t part = dx ? DX : FORWARD, aligned = dx ? DX_RING : FORWARD_HELD;
    const size_t unaligned = dx ? DX_SCHEDULES : FORWARD_SCHEDULES + 3;
    const int64_t ring = ring_bytes(call), blocks = dx && ring <= shared_bytes(device, 2) ? 2 : 1;
    const bool fits = ring <= shared_bytes(device, 1);
    const struct fuseln_variant *variant =
        variant_of(part, is_unaligned(call, plan) ? unaligned : aligned + !fits, call->dtype);
    plan->kernel[0] = variant;
    if (variant->storage == FUSELN_RING) {
        plan->stages = dx && 2 * ring <= shared_bytes(device, blocks) ? 2 : 1;
        plan->smem_bytes[0] = (unsigned)(ring * plan->stages);
        return set_grid(plan, 0, smaller(call->rows, blocks * device->sm_count), variant->lanes);
    }
    plan->smem_bytes[0] = variant->unaligned ? tile_bytes(variant->lanes * variant->chunks) * (dx ? 2 : 1) : 0;
    return set_grid(plan, 0, call->rows, variant->lanes);
}

static enum fuseln_verdict plan_forward(const struct fuseln_call *call, const struct fuseln_device *device,
                                        struct fuseln_plan *plan)
{
    size_t at = 0;
    if (call->dtype == FUSELN_DTYPE_F64) {
        plan->width = (unsigned)fuseln_dtype_bytes(call->dtype);
        return plan_long_row(call, device, plan);
    }
    while (at < FORWARD_HELD && row_bytes(call) > held_bytes(variant_of(FORWARD, at, call->dtype)))
        at++;
    if (at == FORWARD_HELD)
        return plan_long_row(call, device, plan);
    const struct fuseln_variant *aligned = variant_of(FORWARD, at, call->dtype);
    const size_t as_many_chunks = FORWARD_SCHEDULES + (aligned->chunks > 4 ? 2 : aligned->chunks / 4);
    const bool unaligned = is_unaligned(call, plan);
    const int64_t block = aligned->lanes > 32 ? aligned->lanes : FUSELN_ROW_THREADS;
    plan->kernel[0] = unaligned ? variant_of(FORWARD, as_many_chunks, call->dtype) : aligned;
    plan->log_lanes = logarithm(aligned->lanes);
    const int64_t groups = block / aligned->lanes, rows = groups * plan->kernel[0]->rows;
    plan->smem_bytes[0] = unaligned ? (unsigned)groups * tile_bytes(aligned->lanes * aligned->chunks) : 0;
    return set_grid(plan, 0, divide_up(call->rows, rows), block);
}

/* Of a sum: a warp for each 4 KB of the row, and the sums of unaligned rows in shared memory. */
static enum fuseln_verdict plan_residual(const struct fuseln_call *call, const struct fuseln_device *device,
                                         struct fuseln_plan *plan)
{
    const struct fuseln_variant *variant = variant_of(RESIDUAL, is_unaligned(call, plan), call->dtype);
    const int64_t chunks = divide_up(row_bytes(call), FUSELN_CHUNK_BYTES);
    const int64_t warps = divide_up(chunks, (int64_t)variant->lanes * variant->chunks);
    const int64_t rows = warps > 1 ? 1 : FUSELN_ROW_THREADS / 32; /* of a block */
    const int64_t sums = chunks * (int64_t)(FUSELN_CHUNK_BYTES / fuseln_dtype_bytes(call->dtype) * sizeof(float));
    if (warps > FUSELN_RESIDUAL_WARPS || (variant->unaligned && rows * sums > shared_bytes(device, 1)))
        return FUSELN_VERDICT_SHAPE;
    plan->kernel[0] = variant;
    plan->smem_bytes[0] = variant->unaligned ? (unsigned)(rows * sums) : 0;
    return set_grid(plan, 0, divide_up(call->rows, rows), rows > 1 ? FUSELN_ROW_THREADS : warps * 32);
}

static int64_t partial_pitch(const struct fuseln_call *call)
{
    return divide_up(call->cols, FUSELN_PARTIAL_ALIGN) * FUSELN_PARTIAL_ALIGN;
}

/* At most 16 MiB of partial rows, but never fewer than `least`. */
static void set_partials(const struct fuseln_call *call, struct fuseln_plan *plan, int64_t wanted, int64_t least)
{
    const int64_t bytes = 2 * partial_pitch(call) * (int64_t)fuseln_acc_bytes(call->dtype);
    plan->partial_rows = larger(smaller(wanted, ((int64_t)16 << 20) / bytes), least);
    plan->scratch_bytes = (size_t)(plan->partial_rows * bytes);
}

/* The one-pass backward; false if it does not handle such rows. DX and DGAMMA of one layer both plan by it, and agree.
 */
static bool plan_backward(const struct fuseln_call *call, const struct fuseln_device *device, struct fuseln_plan *plan)
{
    if (call->dtype == FUSELN_DTYPE_F64 || call->cols > FUSELN_BACKWARD_COLS)
        return false;
    const struct fuseln_variant *const shortest = variant_of(BACKWARD, 0, call->dtype), *aligned = shortest;
    while (row_bytes(call) > held_bytes(aligned))
        aligned += FUSELN_DTYPE_F64; /* the next schedule */
    const int64_t threads = larger(aligned->lanes, FUSELN_BACKWARD_THREADS);
    const int64_t groups = threads / aligned->lanes;
    /* As much for aligned rows as for unaligned ones: the number of partial rows must not depend on the alignment. */
    const int64_t stage = 2 * groups * tile_bytes(aligned->lanes * aligned->chunks);
    if (stage > shared_bytes(device, 1))
        return false;
    plan->kernel[0] = aligned;
    if (is_unaligned(call, plan)) /* the shortest has half as many chunks as the others */
        plan->kernel[0] = variant_of(BACKWARD, BACKWARD_SCHEDULES + (aligned != shortest), call->dtype);
    plan->log_lanes = logarithm(aligned->lanes);
    /* Behind two stages unaligned rows of half types have room for dx. */
    const bool room = plan->kernel[0]->unaligned && call->dtype != FUSELN_DTYPE_F32;
    const int64_t two = 2 * stage + (room ? stage / 2 : 0);
    plan->stages = two <= shared_bytes(device, aligned->blocks) ? 2 : 1;
    plan->smem_bytes[0] = (unsigned)(plan->stages == 2 ? two : stage);
    set_partials(call, plan, (int64_t)aligned->blocks * device->sm_count, device->sm_count);
    plan->parts = smaller(call->rows, plan->partial_rows);
    plan->grid[0] = (unsigned)plan->parts;
    plan->block[0] = (unsigned)threads;
    return true;
}

/* Is the row short enough for a pass that makes DX and the partial sums of DGAMMA? Unaligned long rows have two
 * kernels, but as many partial rows: their number must not depend on the alignment. */
static bool has_pass(const struct fuseln_call *call)
{
    const struct fuseln_variant *variant = variant_of(DX, 0, call->dtype);
    return call->dtype != FUSELN_DTYPE_F64 && row_bytes(call) <= held_bytes(variant);
}

/* The partial sums of long rows, of one kernel or the other. */
static void set_long_partials(const struct fuseln_call *call, const struct fuseln_device *device,
                              struct fuseln_plan *plan, int64_t tiles)
{
    if (has_pass(call))
        set_partials(call, plan, device->sm_count, device->sm_count);
    else
        set_partials(call, plan, divide_up(4 * device->sm_count, tiles), divide_up(device->sm_count, tiles));
    plan->parts = smaller(call->rows, plan->partial_rows);
}

/* The pass over aligned long rows; false if it does not handle such rows. */
static bool plan_long_pass(const struct fuseln_call *call, const struct fuseln_device *device, struct fuseln_plan *plan)
{
    const int64_t ring = ring_bytes(call);
    if (is_unaligned(call, plan) || !has_pass(call) || ring > shared_bytes(device, 1))
        return false;
    plan->kernel[0] = variant_of(DX, 0, call->dtype);
    plan->stages = 2 * ring <= shared_bytes(device, 1) ? 2 : 1;
    plan->smem_bytes[0] = (unsigned)(ring * plan->stages);
    set_long_partials(call, device, plan, 1);
    plan->grid[0] = (unsigned)plan->parts;
    plan->block[0] = plan->kernel[0]->lanes;
    return true;
}

/*
 * Is DGAMMA one launch, as the rows are few? In a pair, writing and reading the partial rows must move fewer bytes than
 * reading x and dy again would; FUSELN_DIRECT_ROWS of 8 says just that. DGAMMA alone plans alike, as it may be half of
 * a pair. Where nothing is paired, partial sums save no bytes, and only spread the rows over more blocks.
 * Unrounded gradients always take two launches, of which the second is that of float.
 */
static bool is_direct(const struct fuseln_call *call, const struct fuseln_device *device,
                      const struct fuseln_plan *plan)
{
    if (fuseln_gradient_dtype(call) != call->dtype)
        return false;
    if (!has_pass(call))
        return call->rows <= 2 * (int64_t)device->direct_rows * device->sm_count;
    return 8 * (int64_t)plan->x_bytes <= device->direct_rows * (int64_t)plan->scratch_bytes;
}

static enum fuseln_verdict plan_dx(const struct fuseln_call *call, const struct fuseln_device *device,
                                   struct fuseln_plan *plan)
{
    if (!plan_backward(call, device, plan) && !plan_long_pass(call, device, plan))
        return plan_long_row(call, device, plan);
    if (is_direct(call, device, plan))
        plan->scratch_bytes = 0;
    else
        plan->reduction = variant_of(REDUCE, 0, call->dtype);
    return FUSELN_VERDICT_OK;
}

/* Blocks that write zeros to the rows of one output from 1 on, which may begin up to 15 bytes behind a boundary. */
static int64_t blocks_of_zeros(const struct fuseln_call *call)
{
    const int64_t row = call->cols * (int64_t)fuseln_dtype_bytes(fuseln_gradient_dtype(call)),
                  bytes = (call->out_rows - 1) * row;
    return bytes ? divide_up(bytes + FUSELN_CHUNK_BYTES - 1, FUSELN_ZERO_BYTES) : 0;
}

static enum fuseln_verdict plan_dgamma(const struct fuseln_call *call, const struct fuseln_device *device,
                                       struct fuseln_plan *plan)
{
    const int64_t column_blocks = divide_up(call->cols, FUSELN_REDUCE_COLS), zero_blocks = 2 * blocks_of_zeros(call);
    const int64_t tiles = divide_up(divide_up(row_bytes(call), FUSELN_CHUNK_BYTES), FUSELN_COLUMN_THREADS);
    enum fuseln_verdict verdict = FUSELN_VERDICT_OK;
    struct fuseln_plan sums = *plan;
    const bool one_pass = plan_backward(call, device, &sums);
    if (!one_pass)
        set_long_partials(call, device, &sums, tiles);
    if (is_direct(call, device, &sums)) {
        plan->kernel[0] = variant_of(DIRECT, 0, call->dtype);
        return set_grid(plan, 0, column_blocks + zero_blocks, FUSELN_REDUCE_THREADS);
    }
    *plan = sums;
    if (!one_pass) {
        plan->kernel[0] = variant_of(PARTIAL, is_unaligned(call, plan), call->dtype);
        verdict = set_grid(plan, 0, plan->parts * tiles, FUSELN_COLUMN_THREADS);
    }
    plan->kernel[1] = variant_of(REDUCE, 0, fuseln_gradient_dtype(call));
    if (verdict == FUSELN_VERDICT_OK)
        verdict = set_grid(plan, 1, 2 * column_blocks + zero_blocks, FUSELN_REDUCE_THREADS);
    return verdict;
}

static enum fuseln_verdict plan_apply(const struct fuseln_call *call, struct fuseln_plan *plan)
{
    const int64_t lanes = FUSELN_APPLY_LANES(divide_up(row_bytes(call), FUSELN_CHUNK_BYTES));
    const int64_t groups = FUSELN_COLUMN_THREADS / lanes;
    plan->kernel[0] = variant_of(APPLY, 0, call->dtype);
    plan->log_lanes = logarithm(lanes);
    plan->smem_bytes[0] = (unsigned)groups * tile_bytes((int)lanes * plan->kernel[0]->chunks);
    return set_grid(plan, 0, divide_up(call->rows, groups), FUSELN_COLUMN_THREADS);
}

enum fuseln_verdict fuseln_plan_make(const struct fuseln_call *call, const struct fuseln_device *device,
                                     struct fuseln_plan *ret_plan)
{
    enum fuseln_verdict verdict = validate(call);
    if (verdict != FUSELN_VERDICT_OK)
        return verdict;
    struct fuseln_plan plan = {.width = row_width(call), .inverse_cols = 1 / (double)call->cols};
    plan.inverse_cols_f = (float)plan.inverse_cols;
    plan.x_bytes = (size_t)(call->rows * row_bytes(call));
    plan.rstd_bytes = (size_t)call->rows * fuseln_acc_bytes(call->dtype);
    switch (call->op) {
    case FUSELN_OP_DGAMMA:
        verdict = plan_dgamma(call, device, &plan);
        break;
    case FUSELN_OP_DX:
        verdict = plan_dx(call, device, &plan);
        break;
    case FUSELN_OP_APPLY:
        verdict = plan_apply(call, &plan);
        break;
    default:
        verdict = has_sum(call) ? plan_residual(call, device, &plan) : plan_forward(call, device, &plan);
    }
    if (verdict == FUSELN_VERDICT_OK)
        *ret_plan = plan;
    return verdict;
}
