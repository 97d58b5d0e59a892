/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries out a plan: finds or loads the kernels in the current context and launches them on the host's stream, by the
 * one function that issues kernels. Only a kernel that this context has not launched yet, and DGAMMA that needs
 * scratch, ask whether the stream is being captured. That a foreign stream belongs to the current context is asked once
 * per variant and context; later the driver itself refuses a function of another context.
 */
#include "kernels/host/context.h"

bool fuseln_kernel_capturing(void *stream)
{
    int status = 0; /* if the query fails, it may be */
    return fuseln_driver_known()->stream_capturing((CUstream)stream, &status) != CUDA_SUCCESS || status != 0;
}

enum fuseln_verdict fuseln_kernel_stream(void *stream, unsigned long long *ret_id)
{
    const CUresult result = fuseln_driver_known()->stream_get_id((CUstream)stream, ret_id);
    return result == CUDA_SUCCESS ? FUSELN_VERDICT_OK : FUSELN_VERDICT_CONTEXT;
}

static bool in_current_context(const struct fuseln_job *job)
{
    const struct fuseln_driver *driver = fuseln_driver_known();
    CUstream stream = (CUstream)job->stream;
    CUcontext owner;
    unsigned long long id;
    if ((uintptr_t)stream <= (uintptr_t)CU_STREAM_PER_THREAD) /* 0, 1: legacy; 2: per thread */
        return true;
    return driver->stream_get_ctx(stream, &owner) == CUDA_SUCCESS && driver->ctx_get_id(owner, &id) == CUDA_SUCCESS &&
           id + 1 == atomic_load_explicit(&job->context->id, memory_order_relaxed);
}

/* Refused for what the kernel is: it would be refused again. */
static bool refused_for_good(CUresult result)
{
    return result == CUDA_ERROR_NO_BINARY_FOR_GPU || result == CUDA_ERROR_INVALID_IMAGE ||
           result == CUDA_ERROR_INVALID_PTX || result == CUDA_ERROR_UNSUPPORTED_PTX_VERSION ||
           result == CUDA_ERROR_NOT_SUPPORTED || result == CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
}

/* The module's slot: a CUmodule, FUSELN_SLOT_IMAGE, or 0 where an error that may pass got in the way. */
static uintptr_t module_load(struct fuseln_context *context, enum fuseln_module module)
{
    const struct fuseln_driver *driver = fuseln_driver_known();
    struct fuseln_device_record *record = context->record;
    _Atomic uintptr_t *slot = &context->modules[module];
    uintptr_t known = atomic_load_explicit(slot, memory_order_acquire);
    for (int ptx = 0; ptx < 2 && !known; ptx++) {
        const struct fuseln_image *image = fuseln_image_find(module, &record->device, ptx);
        CUmodule loaded;
        const CUresult result = image ? driver->module_load_data(&loaded, image->data) : CUDA_ERROR_NO_BINARY_FOR_GPU;
        if (result == CUDA_SUCCESS) {
            if (!atomic_compare_exchange_strong(slot, &known, (uintptr_t)loaded)) {
                driver->module_unload(loaded); /* another thread was first */
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

/* Where the plan's kernel stands in the context. */
static inline _Atomic uintptr_t *slot_of(const struct fuseln_job *job, int which)
{
    return fuseln_function_slot(job->context, job->plan->kernel[which]);
}

static enum fuseln_verdict function_load(const struct fuseln_job *job, int which, uintptr_t *ret_function)
{
    const struct fuseln_driver *driver = fuseln_driver_known();
    const struct fuseln_variant *variant = job->plan->kernel[which];
    const uintptr_t module = module_load(job->context, (enum fuseln_module)variant->module);
    CUfunction function;
    if (module == FUSELN_SLOT_IMAGE) {
        atomic_store(slot_of(job, which), FUSELN_SLOT_IMAGE);
        return FUSELN_VERDICT_IMAGE;
    }
    if (!module || driver->module_get_func(&function, (CUmodule)module, variant->name) != CUDA_SUCCESS)
        return FUSELN_VERDICT_REFUSED;
    if (job->plan->smem_bytes[which]) { /* if this fails, so will a launch that needs it */
        const struct fuseln_device_record *record = job->context->record;
        driver->func_set_attr(function, CU_FUNC_ATTR_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                              record->device.smem_optin_bytes - FUSELN_STATIC_BYTES);
    }
    *ret_function = (uintptr_t)function;
    return FUSELN_VERDICT_OK;
}

/* Loads a kernel that this context has not launched yet, under RELAXED: another thread may be capturing. */
static enum fuseln_verdict function_get(const struct fuseln_job *job, int which, uintptr_t *ret_function)
{
    const struct fuseln_driver *driver = fuseln_driver_known();
    const uintptr_t known = atomic_load_explicit(slot_of(job, which), memory_order_acquire);
    int mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    if (known == FUSELN_SLOT_REFUSED || known == FUSELN_SLOT_IMAGE)
        return known == FUSELN_SLOT_REFUSED ? FUSELN_VERDICT_REFUSED : FUSELN_VERDICT_IMAGE;
    *ret_function = known;
    if (known)
        return FUSELN_VERDICT_OK;
    if (fuseln_kernel_capturing(job->stream))
        return FUSELN_VERDICT_CAPTURE;
    if (!in_current_context(job))
        return FUSELN_VERDICT_CONTEXT;
    if (driver->exchange_capture(&mode) != CUDA_SUCCESS)
        return FUSELN_VERDICT_REFUSED;
    const enum fuseln_verdict verdict = function_load(job, which, ret_function);
    driver->exchange_capture(&mode);
    return verdict;
}

static __attribute__((noinline)) enum fuseln_verdict refused(const struct fuseln_job *job, int which, CUresult result)
{
    if (refused_for_good(result))
        atomic_store(slot_of(job, which), FUSELN_SLOT_REFUSED);
    return in_current_context(job) ? FUSELN_VERDICT_REFUSED : FUSELN_VERDICT_CONTEXT;
}

/*
 * May this kernel start before what is ahead of it on the stream has ended? Only the reduction, which waits for that
 * itself (kernels/gradient.cuh): ahead of it is our own pass, in the same call or, for a pair, as nothing came between.
 * Not on default streams, which other streams are in order with, nor in stream capture, whose launches become nodes of
 * a graph that the program may look at.
 */
static inline bool may_start_early(const struct fuseln_job *job, int which)
{
    enum { HOPPER = 9 }; /* code for what is older does not wait */
    return which == 1 && (uintptr_t)job->stream > (uintptr_t)CU_STREAM_PER_THREAD &&
           job->context->record->device.cc_major >= HOPPER &&
           !(job->sums && atomic_load_explicit(&job->sums->capture_id, memory_order_relaxed)) &&
           !atomic_load_explicit(&job->context->serial, memory_order_relaxed);
}

/* The one function that launches our kernels: kernel[which] of the job's plan, params its one argument. */
static inline enum fuseln_verdict issue(const struct fuseln_job *job, int which, uintptr_t function, void *params)
{
    const struct fuseln_driver *driver = fuseln_driver_known();
    const unsigned grid = job->plan->grid[which], block = job->plan->block[which], smem = job->plan->smem_bytes[which];
    const CUstream stream = (CUstream)job->stream;
    const bool early = may_start_early(job, which);
    void *arguments[] = {params};
    CUresult result = CUDA_ERROR_NOT_SUPPORTED;

    if (early) {
        const struct CUlaunchAttribute attribute = {.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
                                                    .value.programmatic_serialization = 1};
        const struct CUlaunchConfig config = {{grid, 1, 1}, {block, 1, 1}, smem, stream, &attribute, 1};
        result = driver->launch_kernel_ex(&config, (CUfunction)function, arguments, NULL);
    }
    if (result != CUDA_SUCCESS) {
        result = driver->launch_kernel((CUfunction)function, grid, 1, 1, block, 1, 1, smem, stream, arguments, NULL);
        if (early && result == CUDA_SUCCESS) /* it was the attribute that was refused */
            atomic_store_explicit(&job->context->serial, true, memory_order_relaxed);
    }
    return result == CUDA_SUCCESS ? FUSELN_VERDICT_OK : refused(job, which, result);
}

/* A kernel becomes known to its context when its first launch succeeded: only then may a captured stream use it. */
static __attribute__((noinline)) enum fuseln_verdict issue_first(const struct fuseln_job *job, int which, void *params)
{
    uintptr_t function;
    enum fuseln_verdict verdict = function_get(job, which, &function);
    if (verdict == FUSELN_VERDICT_OK)
        verdict = issue(job, which, function, params);
    if (verdict == FUSELN_VERDICT_OK)
        atomic_store_explicit(slot_of(job, which), function, memory_order_release);
    return verdict;
}

static inline enum fuseln_verdict issue_kernel(const struct fuseln_job *job, int which, void *params)
{
    const uintptr_t known = atomic_load_explicit(slot_of(job, which), memory_order_acquire);
    return known > FUSELN_SLOT_IMAGE ? issue(job, which, known, params) : issue_first(job, which, params);
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
SAME_PLACE(rms);
#undef SAME_PLACE

static void *memory_of(const struct fuseln_slab *slab)
{
    return slab ? (void *)(uintptr_t)slab->address : NULL;
}

/* Can both kernels be had? Else neither is launched, and no scratch is taken. */
static enum fuseln_verdict get_both(const struct fuseln_job *job)
{
    enum fuseln_verdict verdict = FUSELN_VERDICT_OK;
    for (int which = 0; which < 2 && verdict == FUSELN_VERDICT_OK; which++) {
        uintptr_t function;
        if (atomic_load_explicit(slot_of(job, which), memory_order_acquire) <= FUSELN_SLOT_IMAGE)
            verdict = function_get(job, which, &function);
    }
    return verdict;
}

/* Partial sums, then their reduction. If the second is refused nothing of the host's has been written. */
static __attribute__((noinline)) enum fuseln_verdict issue_both(const struct fuseln_job *job, struct fuseln_call *call)
{
    struct fuseln_slab *slab;
    enum fuseln_verdict verdict = get_both(job);
    if (verdict == FUSELN_VERDICT_OK)
        verdict = fuseln_slab_acquire(job, &slab);
    if (verdict != FUSELN_VERDICT_OK)
        return verdict;
    fuseln_params_plan(&call->params, job->plan, memory_of(slab));
    for (int which = 0; which < 2 && verdict == FUSELN_VERDICT_OK; which++)
        verdict = issue_kernel(job, which, &call->params);
    fuseln_slab_release(slab);
    return verdict;
}

const char *fuseln_job_kernel(const struct fuseln_job *job)
{
    const struct fuseln_plan *plan = job->plan;
    return fuseln_variant_name(plan->kernel[1] && job->sums ? plan->kernel[1] : plan->kernel[0]);
}

enum fuseln_verdict fuseln_kernel_launch(const struct fuseln_job *job, struct fuseln_call *call)
{
    const bool two = job->plan->kernel[1];
    if (two && !job->sums)
        return issue_both(job, call);
    fuseln_params_plan(&call->params, job->plan, memory_of(job->sums));
    return issue_kernel(job, two, &call->params);
}

enum fuseln_verdict fuseln_kernel_launch_check(const struct fuseln_job *job, struct fuseln_check_params *params)
{
    return issue_kernel(job, 0, params);
}

/* A copy, unlike a kernel, might go to a stream of another context. */
enum fuseln_verdict fuseln_kernel_copy(const struct fuseln_job *job, void *to, const void *from, size_t bytes)
{
    if (!in_current_context(job))
        return FUSELN_VERDICT_CONTEXT;
    const CUresult result = fuseln_driver_known()->memcpy_device(
        (CUdeviceptr)(uintptr_t)to, (CUdeviceptr)(uintptr_t)from, bytes, (CUstream)job->stream);
    return result == CUDA_SUCCESS ? FUSELN_VERDICT_OK : FUSELN_VERDICT_REFUSED;
}
