/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream capture of the stand-in driver. A captured operation does not run: it becomes a node of a graph
 * (driver_graph.c), behind what its stream did before and what that waits for. The rules of
 * cuThreadExchangeStreamCaptureMode are enforced, since a library that breaks them breaks its host's capture.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "driver_objects.h"

static unsigned long thread_number(void)
{
    return (unsigned long)pthread_self();
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
    struct softgpu_thread *thread = softgpu_thread_get();
    CUstreamCaptureMode previous = thread->capture_mode;
    if (*mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    thread->capture_mode = *mode;
    *mode = previous;
    return CUDA_SUCCESS;
}

/* Whether a call that may synchronise, made by this thread in its mode, breaks the capture of stream. */
static bool capture_is_endangered(const struct CUstream_st *stream)
{
    const CUstreamCaptureMode mode = softgpu_thread_get()->capture_mode, captures_in = stream->capture_mode;
    const bool ours = stream->capture_thread == thread_number();
    if (!stream->capture || !stream->capture_origin || mode == CU_STREAM_CAPTURE_MODE_RELAXED ||
        captures_in == CU_STREAM_CAPTURE_MODE_RELAXED)
        return false;
    return ours || (mode == CU_STREAM_CAPTURE_MODE_GLOBAL && captures_in == CU_STREAM_CAPTURE_MODE_GLOBAL);
}

CUresult softgpu_capture_forbids(void)
{
    CUresult result = CUDA_SUCCESS;
    for (CUstream stream = NULL; (stream = softgpu_object_next(stream, SOFTGPU_STREAM));) {
        if (!capture_is_endangered(stream))
            continue;
        stream->capture_invalid = true;
        result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    return result;
}

CUresult softgpu_capture_implicit(CUstream stream)
{
    CUresult result = CUDA_SUCCESS;
    if (stream != stream->context->legacy)
        return result;
    for (CUstream other = NULL; (other = softgpu_object_next(other, SOFTGPU_STREAM));) {
        if (!other->capture || other->context != stream->context || (other->flags & CU_STREAM_NON_BLOCKING))
            continue;
        other->capture_invalid = true;
        result = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    }
    return result;
}

static CUresult capture_begin(CUstream handle, CUstreamCaptureMode mode, CUgraph graph,
                              const struct softgpu_nodes *after)
{
    static atomic_ullong captures;
    CUstream stream;
    CUresult result = softgpu_stream_ready(handle, &stream);
    if (result != CUDA_SUCCESS)
        return result;
    if (stream == stream->context->legacy)
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (stream->capture || mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    if (!graph)
        cuGraphCreate(&graph, 0);
    stream->capture_mode = mode;
    stream->capture_thread = thread_number();
    stream->capture_origin = true;
    stream->capture_invalid = false;
    graph->capturing = true;
    graph->capture_id = ++captures;
    stream->capture = graph;
    softgpu_nodes_set(&stream->captured, after);
    return CUDA_SUCCESS;
}

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode)
{
    return capture_begin(stream, mode, NULL, &(struct softgpu_nodes){0});
}

CUresult cuStreamBeginCaptureToGraph(CUstream stream, CUgraph graph, const CUgraphNode *nodes,
                                     const CUgraphEdgeData *edges, size_t count, CUstreamCaptureMode mode)
{
    if (edges || !softgpu_object_is(graph, SOFTGPU_GRAPH) || graph->capturing)
        return CUDA_ERROR_INVALID_VALUE;
    graph->given = true;
    return capture_begin(stream, mode, graph, &(struct softgpu_nodes){(CUgraphNode *)nodes, count});
}

CUresult softgpu_capture_append(CUstream stream, const struct softgpu_operation *operation, CUgraph child)
{
    if (stream->capture_invalid)
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    CUgraphNode node = softgpu_graph_add(stream->capture, &stream->captured, operation, child);
    if (!node)
        return CUDA_ERROR_NOT_SUPPORTED;
    softgpu_nodes_set(&stream->captured, &(struct softgpu_nodes){&node, 1});
    return CUDA_SUCCESS;
}

CUresult cuStreamUpdateCaptureDependencies_v2(CUstream handle, CUgraphNode *nodes, const CUgraphEdgeData *edges,
                                              size_t count, unsigned flags)
{
    const struct softgpu_nodes given = {nodes, count};
    CUstream stream;
    CUresult result = softgpu_stream_ready(handle, &stream);
    if (result != CUDA_SUCCESS || edges || flags > CU_STREAM_SET_CAPTURE_DEPENDENCIES)
        return result ? result : CUDA_ERROR_INVALID_VALUE;
    if (!stream->capture)
        return CUDA_ERROR_ILLEGAL_STATE;
    (flags == CU_STREAM_SET_CAPTURE_DEPENDENCIES ? softgpu_nodes_set : softgpu_nodes_join)(&stream->captured, &given);
    return CUDA_SUCCESS;
}

CUresult cuStreamUpdateCaptureDependencies(CUstream stream, CUgraphNode *nodes, size_t count, unsigned flags)
{
    return cuStreamUpdateCaptureDependencies_v2(stream, nodes, NULL, count, flags);
}

/* Takes every stream out of the capture; true if the capture was invalid in one of them. */
static bool capture_leave(CUgraph graph)
{
    bool invalid = false;
    graph->capturing = false;
    for (CUstream stream = NULL; (stream = softgpu_object_next(stream, SOFTGPU_STREAM));) {
        if (stream->capture != graph)
            continue;
        invalid |= stream->capture_invalid;
        stream->capture = NULL;
        softgpu_nodes_set(&stream->captured, &(struct softgpu_nodes){0});
    }
    return invalid;
}

CUresult cuStreamEndCapture(CUstream handle, CUgraph *ret_graph)
{
    CUstream stream;
    CUresult result = softgpu_stream_ready(handle, &stream);
    if (result != CUDA_SUCCESS)
        return result;
    CUgraph graph = stream->capture;
    if (!graph || !stream->capture_origin)
        return graph ? CUDA_ERROR_STREAM_CAPTURE_UNMATCHED : CUDA_ERROR_ILLEGAL_STATE;
    if (stream->capture_mode != CU_STREAM_CAPTURE_MODE_RELAXED && stream->capture_thread != thread_number())
        return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    *ret_graph = NULL;
    if (capture_leave(graph)) {
        if (!graph->given)
            cuGraphDestroy(graph);
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    }
    *ret_graph = graph;
    return CUDA_SUCCESS;
}

static CUresult capture_info(CUstream handle, CUstreamCaptureStatus *ret_status, cuuint64_t *ret_id, CUgraph *ret_graph)
{
    CUstream stream;
    CUresult result = softgpu_stream_ready(handle, &stream);
    result = result ? result : softgpu_capture_implicit(stream);
    if (result != CUDA_SUCCESS)
        return result;
    *ret_status = !stream->capture          ? CU_STREAM_CAPTURE_STATUS_NONE
                  : stream->capture_invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                            : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    if (ret_id)
        *ret_id = stream->capture ? stream->capture->capture_id : 0;
    if (ret_graph)
        *ret_graph = stream->capture;
    return CUDA_SUCCESS;
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *ret_status)
{
    return capture_info(stream, ret_status, NULL, NULL);
}

CUresult cuStreamGetCaptureInfo(CUstream stream, CUstreamCaptureStatus *ret_status, cuuint64_t *ret_id)
{
    return capture_info(stream, ret_status, ret_id, NULL);
}

CUresult cuStreamGetCaptureInfo_v3(CUstream handle, CUstreamCaptureStatus *ret_status, cuuint64_t *ret_id,
                                   CUgraph *ret_graph, const CUgraphNode **ret_nodes, const CUgraphEdgeData **ret_edges,
                                   size_t *ret_count)
{
    CUstream stream;
    CUresult result = softgpu_stream_ready(handle, &stream);
    if (result != CUDA_SUCCESS)
        return result;
    if (ret_nodes)
        *ret_nodes = stream->captured.at;
    if (ret_edges)
        *ret_edges = NULL;
    if (ret_count)
        *ret_count = stream->captured.count;
    return capture_info(handle, ret_status, ret_id, ret_graph);
}

CUresult cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus *ret_status, cuuint64_t *ret_id,
                                   CUgraph *ret_graph, const CUgraphNode **ret_nodes, size_t *ret_count)
{
    return cuStreamGetCaptureInfo_v3(stream, ret_status, ret_id, ret_graph, ret_nodes, NULL, ret_count);
}
