/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See pairing.h. An entry goes EMPTY > CLAIMED > ARMED (what it is stands there, DX is being launched) > READY (DX is
 * launched) > CLAIMED by who takes or forgets it > EMPTY. Whoever turns a state by compare-and-swap does what follows
 * from it; a generation in the state tells an entry from a later one in the same place. Until DX is launched its thread
 * alone gives the slab back: else another launch could get it before DX has written there.
 */
#include "core/pairing.h"

#include "base/log.h"
#include "core/repeat.h"

#include <errno.h>
#include <string.h>

/* A function of pairing.h that is inline in fuseln_pairing_launch, by which nearly all calls come. */
#define INLINE inline __attribute__((always_inline))

enum { PENDING_MAX = 16 };
enum phase { EMPTY, CLAIMED, ARMED, READY, PHASES };

struct fuseln_pending {
    _Atomic uint64_t state; /* generation * PHASES + enum phase */
    /* Constant while ARMED or READY; atomic, as a reader may be late. */
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

static inline enum phase phase_of(uint64_t state)
{
    return (enum phase)(state % PHASES);
}

static inline bool turn(struct fuseln_pending *entry, uint64_t *state, enum phase to)
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

/* What stands in an entry is read before its state is turned, and is right if it could be turned. */
static void forget(struct fuseln_pending *entry, uint64_t state, enum fuseln_pairing why)
{
    while (phase_of(state) >= ARMED) {
        struct fuseln_slab *slab = GET(entry, slab);
        struct fuseln_site *site = GET(entry, site);
        const bool armed = phase_of(state) == ARMED;
        if (!turn(entry, &state, CLAIMED))
            continue; /* with the state that it has now */
        if (slab) {
            atomic_fetch_add_explicit(&site->alone, 1, memory_order_relaxed);
            count(site, why);
        }
        if (armed)
            return; /* its thread does the rest */
        if (slab)
            fuseln_slab_give(slab);
        release(entry);
        return;
    }
}

void fuseln_pairing_forget_all(void)
{
    for (size_t i = 0; i < PENDING_MAX; i++)
        forget(&table[i], atomic_load_explicit(&table[i].state, memory_order_acquire), FUSELN_PAIRING_CALL);
}

/*
 * What tells a stream from others while something is pending: its handle, until it is destroyed, which is noticed. The
 * legacy default stream has two, 0 and 1 (CU_STREAM_LEGACY); each thread's own has the same, 2: its id tells then.
 */
enum { LEGACY = 0, PER_THREAD = 2, UNKNOWN = 1 };
static __attribute__((noinline)) uint64_t key_of_thread(void *stream)
{
    unsigned long long id;
    return fuseln_kernel_stream(stream, &id) == FUSELN_VERDICT_OK ? id | UINT64_C(1) << 63 : UNKNOWN;
}

static inline uint64_t key_of(void *stream)
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

static inline bool is_disturbed(const struct fuseln_pending *entry, const struct launcher *by)
{
    if (GET(entry, thread) == &fuseln_thread_counter || by->stream == UNKNOWN || !by->context)
        return true;
    if (GET(entry, context) == by->context && (GET(entry, stream) == LEGACY || by->stream == LEGACY))
        return true;
    return GET(entry, stream) == by->stream && by->stream != LEGACY;
}

static void disturb(const struct launcher *by)
{
    for (size_t i = 0; i < PENDING_MAX; i++) {
        const uint64_t state = atomic_load_explicit(&table[i].state, memory_order_acquire);
        if (phase_of(state) >= ARMED && is_disturbed(&table[i], by))
            forget(&table[i], state, FUSELN_PAIRING_LAUNCH);
    }
}

void fuseln_pairing_pass(void *stream)
{
    const int saved_errno = errno; /* the driver is asked in a launch that is not ours */
    struct fuseln_context *context = NULL;
    if (fuseln_context_current(&context) != FUSELN_VERDICT_OK)
        context = NULL;
    disturb(&(struct launcher){context, key_of(stream)});
    errno = saved_errno;
}

/* A mean of NULL is RMS norm's alone. */
static inline bool is_partner(const struct fuseln_pending *entry, const struct fuseln_target *target,
                              const struct fuseln_call *call, const struct launcher *by)
{
    const struct fuseln_target *dx = GET(entry, target);
    return GET(entry, dy) == call->dy && GET(entry, x) == call->x && GET(entry, rstd) == call->rstd &&
           GET(entry, mean) == (call->rms ? NULL : call->mean) && GET(entry, rows) == call->rows &&
           GET(entry, cols) == call->cols && GET(entry, stream) == by->stream && GET(entry, context) == by->context &&
           dx->library == target->library && dx->dtype == call->dtype;
}

static inline __attribute__((always_inline)) struct fuseln_sums
find_partner(const struct fuseln_target *target, const struct fuseln_call *call, const struct launcher *by)
{
    struct fuseln_sums sums = {NULL, NULL};
    for (size_t i = 0; i < PENDING_MAX; i++) {
        uint64_t state = atomic_load_explicit(&table[i].state, memory_order_acquire);
        if (phase_of(state) != READY || !is_partner(&table[i], target, call, by) || !turn(&table[i], &state, CLAIMED))
            continue;
        sums = (struct fuseln_sums){GET(&table[i], slab), GET(&table[i], site)};
        release(&table[i]);
        break;
    }
    return sums;
}

INLINE struct fuseln_sums fuseln_pairing_meet(const struct fuseln_launch *launch, const struct fuseln_call *call,
                                              const struct fuseln_context *context)
{
    const struct launcher launcher = {context, key_of(launch->stream)};
    struct fuseln_sums sums = {NULL, NULL};

    if (call && context && launcher.stream != UNKNOWN && call->op == FUSELN_OP_DGAMMA)
        sums = find_partner(launch->target, call, &launcher);
    if (fuseln_pairing_any())
        disturb(&launcher);
    return sums;
}

INLINE void fuseln_pairing_used(const struct fuseln_sums *sums, enum fuseln_pairing what)
{
    if (what == FUSELN_PAIRING_PAIRED)
        atomic_store_explicit(&sums->site->alone, 0, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&sums->site->alone, 1, memory_order_relaxed);
    if (!sums->slab)
        return;
    count(sums->site, what);
    fuseln_slab_give(sums->slab);
}

/* Do two ranges that are not empty share a byte? */
static inline bool share(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    return (uintptr_t)a - (uintptr_t)b + a_bytes - 1 < a_bytes + b_bytes - 1; /* a ends after b begins, and not past */
}

/* Does dX, as large as dY and X, lie on anything that DGAMMA reads? */
static inline bool overlaps(const struct fuseln_call *call, const struct fuseln_plan *plan)
{
    return share(call->dx, plan->x_bytes, call->dy, plan->x_bytes) ||
           share(call->dx, plan->x_bytes, call->x, plan->x_bytes) ||
           share(call->dx, plan->x_bytes, call->rstd, plan->rstd_bytes) ||
           (!call->rms && share(call->dx, plan->x_bytes, call->mean, plan->rstd_bytes));
}

static inline enum fuseln_pairing may_pair(const struct fuseln_config *config, const struct fuseln_call *call,
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
static inline enum fuseln_pairing get_slab(const struct fuseln_config *config, const struct fuseln_launch *launch,
                                           const struct fuseln_plan *plan, struct fuseln_context *context,
                                           const struct fuseln_site *site, struct fuseln_slab **ret_slab)
{
    if (atomic_load_explicit(&site->alone, memory_order_relaxed) >= FUSELN_PAIRING_TRIES)
        return FUSELN_PAIRING_ALONE;
    const enum fuseln_verdict verdict =
        fuseln_slab_get(context, launch->stream, plan->scratch_bytes, config->scratch_bytes, ret_slab);
    if (__builtin_expect(verdict == FUSELN_VERDICT_OK, 1))
        return FUSELN_PAIRING_PAIRED;
    return verdict == FUSELN_VERDICT_CAPTURE   ? FUSELN_PAIRING_CAPTURED
           : verdict == FUSELN_VERDICT_SCRATCH ? FUSELN_PAIRING_NOSCRATCH
                                               : FUSELN_PAIRING_FAILED;
}

static inline struct fuseln_pending *claim(uint64_t *ret_state)
{
    for (size_t i = 0; i < PENDING_MAX; i++) {
        *ret_state = atomic_load_explicit(&table[i].state, memory_order_relaxed);
        if (phase_of(*ret_state) == EMPTY && turn(&table[i], ret_state, CLAIMED))
            return &table[i];
    }
    return NULL;
}

INLINE struct fuseln_pending *fuseln_pairing_begin(const struct fuseln_launch *launch, const struct fuseln_call *call,
                                                   const struct fuseln_plan *plan, struct fuseln_context *context,
                                                   struct fuseln_site *site, struct fuseln_slab **ret_slab)
{
    const struct fuseln_config *config = fuseln_config_get();
    enum fuseln_pairing what = may_pair(config, call, plan);
    struct fuseln_slab *slab = NULL;
    struct fuseln_pending *entry = NULL;
    uint64_t state;

    *ret_slab = NULL;
    if (what == FUSELN_PAIRING_PAIRED)
        what = get_slab(config, launch, plan, context, site, &slab);
    if ((what == FUSELN_PAIRING_PAIRED || what == FUSELN_PAIRING_ALONE) && !(entry = claim(&state))) {
        if (slab)
            fuseln_slab_give(slab);
        what = FUSELN_PAIRING_FULL;
    }
    if (what != FUSELN_PAIRING_PAIRED)
        count(site, what);
    if (!entry)
        return NULL;
    SET(entry, thread, &fuseln_thread_counter);
    SET(entry, dy, call->dy);
    SET(entry, x, call->x);
    SET(entry, mean, call->rms ? NULL : call->mean);
    SET(entry, rstd, call->rstd);
    SET(entry, target, launch->target);
    SET(entry, context, context);
    SET(entry, stream, key_of(launch->stream));
    SET(entry, rows, call->rows);
    SET(entry, cols, call->cols);
    SET(entry, slab, slab);
    SET(entry, site, site);
    atomic_fetch_add_explicit(&fuseln_pairing_count, 1, memory_order_relaxed);
    atomic_store_explicit(&entry->state, state - state % PHASES + ARMED, memory_order_release);
    *ret_slab = slab;
    return entry;
}

INLINE void fuseln_pairing_issued(struct fuseln_pending *pending, bool launched)
{
    uint64_t state = atomic_load_explicit(&pending->state, memory_order_acquire);

    if (phase_of(state) == ARMED && launched && turn(pending, &state, READY))
        return;
    struct fuseln_slab *slab = GET(pending, slab);
    if (phase_of(state) == ARMED && turn(pending, &state, CLAIMED) && slab)
        count(GET(pending, site), FUSELN_PAIRING_FAILED);
    if (slab) /* else it was forgotten meanwhile, and counted */
        fuseln_slab_give(slab);
    release(pending);
}

enum fuseln_verdict fuseln_pairing_launch_dx(const struct fuseln_launch *launch, struct fuseln_repeat *entry)
{
    struct fuseln_slab *slab;
    struct fuseln_pending *pending =
        fuseln_pairing_begin(launch, &entry->call, &entry->plan, entry->context, entry->site, &slab);
    const enum fuseln_verdict verdict = fuseln_repeat_issue(launch, entry, 0, slab);
    if (pending)
        fuseln_pairing_issued(pending, verdict == FUSELN_VERDICT_OK);
    return verdict;
}

enum fuseln_verdict fuseln_pairing_launch(const struct fuseln_launch *launch, struct fuseln_repeat *entry,
                                          int *ret_which)
{
    const struct fuseln_sums sums = fuseln_pairing_meet(launch, &entry->call, entry->context);

    if (fuseln_pairing_makes(&entry->call, &entry->plan))
        return fuseln_pairing_launch_dx(launch, entry);
    *ret_which = sums.slab != NULL;
    const enum fuseln_verdict verdict =
        sums.slab ? fuseln_repeat_issue(launch, entry, 1, sums.slab) : fuseln_repeat_launch(launch, entry);
    if (sums.site)
        fuseln_pairing_used(&sums, verdict == FUSELN_VERDICT_OK ? FUSELN_PAIRING_PAIRED : FUSELN_PAIRING_FAILED);
    return verdict;
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
