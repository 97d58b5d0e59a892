/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See decode.h. Which argument is what comes from the target's layout (parsed from the words of its row in
 * hooks/targets); this file only follows it.
 */
#include "core/decode.h"

#include <string.h>

/* A pointer's role is its number in a call. */
#define IS_IN_ORDER(role, member) \
    _Static_assert(FUSELN_ROLE_##role * sizeof(void *) == offsetof(struct fuseln_call, member) - POINTERS, #member)
enum { POINTERS = offsetof(struct fuseln_call, x), GRID_MAX = 65535 };
IS_IN_ORDER(DY, dy);
IS_IN_ORDER(MEAN, mean);
IS_IN_ORDER(DX, dx);
IS_IN_ORDER(DBETA, dbeta);
IS_IN_ORDER(SUM, sum);

/* Of a type that no kernel of PyTorch's has. */
static __attribute__((noinline)) int64_t read_other(const struct fuseln_layout *layout, void **args, int at)
{
    int64_t i64;
    uint32_t u32;

    switch (layout->type[at]) {
    case FUSELN_ARG_BOOL:
        return *(const unsigned char *)args[at];
    case FUSELN_ARG_U32:
        memcpy(&u32, args[at], sizeof u32);
        return u32;
    default:
        memcpy(&i64, args[at], sizeof i64);
        return i64;
    }
}

static bool read_integer(const struct fuseln_layout *layout, void **args, int at, int64_t *ret_value)
{
    int32_t i32;

    if (!args[at])
        return false;
    if (layout->type[at] == FUSELN_ARG_I32) {
        memcpy(&i32, args[at], sizeof i32);
        *ret_value = i32;
        return true;
    }
    if (layout->type[at] != FUSELN_ARG_I64) {
        *ret_value = read_other(layout, args, at);
        return true;
    }
    memcpy(ret_value, args[at], sizeof *ret_value);
    return true;
}

static bool read_shape(const struct fuseln_launch *launch, struct fuseln_call *call)
{
    const struct fuseln_layout *layout = &launch->target->layout;

    if (!read_integer(layout, launch->args, layout->cols, &call->cols))
        return false;
    if (layout->rows >= 0)
        return read_integer(layout, launch->args, layout->rows, &call->rows);
    call->rows = launch->grid[0];
    return true;
}

static bool read_eps(const struct fuseln_layout *layout, void **args, struct fuseln_call *call)
{
    const int at = layout->eps;
    float f32;

    if (at < 0) {
        call->eps = layout->eps_value;
        return true;
    }
    if (!args[at])
        return false;
    if (layout->type[at] == FUSELN_ARG_F64) {
        memcpy(&call->eps, args[at], sizeof call->eps);
        return true;
    }
    memcpy(&f32, args[at], sizeof f32);
    call->eps = f32;
    return true;
}

static bool read_pointers(const struct fuseln_layout *layout, void **args, struct fuseln_call *call)
{
    const struct fuseln_pointer *const end = layout->pointers + layout->pointer_count;
    unsigned nulls = 0, low_bits = 0;

    for (const struct fuseln_pointer *at = layout->pointers; at != end; at++) {
        void *const *argument = args[at->argument], *pointer;
        if (!argument)
            return false;
        pointer = *argument;
        memcpy((char *)call + POINTERS + at->role * sizeof pointer, &pointer, sizeof pointer);
        low_bits |= (unsigned)(uintptr_t)pointer;
        if (!pointer)
            nulls |= 1u << at->role;
    }
    call->low_bits = low_bits % 16;
    call->nulls = nulls;
    return true;
}

/* A name is known for one geometry. Inline in both ways through fuseln_decode: a launch of PyTorch's pays no call. */
static inline __attribute__((always_inline)) bool read_geometry(const struct fuseln_launch *launch,
                                                                struct fuseln_call *call)
{
    const struct fuseln_layout *layout = &launch->target->layout;
    const unsigned per_block = layout->cols_per_block;

    if (launch->grid[2] != 1 || launch->grid[1] - 1 >= (layout->partial ? GRID_MAX : 1u)) /* 0 is none of them */
        return false;
    call->out_rows = launch->grid[1];
    if (per_block) /* grid.x = cols / per_block, rounded up */
        return call->cols <= 0 || (uint64_t)launch->grid[0] * per_block - (uint64_t)call->cols < per_block;
    return call->rows == (int64_t)launch->grid[0];
}

/* ---- What PyTorch's kernels do not have ---- */

static bool read_other_geometry(const struct fuseln_launch *launch, struct fuseln_call *call)
{
    const unsigned *grid = launch->grid;

    call->out_rows = 1;
    switch (launch->target->layout.rows_from) {
    case FUSELN_ROWS_GRID_X_BLOCK_Y:
        call->rows = (int64_t)grid[0] * launch->block[1];
        return grid[1] == 1 && grid[2] == 1;
    case FUSELN_ROWS_GRID:
        call->rows = (int64_t)((uint64_t)grid[0] * grid[1] * grid[2]);
        return grid[1] <= GRID_MAX && grid[2] <= GRID_MAX;
    case FUSELN_ROWS_LOOP:
        return grid[0] == 1 && grid[2] == 1 && grid[1] == (call->rows < GRID_MAX ? call->rows : GRID_MAX);
    default:
        return read_geometry(launch, call);
    }
}

static bool is_met(const struct fuseln_require *require, int64_t value, const struct fuseln_launch *launch,
                   const struct fuseln_call *call)
{
    const int64_t factors[FUSELN_FACTOR_COUNT] = {call->rows, call->cols, launch->grid[0], launch->grid[1]};
    int64_t product = 1;

    if (!require->factors)
        return require->low <= value && value <= require->high;
    for (int i = 0; i < FUSELN_FACTOR_COUNT; i++)
        if (require->factors >> i & 1 && __builtin_mul_overflow(product, factors[i], &product))
            return false;
    return value == product;
}

static bool read_gamma_add(const struct fuseln_layout *layout, void **args, struct fuseln_call *call)
{
    int64_t integer = 0;

    call->gamma_add = layout->gamma_add;
    if (layout->add < 0)
        return true;
    if (!args[layout->add])
        return false;
    if (layout->type[layout->add] == FUSELN_ARG_F32) {
        memcpy(&call->gamma_add, args[layout->add], sizeof call->gamma_add);
        return true;
    }
    const bool read = read_integer(layout, args, layout->add, &integer);
    call->gamma_add = (float)integer;
    return read;
}

/* It has neither mean nor dbeta, whatever its kernel gets for them. A flag that is neither 0 nor 1 may mean anything.
 */
static enum fuseln_verdict read_rms(const struct fuseln_layout *layout, void **args, struct fuseln_call *call)
{
    int64_t rms = 0;

    if (layout->rms >= 0 && !read_integer(layout, args, layout->rms, &rms))
        return FUSELN_VERDICT_NULLPTR;
    if (rms != 0 && rms != 1)
        return FUSELN_VERDICT_REQUIRE;
    if (rms) {
        call->rms = 1;
        call->mean = call->dbeta = NULL;
        call->nulls = (call->nulls & ~(1u << FUSELN_ROLE_MEAN | 1u << FUSELN_ROLE_DBETA)) | 1u << FUSELN_ROLE_RMS;
    }
    return FUSELN_VERDICT_OK;
}

/* A user's row may have named the wrong argument. Backward has no eps. */
static bool eps_is_usual(const struct fuseln_call *call)
{
    const bool has_eps = call->op == FUSELN_OP_FORWARD || call->op == FUSELN_OP_MOMENTS;
    return !has_eps || (call->eps >= FUSELN_EPS_LEAST && call->eps <= FUSELN_EPS_MOST);
}

/* A gamma_add, or that it is RMS norm, makes a site of its own: another value means something else. */
static __attribute__((noinline)) enum fuseln_verdict read_rest(const struct fuseln_launch *launch,
                                                               struct fuseln_call *call)
{
    const struct fuseln_layout *layout = &launch->target->layout;

    if (!read_gamma_add(layout, launch->args, call))
        return FUSELN_VERDICT_NULLPTR;
    const enum fuseln_verdict rms = read_rms(layout, launch->args, call);
    if (rms != FUSELN_VERDICT_OK)
        return rms;
    if (launch->target->user && !eps_is_usual(call))
        return FUSELN_VERDICT_REQUIRE;
    call->rounding = layout->rounding;
    if (call->gamma_add != 0)
        call->nulls |= 1u << FUSELN_ROLE_GAMMA_ADD;
    if (!read_other_geometry(launch, call))
        return FUSELN_VERDICT_GEOMETRY;
    if (call->sum && call->sum == call->y) /* x is its own residual, in place: the original decides which one stays */
        return FUSELN_VERDICT_REQUIRE;
    unsigned flags = 0; /* of several values each is a site of its own; words.c sees that no two are the same here */
    for (int i = 0; i < layout->require_count; i++) {
        int64_t value;
        if (!read_integer(layout, launch->args, layout->require[i].argument, &value))
            return FUSELN_VERDICT_NULLPTR;
        if (!is_met(&layout->require[i], value, launch, call))
            return FUSELN_VERDICT_REQUIRE;
        if (!layout->require[i].factors)
            flags = flags * (unsigned)(layout->require[i].high - layout->require[i].low + 1) +
                    (unsigned)(value - layout->require[i].low);
    }
    call->nulls |= flags << FUSELN_ROLE_COUNT;
    return FUSELN_VERDICT_OK;
}

enum fuseln_verdict fuseln_decode(const struct fuseln_launch *launch, struct fuseln_call *ret_call)
{
    const struct fuseln_target *target = launch->target;

    ret_call->op = target->op;
    ret_call->dtype = target->dtype;
    ret_call->x = ret_call->dy = ret_call->gamma = ret_call->beta = NULL;
    ret_call->mean = ret_call->rstd = ret_call->y = ret_call->dx = ret_call->dgamma = ret_call->dbeta = NULL;
    ret_call->residual = ret_call->bias = ret_call->sum = NULL;
    ret_call->gamma_add = 0;
    ret_call->rounding = 0;
    ret_call->rms = target->rms;
    if (!launch->args || !read_shape(launch, ret_call) || !read_eps(&target->layout, launch->args, ret_call) ||
        !read_pointers(&target->layout, launch->args, ret_call))
        return FUSELN_VERDICT_NULLPTR;
    if (!target->layout.plain)
        return read_rest(launch, ret_call);
    return read_geometry(launch, ret_call) ? FUSELN_VERDICT_OK : FUSELN_VERDICT_GEOMETRY;
}
