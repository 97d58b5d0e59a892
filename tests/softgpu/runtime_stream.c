/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See runtime.h: every runtime function that takes a stream or uses the default one. Compiled twice: with
 * CUDA_API_PER_THREAD_DEFAULT_STREAM defined, CUDA's own headers rename each function here, the runtime's and the
 * driver's, to its per-thread form (cudaStreamQuery_ptsz, cudaMemcpy_ptds).
 */
#include "runtime.h"

// clang-format off
#define SOFTGPU_STREAM_DRIVER(X) \
    X(cuMemcpy) X(cuMemcpyHtoD) X(cuMemcpyDtoH) X(cuMemcpyDtoD) X(cuMemcpyAsync) X(cuMemcpyHtoDAsync) \
    X(cuMemcpyDtoHAsync) X(cuMemcpyDtoDAsync) X(cuMemsetD8) X(cuMemsetD8Async) X(cuMemAllocAsync) X(cuMemFreeAsync) \
    X(cuStreamSynchronize) X(cuStreamQuery) X(cuStreamWaitEvent) X(cuLaunchHostFunc) X(cuStreamGetPriority) \
    X(cuStreamGetFlags) X(cuStreamBeginCapture) X(cuStreamEndCapture) X(cuStreamIsCapturing) X(cuEventRecord) \
    X(cuEventRecordWithFlags) X(cuGraphLaunch) X(cuGraphUpload) SOFTGPU_STREAM_DRIVER_12(X)
#if CUDA_VERSION >= 12000
#define SOFTGPU_STREAM_DRIVER_12(X) X(cuStreamGetId)
#else
#define SOFTGPU_STREAM_DRIVER_12(X)
#endif
/* Capture information has another form in each CUDA version under the same name: these are the newest two. */
#define V2_PARAMS (cudaStream_t s, enum cudaStreamCaptureStatus *status, unsigned long long *id, cudaGraph_t *graph, \
                   const cudaGraphNode_t **nodes, size_t *count)
#define V3_PARAMS (cudaStream_t s, enum cudaStreamCaptureStatus *status, unsigned long long *id, cudaGraph_t *graph, \
                   const cudaGraphNode_t **nodes, const cudaGraphEdgeData **edges, size_t *count)
// clang-format on
enum { CAPTURE_INFO_V2 = 11030, CAPTURE_INFO_V3 = 12030 };

static struct {
#define X(name) __typeof__(&name) name;
    SOFTGPU_STREAM_DRIVER(X)
#undef X
    CUresult(*capture_info_v2) V2_PARAMS;
#if CUDA_VERSION >= 12030
    CUresult(*capture_info_v3) V3_PARAMS;
#endif
} driver;

#ifdef CUDA_API_PER_THREAD_DEFAULT_STREAM
void softgpu_stream_resolve_ptsz(void)
#define FLAGS CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM
#else
void softgpu_stream_resolve(void)
#define FLAGS 0
#endif
{
#define X(name) driver.name = (__typeof__(driver.name))softgpu_runtime_resolve(#name, 0, FLAGS);
    SOFTGPU_STREAM_DRIVER(X)
#undef X
    void *info = softgpu_runtime_resolve("cuStreamGetCaptureInfo", CAPTURE_INFO_V2, FLAGS);
    driver.capture_info_v2 = (__typeof__(driver.capture_info_v2))info;
#if CUDA_VERSION >= 12030
    info = softgpu_runtime_resolve("cuStreamGetCaptureInfo", CAPTURE_INFO_V3, FLAGS);
    driver.capture_info_v3 = (__typeof__(driver.capture_info_v3))info;
#endif
}

/* API(name, parameters, driver function, arguments): a runtime function that is one driver call. */
#define API(name, params, function, args)                 \
    cudaError_t name params                               \
    {                                                     \
        SOFTGPU_CALL_FROM(driver, enter, function, args); \
    }
#define PTR(p) ((CUdeviceptr)(p))

// clang-format off
API(cudaStreamSynchronize, (cudaStream_t s),                                cuStreamSynchronize, (s))
API(cudaStreamQuery,       (cudaStream_t s),                                cuStreamQuery,       (s))
API(cudaStreamWaitEvent,   (cudaStream_t s, cudaEvent_t e, unsigned flags), cuStreamWaitEvent,   (s, e, flags))
API(cudaLaunchHostFunc,    (cudaStream_t s, cudaHostFn_t call, void *data), cuLaunchHostFunc,    (s, call, data))
API(cudaStreamGetPriority, (cudaStream_t s, int *priority),                 cuStreamGetPriority, (s, priority))
API(cudaStreamGetFlags,    (cudaStream_t s, unsigned *flags),               cuStreamGetFlags,    (s, flags))
API(cudaStreamBeginCapture, (cudaStream_t s, enum cudaStreamCaptureMode mode),
    cuStreamBeginCapture, (s, (CUstreamCaptureMode)mode))
API(cudaStreamEndCapture,  (cudaStream_t s, cudaGraph_t *graph),            cuStreamEndCapture,  (s, graph))
API(cudaStreamIsCapturing, (cudaStream_t s, enum cudaStreamCaptureStatus *status),
    cuStreamIsCapturing, (s, (void *)status))
#if CUDA_VERSION >= 13000
API(cudaStreamGetCaptureInfo, V3_PARAMS,    capture_info_v3, (s, status, id, graph, nodes, edges, count))
#elif CUDA_VERSION >= 12000 /* the headers rename it to cudaStreamGetCaptureInfo_v2 */
API(cudaStreamGetCaptureInfo, V2_PARAMS,    capture_info_v2, (s, status, id, graph, nodes, count))
#else
API(cudaStreamGetCaptureInfo_v2, V2_PARAMS, capture_info_v2, (s, status, id, graph, nodes, count))
API(cudaStreamGetCaptureInfo, (cudaStream_t s, enum cudaStreamCaptureStatus *status, unsigned long long *id),
    capture_info_v2, (s, status, id, NULL, NULL, NULL))
#endif
#if CUDA_VERSION >= 12030 && CUDA_VERSION < 13000
API(cudaStreamGetCaptureInfo_v3, V3_PARAMS, capture_info_v3, (s, status, id, graph, nodes, edges, count))
#endif
#if CUDA_VERSION >= 12000
API(cudaStreamGetId,       (cudaStream_t s, unsigned long long *id),        cuStreamGetId,       (s, id))
#endif
API(cudaEventRecord,       (cudaEvent_t e, cudaStream_t s),                 cuEventRecord,       (e, s))
API(cudaEventRecordWithFlags, (cudaEvent_t e, cudaStream_t s, unsigned flags), cuEventRecordWithFlags, (e, s, flags))
API(cudaGraphLaunch,       (cudaGraphExec_t graph, cudaStream_t s),         cuGraphLaunch,       (graph, s))
API(cudaGraphUpload,       (cudaGraphExec_t graph, cudaStream_t s),         cuGraphUpload,       (graph, s))
API(cudaMallocAsync, (void **p, size_t bytes, cudaStream_t s),              cuMemAllocAsync, ((CUdeviceptr *)p, bytes, s))
API(cudaFreeAsync,         (void *p, cudaStream_t s),                       cuMemFreeAsync,      (PTR(p), s))
API(cudaMemset,      (void *p, int value, size_t bytes), cuMemsetD8, (PTR(p), (unsigned char)value, bytes))
API(cudaMemsetAsync, (void *p, int value, size_t bytes, cudaStream_t s),
    cuMemsetD8Async, (PTR(p), (unsigned char)value, bytes, s))
// clang-format on

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    if (kind == cudaMemcpyHostToDevice)
        SOFTGPU_CALL_FROM(driver, enter, cuMemcpyHtoD, (PTR(to), from, bytes));
    if (kind == cudaMemcpyDeviceToHost)
        SOFTGPU_CALL_FROM(driver, enter, cuMemcpyDtoH, (to, PTR(from), bytes));
    if (kind == cudaMemcpyDeviceToDevice)
        SOFTGPU_CALL_FROM(driver, enter, cuMemcpyDtoD, (PTR(to), PTR(from), bytes));
    SOFTGPU_CALL_FROM(driver, enter, cuMemcpy, (PTR(to), PTR(from), bytes));
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t s)
{
    if (kind == cudaMemcpyHostToDevice)
        SOFTGPU_CALL_FROM(driver, enter, cuMemcpyHtoDAsync, (PTR(to), from, bytes, s));
    if (kind == cudaMemcpyDeviceToHost)
        SOFTGPU_CALL_FROM(driver, enter, cuMemcpyDtoHAsync, (to, PTR(from), bytes, s));
    if (kind == cudaMemcpyDeviceToDevice)
        SOFTGPU_CALL_FROM(driver, enter, cuMemcpyDtoDAsync, (PTR(to), PTR(from), bytes, s));
    SOFTGPU_CALL_FROM(driver, enter, cuMemcpyAsync, (PTR(to), PTR(from), bytes, s));
}
