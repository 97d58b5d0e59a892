/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See decode.h. Which argument is what comes from the target's layout (parsed from the words of its row in
 * hooks/targets/match.c); this file only follows it.
 */
#include "core/decode.h"

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
    ret_call->x = ret_call->dy = ret_call->gamma = ret_call->beta = NULL;
    ret_call->mean = ret_call->rstd = ret_call->y = ret_call->dx = ret_call->dgamma = ret_call->dbeta = NULL;
    if (!launch->args || !fuseln_decode_shape(launch, &ret_call->rows, &ret_call->cols) ||
        !fuseln_decode_eps(launch, &ret_call->eps) || !fuseln_decode_pointers(launch, ret_call, &ret_call->low_bits))
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
