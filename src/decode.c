/*
 * See decode.h. Which argument is what comes from the target's layout (parsed from the words of its row in
 * hooks/targets.c); this file only follows it.
 */
#include "decode.h"

#include <string.h>

/* Where each pointer role lands in struct fuseln_call. */
static const size_t pointer_fields[FUSELN_ROLE_COUNT] = {
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

static int64_t integer_at(const void *value, enum fuseln_arg_type type)
{
    int32_t i32;
    uint32_t u32;
    int64_t i64;

    switch (type) {
    case FUSELN_ARG_I32:
        memcpy(&i32, value, sizeof(i32));
        return i32;
    case FUSELN_ARG_U32:
        memcpy(&u32, value, sizeof(u32));
        return u32;
    default:
        memcpy(&i64, value, sizeof(i64));
        return i64;
    }
}

static double real_at(const void *value, enum fuseln_arg_type type)
{
    float f32;
    double f64;

    if (type == FUSELN_ARG_F32) {
        memcpy(&f32, value, sizeof(f32));
        return f32;
    }
    memcpy(&f64, value, sizeof(f64));
    return f64;
}

static void read_argument(enum fuseln_role role, enum fuseln_arg_type type, const void *value, struct fuseln_call *call)
{
    switch (role) {
    case FUSELN_ROLE_ROWS:
        call->rows = integer_at(value, type);
        break;
    case FUSELN_ROLE_COLS:
        call->cols = integer_at(value, type);
        break;
    case FUSELN_ROLE_EPS:
        call->eps = real_at(value, type);
        break;
    case FUSELN_ROLE_IGNORE:
        break;
    default:
        memcpy((char *)call + pointer_fields[role], value, sizeof(void *));
    }
}

/* A name is known for one geometry. Rows that come from the grid are set here. */
static bool take_geometry(const struct fuseln_launch *launch, struct fuseln_call *call)
{
    const struct fuseln_layout *layout = &launch->target->layout;
    const unsigned per_block = layout->cols_per_block;

    if (launch->grid[2] != 1 || (launch->grid[1] != 1 && !layout->partial))
        return false;
    call->out_rows = launch->grid[1];
    if (per_block)
        return call->cols <= 0 || (uint64_t)launch->grid[0] == ((uint64_t)call->cols + per_block - 1) / per_block;
    if (call->rows == INT64_MIN)
        call->rows = launch->grid[0];
    return call->rows == (int64_t)launch->grid[0];
}

enum fuseln_verdict fuseln_decode(const struct fuseln_launch *launch, struct fuseln_call *ret_call)
{
    const struct fuseln_target *target = launch->target;
    const struct fuseln_layout *layout = &target->layout;
    struct fuseln_call call = {.op = target->op, .dtype = target->dtype, .rms = target->rms, .rows = INT64_MIN};

    if (!launch->args)
        return FUSELN_VERDICT_NULLPTR;
    for (unsigned i = 0; i < layout->count; i++) {
        if (!launch->args[i])
            return FUSELN_VERDICT_NULLPTR;
        read_argument(layout->role[i], layout->type[i], launch->args[i], &call);
    }
    if (!take_geometry(launch, &call))
        return FUSELN_VERDICT_GEOMETRY;
    *ret_call = call;
    return FUSELN_VERDICT_OK;
}

unsigned fuseln_decode_nulls(const struct fuseln_launch *launch)
{
    const struct fuseln_layout *layout = &launch->target->layout;
    unsigned nulls = 0;

    for (unsigned i = 0; launch->args && i < layout->count; i++) {
        void *pointer;
        if (layout->type[i] != FUSELN_ARG_PTR || !launch->args[i])
            continue;
        memcpy(&pointer, launch->args[i], sizeof(pointer));
        nulls |= pointer ? 0 : 1u << layout->role[i];
    }
    return nulls;
}
