/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every function of the stand-in libcuda.so.1, once: prototypes, per-thread-stream twins and the resolver's table come
 * from here (driver_resolve.c). P(symbol, base name, CUDA version it came with, parameters); S the same for functions
 * that take `stream`, with the call's arguments: they get a twin NAME_ptsz in which stream 0 means 0x2.
 * The resolver gives the newest row of a base name that the asked version knows.
 */
#ifndef SOFTGPU_DRIVER_TABLE_H
#define SOFTGPU_DRIVER_TABLE_H

#include <stddef.h>
#include <stdint.h>

typedef int CUresult;
typedef int CUdevice;
typedef uint64_t CUdeviceptr;
typedef struct softgpu_context *CUcontext;
typedef struct softgpu_stream *CUstream;
typedef struct softgpu_event *CUevent;
typedef struct softgpu_module *CUmodule;   /* also a CUlibrary */
typedef struct softgpu_kernel *CUfunction; /* also a CUkernel */
typedef struct softgpu_graph *CUgraph;     /* also a CUgraphExec */

struct softgpu_launch_config { /* CUlaunchConfig */
    unsigned grid[3], block[3], smem_bytes;
    CUstream stream;
    const struct softgpu_launch_attribute {
        int id, pad;
        unsigned value[16];
    } * attributes;
    unsigned attribute_count;
};

struct softgpu_location { /* CUmemLocation */
    int type, id;
};

struct softgpu_allocation_properties { /* CUmemAllocationProp */
    int type, handle_types;
    struct softgpu_location location;
    void *of_windows;
    unsigned char flags[8];
};

struct softgpu_access { /* CUmemAccessDesc */
    struct softgpu_location location;
    int flags;
};

// clang-format off
#define SOFTGPU_DRIVER_TABLE(P, S) \
    P(cuInit, "cuInit", 2000, (unsigned flags)) \
    P(cuDriverGetVersion, "cuDriverGetVersion", 2020, (int *ret_version)) \
    P(cuGetProcAddress, "cuGetProcAddress", 11030, (const char *name, void **ret_function, int version, uint64_t flags)) \
    P(cuGetProcAddress_v2, "cuGetProcAddress", 12000, (const char *name, void **ret_function, int version, uint64_t flags, int *ret_status)) \
    P(cuGetExportTable, "cuGetExportTable", 3000, (const void **ret_table, const void *uuid)) \
    P(cuLogsRegisterCallback, "cuLogsRegisterCallback", 12090, (void *function, void *data, void **ret_handle)) \
    P(cuLogsUnregisterCallback, "cuLogsUnregisterCallback", 12090, (void *handle)) \
    P(cuGetErrorName, "cuGetErrorName", 6000, (CUresult error, const char **ret_text)) \
    P(cuGetErrorString, "cuGetErrorString", 6000, (CUresult error, const char **ret_text)) \
    P(cuDeviceGet, "cuDeviceGet", 2000, (CUdevice *ret_device, int ordinal)) \
    P(cuDeviceGetCount, "cuDeviceGetCount", 2000, (int *ret_count)) \
    P(cuDeviceGetName, "cuDeviceGetName", 2000, (char *ret_name, int length, CUdevice device)) \
    P(cuDeviceGetAttribute, "cuDeviceGetAttribute", 2000, (int *ret_value, int attribute, CUdevice device)) \
    P(cuDeviceTotalMem_v2, "cuDeviceTotalMem", 3020, (size_t *ret_bytes, CUdevice device)) \
    P(cuDeviceGetUuid, "cuDeviceGetUuid", 9020, (void *ret_uuid, CUdevice device)) \
    P(cuDeviceGetUuid_v2, "cuDeviceGetUuid", 11040, (void *ret_uuid, CUdevice device)) \
    P(cuDeviceGetPCIBusId, "cuDeviceGetPCIBusId", 4010, (char *ret_id, int length, CUdevice device)) \
    P(cuDeviceCanAccessPeer, "cuDeviceCanAccessPeer", 4000, (int *ret_can, CUdevice device, CUdevice peer)) \
    P(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain", 7000, (CUcontext *ret_context, CUdevice device)) \
    P(cuDevicePrimaryCtxRelease_v2, "cuDevicePrimaryCtxRelease", 11000, (CUdevice device)) \
    P(cuDevicePrimaryCtxSetFlags_v2, "cuDevicePrimaryCtxSetFlags", 11000, (CUdevice device, unsigned flags)) \
    P(cuDevicePrimaryCtxGetState, "cuDevicePrimaryCtxGetState", 7000, (CUdevice device, unsigned *ret_flags, int *ret_active)) \
    P(cuCtxCreate_v2, "cuCtxCreate", 3020, (CUcontext *ret_context, unsigned flags, CUdevice device)) \
    P(cuCtxCreate_v4, "cuCtxCreate", 12050, (CUcontext *ret_context, const void *params, unsigned flags, CUdevice device)) \
    P(cuCtxDestroy_v2, "cuCtxDestroy", 4000, (CUcontext context)) \
    P(cuCtxGetCurrent, "cuCtxGetCurrent", 4000, (CUcontext *ret_context)) \
    P(cuCtxSetCurrent, "cuCtxSetCurrent", 4000, (CUcontext context)) \
    P(cuCtxPushCurrent_v2, "cuCtxPushCurrent", 4000, (CUcontext context)) \
    P(cuCtxPopCurrent_v2, "cuCtxPopCurrent", 4000, (CUcontext *ret_context)) \
    P(cuCtxGetDevice, "cuCtxGetDevice", 2000, (CUdevice *ret_device)) \
    P(cuCtxGetFlags, "cuCtxGetFlags", 7000, (unsigned *ret_flags)) \
    P(cuCtxGetId, "cuCtxGetId", 12000, (CUcontext context, unsigned long long *ret_id)) \
    P(cuCtxGetApiVersion, "cuCtxGetApiVersion", 3020, (CUcontext context, unsigned *ret_version)) \
    P(cuCtxGetStreamPriorityRange, "cuCtxGetStreamPriorityRange", 5050, (int *ret_least, int *ret_greatest)) \
    P(cuCtxSynchronize, "cuCtxSynchronize", 2000, (void)) \
    P(cuThreadExchangeStreamCaptureMode, "cuThreadExchangeStreamCaptureMode", 10010, (int *mode)) \
    P(cuStreamCreate, "cuStreamCreate", 2000, (CUstream *ret_stream, unsigned flags)) \
    P(cuStreamCreateWithPriority, "cuStreamCreateWithPriority", 5050, (CUstream *ret_stream, unsigned flags, int priority)) \
    P(cuStreamDestroy_v2, "cuStreamDestroy", 4000, (CUstream stream)) \
    S(cuStreamSynchronize, "cuStreamSynchronize", 2000, (CUstream stream), (stream)) \
    S(cuStreamQuery, "cuStreamQuery", 2000, (CUstream stream), (stream)) \
    S(cuStreamGetId, "cuStreamGetId", 12000, (CUstream stream, unsigned long long *ret_id), (stream, ret_id)) \
    S(cuStreamGetCtx, "cuStreamGetCtx", 9020, (CUstream stream, CUcontext *ret_context), (stream, ret_context)) \
    S(cuStreamGetFlags, "cuStreamGetFlags", 5050, (CUstream stream, unsigned *ret_flags), (stream, ret_flags)) \
    S(cuStreamGetPriority, "cuStreamGetPriority", 5050, (CUstream stream, int *ret_priority), (stream, ret_priority)) \
    S(cuStreamWaitEvent, "cuStreamWaitEvent", 3020, (CUstream stream, CUevent event, unsigned flags), (stream, event, flags)) \
    S(cuStreamIsCapturing, "cuStreamIsCapturing", 10000, (CUstream stream, int *ret_status), (stream, ret_status)) \
    S(cuStreamGetCaptureInfo, "cuStreamGetCaptureInfo", 10010, (CUstream stream, int *ret_status, uint64_t *ret_id), (stream, ret_status, ret_id)) \
    S(cuStreamGetCaptureInfo_v2, "cuStreamGetCaptureInfo", 11030, (CUstream stream, int *ret_status, uint64_t *ret_id, CUgraph *ret_graph, const void **ret_nodes, size_t *ret_count), \
        (stream, ret_status, ret_id, ret_graph, ret_nodes, ret_count)) \
    S(cuStreamGetCaptureInfo_v3, "cuStreamGetCaptureInfo", 12030, (CUstream stream, int *ret_status, uint64_t *ret_id, CUgraph *ret_graph, const void **ret_nodes, const void **ret_edges, size_t *ret_count), \
        (stream, ret_status, ret_id, ret_graph, ret_nodes, ret_edges, ret_count)) \
    S(cuStreamBeginCapture_v2, "cuStreamBeginCapture", 10010, (CUstream stream, int mode), (stream, mode)) \
    S(cuStreamEndCapture, "cuStreamEndCapture", 10000, (CUstream stream, CUgraph *ret_graph), (stream, ret_graph)) \
    S(cuLaunchHostFunc, "cuLaunchHostFunc", 10000, (CUstream stream, void (*function)(void *), void *data), (stream, function, data)) \
    P(cuGraphCreate, "cuGraphCreate", 10000, (CUgraph *ret_graph, unsigned flags)) \
    P(cuGraphGetNodes, "cuGraphGetNodes", 10000, (CUgraph graph, void **ret_nodes, size_t *count)) \
    P(cuGraphInstantiate_v2, "cuGraphInstantiate", 11000, (CUgraph *ret_exec, CUgraph graph, void *ret_node, char *log, size_t log_bytes)) \
    P(cuGraphInstantiateWithFlags, "cuGraphInstantiateWithFlags", 11040, (CUgraph *ret_exec, CUgraph graph, unsigned long long flags)) \
    P(cuGraphInstantiateWithFlags, "cuGraphInstantiate", 12000, (CUgraph *ret_exec, CUgraph graph, unsigned long long flags)) \
    S(cuGraphLaunch, "cuGraphLaunch", 10000, (CUgraph exec, CUstream stream), (exec, stream)) \
    S(cuGraphUpload, "cuGraphUpload", 11010, (CUgraph exec, CUstream stream), (exec, stream)) \
    P(cuGraphDestroy, "cuGraphDestroy", 10000, (CUgraph graph)) \
    P(cuGraphExecDestroy, "cuGraphExecDestroy", 10000, (CUgraph exec)) \
    P(cuEventCreate, "cuEventCreate", 2000, (CUevent *ret_event, unsigned flags)) \
    P(cuEventDestroy_v2, "cuEventDestroy", 4000, (CUevent event)) \
    S(cuEventRecord, "cuEventRecord", 2000, (CUevent event, CUstream stream), (event, stream)) \
    S(cuEventRecordWithFlags, "cuEventRecordWithFlags", 11010, (CUevent event, CUstream stream, unsigned flags), (event, stream, flags)) \
    P(cuEventQuery, "cuEventQuery", 2000, (CUevent event)) \
    P(cuEventSynchronize, "cuEventSynchronize", 2000, (CUevent event)) \
    P(cuEventElapsedTime, "cuEventElapsedTime", 2000, (float *ret_ms, CUevent start, CUevent end)) \
    P(cuEventElapsedTime_v2, "cuEventElapsedTime", 12080, (float *ret_ms, CUevent start, CUevent end)) \
    P(cuMemAlloc_v2, "cuMemAlloc", 3020, (CUdeviceptr *ret_address, size_t bytes)) \
    P(cuMemFree_v2, "cuMemFree", 3020, (CUdeviceptr address)) \
    S(cuMemAllocAsync, "cuMemAllocAsync", 11020, (CUdeviceptr *ret_address, size_t bytes, CUstream stream), (ret_address, bytes, stream)) \
    S(cuMemFreeAsync, "cuMemFreeAsync", 11020, (CUdeviceptr address, CUstream stream), (address, stream)) \
    P(cuMemGetAllocationGranularity, "cuMemGetAllocationGranularity", 10020, (size_t *ret_bytes, const struct softgpu_allocation_properties *properties, int which)) \
    P(cuMemAddressReserve, "cuMemAddressReserve", 10020, (CUdeviceptr *ret_address, size_t bytes, size_t alignment, CUdeviceptr hint, unsigned long long flags)) \
    P(cuMemAddressFree, "cuMemAddressFree", 10020, (CUdeviceptr address, size_t bytes)) \
    P(cuMemCreate, "cuMemCreate", 10020, (uint64_t *ret_handle, size_t bytes, const struct softgpu_allocation_properties *properties, unsigned long long flags)) \
    P(cuMemRelease, "cuMemRelease", 10020, (uint64_t handle)) \
    P(cuMemMap, "cuMemMap", 10020, (CUdeviceptr address, size_t bytes, size_t offset, uint64_t handle, unsigned long long flags)) \
    P(cuMemSetAccess, "cuMemSetAccess", 10020, (CUdeviceptr address, size_t bytes, const struct softgpu_access *access, size_t count)) \
    P(cuMemUnmap, "cuMemUnmap", 10020, (CUdeviceptr address, size_t bytes)) \
    P(cuMemAllocHost_v2, "cuMemAllocHost", 3020, (void **ret_address, size_t bytes)) \
    P(cuMemHostAlloc, "cuMemHostAlloc", 2020, (void **ret_address, size_t bytes, unsigned flags)) \
    P(cuMemFreeHost, "cuMemFreeHost", 2000, (void *address)) \
    P(cuMemHostRegister_v2, "cuMemHostRegister", 4000, (void *address, size_t bytes, unsigned flags)) \
    P(cuMemHostUnregister, "cuMemHostUnregister", 4000, (void *address)) \
    P(cuMemHostGetDevicePointer_v2, "cuMemHostGetDevicePointer", 3020, (CUdeviceptr *ret_address, void *host, unsigned flags)) \
    P(cuMemGetInfo_v2, "cuMemGetInfo", 3020, (size_t *ret_free, size_t *ret_total)) \
    P(cuMemGetAddressRange_v2, "cuMemGetAddressRange", 3020, (CUdeviceptr *ret_base, size_t *ret_bytes, CUdeviceptr address)) \
    P(cuPointerGetAttribute, "cuPointerGetAttribute", 4000, (void *ret_value, int attribute, CUdeviceptr address)) \
    P(cuPointerGetAttributes, "cuPointerGetAttributes", 7000, (unsigned count, const int *attributes, void **ret_values, CUdeviceptr address)) \
    P(cuMemcpy, "cuMemcpy", 4000, (CUdeviceptr target, CUdeviceptr source, size_t bytes)) \
    P(cuMemcpyHtoD_v2, "cuMemcpyHtoD", 3020, (CUdeviceptr target, const void *source, size_t bytes)) \
    P(cuMemcpyDtoH_v2, "cuMemcpyDtoH", 3020, (void *target, CUdeviceptr source, size_t bytes)) \
    P(cuMemcpyDtoD_v2, "cuMemcpyDtoD", 3020, (CUdeviceptr target, CUdeviceptr source, size_t bytes)) \
    S(cuMemcpyAsync, "cuMemcpyAsync", 4000, (CUdeviceptr target, CUdeviceptr source, size_t bytes, CUstream stream), (target, source, bytes, stream)) \
    S(cuMemcpyHtoDAsync_v2, "cuMemcpyHtoDAsync", 3020, (CUdeviceptr target, const void *source, size_t bytes, CUstream stream), (target, source, bytes, stream)) \
    S(cuMemcpyDtoHAsync_v2, "cuMemcpyDtoHAsync", 3020, (void *target, CUdeviceptr source, size_t bytes, CUstream stream), (target, source, bytes, stream)) \
    S(cuMemcpyDtoDAsync_v2, "cuMemcpyDtoDAsync", 3020, (CUdeviceptr target, CUdeviceptr source, size_t bytes, CUstream stream), (target, source, bytes, stream)) \
    P(cuMemsetD8_v2, "cuMemsetD8", 3020, (CUdeviceptr target, unsigned char value, size_t count)) \
    P(cuMemsetD16_v2, "cuMemsetD16", 3020, (CUdeviceptr target, unsigned short value, size_t count)) \
    P(cuMemsetD32_v2, "cuMemsetD32", 3020, (CUdeviceptr target, unsigned value, size_t count)) \
    S(cuMemsetD8Async, "cuMemsetD8Async", 3020, (CUdeviceptr target, unsigned char value, size_t count, CUstream stream), (target, value, count, stream)) \
    S(cuMemsetD16Async, "cuMemsetD16Async", 3020, (CUdeviceptr target, unsigned short value, size_t count, CUstream stream), (target, value, count, stream)) \
    S(cuMemsetD32Async, "cuMemsetD32Async", 3020, (CUdeviceptr target, unsigned value, size_t count, CUstream stream), (target, value, count, stream)) \
    P(cuModuleLoadData, "cuModuleLoadData", 2000, (CUmodule *ret_module, const void *image)) \
    P(cuModuleLoad, "cuModuleLoad", 2000, (CUmodule *ret_module, const char *path)) \
    P(cuModuleLoadDataEx, "cuModuleLoadDataEx", 2010, (CUmodule *ret_module, const void *image, unsigned count, const int *options, void **values)) \
    P(cuModuleLoadFatBinary, "cuModuleLoadFatBinary", 2000, (CUmodule *ret_module, const void *image)) \
    P(cuModuleUnload, "cuModuleUnload", 2000, (CUmodule module)) \
    P(cuModuleGetFunction, "cuModuleGetFunction", 2000, (CUfunction *ret_function, CUmodule module, const char *name)) \
    P(cuModuleGetLoadingMode, "cuModuleGetLoadingMode", 11070, (int *ret_mode)) \
    P(cuLibraryLoadData, "cuLibraryLoadData", 12000, (CUmodule *ret_library, const void *code, const int *jit_options, void **jit_values, unsigned jit_count, \
        const int *options, void **values, unsigned count)) \
    P(cuLibraryUnload, "cuLibraryUnload", 12000, (CUmodule library)) \
    P(cuLibraryGetKernel, "cuLibraryGetKernel", 12000, (CUfunction *ret_kernel, CUmodule library, const char *name)) \
    P(cuLibraryGetModule, "cuLibraryGetModule", 12000, (CUmodule *ret_module, CUmodule library)) \
    P(cuKernelGetFunction, "cuKernelGetFunction", 12000, (CUfunction *ret_function, CUfunction kernel)) \
    P(cuKernelGetLibrary, "cuKernelGetLibrary", 12050, (CUmodule *ret_library, CUfunction kernel)) \
    P(cuKernelGetName, "cuKernelGetName", 12030, (const char **ret_name, CUfunction kernel)) \
    P(cuFuncGetName, "cuFuncGetName", 12030, (const char **ret_name, CUfunction function)) \
    P(cuFuncGetModule, "cuFuncGetModule", 11000, (CUmodule *ret_module, CUfunction function)) \
    P(cuFuncGetAttribute, "cuFuncGetAttribute", 2020, (int *ret_value, int attribute, CUfunction function)) \
    P(cuFuncSetAttribute, "cuFuncSetAttribute", 9000, (CUfunction function, int attribute, int value)) \
    P(cuFuncSetCacheConfig, "cuFuncSetCacheConfig", 3000, (CUfunction function, int config)) \
    P(cuKernelGetAttribute, "cuKernelGetAttribute", 12000, (int *ret_value, int attribute, CUfunction kernel, CUdevice device)) \
    P(cuKernelSetAttribute, "cuKernelSetAttribute", 12000, (int attribute, int value, CUfunction kernel, CUdevice device)) \
    P(cuOccupancyMaxActiveBlocksPerMultiprocessor, "cuOccupancyMaxActiveBlocksPerMultiprocessor", 6050, (int *ret_blocks, CUfunction function, int threads, size_t smem_bytes)) \
    P(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags, "cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags", 7000, \
        (int *ret_blocks, CUfunction function, int threads, size_t smem_bytes, unsigned flags)) \
    S(cuLaunchKernel, "cuLaunchKernel", 4000, (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z, \
        unsigned smem_bytes, CUstream stream, void **params, void **extra), \
        (function, grid_x, grid_y, grid_z, block_x, block_y, block_z, smem_bytes, stream, params, extra)) \
    S(cuLaunchCooperativeKernel, "cuLaunchCooperativeKernel", 9000, (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, \
        unsigned block_z, unsigned smem_bytes, CUstream stream, void **params), \
        (function, grid_x, grid_y, grid_z, block_x, block_y, block_z, smem_bytes, stream, params)) \
    P(cuLaunchKernelEx, "cuLaunchKernelEx", 11060, (const struct softgpu_launch_config *config, CUfunction function, void **params, void **extra)) \
    P(cuLaunchKernelEx_ptsz, "cuLaunchKernelEx_ptsz", 11060, (const struct softgpu_launch_config *config, CUfunction function, void **params, void **extra))
// clang-format on

#define P(symbol, base, since, params) CUresult symbol params;
#define S(symbol, base, since, params, args) \
    CUresult symbol params;                  \
    CUresult symbol##_ptsz params;
SOFTGPU_DRIVER_TABLE(P, S)
#undef P
#undef S

#endif
