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

/* The CUfunction of the target's host function in the current context, by its runtime; NULL where it is not told. There
 * was no error before, and none stays: a neighbour behind us may have launched something else. */
static void *function_of(const struct fuseln_target *target, enum fuseln_node node, const void *caller)
{
    int (*const get)(void **, const void *) =
        (int (*)(void **, const void *))fuseln_real(node, FUSELN_REAL_GET_FUNCTION, caller);
    int (*const take_error)(void) = (int (*)(void))fuseln_real(node, FUSELN_REAL_TAKE_ERROR, caller);
    void *function = NULL;

    if (!get || !take_error || !fuseln_real(node, FUSELN_REAL_PEEK_ERROR, caller)) /* nobody said that there was none */
        return NULL;
    if (get(&function, target->host_function) == 0)
        return function;
    take_error();
    return NULL;
}

/* RELAXED, as another thread may be capturing, and a context that is not the stream's may have to load the kernel. */
static enum fuseln_verdict ask(const struct fuseln_target *target, enum fuseln_node node, const void *caller)
{
    const struct fuseln_driver *driver = fuseln_driver_known();
    int mode = CU_STREAM_CAPTURE_MODE_RELAXED;

    if (driver->exchange_capture(&mode) != CUDA_SUCCESS)
        return FUSELN_VERDICT_CONTEXT;
    const bool proven = fuseln_proof_of_handle(target, function_of(target, node, caller), false);
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
    int (*const peek_error)(void) = (int (*)(void))fuseln_real(node, FUSELN_REAL_PEEK_ERROR, caller);
    if (peek_error && peek_error() != 0) /* one of ours would take its place */
        return FUSELN_VERDICT_CHECK;
    return ask(target, node, caller);
}
