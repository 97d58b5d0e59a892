/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See pairing.h. An entry goes EMPTY > CLAIMED > RESERVED (its members are set, DX is being launched) > READY (DX is
 * launched) > CLAIMED by who consumes or invalidates it > EMPTY, or READY again without its sums. Whoever changes a
 * state by compare-and-swap does what follows from it; a generation in the state tells an entry from a later one in the
 * same slot. Until DX is launched its thread alone releases the slab: else another launch could get it before DX has
 * written there.
 */
#include "core/pairing.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>

enum { PENDING_MAX = 16 };
enum phase { EMPTY, CLAIMED, RESERVED, READY, PHASES };

struct fuseln_pending {
    _Atomic uint64_t state; /* generation * PHASES + enum phase */
    /* Constant while RESERVED or READY; atomic, as a reader may be late. */
    _Atomic(const void *) thread, dy, x, mean, rstd;
    _Atomic(const struct fuseln_target *) target;
    _Atomic(const struct fuseln_context *) context;
    _Atomic uint64_t stream; /* its key, see key_of */
    _Atomic int64_t rows, cols;
    _Atomic(struct fuseln_slab *) slab;
    _Atomic(struct fuseln_site *) site;
};

static struct fuseln_pending table[PENDING_MAX];
atomic_uint fuseln_pairing_count;
static atomic_bool unseen, unseen_claimed, unseen_said;
static char unseen_name[64];

#define GET(entry, member)        atomic_load_explicit(&(entry)->member, memory_order_relaxed)
#define SET(entry, member, value) atomic_store_explicit(&(entry)->member, value, memory_order_relaxed)

static enum phase phase_of(uint64_t state)
{
    return (enum phase)(state % PHASES);
}

static bool change(struct fuseln_pending *entry, uint64_t *state, enum phase to)
{
    const uint64_t next = *state - *state % PHASES + to;
    return atomic_compare_exchange_strong_explicit(&entry->state, state, next, memory_order_acq_rel,
                                                   memory_order_acquire);
}

/* Of an entry that this thread has claimed. */
static void release(struct fuseln_pending *entry)
{
    const uint64_t state = GET(entry, state);
    atomic_store_explicit(&entry->state, state - state % PHASES + PHASES, memory_order_release);
    atomic_fetch_sub_explicit(&fuseln_pairing_count, 1, memory_order_release);
}

static void count(struct fuseln_site *site, enum fuseln_pairing what)
{
    atomic_fetch_add_explicit(&site->sums[what], 1, memory_order_relaxed);
}

static bool is_own(const struct fuseln_pending *entry)
{
    return GET(entry, thread) == &fuseln_thread_counter;
}

/* Of an entry that this thread has claimed: its sums are gone, but whether its partner comes is still to be learned. */
static void follow(struct fuseln_pending *entry)
{
    const uint64_t state = GET(entry, state);
    SET(entry, slab, NULL);
    atomic_store_explicit(&entry->state, state - state % PHASES + PHASES + READY, memory_order_release);
}

static void learn_alone(struct fuseln_site *site)
{
    if (atomic_load_explicit(&site->alone, memory_order_relaxed) < FUSELN_PAIRING_TRIES)
        atomic_fetch_add_explicit(&site->alone, 1, memory_order_relaxed);
}

/* The members are read before the state is changed, and are right if it could be changed. */
static void invalidate(struct fuseln_pending *entry, uint64_t state, enum fuseln_pairing why, bool on_its_stream)
{
    const bool alone = on_its_stream || is_own(entry); /* its thread or stream went on without its partner */

    while (phase_of(state) >= RESERVED) {
        struct fuseln_slab *slab = GET(entry, slab);
        struct fuseln_site *site = GET(entry, site);
        const bool reserved = phase_of(state) == RESERVED;
        if (!slab && !alone)
            return;
        if (!change(entry, &state, CLAIMED))
            continue; /* with the state that it has now */
        if (alone)
            learn_alone(site);
        if (slab)
            count(site, why);
        if (reserved)
            return; /* its thread does the rest */
        if (slab)
            fuseln_slab_release(slab);
        if (alone)
            release(entry);
        else
            follow(entry);
        return;
    }
}

/*
 * What tells a stream from others while something is pending: its handle, until it is destroyed, which is noticed. The
 * legacy default stream has two, 0 and 1 (CU_STREAM_LEGACY); each thread's own has the same, 2: its id tells then.
 */
enum { LEGACY = 0, PER_THREAD = 2, UNKNOWN = 1 };
static uint64_t key_of_thread(void *stream)
{
    unsigned long long id;
    return fuseln_kernel_stream(stream, &id) == FUSELN_VERDICT_OK ? id | UINT64_C(1) << 63 : UNKNOWN;
}

static uint64_t key_of(void *stream)
{
    if (__builtin_expect((uintptr_t)stream > PER_THREAD, 1))
        return (uintptr_t)stream;
    return (uintptr_t)stream == PER_THREAD ? key_of_thread(stream) : LEGACY;
}

/* Who is about to launch, where. */
struct launcher {
    const struct fuseln_context *context; /* NULL: not known */
    uint64_t stream;
};

static bool is_ordered_against(const struct fuseln_pending *entry, const struct launcher *by)
{
    if (is_own(entry) || by->stream == UNKNOWN || !by->context)
        return true;
    if (GET(entry, context) == by->context && (GET(entry, stream) == LEGACY || by->stream == LEGACY))
        return true;
    return GET(entry, stream) == by->stream && by->stream != LEGACY;
}

static void invalidate_by(const struct launcher *by)
{
    for (size_t i = 0; i < PENDING_MAX; i++) {
        const uint64_t state = atomic_load_explicit(&table[i].state, memory_order_acquire);
        if (phase_of(state) >= RESERVED && is_ordered_against(&table[i], by))
            invalidate(&table[i], state, FUSELN_PAIRING_LAUNCH, GET(&table[i], stream) == by->stream);
    }
}

void fuseln_pairing_foreign_launch(void *stream)
{
    const int saved_errno = errno; /* the driver is asked in a launch that is not ours */
    invalidate_by(&(struct launcher){fuseln_context_current(), key_of(stream)});
    errno = saved_errno;
}

static bool is_reached(const struct fuseln_pending *entry, enum fuseln_reach reach, uint64_t stream,
                       const struct fuseln_context *context)
{
    if (is_own(entry))
        return true;
    switch (reach) {
    case FUSELN_REACH_THREAD:
        return false;
    case FUSELN_REACH_STREAM: /* of whichever context: a copy may name a stream of another than the current one */
        return GET(entry, stream) == stream || GET(entry, stream) == LEGACY;
    case FUSELN_REACH_DEVICE:
        return !context || fuseln_context_device(GET(entry, context)) == fuseln_context_device(context);
    default:
        return true;
    }
}

void fuseln_pairing_forget(enum fuseln_reach reach, void *stream)
{
    const int saved_errno = errno;
    const struct fuseln_context *context = reach == FUSELN_REACH_DEVICE ? fuseln_context_current() : NULL;

    for (size_t i = 0; i < PENDING_MAX; i++) {
        const uint64_t state = atomic_load_explicit(&table[i].state, memory_order_acquire);
        if (phase_of(state) >= RESERVED && is_reached(&table[i], reach, (uintptr_t)stream, context))
            invalidate(&table[i], state, FUSELN_PAIRING_CALL, false);
    }
    errno = saved_errno;
}

/* A mean of NULL is RMS norm's alone. */
static bool is_partner(const struct fuseln_pending *entry, const struct fuseln_target *target,
                       const struct fuseln_call *call, const struct launcher *by)
{
    const struct fuseln_target *dx = GET(entry, target);
    return GET(entry, dy) == call->dy && GET(entry, x) == call->x && GET(entry, rstd) == call->rstd &&
           GET(entry, mean) == call->mean && GET(entry, rows) == call->rows && GET(entry, cols) == call->cols &&
           GET(entry, stream) == by->stream && GET(entry, context) == by->context && dx->library == target->library &&
           dx->dtype == call->dtype;
}

static struct fuseln_sums claim_partner(const struct fuseln_target *target, const struct fuseln_call *call,
                                        const struct launcher *by)
{
    struct fuseln_sums sums = {NULL, NULL};
    for (size_t i = 0; i < PENDING_MAX; i++) {
        uint64_t state = atomic_load_explicit(&table[i].state, memory_order_acquire);
        if (phase_of(state) != READY || !is_partner(&table[i], target, call, by) || !change(&table[i], &state, CLAIMED))
            continue;
        sums = (struct fuseln_sums){GET(&table[i], slab), GET(&table[i], site)};
        release(&table[i]);
        break;
    }
    return sums;
}

struct fuseln_sums fuseln_pairing_claim(const struct fuseln_pass *pass)
{
    const struct fuseln_launch *launch = pass->launch;
    const struct launcher launcher = {pass->job.context, key_of(launch->stream)};
    const bool known = pass->decoded == FUSELN_VERDICT_OK && launch->declined == FUSELN_VERDICT_OK;
    struct fuseln_sums sums = {NULL, NULL};

    if (known && pass->job.context && launcher.stream != UNKNOWN && pass->call.op == FUSELN_OP_DGAMMA)
        sums = claim_partner(launch->target, &pass->call, &launcher);
    if (fuseln_pairing_any())
        invalidate_by(&launcher);
    return sums;
}

void fuseln_pairing_consume(const struct fuseln_sums *sums, bool launched)
{
    if (launched)
        atomic_store_explicit(&sums->site->alone, 0, memory_order_relaxed);
    else
        learn_alone(sums->site);
    if (!sums->slab)
        return;
    count(sums->site, launched ? FUSELN_PAIRING_PAIRED : FUSELN_PAIRING_FAILED);
    fuseln_slab_release(sums->slab);
}

/* Do two ranges that are not empty share a byte? */
static bool share(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    return (uintptr_t)a - (uintptr_t)b + a_bytes - 1 < a_bytes + b_bytes - 1; /* a ends after b begins, and not past */
}

/* Does dX, as large as dY and X, lie on anything that DGAMMA reads? */
static bool overlaps(const struct fuseln_call *call, const struct fuseln_plan *plan)
{
    return share(call->dx, plan->x_bytes, call->dy, plan->x_bytes) ||
           share(call->dx, plan->x_bytes, call->x, plan->x_bytes) ||
           share(call->dx, plan->x_bytes, call->rstd, plan->rstd_bytes) ||
           (call->mean && share(call->dx, plan->x_bytes, call->mean, plan->rstd_bytes));
}

static enum fuseln_pairing may_pair(const struct fuseln_config *config, const struct fuseln_call *call,
                                    const struct fuseln_plan *plan)
{
    if (config->pairs != FUSELN_PAIRING_PAIRED)
        return config->pairs;
    if (atomic_load_explicit(&unseen, memory_order_acquire)) {
        if (!atomic_exchange(&unseen_said, true))
            pr_info("no pairs of dX with the gradients of gamma and beta: %s is used, and not seen", unseen_name);
        return FUSELN_PAIRING_UNSEEN;
    }
    return overlaps(call, plan) ? FUSELN_PAIRING_OVERLAP : FUSELN_PAIRING_PAIRED;
}

/* Memory for the sums, unless the site's last ones were for nothing. */
static enum fuseln_pairing reserve_slab(struct fuseln_pass *pass)
{
    if (atomic_load_explicit(&pass->site->alone, memory_order_relaxed) >= FUSELN_PAIRING_TRIES)
        return FUSELN_PAIRING_ALONE;
    switch (fuseln_slab_acquire(&pass->job, &pass->job.sums)) {
    case FUSELN_VERDICT_OK:
        return FUSELN_PAIRING_PAIRED;
    case FUSELN_VERDICT_CAPTURE:
        return FUSELN_PAIRING_CAPTURED;
    case FUSELN_VERDICT_SCRATCH:
        return FUSELN_PAIRING_NOSCRATCH;
    default:
        return FUSELN_PAIRING_FAILED;
    }
}

/* Gives up one that has no sums, as its thread may have ended. False: there is none. */
static __attribute__((noinline)) bool release_followed(void)
{
    for (size_t i = 0; i < PENDING_MAX; i++) {
        uint64_t state = atomic_load_explicit(&table[i].state, memory_order_acquire);
        if (phase_of(state) == READY && !GET(&table[i], slab) && change(&table[i], &state, CLAIMED)) {
            release(&table[i]);
            return true;
        }
    }
    return false;
}

static struct fuseln_pending *reserve_entry(uint64_t *ret_state)
{
    do {
        for (size_t i = 0; i < PENDING_MAX; i++) {
            *ret_state = atomic_load_explicit(&table[i].state, memory_order_relaxed);
            if (phase_of(*ret_state) == EMPTY && change(&table[i], ret_state, CLAIMED))
                return &table[i];
        }
    } while (release_followed());
    return NULL;
}

static void publish(struct fuseln_pending *entry, uint64_t state, const struct fuseln_pass *pass)
{
    const struct fuseln_call *call = &pass->call;

    SET(entry, thread, &fuseln_thread_counter);
    SET(entry, dy, call->dy);
    SET(entry, x, call->x);
    SET(entry, mean, call->mean);
    SET(entry, rstd, call->rstd);
    SET(entry, target, pass->launch->target);
    SET(entry, context, pass->job.context);
    SET(entry, stream, key_of(pass->launch->stream));
    SET(entry, rows, call->rows);
    SET(entry, cols, call->cols);
    SET(entry, slab, pass->job.sums);
    SET(entry, site, pass->site);
    atomic_fetch_add_explicit(&fuseln_pairing_count, 1, memory_order_relaxed);
    atomic_store_explicit(&entry->state, state - state % PHASES + RESERVED, memory_order_release);
}

struct fuseln_pending *fuseln_pairing_reserve(struct fuseln_pass *pass)
{
    enum fuseln_pairing what = may_pair(pass->config, &pass->call, pass->job.plan);
    struct fuseln_pending *entry = NULL;
    uint64_t state;

    if (what == FUSELN_PAIRING_PAIRED)
        what = reserve_slab(pass);
    if ((what == FUSELN_PAIRING_PAIRED || what == FUSELN_PAIRING_ALONE) && !(entry = reserve_entry(&state))) {
        if (pass->job.sums)
            fuseln_slab_release(pass->job.sums);
        pass->job.sums = NULL;
        what = FUSELN_PAIRING_FULL;
    }
    if (what != FUSELN_PAIRING_PAIRED)
        count(pass->site, what);
    if (entry)
        publish(entry, state, pass);
    return entry;
}

void fuseln_pairing_commit(struct fuseln_pending *pending, bool launched)
{
    uint64_t state = atomic_load_explicit(&pending->state, memory_order_acquire);

    if (phase_of(state) == RESERVED && launched && change(pending, &state, READY))
        return;
    struct fuseln_slab *slab = GET(pending, slab);
    if (phase_of(state) == RESERVED && change(pending, &state, CLAIMED) && slab)
        count(GET(pending, site), FUSELN_PAIRING_FAILED);
    if (slab) /* else it was invalidated meanwhile, and counted */
        fuseln_slab_release(slab);
    if (launched)
        follow(pending);
    else
        release(pending);
}

void fuseln_pairing_unseen(const char *what)
{
    if (atomic_load(&unseen_claimed) || atomic_exchange(&unseen_claimed, true))
        return;
    for (size_t i = 0; i + 1 < sizeof unseen_name && what[i]; i++)
        unseen_name[i] = what[i];
    atomic_store_explicit(&unseen, true, memory_order_release);
}

void fuseln_pairing_after_fork(void)
{
    memset(table, 0, sizeof table);
    atomic_store(&fuseln_pairing_count, 0);
}
