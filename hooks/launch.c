/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See launch.h. The order is: count > find > (foreign: invalidate what it may change, launch the original) or
 * (recognised: pipeline, original unless replaced, end of a check or measurement, trace and report). A user's row that
 * is to be proven goes both ways: the original first.
 */
#include "hooks/launch.h"

#include "core/foreign.h"
#include "core/pipeline.h"
#include "hooks/process.h"
#include "hooks/proof.h"
#include "hooks/real.h"
#include "report/report.h"

#include <errno.h>
#include <string.h>

/* Programmatic serialisation only lets a kernel start earlier: dropping it is safe. Nothing else is. */
static enum fuseln_verdict check_attributes(const struct fuseln_launch_config *config)
{
    enum { IGNORE = 0, PROGRAMMATIC_SERIALIZATION = 6 };
    const struct fuseln_attribute *const attributes = config->attributes;
    for (unsigned i = 0; attributes && i < config->attribute_count; i++)
        if (attributes[i].id != IGNORE && attributes[i].id != PROGRAMMATIC_SERIALIZATION)
            return FUSELN_VERDICT_ATTRIBUTE;
    return FUSELN_VERDICT_OK;
}

/* Arguments packed in one buffer (CU_LAUNCH_PARAM_*): each at the next multiple of its size, as in a C struct. */
static bool unpack(const struct fuseln_layout *layout, void **extra, void **ret_args)
{
    enum { END, BUFFER, SIZE };
    char *buffer = NULL;
    size_t bytes = 0, at = 0;

    for (; (uintptr_t)extra[0] != END; extra += 2) {
        if ((uintptr_t)extra[0] == BUFFER)
            buffer = extra[1];
        else if ((uintptr_t)extra[0] == SIZE && extra[1])
            bytes = *(const size_t *)extra[1];
        else
            return false;
    }
    for (unsigned i = 0; i < layout->count; i++) {
        const size_t size = fuseln_arg_bytes((enum fuseln_arg_type)layout->type[i]);
        at = (at + size - 1) / size * size;
        ret_args[i] = buffer + at;
        at += size;
    }
    return buffer && at <= bytes;
}

/* As struct fuseln_launch has it. */
static int find_device(const struct fuseln_hooked *hooked)
{
    void *get_device = hooked->get_device;
    int device;
    if (!get_device && hooked->launch.boundary == FUSELN_BOUNDARY_DRIVER)
        return -2;
    if (!get_device)
        get_device = fuseln_real_find(hooked->node, FUSELN_REAL_GET_DEVICE, hooked->caller);
    return get_device && ((int (*)(int *))get_device)(&device) == 0 ? device : -1;
}

/* The original may be somebody's wrapper that comes back to a hook of ours: it is the same launch. Before that it may
 * launch kernels of its own. */
static int launch_original(const struct fuseln_hooked *hooked)
{
    const void *const outer = fuseln_thread_counter.launching;
    fuseln_thread_counter.launching = hooked->function;
    const int rc = hooked->original(hooked);
    fuseln_thread_counter.launching = outer;
    return rc;
}

/* Completes hooked->launch; the arguments may stand in unpacked, which must live as long. */
static void prepare_special(struct fuseln_hooked *hooked, void **unpacked)
{
    struct fuseln_launch *launch = &hooked->launch;

    if (hooked->config && launch->declined == FUSELN_VERDICT_OK)
        launch->declined = check_attributes(hooked->config);
    if (!hooked->extra)
        return;
    if (launch->args || !unpack(&launch->target->layout, hooked->extra, unpacked))
        launch->declined = FUSELN_VERDICT_GEOMETRY; /* the driver knows what it is; we do not */
    else
        launch->args = unpacked;
}

/* A foreign norm's launch is counted where its handle was learnt: at the driver, or above it. */
static void count_norm(const struct fuseln_hooked *hooked)
{
    struct fuseln_foreign *norm = fuseln_registry_foreign(hooked->function);
    if (norm && fuseln_config_hooks(hooked->launch.boundary))
        atomic_fetch_add_explicit(&norm->launches, 1, memory_order_relaxed);
}

static int launch_foreign(const struct fuseln_hooked *hooked)
{
    if (fuseln_pairing_any())
        fuseln_pairing_foreign_launch(hooked->launch.stream);
    return launch_original(hooked);
}

/* The pipeline could not, or should not, replace the launch. */
static __attribute__((noinline)) int launch_declined(const struct fuseln_hooked *hooked, const struct fuseln_pass *pass)
{
    const int rc = launch_original(hooked);
    const int errno_of_original = errno;

    fuseln_pipeline_end(pass, rc == 0);
    if (pass->site)
        fuseln_report_tick(false);
    errno = errno_of_original;
    return rc;
}

static int launch_recognised(struct fuseln_hooked *hooked)
{
    void *unpacked[FUSELN_ARGS_MAX];
    struct fuseln_pass pass;
    int *const error = &errno;
    const int saved_errno = *error;
    hooked->launch.runtime_device = find_device(hooked);
    if (hooked->special)
        prepare_special(hooked, unpacked);
    fuseln_pipeline_run(&hooked->launch, &pass);
    *error = saved_errno;
    if (pass.verdict != FUSELN_VERDICT_OK)
        return launch_declined(hooked, &pass);
    if (pass.config->trace[0])
        fuseln_trace(&pass);
    if (pass.config->report[0])
        fuseln_report_tick(true);
    return 0;
}

static int original_was_launched(const struct fuseln_hooked *hooked)
{
    (void)hooked;
    return 0;
}

/* A user's row that is not proven: nothing of a launch is read before it is. Once its original was launched it goes the
 * way of one that may not be replaced, which counts it with its site; where the proof must wait, with one without
 * columns. At the driver nobody can be asked. Apart, as two below: launch_any needs no registers for them. */
static __attribute__((noinline)) int launch_unproven(struct fuseln_hooked *hooked)
{
    struct fuseln_launch *launch = &hooked->launch;
    const int rc = launch_foreign(hooked);
    const int errno_of_original = errno;
    const enum fuseln_verdict proof =
        rc == 0 && launch->boundary == FUSELN_BOUNDARY_RUNTIME
            ? fuseln_proof_of_launched(launch->target, launch->stream, hooked->node, hooked->caller)
            : FUSELN_VERDICT_FAILED;

    errno = errno_of_original;
    if (proof == FUSELN_VERDICT_FAILED)
        return rc;
    launch->declined = proof == FUSELN_VERDICT_OK ? FUSELN_VERDICT_CHECK : proof;
    if (fuseln_config_get()->mode == FUSELN_MODE_OBSERVE)
        launch->declined = FUSELN_VERDICT_OBSERVE;
    launch->args = proof == FUSELN_VERDICT_OK ? hooked->args : NULL;
    hooked->original = original_was_launched;
    return launch_recognised(hooked);
}

/* No target was found. */
static __attribute__((noinline)) int launch_unknown(const struct fuseln_hooked *hooked)
{
    count_norm(hooked);
    return launch_foreign(hooked);
}

/* In a thread that has joined. Inline: else the compiler puts a part of fuseln_launch into each hook. */
static inline __attribute__((always_inline)) int launch_any(struct fuseln_hooked *hooked)
{
    if (fuseln_thread_counter.launching == hooked->function) {
        fuseln_thread_counter.launching = NULL; /* it came back, or the original was left by a jump */
        return launch_foreign(hooked);
    }
    fuseln_record_launch(hooked->launch.boundary);
    const struct fuseln_target *target = hooked->launch.target = fuseln_registry_find(hooked->function);
    if (!target)
        return launch_unknown(hooked);
    return fuseln_target_is_proven(target) ? launch_recognised(hooked) : launch_unproven(hooked);
}

static __attribute__((noinline)) int launch_first(struct fuseln_hooked *hooked)
{
    fuseln_process_join();
    return launch_any(hooked);
}

int fuseln_launch(struct fuseln_hooked *hooked)
{
    return __builtin_expect(fuseln_thread_counter.joined, 1) ? launch_any(hooked) : launch_first(hooked);
}

int fuseln_launch_ex(struct fuseln_hooked *hooked, const struct fuseln_launch_config *config, bool ptsz)
{
    hooked->config = config;
    if (!config) /* the original's to refuse */
        return hooked->original(hooked);
    memcpy(hooked->launch.grid, config->grid, sizeof hooked->launch.grid);
    memcpy(hooked->launch.block, config->block, sizeof hooked->launch.block);
    hooked->launch.stream = fuseln_launch_stream(config->stream, ptsz);
    hooked->special = config->attributes || hooked->extra;
    return fuseln_launch(hooked);
}
