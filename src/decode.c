/*
 * See decode.h. Which argument is what comes from the target's layout (parsed from the words of its row in
 * hooks/targets.c); this file only follows it.
 */
#include "decode.h"

#include <string.h>

/* Where each pointer role lands in struct fuseln_call. */
static const unsigned char pointer_fields[FUSELN_ROLE_COUNT] = {
    [FUSELN_ROLE_X] = offsetof(struct fuseln_call, x),
    [FUSELN_ROLE_DY] = offsetof(struct fuseln_call, dy),
    [FUSELN_ROLE_GAMMA] = offsetof(struct fuseln_call, gamma),
    [FUSELN_ROLE_BETA] = offsetof(struct fuseln_call, beta),
    [FUSELN_ROLE_MEAN] = offsetof(struct fuseln_call, mean),
    [FUSELN_ROLE_RSTD] = offsetof(struct fuseln_call, rstd),
    [FUSELN_ROLE_Y] = offsetof(struct fuseln_call, y),
    [FUSELN_ROLE_DX] = offsetof(struct fuseln_call, dx),
    [FUSELN_ROLE_DGAMMA] = offsetof(struct fuseln_call, dgamma),
    [FUSELN_ROLE_DBETA] = offsetof(struct fuseln_call, dbeta),
};

void fuseln_decode_prepare(struct fuseln_layout *layout)
{
    layout->pointer_count = 0;
    layout->rows = layout->cols = layout->eps = -1;
    for (unsigned i = 0; i < layout->count; i++) {
        const enum fuseln_role role = (enum fuseln_role)layout->role[i];
        if (layout->type[i] == FUSELN_ARG_PTR) {
            layout->pointers[layout->pointer_count].argument = (unsigned char)i;
            layout->pointers[layout->pointer_count++].field = pointer_fields[role];
        } else if (role == FUSELN_ROLE_ROWS) {
            layout->rows = i;
        } else if (role == FUSELN_ROLE_COLS) {
            layout->cols = i;
        } else if (role == FUSELN_ROLE_EPS) {
            layout->eps = i;
        }
    }
}

static inline int64_t read_integer(const void *value, int type)
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

static inline double read_real(const void *value, int type)
{
    double f64;
    float f32;

    if (type == FUSELN_ARG_F64) {
        memcpy(&f64, value, sizeof(f64));
        return f64;
    }
    memcpy(&f32, value, sizeof(f32));
    return f32;
}

/* False if the host gave no address for one of them. Every row of the table has cols; where it lacks rows, the grid has
 * one block for each. */
static inline bool take_scalars(const struct fuseln_layout *layout, const struct fuseln_launch *launch,
                                struct fuseln_call *call)
{
    void **const args = launch->args;

    if (!args[layout->cols])
        return false;
    call->cols = read_integer(args[layout->cols], layout->type[layout->cols]);
    call->rows = launch->grid[0];
    if (layout->rows >= 0) {
        if (!args[layout->rows])
            return false;
        call->rows = read_integer(args[layout->rows], layout->type[layout->rows]);
    }
    call->eps = 0;
    if (layout->eps >= 0) {
        if (!args[layout->eps])
            return false;
        call->eps = read_real(args[layout->eps], layout->type[layout->eps]);
    }
    return true;
}

/* False if the host gave no address for one of them. What the target has no argument for is NULL. */
static inline bool take_pointers(const struct fuseln_layout *layout, void **args, struct fuseln_call *call)
{
    uint64_t low_bits = 0;

    call->x = call->dy = call->gamma = call->beta = NULL;
    call->mean = call->rstd = call->y = call->dx = call->dgamma = call->dbeta = NULL;
    for (const struct fuseln_pointer *at = layout->pointers, *end = at + layout->pointer_count; at != end; at++) {
        const void *value = args[at->argument];
        uint64_t pointer;
        if (!value)
            return false;
        memcpy(&pointer, value, sizeof(pointer));
        memcpy((char *)call + at->field, &pointer, sizeof(pointer));
        pointer += pointer == 0; /* odd, as no tensor that is replaced: told from an aligned one */
        low_bits = (uint64_t)(((unsigned __int128)pointer << 64 | low_bits) >> 4); /* shrd: one instruction */
    }
    call->low_bits = low_bits;
    return true;
}

/* A name is known for one geometry. */
static inline bool take_geometry(const struct fuseln_layout *layout, const struct fuseln_launch *launch,
                                 struct fuseln_call *call)
{
    const unsigned per_block = layout->cols_per_block;

    if (launch->grid[2] != 1 || (launch->grid[1] != 1 && !layout->partial))
        return false;
    call->out_rows = launch->grid[1];
    if (per_block)
        return call->cols <= 0 || (uint64_t)launch->grid[0] == ((uint64_t)call->cols + per_block - 1) / per_block;
    return call->rows == (int64_t)launch->grid[0];
}

enum fuseln_verdict fuseln_decode(const struct fuseln_launch *launch, struct fuseln_call *ret_call)
{
    const struct fuseln_target *target = launch->target;

    ret_call->op = target->op;
    ret_call->dtype = target->dtype;
    ret_call->rms = target->rms;
    if (!launch->args || !take_scalars(&target->layout, launch, ret_call) ||
        !take_pointers(&target->layout, launch->args, ret_call))
        return FUSELN_VERDICT_NULLPTR;
    return take_geometry(&target->layout, launch, ret_call) ? FUSELN_VERDICT_OK : FUSELN_VERDICT_GEOMETRY;
}

unsigned fuseln_decode_null_roles(const struct fuseln_layout *layout, const struct fuseln_call *call)
{
    unsigned roles = 0;

    for (unsigned i = 0; i < layout->pointer_count; i++) {
        void *pointer;
        memcpy(&pointer, (const char *)call + layout->pointers[i].field, sizeof(pointer));
        if (!pointer)
            roles |= 1u << layout->role[layout->pointers[i].argument];
    }
    return roles;
}
