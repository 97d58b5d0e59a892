/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries out a plan: finds or loads the kernels in the current context and launches them on the host's stream. A
 * launch like an earlier one comes by issue.h instead. Only a kernel that this context has not launched yet, and
 * DGAMMA that needs scratch, ask whether the stream is being captured. That a foreign stream belongs to the current
 * context is asked once per variant and context; later the driver itself refuses a function of another context.
 */
#include "kernels/host/check.h"
#include "kernels/host/issue.h"

/* A launch under way. */
struct launch {
    const struct fuseln_driver *driver;
    struct fuseln_context *context;
    const struct fuseln_plan *plan;
    CUstream stream;
    CUfunction functions[2];
    bool missing; /* this context has not launched one of them before */
};

bool fuseln_kernel_capturing(void *stream)
{
    const struct fuseln_driver *driver = fuseln_driver_known();
    return !driver || fuseln_driver_capturing(driver, (CUstream)stream);
}

enum fuseln_verdict fuseln_kernel_stream(void *stream, unsigned long long *ret_id)
{
    const struct fuseln_driver *driver = fuseln_driver_known();
    return driver && driver->stream_get_id((CUstream)stream, ret_id) == CUDA_SUCCESS ? FUSELN_VERDICT_OK
                                                                                     : FUSELN_VERDICT_CONTEXT;
}

static bool in_current_context(const struct launch *launch)
{
    CUcontext owner;
    unsigned long long id;
    if ((uintptr_t)launch->stream <= (uintptr_t)CU_STREAM_PER_THREAD) /* 0, 1: legacy; 2: per thread */
        return true;
    return launch->driver->stream_get_ctx(launch->stream, &owner) == CUDA_SUCCESS &&
           launch->driver->ctx_get_id(owner, &id) == CUDA_SUCCESS &&
           id + 1 == atomic_load_explicit(&launch->context->id, memory_order_relaxed);
}

/* Refused for what the kernel is: it would be refused again. */
static bool refused_for_good(CUresult result)
{
    return result == CUDA_ERROR_NO_BINARY_FOR_GPU || result == CUDA_ERROR_INVALID_IMAGE ||
           result == CUDA_ERROR_INVALID_PTX || result == CUDA_ERROR_UNSUPPORTED_PTX_VERSION ||
           result == CUDA_ERROR_NOT_SUPPORTED || result == CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
}

/* The module's slot: a CUmodule, FUSELN_SLOT_IMAGE, or 0 where an error that may pass got in the way. */
static uintptr_t module_load(const struct launch *launch, enum fuseln_module module)
{
    _Atomic uintptr_t *slot = &launch->context->modules[module];
    struct fuseln_device_record *record = atomic_load_explicit(&launch->context->record, memory_order_acquire);
    uintptr_t known = atomic_load_explicit(slot, memory_order_acquire);
    for (int ptx = 0; ptx < 2 && !known; ptx++) {
        const struct fuseln_image *image = fuseln_image_find(module, &record->device, ptx);
        CUmodule loaded;
        const CUresult result =
            image ? launch->driver->module_load_data(&loaded, image->data) : CUDA_ERROR_NO_BINARY_FOR_GPU;
        if (result == CUDA_SUCCESS) {
            if (!atomic_compare_exchange_strong(slot, &known, (uintptr_t)loaded)) {
                launch->driver->module_unload(loaded); /* another thread was first */
                return known;
            }
            atomic_store_explicit(&record->image, image, memory_order_release);
            return (uintptr_t)loaded;
        }
        if (!refused_for_good(result))
            return 0;
    }
    if (!known && atomic_compare_exchange_strong(slot, &known, FUSELN_SLOT_IMAGE))
        return FUSELN_SLOT_IMAGE;
    return known;
}

static enum fuseln_verdict function_load(const struct launch *launch, int which, CUfunction *ret_function)
{
    const struct fuseln_variant *variant = launch->plan->kernel[which];
    const uintptr_t module = module_load(launch, (enum fuseln_module)variant->module);
    if (module == FUSELN_SLOT_IMAGE) {
        atomic_store(fuseln_function_slot(launch->context, variant), FUSELN_SLOT_IMAGE);
        return FUSELN_VERDICT_IMAGE;
    }
    if (!module || launch->driver->module_get_func(ret_function, (CUmodule)module, variant->name) != CUDA_SUCCESS)
        return FUSELN_VERDICT_REFUSED;
    if (launch->plan->smem_bytes[which]) { /* if this fails, so will a launch that needs it */
        const struct fuseln_device_record *record =
            atomic_load_explicit(&launch->context->record, memory_order_acquire);
        launch->driver->func_set_attr(*ret_function, CU_FUNC_ATTR_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                      record->device.smem_optin_bytes - FUSELN_STATIC_BYTES);
    }
    return FUSELN_VERDICT_OK;
}

/* Load what is missing, under RELAXED: another thread may be capturing. */
static enum fuseln_verdict functions_load(struct launch *launch)
{
    enum fuseln_verdict verdict = FUSELN_VERDICT_OK;
    int mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    if (launch->driver->exchange_capture(&mode) != CUDA_SUCCESS)
        return FUSELN_VERDICT_REFUSED;
    for (int i = 0; i < 2 && launch->plan->kernel[i] && verdict == FUSELN_VERDICT_OK; i++)
        if (!launch->functions[i])
            verdict = function_load(launch, i, &launch->functions[i]);
    launch->driver->exchange_capture(&mode);
    return verdict;
}

static enum fuseln_verdict functions_get(struct launch *launch)
{
    for (int i = 0; i < 2 && launch->plan->kernel[i]; i++) {
        const uintptr_t slot =
            atomic_load_explicit(fuseln_function_slot(launch->context, launch->plan->kernel[i]), memory_order_acquire);
        if (slot == FUSELN_SLOT_REFUSED || slot == FUSELN_SLOT_IMAGE)
            return slot == FUSELN_SLOT_REFUSED ? FUSELN_VERDICT_REFUSED : FUSELN_VERDICT_IMAGE;
        launch->functions[i] = (CUfunction)slot;
        launch->missing = launch->missing || !slot;
    }
    if (!launch->missing)
        return FUSELN_VERDICT_OK;
    if (fuseln_driver_capturing(launch->driver, launch->stream))
        return FUSELN_VERDICT_CAPTURE;
    return in_current_context(launch) ? functions_load(launch) : FUSELN_VERDICT_CONTEXT;
}

enum fuseln_verdict fuseln_kernel_refused(struct fuseln_context *context, const struct fuseln_plan *plan, int which,
                                          CUstream stream, CUresult result)
{
    const struct launch launch = {.driver = fuseln_driver_known(), .context = context, .stream = stream};
    if (refused_for_good(result))
        atomic_store(fuseln_function_slot(context, plan->kernel[which]), FUSELN_SLOT_REFUSED);
    return in_current_context(&launch) ? FUSELN_VERDICT_REFUSED : FUSELN_VERDICT_CONTEXT;
}

/* A call is the first part of the parameters. */
#define SAME_PLACE(member)                                                                        \
    _Static_assert(offsetof(struct fuseln_call, member) - offsetof(struct fuseln_call, params) == \
                       offsetof(struct fuseln_ln_params, member),                                 \
                   #member)
SAME_PLACE(rows);
SAME_PLACE(eps);
SAME_PLACE(x);
SAME_PLACE(mean);
SAME_PLACE(dx);
SAME_PLACE(out_rows);

void fuseln_call_restrict(struct fuseln_call *call)
{
    if (call->op == FUSELN_OP_MOMENTS)
        call->y = NULL;
    if (call->rms) {
        call->mean = NULL; /* this is how a kernel knows RMS norm */
        call->beta = NULL;
        call->dbeta = NULL;
    }
}

static void params_complete(struct fuseln_call *call, const struct fuseln_plan *plan, const struct fuseln_slab *slab)
{
    struct fuseln_ln_params *params = &call->params;
    params->partials = slab ? (void *)(uintptr_t)slab->address : NULL;
    params->partial_rows = plan->partial_rows;
    params->parts = plan->parts;
    params->inverse_cols = plan->inverse_cols;
    params->inverse_cols_f = plan->inverse_cols_f;
    params->eps_f = (float)call->eps;
    params->width = (int)plan->width;
    params->log_lanes = (int)plan->log_lanes;
    params->stages = (int)plan->stages;
    if (plan->restricted)
        fuseln_call_restrict(call);
}

/* A kernel becomes known when its first launch succeeded: only then may a captured stream use it. */
static enum fuseln_verdict issue(const struct launch *launch, int which, void *params)
{
    _Atomic uintptr_t *slot = fuseln_function_slot(launch->context, launch->plan->kernel[which]);
    const CUresult result =
        fuseln_issue(launch->driver, launch->functions[which], launch->plan, which, launch->stream, params);
    if (result != CUDA_SUCCESS)
        return fuseln_kernel_refused(launch->context, launch->plan, which, launch->stream, result);
    if (launch->missing && !atomic_load_explicit(slot, memory_order_relaxed))
        atomic_store_explicit(slot, (uintptr_t)launch->functions[which], memory_order_release);
    return FUSELN_VERDICT_OK;
}

/* Partial sums, then their reduction. If the second is refused nothing of the host's has been written. */
static enum fuseln_verdict issue_pair(const struct launch *launch, struct fuseln_call *call, size_t limit)
{
    struct fuseln_slab *slab;
    enum fuseln_verdict verdict =
        fuseln_slab_get(launch->context, launch->stream, launch->plan->scratch_bytes, limit, &slab);
    if (verdict != FUSELN_VERDICT_OK)
        return verdict;
    params_complete(call, launch->plan, slab);
    verdict = issue(launch, 0, &call->params);
    if (verdict == FUSELN_VERDICT_OK)
        verdict = issue(launch, 1, &call->params);
    fuseln_slab_give(slab);
    return verdict;
}

enum fuseln_verdict fuseln_kernel_launch(struct fuseln_context *context, struct fuseln_call *call,
                                         const struct fuseln_plan *plan, void *stream, size_t scratch_limit,
                                         const struct fuseln_slab *sums)
{
    struct launch launch = {fuseln_driver_known(), context, plan, (CUstream)stream, {NULL, NULL}, false};
    const enum fuseln_verdict verdict = functions_get(&launch);
    if (verdict != FUSELN_VERDICT_OK)
        return verdict;
    if (plan->kernel[1] && !sums)
        return issue_pair(&launch, call, scratch_limit);
    params_complete(call, plan, sums);
    return issue(&launch, plan->kernel[1] != NULL, &call->params);
}

enum fuseln_verdict fuseln_kernel_launch_check(struct fuseln_context *context, const struct fuseln_plan *plan,
                                               void *stream, struct fuseln_check_params *params)
{
    struct launch launch = {fuseln_driver_known(), context, plan, (CUstream)stream, {NULL, NULL}, false};
    const enum fuseln_verdict verdict = functions_get(&launch);
    return verdict == FUSELN_VERDICT_OK ? issue(&launch, 0, params) : verdict;
}
