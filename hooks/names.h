/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every function of the public CUDA runtime (11.8 to 13.5) and driver (as declared, and as libcuda exports them, with
 * their versions and per-thread forms) that are not hooked: noticed, or harmless. A call that could change,
 * free, or tell the program that it may change the tensors of a launch, that orders streams, or that makes or ends a
 * stream, an event, a capture or a context is noticed: the pending partial sums (src/core/pairing.h) that it may make
 * stale are forgotten.
 * Harmless is what asks, allocates, or sets something that no tensor depends on. Which is which is said here and
 * nowhere else; tests/elf/test_notice.py compares both lists with the headers. Nothing but macros: notice.S reads them,
 * too.
 */
#ifndef FUSELN_NAMES_H
#define FUSELN_NAMES_H

/*
 * Version nodes of cudart: X(suffix, node). 14 to 16 are spare. hooks/fuseln.map lists the same nodes (a test
 * compares): the map cannot be generated from here.
 */
// clang-format off
#define FUSELN_CUDART_NODES(X) \
    X(11, "libcudart.so.11.0") X(12, "libcudart.so.12") X(13, "libcudart.so.13") \
    X(14, "libcudart.so.14")   X(15, "libcudart.so.15") X(16, "libcudart.so.16")

/* X(ENUM, exported name): every runtime function that we export, and then those that we call and do not export. */
#define FUSELN_CUDART_EXPORTS(X)                              \
    X(REGISTER,         __cudaRegisterFunction)               \
    X(UNREGISTER,       __cudaUnregisterFatBinary)            \
    X(GET_KERNEL,       __cudaGetKernel)                      \
    X(LAUNCH,           cudaLaunchKernel)                     \
    X(LAUNCH_PTSZ,      cudaLaunchKernel_ptsz)                \
    X(LAUNCH13,         __cudaLaunchKernel)                   \
    X(LAUNCH13_PTSZ,    __cudaLaunchKernel_ptsz)              \
    X(LAUNCH_EX,        cudaLaunchKernelExC)                  \
    X(LAUNCH_EX_PTSZ,   cudaLaunchKernelExC_ptsz)             \
    X(COOPERATIVE,      cudaLaunchCooperativeKernel)          \
    X(COOPERATIVE_PTSZ, cudaLaunchCooperativeKernel_ptsz)     \
    X(ENTRY,            cudaGetDriverEntryPoint)              \
    X(ENTRY_PTSZ,       cudaGetDriverEntryPoint_ptsz)         \
    X(ENTRY_BY,         cudaGetDriverEntryPointByVersion)     \
    X(ENTRY_BY_PTSZ,    cudaGetDriverEntryPointByVersion_ptsz)
#define FUSELN_CUDART_CALLED(X)                               \
    X(GET_DEVICE,       cudaGetDevice)                        \
    X(GET_VERSION,      cudaRuntimeGetVersion)                \
    X(GET_FUNCTION,     cudaGetFuncBySymbol)                  \
    X(PEEK_ERROR,       cudaPeekAtLastError)                  \
    X(TAKE_ERROR,       cudaGetLastError)

/* The same of the driver, exported without a version. */
#define FUSELN_DRIVER_EXPORTS(X)                                  \
    X(CU_GET_PROC,          cuGetProcAddress)                     \
    X(CU_GET_PROC_V2,       cuGetProcAddress_v2)                  \
    X(CU_GET_PROC_V2_PTSZ,  cuGetProcAddress_v2_ptsz)             \
    X(CU_LAUNCH,            cuLaunchKernel)                       \
    X(CU_LAUNCH_PTSZ,       cuLaunchKernel_ptsz)                  \
    X(CU_LAUNCH_EX,         cuLaunchKernelEx)                     \
    X(CU_LAUNCH_EX_PTSZ,    cuLaunchKernelEx_ptsz)                \
    X(CU_COOPERATIVE,       cuLaunchCooperativeKernel)            \
    X(CU_COOPERATIVE_PTSZ,  cuLaunchCooperativeKernel_ptsz)       \
    X(CU_MODULE_FUNCTION,   cuModuleGetFunction)                  \
    X(CU_MODULE_FUNCTIONS,  cuModuleEnumerateFunctions)           \
    X(CU_MODULE_UNLOAD,     cuModuleUnload)                       \
    X(CU_LIBRARY_KERNEL,    cuLibraryGetKernel)                   \
    X(CU_LIBRARY_KERNELS,   cuLibraryEnumerateKernels)            \
    X(CU_LIBRARY_MODULE,    cuLibraryGetModule)                   \
    X(CU_LIBRARY_UNLOAD,    cuLibraryUnload)                      \
    X(CU_KERNEL_FUNCTION,   cuKernelGetFunction)
// clang-format on

/* Nodes of the runtime whose functions all stand here, X(suffix, node, newest version, as cudaRuntimeGetVersion):
 * FUSELN_CUDART_NODES has more, of runtimes that nobody has seen yet. */
#define FUSELN_NOTICE_NODES(X)        \
    X(11, "libcudart.so.11.0", 11080) \
    X(12, "libcudart.so.12", 12090)   \
    X(13, "libcudart.so.13", 13050)

// clang-format off
/*
 * What is noticed: X(name, reach). Reach says whose partial sums the call may make stale besides those of its own
 * thread (src/core/pairing.h says why no others):
 *   THREAD     nobody's. It makes, destroys or waits for an event, which is behind DX only if it was recorded behind DX:
 *              that call was noticed. Or it makes a stream, whose handle is free only once its last owner's was
 *              destroyed, or says what is current to its own thread.
 *   STREAM(n)  those of one stream, argument n from 0: it waits for what is there, or puts something behind it, even
 *              where that stream's context is not the current one. A default stream is the current context's: those of
 *              its device.
 *   COPY(n)    the same, but it names memory too, or a graph. On a default stream, a copy between two devices waits for
 *              both, whichever is current: everybody's.
 *   DEVICE     those of the current context's device. Only what waits for the current context by definition.
 *   ALL        everybody's. A pointer or handle may belong to any context, current or not: unified addresses say which,
 *              not the call. So without a stream no copy, memset or free is certain. Nor is what begins, ends or
 *              destroys a stream's or a context's life, or a capture, which other streams can have joined; nor the
 *              rest, of which too little is known.
 *   ORDER, INTO_GRAPH  the same as ALL, and a word to kernels/host about captures (device.h): the program sets the order
 *              of a capture by hand; it captures into a graph that was there before.
 * n counts registers: where the stream is not among the first six arguments, or follows a structure, it is ALL.
 * tests/elf/test_notice.py compares n with the headers. PTSZ and PTDS hold two rows: the name, and its form for the
 * per-thread default stream.
 */
#define PTSZ(X, name, ...) X(name, __VA_ARGS__) X(name##_ptsz, __VA_ARGS__)
#define PTDS(X, name, ...) X(name, __VA_ARGS__) X(name##_ptds, __VA_ARGS__)

/* Of the runtime, exported once for each of those nodes. */
#define FUSELN_CUDART_NOTICED(X) \
    X(cudaDestroyExternalMemory, ALL) X(cudaDeviceDisablePeerAccess, ALL) X(cudaDeviceFlushGPUDirectRDMAWrites, ALL) \
    X(cudaDeviceGraphMemTrim, ALL) X(cudaDeviceReset, ALL) X(cudaDeviceSynchronize, DEVICE) \
    X(cudaEGLStreamConsumerAcquireFrame, ALL) X(cudaEGLStreamConsumerConnect, ALL) \
    X(cudaEGLStreamConsumerConnectWithFlags, ALL) X(cudaEGLStreamConsumerDisconnect, ALL) \
    X(cudaEGLStreamConsumerReleaseFrame, ALL) X(cudaEGLStreamProducerConnect, ALL) \
    X(cudaEGLStreamProducerDisconnect, ALL) X(cudaEGLStreamProducerPresentFrame, ALL) \
    X(cudaEGLStreamProducerReturnFrame, ALL) X(cudaEventCreate, THREAD) X(cudaEventCreateFromEGLSync, ALL) \
    X(cudaEventCreateWithFlags, THREAD) X(cudaEventDestroy, THREAD) X(cudaEventElapsedTime, THREAD) \
    X(cudaEventElapsedTime_v2, THREAD) X(cudaEventQuery, THREAD) PTSZ(X, cudaEventRecord, STREAM(1)) \
    PTSZ(X, cudaEventRecordWithFlags, STREAM(1)) X(cudaEventSynchronize, THREAD) X(cudaExecutionCtxDestroy, ALL) \
    X(cudaExecutionCtxRecordEvent, ALL) X(cudaExecutionCtxStreamCreate, ALL) X(cudaExecutionCtxSynchronize, ALL) \
    X(cudaExecutionCtxWaitEvent, ALL) X(cudaExternalMemoryGetMappedBuffer, ALL) \
    X(cudaExternalMemoryGetMappedMipmappedArray, ALL) X(cudaFree, ALL) X(cudaFreeArray, ALL) \
    PTSZ(X, cudaFreeAsync, COPY(1)) X(cudaFreeHost, ALL) X(cudaFreeMipmappedArray, ALL) X(cudaGLMapBufferObject, ALL) \
    X(cudaGLMapBufferObjectAsync, ALL) X(cudaGLUnmapBufferObject, ALL) X(cudaGLUnmapBufferObjectAsync, ALL) \
    X(cudaGraphDestroy, ALL) X(cudaGraphExecDestroy, ALL) X(cudaGraphExecUpdate, ALL) X(cudaGraphInstantiate, ALL) \
    X(cudaGraphInstantiateWithFlags, ALL) PTSZ(X, cudaGraphInstantiateWithParams, ALL) \
    PTSZ(X, cudaGraphLaunch, COPY(1)) PTSZ(X, cudaGraphUpload, COPY(1)) X(cudaGraphicsMapResources, ALL) \
    X(cudaGraphicsUnmapResources, ALL) X(cudaGraphicsUnregisterResource, ALL) X(cudaGreenCtxCreate, ALL) \
    X(cudaHostUnregister, ALL) X(cudaInitDevice, ALL) X(cudaIpcCloseMemHandle, ALL) X(cudaIpcOpenMemHandle, ALL) \
    X(cudaLaunchCooperativeKernelMultiDevice, ALL) PTSZ(X, cudaLaunchHostFunc, STREAM(0)) \
    PTSZ(X, cudaLaunchHostFunc_v2, STREAM(0)) X(cudaLibraryUnload, ALL) X(cudaMemAdvise, ALL) X(cudaMemAdvise_v2, ALL) \
    PTSZ(X, cudaMemDiscardAndPrefetchBatchAsync, ALL) PTSZ(X, cudaMemDiscardBatchAsync, ALL) \
    X(cudaMemPoolDestroy, ALL) X(cudaMemPoolImportPointer, ALL) X(cudaMemPoolTrimTo, ALL) \
    PTSZ(X, cudaMemPrefetchAsync, ALL) PTSZ(X, cudaMemPrefetchAsync_v2, ALL) PTSZ(X, cudaMemPrefetchBatchAsync, ALL) \
    PTDS(X, cudaMemcpy, ALL) PTDS(X, cudaMemcpy2D, ALL) PTDS(X, cudaMemcpy2DArrayToArray, ALL) \
    PTSZ(X, cudaMemcpy2DAsync, ALL) PTDS(X, cudaMemcpy2DFromArray, ALL) PTSZ(X, cudaMemcpy2DFromArrayAsync, ALL) \
    PTDS(X, cudaMemcpy2DToArray, ALL) PTSZ(X, cudaMemcpy2DToArrayAsync, ALL) PTDS(X, cudaMemcpy3D, ALL) \
    PTSZ(X, cudaMemcpy3DAsync, COPY(1)) PTSZ(X, cudaMemcpy3DBatchAsync, ALL) PTDS(X, cudaMemcpy3DPeer, ALL) \
    PTSZ(X, cudaMemcpy3DPeerAsync, COPY(1)) PTSZ(X, cudaMemcpy3DWithAttributesAsync, COPY(2)) \
    PTDS(X, cudaMemcpyArrayToArray, ALL) PTSZ(X, cudaMemcpyAsync, COPY(4)) PTSZ(X, cudaMemcpyBatchAsync, ALL) \
    PTDS(X, cudaMemcpyFromArray, ALL) PTSZ(X, cudaMemcpyFromArrayAsync, ALL) PTDS(X, cudaMemcpyFromSymbol, ALL) \
    PTSZ(X, cudaMemcpyFromSymbolAsync, COPY(5)) X(cudaMemcpyPeer, ALL) X(cudaMemcpyPeerAsync, COPY(5)) \
    PTDS(X, cudaMemcpyToArray, ALL) PTSZ(X, cudaMemcpyToArrayAsync, ALL) PTDS(X, cudaMemcpyToSymbol, ALL) \
    PTSZ(X, cudaMemcpyToSymbolAsync, COPY(5)) PTSZ(X, cudaMemcpyWithAttributesAsync, COPY(4)) PTDS(X, cudaMemset, ALL) \
    PTDS(X, cudaMemset2D, ALL) PTSZ(X, cudaMemset2DAsync, COPY(5)) PTDS(X, cudaMemset3D, ALL) \
    PTSZ(X, cudaMemset3DAsync, ALL) PTSZ(X, cudaMemsetAsync, COPY(3)) X(cudaSetDevice, THREAD) \
    PTSZ(X, cudaSignalExternalSemaphoresAsync, STREAM(3)) PTSZ(X, cudaSignalExternalSemaphoresAsync_v2, STREAM(3)) \
    PTSZ(X, cudaStreamAddCallback, STREAM(0)) PTSZ(X, cudaStreamAttachMemAsync, ALL) \
    PTSZ(X, cudaStreamBeginCapture, ALL) PTSZ(X, cudaStreamBeginCaptureToGraph, INTO_GRAPH) \
    PTSZ(X, cudaStreamBeginRecaptureToGraph, INTO_GRAPH) PTSZ(X, cudaStreamCopyAttributes, ALL) \
    X(cudaStreamCreate, THREAD) X(cudaStreamCreateWithFlags, THREAD) X(cudaStreamCreateWithPriority, THREAD) \
    X(cudaStreamDestroy, ALL) PTSZ(X, cudaStreamEndCapture, ALL) PTSZ(X, cudaStreamQuery, STREAM(0)) \
    PTSZ(X, cudaStreamSetAttribute, ALL) PTSZ(X, cudaStreamSynchronize, STREAM(0)) \
    PTSZ(X, cudaStreamUpdateCaptureDependencies, ORDER) PTSZ(X, cudaStreamUpdateCaptureDependencies_v2, ORDER) \
    PTSZ(X, cudaStreamWaitEvent, STREAM(0)) X(cudaThreadExit, ALL) X(cudaThreadSynchronize, DEVICE) \
    PTSZ(X, cudaWaitExternalSemaphoresAsync, STREAM(3)) PTSZ(X, cudaWaitExternalSemaphoresAsync_v2, STREAM(3))

/* Of the driver, as libcuda exports them. */
#define FUSELN_DRIVER_NOTICED(X) \
    X(cuArrayDestroy, ALL) X(cuCheckpointOperationComplete, ALL) X(cuCheckpointProcessCheckpoint, ALL) \
    X(cuCheckpointProcessGetRestoreThreadId, ALL) X(cuCheckpointProcessGetState, ALL) X(cuCheckpointProcessLock, ALL) \
    X(cuCheckpointProcessRestore, ALL) X(cuCheckpointProcessUnlock, ALL) X(cuCtxAttach, ALL) X(cuCtxCreate, ALL) \
    X(cuCtxCreate_v2, ALL) X(cuCtxCreate_v3, ALL) X(cuCtxCreate_v4, ALL) X(cuCtxDestroy, ALL) X(cuCtxDestroy_v2, ALL) \
    X(cuCtxDetach, ALL) X(cuCtxDisablePeerAccess, ALL) X(cuCtxFromGreenCtx, ALL) X(cuCtxPopCurrent, THREAD) \
    X(cuCtxPopCurrent_v2, THREAD) X(cuCtxPushCurrent, THREAD) X(cuCtxPushCurrent_v2, THREAD) X(cuCtxRecordEvent, ALL) \
    X(cuCtxSetCurrent, THREAD) X(cuCtxSynchronize, DEVICE) X(cuCtxSynchronize_v2, ALL) X(cuCtxWaitEvent, ALL) \
    X(cuDestroyExternalMemory, ALL) X(cuDeviceGraphMemTrim, ALL) X(cuDevicePrimaryCtxRelease, ALL) \
    X(cuDevicePrimaryCtxRelease_v2, ALL) X(cuDevicePrimaryCtxReset, ALL) X(cuDevicePrimaryCtxReset_v2, ALL) \
    X(cuDevicePrimaryCtxRetain, ALL) X(cuDevicePrimaryCtxSetFlags, ALL) X(cuDevicePrimaryCtxSetFlags_v2, ALL) \
    X(cuEventCreate, THREAD) X(cuEventDestroy, THREAD) X(cuEventDestroy_v2, THREAD) X(cuEventElapsedTime, THREAD) \
    X(cuEventElapsedTime_v2, THREAD) X(cuEventQuery, THREAD) PTSZ(X, cuEventRecord, STREAM(1)) \
    PTSZ(X, cuEventRecordWithFlags, STREAM(1)) X(cuEventSynchronize, THREAD) X(cuExternalMemoryGetMappedBuffer, ALL) \
    X(cuExternalMemoryGetMappedMipmappedArray, ALL) PTSZ(X, cuFabricCpyBatchAsync, ALL) \
    X(cuFlushGPUDirectRDMAWrites, ALL) X(cuGraphDestroy, ALL) X(cuGraphExecDestroy, ALL) X(cuGraphExecUpdate, ALL) \
    X(cuGraphExecUpdate_v2, ALL) X(cuGraphInstantiate, ALL) X(cuGraphInstantiateWithFlags, ALL) \
    PTSZ(X, cuGraphInstantiateWithParams, ALL) X(cuGraphInstantiate_v2, ALL) PTSZ(X, cuGraphLaunch, COPY(1)) \
    PTSZ(X, cuGraphUpload, COPY(1)) PTSZ(X, cuGraphicsMapResources, ALL) PTSZ(X, cuGraphicsUnmapResources, ALL) \
    X(cuGraphicsUnregisterResource, ALL) X(cuGreenCtxCreate, ALL) X(cuGreenCtxDestroy, ALL) \
    X(cuGreenCtxRecordEvent, ALL) X(cuGreenCtxStreamCreate, ALL) X(cuGreenCtxWaitEvent, ALL) \
    X(cuIpcCloseMemHandle, ALL) X(cuIpcOpenMemHandle, ALL) X(cuIpcOpenMemHandle_v2, ALL) X(cuLaunch, ALL) \
    X(cuLaunchCooperativeKernelMultiDevice, ALL) X(cuLaunchGrid, ALL) X(cuLaunchGridAsync, ALL) \
    PTSZ(X, cuLaunchHostFunc, STREAM(0)) PTSZ(X, cuLaunchHostFunc_v2, STREAM(0)) X(cuLogicalEndpointBindAddr, ALL) \
    X(cuLogicalEndpointBindMem, ALL) X(cuLogicalEndpointDestroy, ALL) X(cuLogicalEndpointUnbind, ALL) \
    X(cuMemAddressFree, ALL) X(cuMemAdvise, ALL) X(cuMemAdvise_v2, ALL) PTSZ(X, cuMemBatchDecompressAsync, ALL) \
    PTSZ(X, cuMemDiscardAndPrefetchBatchAsync, ALL) PTSZ(X, cuMemDiscardBatchAsync, ALL) X(cuMemFree, ALL) \
    PTSZ(X, cuMemFreeAsync, COPY(1)) X(cuMemFreeHost, ALL) X(cuMemFree_v2, ALL) X(cuMemHostUnregister, ALL) \
    X(cuMemMap, ALL) PTSZ(X, cuMemMapArrayAsync, ALL) X(cuMemPoolDestroy, ALL) X(cuMemPoolImportPointer, ALL) \
    X(cuMemPoolTrimTo, ALL) PTSZ(X, cuMemPrefetchAsync, COPY(3)) PTSZ(X, cuMemPrefetchAsync_v2, ALL) \
    PTSZ(X, cuMemPrefetchBatchAsync, ALL) X(cuMemRelease, ALL) X(cuMemSetAccess, ALL) X(cuMemUnmap, ALL) \
    PTDS(X, cuMemcpy, ALL) X(cuMemcpy2D, ALL) X(cuMemcpy2DAsync, COPY(1)) PTSZ(X, cuMemcpy2DAsync_v2, COPY(1)) \
    X(cuMemcpy2DUnaligned, ALL) PTDS(X, cuMemcpy2DUnaligned_v2, ALL) PTDS(X, cuMemcpy2D_v2, ALL) X(cuMemcpy3D, ALL) \
    X(cuMemcpy3DAsync, COPY(1)) PTSZ(X, cuMemcpy3DAsync_v2, COPY(1)) PTSZ(X, cuMemcpy3DBatchAsync, ALL) \
    PTSZ(X, cuMemcpy3DBatchAsync_v2, ALL) PTDS(X, cuMemcpy3DPeer, ALL) PTSZ(X, cuMemcpy3DPeerAsync, COPY(1)) \
    PTSZ(X, cuMemcpy3DWithAttributesAsync, COPY(2)) PTDS(X, cuMemcpy3D_v2, ALL) PTSZ(X, cuMemcpyAsync, COPY(3)) \
    X(cuMemcpyAtoA, ALL) PTDS(X, cuMemcpyAtoA_v2, ALL) X(cuMemcpyAtoD, ALL) PTDS(X, cuMemcpyAtoD_v2, ALL) \
    X(cuMemcpyAtoH, ALL) X(cuMemcpyAtoHAsync, COPY(4)) PTSZ(X, cuMemcpyAtoHAsync_v2, COPY(4)) \
    PTDS(X, cuMemcpyAtoH_v2, ALL) PTSZ(X, cuMemcpyBatchAsync, ALL) PTSZ(X, cuMemcpyBatchAsync_v2, ALL) \
    X(cuMemcpyDtoA, ALL) PTDS(X, cuMemcpyDtoA_v2, ALL) X(cuMemcpyDtoD, ALL) X(cuMemcpyDtoDAsync, COPY(3)) \
    PTSZ(X, cuMemcpyDtoDAsync_v2, COPY(3)) PTDS(X, cuMemcpyDtoD_v2, ALL) X(cuMemcpyDtoH, ALL) \
    X(cuMemcpyDtoHAsync, COPY(3)) PTSZ(X, cuMemcpyDtoHAsync_v2, COPY(3)) PTDS(X, cuMemcpyDtoH_v2, ALL) \
    X(cuMemcpyHtoA, ALL) X(cuMemcpyHtoAAsync, COPY(4)) PTSZ(X, cuMemcpyHtoAAsync_v2, COPY(4)) \
    PTDS(X, cuMemcpyHtoA_v2, ALL) X(cuMemcpyHtoD, ALL) X(cuMemcpyHtoDAsync, COPY(3)) \
    PTSZ(X, cuMemcpyHtoDAsync_v2, COPY(3)) PTDS(X, cuMemcpyHtoD_v2, ALL) PTDS(X, cuMemcpyPeer, ALL) \
    PTSZ(X, cuMemcpyPeerAsync, COPY(5)) PTSZ(X, cuMemcpyWithAttributesAsync, COPY(4)) X(cuMemsetD16, ALL) \
    PTSZ(X, cuMemsetD16Async, COPY(3)) PTDS(X, cuMemsetD16_v2, ALL) X(cuMemsetD2D16, ALL) \
    PTSZ(X, cuMemsetD2D16Async, COPY(5)) PTDS(X, cuMemsetD2D16_v2, ALL) X(cuMemsetD2D32, ALL) \
    PTSZ(X, cuMemsetD2D32Async, COPY(5)) PTDS(X, cuMemsetD2D32_v2, ALL) X(cuMemsetD2D8, ALL) \
    PTSZ(X, cuMemsetD2D8Async, COPY(5)) PTDS(X, cuMemsetD2D8_v2, ALL) X(cuMemsetD32, ALL) \
    PTSZ(X, cuMemsetD32Async, COPY(3)) PTDS(X, cuMemsetD32_v2, ALL) X(cuMemsetD8, ALL) \
    PTSZ(X, cuMemsetD8Async, COPY(3)) PTDS(X, cuMemsetD8_v2, ALL) X(cuMipmappedArrayDestroy, ALL) \
    X(cuMulticastAddDevice, ALL) X(cuMulticastBindAddr, ALL) X(cuMulticastBindAddr_v2, ALL) X(cuMulticastBindMem, ALL) \
    X(cuMulticastBindMem_v2, ALL) X(cuMulticastUnbind, ALL) PTSZ(X, cuSignalExternalSemaphoresAsync, STREAM(3)) \
    PTSZ(X, cuStreamAddCallback, STREAM(0)) PTSZ(X, cuStreamAttachMemAsync, ALL) \
    PTSZ(X, cuStreamBatchMemOp, STREAM(0)) PTSZ(X, cuStreamBatchMemOp_v2, STREAM(0)) \
    PTSZ(X, cuStreamBeginCapture, ALL) PTSZ(X, cuStreamBeginCaptureToCig, INTO_GRAPH) \
    PTSZ(X, cuStreamBeginCaptureToGraph, INTO_GRAPH) PTSZ(X, cuStreamBeginCapture_v2, ALL) \
    PTSZ(X, cuStreamBeginRecaptureToGraph, INTO_GRAPH) PTSZ(X, cuStreamCopyAttributes, ALL) X(cuStreamCreate, THREAD) \
    X(cuStreamCreateWithPriority, THREAD) X(cuStreamDestroy, ALL) X(cuStreamDestroy_v2, ALL) \
    PTSZ(X, cuStreamEndCapture, ALL) PTSZ(X, cuStreamEndCaptureToCig, INTO_GRAPH) PTSZ(X, cuStreamQuery, STREAM(0)) \
    PTSZ(X, cuStreamSetAttribute, ALL) PTSZ(X, cuStreamSynchronize, STREAM(0)) \
    PTSZ(X, cuStreamUpdateCaptureDependencies, ORDER) PTSZ(X, cuStreamUpdateCaptureDependencies_v2, ORDER) \
    PTSZ(X, cuStreamWaitEvent, STREAM(0)) PTSZ(X, cuStreamWaitValue32, STREAM(0)) \
    PTSZ(X, cuStreamWaitValue32_v2, STREAM(0)) PTSZ(X, cuStreamWaitValue64, STREAM(0)) \
    PTSZ(X, cuStreamWaitValue64_v2, STREAM(0)) PTSZ(X, cuStreamWriteValue32, STREAM(0)) \
    PTSZ(X, cuStreamWriteValue32_v2, STREAM(0)) PTSZ(X, cuStreamWriteValue64, STREAM(0)) \
    PTSZ(X, cuStreamWriteValue64_v2, STREAM(0)) PTSZ(X, cuWaitExternalSemaphoresAsync, STREAM(3))

/* Of the driver, as cuGetProcAddress is asked for them: without version and per-thread form. */
#define FUSELN_DRIVER_HARMLESS(X) \
    X(cuArray3DCreate) X(cuArray3DGetDescriptor) X(cuArrayCreate) X(cuArrayGetDescriptor) \
    X(cuArrayGetMemoryRequirements) X(cuArrayGetPlane) X(cuArrayGetSparseProperties) \
    X(cuCoredumpDeregisterCompleteCallback) X(cuCoredumpDeregisterStartCallback) X(cuCoredumpGetAttribute) \
    X(cuCoredumpGetAttributeGlobal) X(cuCoredumpRegisterCompleteCallback) X(cuCoredumpRegisterStartCallback) \
    X(cuCoredumpSetAttribute) X(cuCoredumpSetAttributeGlobal) X(cuCtxEnablePeerAccess) X(cuCtxGetApiVersion) \
    X(cuCtxGetCacheConfig) X(cuCtxGetCurrent) X(cuCtxGetDevResource) X(cuCtxGetDevice) X(cuCtxGetExecAffinity) \
    X(cuCtxGetFlags) X(cuCtxGetId) X(cuCtxGetLimit) X(cuCtxGetSharedMemConfig) X(cuCtxGetStreamPriorityRange) \
    X(cuCtxResetPersistingL2Cache) X(cuCtxSetCacheConfig) X(cuCtxSetFlags) X(cuCtxSetLimit) \
    X(cuCtxSetSharedMemConfig) X(cuDestroyExternalSemaphore) X(cuDevResourceGenerateDesc) X(cuDevSmResourceSplit) \
    X(cuDevSmResourceSplitByCount) X(cuDeviceCanAccessPeer) X(cuDeviceComputeCapability) X(cuDeviceGet) \
    X(cuDeviceGetAttribute) X(cuDeviceGetByPCIBusId) X(cuDeviceGetCliqueCount) X(cuDeviceGetCliqueInfo) \
    X(cuDeviceGetCount) X(cuDeviceGetDefaultMemPool) X(cuDeviceGetDevResource) X(cuDeviceGetExecAffinitySupport) \
    X(cuDeviceGetFabricClusterUuid) X(cuDeviceGetGraphMemAttribute) X(cuDeviceGetHostAtomicCapabilities) \
    X(cuDeviceGetLuid) X(cuDeviceGetMemPool) X(cuDeviceGetName) X(cuDeviceGetNvSciSyncAttributes) \
    X(cuDeviceGetP2PAtomicCapabilities) X(cuDeviceGetP2PAttribute) X(cuDeviceGetPCIBusId) X(cuDeviceGetProperties) \
    X(cuDeviceGetTexture1DLinearMaxWidth) X(cuDeviceGetUuid) X(cuDevicePrimaryCtxGetState) \
    X(cuDeviceRegisterAsyncNotification) X(cuDeviceSetGraphMemAttribute) X(cuDeviceSetMemPool) X(cuDeviceTotalMem) \
    X(cuDeviceUnregisterAsyncNotification) X(cuDriverGetVersion) X(cuFuncGetAttribute) X(cuFuncGetModule) \
    X(cuFuncGetName) X(cuFuncGetParamCount) X(cuFuncGetParamInfo) X(cuFuncIsLoaded) X(cuFuncLoad) \
    X(cuFuncSetAttribute) X(cuFuncSetBlockShape) X(cuFuncSetCacheConfig) X(cuFuncSetSharedMemConfig) \
    X(cuFuncSetSharedSize) X(cuGetErrorName) X(cuGetErrorString) X(cuGetExportTable) \
    X(cuGraphAddBatchMemOpNode) X(cuGraphAddChildGraphNode) X(cuGraphAddDependencies) X(cuGraphAddEmptyNode) \
    X(cuGraphAddEventRecordNode) X(cuGraphAddEventWaitNode) X(cuGraphAddExternalSemaphoresSignalNode) \
    X(cuGraphAddExternalSemaphoresWaitNode) X(cuGraphAddHostNode) X(cuGraphAddKernelNode) X(cuGraphAddMemAllocNode) \
    X(cuGraphAddMemFreeNode) X(cuGraphAddMemcpyNode) X(cuGraphAddMemsetNode) X(cuGraphAddNode) \
    X(cuGraphBatchMemOpNodeGetParams) X(cuGraphBatchMemOpNodeSetParams) X(cuGraphChildGraphNodeGetGraph) \
    X(cuGraphClone) X(cuGraphConditionalHandleCreate) X(cuGraphCreate) X(cuGraphDebugDotPrint) X(cuGraphDestroyNode) \
    X(cuGraphEventRecordNodeGetEvent) X(cuGraphEventRecordNodeSetEvent) X(cuGraphEventWaitNodeGetEvent) \
    X(cuGraphEventWaitNodeSetEvent) X(cuGraphExecBatchMemOpNodeSetParams) X(cuGraphExecChildGraphNodeSetParams) \
    X(cuGraphExecEventRecordNodeSetEvent) X(cuGraphExecEventWaitNodeSetEvent) \
    X(cuGraphExecExternalSemaphoresSignalNodeSetParams) X(cuGraphExecExternalSemaphoresWaitNodeSetParams) \
    X(cuGraphExecGetFlags) X(cuGraphExecGetId) X(cuGraphExecHostNodeSetParams) X(cuGraphExecKernelNodeSetParams) \
    X(cuGraphExecMemcpyNodeSetParams) X(cuGraphExecMemsetNodeSetParams) X(cuGraphExecNodeSetParams) \
    X(cuGraphExternalSemaphoresSignalNodeGetParams) X(cuGraphExternalSemaphoresSignalNodeSetParams) \
    X(cuGraphExternalSemaphoresWaitNodeGetParams) X(cuGraphExternalSemaphoresWaitNodeSetParams) X(cuGraphGetEdges) \
    X(cuGraphGetId) X(cuGraphGetNodes) X(cuGraphGetRootNodes) X(cuGraphHostNodeGetParams) X(cuGraphHostNodeSetParams) \
    X(cuGraphKernelNodeCopyAttributes) X(cuGraphKernelNodeGetAttribute) X(cuGraphKernelNodeGetParams) \
    X(cuGraphKernelNodeSetAttribute) X(cuGraphKernelNodeSetParams) X(cuGraphMemAllocNodeGetParams) \
    X(cuGraphMemFreeNodeGetParams) X(cuGraphMemcpyNodeGetParams) X(cuGraphMemcpyNodeSetParams) \
    X(cuGraphMemsetNodeGetParams) X(cuGraphMemsetNodeSetParams) X(cuGraphNodeFindInClone) \
    X(cuGraphNodeGetContainingGraph) X(cuGraphNodeGetDependencies) X(cuGraphNodeGetDependentNodes) \
    X(cuGraphNodeGetEnabled) X(cuGraphNodeGetLocalId) X(cuGraphNodeGetParams) X(cuGraphNodeGetToolsId) \
    X(cuGraphNodeGetType) X(cuGraphNodeSetEnabled) X(cuGraphNodeSetParams) X(cuGraphReleaseUserObject) \
    X(cuGraphRemoveDependencies) X(cuGraphRetainUserObject) X(cuGraphicsResourceGetMappedMipmappedArray) \
    X(cuGraphicsResourceGetMappedPointer) X(cuGraphicsResourceSetMapFlags) X(cuGraphicsSubResourceGetMappedArray) \
    X(cuGreenCtxGetDevResource) X(cuGreenCtxGetId) X(cuImportExternalMemory) X(cuImportExternalSemaphore) X(cuInit) \
    X(cuIpcGetEventHandle) X(cuIpcGetMemHandle) X(cuIpcOpenEventHandle) X(cuKernelGetAttribute) X(cuKernelGetLibrary) \
    X(cuKernelGetName) X(cuKernelGetParamCount) X(cuKernelGetParamInfo) X(cuKernelSetAttribute) \
    X(cuKernelSetCacheConfig) X(cuLibraryGetGlobal) X(cuLibraryGetKernelCount) X(cuLibraryGetManaged) \
    X(cuLibraryGetUnifiedFunction) X(cuLibraryLoadData) X(cuLibraryLoadFromFile) X(cuLinkAddData) X(cuLinkAddFile) \
    X(cuLinkComplete) X(cuLinkCreate) X(cuLinkDestroy) X(cuLogicalEndpointAddDevice) X(cuLogicalEndpointCreate) \
    X(cuLogicalEndpointExport) X(cuLogicalEndpointGetLimits) X(cuLogicalEndpointIdRelease) \
    X(cuLogicalEndpointIdReserve) X(cuLogicalEndpointImport) X(cuLogicalEndpointQuery) X(cuLogsCurrent) \
    X(cuLogsDumpToFile) X(cuLogsDumpToMemory) X(cuLogsRegisterCallback) X(cuLogsUnregisterCallback) \
    X(cuMemAddressReserve) X(cuMemAlloc) X(cuMemAllocAsync) X(cuMemAllocFromPoolAsync) X(cuMemAllocHost) \
    X(cuMemAllocManaged) X(cuMemAllocPitch) X(cuMemCreate) X(cuMemExportToShareableHandle) X(cuMemGetAccess) \
    X(cuMemGetAddressRange) X(cuMemGetAllocationGranularity) X(cuMemGetAllocationPropertiesFromHandle) \
    X(cuMemGetDefaultMemPool) X(cuMemGetHandleForAddressRange) X(cuMemGetInfo) X(cuMemGetLocationInfo) \
    X(cuMemGetMemPool) X(cuMemHostAlloc) X(cuMemHostGetDevicePointer) X(cuMemHostGetFlags) X(cuMemHostRegister) \
    X(cuMemImportFromShareableHandle) X(cuMemPoolCreate) X(cuMemPoolExportPointer) \
    X(cuMemPoolExportToShareableHandle) X(cuMemPoolGetAccess) X(cuMemPoolGetAttribute) \
    X(cuMemPoolImportFromShareableHandle) X(cuMemPoolSetAccess) X(cuMemPoolSetAttribute) X(cuMemRangeGetAttribute) \
    X(cuMemRangeGetAttributes) X(cuMemRetainAllocationHandle) X(cuMemSetMemPool) X(cuMipmappedArrayCreate) \
    X(cuMipmappedArrayGetLevel) X(cuMipmappedArrayGetMemoryRequirements) X(cuMipmappedArrayGetSparseProperties) \
    X(cuModuleGetFunctionCount) X(cuModuleGetGlobal) X(cuModuleGetLoadingMode) X(cuModuleGetSurfRef) \
    X(cuModuleGetTexRef) X(cuModuleLoad) X(cuModuleLoadData) X(cuModuleLoadDataEx) X(cuModuleLoadFatBinary) \
    X(cuMulticastCreate) X(cuMulticastGetGranularity) X(cuOccupancyAvailableDynamicSMemPerBlock) \
    X(cuOccupancyMaxActiveBlocksPerMultiprocessor) X(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags) \
    X(cuOccupancyMaxActiveClusters) X(cuOccupancyMaxPotentialBlockSize) X(cuOccupancyMaxPotentialBlockSizeWithFlags) \
    X(cuOccupancyMaxPotentialClusterSize) X(cuParamSetSize) X(cuParamSetTexRef) X(cuParamSetf) X(cuParamSeti) \
    X(cuParamSetv) X(cuPointerGetAttribute) X(cuPointerGetAttributes) X(cuPointerSetAttribute) \
    X(cuProfilerInitialize) X(cuProfilerStart) X(cuProfilerStop) X(cuStreamGetAttribute) X(cuStreamGetCaptureInfo) \
    X(cuStreamGetCtx) X(cuStreamGetDevResource) X(cuStreamGetDevice) X(cuStreamGetFlags) X(cuStreamGetGreenCtx) \
    X(cuStreamGetId) X(cuStreamGetPriority) X(cuStreamIsCapturing) X(cuSurfObjectCreate) X(cuSurfObjectDestroy) \
    X(cuSurfObjectGetResourceDesc) X(cuSurfRefGetArray) X(cuSurfRefSetArray) X(cuTensorMapEncodeIm2col) \
    X(cuTensorMapEncodeIm2colWide) X(cuTensorMapEncodeTiled) X(cuTensorMapReplaceAddress) \
    X(cuTensorMapSetAllocationClass) X(cuTexObjectCreate) X(cuTexObjectDestroy) X(cuTexObjectGetResourceDesc) \
    X(cuTexObjectGetResourceViewDesc) X(cuTexObjectGetTextureDesc) X(cuTexRefCreate) X(cuTexRefDestroy) \
    X(cuTexRefGetAddress) X(cuTexRefGetAddressMode) X(cuTexRefGetArray) X(cuTexRefGetBorderColor) \
    X(cuTexRefGetFilterMode) X(cuTexRefGetFlags) X(cuTexRefGetFormat) X(cuTexRefGetMaxAnisotropy) \
    X(cuTexRefGetMipmapFilterMode) X(cuTexRefGetMipmapLevelBias) X(cuTexRefGetMipmapLevelClamp) \
    X(cuTexRefGetMipmappedArray) X(cuTexRefSetAddress) X(cuTexRefSetAddress2D) X(cuTexRefSetAddressMode) \
    X(cuTexRefSetArray) X(cuTexRefSetBorderColor) X(cuTexRefSetFilterMode) X(cuTexRefSetFlags) X(cuTexRefSetFormat) \
    X(cuTexRefSetMaxAnisotropy) X(cuTexRefSetMipmapFilterMode) X(cuTexRefSetMipmapLevelBias) \
    X(cuTexRefSetMipmapLevelClamp) X(cuTexRefSetMipmappedArray) X(cuThreadExchangeStreamCaptureMode) \
    X(cuUserObjectCreate) X(cuUserObjectRelease) X(cuUserObjectRetain)

/* Of the runtime, without version and per-thread form: nothing is made of these. */
#define FUSELN_CUDART_HARMLESS(X) \
    X(__cudaGetProcAddress) X(__cudaInitModule) X(__cudaPopCallConfiguration) X(__cudaPushCallConfiguration) \
    X(__cudaRegisterFatBinary) X(__cudaRegisterFatBinaryEnd) X(__cudaRegisterHostVar) X(__cudaRegisterManagedVar) \
    X(__cudaRegisterSurface) X(__cudaRegisterTexture) X(__cudaRegisterUnifiedTable) X(__cudaRegisterVar) \
    X(cudaArrayGetInfo) X(cudaArrayGetMemoryRequirements) X(cudaArrayGetPlane) X(cudaArrayGetSparseProperties) \
    X(cudaBindSurfaceToArray) X(cudaBindTexture) X(cudaBindTexture2D) X(cudaBindTextureToArray) \
    X(cudaBindTextureToMipmappedArray) X(cudaChooseDevice) X(cudaCreateChannelDesc) X(cudaCreateSurfaceObject) \
    X(cudaCreateTextureObject) X(cudaCtxResetPersistingL2Cache) X(cudaDestroyExternalSemaphore) \
    X(cudaDestroySurfaceObject) X(cudaDestroyTextureObject) X(cudaDevResourceGenerateDesc) X(cudaDevSmResourceSplit) \
    X(cudaDevSmResourceSplitByCount) X(cudaDeviceCanAccessPeer) X(cudaDeviceEnablePeerAccess) \
    X(cudaDeviceGetAttribute) X(cudaDeviceGetByPCIBusId) X(cudaDeviceGetCacheConfig) X(cudaDeviceGetDefaultMemPool) \
    X(cudaDeviceGetDevResource) X(cudaDeviceGetExecutionCtx) X(cudaDeviceGetGraphMemAttribute) \
    X(cudaDeviceGetHostAtomicCapabilities) X(cudaDeviceGetLimit) X(cudaDeviceGetMemPool) \
    X(cudaDeviceGetNvSciSyncAttributes) X(cudaDeviceGetP2PAtomicCapabilities) X(cudaDeviceGetP2PAttribute) \
    X(cudaDeviceGetPCIBusId) X(cudaDeviceGetSharedMemConfig) X(cudaDeviceGetStreamPriorityRange) \
    X(cudaDeviceGetTexture1DLinearMaxWidth) X(cudaDeviceRegisterAsyncNotification) X(cudaDeviceSetCacheConfig) \
    X(cudaDeviceSetGraphMemAttribute) X(cudaDeviceSetLimit) X(cudaDeviceSetMemPool) X(cudaDeviceSetSharedMemConfig) \
    X(cudaDeviceUnregisterAsyncNotification) X(cudaDriverGetVersion) X(cudaExecutionCtxGetDevResource) \
    X(cudaExecutionCtxGetDevice) X(cudaExecutionCtxGetId) X(cudaFuncGetAttributes) X(cudaFuncGetName) \
    X(cudaFuncGetParamCount) X(cudaFuncGetParamInfo) X(cudaFuncSetAttribute) X(cudaFuncSetCacheConfig) \
    X(cudaFuncSetSharedMemConfig) X(cudaGLGetDevices) X(cudaGLRegisterBufferObject) X(cudaGLSetBufferObjectMapFlags) \
    X(cudaGLSetGLDevice) X(cudaGLUnregisterBufferObject) X(cudaGetChannelDesc) X(cudaGetDevice) X(cudaGetDeviceCount) \
    X(cudaGetDeviceFlags) X(cudaGetDeviceProperties) X(cudaGetErrorName) X(cudaGetErrorString) X(cudaGetExportTable) \
    X(cudaGetFuncBySymbol) X(cudaGetKernel) X(cudaGetLastError) X(cudaGetMipmappedArrayLevel) \
    X(cudaGetSurfaceObjectResourceDesc) X(cudaGetSurfaceReference) X(cudaGetSymbolAddress) X(cudaGetSymbolSize) \
    X(cudaGetTextureAlignmentOffset) X(cudaGetTextureObjectResourceDesc) X(cudaGetTextureObjectResourceViewDesc) \
    X(cudaGetTextureObjectTextureDesc) X(cudaGetTextureReference) X(cudaGraphAddChildGraphNode) \
    X(cudaGraphAddDependencies) X(cudaGraphAddEmptyNode) X(cudaGraphAddEventRecordNode) X(cudaGraphAddEventWaitNode) \
    X(cudaGraphAddExternalSemaphoresSignalNode) X(cudaGraphAddExternalSemaphoresWaitNode) X(cudaGraphAddHostNode) \
    X(cudaGraphAddKernelNode) X(cudaGraphAddMemAllocNode) X(cudaGraphAddMemFreeNode) X(cudaGraphAddMemcpyNode) \
    X(cudaGraphAddMemcpyNode1D) X(cudaGraphAddMemcpyNodeFromSymbol) X(cudaGraphAddMemcpyNodeToSymbol) \
    X(cudaGraphAddMemsetNode) X(cudaGraphAddNode) X(cudaGraphChildGraphNodeGetGraph) X(cudaGraphClone) \
    X(cudaGraphConditionalHandleCreate) X(cudaGraphCreate) X(cudaGraphDebugDotPrint) X(cudaGraphDestroyNode) \
    X(cudaGraphEventRecordNodeGetEvent) X(cudaGraphEventRecordNodeSetEvent) X(cudaGraphEventWaitNodeGetEvent) \
    X(cudaGraphEventWaitNodeSetEvent) X(cudaGraphExecChildGraphNodeSetParams) X(cudaGraphExecEventRecordNodeSetEvent) \
    X(cudaGraphExecEventWaitNodeSetEvent) X(cudaGraphExecExternalSemaphoresSignalNodeSetParams) \
    X(cudaGraphExecExternalSemaphoresWaitNodeSetParams) X(cudaGraphExecGetFlags) X(cudaGraphExecGetId) \
    X(cudaGraphExecHostNodeSetParams) X(cudaGraphExecKernelNodeSetParams) X(cudaGraphExecMemcpyNodeSetParams) \
    X(cudaGraphExecMemcpyNodeSetParams1D) X(cudaGraphExecMemcpyNodeSetParamsFromSymbol) \
    X(cudaGraphExecMemcpyNodeSetParamsToSymbol) X(cudaGraphExecMemsetNodeSetParams) X(cudaGraphExecNodeSetParams) \
    X(cudaGraphExternalSemaphoresSignalNodeGetParams) X(cudaGraphExternalSemaphoresSignalNodeSetParams) \
    X(cudaGraphExternalSemaphoresWaitNodeGetParams) X(cudaGraphExternalSemaphoresWaitNodeSetParams) \
    X(cudaGraphGetEdges) X(cudaGraphGetId) X(cudaGraphGetNodes) X(cudaGraphGetRootNodes) \
    X(cudaGraphHostNodeGetParams) X(cudaGraphHostNodeSetParams) X(cudaGraphKernelNodeCopyAttributes) \
    X(cudaGraphKernelNodeGetAttribute) X(cudaGraphKernelNodeGetParams) X(cudaGraphKernelNodeSetAttribute) \
    X(cudaGraphKernelNodeSetParams) X(cudaGraphMemAllocNodeGetParams) X(cudaGraphMemFreeNodeGetParams) \
    X(cudaGraphMemcpyNodeGetParams) X(cudaGraphMemcpyNodeSetParams) X(cudaGraphMemcpyNodeSetParams1D) \
    X(cudaGraphMemcpyNodeSetParamsFromSymbol) X(cudaGraphMemcpyNodeSetParamsToSymbol) X(cudaGraphMemsetNodeGetParams) \
    X(cudaGraphMemsetNodeSetParams) X(cudaGraphNodeFindInClone) X(cudaGraphNodeGetContainingGraph) \
    X(cudaGraphNodeGetDependencies) X(cudaGraphNodeGetDependentNodes) X(cudaGraphNodeGetEnabled) \
    X(cudaGraphNodeGetLocalId) X(cudaGraphNodeGetParams) X(cudaGraphNodeGetToolsId) X(cudaGraphNodeGetType) \
    X(cudaGraphNodeSetEnabled) X(cudaGraphNodeSetParams) X(cudaGraphReleaseUserObject) X(cudaGraphRemoveDependencies) \
    X(cudaGraphRetainUserObject) X(cudaGraphicsEGLRegisterImage) X(cudaGraphicsGLRegisterBuffer) \
    X(cudaGraphicsGLRegisterImage) X(cudaGraphicsResourceGetMappedEglFrame) \
    X(cudaGraphicsResourceGetMappedMipmappedArray) X(cudaGraphicsResourceGetMappedPointer) \
    X(cudaGraphicsResourceSetMapFlags) X(cudaGraphicsSubResourceGetMappedArray) \
    X(cudaGraphicsVDPAURegisterOutputSurface) X(cudaGraphicsVDPAURegisterVideoSurface) X(cudaHostAlloc) \
    X(cudaHostGetDevicePointer) X(cudaHostGetFlags) X(cudaHostRegister) X(cudaImportExternalMemory) \
    X(cudaImportExternalSemaphore) X(cudaIpcGetEventHandle) X(cudaIpcGetMemHandle) X(cudaIpcOpenEventHandle) \
    X(cudaKernelSetAttributeForDevice) X(cudaLibraryEnumerateKernels) X(cudaLibraryGetGlobal) X(cudaLibraryGetKernel) \
    X(cudaLibraryGetKernelCount) X(cudaLibraryGetManaged) X(cudaLibraryGetUnifiedFunction) X(cudaLibraryLoadData) \
    X(cudaLibraryLoadFromFile) X(cudaLogsCurrent) X(cudaLogsDumpToFile) X(cudaLogsDumpToMemory) \
    X(cudaLogsRegisterCallback) X(cudaLogsUnregisterCallback) X(cudaMalloc) X(cudaMalloc3D) X(cudaMalloc3DArray) \
    X(cudaMallocArray) X(cudaMallocAsync) X(cudaMallocFromPoolAsync) X(cudaMallocHost) X(cudaMallocManaged) \
    X(cudaMallocMipmappedArray) X(cudaMallocPitch) X(cudaMemGetDefaultMemPool) X(cudaMemGetInfo) \
    X(cudaMemGetLocationInfo) X(cudaMemGetMemPool) X(cudaMemPoolCreate) X(cudaMemPoolExportPointer) \
    X(cudaMemPoolExportToShareableHandle) X(cudaMemPoolGetAccess) X(cudaMemPoolGetAttribute) \
    X(cudaMemPoolImportFromShareableHandle) X(cudaMemPoolSetAccess) X(cudaMemPoolSetAttribute) \
    X(cudaMemRangeGetAttribute) X(cudaMemRangeGetAttributes) X(cudaMemSetMemPool) \
    X(cudaMipmappedArrayGetMemoryRequirements) X(cudaMipmappedArrayGetSparseProperties) \
    X(cudaOccupancyAvailableDynamicSMemPerBlock) X(cudaOccupancyMaxActiveBlocksPerMultiprocessor) \
    X(cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags) X(cudaOccupancyMaxActiveClusters) \
    X(cudaOccupancyMaxPotentialClusterSize) X(cudaPeekAtLastError) X(cudaPointerGetAttributes) \
    X(cudaProfilerInitialize) X(cudaProfilerStart) X(cudaProfilerStop) X(cudaRuntimeGetVersion) X(cudaSetDeviceFlags) \
    X(cudaSetDoubleForDevice) X(cudaSetDoubleForHost) X(cudaSetValidDevices) X(cudaStreamGetAttribute) \
    X(cudaStreamGetCaptureInfo) X(cudaStreamGetDevResource) X(cudaStreamGetDevice) X(cudaStreamGetFlags) \
    X(cudaStreamGetId) X(cudaStreamGetPriority) X(cudaStreamIsCapturing) X(cudaSubgridCreate) \
    X(cudaSubgridWorkerGridCreate) X(cudaSubgridWorksetCreate) X(cudaThreadExchangeStreamCaptureMode) \
    X(cudaThreadGetCacheConfig) X(cudaThreadGetLimit) X(cudaThreadSetCacheConfig) X(cudaThreadSetLimit) \
    X(cudaUnbindTexture) X(cudaUserObjectCreate) X(cudaUserObjectRelease) X(cudaUserObjectRetain) \
    X(cudaVDPAUGetDevice) X(cudaVDPAUSetVDPAUDevice)
// clang-format on

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>

enum fuseln_node {
#define X(suffix, node) FUSELN_NODE_##suffix,
    FUSELN_CUDART_NODES(X)
#undef X
        FUSELN_NODE_DRIVER, /* no node of a runtime: the driver's names, without a version */
    FUSELN_NODE_COUNT
};

enum {
#define X(name, reach) +1
    FUSELN_NOTICE_RUNTIME = 0 FUSELN_CUDART_NOTICED(X), /* how many functions stand in this file */
    FUSELN_NOTICE_DRIVER = 0 FUSELN_DRIVER_NOTICED(X)
#undef X
};

enum fuseln_real {
#define X(id, name) FUSELN_REAL_##id,
    FUSELN_CUDART_EXPORTS(X) FUSELN_CUDART_CALLED(X)
#undef X
        FUSELN_REAL_CUDART_NOTICED, /* the first of them, in the order of this file */
    FUSELN_REAL_CUDART_CALLED = FUSELN_REAL_GET_DEVICE,
    FUSELN_REAL_CUDART_LAST = FUSELN_REAL_CUDART_NOTICED + FUSELN_NOTICE_RUNTIME - 1,
#define X(id, name) FUSELN_REAL_##id,
    FUSELN_DRIVER_EXPORTS(X)
#undef X
        FUSELN_REAL_DRIVER_NOTICED,
    FUSELN_REAL_COUNT = FUSELN_REAL_DRIVER_NOTICED + FUSELN_NOTICE_DRIVER,
    FUSELN_REAL_CU_FIRST = FUSELN_REAL_CUDART_LAST + 1
};

const char *fuseln_real_name(enum fuseln_real which); /* a static string */
/* The driver's function of this name, as libcuda exports it; FUSELN_REAL_COUNT where it is neither hooked nor noticed.
 */
enum fuseln_real fuseln_real_of_driver(const char *name);
/* Is this function of the runtime noticed, or hooked? */
bool fuseln_notice_is_runtime_call(const char *name);
/* Is this driver function, in any version and form, one that nothing needs to be forgotten for? */
bool fuseln_notice_is_harmless(const char *name);
#endif

#endif
