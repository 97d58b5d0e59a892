/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a launch as the host made it (grid, block, argument pointers) to a struct fuseln_call. Pure; no allocation.
 */
#ifndef FUSELN_DECODE_H
#define FUSELN_DECODE_H

#include <string.h>

#include "core/registry.h"

/* One launch of a recognised kernel, as a hook saw it. */
struct fuseln_launch {
    const struct fuseln_target *target;
    unsigned grid[3], block[3];
    void *stream;                 /* CUstream; 0 legacy default, 2 per-thread default */
    void **args;                  /* args[i] points to the value of parameter i */
    enum fuseln_verdict declined; /* OK, or why the hook already knows that the original must run */
    int runtime_device;           /* the runtime's current device; -1 where the boundary has none */
    int boundary;                 /* enum fuseln_boundary */
};

/* Complete a layout whose roles and types are known. Called once per target, at registration. */
void fuseln_decode_prepare(struct fuseln_layout *layout);

/*
 * Read the arguments. Returns OK, NULLPTR (no argument array), or GEOMETRY (the grid is not the one that the
 * target's rows and cols demand: then the meaning of the arguments is not proven). *ret_call means nothing unless OK.
 */
enum fuseln_verdict fuseln_decode(const struct fuseln_launch *launch, struct fuseln_call *ret_call);

/*
 * Its parts, inline for launches like an earlier one (repeat.h). False if the host gave no address for an argument.
 * Every row of the table has cols; where it lacks rows, the grid has one block for each; where it lacks eps it is 0.
 */
static inline int64_t fuseln_decode_integer(const void *value, int type)
{
    int64_t i64;
    int32_t i32;

    if (type == FUSELN_ARG_I64) {
        memcpy(&i64, value, sizeof(i64));
        return i64;
    }
    memcpy(&i32, value, sizeof(i32));
    return i32;
}

static inline bool fuseln_decode_shape(const struct fuseln_launch *launch, int64_t *ret_rows, int64_t *ret_cols)
{
    const struct fuseln_layout *const layout = &launch->target->layout;
    void **const args = launch->args;

    if (!args[layout->cols])
        return false;
    *ret_cols = fuseln_decode_integer(args[layout->cols], layout->type[layout->cols]);
    *ret_rows = launch->grid[0];
    if (layout->rows >= 0) {
        if (!args[layout->rows])
            return false;
        *ret_rows = fuseln_decode_integer(args[layout->rows], layout->type[layout->rows]);
    }
    return true;
}

static inline bool fuseln_decode_eps(const struct fuseln_launch *launch, double *ret_eps)
{
    const long at = launch->target->layout.eps;
    float f32;

    *ret_eps = 0;
    if (at < 0)
        return true;
    if (!launch->args[at])
        return false;
    if (launch->target->layout.type[at] == FUSELN_ARG_F64) {
        memcpy(ret_eps, launch->args[at], sizeof(*ret_eps));
        return true;
    }
    memcpy(&f32, launch->args[at], sizeof(f32));
    *ret_eps = f32;
    return true;
}

static inline __attribute__((always_inline)) bool fuseln_decode_first_pointers(const struct fuseln_launch *launch,
                                                                               unsigned count, struct fuseln_call *call,
                                                                               uint64_t *ret_low_bits)
{
    const struct fuseln_pointer *at = launch->target->layout.pointers;
    void **const args = launch->args;
    uint64_t low_bits = 0;

#pragma GCC unroll 6
    for (unsigned i = 0; i < count; i++, at++) {
        const void *value = args[at->argument];
        uint64_t pointer;
        if (!value)
            return false;
        memcpy(&pointer, value, sizeof(pointer));
        memcpy((char *)call + at->field, &pointer, sizeof(pointer));
        pointer += pointer == 0; /* odd, as no tensor that is replaced: told from an aligned one */
        low_bits = (uint64_t)(((unsigned __int128)pointer << 64 | low_bits) >> 4); /* shrd: one instruction */
    }
    *ret_low_bits = low_bits;
    return true;
}

/* Those that the target has no argument for stay as they are. Most have six; that loop is unrolled. */
static inline __attribute__((always_inline)) bool
fuseln_decode_pointers(const struct fuseln_launch *launch, struct fuseln_call *call, uint64_t *ret_low_bits)
{
    const unsigned count = launch->target->layout.pointer_count;
    return count == 6 ? fuseln_decode_first_pointers(launch, 6, call, ret_low_bits)
                      : fuseln_decode_first_pointers(launch, count, call, ret_low_bits);
}

/* Which pointers of a decoded call are null, as a set of roles: bit r for the argument of enum fuseln_role r. */
unsigned fuseln_decode_null_roles(const struct fuseln_layout *layout, const struct fuseln_call *call);

#endif
