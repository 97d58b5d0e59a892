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

/* The argument of the plan's kernels. A test's call may have all of a layer's tensors: as decoding would, this leaves
 * out what the operation must not touch. */
static struct fuseln_ln_params params_of(const struct fuseln_call *call, const struct fuseln_plan *plan, void *partials)
{
    struct fuseln_ln_params params = call->params;
    params.mean = call->rms ? NULL : call->mean;
    params.y = call->op == FUSELN_OP_MOMENTS ? NULL : call->y;
    params.dx = call->op == FUSELN_OP_DGAMMA ? NULL : call->dx;
    fuseln_params_plan(&params, plan, partials);
    return params;
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
