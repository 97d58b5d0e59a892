/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See proof.h. Which kernel a host function is, its runtime alone knows. It is asked after it launched the kernel: what
 * it needs for the answer is loaded then, and there is nothing left to go wrong.
 */
#include "hooks/proof.h"

#include "core/registry.h"
#include "core/user.h"
#include "hooks/behind.h"
#include "hooks/real.h"
#include "kernels/host/device.h"
#include "kernels/host/libcuda.h"

/* NULL, or how the row differs from what the driver says of the kernel's parameters. */
static const char *parameters_wrong(const struct fuseln_layout *layout, const void *handle, bool is_kernel)
{
    fuseln_behind_complete();
    fuseln_param_function *const ask = atomic_load(&fuseln_behind_param[is_kernel]);
    size_t end = 0, offset, bytes;

    if (!ask)
        return "the driver does not tell the kernel's parameters (CUDA 12.4 and later do)";
    for (unsigned i = 0; i < layout->count; i++) {
        const size_t size = fuseln_arg_bytes((enum fuseln_arg_type)layout->type[i]);
        const int rc = ask(handle, i, &offset, &bytes);
        if (rc != 0)
            return rc == CUDA_ERROR_INVALID_VALUE ? "args has more arguments than the kernel"
                                                  : "the driver does not tell the parameters of this kernel";
        end = (end + size - 1) / size * size;
        if (offset != end || bytes != size)
            return "an argument of the kernel has another size";
        end += size;
    }
    return ask(handle, layout->count, &offset, &bytes) == 0 ? "args has fewer arguments than the kernel" : NULL;
}

bool fuseln_proof_of_handle(const struct fuseln_target *target, const void *handle, bool is_kernel)
{
    const char *wrong = handle ? parameters_wrong(&target->layout, handle, is_kernel)
                               : "the CUDA runtime does not tell which kernel it launched";

    if (wrong)
        fuseln_user_refuse(target->user, wrong);
    return !wrong;
}

/* A runtime's functions, as they are for this caller. */
struct runtime {
    int (*peek_error)(void), (*take_error)(void), (*get_function)(void **, const void *);
};

static struct runtime runtime_of(enum fuseln_node node, const void *caller)
{
    return (struct runtime){
        (int (*)(void))fuseln_real(node, FUSELN_REAL_PEEK_ERROR, caller),
        (int (*)(void))fuseln_real(node, FUSELN_REAL_TAKE_ERROR, caller),
        (int (*)(void **, const void *))fuseln_real(node, FUSELN_REAL_GET_FUNCTION, caller),
    };
}

/* The CUfunction of this host function in the current context; NULL where it is not told. There was no error before,
 * and none stays: a neighbour behind us may have launched something else. */
static void *function_of(const struct runtime *runtime, const void *host_function)
{
    void *function = NULL;

    if (!runtime->peek_error || !runtime->take_error || !runtime->get_function)
        return NULL;
    if (runtime->get_function(&function, host_function) == 0)
        return function;
    runtime->take_error();
    return NULL;
}

/* RELAXED, as another thread may be capturing, and a context that is not the stream's may have to load the kernel. */
static enum fuseln_verdict ask(const struct runtime *runtime, const struct fuseln_target *target)
{
    const struct fuseln_driver *driver = fuseln_driver_known();
    int mode = CU_STREAM_CAPTURE_MODE_RELAXED;

    if (driver->exchange_capture(&mode) != CUDA_SUCCESS)
        return FUSELN_VERDICT_CONTEXT;
    const bool proven = fuseln_proof_of_handle(target, function_of(runtime, target->host_function), false);
    driver->exchange_capture(&mode);
    if (proven)
        fuseln_registry_prove(target);
    else
        fuseln_user_complain();
    return proven ? FUSELN_VERDICT_OK : FUSELN_VERDICT_FAILED;
}

enum fuseln_verdict fuseln_proof_of_launched(const struct fuseln_target *target, void *stream, enum fuseln_node node,
                                             const void *caller)
{
    if (fuseln_user_is_refused(target->user))
        return FUSELN_VERDICT_FAILED;
    if (!fuseln_context_current())
        return fuseln_context_missing();
    if (fuseln_kernel_capturing(stream))
        return FUSELN_VERDICT_CAPTURE;
    const struct runtime runtime = runtime_of(node, caller);
    if (runtime.peek_error && runtime.peek_error() != 0) /* one of ours would take its place */
        return FUSELN_VERDICT_CHECK;
    return ask(&runtime, target);
}
