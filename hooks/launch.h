/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a launch, for both boundaries: a hook fills one struct and calls one function, which finds what is
 * launched, counts it, runs the pipeline, launches the original unless ours was launched, and ends what was begun.
 * Types after driver_types.h and cuda.h, which agree.
 */
#ifndef FUSELN_LAUNCH_H
#define FUSELN_LAUNCH_H

#include "core/decode.h"
#include "core/pairing.h"
#include "core/registry.h"
#include "hooks/names.h"

struct fuseln_attribute { /* cudaLaunchAttribute, CUlaunchAttribute */
    int id;
    char pad[4];
    char value[64];
};
_Static_assert(sizeof(struct fuseln_attribute) == 72, "CUlaunchAttribute");

struct fuseln_launch_config { /* cudaLaunchConfig_t, CUlaunchConfig: they differ in the type of smem_bytes alone */
    unsigned grid[3], block[3];
    char smem_bytes[8];
    void *stream;
    const struct fuseln_attribute *attributes;
    unsigned attribute_count;
};
_Static_assert(offsetof(struct fuseln_launch_config, stream) == 32, "CUlaunchConfig");

/* A launch call of the host. Hooks set what is not said to be set by fuseln_launch. */
struct fuseln_hooked {
    struct fuseln_launch launch; /* target and runtime_device: set by fuseln_launch; declined: OK or COOPERATIVE */
    const void *function;        /* host function (runtime), CUfunction or CUkernel (driver) */
    void **args;                 /* as the host passed them */
    bool special;                /* the next two are set; else this is a plain launch, without them */
    const struct fuseln_launch_config *config; /* as the host passed it, or NULL: a launch without attributes */
    void **extra;                              /* the driver's other way to pass arguments, or NULL */
    /* What the original needs besides. Returns its result; an error where there is no original. */
    int (*original)(const struct fuseln_hooked *hooked);
    void *real;       /* the function behind the hook; NULL: there is none */
    void *get_device; /* the runtime's cudaGetDevice, if it is known; NULL for the driver */
    enum fuseln_node node;
    const void *caller; /* an address inside the calling library; node and caller are of the runtime's hooks alone */
    size_t smem_bytes;
    void *stream; /* as the host passed it */
};

/* Make the host's launch, as ours or as the original. Returns what the host's call returns: 0, or the error of the
 * original. Thread-safe; errno is kept. */
int fuseln_launch(struct fuseln_hooked *hooked);
/* The same of a launch with attributes, of which the configuration tells the rest. */
int fuseln_launch_ex(struct fuseln_hooked *hooked, const struct fuseln_launch_config *config, bool ptsz);

/*
 * Is this a launch that is not ours and changes nothing that is pending, as nearly all are? Then it is only counted
 * (fuseln_record_launch), and the hook jumps on to the original. Else it calls fuseln_launch.
 */
static inline __attribute__((always_inline)) bool fuseln_launch_is_foreign(const void *function)
{
    return __builtin_expect(!fuseln_registry_may_hold(function), 1) && fuseln_thread_counter.joined &&
           !fuseln_pairing_any();
}

/* Through a _ptsz entry point, stream 0 is the per-thread default stream. */
static inline void *fuseln_launch_stream(void *stream, bool ptsz)
{
    return ptsz && !stream ? (void *)2 : stream;
}

#endif
