/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See repeat.h. All parts lie in one static array: in thread-local storage, which is taken from the stacks of the
 * program's threads, they would be too large.
 */
#include "core/repeat.h"

#include "base/thread.h"

enum { THREADS = 32 };

static struct fuseln_repeats all[THREADS];
_Thread_local struct fuseln_repeats *fuseln_repeats __attribute__((tls_model("initial-exec")));

/* At a thread's end. In a child after fork it is no longer the thread's. */
static void give_back(void *address)
{
    struct fuseln_repeats *repeats = address;
    if (fuseln_repeats != repeats)
        return;
    fuseln_repeats = NULL;
    repeats->busy = false;
    memset(repeats->entries, 0, sizeof repeats->entries);
    atomic_store(&repeats->taken, false);
}

static bool take(void)
{
    for (size_t i = 0; i < THREADS; i++) {
        if (atomic_load_explicit(&all[i].taken, memory_order_relaxed) || atomic_exchange(&all[i].taken, true))
            continue;
        fuseln_repeats = &all[i];
        fuseln_thread_at_exit(give_back, &all[i]);
        return true;
    }
    return false;
}

void fuseln_repeat_keep(const struct fuseln_launch *launch, const struct fuseln_call *call,
                        const struct fuseln_plan *plan, struct fuseln_context *context, struct fuseln_site *site)
{
    if ((!fuseln_repeats && !take()) || fuseln_repeats->busy)
        return;
    struct fuseln_repeat *entry = fuseln_repeat_place(fuseln_repeats, launch->target, call->rows, call->cols);
    *entry = (struct fuseln_repeat){
        .target = launch->target,
        .grid = {launch->grid[0], launch->grid[1], launch->grid[2]},
        .runtime_device = launch->runtime_device,
        .boundary = launch->boundary,
        .context_id = atomic_load_explicit(&context->id, memory_order_relaxed),
        .context = context,
        .site = site,
        .plan = *plan,
        .call = *call,
        .reported = fuseln_config_get()->report[0] != '\0',
    };
    for (int i = 0; i < 2 && plan->kernel[i]; i++) {
        entry->functions[i] = fuseln_function_slot(context, plan->kernel[i]);
        entry->names[i] = fuseln_variant_name(plan->kernel[i]);
    }
}

void fuseln_repeat_after_fork(void)
{
    fuseln_repeats = NULL;
    for (size_t i = 0; i < THREADS; i++) /* one in a launch is left to it, and to nobody after it */
        if (atomic_load(&all[i].taken) && !all[i].busy)
            memset(&all[i], 0, sizeof all[i]);
}
