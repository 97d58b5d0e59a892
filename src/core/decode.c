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
enum { POINTERS = offsetof(struct fuseln_call, x) };
IS_IN_ORDER(DY, dy);
IS_IN_ORDER(MEAN, mean);
IS_IN_ORDER(DX, dx);
IS_IN_ORDER(DBETA, dbeta);

void fuseln_decode_prepare(struct fuseln_layout *layout)
{
    layout->pointer_count = 0;
    layout->rows = layout->cols = layout->eps = -1;
    for (int i = 0; i < layout->count; i++) {
        const unsigned char role = layout->role[i];
        if (role <= FUSELN_ROLE_DBETA)
            layout->pointers[layout->pointer_count++] = (struct fuseln_pointer){(unsigned char)i, role};
        else if (role == FUSELN_ROLE_ROWS)
            layout->rows = i;
        else if (role == FUSELN_ROLE_COLS)
            layout->cols = i;
        else if (role == FUSELN_ROLE_EPS)
            layout->eps = i;
    }
}

static bool read_integer(const struct fuseln_layout *layout, void **args, int at, int64_t *ret_value)
{
    int32_t i32;

    if (!args[at])
        return false;
    if (layout->type[at] == FUSELN_ARG_I64) {
        memcpy(ret_value, args[at], sizeof *ret_value);
        return true;
    }
    memcpy(&i32, args[at], sizeof i32);
    *ret_value = i32;
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

    call->eps = 0;
    if (at < 0)
        return true;
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

/* A name is known for one geometry. */
static bool read_geometry(const struct fuseln_launch *launch, struct fuseln_call *call)
{
    const struct fuseln_layout *layout = &launch->target->layout;
    const unsigned per_block = layout->cols_per_block;

    if (launch->grid[2] != 1 || (launch->grid[1] != 1 && !layout->partial))
        return false;
    call->out_rows = launch->grid[1];
    if (per_block) /* grid.x = cols / per_block, rounded up */
        return call->cols <= 0 || (uint64_t)launch->grid[0] * per_block - (uint64_t)call->cols < per_block;
    return call->rows == (int64_t)launch->grid[0];
}

enum fuseln_verdict fuseln_decode(const struct fuseln_launch *launch, struct fuseln_call *ret_call)
{
    const struct fuseln_target *target = launch->target;

    ret_call->op = target->op;
    ret_call->dtype = target->dtype;
    ret_call->rms = target->rms;
    ret_call->x = ret_call->dy = ret_call->gamma = ret_call->beta = NULL;
    ret_call->mean = ret_call->rstd = ret_call->y = ret_call->dx = ret_call->dgamma = ret_call->dbeta = NULL;
    ret_call->residual = ret_call->bias = ret_call->sum = NULL;
    ret_call->gamma_add = 0;
    ret_call->round_sum = 0;
    if (!launch->args || !read_shape(launch, ret_call) || !read_eps(&target->layout, launch->args, ret_call) ||
        !read_pointers(&target->layout, launch->args, ret_call))
        return FUSELN_VERDICT_NULLPTR;
    return read_geometry(launch, ret_call) ? FUSELN_VERDICT_OK : FUSELN_VERDICT_GEOMETRY;
}
