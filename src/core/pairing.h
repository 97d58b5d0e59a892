/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partial sums of dgamma and dbeta that a DX launch makes from its one read of dY and X, kept pending until the DGAMMA
 * launch of the same tensors consumes them: then only their reduction is launched. They are right for it only if dY, X,
 * mean and rstd are what they were, so they are invalidated by
 *   - any launch by the thread that made them, or on their stream by any thread, or, in their context, on its legacy
 *     stream, or on any of its streams if theirs is the legacy one (it waits for the others, and they for it);
 *   - any noticed call (hooks/names.h) by that thread, and those of others that reach them (enum fuseln_reach).
 * Why others may do the rest: whoever changes a tensor of DX has to wait for DX first, else DX itself may read what it
 * must not. The first step of every such wait is a call that goes to the stream of DX (an event is recorded there, the
 * host waits for it, it is copied from) or to more than one stream at once, and each of these reaches the sums.
 * Streams can be told apart by their handles, and DGAMMA need not ask whether a capture has begun: a stream is made and
 * destroyed, and a capture begun, by noticed calls.
 * A capture is no different: what the two halves of a pair become in its graph follows each other there, and their
 * memory is the graph's (kernels/host/scratch.c). Invalidating costs a second read of dY and X and never a result. A
 * call that fuseln cannot see switches pairing off. A call of another thread that was still under way when DX was
 * launched is not ordered against it by the program either.
 *
 * A site whose DGAMMA did not come FUSELN_PAIRING_TRIES times, as its thread or stream went on without it, stops making
 * partial sums. What other threads do tells nothing about that: a DX is followed without its sums after they
 * invalidated them, and so is each of a site that makes none. When a DGAMMA comes again, sums are made again at once:
 * a site can be norms of which some are frozen, and one that tried only now and then would miss most of the others'
 * pairs. Static storage, valid when zeroed; thread-safe, no locks. Nothing is held back: each launch is made when it
 * comes.
 */
#ifndef FUSELN_PAIRING_H
#define FUSELN_PAIRING_H

#include "core/pass.h"

enum { FUSELN_PAIRING_TRIES = 3 };

/* How many are pending. Read by every launch and noticed call of the program, also by hooks/notice.S. */
extern atomic_uint fuseln_pairing_count __attribute__((visibility("hidden")));

static inline bool fuseln_pairing_any(void)
{
    return __builtin_expect(atomic_load_explicit(&fuseln_pairing_count, memory_order_acquire) != 0, 0);
}

/* What a noticed call can wait for, and so whose sums it may make stale. Always those that its own thread made; and: */
enum fuseln_reach {
    FUSELN_REACH_ALL,    /* every context: the call can name memory of any, or is not known well enough */
    FUSELN_REACH_DEVICE, /* what is current: all of its device, as a context also waits for its green contexts */
    FUSELN_REACH_STREAM, /* one stream that is no default stream; and legacy streams, which may order it */
    FUSELN_REACH_THREAD, /* none: it waits for nothing, or for an event, whose recording reached them before */
};

/* A noticed call is about to be made; stream (CUstream) is read for FUSELN_REACH_STREAM alone. errno is kept. */
void fuseln_pairing_forget(enum fuseln_reach reach, void *stream);
static inline void fuseln_pairing_notice(void)
{
    if (fuseln_pairing_any())
        fuseln_pairing_forget(FUSELN_REACH_ALL, NULL);
}

/* A kernel that is not ours is about to be launched on this stream (CUstream) of the current context. */
void fuseln_pairing_foreign_launch(void *stream);

/* This process calls something that we do not see, or do not know: no pairs any more. `what` is named in the log, once
 * it matters. Async-signal-safe, and safe before the C library is ready. */
void fuseln_pairing_unseen(const char *what);

/* Partial sums that a DGAMMA launch has claimed. */
struct fuseln_sums {
    struct fuseln_slab *slab; /* NULL: none were made */
    struct fuseln_site *site; /* of their DX; NULL: this launch is no partner of one */
};

/*
 * A recognised launch is about to be made: what it could change is invalidated. Returns the sums that were made for it,
 * if it is the DGAMMA that they are pending for: they are the caller's until fuseln_pairing_consume. The pass is
 * complete up to its device.
 */
struct fuseln_sums fuseln_pairing_claim(const struct fuseln_pass *pass);
/* If sums->site is not NULL: DGAMMA was launched, or (launched false) its original must be. */
void fuseln_pairing_consume(const struct fuseln_sums *sums, bool launched);

/* A DX that can make the sums of its DGAMMA is about to be launched. Returns what follows it until
 * fuseln_pairing_commit, or NULL; sets pass->job.sums, where its partial sums go (NULL: none shall be made). */
struct fuseln_pending *fuseln_pairing_reserve(struct fuseln_pass *pass);
/* DX was launched, or refused. */
void fuseln_pairing_commit(struct fuseln_pending *pending, bool launched);

void fuseln_pairing_after_fork(void); /* in the child: nothing is pending. Async-signal-safe */

#endif
