/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host knows of each compiled kernel: the rows that plan.c expands from schedules.h. Constant data, no state.
 */
#ifndef FUSELN_VARIANT_H
#define FUSELN_VARIANT_H

#include "kernels/host/device.h"
#include "kernels/schedules.h"

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
    bool unaligned;
    unsigned char storage;
    unsigned short lanes, chunks; /* the schedule, as in schedules.h */
};

extern const struct fuseln_variant fuseln_variants[FUSELN_VARIANT_COUNT];
static inline size_t fuseln_variant_index(const struct fuseln_variant *variant)
{
    return (size_t)(variant - fuseln_variants);
}
const struct fuseln_variant *fuseln_variant_named(const char *name); /* of this name, which is in the table */

#endif
