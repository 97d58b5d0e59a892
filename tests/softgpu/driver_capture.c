/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream capture and graphs of the stand-in driver. A captured operation is stored and does not run; a graph holds its
 * operations in the order of the calls. The rules of cuThreadExchangeStreamCaptureMode are enforced, since a library
 * that breaks them breaks its host's capture.
 */
#include <pthread.h>
#include <stdlib.h>

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
    struct softgpu_object *object = NULL;
    while ((object = softgpu_object_next(object, SOFTGPU_STREAM))) {
        CUstream stream = (CUstream)object;
        if (!capture_is_endangered(stream))
            continue;
        stream->capture_invalid = true;
        result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    return result;
}

CUresult softgpu_capture_implicit(CUcontext context)
{
    CUresult result = CUDA_SUCCESS;
    struct softgpu_object *object = NULL;
    while ((object = softgpu_object_next(object, SOFTGPU_STREAM))) {
        CUstream stream = (CUstream)object;
        if (!stream->capture || stream->context != context || (stream->flags & CU_STREAM_NON_BLOCKING))
            continue;
        stream->capture_invalid = true;
        result = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    }
    return result;
}

CUresult cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode mode)
{
    CUstream stream;
    CUresult result = softgpu_stream_ready(handle, &stream);
    if (result != CUDA_SUCCESS)
        return result;
    if (stream == stream->context->legacy)
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (stream->capture || mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    CUgraph graph;
    result = cuGraphCreate(&graph, 0);
    if (result != CUDA_SUCCESS)
        return result;
    stream->capture_mode = mode;
    stream->capture_thread = thread_number();
    stream->capture_origin = true;
    stream->capture_invalid = false;
    graph->capturing = true;
    stream->capture = graph;
    return CUDA_SUCCESS;
}

/* Takes every stream out of the capture; true if the capture was invalid in one of them. */
static bool capture_leave(CUgraph graph)
{
    bool invalid = false;
    graph->capturing = false;
    struct softgpu_object *object = NULL;
    while ((object = softgpu_object_next(object, SOFTGPU_STREAM))) {
        CUstream stream = (CUstream)object;
        if (stream->capture != graph)
            continue;
        invalid |= stream->capture_invalid;
        stream->capture = NULL;
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
    if (result == CUDA_SUCCESS && stream == stream->context->legacy)
        result = softgpu_capture_implicit(stream->context);
    if (result != CUDA_SUCCESS)
        return result;
    *ret_status = !stream->capture          ? CU_STREAM_CAPTURE_STATUS_NONE
                  : stream->capture_invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                            : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    if (ret_id)
        *ret_id = stream->capture ? stream->capture->object.id : 0;
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

CUresult cuStreamGetCaptureInfo_v3(CUstream stream, CUstreamCaptureStatus *ret_status, cuuint64_t *ret_id,
                                   CUgraph *ret_graph, const CUgraphNode **ret_nodes, const CUgraphEdgeData **ret_edges,
                                   size_t *ret_count)
{
    if (ret_nodes)
        *ret_nodes = NULL;
    if (ret_edges)
        *ret_edges = NULL;
    if (ret_count)
        *ret_count = 0;
    return capture_info(stream, ret_status, ret_id, ret_graph);
}

CUresult cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus *ret_status, cuuint64_t *ret_id,
                                   CUgraph *ret_graph, const CUgraphNode **ret_nodes, size_t *ret_count)
{
    return cuStreamGetCaptureInfo_v3(stream, ret_status, ret_id, ret_graph, ret_nodes, NULL, ret_count);
}

CUresult cuGraphCreate(CUgraph *ret_graph, unsigned flags)
{
    (void)flags;
    *ret_graph = softgpu_object_make(SOFTGPU_GRAPH, sizeof **ret_graph);
    return *ret_graph ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult softgpu_graph_append(CUgraph graph, const struct softgpu_operation *operation)
{
    struct softgpu_operation *grown = realloc(graph->operations, (graph->count + 1) * sizeof *grown);
    if (!grown)
        return CUDA_ERROR_OUT_OF_MEMORY;
    graph->operations = grown;
    grown[graph->count] = *operation;
    CUresult result = operation->hold ? operation->hold(&grown[graph->count]) : CUDA_SUCCESS;
    graph->count += result == CUDA_SUCCESS;
    return result;
}

CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode *ret_nodes, size_t *count)
{
    if (!softgpu_object_is(graph, SOFTGPU_GRAPH))
        return CUDA_ERROR_INVALID_HANDLE;
    for (size_t i = 0; ret_nodes && i < *count; ++i)
        ret_nodes[i] = i < graph->count ? (CUgraphNode)&graph->operations[i] : NULL;
    *count = ret_nodes && *count < graph->count ? *count : graph->count;
    return CUDA_SUCCESS;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *ret_exec, CUgraph graph, unsigned long long flags)
{
    (void)flags;
    if (!softgpu_object_is(graph, SOFTGPU_GRAPH))
        return CUDA_ERROR_INVALID_HANDLE;
    CUgraph exec = softgpu_object_make(SOFTGPU_GRAPH_EXEC, sizeof *exec);
    CUresult result = exec ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < graph->count && result == CUDA_SUCCESS; ++i)
        result = softgpu_graph_append(exec, &graph->operations[i]);
    if (result == CUDA_SUCCESS)
        *ret_exec = (CUgraphExec)exec;
    else if (exec)
        cuGraphExecDestroy((CUgraphExec)exec);
    return result;
}

CUresult cuGraphInstantiate_v2(CUgraphExec *ret_exec, CUgraph graph, CUgraphNode *ret_node, char *log, size_t log_bytes)
{
    (void)ret_node, (void)log, (void)log_bytes;
    return cuGraphInstantiateWithFlags(ret_exec, graph, 0);
}

static CUresult graph_run(const struct softgpu_operation *operation)
{
    CUgraph exec = operation->graph;
    for (size_t i = 0; i < exec->count; ++i) {
        struct softgpu_operation node = exec->operations[i];
        node.stream_id = operation->stream_id;
        CUresult result = node.run(&node);
        if (result != CUDA_SUCCESS)
            return result;
    }
    return CUDA_SUCCESS;
}

CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream)
{
    if (!softgpu_object_is(exec, SOFTGPU_GRAPH_EXEC))
        return CUDA_ERROR_INVALID_HANDLE;
    struct softgpu_operation operation = {.run = graph_run, .graph = (CUgraph)exec};
    return softgpu_stream_submit(stream, &operation);
}

CUresult cuGraphUpload(CUgraphExec exec, CUstream stream)
{
    (void)stream;
    return softgpu_object_is(exec, SOFTGPU_GRAPH_EXEC) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult graph_free(CUgraph graph, enum softgpu_kind kind)
{
    if (!softgpu_object_is(graph, kind))
        return CUDA_ERROR_INVALID_HANDLE;
    for (size_t i = 0; i < graph->count; ++i)
        if (graph->operations[i].hold)
            free(graph->operations[i].launch.params);
    free(graph->operations);
    softgpu_object_kill(graph);
    return CUDA_SUCCESS;
}

CUresult cuGraphDestroy(CUgraph graph)
{
    return graph_free(graph, SOFTGPU_GRAPH);
}

CUresult cuGraphExecDestroy(CUgraphExec exec)
{
    softgpu_order_wait(NULL);
    return graph_free((CUgraph)exec, SOFTGPU_GRAPH_EXEC);
}
