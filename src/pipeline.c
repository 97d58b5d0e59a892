/*
 * See pipeline.h. What decide says of a launch depends on few things (struct question); a thread keeps its last
 * answers, with the site, so that a launch which looks like an earlier one is decoded, launched and counted, and no
 * more.
 */
#include "pipeline.h"

#include "config.h"
#include "decide.h"
#include "kernels.h"
#include "log.h"
#include "measure.h"
#include "pairing.h"
#include "record.h"
#include "report.h"
#include "verify.h"

#include <errno.h>
#include <string.h>

/* All that decide and the site's key look at, besides settings that never change and launches declined by their hook.
 * The context stands for its device. */
struct question {
    const struct fuseln_target *target;
    const struct fuseln_context *context;
    int64_t rows, cols, out_rows;
    uint64_t low_bits;
    int runtime_device;
    int boundary;
};

struct answer {
    struct question question;
    struct fuseln_plan plan;
    struct fuseln_site *site;
    const char *kernel; /* name of plan.kernel[0] */
};

enum { ANSWERS = 16 };

static _Thread_local struct {
    struct answer answers[ANSWERS];
    unsigned generation;
} memory __attribute__((tls_model("initial-exec")));
static atomic_uint generation; /* of the process: a fork starts another, whose sites are new */

static inline __attribute__((always_inline)) struct answer *find_place(const struct fuseln_target *target,
                                                                       const struct fuseln_call *call)
{
    uint64_t hash = (uintptr_t)target ^ (uint64_t)call->cols << 20 ^ (uint64_t)call->rows;
    unsigned now = atomic_load_explicit(&generation, memory_order_relaxed);

    if (__builtin_expect(memory.generation != now, 0)) {
        memset(&memory, 0, sizeof(memory));
        memory.generation = now;
    }
    struct answer *place = &memory.answers[hash * 0x9e3779b97f4a7c15u >> 60];
    __asm__("" : "+r"(place)); /* an address, not a sum that is made again for each member */
    return place;
}

_Static_assert(ANSWERS == 16, "find_place takes the upper four bits");

static inline bool is_question(const struct question *q, const struct fuseln_launch *launch,
                               const struct fuseln_call *call, const struct fuseln_context *context)
{
    return q->target == launch->target && q->context == context && q->rows == call->rows && q->cols == call->cols &&
           q->out_rows == call->out_rows && q->low_bits == call->low_bits &&
           q->runtime_device == launch->runtime_device && q->boundary == launch->boundary;
}

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

/* The name of what was launched: of two kernels the first, unless its sums were there. */
static inline const char *kernel_name(const struct fuseln_plan *plan, const struct fuseln_slab *sums)
{
    return fuseln_variant_name(plan->kernel[sums != NULL]);
}

static __attribute__((noinline)) void record(const struct fuseln_case *given, struct fuseln_site *site,
                                             enum fuseln_verdict verdict, const struct fuseln_plan *plan,
                                             const struct fuseln_slab *sums)
{
    const bool replaced = verdict == FUSELN_VERDICT_OK;
    const int64_t rows = given->decoded == FUSELN_VERDICT_OK ? given->call->rows : 0;
    const char *kernel = replaced ? kernel_name(plan, sums) : NULL;

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

/* DX, which may make partial sums for its DGAMMA on the way. */
static __attribute__((noinline)) enum fuseln_verdict
carry_out_dx(const struct fuseln_launch *launch, struct fuseln_call *call, const struct fuseln_plan *plan,
             struct fuseln_context *context, struct fuseln_site *site, size_t scratch_bytes)
{
    struct fuseln_slab *slab;
    struct fuseln_pending *pending = fuseln_pairing_begin(launch, call, plan, context, site, &slab);
    const enum fuseln_verdict verdict = fuseln_kernel_launch(context, call, plan, launch->stream, scratch_bytes, slab);

    if (pending)
        fuseln_pairing_issued(pending, verdict == FUSELN_VERDICT_OK);
    return verdict;
}

static inline __attribute__((always_inline)) enum fuseln_verdict
carry_out(const struct fuseln_launch *launch, struct fuseln_call *call, const struct fuseln_plan *plan,
          struct fuseln_context *context, struct fuseln_site *site, const struct fuseln_config *config,
          const struct fuseln_slab *sums)
{
    if (plan->scratch_bytes && call->op == FUSELN_OP_DX)
        return carry_out_dx(launch, call, plan, context, site, config->scratch_bytes);
    return fuseln_kernel_launch(context, call, plan, launch->stream, config->scratch_bytes, sums);
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

/* The first launch of its kind in this thread, or one that is declined: decide in full. */
static __attribute__((noinline)) enum fuseln_course
run_in_full(const struct fuseln_launch *launch, struct fuseln_call *call, enum fuseln_verdict decoded,
            enum fuseln_verdict current, struct fuseln_context *context, const struct fuseln_slab *sums)
{
    const struct fuseln_case given = case_of(launch, call, decoded, current, context);
    struct fuseln_plan plan;
    /* Else the handle was learnt at the other boundary, which counts it. */
    if (!fuseln_config_hooks((enum fuseln_boundary)launch->boundary))
        return FUSELN_ORIGINAL;
    enum fuseln_verdict verdict = fuseln_decide(&given, &plan);
    struct fuseln_site *site = find_site(launch, &given, &plan);
    bool watch = false;

    if (verdict == FUSELN_VERDICT_OK)
        verdict = fuseln_verify_before(site, launch->target, given.config, &watch);
    if (verdict == FUSELN_VERDICT_OK && given.config->mode == FUSELN_MODE_MEASURE)
        verdict = run_measured(launch, call, &plan, context, site, given.config, &watch);
    else if (verdict == FUSELN_VERDICT_OK) {
        verdict = carry_out(launch, call, &plan, context, site, given.config, sums);
        *find_place(launch->target, call) = (struct answer){
            .question = {launch->target, context, call->rows, call->cols, call->out_rows, call->low_bits,
                         launch->runtime_device, launch->boundary},
            .plan = plan,
            .site = site,
            .kernel = fuseln_variant_name(plan.kernel[0]),
        };
    }
    record(&given, site, verdict, &plan, sums);
    return verdict == FUSELN_VERDICT_OK ? FUSELN_REPLACED : watch ? FUSELN_WATCHED : FUSELN_ORIGINAL;
}

/* A launch like an earlier one. */
static inline __attribute__((always_inline)) enum fuseln_course
run_known(const struct fuseln_launch *launch, struct fuseln_call *call, struct fuseln_context *context,
          const struct fuseln_config *config, const struct answer *answer, const struct fuseln_slab *sums)
{
    struct fuseln_site *const site = answer->site;
    const char *const kernel = sums ? kernel_name(&answer->plan, sums) : answer->kernel;
    const enum fuseln_verdict verdict = carry_out(launch, call, &answer->plan, context, site, config, sums);

    if (__builtin_expect(verdict != FUSELN_VERDICT_OK || config->trace[0], 0)) {
        const struct fuseln_case given = case_of(launch, call, FUSELN_VERDICT_OK, FUSELN_VERDICT_OK, context);
        record(&given, site, verdict, &answer->plan, sums);
        return verdict == FUSELN_VERDICT_OK ? FUSELN_REPLACED : FUSELN_ORIGINAL;
    }
    fuseln_site_substitute(site, call->rows, kernel);
    fuseln_report_tick(true);
    return FUSELN_REPLACED;
}

static inline __attribute__((always_inline)) enum fuseln_course
replace(const struct fuseln_launch *launch, struct fuseln_call *call, enum fuseln_verdict decoded,
        enum fuseln_verdict current, struct fuseln_context *context, const struct fuseln_config *config,
        const struct fuseln_slab *sums)
{
    if (decoded == FUSELN_VERDICT_OK && current == FUSELN_VERDICT_OK && launch->declined == FUSELN_VERDICT_OK) {
        const struct answer *answer = find_place(launch->target, call);
        if (is_question(&answer->question, launch, call, context))
            return run_known(launch, call, context, config, answer, sums);
    }
    return run_in_full(launch, call, decoded, current, context, sums);
}

static inline __attribute__((always_inline)) enum fuseln_course run(const struct fuseln_launch *launch)
{
    struct fuseln_call call;
    struct fuseln_sums sums = {NULL, NULL};
    const enum fuseln_verdict decoded = fuseln_decode(launch, &call);
    struct fuseln_context *context = NULL;
    const enum fuseln_verdict current = fuseln_context_current(&context);

    if (fuseln_pairing_any()) /* perhaps this launch's */
        sums = fuseln_pairing_meet(launch,
                                   decoded == FUSELN_VERDICT_OK && launch->declined == FUSELN_VERDICT_OK ? &call : NULL,
                                   current == FUSELN_VERDICT_OK ? context : NULL);
    const enum fuseln_course course = replace(launch, &call, decoded, current, context, fuseln_config_get(), sums.slab);
    if (__builtin_expect(sums.site != NULL, 0))
        fuseln_pairing_used(&sums, course == FUSELN_REPLACED ? FUSELN_PAIRING_PAIRED : FUSELN_PAIRING_FAILED);
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

void fuseln_pipeline_after_fork(void)
{
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
}
