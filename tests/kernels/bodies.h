/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernels as the CPU runs them (tests/softgpu/executor.h), their parameters, and a launch of a plan. For the test
 * programs of this folder; no state.
 */
#ifndef FUSELN_TEST_BODIES_H
#define FUSELN_TEST_BODIES_H

#include "kernels/host/variant.h"
#include "kernels/params.h"
#include "executor.h"

#define X(name, ...)                               \
    void name(struct fuseln_ln_params p);          \
    static void run_##name(const void *p)          \
    {                                              \
        name(*(const struct fuseln_ln_params *)p); \
    }
FUSELN_NORM_VARIANTS(X)
#undef X
static void (*const bodies[])(const void *) = {
#define X(name, ...) run_##name,
    FUSELN_NORM_VARIANTS(X)
#undef X
};

/* What kernels/host/launch.c passes, member by member: the operation gets only what it may read or write. */
static struct fuseln_ln_params params_of(const struct fuseln_call *call, const struct fuseln_plan *plan, void *partials)
{
    return (struct fuseln_ln_params){.x = call->x,
                                     .dy = call->dy,
                                     .gamma = call->gamma,
                                     .beta = call->beta,
                                     .mean = call->rms ? NULL : call->mean,
                                     .rstd = call->rstd,
                                     .y = call->op == FUSELN_OP_MOMENTS ? NULL : call->y,
                                     .dx = call->op == FUSELN_OP_DGAMMA ? NULL : call->dx,
                                     .dgamma = call->dgamma,
                                     .dbeta = call->dbeta,
                                     .partials = partials,
                                     .rows = call->rows,
                                     .cols = call->cols,
                                     .partial_rows = plan->partial_rows,
                                     .parts = plan->parts,
                                     .out_rows = call->out_rows,
                                     .residual = call->residual,
                                     .bias = call->bias,
                                     .sum = call->sum,
                                     .gamma_add = call->gamma_add,
                                     .rms = call->rms,
                                     .rounding = call->rounding,
                                     .eps = call->eps,
                                     .inverse_cols = plan->inverse_cols,
                                     .eps_f = (float)call->eps,
                                     .inverse_cols_f = plan->inverse_cols_f,
                                     .width = (int)plan->width,
                                     .log_lanes = (int)plan->log_lanes,
                                     .stages = (int)plan->stages};
}

/* Kernel `which` of the plan; NULL, or what the executor found wrong. */
static const char *body_run(const struct fuseln_plan *plan, int which, const struct fuseln_ln_params *p)
{
    const struct fuseln_variant *variant = plan->kernel[which];
    const struct softgpu_grid grid = {.kernel = variant->name,
                                      .grid_dim = {plan->grid[which], 1, 1},
                                      .block_dim = {plan->block[which], 1, 1},
                                      .smem_bytes = plan->smem_bytes[which],
                                      .dependent = which == 1}; /* as on a device that can */
    return softgpu_execute(&grid, bodies[fuseln_variant_index(variant)], p);
}

#endif
