/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams and events of the stand-in driver. Without SOFTGPU_SEED all work is done when its call returns, so a wait
 * only checks what a driver would refuse.
 */
#include "driver_objects.h"

/* The calling thread's default stream in context. */
static CUstream per_thread_stream(CUcontext context)
{
    CUstream *streams = softgpu_thread_get()->default_streams;
    for (int i = 0; i < SOFTGPU_CONTEXT_DEPTH_MAX; ++i) {
        if (!streams[i]) {
            streams[i] = softgpu_object_make(SOFTGPU_STREAM, sizeof *streams[i]);
            streams[i]->context = context;
        }
        if (streams[i]->context == context && softgpu_object_is(streams[i], SOFTGPU_STREAM))
            return streams[i];
    }
    return NULL;
}

CUresult softgpu_stream_ready(CUstream handle, CUstream *ret_stream)
{
    CUcontext context;
    CUresult result = softgpu_context_ready(&context);
    if (result != CUDA_SUCCESS)
        return result;
    CUstream stream = !handle || handle == CU_STREAM_LEGACY ? context->legacy
                      : handle == CU_STREAM_PER_THREAD      ? per_thread_stream(context)
                                                            : handle;
    if (!softgpu_object_is(stream, SOFTGPU_STREAM))
        return CUDA_ERROR_INVALID_HANDLE;
    *ret_stream = stream;
    return stream->context->error;
}

CUresult softgpu_stream_submit(CUstream handle, struct softgpu_operation *operation)
{
    CUstream stream;
    CUresult result = softgpu_stream_ready(handle, &stream);
    if (result != CUDA_SUCCESS)
        return result;
    operation->stream_id = stream->object.id;
    operation->context = stream->context;
    if (stream->capture)
        return softgpu_capture_append(stream, operation, NULL);
    result = softgpu_capture_implicit(stream);
    if (result != CUDA_SUCCESS)
        return result;
    return softgpu_order_is_random() ? softgpu_order_submit(stream, operation) : operation->run(operation);
}

CUresult cuStreamCreateWithPriority(CUstream *ret_stream, unsigned flags, int priority)
{
    CUcontext context;
    CUresult result = softgpu_context_ready(&context);
    if (result != CUDA_SUCCESS || flags > CU_STREAM_NON_BLOCKING)
        return result ? result : CUDA_ERROR_INVALID_VALUE;
    CUstream stream = softgpu_object_make(SOFTGPU_STREAM, sizeof *stream);
    stream->context = context;
    stream->flags = flags;
    stream->priority = priority;
    *ret_stream = stream;
    return CUDA_SUCCESS;
}

CUresult cuStreamCreate(CUstream *ret_stream, unsigned flags)
{
    return cuStreamCreateWithPriority(ret_stream, flags, 0);
}

CUresult cuStreamDestroy_v2(CUstream stream)
{
    if (!softgpu_object_is(stream, SOFTGPU_STREAM)) /* a default stream cannot be destroyed */
        return CUDA_ERROR_INVALID_HANDLE;
    softgpu_order_wait(stream);
    softgpu_object_kill(stream);
    return CUDA_SUCCESS;
}

/* While a stream captures, nothing may ask whether its work is done. */
static CUresult stream_wait(CUstream handle, CUstream *ret_stream)
{
    CUresult result = softgpu_stream_ready(handle, ret_stream);
    if (result != CUDA_SUCCESS)
        return result;
    CUstream stream = *ret_stream;
    if (stream->capture) {
        stream->capture_invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    return softgpu_capture_implicit(stream);
}

CUresult cuStreamSynchronize(CUstream handle)
{
    CUstream stream;
    CUresult result = stream_wait(handle, &stream);
    result = result ? result : softgpu_capture_forbids();
    if (result == CUDA_SUCCESS)
        softgpu_order_wait(stream);
    return result;
}

CUresult cuStreamQuery(CUstream handle)
{
    CUstream stream;
    CUresult result = stream_wait(handle, &stream);
    if (result == CUDA_SUCCESS && !softgpu_order_has_reached(softgpu_order_mark(stream, 0)))
        result = CUDA_ERROR_NOT_READY;
    return result;
}

#define GETTER(name, type, member)                              \
    CUresult name(CUstream stream, type *ret)                   \
    {                                                           \
        CUstream found;                                         \
        CUresult result = softgpu_stream_ready(stream, &found); \
        if (result == CUDA_SUCCESS)                             \
            *ret = found->member;                               \
        return result;                                          \
    }
GETTER(cuStreamGetId, unsigned long long, object.id)
GETTER(cuStreamGetCtx, CUcontext, context)
GETTER(cuStreamGetFlags, unsigned, flags)
GETTER(cuStreamGetPriority, int, priority)
#undef GETTER

static CUresult host_run(const struct softgpu_operation *operation)
{
    operation->host.function(operation->host.data);
    return CUDA_SUCCESS;
}

CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void *data)
{
    struct softgpu_operation operation = {.run = host_run, .host = {function, data}};
    return softgpu_stream_submit(stream, &operation);
}

CUresult cuEventCreate(CUevent *ret_event, unsigned flags)
{
    (void)flags;
    CUcontext context;
    CUresult result = softgpu_context_ready(&context);
    if (result == CUDA_SUCCESS)
        *ret_event = softgpu_object_make(SOFTGPU_EVENT, sizeof **ret_event);
    return result;
}

CUresult cuEventDestroy_v2(CUevent event)
{
    if (!softgpu_object_is(event, SOFTGPU_EVENT))
        return CUDA_ERROR_INVALID_HANDLE;
    softgpu_object_kill(event);
    return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent event, CUstream handle)
{
    CUstream stream;
    CUresult result = softgpu_stream_ready(handle, &stream);
    if (result != CUDA_SUCCESS || !softgpu_object_is(event, SOFTGPU_EVENT))
        return result ? result : CUDA_ERROR_INVALID_HANDLE;
    result = softgpu_capture_implicit(stream);
    if (result != CUDA_SUCCESS)
        return result;
    event->capture = stream->capture;
    event->capture_id = stream->capture ? stream->capture->capture_id : 0;
    softgpu_nodes_set(&event->captured, &stream->captured);
    event->record = stream->capture ? 0 : softgpu_order_mark(stream, 0);
    event->recorded_ms = softgpu_now_ms();
    return CUDA_SUCCESS;
}

CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned flags)
{
    (void)flags;
    return cuEventRecord(event, stream);
}

static bool event_is_captured(CUevent event)
{
    return softgpu_object_is(event->capture, SOFTGPU_GRAPH) && event->capture->capturing &&
           event->capture->capture_id == event->capture_id;
}

/* A stream that waits for an event recorded in a capture joins that capture. */
CUresult cuStreamWaitEvent(CUstream handle, CUevent event, unsigned flags)
{
    (void)flags;
    CUstream stream;
    CUresult result = softgpu_stream_ready(handle, &stream);
    if (result != CUDA_SUCCESS || !softgpu_object_is(event, SOFTGPU_EVENT))
        return result ? result : CUDA_ERROR_INVALID_HANDLE;
    if (!event_is_captured(event) && !stream->capture)
        softgpu_order_mark(stream, event->record);
    if (!event_is_captured(event))
        return CUDA_SUCCESS;
    if (stream->capture && stream->capture != event->capture)
        return CUDA_ERROR_STREAM_CAPTURE_MERGE;
    softgpu_nodes_join(&stream->captured, &event->captured);
    if (stream->capture)
        return CUDA_SUCCESS;
    stream->capture = event->capture;
    stream->capture_origin = stream->capture_invalid = false;
    stream->capture_mode = CU_STREAM_CAPTURE_MODE_RELAXED; /* the origin's mode decides */
    return CUDA_SUCCESS;
}

static CUresult event_ready(CUevent event)
{
    CUcontext context;
    CUresult result = softgpu_context_ready(&context);
    if (result != CUDA_SUCCESS || !softgpu_object_is(event, SOFTGPU_EVENT))
        return result ? result : CUDA_ERROR_INVALID_HANDLE;
    return event_is_captured(event) ? CUDA_ERROR_CAPTURED_EVENT : CUDA_SUCCESS;
}

CUresult cuEventQuery(CUevent event)
{
    CUresult result = event_ready(event);
    return result ? result : softgpu_order_has_reached(event->record) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult cuEventSynchronize(CUevent event)
{
    CUresult result = event_ready(event);
    result = result ? result : softgpu_capture_forbids();
    if (result == CUDA_SUCCESS)
        softgpu_order_reach(event->record);
    return result;
}

CUresult cuEventElapsedTime(float *ret_ms, CUevent start, CUevent end)
{
    CUresult result = event_ready(start);
    result = result ? result : event_ready(end);
    if (result != CUDA_SUCCESS || start->recorded_ms == 0 || end->recorded_ms == 0)
        return result ? result : CUDA_ERROR_INVALID_HANDLE;
    *ret_ms = (float)(end->recorded_ms - start->recorded_ms);
    return CUDA_SUCCESS;
}

CUresult cuEventElapsedTime_v2(float *ret_ms, CUevent start, CUevent end)
{
    return cuEventElapsedTime(ret_ms, start, end);
}
