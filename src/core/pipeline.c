/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See pipeline.h. A launch is decided once: one like it is then made again as it was (repeat.h), with its own pointers,
 * and counted, and no more.
 */
#include "core/pipeline.h"

#include "base/config.h"
#include "base/log.h"
#include "core/decide.h"
#include "core/measure.h"
#include "core/pairing.h"
#include "core/record.h"
#include "core/repeat.h"
#include "core/verify.h"
#include "kernels/host/device.h"
#include "report/report.h"

#include <errno.h>

static struct fuseln_site *find_site(const struct fuseln_launch *launch, const struct fuseln_case *given,
                                     const struct fuseln_plan *plan)
{
    const struct fuseln_target *target = launch->target;
    const bool decoded = given->decoded == FUSELN_VERDICT_OK;
    const struct fuseln_site_key key = {
        .target = target,
        .cols = decoded ? given->call->cols : 0,
        .device = given->device ? given->device->index : -1,
        .nulls = decoded ? fuseln_decode_null_roles(&target->layout, given->call) : 0,
        .width = plan->width,
        .boundary = (enum fuseln_boundary)launch->boundary,
    };
    bool is_new;
    struct fuseln_site *site = fuseln_site_get(&key, &is_new);

    if (is_new)
        pr_info("site %s cols=%lld rows=%lld in %s (build %s)", target->name, (long long)key.cols,
                decoded ? (long long)given->call->rows : 0, target->library->name,
                target->library->known ? "known" : "unverified");
    return site;
}

static void trace(const struct fuseln_site *site, const struct fuseln_launch *launch, int64_t rows, const char *kernel)
{
    const struct fuseln_trace_event event = {
        .site = site,
        .stream = launch->stream,
        .rows = rows,
        .grid = {launch->grid[0], launch->grid[1], launch->grid[2]},
        .block = {launch->block[0], launch->block[1], launch->block[2]},
        .kernel = kernel,
    };

    fuseln_trace(&event);
}

static __attribute__((noinline)) void record(const struct fuseln_case *given, struct fuseln_site *site,
                                             enum fuseln_verdict verdict, const struct fuseln_plan *plan, int which)
{
    const bool replaced = verdict == FUSELN_VERDICT_OK;
    const int64_t rows = given->decoded == FUSELN_VERDICT_OK ? given->call->rows : 0;
    const char *kernel = replaced ? fuseln_variant_name(plan->kernel[which]) : NULL;

    fuseln_site_record(site, verdict, rows, kernel);
    if (replaced && given->config->trace[0])
        trace(site, given->launch, rows, kernel);
    if (!replaced)
        pr_debug("%s: original launched: %s", given->launch->target->name, fuseln_verdict_text(verdict));
    fuseln_report_tick(replaced);
}

static struct fuseln_case case_of(const struct fuseln_launch *launch, const struct fuseln_call *call,
                                  enum fuseln_verdict decoded, enum fuseln_verdict current,
                                  const struct fuseln_context *context)
{
    return (struct fuseln_case){
        .launch = launch,
        .call = call,
        .decoded = decoded,
        .context = current,
        .device = current == FUSELN_VERDICT_OK ? fuseln_context_device(context) : NULL,
        .config = fuseln_config_get(),
    };
}

static enum fuseln_verdict carry_out(const struct fuseln_launch *launch, struct fuseln_call *call,
                                     const struct fuseln_plan *plan, struct fuseln_context *context,
                                     struct fuseln_site *site, const struct fuseln_config *config,
                                     struct fuseln_slab *sums)
{
    struct fuseln_pending *pending = NULL;

    if (fuseln_pairing_makes(call, plan))
        pending = fuseln_pairing_begin(launch, call, plan, context, site, &sums);
    const enum fuseln_verdict verdict =
        fuseln_kernel_launch(context, call, plan, launch->stream, config->scratch_bytes, sums);
    if (pending)
        fuseln_pairing_issued(pending, verdict == FUSELN_VERDICT_OK);
    return verdict;
}

/* FUSELN_MODE=measure. What is launched follows from what was measured; nothing is remembered. */
static enum fuseln_verdict run_measured(const struct fuseln_launch *launch, struct fuseln_call *call,
                                        const struct fuseln_plan *plan, struct fuseln_context *context,
                                        struct fuseln_site *site, const struct fuseln_config *config, bool *ret_watch)
{
    enum fuseln_verdict verdict = fuseln_measure_before(site, call, context, launch->stream, ret_watch);
    if (verdict != FUSELN_VERDICT_OK)
        return verdict;
    verdict = carry_out(launch, call, plan, context, site, config, NULL);
    fuseln_measure_after(launch->stream, verdict == FUSELN_VERDICT_OK);
    if (verdict == FUSELN_VERDICT_OK)
        fuseln_measure_count(site, call->rows);
    *ret_watch = false;
    return verdict;
}

static enum fuseln_course run_decided(const struct fuseln_case *given, struct fuseln_call *call,
                                      struct fuseln_context *context, struct fuseln_slab *sums)
{
    const struct fuseln_launch *launch = given->launch;
    struct fuseln_plan plan;
    /* Else the handle was learnt at the other boundary, which counts it. */
    if (!fuseln_config_hooks((enum fuseln_boundary)launch->boundary))
        return FUSELN_ORIGINAL;
    enum fuseln_verdict verdict = fuseln_decide(given, &plan);
    struct fuseln_site *site = find_site(launch, given, &plan);
    bool watch = false;

    if (verdict == FUSELN_VERDICT_OK)
        verdict = fuseln_verify_before(site, launch->target, given->config, &watch);
    if (verdict == FUSELN_VERDICT_OK && given->config->mode == FUSELN_MODE_MEASURE)
        verdict = run_measured(launch, call, &plan, context, site, given->config, &watch);
    else if (verdict == FUSELN_VERDICT_OK) {
        verdict = carry_out(launch, call, &plan, context, site, given->config, sums);
        if (verdict == FUSELN_VERDICT_OK && !given->config->trace[0])
            fuseln_repeat_keep(launch, call, &plan, context, site);
    }
    record(given, site, verdict, &plan, sums != NULL);
    return verdict == FUSELN_VERDICT_OK ? FUSELN_REPLACED : watch ? FUSELN_WATCHED : FUSELN_ORIGINAL;
}

/* The first launch of its kind in this thread, or one that is not replaced. */
static __attribute__((noinline)) enum fuseln_course run_first(const struct fuseln_launch *launch)
{
    struct fuseln_call call;
    struct fuseln_context *context = NULL;
    const enum fuseln_verdict decoded = fuseln_decode(launch, &call), current = fuseln_context_current(&context);
    const struct fuseln_case given = case_of(launch, &call, decoded, current, context);
    const bool known = decoded == FUSELN_VERDICT_OK && launch->declined == FUSELN_VERDICT_OK;
    struct fuseln_sums sums = {NULL, NULL};

    if (fuseln_pairing_any()) /* perhaps this launch's */
        sums = fuseln_pairing_meet(launch, known ? &call : NULL, current == FUSELN_VERDICT_OK ? context : NULL);
    const enum fuseln_course course = run_decided(&given, &call, context, sums.slab);
    if (sums.site)
        fuseln_pairing_used(&sums, course == FUSELN_REPLACED ? FUSELN_PAIRING_PAIRED : FUSELN_PAIRING_FAILED);
    return course;
}

/* A launch like an earlier one: launched and counted, and no more. */
static inline __attribute__((always_inline)) enum fuseln_course run_again(const struct fuseln_launch *launch,
                                                                          struct fuseln_repeat *entry)
{
    int which = 0;
    const enum fuseln_verdict verdict =
        fuseln_pairing_any() /* perhaps this launch's */   ? fuseln_pairing_launch(launch, entry, &which)
        : fuseln_pairing_makes(&entry->call, &entry->plan) ? fuseln_pairing_launch_dx(launch, entry)
                                                           : fuseln_repeat_launch(launch, entry);
    if (__builtin_expect(verdict != FUSELN_VERDICT_OK, 0)) {
        const struct fuseln_case given =
            case_of(launch, &entry->call, FUSELN_VERDICT_OK, FUSELN_VERDICT_OK, entry->context);
        record(&given, entry->site, verdict, &entry->plan, which);
        return FUSELN_ORIGINAL;
    }
    fuseln_site_substitute(entry->site, entry->names[which]);
    if (entry->reported)
        fuseln_report_tick_wanted(true);
    return FUSELN_REPLACED;
}

static inline __attribute__((always_inline)) enum fuseln_course run(const struct fuseln_launch *launch)
{
    struct fuseln_repeats *const repeats = fuseln_repeats;

    if (__builtin_expect(!repeats || repeats->busy, 0))
        return run_first(launch);
    repeats->busy = true;
    struct fuseln_repeat *const entry = fuseln_repeat_find(repeats, launch);
    if (__builtin_expect(!entry, 0)) {
        repeats->busy = false;
        return run_first(launch);
    }
    const enum fuseln_course course = run_again(launch, entry);
    repeats->busy = false;
    return course;
}

enum fuseln_course fuseln_pipeline_run(const struct fuseln_launch *launch)
{
    int *const error = &errno;
    const int saved_errno = *error;
    const enum fuseln_course course = run(launch);

    *error = saved_errno;
    return course;
}

void fuseln_pipeline_after(const struct fuseln_launch *launch)
{
    const int saved_errno = errno;
    struct fuseln_call call;
    struct fuseln_context *context = NULL;
    const enum fuseln_verdict decoded = fuseln_decode(launch, &call), current = fuseln_context_current(&context);
    const struct fuseln_case given = case_of(launch, &call, decoded, current, context);
    struct fuseln_plan plan;

    if (!fuseln_measure_after(launch->stream, true) && fuseln_decide(&given, &plan) == FUSELN_VERDICT_OK)
        fuseln_verify_after(find_site(launch, &given, &plan), &call, context, launch->stream, given.config);
    errno = saved_errno;
}
