/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partial sums of dgamma and dbeta that a DX launch makes from its one read of dY and X, kept until the DGAMMA launch
 * of the same tensors comes: then only their reduction is launched. They are right for it only if dY, X, mean and rstd
 * are what they were, so they are forgotten at
 *   - any launch by the thread that made them, or on their stream by any thread, or, in their context, on its legacy
 *     stream, or on any of its streams if theirs is the legacy one (it waits for the others, and they for it);
 *   - any noticed call (hooks/names.h) by anyone.
 * Streams can be told by their handles, and DGAMMA need not ask whether a capture has begun: a stream is made and
 * destroyed, and a capture begun, by noticed calls.
 * Forgetting costs a read of dY and X and never a result. What cannot be seen switches pairing off. A call of another
 * thread that was still under way when DX was launched is not ordered against it by the program either.
 *
 * A site whose DGAMMA did not come FUSELN_PAIRING_TRIES times stops making partial sums; what it would have kept is
 * still followed, without them, and when the DGAMMA comes again they are made again.
 * Static storage, valid when zeroed; thread-safe, no locks. Nothing is held back: each launch is made when it comes.
 */
#ifndef FUSELN_PAIRING_H
#define FUSELN_PAIRING_H

#include "base/config.h"
#include "core/decode.h"
#include "core/record.h"
#include "kernels/host/device.h"

enum { FUSELN_PAIRING_TRIES = 3 };

/* How many are pending. Read by every launch and noticed call of the program, also by hooks/notice.S. */
extern atomic_uint fuseln_pairing_count __attribute__((visibility("hidden")));

static inline bool fuseln_pairing_any(void)
{
    return __builtin_expect(atomic_load_explicit(&fuseln_pairing_count, memory_order_acquire) != 0, 0);
}

/* A noticed call is about to be made: all is forgotten. */
void fuseln_pairing_forget_all(void);
static inline void fuseln_pairing_notice(void)
{
    if (fuseln_pairing_any())
        fuseln_pairing_forget_all();
}

/* A kernel that is not ours is about to be launched on this stream (CUstream) of the current context. */
void fuseln_pairing_pass(void *stream);
static inline void fuseln_pairing_foreign(void *stream)
{
    if (fuseln_pairing_any())
        fuseln_pairing_pass(stream);
}

/* This process calls something that we do not see, or do not know: no pairs any more. `what` is named in the log, once
 * it matters. Async-signal-safe, and safe before the C library is ready. */
void fuseln_pairing_unseen(const char *what);

/* Partial sums that a DGAMMA launch may use. */
struct fuseln_sums {
    struct fuseln_slab *slab; /* NULL: none were made */
    struct fuseln_site *site; /* of their DX; NULL: this launch is no partner of one */
};

/*
 * A recognised launch is about to be made: what it could change is forgotten. Returns the sums that were kept for it,
 * if it is the DGAMMA that they were made for; they are the caller's until fuseln_pairing_used.
 * call is NULL where it could not be decoded, context where there is none.
 */
struct fuseln_sums fuseln_pairing_meet(const struct fuseln_launch *launch, const struct fuseln_call *call,
                                       const struct fuseln_context *context);
/* If site is not NULL: DGAMMA was replaced (PAIRED), or its original was launched (why). */
void fuseln_pairing_used(const struct fuseln_sums *sums, enum fuseln_pairing what);

/* Is this a DX that can make the sums of its DGAMMA? */
static inline bool fuseln_pairing_makes(const struct fuseln_call *call, const struct fuseln_plan *plan)
{
    return plan->scratch_bytes && call->op == FUSELN_OP_DX;
}
/* Such a launch is about to be made at this site. Returns what follows it until
 * fuseln_pairing_issued, or NULL; *ret_slab is where its partial sums go, NULL: none shall be made. */
struct fuseln_pending *fuseln_pairing_begin(const struct fuseln_launch *launch, const struct fuseln_call *call,
                                            const struct fuseln_plan *plan, struct fuseln_context *context,
                                            struct fuseln_site *site, struct fuseln_slab **ret_slab);
/* DX was launched, or refused. */
void fuseln_pairing_issued(struct fuseln_pending *pending, bool launched);

/* All of the above for a launch like an earlier one, as fuseln_repeat_launch: a DX that can make sums, where nothing is
 * pending; any launch, where something is. *ret_which: the kernel that was launched, or the first of two. */
struct fuseln_repeat;
enum fuseln_verdict fuseln_pairing_launch_dx(const struct fuseln_launch *launch, struct fuseln_repeat *entry);
enum fuseln_verdict fuseln_pairing_launch(const struct fuseln_launch *launch, struct fuseln_repeat *entry,
                                          int *ret_which);

void fuseln_pairing_after_fork(void); /* in the child: nothing is pending. Async-signal-safe */

#endif
