/*
 * Carries out a plan: finds or loads the kernels in the current context and launches them on the host's stream.
 * The usual case is one table look-up and one cuLaunchKernel; only a kernel that this context has not launched yet, and
 * DGAMMA, which needs scratch, ask whether the stream is being captured. That a foreign stream belongs to the current
 * context is asked once per variant and context; later the driver itself refuses a function of another context.
 */
#include "context.h"

/* A launch under way. */
struct launch {
    const struct fuseln_driver *driver;
    struct fuseln_context *context;
    const struct fuseln_plan *plan;
    CUstream stream;
    CUfunction functions[2];
};

static bool capturing(const struct launch *launch)
{
    int status = 0;
    return launch->driver->stream_capturing(launch->stream, &status) != CUDA_SUCCESS || status != 0;
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

static enum fuseln_verdict verdict_of(uintptr_t slot)
{
    return slot == FUSELN_SLOT_REFUSED ? FUSELN_VERDICT_REFUSED
           : slot == FUSELN_SLOT_IMAGE ? FUSELN_VERDICT_IMAGE
                                       : FUSELN_VERDICT_OK;
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

static enum fuseln_verdict function_load(const struct launch *launch, const struct fuseln_variant *variant,
                                         CUfunction *ret_function)
{
    const uintptr_t module = module_load(launch, (enum fuseln_module)variant->module);
    if (module == FUSELN_SLOT_IMAGE) {
        atomic_store(&launch->context->functions[fuseln_variant_index(variant)], FUSELN_SLOT_IMAGE);
        return FUSELN_VERDICT_IMAGE;
    }
    if (!module || launch->driver->module_get_func(ret_function, (CUmodule)module, variant->name) != CUDA_SUCCESS)
        return FUSELN_VERDICT_REFUSED;
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
            verdict = function_load(launch, launch->plan->kernel[i], &launch->functions[i]);
    launch->driver->exchange_capture(&mode);
    return verdict;
}

static enum fuseln_verdict functions_get(struct launch *launch)
{
    const bool scratch = launch->plan->scratch_bytes != 0;
    bool missing = false;
    for (int i = 0; i < 2 && launch->plan->kernel[i]; i++) {
        const uintptr_t slot = atomic_load_explicit(
            &launch->context->functions[fuseln_variant_index(launch->plan->kernel[i])], memory_order_acquire);
        if (verdict_of(slot) != FUSELN_VERDICT_OK)
            return verdict_of(slot);
        launch->functions[i] = (CUfunction)slot;
        missing = missing || !slot;
    }
    if ((missing || scratch) && capturing(launch))
        return FUSELN_VERDICT_CAPTURE;
    if (!missing)
        return FUSELN_VERDICT_OK;
    return in_current_context(launch) ? functions_load(launch) : FUSELN_VERDICT_CONTEXT;
}

/* A kernel becomes known when its first launch succeeded: only then may a captured stream use it. */
static enum fuseln_verdict issue(const struct launch *launch, int which, struct fuseln_ln_params *params)
{
    const struct fuseln_plan *plan = launch->plan;
    _Atomic uintptr_t *slot = &launch->context->functions[fuseln_variant_index(plan->kernel[which])];
    void *arguments[] = {params};
    const CUresult result =
        launch->driver->launch_kernel(launch->functions[which], plan->grid[which], 1, 1, plan->block[which], 1, 1,
                                      plan->smem_bytes[which], launch->stream, arguments, NULL);
    if (result != CUDA_SUCCESS) {
        if (refused_for_good(result))
            atomic_store(slot, FUSELN_SLOT_REFUSED);
        return FUSELN_VERDICT_REFUSED;
    }
    if (!atomic_load_explicit(slot, memory_order_relaxed))
        atomic_store_explicit(slot, (uintptr_t)launch->functions[which], memory_order_release);
    return FUSELN_VERDICT_OK;
}

/* Partial sums, then their reduction. If the second is refused nothing of the host's has been written. */
static enum fuseln_verdict issue_pair(const struct launch *launch, struct fuseln_ln_params *params, size_t limit)
{
    unsigned long long stream_id;
    if (launch->driver->stream_get_id(launch->stream, &stream_id) != CUDA_SUCCESS)
        return FUSELN_VERDICT_CONTEXT;
    struct fuseln_slab *slab = fuseln_slab_take(launch->context, stream_id, launch->plan->scratch_bytes, limit);
    if (!slab)
        return FUSELN_VERDICT_SCRATCH;
    params->partials = (void *)(uintptr_t)slab->address;
    enum fuseln_verdict verdict = issue(launch, 0, params);
    if (verdict == FUSELN_VERDICT_OK)
        verdict = issue(launch, 1, params);
    fuseln_slab_give(slab);
    return verdict;
}

static struct fuseln_ln_params params_of(const struct fuseln_call *call, const struct fuseln_plan *plan)
{
    return (struct fuseln_ln_params){
        .x = call->x,
        .dy = call->dy,
        .gamma = call->gamma,
        .beta = call->rms ? NULL : call->beta,
        .mean = call->rms ? NULL : call->mean, /* this is how a kernel knows RMS norm */
        .rstd = call->rstd,
        .y = call->op == FUSELN_OP_MOMENTS ? NULL : call->y,
        .dx = call->dx,
        .dgamma = call->dgamma,
        .dbeta = call->rms ? NULL : call->dbeta,
        .rows = call->rows,
        .cols = call->cols,
        .partial_rows = plan->partial_rows,
        .out_rows = call->out_rows,
        .eps = call->eps,
        .width = (int)plan->width,
    };
}

enum fuseln_verdict fuseln_kernel_launch(struct fuseln_context *context, const struct fuseln_call *call,
                                         const struct fuseln_plan *plan, void *stream, size_t scratch_limit)
{
    struct launch launch = {fuseln_driver_get(), context, plan, (CUstream)stream, {NULL, NULL}};
    if (!launch.driver)
        return FUSELN_VERDICT_DRIVER;
    enum fuseln_verdict verdict = functions_get(&launch);
    if (verdict != FUSELN_VERDICT_OK)
        return verdict;
    struct fuseln_ln_params params = params_of(call, plan);
    return plan->scratch_bytes ? issue_pair(&launch, &params, scratch_limit) : issue(&launch, 0, &params);
}
