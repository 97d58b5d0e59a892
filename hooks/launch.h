/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the launch hooks of both boundaries share: the rules of a launch that are the same for the runtime and the
 * driver. Types after driver_types.h and cuda.h, which agree.
 */
#ifndef FUSELN_LAUNCH_H
#define FUSELN_LAUNCH_H

#include "core/pairing.h"
#include "core/record.h"

struct fuseln_attribute { /* cudaLaunchAttribute, CUlaunchAttribute */
    int id;
    char pad[4];
    char value[64];
};
_Static_assert(sizeof(struct fuseln_attribute) == 72, "CUlaunchAttribute");

/*
 * Is this a launch that is not ours and changes nothing that is pending, as nearly all are? It is only to be counted
 * then (fuseln_record_launch_joined). Else the hook has to look closer.
 */
static inline __attribute__((always_inline)) bool passes(const void *function)
{
    return __builtin_expect(!fuseln_registry_may_hold(function), 1) && fuseln_thread_counter.joined &&
           !fuseln_pairing_any();
}

/* Programmatic serialisation only lets a kernel start earlier: dropping it is safe. Everything else is not ours. */
static inline enum fuseln_verdict check_attributes(const struct fuseln_attribute *attributes, unsigned count)
{
    enum { IGNORE = 0, PROGRAMMATIC_SERIALIZATION = 6 };
    for (unsigned i = 0; attributes && i < count; i++)
        if (attributes[i].id != IGNORE && attributes[i].id != PROGRAMMATIC_SERIALIZATION)
            return FUSELN_VERDICT_ATTRIBUTE;
    return FUSELN_VERDICT_OK;
}

/* Through a _ptsz entry point, stream 0 is the per-thread default stream. */
static inline void *per_thread(void *stream)
{
    return stream ? stream : (void *)2;
}

#endif
