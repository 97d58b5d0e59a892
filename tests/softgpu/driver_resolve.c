/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How programs find the stand-in driver's functions: cuGetProcAddress (one table of all of them, itself included) and
 * the per-thread-stream twins. What a real libcuda exports and this one does not play is a stub that says its name
 * once and returns 801, so that a program that only looks functions up can start.
 */
#include <stdatomic.h>
#include <string.h>

#include "driver_objects.h"

enum { FLAG_PER_THREAD = 2, STATUS_FOUND = 0, STATUS_NOT_FOUND = 1, STATUS_VERSION = 2 };

/* The twins. */
#define P(symbol, base, since, params)
#define S(symbol, base, since, params, args)  \
    CUresult symbol##_ptsz params             \
    {                                         \
        stream = softgpu_stream_ptsz(stream); \
        return symbol args;                   \
    }
SOFTGPU_DRIVER_TABLE(P, S)
#undef P
#undef S

typedef void softgpu_entry(void);
static const struct {
    const char *symbol, *base;
    int since;
    softgpu_entry *legacy, *per_thread;
} ENTRIES[] = {
#define P(symbol, base, since, params) {#symbol, base, since, (softgpu_entry *)symbol, (softgpu_entry *)symbol},
#define S(symbol, base, since, params, args) \
    {#symbol, base, since, (softgpu_entry *)symbol, (softgpu_entry *)symbol##_ptsz},
    SOFTGPU_DRIVER_TABLE(P, S)
#undef P
#undef S
};

// clang-format off
#define STUBS(X) \
    X(cuArray3DCreate_v2) X(cuArrayCreate_v2) X(cuArrayDestroy) X(cuCtxDetach) X(cuCtxFromGreenCtx) \
    X(cuCtxGetCacheConfig) X(cuCtxGetLimit) X(cuCtxResetPersistingL2Cache) X(cuCtxSetCacheConfig) X(cuCtxSetLimit) \
    X(cuCtxEnablePeerAccess) X(cuCtxDisablePeerAccess) X(cuDeviceGetByPCIBusId) X(cuDeviceGetDefaultMemPool) \
    X(cuDeviceGetDevResource) X(cuDeviceGetMemPool) X(cuDevicePrimaryCtxReset_v2) X(cuDeviceSetMemPool) \
    X(cuGraphAddKernelNode_v2) X(cuGraphAddMemcpyNode) X(cuGraphAddMemsetNode) X(cuGraphAddNode_v2) X(cuGraphClone) \
    X(cuGraphDebugDotPrint) X(cuGraphExecKernelNodeSetParams_v2) X(cuGraphExecUpdate_v2) X(cuGraphGetEdges) \
    X(cuGraphGetRootNodes) X(cuGraphInstantiateWithParams) X(cuGraphKernelNodeGetParams_v2) \
    X(cuGraphKernelNodeSetParams_v2) X(cuGraphNodeGetType) X(cuGreenCtxCreate) X(cuGreenCtxDestroy) \
    X(cuGreenCtxStreamCreate) X(cuIpcCloseMemHandle) X(cuIpcGetEventHandle) X(cuIpcGetMemHandle) \
    X(cuIpcOpenEventHandle) X(cuIpcOpenMemHandle_v2) X(cuKernelGetParamInfo) X(cuFuncGetParamInfo) X(cuFuncIsLoaded) \
    X(cuFuncLoad) X(cuKernelSetCacheConfig) X(cuLaunchCooperativeKernelMultiDevice) X(cuLibraryEnumerateKernels) \
    X(cuLibraryGetGlobal) X(cuLibraryGetKernelCount) X(cuLibraryGetManaged) X(cuLibraryLoadFromFile) \
    X(cuLinkAddData_v2) X(cuLinkAddFile_v2) X(cuLinkComplete) X(cuLinkCreate_v2) X(cuLinkDestroy) \
    X(cuMemAdvise_v2) X(cuMemAllocFromPoolAsync) X(cuMemAllocManaged) X(cuMemAllocPitch_v2) \
    X(cuMemExportToShareableHandle) X(cuMemGetAccess) X(cuMemGetAllocationPropertiesFromHandle) X(cuMemHostGetFlags) \
    X(cuMemImportFromShareableHandle) X(cuMemPoolCreate) X(cuMemPoolDestroy) X(cuMemPoolGetAttribute) \
    X(cuMemPoolSetAttribute) X(cuMemPoolTrimTo) X(cuMemPrefetchAsync_v2) \
    X(cuMemRetainAllocationHandle) X(cuMemcpy2DAsync_v2) X(cuMemcpy2D_v2) \
    X(cuMemcpy3DAsync_v2) X(cuMemcpy3D_v2) X(cuMemcpyPeer) X(cuMemcpyPeerAsync) X(cuMemsetD2D8_v2) \
    X(cuModuleGetGlobal_v2) \
    X(cuMulticastAddDevice) X(cuMulticastBindMem) X(cuMulticastCreate) X(cuMulticastUnbind) \
    X(cuOccupancyMaxActiveClusters) X(cuOccupancyMaxPotentialBlockSize) X(cuOccupancyMaxPotentialClusterSize) \
    X(cuPointerSetAttribute) X(cuProfilerStart) X(cuProfilerStop) X(cuStreamAddCallback) X(cuStreamBatchMemOp_v2) \
    X(cuStreamBeginCaptureToGraph) X(cuStreamCopyAttributes) X(cuStreamGetAttribute) X(cuStreamSetAttribute) \
    X(cuStreamUpdateCaptureDependencies_v2) X(cuStreamWaitValue32_v2) X(cuStreamWriteValue32_v2) \
    X(cuTensorMapEncodeTiled) X(cuUserObjectCreate) X(cuUserObjectRelease) X(cuGraphRetainUserObject)
// clang-format on

static CUresult stub(const char *name, atomic_flag *said)
{
    if (!atomic_flag_test_and_set(said))
        softgpu_note("%s is not supported", name);
    return CUDA_ERROR_NOT_SUPPORTED;
}
#define X(name)                                     \
    CUresult name(void);                            \
    CUresult name(void)                             \
    {                                               \
        static atomic_flag said = ATOMIC_FLAG_INIT; \
        return stub(#name, &said);                  \
    }
STUBS(X)
#undef X

static const struct {
    const char *symbol;
    softgpu_entry *function;
} STUB_ENTRIES[] = {
#define X(name) {#name, (softgpu_entry *)name},
    STUBS(X)
#undef X
};

/* A base name is the exported one without "_v2" and the like. */
static bool is_base_of(const char *name, const char *symbol)
{
    size_t length = strlen(name);
    const char *rest = symbol + length;
    return strncmp(symbol, name, length) == 0 && (!*rest || (rest[0] == '_' && rest[1] == 'v' && rest[2]));
}

static softgpu_entry *stub_find(const char *name)
{
    for (size_t i = 0; *name && i < sizeof STUB_ENTRIES / sizeof STUB_ENTRIES[0]; ++i)
        if (is_base_of(name, STUB_ENTRIES[i].symbol))
            return STUB_ENTRIES[i].function;
    return NULL;
}

static softgpu_entry *entry_find(const char *name, int version, uint64_t flags, int *ret_status)
{
    softgpu_entry *found = NULL;
    int found_since = -1;
    bool known = false;
    for (size_t i = 0; i < sizeof ENTRIES / sizeof ENTRIES[0]; ++i) {
        if (strcmp(ENTRIES[i].base, name) != 0 && strcmp(ENTRIES[i].symbol, name) != 0)
            continue;
        known = true;
        if (ENTRIES[i].since > version || ENTRIES[i].since <= found_since)
            continue;
        found_since = ENTRIES[i].since;
        found = flags & FLAG_PER_THREAD ? ENTRIES[i].per_thread : ENTRIES[i].legacy;
    }
    if (!found && !known)
        found = stub_find(name);
    *ret_status = found ? STATUS_FOUND : known ? STATUS_VERSION : STATUS_NOT_FOUND;
    return found;
}

CUresult cuGetProcAddress_v2(const char *name, void **ret_function, int version, uint64_t flags, int *ret_status)
{
    int status;
    if (!name || !ret_function || version > softgpu_facts_get()->driver_version)
        return CUDA_ERROR_INVALID_VALUE;
    bool is_ex = flags & FLAG_PER_THREAD && strcmp(name, "cuLaunchKernelEx") == 0;
    softgpu_entry *found = entry_find(is_ex ? "cuLaunchKernelEx_ptsz" : name, version, flags, &status);
    memcpy(ret_function, &found, sizeof found);
    if (ret_status)
        *ret_status = status;
    return CUDA_SUCCESS;
}

CUresult cuGetProcAddress(const char *name, void **ret_function, int version, uint64_t flags)
{
    CUresult result = cuGetProcAddress_v2(name, ret_function, version, flags, NULL);
    return result == CUDA_SUCCESS && !*ret_function ? CUDA_ERROR_NOT_FOUND : result;
}

CUresult cuGetExportTable(const void **ret_table, const void *uuid)
{
    (void)uuid;
    *ret_table = NULL;
    return CUDA_ERROR_NOT_FOUND;
}

/* This driver never logs: there is nothing to call back for. */
CUresult cuLogsRegisterCallback(void *function, void *data, void **ret_handle)
{
    (void)function, (void)data;
    *ret_handle = NULL;
    return CUDA_SUCCESS;
}

CUresult cuLogsUnregisterCallback(void *handle)
{
    (void)handle;
    return CUDA_SUCCESS;
}
