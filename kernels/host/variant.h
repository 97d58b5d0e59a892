/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host knows of each compiled kernel: the rows that plan.c expands from schedules.h. Constant data, no state.
 */
#ifndef FUSELN_VARIANT_H
#define FUSELN_VARIANT_H

#include "kernels/host/device.h"
#include "kernels/schedules.h"

#include <string.h>

enum fuseln_module {
#define X(name) FUSELN_MODULE_##name,
    FUSELN_MODULES(X)
#undef X
        FUSELN_MODULE_COUNT
};

enum {
#define COUNT(...) +1
    FUSELN_VARIANT_COUNT = 0 FUSELN_VARIANTS(COUNT)
#undef COUNT
};

struct fuseln_variant {
    const char *name; /* of the kernel in its image */
    unsigned char module, dtype;
    bool unaligned : 1;
    unsigned char storage : 2, rows, blocks, chunks; /* as in schedules.h */
    unsigned short lanes;
};
_Static_assert(sizeof(struct fuseln_variant) == 16, "each launch asks for a variant's index: a shift, no division");

extern const struct fuseln_variant fuseln_variants[FUSELN_VARIANT_COUNT];
static inline size_t fuseln_variant_index(const struct fuseln_variant *variant)
{
    return (size_t)(variant - fuseln_variants);
}
const struct fuseln_variant *fuseln_variant_named(const char *name); /* of this name, which is in the table */

/* A part of the plan, from partial_rows to stages, is a part of the parameters, too. */
enum {
    FUSELN_PLANNED =
        offsetof(struct fuseln_plan, stages) + sizeof(unsigned) - offsetof(struct fuseln_plan, partial_rows)
};
#define SAME_PLACE(member)                                                                                          \
    _Static_assert(offsetof(struct fuseln_plan, member) - offsetof(struct fuseln_plan, partial_rows) ==             \
                       offsetof(struct fuseln_ln_params, member) - offsetof(struct fuseln_ln_params, partial_rows), \
                   #member)
SAME_PLACE(parts);
SAME_PLACE(inverse_cols);
SAME_PLACE(inverse_cols_f);
SAME_PLACE(width);
SAME_PLACE(log_lanes);
SAME_PLACE(stages);
#undef SAME_PLACE

/* Completes the argument of the plan's kernels, which begins with the call. Not member by member: that takes three
 * instructions more, and a launch would miss its budget (tools/budgets.sh matched). */
static inline void fuseln_params_plan(struct fuseln_ln_params *params, const struct fuseln_plan *plan, void *partials)
{
    params->partials = partials;
    params->eps_f = (float)params->eps;
    memcpy(&params->partial_rows, &plan->partial_rows, FUSELN_PLANNED);
}

#endif
