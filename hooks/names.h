/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every function of the public CUDA runtime (11.8 to 13.5) and driver (as declared, and as libcuda exports them, with
 * their versions and per-thread forms) that are not hooked: noticed, or harmless. A call that could change,
 * free, or tell the program that it may change the tensors of a launch, that orders streams, or that makes or ends a
 * stream, an event, a capture or a context is noticed: pending partial sums (src/core/pairing.h) are forgotten.
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

/* X(ENUM, exported name): every runtime function that we export or need. EXPORTED first. */
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
 * hooks/real.h has more nodes, of runtimes that nobody has seen yet. */
#define FUSELN_NOTICE_NODES(X)        \
    X(11, "libcudart.so.11.0", 11080) \
    X(12, "libcudart.so.12", 12090)   \
    X(13, "libcudart.so.13", 13050)

// clang-format off
/* Of the runtime, exported once for each of those nodes. */
#define FUSELN_CUDART_NOTICED(X) \
    X(cudaDestroyExternalMemory) X(cudaDeviceDisablePeerAccess) X(cudaDeviceFlushGPUDirectRDMAWrites) \
    X(cudaDeviceGraphMemTrim) X(cudaDeviceReset) X(cudaDeviceSynchronize) X(cudaEGLStreamConsumerAcquireFrame) \
    X(cudaEGLStreamConsumerConnect) X(cudaEGLStreamConsumerConnectWithFlags) X(cudaEGLStreamConsumerDisconnect) \
    X(cudaEGLStreamConsumerReleaseFrame) X(cudaEGLStreamProducerConnect) X(cudaEGLStreamProducerDisconnect) \
    X(cudaEGLStreamProducerPresentFrame) X(cudaEGLStreamProducerReturnFrame) X(cudaEventCreate) \
    X(cudaEventCreateFromEGLSync) X(cudaEventCreateWithFlags) X(cudaEventDestroy) X(cudaEventElapsedTime) \
    X(cudaEventElapsedTime_v2) X(cudaEventQuery) X(cudaEventRecord) X(cudaEventRecordWithFlags) \
    X(cudaEventRecordWithFlags_ptsz) X(cudaEventRecord_ptsz) X(cudaEventSynchronize) X(cudaExecutionCtxDestroy) \
    X(cudaExecutionCtxRecordEvent) X(cudaExecutionCtxStreamCreate) X(cudaExecutionCtxSynchronize) \
    X(cudaExecutionCtxWaitEvent) X(cudaExternalMemoryGetMappedBuffer) X(cudaExternalMemoryGetMappedMipmappedArray) \
    X(cudaFree) X(cudaFreeArray) X(cudaFreeAsync) X(cudaFreeAsync_ptsz) X(cudaFreeHost) X(cudaFreeMipmappedArray) \
    X(cudaGLMapBufferObject) X(cudaGLMapBufferObjectAsync) X(cudaGLUnmapBufferObject) X(cudaGLUnmapBufferObjectAsync) \
    X(cudaGraphDestroy) X(cudaGraphExecDestroy) X(cudaGraphExecUpdate) X(cudaGraphInstantiate) \
    X(cudaGraphInstantiateWithFlags) X(cudaGraphInstantiateWithParams) X(cudaGraphInstantiateWithParams_ptsz) \
    X(cudaGraphLaunch) X(cudaGraphLaunch_ptsz) X(cudaGraphUpload) X(cudaGraphUpload_ptsz) X(cudaGraphicsMapResources) \
    X(cudaGraphicsUnmapResources) X(cudaGraphicsUnregisterResource) X(cudaGreenCtxCreate) X(cudaHostUnregister) \
    X(cudaInitDevice) X(cudaIpcCloseMemHandle) X(cudaIpcOpenMemHandle) X(cudaLaunchCooperativeKernelMultiDevice) \
    X(cudaLaunchHostFunc) X(cudaLaunchHostFunc_ptsz) X(cudaLaunchHostFunc_v2) X(cudaLaunchHostFunc_v2_ptsz) \
    X(cudaLibraryUnload) X(cudaMemAdvise) X(cudaMemAdvise_v2) X(cudaMemDiscardAndPrefetchBatchAsync) \
    X(cudaMemDiscardAndPrefetchBatchAsync_ptsz) X(cudaMemDiscardBatchAsync) X(cudaMemDiscardBatchAsync_ptsz) \
    X(cudaMemPoolDestroy) X(cudaMemPoolImportPointer) X(cudaMemPoolTrimTo) X(cudaMemPrefetchAsync) \
    X(cudaMemPrefetchAsync_ptsz) X(cudaMemPrefetchAsync_v2) X(cudaMemPrefetchAsync_v2_ptsz) \
    X(cudaMemPrefetchBatchAsync) X(cudaMemPrefetchBatchAsync_ptsz) X(cudaMemcpy) X(cudaMemcpy2D) \
    X(cudaMemcpy2DArrayToArray) X(cudaMemcpy2DArrayToArray_ptds) X(cudaMemcpy2DAsync) X(cudaMemcpy2DAsync_ptsz) \
    X(cudaMemcpy2DFromArray) X(cudaMemcpy2DFromArrayAsync) X(cudaMemcpy2DFromArrayAsync_ptsz) \
    X(cudaMemcpy2DFromArray_ptds) X(cudaMemcpy2DToArray) X(cudaMemcpy2DToArrayAsync) X(cudaMemcpy2DToArrayAsync_ptsz) \
    X(cudaMemcpy2DToArray_ptds) X(cudaMemcpy2D_ptds) X(cudaMemcpy3D) X(cudaMemcpy3DAsync) X(cudaMemcpy3DAsync_ptsz) \
    X(cudaMemcpy3DBatchAsync) X(cudaMemcpy3DBatchAsync_ptsz) X(cudaMemcpy3DPeer) X(cudaMemcpy3DPeerAsync) \
    X(cudaMemcpy3DPeerAsync_ptsz) X(cudaMemcpy3DPeer_ptds) X(cudaMemcpy3DWithAttributesAsync) \
    X(cudaMemcpy3DWithAttributesAsync_ptsz) X(cudaMemcpy3D_ptds) X(cudaMemcpyArrayToArray) \
    X(cudaMemcpyArrayToArray_ptds) X(cudaMemcpyAsync) X(cudaMemcpyAsync_ptsz) X(cudaMemcpyBatchAsync) \
    X(cudaMemcpyBatchAsync_ptsz) X(cudaMemcpyFromArray) X(cudaMemcpyFromArrayAsync) X(cudaMemcpyFromArrayAsync_ptsz) \
    X(cudaMemcpyFromArray_ptds) X(cudaMemcpyFromSymbol) X(cudaMemcpyFromSymbolAsync) \
    X(cudaMemcpyFromSymbolAsync_ptsz) X(cudaMemcpyFromSymbol_ptds) X(cudaMemcpyPeer) X(cudaMemcpyPeerAsync) \
    X(cudaMemcpyToArray) X(cudaMemcpyToArrayAsync) X(cudaMemcpyToArrayAsync_ptsz) X(cudaMemcpyToArray_ptds) \
    X(cudaMemcpyToSymbol) X(cudaMemcpyToSymbolAsync) X(cudaMemcpyToSymbolAsync_ptsz) X(cudaMemcpyToSymbol_ptds) \
    X(cudaMemcpyWithAttributesAsync) X(cudaMemcpyWithAttributesAsync_ptsz) X(cudaMemcpy_ptds) X(cudaMemset) \
    X(cudaMemset2D) X(cudaMemset2DAsync) X(cudaMemset2DAsync_ptsz) X(cudaMemset2D_ptds) X(cudaMemset3D) \
    X(cudaMemset3DAsync) X(cudaMemset3DAsync_ptsz) X(cudaMemset3D_ptds) X(cudaMemsetAsync) X(cudaMemsetAsync_ptsz) \
    X(cudaMemset_ptds) X(cudaSetDevice) X(cudaSignalExternalSemaphoresAsync) \
    X(cudaSignalExternalSemaphoresAsync_ptsz) X(cudaSignalExternalSemaphoresAsync_v2) \
    X(cudaSignalExternalSemaphoresAsync_v2_ptsz) X(cudaStreamAddCallback) X(cudaStreamAddCallback_ptsz) \
    X(cudaStreamAttachMemAsync) X(cudaStreamAttachMemAsync_ptsz) X(cudaStreamBeginCapture) \
    X(cudaStreamBeginCaptureToGraph) X(cudaStreamBeginCaptureToGraph_ptsz) X(cudaStreamBeginCapture_ptsz) \
    X(cudaStreamBeginRecaptureToGraph) X(cudaStreamBeginRecaptureToGraph_ptsz) X(cudaStreamCopyAttributes) \
    X(cudaStreamCopyAttributes_ptsz) X(cudaStreamCreate) X(cudaStreamCreateWithFlags) X(cudaStreamCreateWithPriority) \
    X(cudaStreamDestroy) X(cudaStreamEndCapture) X(cudaStreamEndCapture_ptsz) X(cudaStreamQuery) \
    X(cudaStreamQuery_ptsz) X(cudaStreamSetAttribute) X(cudaStreamSetAttribute_ptsz) X(cudaStreamSynchronize) \
    X(cudaStreamSynchronize_ptsz) X(cudaStreamUpdateCaptureDependencies) X(cudaStreamUpdateCaptureDependencies_ptsz) \
    X(cudaStreamUpdateCaptureDependencies_v2) X(cudaStreamUpdateCaptureDependencies_v2_ptsz) X(cudaStreamWaitEvent) \
    X(cudaStreamWaitEvent_ptsz) X(cudaThreadExit) X(cudaThreadSynchronize) X(cudaWaitExternalSemaphoresAsync) \
    X(cudaWaitExternalSemaphoresAsync_ptsz) X(cudaWaitExternalSemaphoresAsync_v2) \
    X(cudaWaitExternalSemaphoresAsync_v2_ptsz)

/* Of the driver, as libcuda exports them. */
#define FUSELN_DRIVER_NOTICED(X) \
    X(cuArrayDestroy) X(cuCheckpointOperationComplete) X(cuCheckpointProcessCheckpoint) \
    X(cuCheckpointProcessGetRestoreThreadId) X(cuCheckpointProcessGetState) X(cuCheckpointProcessLock) \
    X(cuCheckpointProcessRestore) X(cuCheckpointProcessUnlock) X(cuCtxAttach) X(cuCtxCreate) X(cuCtxCreate_v2) \
    X(cuCtxCreate_v3) X(cuCtxCreate_v4) X(cuCtxDestroy) X(cuCtxDestroy_v2) X(cuCtxDetach) X(cuCtxDisablePeerAccess) \
    X(cuCtxFromGreenCtx) X(cuCtxPopCurrent) X(cuCtxPopCurrent_v2) X(cuCtxPushCurrent) X(cuCtxPushCurrent_v2) \
    X(cuCtxRecordEvent) X(cuCtxSetCurrent) X(cuCtxSynchronize) X(cuCtxSynchronize_v2) X(cuCtxWaitEvent) \
    X(cuDestroyExternalMemory) X(cuDeviceGraphMemTrim) X(cuDevicePrimaryCtxRelease) X(cuDevicePrimaryCtxRelease_v2) \
    X(cuDevicePrimaryCtxReset) X(cuDevicePrimaryCtxReset_v2) X(cuDevicePrimaryCtxRetain) \
    X(cuDevicePrimaryCtxSetFlags) X(cuDevicePrimaryCtxSetFlags_v2) X(cuEventCreate) X(cuEventDestroy) \
    X(cuEventDestroy_v2) X(cuEventElapsedTime) X(cuEventElapsedTime_v2) X(cuEventQuery) X(cuEventRecord) \
    X(cuEventRecordWithFlags) X(cuEventRecordWithFlags_ptsz) X(cuEventRecord_ptsz) X(cuEventSynchronize) \
    X(cuExternalMemoryGetMappedBuffer) X(cuExternalMemoryGetMappedMipmappedArray) X(cuFabricCpyBatchAsync) \
    X(cuFabricCpyBatchAsync_ptsz) X(cuFlushGPUDirectRDMAWrites) X(cuGraphDestroy) X(cuGraphExecDestroy) \
    X(cuGraphExecUpdate) X(cuGraphExecUpdate_v2) X(cuGraphInstantiate) X(cuGraphInstantiateWithFlags) \
    X(cuGraphInstantiateWithParams) X(cuGraphInstantiateWithParams_ptsz) X(cuGraphInstantiate_v2) X(cuGraphLaunch) \
    X(cuGraphLaunch_ptsz) X(cuGraphUpload) X(cuGraphUpload_ptsz) X(cuGraphicsMapResources) \
    X(cuGraphicsMapResources_ptsz) X(cuGraphicsUnmapResources) X(cuGraphicsUnmapResources_ptsz) \
    X(cuGraphicsUnregisterResource) X(cuGreenCtxCreate) X(cuGreenCtxDestroy) X(cuGreenCtxRecordEvent) \
    X(cuGreenCtxStreamCreate) X(cuGreenCtxWaitEvent) X(cuIpcCloseMemHandle) X(cuIpcOpenMemHandle) \
    X(cuIpcOpenMemHandle_v2) X(cuLaunch) X(cuLaunchCooperativeKernelMultiDevice) X(cuLaunchGrid) X(cuLaunchGridAsync) \
    X(cuLaunchHostFunc) X(cuLaunchHostFunc_ptsz) X(cuLaunchHostFunc_v2) X(cuLaunchHostFunc_v2_ptsz) \
    X(cuLogicalEndpointBindAddr) X(cuLogicalEndpointBindMem) X(cuLogicalEndpointDestroy) X(cuLogicalEndpointUnbind) \
    X(cuMemAddressFree) X(cuMemAdvise) X(cuMemAdvise_v2) X(cuMemBatchDecompressAsync) \
    X(cuMemBatchDecompressAsync_ptsz) X(cuMemDiscardAndPrefetchBatchAsync) X(cuMemDiscardAndPrefetchBatchAsync_ptsz) \
    X(cuMemDiscardBatchAsync) X(cuMemDiscardBatchAsync_ptsz) X(cuMemFree) X(cuMemFreeAsync) X(cuMemFreeAsync_ptsz) \
    X(cuMemFreeHost) X(cuMemFree_v2) X(cuMemHostUnregister) X(cuMemMap) X(cuMemMapArrayAsync) \
    X(cuMemMapArrayAsync_ptsz) X(cuMemPoolDestroy) X(cuMemPoolImportPointer) X(cuMemPoolTrimTo) X(cuMemPrefetchAsync) \
    X(cuMemPrefetchAsync_ptsz) X(cuMemPrefetchAsync_v2) X(cuMemPrefetchAsync_v2_ptsz) X(cuMemPrefetchBatchAsync) \
    X(cuMemPrefetchBatchAsync_ptsz) X(cuMemRelease) X(cuMemSetAccess) X(cuMemUnmap) X(cuMemcpy) X(cuMemcpy2D) \
    X(cuMemcpy2DAsync) X(cuMemcpy2DAsync_v2) X(cuMemcpy2DAsync_v2_ptsz) X(cuMemcpy2DUnaligned) \
    X(cuMemcpy2DUnaligned_v2) X(cuMemcpy2DUnaligned_v2_ptds) X(cuMemcpy2D_v2) X(cuMemcpy2D_v2_ptds) X(cuMemcpy3D) \
    X(cuMemcpy3DAsync) X(cuMemcpy3DAsync_v2) X(cuMemcpy3DAsync_v2_ptsz) X(cuMemcpy3DBatchAsync) \
    X(cuMemcpy3DBatchAsync_ptsz) X(cuMemcpy3DBatchAsync_v2) X(cuMemcpy3DBatchAsync_v2_ptsz) X(cuMemcpy3DPeer) \
    X(cuMemcpy3DPeerAsync) X(cuMemcpy3DPeerAsync_ptsz) X(cuMemcpy3DPeer_ptds) X(cuMemcpy3DWithAttributesAsync) \
    X(cuMemcpy3DWithAttributesAsync_ptsz) X(cuMemcpy3D_v2) X(cuMemcpy3D_v2_ptds) X(cuMemcpyAsync) \
    X(cuMemcpyAsync_ptsz) X(cuMemcpyAtoA) X(cuMemcpyAtoA_v2) X(cuMemcpyAtoA_v2_ptds) X(cuMemcpyAtoD) \
    X(cuMemcpyAtoD_v2) X(cuMemcpyAtoD_v2_ptds) X(cuMemcpyAtoH) X(cuMemcpyAtoHAsync) X(cuMemcpyAtoHAsync_v2) \
    X(cuMemcpyAtoHAsync_v2_ptsz) X(cuMemcpyAtoH_v2) X(cuMemcpyAtoH_v2_ptds) X(cuMemcpyBatchAsync) \
    X(cuMemcpyBatchAsync_ptsz) X(cuMemcpyBatchAsync_v2) X(cuMemcpyBatchAsync_v2_ptsz) X(cuMemcpyDtoA) \
    X(cuMemcpyDtoA_v2) X(cuMemcpyDtoA_v2_ptds) X(cuMemcpyDtoD) X(cuMemcpyDtoDAsync) X(cuMemcpyDtoDAsync_v2) \
    X(cuMemcpyDtoDAsync_v2_ptsz) X(cuMemcpyDtoD_v2) X(cuMemcpyDtoD_v2_ptds) X(cuMemcpyDtoH) X(cuMemcpyDtoHAsync) \
    X(cuMemcpyDtoHAsync_v2) X(cuMemcpyDtoHAsync_v2_ptsz) X(cuMemcpyDtoH_v2) X(cuMemcpyDtoH_v2_ptds) X(cuMemcpyHtoA) \
    X(cuMemcpyHtoAAsync) X(cuMemcpyHtoAAsync_v2) X(cuMemcpyHtoAAsync_v2_ptsz) X(cuMemcpyHtoA_v2) \
    X(cuMemcpyHtoA_v2_ptds) X(cuMemcpyHtoD) X(cuMemcpyHtoDAsync) X(cuMemcpyHtoDAsync_v2) X(cuMemcpyHtoDAsync_v2_ptsz) \
    X(cuMemcpyHtoD_v2) X(cuMemcpyHtoD_v2_ptds) X(cuMemcpyPeer) X(cuMemcpyPeerAsync) X(cuMemcpyPeerAsync_ptsz) \
    X(cuMemcpyPeer_ptds) X(cuMemcpyWithAttributesAsync) X(cuMemcpyWithAttributesAsync_ptsz) X(cuMemcpy_ptds) \
    X(cuMemsetD16) X(cuMemsetD16Async) X(cuMemsetD16Async_ptsz) X(cuMemsetD16_v2) X(cuMemsetD16_v2_ptds) \
    X(cuMemsetD2D16) X(cuMemsetD2D16Async) X(cuMemsetD2D16Async_ptsz) X(cuMemsetD2D16_v2) X(cuMemsetD2D16_v2_ptds) \
    X(cuMemsetD2D32) X(cuMemsetD2D32Async) X(cuMemsetD2D32Async_ptsz) X(cuMemsetD2D32_v2) X(cuMemsetD2D32_v2_ptds) \
    X(cuMemsetD2D8) X(cuMemsetD2D8Async) X(cuMemsetD2D8Async_ptsz) X(cuMemsetD2D8_v2) X(cuMemsetD2D8_v2_ptds) \
    X(cuMemsetD32) X(cuMemsetD32Async) X(cuMemsetD32Async_ptsz) X(cuMemsetD32_v2) X(cuMemsetD32_v2_ptds) \
    X(cuMemsetD8) X(cuMemsetD8Async) X(cuMemsetD8Async_ptsz) X(cuMemsetD8_v2) X(cuMemsetD8_v2_ptds) \
    X(cuMipmappedArrayDestroy) X(cuMulticastAddDevice) X(cuMulticastBindAddr) X(cuMulticastBindAddr_v2) \
    X(cuMulticastBindMem) X(cuMulticastBindMem_v2) X(cuMulticastUnbind) X(cuSignalExternalSemaphoresAsync) \
    X(cuSignalExternalSemaphoresAsync_ptsz) X(cuStreamAddCallback) X(cuStreamAddCallback_ptsz) \
    X(cuStreamAttachMemAsync) X(cuStreamAttachMemAsync_ptsz) X(cuStreamBatchMemOp) X(cuStreamBatchMemOp_ptsz) \
    X(cuStreamBatchMemOp_v2) X(cuStreamBatchMemOp_v2_ptsz) X(cuStreamBeginCapture) X(cuStreamBeginCaptureToCig) \
    X(cuStreamBeginCaptureToCig_ptsz) X(cuStreamBeginCaptureToGraph) X(cuStreamBeginCaptureToGraph_ptsz) \
    X(cuStreamBeginCapture_ptsz) X(cuStreamBeginCapture_v2) X(cuStreamBeginCapture_v2_ptsz) \
    X(cuStreamBeginRecaptureToGraph) X(cuStreamBeginRecaptureToGraph_ptsz) X(cuStreamCopyAttributes) \
    X(cuStreamCopyAttributes_ptsz) X(cuStreamCreate) X(cuStreamCreateWithPriority) X(cuStreamDestroy) \
    X(cuStreamDestroy_v2) X(cuStreamEndCapture) X(cuStreamEndCaptureToCig) X(cuStreamEndCaptureToCig_ptsz) \
    X(cuStreamEndCapture_ptsz) X(cuStreamQuery) X(cuStreamQuery_ptsz) X(cuStreamSetAttribute) \
    X(cuStreamSetAttribute_ptsz) X(cuStreamSynchronize) X(cuStreamSynchronize_ptsz) \
    X(cuStreamUpdateCaptureDependencies) X(cuStreamUpdateCaptureDependencies_ptsz) \
    X(cuStreamUpdateCaptureDependencies_v2) X(cuStreamUpdateCaptureDependencies_v2_ptsz) X(cuStreamWaitEvent) \
    X(cuStreamWaitEvent_ptsz) X(cuStreamWaitValue32) X(cuStreamWaitValue32_ptsz) X(cuStreamWaitValue32_v2) \
    X(cuStreamWaitValue32_v2_ptsz) X(cuStreamWaitValue64) X(cuStreamWaitValue64_ptsz) X(cuStreamWaitValue64_v2) \
    X(cuStreamWaitValue64_v2_ptsz) X(cuStreamWriteValue32) X(cuStreamWriteValue32_ptsz) X(cuStreamWriteValue32_v2) \
    X(cuStreamWriteValue32_v2_ptsz) X(cuStreamWriteValue64) X(cuStreamWriteValue64_ptsz) X(cuStreamWriteValue64_v2) \
    X(cuStreamWriteValue64_v2_ptsz) X(cuWaitExternalSemaphoresAsync) X(cuWaitExternalSemaphoresAsync_ptsz)

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
#define X(name) +1
    FUSELN_NOTICE_RUNTIME = 0 FUSELN_CUDART_NOTICED(X), /* how many functions stand in this file */
    FUSELN_NOTICE_DRIVER = 0 FUSELN_DRIVER_NOTICED(X)
#undef X
};

enum fuseln_real {
#define X(id, name) FUSELN_REAL_##id,
    FUSELN_CUDART_EXPORTS(X)
#undef X
        FUSELN_REAL_GET_DEVICE, /* cudaGetDevice, cudaRuntimeGetVersion: asked, not exported */
    FUSELN_REAL_GET_VERSION,
    FUSELN_REAL_CUDART_NOTICED, /* the first of them, in the order of this file */
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
