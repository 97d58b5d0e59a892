/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The launches that a thread has replaced, ready to be made again: nearly all of a program's differ from an earlier one
 * in their pointers alone. Such a launch is not decided again, and its call is that of the earlier one, with its own
 * pointers. Static storage, valid when zeroed; a thread takes a part of it at its first replaced launch and gives it
 * back when it ends. Nothing is shared while taken; where all is, launches are decided one by one.
 */
#ifndef FUSELN_REPEAT_H
#define FUSELN_REPEAT_H

#include "base/config.h"
#include "core/decode.h"
#include "core/record.h"
#include "kernels/host/issue.h"

struct fuseln_repeat {
    /* What decide and the site's key look at, besides settings that never change: these, and of the call rows, cols,
     * eps and low_bits. */
    const struct fuseln_target *target; /* NULL: no launch */
    unsigned grid[3];
    int runtime_device, boundary;
    uint64_t context_id;
    /* What was decided. */
    struct fuseln_context *context;
    struct fuseln_site *site;
    struct fuseln_plan plan;
    const _Atomic uintptr_t *functions[2]; /* of plan.kernel: their slots in the context */
    const char *names[2];
    bool reported;           /* FUSELN_REPORT is set */
    struct fuseln_call call; /* params are complete but for the pointers and partials */
};

enum { FUSELN_REPEATS_BITS = 5 };
struct fuseln_repeats {
    atomic_bool taken;
    bool busy; /* its thread is in a launch, which may come back here: nothing is read or written then */
    struct fuseln_repeat entries[1 << FUSELN_REPEATS_BITS];
};
/* This thread's part; NULL while it has none. */
extern _Thread_local struct fuseln_repeats *fuseln_repeats
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Where such a launch is kept, if it is. */
static inline struct fuseln_repeat *fuseln_repeat_place(struct fuseln_repeats *repeats,
                                                        const struct fuseln_target *target, int64_t rows, int64_t cols)
{
    const uint64_t hash = (uintptr_t)target ^ (uint64_t)cols << 20 ^ (uint64_t)rows;
    struct fuseln_repeat *place = &repeats->entries[hash * 0x9e3779b97f4a7c15u >> (64 - FUSELN_REPEATS_BITS)];
    __asm__("" : "+r"(place)); /* an address, not a product that is made again for each member */
    return place;
}

/* The entry of a launch like this one, its call with this one's pointers; NULL if there is none. Asks for the current
 * context: one driver query. repeats: this thread's. */
static inline __attribute__((always_inline)) struct fuseln_repeat *
fuseln_repeat_find(struct fuseln_repeats *repeats, const struct fuseln_launch *launch)
{
    int64_t rows, cols;
    double eps;
    uint64_t low_bits;

    if (!launch->args || launch->declined != FUSELN_VERDICT_OK || !fuseln_decode_shape(launch, &rows, &cols))
        return NULL;
    struct fuseln_repeat *const entry = fuseln_repeat_place(repeats, launch->target, rows, cols);
    if (entry->target != launch->target || entry->call.rows != rows || entry->call.cols != cols ||
        memcmp(entry->grid, launch->grid, 2 * sizeof entry->grid[0]) != 0 || entry->grid[2] != launch->grid[2] ||
        entry->runtime_device != launch->runtime_device || entry->boundary != launch->boundary)
        return NULL;
    if (launch->target->layout.eps >= 0 && !(fuseln_decode_eps(launch, &eps) && eps == entry->call.eps))
        return NULL;
    if (!fuseln_decode_pointers(launch, &entry->call, &low_bits) || low_bits != entry->call.low_bits)
        return NULL;
    return fuseln_context_id() == entry->context_id ? entry : NULL;
}

/* This launch was just replaced, by fuseln_kernel_launch with this call and plan: the next one like it finds it.
 * Nothing is kept where no part is free, or this thread's is busy. */
void fuseln_repeat_keep(const struct fuseln_launch *launch, const struct fuseln_call *call,
                        const struct fuseln_plan *plan, struct fuseln_context *context, struct fuseln_site *site);

/* Launch kernel[which] of the entry that was found for this launch, with memory for partial sums or NULL, as
 * fuseln_kernel_launch. Returns OK, CONTEXT or REFUSED. */
static inline __attribute__((always_inline)) enum fuseln_verdict fuseln_repeat_issue(const struct fuseln_launch *launch,
                                                                                     struct fuseln_repeat *entry,
                                                                                     int which,
                                                                                     const struct fuseln_slab *slab)
{
    const uintptr_t function = atomic_load_explicit(entry->functions[which], memory_order_acquire);

    if (__builtin_expect(function <= FUSELN_SLOT_IMAGE, 0))
        return FUSELN_VERDICT_REFUSED;
    entry->call.params.partials = slab ? (void *)(uintptr_t)slab->address : NULL;
    if (__builtin_expect(entry->plan.restricted, 0))
        fuseln_call_restrict(&entry->call);
    const CUresult result = fuseln_issue(fuseln_driver_known(), (CUfunction)function, &entry->plan, which,
                                         launch->stream, &entry->call.params);
    return __builtin_expect(result == CUDA_SUCCESS, 1)
               ? FUSELN_VERDICT_OK
               : fuseln_kernel_refused(entry->context, &entry->plan, which, launch->stream, result);
}

/* The same of all its kernels, with no sums from elsewhere. Verdicts as fuseln_kernel_launch. */
static inline __attribute__((always_inline)) enum fuseln_verdict
fuseln_repeat_launch(const struct fuseln_launch *launch, struct fuseln_repeat *entry)
{
    return entry->plan.kernel[1] ? fuseln_kernel_launch(entry->context, &entry->call, &entry->plan, launch->stream,
                                                        fuseln_config_get()->scratch_bytes, NULL)
                                 : fuseln_repeat_issue(launch, entry, 0, NULL);
}

void fuseln_repeat_after_fork(void); /* in the child, in its one thread: nothing is kept. Async-signal-safe */

#endif
