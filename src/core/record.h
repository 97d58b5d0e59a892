/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened: the count of all launches (per thread) and one record per site. Writers are the launch path of any
 * thread; readers are the report. Static storage, valid when zeroed; nothing is allocated per launch.
 * A site is (target, cols, device, which pointers are null, alignment class, boundary); rows are not part of it.
 */
#ifndef FUSELN_RECORD_H
#define FUSELN_RECORD_H

#include <stdatomic.h>
#include "base/target.h"
#include "kernels/params.h"

enum { FUSELN_SITES_MAX = 1024 };

struct fuseln_site_key {
    const struct fuseln_target *target;
    int64_t cols;
    int device;     /* CUdevice ordinal; -1 where no context was current */
    unsigned nulls; /* as in struct fuseln_call */
    unsigned width; /* 16 for aligned rows, else the widest access that fits */
    enum fuseln_boundary boundary;
};

/* What checks of a site's launches found (verify.h). */
struct fuseln_checked {
    atomic_uint issued; /* checks that were started */
    atomic_bool failed;
    _Atomic uint64_t compared;                        /* those whose results have come */
    _Atomic uint64_t inconclusive;                    /* not among them: no value could be checked */
    _Atomic uint64_t unchecked[FUSELN_VERDICT_COUNT]; /* launches that could not be checked, by reason */
    double field[FUSELN_CHECK_FIELDS]; /* as in params.h; FIRST is the index + 1, 0: none. Guarded by core's mutex */
};

struct fuseln_site {
    struct fuseln_site_key key; /* constant once published; target NULL in the site `other` */
    _Atomic int64_t rows_first, rows_min, rows_max;
    _Atomic uint64_t substituted;
    _Atomic uint64_t passed[FUSELN_VERDICT_COUNT]; /* by reason; [OK] unused */
    _Atomic uint64_t sums[FUSELN_PAIRING_COUNT];   /* DX: what became of the partial sums of its launches */
    atomic_uint alone;                             /* DX: launches in a row whose DGAMMA did not come */
    const char *_Atomic kernel;                    /* name of our kernel last used here; NULL while none */
    struct fuseln_checked checked;
};

/*
 * Launches of this thread: thread-local, no atomics. Before its first one is counted a thread joins the list of threads
 * (hooks/process.h).
 */
struct fuseln_thread_counter {
    uint64_t launches[FUSELN_BOUNDARY_COUNT];
    bool joined;
    const void *launching; /* the function whose original a hook of ours is launching; NULL: none */
};
extern _Thread_local struct fuseln_thread_counter fuseln_thread_counter __attribute__((tls_model("initial-exec")));
/* True: no thread of this process had joined before. */
bool fuseln_record_join(void);
/* Count a launch of a thread that has joined. Written by this thread alone, read by the report's: a plain increment,
 * but no torn or cached value. */
static inline void fuseln_record_launch(enum fuseln_boundary boundary)
{
    const uint64_t launches = fuseln_thread_counter.launches[boundary] + 1;
    __atomic_store_n(&fuseln_thread_counter.launches[boundary], launches, __ATOMIC_RELAXED);
}
/* Sum over all threads, ended ones too, and the boundaries that are hooked (FUSELN_HOOKS). */
uint64_t fuseln_record_launches(void);

/* The site of this key, made at its first use; the site `other` when the table is full. Never NULL; lock-free once the
 * site exists. *ret_new tells whether this call made it. */
struct fuseln_site *fuseln_site_get(const struct fuseln_site_key *key, bool *ret_new);
/* One launch at site ended with this verdict; kernel is our kernel's name when OK, else NULL. Thread-safe. */
void fuseln_site_record(struct fuseln_site *site, enum fuseln_verdict verdict, int64_t rows, const char *kernel);

/* The same for a launch that was replaced, of as many rows as one before it. */
static inline void fuseln_site_record_again(struct fuseln_site *site, const char *kernel)
{
    atomic_fetch_add_explicit(&site->substituted, 1, memory_order_relaxed);
    atomic_store_explicit(&site->kernel, kernel, memory_order_release);
}

/* What its checks found. */
void fuseln_site_fields(const struct fuseln_site *site, double ret_field[FUSELN_CHECK_FIELDS]);

/* Walk the published sites, `other` last (only if used). Returns NULL past the end. */
const struct fuseln_site *fuseln_site_at(size_t index);

/* In the child after fork: counters and sites start afresh. Async-signal-safe. */
void fuseln_record_after_fork(void);

#endif
