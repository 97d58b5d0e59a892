/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See pipeline.h. What was decided for a launch that was replaced is remembered: nearly all of a program's launches
 * differ from an earlier one in their addresses alone. All that fuseln_decide and the site's key look at is compared,
 * but for the settings, which never change. A decision is published once and never changes, so a launch reads it
 * without a lock; one that finds no free slot is decided each time. So are launches with an address that is
 * not aligned to 16 bytes.
 */
#include "core/pipeline.h"

#include "base/log.h"
#include "core/decide.h"
#include "core/measure.h"
#include "core/pairing.h"
#include "core/verify.h"

#include <string.h>

enum { SLOT_BITS = 12, SLOTS = 1 << SLOT_BITS, PROBES = 8 };

struct decision {
    const struct fuseln_target *target;
    const struct fuseln_context *context;
    int64_t rows, cols, out_rows;
    unsigned nulls;
    int runtime_device; /* of the driver's boundary none: it tells the boundaries apart */
    struct fuseln_site *site;
    struct fuseln_plan plan;
};

static struct decision decisions[SLOTS];
static _Atomic(const struct decision *) slots[SLOTS]; /* to the decision of the same index, once it is complete */
static const struct decision incomplete;              /* like no launch: it has no target */

static size_t first_slot(const struct fuseln_target *target, const struct fuseln_call *call)
{
    const uint64_t hash = (uintptr_t)target ^ (uint64_t)call->cols << 20 ^ (uint64_t)call->rows;
    return hash * 0x9e3779b97f4a7c15u >> (64 - SLOT_BITS);
}

static inline bool is_like(const struct decision *decision, const struct fuseln_pass *pass)
{
    const struct fuseln_launch *launch = pass->launch;
    const struct fuseln_call *call = &pass->call;

    return decision->target == launch->target && decision->context == pass->job.context &&
           decision->rows == call->rows && decision->cols == call->cols && decision->out_rows == call->out_rows &&
           decision->nulls == call->nulls && decision->runtime_device == launch->runtime_device;
}

static inline bool find_decision(struct fuseln_pass *pass)
{
    const size_t first = first_slot(pass->launch->target, &pass->call);

    for (size_t i = first; i != first + PROBES; i++) {
        const struct decision *decision = atomic_load_explicit(&slots[i % SLOTS], memory_order_acquire);
        if (!decision)
            return false;
        if (!is_like(decision, pass))
            continue;
        pass->site = decision->site;
        pass->job.plan = &decision->plan;
        return true;
    }
    return false;
}

/* The index of a slot that is this thread's to fill; SLOTS where there is none. */
static size_t claim_slot(size_t first)
{
    for (size_t i = first; i < first + PROBES; i++) {
        const struct decision *none = NULL;
        if (atomic_compare_exchange_strong(&slots[i % SLOTS], &none, &incomplete))
            return i % SLOTS;
    }
    return SLOTS;
}

static void add_decision(const struct fuseln_pass *pass)
{
    const struct fuseln_launch *launch = pass->launch;
    const struct fuseln_call *call = &pass->call;
    const size_t slot = claim_slot(first_slot(launch->target, call));

    if (slot == SLOTS)
        return;
    decisions[slot] = (struct decision){.target = launch->target,
                                        .context = pass->job.context,
                                        .rows = call->rows,
                                        .cols = call->cols,
                                        .out_rows = call->out_rows,
                                        .nulls = call->nulls,
                                        .runtime_device = launch->runtime_device,
                                        .site = pass->site,
                                        .plan = *pass->job.plan};
    atomic_store_explicit(&slots[slot], &decisions[slot], memory_order_release);
}

/* Were rows, cols and pointers read, and are they such? A user's row may have named the wrong arguments; reports count
 * to 2^53. */
static bool has_call(const struct fuseln_pass *pass)
{
    return (pass->decoded == FUSELN_VERDICT_OK || pass->decoded == FUSELN_VERDICT_REQUIRE) &&
           !((uint64_t)pass->call.rows >> 53) && !((uint64_t)pass->call.cols >> 53);
}

static struct fuseln_site *find_site(const struct fuseln_pass *pass)
{
    const struct fuseln_target *target = pass->launch->target;
    const bool decoded = has_call(pass);
    const struct fuseln_site_key key = {
        .target = target,
        .cols = decoded ? pass->call.cols : 0,
        .device = pass->device ? pass->device->index : -1,
        .nulls = decoded ? pass->call.nulls : 0,
        .width = pass->job.plan->width,
        .boundary = pass->launch->boundary,
    };
    bool is_new;
    struct fuseln_site *site = fuseln_site_get(&key, &is_new);

    if (is_new)
        pr_info("site %s cols=%lld rows=%lld in %s (build %s)", target->name, (long long)key.cols,
                decoded ? (long long)pass->call.rows : 0, target->library->name,
                target->library->known ? "known" : "unverified");
    return site;
}

static void begin(const struct fuseln_launch *launch, struct fuseln_pass *pass)
{
    pass->launch = launch;
    pass->config = fuseln_config_get();
    pass->decoded = fuseln_decode(launch, &pass->call);
    pass->job.context = fuseln_context_current();
    pass->job.stream = launch->stream;
}

/* Nothing has begun that fuseln_pipeline_end is to end. A launch that is replaced does not come there. */
static void begin_nothing(struct fuseln_pass *pass)
{
    pass->check = false;
    pass->saved.slab = pass->saved.hashes = NULL;
    pass->timer = NULL;
}

/* Is it a launch that may be replaced as one before it was? */
static bool is_known(struct fuseln_pass *pass)
{
    return pass->decoded == FUSELN_VERDICT_OK && pass->launch->declined == FUSELN_VERDICT_OK && !pass->call.low_bits &&
           find_decision(pass);
}

/* OK: ours is to be launched. */
static enum fuseln_verdict decide(struct fuseln_pass *pass)
{
    pass->device = pass->job.context ? fuseln_context_device(pass->job.context) : NULL;
    pass->located = pass->device ? FUSELN_VERDICT_OK : fuseln_context_missing();
    enum fuseln_verdict verdict = fuseln_decide(pass);
    pass->site = find_site(pass);
    if (verdict == FUSELN_VERDICT_OK)
        verdict = fuseln_verify_begin(pass);
    if (pass->check)
        fuseln_verify_save(pass);
    if (verdict == FUSELN_VERDICT_OK && pass->config->mode == FUSELN_MODE_MEASURE)
        verdict = fuseln_measure_begin(pass);
    pass->verdict = verdict;
    return verdict;
}

static inline enum fuseln_verdict launch_ours(struct fuseln_pass *pass)
{
    struct fuseln_pending *pending = NULL;

    if (pass->job.plan->scratch_bytes && pass->call.op == FUSELN_OP_DX)
        pending = fuseln_pairing_reserve(pass);
    const enum fuseln_verdict verdict = fuseln_kernel_launch(&pass->job, &pass->call);
    if (pending)
        fuseln_pairing_commit(pending, verdict == FUSELN_VERDICT_OK);
    return verdict;
}

static void record(const struct fuseln_pass *pass)
{
    fuseln_site_record(pass->site, pass->verdict, has_call(pass) ? pass->call.rows : 0,
                       pass->verdict == FUSELN_VERDICT_OK ? fuseln_job_kernel(&pass->job) : NULL);
    if (pass->verdict != FUSELN_VERDICT_OK)
        pr_debug("%s: original launched: %s", pass->launch->target->name, fuseln_verdict_text(pass->verdict));
}

/* A launch like none before it, or one that is decided each time. */
static __attribute__((noinline)) void run_first(struct fuseln_pass *pass)
{
    begin_nothing(pass);
    if (decide(pass) == FUSELN_VERDICT_OK)
        pass->verdict = launch_ours(pass);
    const bool replaced = pass->verdict == FUSELN_VERDICT_OK;

    if (pass->timer && pass->verdict != FUSELN_VERDICT_MEASURE) { /* else the original is timed */
        fuseln_timer_end(pass->timer, pass->launch->stream, replaced);
        pass->timer = NULL;
    }
    if (replaced && pass->config->mode == FUSELN_MODE_MEASURE)
        fuseln_measure_count(pass->site, pass->call.rows);
    else if (replaced && !pass->call.low_bits)
        add_decision(pass);
    record(pass);
}

static void run(struct fuseln_pass *pass)
{
    if (!is_known(pass)) {
        run_first(pass);
        return;
    }
    pass->verdict = launch_ours(pass);
    if (pass->verdict == FUSELN_VERDICT_OK) {
        fuseln_site_record_again(pass->site, fuseln_job_kernel(&pass->job));
        return;
    }
    begin_nothing(pass);
    record(pass);
}

void fuseln_pipeline_run(const struct fuseln_launch *launch, struct fuseln_pass *ret_pass)
{
    struct fuseln_sums sums = {NULL, NULL};

    begin(launch, ret_pass);
    if (fuseln_pairing_any()) /* perhaps for this launch */
        sums = fuseln_pairing_claim(ret_pass);
    ret_pass->job.sums = sums.slab;
    if (ret_pass->config->hooks >> launch->boundary & 1)
        run(ret_pass);
    else { /* the handle was learnt at the other boundary, which counts the launch */
        begin_nothing(ret_pass);
        ret_pass->verdict = FUSELN_VERDICT_OBSERVE;
        ret_pass->site = NULL;
    }
    if (sums.site)
        fuseln_pairing_consume(&sums, ret_pass->verdict == FUSELN_VERDICT_OK);
}

void fuseln_pipeline_end(const struct fuseln_pass *pass, bool launched)
{
    if (pass->timer)
        fuseln_timer_end(pass->timer, pass->launch->stream, launched);
    else if (pass->check && launched)
        fuseln_verify_start_check(pass);
    if (pass->saved.slab)
        fuseln_slab_release(pass->saved.slab);
    if (pass->saved.hashes)
        fuseln_slab_release(pass->saved.hashes);
}

void fuseln_pipeline_after_fork(void)
{
    memset(slots, 0, sizeof slots);
}
