/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See runtime.h: facts about devices, memory outside of streams, and events, streams, graphs and libraries as objects.
 * Most are one driver call each: a table.
 */
#include "runtime.h"

#include <string.h>

/* API(name, parameters, how, driver function, arguments); how: enter (needs a context) or start. */
#define API(name, params, how, function, args) \
    cudaError_t name params                    \
    {                                          \
        SOFTGPU_CALL(how, function, args);     \
    }
#define PTR(p) ((CUdeviceptr)(p))

// clang-format off
API(cudaDriverGetVersion,  (int *version),                          start, cuDriverGetVersion,   (version))
API(cudaDeviceGetAttribute, (int *value, enum cudaDeviceAttr which, int device),
    start, cuDeviceGetAttribute, (value, (CUdevice_attribute)which, device))
API(cudaDeviceGetPCIBusId, (char *id, int length, int device),      start, cuDeviceGetPCIBusId,  (id, length, device))
API(cudaDeviceCanAccessPeer, (int *can, int device, int peer),      start, cuDeviceCanAccessPeer, (can, device, peer))
API(cudaDeviceSynchronize, (void),                                  enter, cuCtxSynchronize,     ())
API(cudaDeviceGetStreamPriorityRange, (int *least, int *greatest),  enter, cuCtxGetStreamPriorityRange, (least, greatest))
API(cudaMemGetInfo,        (size_t *available, size_t *total),      enter, cuMemGetInfo,         (available, total))
API(cudaHostAlloc,         (void **p, size_t bytes, unsigned flags), enter, cuMemHostAlloc,      (p, bytes, flags))
API(cudaMallocHost,        (void **p, size_t bytes),                enter, cuMemHostAlloc,       (p, bytes, 0))
API(cudaHostRegister,      (void *p, size_t bytes, unsigned flags), enter, cuMemHostRegister,    (p, bytes, flags))
API(cudaHostUnregister,    (void *p),                               enter, cuMemHostUnregister,  (p))
API(cudaHostGetDevicePointer, (void **device, void *host, unsigned flags),
    enter, cuMemHostGetDevicePointer, ((CUdeviceptr *)device, host, flags))
API(cudaEventCreate,       (cudaEvent_t *event),                    enter, cuEventCreate,        (event, 0))
API(cudaEventCreateWithFlags, (cudaEvent_t *event, unsigned flags), enter, cuEventCreate,        (event, flags))
API(cudaEventDestroy,      (cudaEvent_t event),                     enter, cuEventDestroy,       (event))
API(cudaEventQuery,        (cudaEvent_t event),                     enter, cuEventQuery,         (event))
API(cudaEventSynchronize,  (cudaEvent_t event),                     enter, cuEventSynchronize,   (event))
API(cudaEventElapsedTime,  (float *ms, cudaEvent_t from, cudaEvent_t to), enter, cuEventElapsedTime, (ms, from, to))
API(cudaStreamCreate,      (cudaStream_t *stream),                  enter, cuStreamCreate,       (stream, 0))
API(cudaStreamCreateWithFlags, (cudaStream_t *stream, unsigned flags), enter, cuStreamCreate,    (stream, flags))
API(cudaStreamCreateWithPriority, (cudaStream_t *stream, unsigned flags, int priority),
    enter, cuStreamCreateWithPriority, (stream, flags, priority))
API(cudaStreamDestroy,     (cudaStream_t stream),                   enter, cuStreamDestroy,      (stream))
API(cudaThreadExchangeStreamCaptureMode, (enum cudaStreamCaptureMode *mode),
    enter, cuThreadExchangeStreamCaptureMode, ((void *)mode))
API(cudaGraphCreate,       (cudaGraph_t *graph, unsigned flags),    enter, cuGraphCreate,        (graph, flags))
API(cudaGraphDestroy,      (cudaGraph_t graph),                     enter, cuGraphDestroy,       (graph))
#if CUDA_VERSION >= 12000
API(cudaGraphInstantiate,  (cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags),
    enter, cuGraphInstantiateWithFlags, (exec, graph, flags))
#else
API(cudaGraphInstantiate,  (cudaGraphExec_t *exec, cudaGraph_t graph, cudaGraphNode_t *node, char *log, size_t bytes),
    enter, cuGraphInstantiate, (exec, graph, node, log, bytes))
#endif
API(cudaGraphInstantiateWithFlags, (cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags),
    enter, cuGraphInstantiateWithFlags, (exec, graph, flags))
API(cudaGraphExecDestroy,  (cudaGraphExec_t exec),                  enter, cuGraphExecDestroy,   (exec))
API(cudaGraphGetNodes,     (cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count),
    enter, cuGraphGetNodes, (graph, nodes, count))
#if CUDA_VERSION >= 12080
API(cudaLibraryLoadData,   (cudaLibrary_t *library, const void *code, enum cudaJitOption *jit, void **jit_values,
    unsigned jit_count, enum cudaLibraryOption *options, void **values, unsigned count),
    enter, cuLibraryLoadData, (library, code, (void *)jit, jit_values, jit_count, (void *)options, values, count))
API(cudaLibraryUnload,     (cudaLibrary_t library),                 enter, cuLibraryUnload,      (library))
#endif
// clang-format on

/* No bytes mean a null pointer and no error; cuMemAlloc would fail. */
cudaError_t cudaMalloc(void **p, size_t bytes)
{
    if (bytes == 0) {
        *p = NULL;
        return softgpu_runtime_set_error(softgpu_runtime_enter());
    }
    SOFTGPU_CALL(enter, cuMemAlloc, ((CUdeviceptr *)p, bytes));
}

cudaError_t cudaFree(void *p)
{
    if (!p)
        return softgpu_runtime_set_error(softgpu_runtime_enter()); /* programs do this to create a context */
    SOFTGPU_CALL(enter, cuMemFree, (PTR(p)));
}

cudaError_t cudaFreeHost(void *p)
{
    if (!p)
        return softgpu_runtime_set_error(softgpu_runtime_enter());
    SOFTGPU_CALL(enter, cuMemFreeHost, (p));
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

#if CUDA_VERSION >= 12000
cudaError_t cudaInitDevice(int device, unsigned flags, unsigned other)
{
    (void)device, (void)flags, (void)other;
    return softgpu_runtime_set_error(softgpu_runtime_enter());
}
#endif

cudaError_t cudaProfilerStart(void)
{
    return cudaSuccess;
}

cudaError_t cudaProfilerStop(void)
{
    return cudaSuccess;
}

#if CUDA_VERSION >= 12080
cudaError_t cudaLibraryGetKernel(cudaKernel_t *ret_kernel, cudaLibrary_t library, const char *name)
{
    cudaError_t error = softgpu_runtime_enter();
    if (!error)
        error = (cudaError_t)softgpu_driver.cuLibraryGetKernel((CUkernel *)ret_kernel, (CUlibrary)library, name);
    if (!error)
        softgpu_kernel_learn((CUkernel)*ret_kernel);
    return softgpu_runtime_set_error(error);
}
#endif

/* Memory that the driver does not know is plain host memory, and no error. */
cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *ret, const void *p)
{
    unsigned type = 0;
    int ordinal = -2;
    void *device = NULL, *host = NULL;
    CUpointer_attribute which[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
                                   CU_POINTER_ATTRIBUTE_DEVICE_POINTER, CU_POINTER_ATTRIBUTE_HOST_POINTER};
    void *values[] = {&type, &ordinal, &device, &host};
    cudaError_t error = softgpu_runtime_enter();
    if (!error)
        error = (cudaError_t)softgpu_driver.cuPointerGetAttributes(4, which, values, PTR(p));
    if (error)
        return softgpu_runtime_set_error(error);
    memset(ret, 0, sizeof *ret);
    ret->device = ordinal;
    ret->devicePointer = device;
    ret->hostPointer = host;
    ret->type = type == CU_MEMORYTYPE_DEVICE ? cudaMemoryTypeDevice
                : type == CU_MEMORYTYPE_HOST ? cudaMemoryTypeHost
                                             : cudaMemoryTypeUnregistered;
    return cudaSuccess;
}

/* X(field, the device attribute that fills it). All other fields stay zero. */
// clang-format off
#define SOFTGPU_PROPERTIES(X)                                                                                          \
    X(sharedMemPerBlock, MAX_SHARED_MEMORY_PER_BLOCK) X(regsPerBlock, MAX_REGISTERS_PER_BLOCK)                         \
    X(warpSize, WARP_SIZE) X(memPitch, MAX_PITCH) X(maxThreadsPerBlock, MAX_THREADS_PER_BLOCK)                         \
    X(maxThreadsDim[0], MAX_BLOCK_DIM_X) X(maxThreadsDim[1], MAX_BLOCK_DIM_Y) X(maxThreadsDim[2], MAX_BLOCK_DIM_Z)     \
    X(maxGridSize[0], MAX_GRID_DIM_X) X(maxGridSize[1], MAX_GRID_DIM_Y) X(maxGridSize[2], MAX_GRID_DIM_Z)              \
    X(totalConstMem, TOTAL_CONSTANT_MEMORY) X(major, COMPUTE_CAPABILITY_MAJOR) X(minor, COMPUTE_CAPABILITY_MINOR)      \
    X(textureAlignment, TEXTURE_ALIGNMENT) X(multiProcessorCount, MULTIPROCESSOR_COUNT) X(integrated, INTEGRATED)      \
    X(canMapHostMemory, CAN_MAP_HOST_MEMORY) X(concurrentKernels, CONCURRENT_KERNELS) X(ECCEnabled, ECC_ENABLED)       \
    X(pciBusID, PCI_BUS_ID) X(pciDeviceID, PCI_DEVICE_ID) X(pciDomainID, PCI_DOMAIN_ID)                                \
    X(asyncEngineCount, ASYNC_ENGINE_COUNT) X(unifiedAddressing, UNIFIED_ADDRESSING)                                   \
    X(memoryBusWidth, GLOBAL_MEMORY_BUS_WIDTH) X(l2CacheSize, L2_CACHE_SIZE)                                           \
    X(maxThreadsPerMultiProcessor, MAX_THREADS_PER_MULTIPROCESSOR)                                                     \
    X(streamPrioritiesSupported, STREAM_PRIORITIES_SUPPORTED)                                                          \
    X(sharedMemPerMultiprocessor, MAX_SHARED_MEMORY_PER_MULTIPROCESSOR)                                                \
    X(regsPerMultiprocessor, MAX_REGISTERS_PER_MULTIPROCESSOR) X(managedMemory, MANAGED_MEMORY)                        \
    X(cooperativeLaunch, COOPERATIVE_LAUNCH) X(sharedMemPerBlockOptin, MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)              \
    X(maxBlocksPerMultiProcessor, MAX_BLOCKS_PER_MULTIPROCESSOR)                                                       \
    X(reservedSharedMemPerBlock, RESERVED_SHARED_MEMORY_PER_BLOCK) SOFTGPU_PROPERTIES_12(X)
#if CUDA_VERSION >= 12000
#define SOFTGPU_PROPERTIES_12(X) X(memoryPoolsSupported, MEMORY_POOLS_SUPPORTED)
#else
#define SOFTGPU_PROPERTIES_12(X)
#endif
// clang-format on

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *ret, int device)
{
    int value;
    CUdevice handle;
    cudaError_t error = softgpu_runtime_start();
    if (!error)
        error = (cudaError_t)softgpu_driver.cuDeviceGet(&handle, device);
    if (error)
        return softgpu_runtime_set_error(error);
    memset(ret, 0, sizeof *ret);
    softgpu_driver.cuDeviceGetName(ret->name, sizeof ret->name, handle);
    softgpu_driver.cuDeviceGetUuid((void *)&ret->uuid, handle);
    softgpu_driver.cuDeviceTotalMem(&ret->totalGlobalMem, handle);
#define X(field, attribute)                                                                                   \
    if (softgpu_driver.cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_##attribute, handle) == CUDA_SUCCESS) \
        ret->field = (__typeof__(ret->field))value;
    SOFTGPU_PROPERTIES(X)
#undef X
    return cudaSuccess;
}
