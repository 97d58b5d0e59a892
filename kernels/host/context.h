/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of kernels/ per device and per CUDA context, shared by context.c, scratch.c, launch.c, and through
 * issue.h those who launch. Static tables, valid when zeroed; entries are claimed once by compare-and-swap and live
 * until the process ends. No locks.
 */
#ifndef FUSELN_CONTEXT_H
#define FUSELN_CONTEXT_H

#include <stdatomic.h>

#include "kernels/host/image.h"
#include "kernels/host/libcuda.h"
#include "kernels/params.h"

enum { FUSELN_CONTEXTS_MAX = 1024, FUSELN_DEVICES_MAX = 64 };

struct fuseln_device_record {
    atomic_bool taken;
    struct fuseln_device device;
    char name[96];
    int driver_version;
    _Atomic(const struct fuseln_image *) image; /* what modules were last loaded from; NULL while none was */
    _Atomic size_t scratch_bytes;
};

/* A slot of a cache: 0 not known yet; two ways not to be tried again; else the CUmodule or CUfunction. */
enum { FUSELN_SLOT_REFUSED = 1, FUSELN_SLOT_IMAGE = 2 };

struct fuseln_context {
    _Atomic uint64_t id; /* cuCtxGetId + 1; 0 while the entry is free */
    _Atomic(struct fuseln_device_record *) record;
    _Atomic uintptr_t modules[FUSELN_MODULE_COUNT];
    _Atomic uintptr_t functions[FUSELN_VARIANT_COUNT];  /* known once the variant was launched outside of capture */
    atomic_int scratch_pause;                           /* launches that shall not ask for a new slab */
    _Atomic(struct fuseln_check_region *) check_region; /* check.c; NULL while none was made */
    atomic_int check_pause;                             /* launches that shall not ask for one */
    _Atomic CUdeviceptr check_device;                   /* where the device sees it */
};

/* One claim on device memory for partial sums: kernels.h. */
struct fuseln_slab {
    _Atomic unsigned state; /* enum slab_state of scratch.c */
    uint64_t context_id, stream_id;
    CUdeviceptr address;
    size_t bytes;
};

void fuseln_scratch_after_fork(void);
void fuseln_check_after_fork(void);
void fuseln_timer_after_fork(void);

#endif
