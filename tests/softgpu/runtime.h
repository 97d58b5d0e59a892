/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sources of the stand-in CUDA runtime (libcudart.so) share. It has the public ABI of the headers that it is
 * compiled with (CUDA 11.7 to 13) and does every device operation through the driver, which it reaches as NVIDIA's
 * runtime does: dlopen("libcuda.so.1"), one dlsym of cuGetProcAddress, and only pointers that this returns. Kernels
 * too: CUDA 11 loads a module for each context, 12 takes the module of a library, 13 launches a library's CUkernel as
 * it is. Thread-safe.
 * runtime.c: start, context, last error. runtime_register.c: fat binaries and kernels. runtime_launch.c: launches.
 * runtime_device.c: device facts, memory, graphs. runtime_stream.c: what takes a stream, compiled twice.
 */
#ifndef SOFTGPU_RUNTIME_H
#define SOFTGPU_RUNTIME_H

#include <cuda.h>
#include <cuda_runtime_api.h>
#include <stdbool.h>

/* Every driver function that the runtime calls and that has no per-thread variant. */
// clang-format off
#define SOFTGPU_DRIVER(X) \
    X(cuInit) X(cuDriverGetVersion) X(cuGetErrorName) X(cuGetErrorString) X(cuDeviceGetCount) X(cuDeviceGet) \
    X(cuDeviceGetName) X(cuDeviceGetUuid) X(cuDeviceTotalMem) X(cuDeviceGetAttribute) X(cuDeviceGetPCIBusId) \
    X(cuDeviceCanAccessPeer) X(cuDevicePrimaryCtxRetain) X(cuCtxGetCurrent) X(cuCtxSetCurrent) X(cuCtxGetDevice) \
    X(cuCtxSynchronize) X(cuCtxGetStreamPriorityRange) X(cuMemGetInfo) X(cuMemAlloc) X(cuMemFree) X(cuMemHostAlloc) \
    X(cuMemFreeHost) X(cuMemHostRegister) X(cuMemHostUnregister) X(cuMemHostGetDevicePointer) \
    X(cuPointerGetAttributes) X(cuEventCreate) X(cuEventDestroy) X(cuEventQuery) X(cuEventSynchronize) \
    X(cuEventElapsedTime) X(cuStreamCreate) X(cuStreamCreateWithPriority) X(cuStreamDestroy) \
    X(cuThreadExchangeStreamCaptureMode) X(cuGraphCreate) X(cuGraphDestroy) X(cuGraphInstantiateWithFlags) \
    X(cuGraphExecDestroy) X(cuGraphGetNodes) X(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags) \
    SOFTGPU_DRIVER_KERNELS(X)
#if CUDA_VERSION >= 13000
#define SOFTGPU_DRIVER_KERNELS(X) \
    X(cuLibraryLoadData) X(cuLibraryUnload) X(cuLibraryGetKernel) X(cuKernelGetFunction) \
    X(cuKernelGetAttribute) X(cuKernelSetAttribute) X(cuKernelGetName)
#elif CUDA_VERSION >= 12000
#define SOFTGPU_DRIVER_KERNELS(X) \
    X(cuLibraryLoadData) X(cuLibraryUnload) X(cuLibraryGetKernel) X(cuLibraryGetModule) X(cuKernelGetFunction) \
    X(cuModuleGetFunction) X(cuFuncGetAttribute) X(cuFuncSetAttribute)
#else
#define SOFTGPU_DRIVER_KERNELS(X) \
    X(cuGraphInstantiate) X(cuModuleLoadData) X(cuModuleUnload) X(cuModuleGetFunction) \
    X(cuFuncGetAttribute) X(cuFuncSetAttribute)
#endif
// clang-format on

struct softgpu_driver {
#define X(name) __typeof__(&name) name;
    SOFTGPU_DRIVER(X)
#undef X
};
extern struct softgpu_driver softgpu_driver;

/* To be called once per API function. start: finds the driver. enter: also makes sure this thread has a context. */
cudaError_t softgpu_runtime_start(void);
cudaError_t softgpu_runtime_enter(void);
cudaError_t softgpu_runtime_current(CUdevice *ret_device); /* this thread's device */
cudaError_t softgpu_runtime_set_error(int result);         /* stores a failure as the thread's last error */

/* What cuGetProcAddress returns for a name in that CUDA version (0: of the headers); with flags 2, its per-thread
 * default stream variant. If the driver lacks one, the runtime does not start (cudaErrorInsufficientDriver). */
void *softgpu_runtime_resolve(const char *name, int version, unsigned flags);
/* Fill, at start, the tables of the files that have their own. */
void softgpu_stream_resolve(void);
void softgpu_stream_resolve_ptsz(void);
void softgpu_launch_resolve(void);

/* Enters, and finds the kernel behind a host function or a handle, as cuLaunchKernel takes it in this context; loads
 * its library at first use. */
cudaError_t softgpu_kernel_enter(const void *function, CUfunction *ret_kernel);
#if CUDA_VERSION >= 12000
/* From now on the program may launch by this kernel handle as by a host function. */
void softgpu_kernel_learn(CUkernel kernel);
#endif

/* The body of an API function that is one driver call: CALL(enter, cuMemAlloc, (pointer, bytes)). */
#define SOFTGPU_CALL_FROM(table, how, function, args)  \
    do {                                               \
        cudaError_t error_ = softgpu_runtime_##how();  \
        if (!error_)                                   \
            error_ = (cudaError_t)table.function args; \
        return softgpu_runtime_set_error(error_);      \
    } while (0)
#define SOFTGPU_CALL(how, function, args) SOFTGPU_CALL_FROM(softgpu_driver, how, function, args)

#endif
