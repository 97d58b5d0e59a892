/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a launch of a kernel takes that its context knows, inline: nearly all of the program's come by here, from
 * src/core/repeat.h. The rest of fuseln_kernel_launch is in launch.c.
 */
#ifndef FUSELN_ISSUE_H
#define FUSELN_ISSUE_H

#include "kernels/host/context.h"

/* Where the context keeps the variant's function. */
static inline _Atomic uintptr_t *fuseln_function_slot(struct fuseln_context *context,
                                                      const struct fuseln_variant *variant)
{
    return &context->functions[fuseln_variant_index(variant)];
}

/* What the operation shall neither read nor write, whatever the host passed, becomes NULL. */
void fuseln_call_restrict(struct fuseln_call *call);

/* Launch kernel[which] of the plan, params its one argument. */
static inline __attribute__((always_inline)) CUresult fuseln_issue(const struct fuseln_driver *driver,
                                                                   CUfunction function, const struct fuseln_plan *plan,
                                                                   int which, CUstream stream, void *params)
{
    void *arguments[] = {params};
    return driver->launch_kernel(function, plan->grid[which], 1, 1, plan->block[which], 1, 1, plan->smem_bytes[which],
                                 stream, arguments, NULL);
}
/* It was refused: remembers it if it always will be. Returns CONTEXT or REFUSED. */
enum fuseln_verdict fuseln_kernel_refused(struct fuseln_context *context, const struct fuseln_plan *plan, int which,
                                          CUstream stream, CUresult result) __attribute__((cold));

/* The id of the current context, as struct fuseln_context keeps it; 0 where none is known to be current. One driver
 * query. */
static inline uint64_t fuseln_context_id(void)
{
    const struct fuseln_driver *driver = fuseln_driver_known();
    unsigned long long id;
    return driver && driver->ctx_get_id(NULL, &id) == CUDA_SUCCESS ? id + 1 : 0;
}

/* fuseln_slab_take for a stream of which nothing was asked yet. OK, CAPTURE, CONTEXT (it has no id) or SCRATCH. Two
 * driver queries. */
static inline enum fuseln_verdict fuseln_slab_get(struct fuseln_context *context, void *stream, size_t bytes,
                                                  size_t limit, struct fuseln_slab **ret_slab)
{
    const struct fuseln_driver *driver = fuseln_driver_known();
    unsigned long long id;
    if (fuseln_driver_capturing(driver, (CUstream)stream))
        return FUSELN_VERDICT_CAPTURE;
    if (driver->stream_get_id((CUstream)stream, &id) != CUDA_SUCCESS)
        return FUSELN_VERDICT_CONTEXT;
    *ret_slab = fuseln_slab_take(context, id, bytes, limit);
    return *ret_slab ? FUSELN_VERDICT_OK : FUSELN_VERDICT_SCRATCH;
}

#endif
