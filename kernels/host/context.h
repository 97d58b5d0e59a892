/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of each device and each CUDA context, shared by the files of kernels/host. Static tables, valid when
 * zeroed; entries are made once, under the mutex, and live until the process ends. Launches read them without it.
 */
#ifndef FUSELN_CONTEXT_H
#define FUSELN_CONTEXT_H

#include <stdatomic.h>

#include "kernels/host/image.h"
#include "kernels/host/libcuda.h"

enum { FUSELN_CONTEXTS_MAX = 1024 };

struct fuseln_device_record {
    atomic_bool complete; /* the next three are set, and constant */
    struct fuseln_device device;
    char name[96];
    int driver_version;
    _Atomic(const struct fuseln_image *) image; /* what modules were last loaded from; NULL while none was */
    _Atomic size_t scratch_bytes;               /* held */
    _Atomic size_t scratch_refused;             /* not held, as FUSELN_SCRATCH is too small */
    _Atomic size_t scratch_wanted;              /* the largest sum of both while something was refused */
};

/* A slot of a cache: 0 not known yet; two ways not to be tried again; else the CUmodule or CUfunction. */
enum { FUSELN_SLOT_REFUSED = 1, FUSELN_SLOT_IMAGE = 2 };

struct fuseln_context {
    _Atomic uint64_t id;                 /* cuCtxGetId + 1; 0 while the entry is free */
    struct fuseln_device_record *record; /* constant once the id is set */
    _Atomic uintptr_t modules[FUSELN_MODULE_COUNT];
    _Atomic uintptr_t functions[FUSELN_VARIANT_COUNT]; /* known once the variant was launched outside of capture */
    atomic_int scratch_pause;                          /* launches that shall not ask for a new slab */
    atomic_bool serial;                                /* no launch may start before the one ahead of it has ended */
};

/* Device memory for partial sums: device.h. What is not atomic is its owner's. */
struct fuseln_slab {
    _Atomic unsigned state; /* enum slab_state of scratch.c */
    atomic_bool orphaned;   /* the graph that it belonged to is gone, and so are its copies and launches */
    /* Whose it is. Capture 0: the stream's; else the captured graph's, for what the stream does in that capture while
     * nobody changes the order there. */
    _Atomic uint64_t context_id, stream_id, capture_id, order;
    _Atomic size_t bytes;
    CUdeviceptr address;
    struct fuseln_device_record *record;
};

/* The variant's function in this context: one of enum above, or a CUfunction. */
static inline _Atomic uintptr_t *fuseln_function_slot(struct fuseln_context *context,
                                                      const struct fuseln_variant *variant)
{
    return &context->functions[fuseln_variant_index(variant)];
}

/* Which of all contexts, below FUSELN_CONTEXTS_MAX. */
size_t fuseln_context_index(const struct fuseln_context *context);

/* launch.c: launch one kernel of check.cu. The job's plan has that kernel, its grid and block alone. Verdicts as
 * fuseln_kernel_launch. */
enum fuseln_verdict fuseln_kernel_launch_check(const struct fuseln_job *job, struct fuseln_check_params *params);
/* launch.c: copy device memory on the job's stream, without waiting. OK, CONTEXT or REFUSED. */
enum fuseln_verdict fuseln_kernel_copy(const struct fuseln_job *job, void *to, const void *from, size_t bytes);

#endif
