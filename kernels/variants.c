/*
 * The choice of kernels and geometry for a call: pure functions over the table of variants.h. The variant follows
 * from op, cols, dtype, alignment and device alone; only the grid, and for DGAMMA nothing else, from rows.
 */
#include "variant.h"

#include <limits.h>

const struct fuseln_variant fuseln_variants[] = {
#define X(kernel, module, dtype, type, lanes, chunks, twice, narrow) \
    {#kernel, FUSELN_MODULE_##module, FUSELN_DTYPE_##dtype, narrow, lanes, chunks},
    FUSELN_VARIANTS(X)
#undef X
};
_Static_assert(sizeof fuseln_variants / sizeof fuseln_variants[0] == FUSELN_VARIANT_COUNT, "one row per variant");

const char *fuseln_variant_name(const struct fuseln_variant *variant)
{
    return variant->name;
}

const struct fuseln_variant *fuseln_variant_at(size_t index)
{
    return index < FUSELN_VARIANT_COUNT ? &fuseln_variants[index] : NULL;
}

/* The first variant of each part of the table, in its order. */
enum {
#define COUNT(...) +1
    FORWARD = 0,
    DX = FORWARD FUSELN_FORWARD_VARIANTS(COUNT),
    APPLY = DX FUSELN_DX_VARIANTS(COUNT),
    PARTIAL = APPLY FUSELN_APPLY_VARIANTS(COUNT),
    REDUCE = PARTIAL FUSELN_PARTIAL_VARIANTS(COUNT),
#undef COUNT
};

static int64_t row_bytes(const struct fuseln_call *call)
{
    return call->cols * (int64_t)fuseln_dtype_bytes(call->dtype);
}

static int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* Both nests of the table have types inside schedules and widths inside types; f64's one variant comes last. */
static const struct fuseln_variant *row_variant(size_t first, const struct fuseln_call *call, bool narrow)
{
    static const int64_t holds[] = {
#define X(unused, name, lanes, chunks, twice) (twice) ? INT64_MAX : (lanes) * (chunks) * (int64_t)FUSELN_CHUNK_BYTES,
        FUSELN_SCHEDULES(X, FUSELN_FORWARD_4K, )
#undef X
    };
#define COUNT(...) +1
    if (call->dtype == FUSELN_DTYPE_F64)
        return &fuseln_variants[first + (0 FUSELN_FORWARD_VARIANTS(COUNT)) - 1];
#undef COUNT
    const int64_t bytes = row_bytes(call);
    size_t schedule = 0;
    while (bytes > holds[schedule])
        schedule++;
    return &fuseln_variants[first + (schedule * FUSELN_DTYPE_F64 + call->dtype) * 2 + narrow];
}

static const struct fuseln_variant *partial_variant(enum fuseln_dtype dtype, bool narrow)
{
    return &fuseln_variants[PARTIAL + (dtype == FUSELN_DTYPE_F64 ? 2 * (size_t)dtype : 2 * (size_t)dtype + narrow)];
}

/* Is a pointer that this operation reads or writes in every case null? */
static bool lacks_pointer(const struct fuseln_call *call)
{
    const bool mean = call->rms || call->mean;
    switch (call->op) {
    case FUSELN_OP_FORWARD:
    case FUSELN_OP_APPLY:
        return !(call->x && call->y && call->rstd && mean);
    case FUSELN_OP_MOMENTS:
        return !(call->x && call->rstd && mean);
    case FUSELN_OP_DX:
        return !(call->x && call->dy && call->dx && call->rstd && mean);
    default:
        return !(call->x && call->dy && call->rstd && mean);
    }
}

static uintptr_t bits(const void *pointer)
{
    return (uintptr_t)pointer;
}

static enum fuseln_verdict check(const struct fuseln_call *call)
{
    const size_t size = fuseln_dtype_bytes(call->dtype), acc = fuseln_acc_bytes(call->dtype);
    if (call->rows == 0 || call->cols == 0)
        return FUSELN_VERDICT_EMPTY;
    if (call->rows < 0 || call->rows > INT_MAX || call->cols < 0 || call->cols > INT_MAX ||
        call->rows > INT64_MAX / 8 / call->cols || (call->op == FUSELN_OP_DGAMMA && call->out_rows < 1))
        return FUSELN_VERDICT_SHAPE;
    if (lacks_pointer(call))
        return FUSELN_VERDICT_NULLPTR;
    const uintptr_t tensors = bits(call->x) | bits(call->dy) | bits(call->y) | bits(call->dx) | bits(call->gamma) |
                              (call->rms ? 0 : bits(call->beta) | bits(call->dbeta)) | bits(call->dgamma);
    const uintptr_t statistics = bits(call->rstd) | (call->rms ? 0 : bits(call->mean));
    return tensors % size || statistics % acc ? FUSELN_VERDICT_ALIGN : FUSELN_VERDICT_OK;
}

/* The common alignment of the rows that the operation touches, at most 16. */
static unsigned row_width(const struct fuseln_call *call)
{
    const bool backward = call->op == FUSELN_OP_DX || call->op == FUSELN_OP_DGAMMA;
    const uintptr_t low = bits(call->x) | (backward ? bits(call->dy) : 0) | (uintptr_t)row_bytes(call) |
                          (call->op == FUSELN_OP_FORWARD || call->op == FUSELN_OP_APPLY ? bits(call->y) : 0) |
                          (call->op == FUSELN_OP_DX ? bits(call->dx) : 0) | FUSELN_CHUNK_BYTES;
    return (unsigned)(low & (0 - low));
}

static bool parameters_unaligned(const struct fuseln_call *call)
{
    const uintptr_t gamma = call->op == FUSELN_OP_DX || call->op == FUSELN_OP_FORWARD ? bits(call->gamma) : 0;
    const uintptr_t beta = call->op == FUSELN_OP_FORWARD && !call->rms ? bits(call->beta) : 0;
    return (gamma | beta) % FUSELN_CHUNK_BYTES != 0;
}

/* The partial rows: about two blocks an SM, 16 MiB at most, but never fewer than there are SMs. */
static int64_t partial_rows(const struct fuseln_call *call, const struct fuseln_device *device, int64_t groups)
{
    const int64_t most = ((int64_t)16 << 20) / (2 * call->cols * (int64_t)fuseln_acc_bytes(call->dtype));
    const int64_t wanted = 2 * device->sm_count * groups;
    const int64_t rows = wanted < most ? wanted : most;
    return rows > device->sm_count ? rows : device->sm_count;
}

static enum fuseln_verdict set_grid(struct fuseln_plan *plan, int which, int64_t blocks, unsigned threads)
{
    if (blocks > INT_MAX)
        return FUSELN_VERDICT_SHAPE;
    plan->grid[which] = (unsigned)blocks;
    plan->block[which] = threads;
    return FUSELN_VERDICT_OK;
}

static enum fuseln_verdict plan_dgamma(const struct fuseln_call *call, const struct fuseln_device *device,
                                       struct fuseln_plan *plan)
{
    const int64_t chunks = divide_up(row_bytes(call), FUSELN_CHUNK_BYTES);
    const int64_t groups = FUSELN_COLUMN_THREADS / FUSELN_COLUMN_LANES(chunks);
    plan->kernel[0] = partial_variant(call->dtype, plan->width < FUSELN_CHUNK_BYTES);
    plan->kernel[1] = &fuseln_variants[REDUCE + call->dtype];
    plan->partial_rows = partial_rows(call, device, groups);
    plan->scratch_bytes = 2 * (size_t)plan->partial_rows * (size_t)call->cols * fuseln_acc_bytes(call->dtype);
    const int64_t used = call->rows < plan->partial_rows ? call->rows : plan->partial_rows;
    enum fuseln_verdict verdict =
        set_grid(plan, 0, divide_up(used, groups) * divide_up(chunks, FUSELN_COLUMN_THREADS), FUSELN_COLUMN_THREADS);
    if (verdict == FUSELN_VERDICT_OK)
        verdict =
            set_grid(plan, 1, 2 * divide_up(call->cols, FUSELN_REDUCE_COLS), FUSELN_REDUCE_COLS * FUSELN_REDUCE_LANES);
    return verdict;
}

enum fuseln_verdict fuseln_plan_make(const struct fuseln_call *call, const struct fuseln_device *device,
                                     struct fuseln_plan *ret_plan)
{
    enum fuseln_verdict verdict = check(call);
    if (verdict != FUSELN_VERDICT_OK)
        return verdict;
    struct fuseln_plan plan = {.width = row_width(call)};
    if (call->op == FUSELN_OP_DGAMMA) {
        verdict = plan_dgamma(call, device, &plan);
    } else if (call->op == FUSELN_OP_APPLY) {
        const int64_t chunks = divide_up(row_bytes(call), FUSELN_CHUNK_BYTES);
        plan.kernel[0] = &fuseln_variants[APPLY + call->dtype];
        verdict = set_grid(&plan, 0, divide_up(call->rows, FUSELN_COLUMN_THREADS / FUSELN_COLUMN_LANES(chunks)),
                           FUSELN_COLUMN_THREADS);
    } else {
        const bool narrow = plan.width < FUSELN_CHUNK_BYTES || parameters_unaligned(call);
        plan.kernel[0] = row_variant(call->op == FUSELN_OP_DX ? DX : FORWARD, call, narrow);
        const unsigned lanes = plan.kernel[0]->lanes;
        const unsigned threads = lanes > FUSELN_ROW_THREADS ? lanes : FUSELN_ROW_THREADS;
        verdict = set_grid(&plan, 0, divide_up(call->rows, threads / lanes), threads);
    }
    if (verdict == FUSELN_VERDICT_OK)
        *ret_plan = plan;
    return verdict;
}
