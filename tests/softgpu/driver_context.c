/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts of the stand-in driver: each thread's stack of current ones, and those that are not primary.
 */
#include "driver_objects.h"

static CUcontext current(void)
{
    const struct softgpu_thread *thread = softgpu_thread_get();
    return thread->depth ? thread->contexts[thread->depth - 1] : NULL;
}

CUresult softgpu_context_ready(CUcontext *ret_context)
{
    int count;
    CUresult result = cuDeviceGetCount(&count);
    if (result != CUDA_SUCCESS)
        return result;
    if (softgpu_thread_get()->destroys)
        softgpu_error("a user object's destructor calls CUDA");
    CUcontext context = current();
    if (!softgpu_object_is(context, SOFTGPU_CONTEXT))
        return CUDA_ERROR_INVALID_CONTEXT;
    *ret_context = context;
    return context->error;
}

CUresult cuCtxGetCurrent(CUcontext *ret_context)
{
    int count;
    *ret_context = current();
    return cuDeviceGetCount(&count);
}

CUresult cuCtxPushCurrent_v2(CUcontext context)
{
    struct softgpu_thread *thread = softgpu_thread_get();
    if (!softgpu_object_is(context, SOFTGPU_CONTEXT))
        return CUDA_ERROR_INVALID_CONTEXT;
    if (thread->depth == SOFTGPU_CONTEXT_DEPTH_MAX)
        return CUDA_ERROR_OUT_OF_MEMORY;
    thread->contexts[thread->depth++] = context;
    return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent_v2(CUcontext *ret_context)
{
    struct softgpu_thread *thread = softgpu_thread_get();
    if (!thread->depth)
        return CUDA_ERROR_INVALID_CONTEXT;
    CUcontext context = thread->contexts[--thread->depth];
    if (ret_context)
        *ret_context = context;
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context)
{
    struct softgpu_thread *thread = softgpu_thread_get();
    if (context && !softgpu_object_is(context, SOFTGPU_CONTEXT))
        return CUDA_ERROR_INVALID_CONTEXT;
    if (thread->depth)
        --thread->depth;
    if (context)
        thread->contexts[thread->depth++] = context;
    return CUDA_SUCCESS;
}

CUresult cuCtxCreate_v2(CUcontext *ret_context, unsigned flags, CUdevice device)
{
    CUcontext context = softgpu_context_make(device, false, flags);
    if (!context)
        return CUDA_ERROR_INVALID_DEVICE;
    *ret_context = context;
    return cuCtxPushCurrent_v2(context);
}

CUresult cuCtxCreate_v4(CUcontext *ret_context, CUctxCreateParams *params, unsigned flags, CUdevice device)
{
    (void)params;
    return cuCtxCreate_v2(ret_context, flags, device);
}

CUresult cuCtxDestroy_v2(CUcontext context)
{
    if (!softgpu_object_is(context, SOFTGPU_CONTEXT) || context->primary)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (current() == context)
        cuCtxPopCurrent_v2(NULL);
    softgpu_context_destroy(context);
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *ret_device)
{
    CUcontext context;
    CUresult result = softgpu_context_ready(&context);
    if (result == CUDA_SUCCESS)
        *ret_device = context->device;
    return result;
}

CUresult cuCtxGetFlags(unsigned *ret_flags)
{
    CUcontext context;
    CUresult result = softgpu_context_ready(&context);
    if (result == CUDA_SUCCESS)
        *ret_flags = context->flags;
    return result;
}

CUresult cuCtxGetId(CUcontext context, unsigned long long *ret_id)
{
    if (!context)
        context = current();
    if (!softgpu_object_is(context, SOFTGPU_CONTEXT))
        return context ? CUDA_ERROR_CONTEXT_IS_DESTROYED : CUDA_ERROR_INVALID_CONTEXT;
    *ret_id = context->object.id;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetApiVersion(CUcontext context, unsigned *ret_version)
{
    (void)context;
    *ret_version = 3020;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetStreamPriorityRange(int *ret_least, int *ret_greatest)
{
    if (ret_least)
        *ret_least = 0;
    if (ret_greatest)
        *ret_greatest = -5;
    return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize(void)
{
    CUcontext context;
    CUresult result = softgpu_context_ready(&context);
    result = result ? result : softgpu_capture_forbids();
    if (result == CUDA_SUCCESS) {
        softgpu_order_wait(NULL);
        result = context->error;
    }
    return result;
}
