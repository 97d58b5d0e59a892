/*
 * See pipeline.h.
 */
#include "pipeline.h"

#include "config.h"
#include "decide.h"
#include "kernels.h"
#include "log.h"
#include "record.h"
#include "report.h"

#include <errno.h>

static struct fuseln_site *find_site(const struct fuseln_launch *launch, const struct fuseln_case *given,
                                     const struct fuseln_plan *plan)
{
    const struct fuseln_target *target = launch->target;
    const struct fuseln_site_key key = {
        .target = target,
        .cols = given->decoded == FUSELN_VERDICT_OK ? given->call->cols : 0,
        .device = given->device ? given->device->index : -1,
        .nulls = fuseln_decode_nulls(launch),
        .width = plan->width,
        .boundary = (enum fuseln_boundary)launch->boundary,
    };
    bool is_new;
    struct fuseln_site *site = fuseln_site_get(&key, &is_new);

    if (is_new)
        pr_info("site %s cols=%lld rows=%lld in %s (build %s)", target->name, (long long)key.cols,
                given->decoded == FUSELN_VERDICT_OK ? (long long)given->call->rows : 0, target->library->name,
                target->library->known ? "known" : "unverified");
    return site;
}

static void record(struct fuseln_site *site, const struct fuseln_launch *launch, enum fuseln_verdict verdict,
                   int64_t rows, const char *kernel)
{
    fuseln_site_record(site, verdict, rows, kernel);
    if (verdict == FUSELN_VERDICT_OK) {
        const struct fuseln_trace_event event = {
            .site = site,
            .stream = launch->stream,
            .rows = rows,
            .grid = {launch->grid[0], launch->grid[1], launch->grid[2]},
            .block = {launch->block[0], launch->block[1], launch->block[2]},
            .kernel = kernel,
        };
        fuseln_trace(&event);
    } else {
        pr_debug("%s: original launched: %s", launch->target->name, fuseln_verdict_text(verdict));
    }
    fuseln_report_tick(verdict == FUSELN_VERDICT_OK);
}

bool fuseln_pipeline_run(const struct fuseln_launch *launch)
{
    const int saved_errno = errno;
    struct fuseln_call call = {0};
    struct fuseln_plan plan;
    struct fuseln_context *context = NULL;
    struct fuseln_case given = {.launch = launch, .call = &call, .config = fuseln_config_get()};

    given.decoded = fuseln_decode(launch, &call);
    given.context = fuseln_context_current(&context);
    given.device = given.context == FUSELN_VERDICT_OK ? fuseln_context_device(context) : NULL;

    enum fuseln_verdict verdict = fuseln_decide(&given, &plan);
    if (verdict == FUSELN_VERDICT_OK)
        verdict = fuseln_kernel_launch(context, &call, &plan, launch->stream, given.config->scratch_bytes);
    record(find_site(launch, &given, &plan), launch, verdict, given.decoded == FUSELN_VERDICT_OK ? call.rows : 0,
           verdict == FUSELN_VERDICT_OK ? fuseln_variant_name(plan.kernel[0]) : NULL);
    errno = saved_errno;
    return verdict == FUSELN_VERDICT_OK;
}
