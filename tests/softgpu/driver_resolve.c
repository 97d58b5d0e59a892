/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How programs find the stand-in driver's functions: the table of all of them, cuGetProcAddress (itself in the table)
 * and the per-thread-stream twins. A function that a real libcuda exports and this one does not implement is a stub
 * that says its name once and returns CUDA_ERROR_NOT_SUPPORTED, so that a program that only looks functions up can
 * start.
 */
#include <stdatomic.h>
#include <string.h>

#include "driver_objects.h"

/*
 * Every function, listed once. P(symbol, CUDA version that introduced it); S(symbol, version, parameters, arguments)
 * for a function that takes `stream`: it gets a twin SYMBOL_ptsz, in which stream 0 means the thread's own.
 */
// clang-format off
#define SOFTGPU_DRIVER_TABLE(P, S) \
    P(cuInit, 2000) P(cuDriverGetVersion, 2020) P(cuGetProcAddress, 11030) P(cuGetProcAddress_v2, 12000) \
    P(cuGetExportTable, 3000) P(cuLogsRegisterCallback, 12090) P(cuLogsUnregisterCallback, 12090) \
    P(cuGetErrorName, 6000) P(cuGetErrorString, 6000) \
    P(cuDeviceGet, 2000) P(cuDeviceGetCount, 2000) P(cuDeviceGetName, 2000) P(cuDeviceGetAttribute, 2000) \
    P(cuDeviceTotalMem_v2, 3020) P(cuDeviceGetUuid, 9020) P(cuDeviceGetUuid_v2, 11040) P(cuDeviceGetPCIBusId, 4010) \
    P(cuDeviceCanAccessPeer, 4000) P(cuDevicePrimaryCtxRetain, 7000) P(cuDevicePrimaryCtxRelease_v2, 11000) \
    P(cuDevicePrimaryCtxSetFlags_v2, 11000) P(cuDevicePrimaryCtxGetState, 7000) \
    P(cuCtxCreate_v2, 3020) P(cuCtxCreate_v4, 12050) P(cuCtxDestroy_v2, 4000) P(cuCtxGetCurrent, 4000) \
    P(cuCtxSetCurrent, 4000) P(cuCtxPushCurrent_v2, 4000) P(cuCtxPopCurrent_v2, 4000) P(cuCtxGetDevice, 2000) \
    P(cuCtxGetFlags, 7000) P(cuCtxGetId, 12000) P(cuCtxGetApiVersion, 3020) P(cuCtxGetStreamPriorityRange, 5050) \
    P(cuCtxSynchronize, 2000) P(cuThreadExchangeStreamCaptureMode, 10010) \
    P(cuStreamCreate, 2000) P(cuStreamCreateWithPriority, 5050) P(cuStreamDestroy_v2, 4000) \
    P(cuGraphCreate, 10000) P(cuGraphGetNodes, 10000) P(cuGraphInstantiate_v2, 11000) \
    P(cuGraphInstantiateWithFlags, 11040) P(cuGraphDestroy, 10000) P(cuGraphExecDestroy, 10000) \
    P(cuGraphClone, 10000) P(cuGraphAddChildGraphNode, 10000) P(cuGraphExecUpdate_v2, 12000) \
    P(cuUserObjectCreate, 11030) P(cuUserObjectRetain, 11030) P(cuUserObjectRelease, 11030) \
    P(cuGraphRetainUserObject, 11030) P(cuGraphReleaseUserObject, 11030) \
    P(cuEventCreate, 2000) P(cuEventDestroy_v2, 4000) P(cuEventQuery, 2000) P(cuEventSynchronize, 2000) \
    P(cuEventElapsedTime, 2000) P(cuEventElapsedTime_v2, 12080) \
    P(cuMemAlloc_v2, 3020) P(cuMemFree_v2, 3020) P(cuMemGetAllocationGranularity, 10020) \
    P(cuMemAddressReserve, 10020) P(cuMemAddressFree, 10020) P(cuMemCreate, 10020) P(cuMemRelease, 10020) \
    P(cuMemMap, 10020) P(cuMemSetAccess, 10020) P(cuMemUnmap, 10020) P(cuMemAllocHost_v2, 3020) \
    P(cuMemHostAlloc, 2020) P(cuMemFreeHost, 2000) P(cuMemHostRegister_v2, 4000) P(cuMemHostUnregister, 4000) \
    P(cuMemHostGetDevicePointer_v2, 3020) P(cuMemGetInfo_v2, 3020) P(cuMemGetAddressRange_v2, 3020) \
    P(cuPointerGetAttribute, 4000) P(cuPointerGetAttributes, 7000) P(cuMemcpy, 4000) P(cuMemcpyHtoD_v2, 3020) \
    P(cuMemcpyDtoH_v2, 3020) P(cuMemcpyDtoD_v2, 3020) P(cuMemsetD8_v2, 3020) P(cuMemsetD16_v2, 3020) \
    P(cuMemsetD32_v2, 3020) \
    P(cuModuleLoadData, 2000) P(cuModuleLoad, 2000) P(cuModuleLoadDataEx, 2010) P(cuModuleLoadFatBinary, 2000) \
    P(cuModuleUnload, 2000) P(cuModuleGetFunction, 2000) P(cuModuleGetLoadingMode, 11070) \
    P(cuLibraryLoadData, 12000) P(cuLibraryUnload, 12000) P(cuLibraryGetKernel, 12000) P(cuLibraryGetModule, 12000) \
    P(cuKernelGetFunction, 12000) P(cuKernelGetLibrary, 12050) P(cuKernelGetName, 12030) \
    P(cuKernelGetAttribute, 12000) P(cuKernelSetAttribute, 12000) P(cuKernelGetParamInfo, 12040) \
    P(cuFuncGetName, 12030) P(cuFuncGetModule, 11000) P(cuFuncGetAttribute, 2020) P(cuFuncSetAttribute, 9000) \
    P(cuFuncGetParamInfo, 12040) P(cuFuncSetCacheConfig, 3000) P(cuOccupancyMaxActiveBlocksPerMultiprocessor, 6050) \
    P(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags, 7000) \
    S(cuStreamSynchronize, 2000, (CUstream stream), (stream)) \
    S(cuStreamQuery, 2000, (CUstream stream), (stream)) \
    S(cuStreamGetId, 12000, (CUstream stream, unsigned long long *id), (stream, id)) \
    S(cuStreamGetCtx, 9020, (CUstream stream, CUcontext *context), (stream, context)) \
    S(cuStreamGetFlags, 5050, (CUstream stream, unsigned *flags), (stream, flags)) \
    S(cuStreamGetPriority, 5050, (CUstream stream, int *priority), (stream, priority)) \
    S(cuStreamWaitEvent, 3020, (CUstream stream, CUevent event, unsigned flags), (stream, event, flags)) \
    S(cuStreamIsCapturing, 10000, (CUstream stream, CUstreamCaptureStatus *status), (stream, status)) \
    S(cuStreamGetCaptureInfo, 10010, (CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id), (stream, status, id)) \
    S(cuStreamGetCaptureInfo_v2, 11030, (CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id, CUgraph *graph, \
       const CUgraphNode **nodes, size_t *count), (stream, status, id, graph, nodes, count)) \
    S(cuStreamGetCaptureInfo_v3, 12030, (CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id, CUgraph *graph, \
       const CUgraphNode **nodes, const CUgraphEdgeData **edges, size_t *count), \
       (stream, status, id, graph, nodes, edges, count)) \
    S(cuStreamBeginCapture_v2, 10010, (CUstream stream, CUstreamCaptureMode mode), (stream, mode)) \
    S(cuStreamBeginCaptureToGraph, 12030, (CUstream stream, CUgraph graph, const CUgraphNode *nodes, \
       const CUgraphEdgeData *edges, size_t count, CUstreamCaptureMode mode), (stream, graph, nodes, edges, count, mode)) \
    S(cuStreamUpdateCaptureDependencies, 11030, (CUstream stream, CUgraphNode *nodes, size_t count, unsigned flags), \
       (stream, nodes, count, flags)) \
    S(cuStreamUpdateCaptureDependencies_v2, 12030, (CUstream stream, CUgraphNode *nodes, const CUgraphEdgeData *edges, \
       size_t count, unsigned flags), (stream, nodes, edges, count, flags)) \
    S(cuStreamEndCapture, 10000, (CUstream stream, CUgraph *graph), (stream, graph)) \
    S(cuLaunchHostFunc, 10000, (CUstream stream, CUhostFn function, void *data), (stream, function, data)) \
    S(cuGraphLaunch, 10000, (CUgraphExec exec, CUstream stream), (exec, stream)) \
    S(cuGraphUpload, 11010, (CUgraphExec exec, CUstream stream), (exec, stream)) \
    S(cuEventRecord, 2000, (CUevent event, CUstream stream), (event, stream)) \
    S(cuEventRecordWithFlags, 11010, (CUevent event, CUstream stream, unsigned flags), (event, stream, flags)) \
    S(cuMemAllocAsync, 11020, (CUdeviceptr *address, size_t n, CUstream stream), (address, n, stream)) \
    S(cuMemFreeAsync, 11020, (CUdeviceptr address, CUstream stream), (address, stream)) \
    S(cuMemcpyAsync, 4000, (CUdeviceptr to, CUdeviceptr from, size_t n, CUstream stream), (to, from, n, stream)) \
    S(cuMemcpyHtoDAsync_v2, 3020, (CUdeviceptr to, const void *from, size_t n, CUstream stream), (to, from, n, stream)) \
    S(cuMemcpyDtoHAsync_v2, 3020, (void *to, CUdeviceptr from, size_t n, CUstream stream), (to, from, n, stream)) \
    S(cuMemcpyDtoDAsync_v2, 3020, (CUdeviceptr to, CUdeviceptr from, size_t n, CUstream stream), (to, from, n, stream)) \
    S(cuMemsetD8Async, 3020, (CUdeviceptr to, unsigned char value, size_t n, CUstream stream), (to, value, n, stream)) \
    S(cuMemsetD16Async, 3020, (CUdeviceptr to, unsigned short value, size_t n, CUstream stream), (to, value, n, stream)) \
    S(cuMemsetD32Async, 3020, (CUdeviceptr to, unsigned value, size_t n, CUstream stream), (to, value, n, stream)) \
    S(cuLaunchKernel, 4000, (CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, \
       unsigned smem, CUstream stream, void **params, void **extra), \
       (f, gx, gy, gz, bx, by, bz, smem, stream, params, extra)) \
    S(cuLaunchCooperativeKernel, 9000, (CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, \
       unsigned bz, unsigned smem, CUstream stream, void **params), (f, gx, gy, gz, bx, by, bz, smem, stream, params))
#define STUBS(X) \
    X(cuArray3DCreate_v2) X(cuArrayCreate_v2) X(cuArrayDestroy) X(cuCtxDetach) X(cuCtxDisablePeerAccess) \
    X(cuCtxEnablePeerAccess) X(cuCtxFromGreenCtx) X(cuCtxGetCacheConfig) X(cuCtxGetLimit) \
    X(cuCtxResetPersistingL2Cache) X(cuCtxSetCacheConfig) X(cuCtxSetLimit) X(cuDeviceGetByPCIBusId) \
    X(cuDeviceGetDefaultMemPool) X(cuDeviceGetDevResource) X(cuDeviceGetMemPool) X(cuDevicePrimaryCtxReset_v2) \
    X(cuDeviceSetMemPool) X(cuFuncIsLoaded) X(cuFuncLoad) X(cuGraphAddKernelNode_v2) \
    X(cuGraphAddMemcpyNode) X(cuGraphAddMemsetNode) X(cuGraphAddNode_v2) X(cuGraphDebugDotPrint) \
    X(cuGraphExecKernelNodeSetParams_v2) X(cuGraphGetEdges) X(cuGraphGetRootNodes) \
    X(cuGraphInstantiateWithParams) X(cuGraphKernelNodeGetParams_v2) X(cuGraphKernelNodeSetParams_v2) \
    X(cuGraphNodeGetType) X(cuGreenCtxCreate) X(cuGreenCtxDestroy) \
    X(cuGreenCtxStreamCreate) X(cuIpcCloseMemHandle) X(cuIpcGetEventHandle) X(cuIpcGetMemHandle) \
    X(cuIpcOpenEventHandle) X(cuIpcOpenMemHandle_v2) X(cuKernelSetCacheConfig) \
    X(cuLaunchCooperativeKernelMultiDevice) X(cuLibraryEnumerateKernels) X(cuLibraryGetGlobal) \
    X(cuLibraryGetKernelCount) X(cuLibraryGetManaged) X(cuLibraryLoadFromFile) X(cuLinkAddData_v2) \
    X(cuLinkAddFile_v2) X(cuLinkComplete) X(cuLinkCreate_v2) X(cuLinkDestroy) X(cuMemAdvise_v2) \
    X(cuMemAllocFromPoolAsync) X(cuMemAllocManaged) X(cuMemAllocPitch_v2) X(cuMemExportToShareableHandle) \
    X(cuMemGetAccess) X(cuMemGetAllocationPropertiesFromHandle) X(cuMemHostGetFlags) \
    X(cuMemImportFromShareableHandle) X(cuMemPoolCreate) X(cuMemPoolDestroy) X(cuMemPoolGetAttribute) \
    X(cuMemPoolSetAttribute) X(cuMemPoolTrimTo) X(cuMemPrefetchAsync_v2) X(cuMemRetainAllocationHandle) \
    X(cuMemcpy2DAsync_v2) X(cuMemcpy2D_v2) X(cuMemcpy3DAsync_v2) X(cuMemcpy3D_v2) X(cuMemcpyPeer) \
    X(cuMemcpyPeerAsync) X(cuMemsetD2D8_v2) X(cuModuleGetGlobal_v2) X(cuMulticastAddDevice) X(cuMulticastBindMem) \
    X(cuMulticastCreate) X(cuMulticastUnbind) X(cuOccupancyMaxActiveClusters) X(cuOccupancyMaxPotentialBlockSize) \
    X(cuOccupancyMaxPotentialClusterSize) X(cuPointerSetAttribute) X(cuProfilerStart) X(cuProfilerStop) \
    X(cuStreamAddCallback) X(cuStreamBatchMemOp_v2) X(cuStreamCopyAttributes) \
    X(cuStreamGetAttribute) X(cuStreamSetAttribute) \
    X(cuStreamWaitValue32_v2) X(cuStreamWriteValue32_v2) X(cuTensorMapEncodeTiled)
// clang-format on

/* The twins. */
#define P(symbol, since)
#define S(symbol, since, params, args)        \
    CUresult symbol##_ptsz params             \
    {                                         \
        stream = softgpu_stream_ptsz(stream); \
        return symbol args;                   \
    }
SOFTGPU_DRIVER_TABLE(P, S)
#undef P
#undef S

static int stub(const char *name, atomic_flag *reported)
{
    if (!atomic_flag_test_and_set(reported))
        softgpu_note("%s is not supported", name);
    return CUDA_ERROR_NOT_SUPPORTED;
}
/* Their names in C are others, since cuda.h declares them with parameters. */
#define X(name)                                         \
    int stub_of_##name(void) __asm__(#name);            \
    int stub_of_##name(void)                            \
    {                                                   \
        static atomic_flag reported = ATOMIC_FLAG_INIT; \
        return stub(#name, &reported);                  \
    }
STUBS(X)
#undef X

typedef void entry_function(void);
static const struct entry {
    const char *symbol;
    int since;
    entry_function *legacy, *per_thread;
} ENTRIES[] = {
#define P(symbol, since)               {#symbol, since, (entry_function *)symbol, (entry_function *)symbol},
#define S(symbol, since, params, args) {#symbol, since, (entry_function *)symbol, (entry_function *)symbol##_ptsz},
#define X(name)                        {#name, 0, (entry_function *)stub_of_##name, (entry_function *)stub_of_##name},
    SOFTGPU_DRIVER_TABLE(P, S) STUBS(X)
#undef P
#undef S
#undef X
    /* Its stream is a member of the configuration. */
    {"cuLaunchKernelEx", 11060, (entry_function *)cuLaunchKernelEx, (entry_function *)cuLaunchKernelEx_ptsz},
    /* CUDA 12 gave an old name to a newer function. */
    {"cuGraphInstantiate", 12000, (entry_function *)cuGraphInstantiateWithFlags,
     (entry_function *)cuGraphInstantiateWithFlags},
};

/* A name may be asked for with or without the version, "_v2" and the like, that its symbol ends with. */
static bool is_name_of(const char *name, const char *symbol)
{
    const size_t length = strlen(name);
    const char *rest = symbol + length;
    return *name && strncmp(symbol, name, length) == 0 && (!*rest || (rest[0] == '_' && rest[1] == 'v' && rest[2]));
}

/* The newest function of this name that exists in the requested version. */
static entry_function *entry_find(const char *name, int version, cuuint64_t flags,
                                  CUdriverProcAddressQueryResult *ret_status)
{
    const struct entry *found = NULL;
    bool is_known = false;
    for (const struct entry *entry = ENTRIES; entry < ENTRIES + sizeof ENTRIES / sizeof *ENTRIES; ++entry) {
        if (!is_name_of(name, entry->symbol))
            continue;
        is_known = true;
        if (entry->since <= version && (!found || entry->since > found->since))
            found = entry;
    }
    *ret_status = found      ? CU_GET_PROC_ADDRESS_SUCCESS
                  : is_known ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                             : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    if (!found)
        return NULL;
    return flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM ? found->per_thread : found->legacy;
}

CUresult cuGetProcAddress_v2(const char *name, void **ret_function, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *ret_status)
{
    CUdriverProcAddressQueryResult status;
    if (!name || !ret_function || version > softgpu_facts_get()->driver_version)
        return CUDA_ERROR_INVALID_VALUE;
    entry_function *found = entry_find(name, version, flags, &status);
    memcpy(ret_function, &found, sizeof found);
    if (ret_status)
        *ret_status = status;
    return CUDA_SUCCESS;
}

CUresult cuGetProcAddress(const char *name, void **ret_function, int version, cuuint64_t flags)
{
    CUresult result = cuGetProcAddress_v2(name, ret_function, version, flags, NULL);
    return result == CUDA_SUCCESS && !*ret_function ? CUDA_ERROR_NOT_FOUND : result;
}

CUresult cuGetExportTable(const void **ret_table, const CUuuid *uuid)
{
    (void)uuid;
    *ret_table = NULL;
    return CUDA_ERROR_NOT_FOUND;
}

/* This driver never logs, so it never calls back. */
CUresult cuLogsRegisterCallback(CUlogsCallback function, void *data, CUlogsCallbackHandle *ret_handle)
{
    (void)function, (void)data;
    *ret_handle = NULL;
    return CUDA_SUCCESS;
}

CUresult cuLogsUnregisterCallback(CUlogsCallbackHandle handle)
{
    (void)handle;
    return CUDA_SUCCESS;
}
