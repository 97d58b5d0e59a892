/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the CUDA driver API that our launches call: types written by hand, so that no CUDA header is needed to
 * build, and one table of function pointers, resolved once from the libcuda that the program has loaded. fuseln never
 * loads libcuda itself. Names as in cuda.h (12.0).
 */
#ifndef FUSELN_LIBCUDA_H
#define FUSELN_LIBCUDA_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int CUresult; /* 0 is success */
typedef int CUdevice;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUgraph_st *CUgraph;
typedef struct CUuserObject_st *CUuserObject;
typedef uint64_t CUdeviceptr;

/* Those of enum cudaError_enum that say why a kernel is refused, or a question about its parameters. */
enum {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_INVALID_VALUE = 1,
    CUDA_ERROR_INVALID_IMAGE = 200,
    CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
    CUDA_ERROR_INVALID_PTX = 218,
    CUDA_ERROR_UNSUPPORTED_PTX_VERSION = 222,
    CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES = 701,
    CUDA_ERROR_NOT_SUPPORTED = 801,
};

enum { /* CUdevice_attribute */
       CU_ATTR_MULTIPROCESSOR_COUNT = 16,
       CU_ATTR_COMPUTE_CAPABILITY_MAJOR = 75,
       CU_ATTR_COMPUTE_CAPABILITY_MINOR = 76,
       CU_ATTR_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 97,
};

enum { CU_STREAM_CAPTURE_STATUS_ACTIVE = 1, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC = 1, CU_GRAPH_USER_OBJECT_MOVE = 1 };
enum { CU_STREAM_CAPTURE_MODE_RELAXED = 2, CU_FUNC_ATTR_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8 };
enum { CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION = 6 };
struct CUlaunchAttribute {
    int id;
    char pad[4];
    union {
        int programmatic_serialization; /* is it allowed? */
        char pad[64];
    } value;
};
struct CUlaunchConfig {
    unsigned grid[3], block[3], smem_bytes;
    CUstream stream;
    const struct CUlaunchAttribute *attributes;
    unsigned attribute_count;
};

enum { CU_HOST_REGISTER_PORTABLE = 1, CU_HOST_REGISTER_DEVICEMAP = 2 };
#define CU_STREAM_PER_THREAD ((CUstream)0x2)

/* X(member, exported name, parameters): without these there is no launch of ours. */
// clang-format off
#define FUSELN_DRIVER_NEEDED(X) \
    X(ctx_get_id,         "cuCtxGetId",              (CUcontext ctx, unsigned long long *id))                    \
    X(ctx_get_device,     "cuCtxGetDevice",          (CUdevice *device))                                        \
    X(device_get_name,    "cuDeviceGetName",         (char *name, int len, CUdevice device))                    \
    X(device_get_attr,    "cuDeviceGetAttribute",    (int *value, int attribute, CUdevice device))              \
    X(driver_get_version, "cuDriverGetVersion",      (int *version))                                            \
    X(stream_get_id,      "cuStreamGetId",           (CUstream stream, unsigned long long *id))                 \
    X(stream_get_ctx,     "cuStreamGetCtx",          (CUstream stream, CUcontext *ctx))                         \
    X(stream_capturing,   "cuStreamIsCapturing",     (CUstream stream, int *status))                            \
    X(exchange_capture,   "cuThreadExchangeStreamCaptureMode", (int *mode))                                     \
    X(module_load_data,   "cuModuleLoadData",        (CUmodule *module, const void *image))                     \
    X(module_unload,      "cuModuleUnload",          (CUmodule module))                                         \
    X(module_get_func,    "cuModuleGetFunction",     (CUfunction *function, CUmodule module, const char *name)) \
    X(func_set_attr,      "cuFuncSetAttribute",      (CUfunction function, int attribute, int value))           \
    X(mem_alloc,          "cuMemAlloc_v2",           (CUdeviceptr *ptr, size_t bytes))                          \
    X(mem_free,           "cuMemFree_v2",            (CUdeviceptr ptr))                                         \
    X(memcpy_device,      "cuMemcpyDtoDAsync_v2",    (CUdeviceptr to, CUdeviceptr from, size_t bytes,            \
        CUstream stream))                                                                                       \
    X(host_register,      "cuMemHostRegister_v2",    (void *ptr, size_t bytes, unsigned flags))                 \
    X(host_get_device,    "cuMemHostGetDevicePointer_v2", (CUdeviceptr *ptr, void *host, unsigned flags))       \
    X(event_create,       "cuEventCreate",           (CUevent *event, unsigned flags))                          \
    X(event_record,       "cuEventRecord",           (CUevent event, CUstream stream))                          \
    X(event_query,        "cuEventQuery",            (CUevent event))                                           \
    X(event_elapsed,      "cuEventElapsedTime",      (float *ms, CUevent start, CUevent stop))                  \
    X(launch_kernel,      "cuLaunchKernel",          (CUfunction function, unsigned grid_x, unsigned grid_y,     \
        unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z, unsigned smem_bytes,             \
        CUstream stream, void **params, void **extra))                                                          \
    X(launch_kernel_ex,   "cuLaunchKernelEx",        (const struct CUlaunchConfig *config, CUfunction function, \
        void **params, void **extra))
/* Without one of these, which is NULL then, there are no pairs in stream capture. */
#define FUSELN_DRIVER_OF_CAPTURE(X) \
    X(capture_info,       "cuStreamGetCaptureInfo_v2", (CUstream stream, int *status, uint64_t *id, CUgraph *graph, \
        const void **nodes, size_t *count))                                                                     \
    X(object_create,      "cuUserObjectCreate",      (CUuserObject *object, void *data, void (*destroy)(void *), \
        unsigned count, unsigned flags))                                                                        \
    X(object_release,     "cuUserObjectRelease",     (CUuserObject object, unsigned count))                     \
    X(graph_retain,       "cuGraphRetainUserObject", (CUgraph graph, CUuserObject object, unsigned count,       \
        unsigned flags))
/* Without it, which is NULL then, no user's row is replaced. */
#define FUSELN_DRIVER_OF_USER(X) \
    X(mem_get_range,      "cuMemGetAddressRange_v2", (CUdeviceptr *base, size_t *bytes, CUdeviceptr ptr))
#define FUSELN_DRIVER_FUNCTIONS(X) FUSELN_DRIVER_NEEDED(X) FUSELN_DRIVER_OF_CAPTURE(X) FUSELN_DRIVER_OF_USER(X)
// clang-format on

struct fuseln_driver {
#define X(member, name, params) CUresult(*member) params;
    FUSELN_DRIVER_FUNCTIONS(X)
#undef X
};

/* Guards what kernels/host writes and launches only read. Held under a shield, and never across a call to the loader or
 * CUDA. */
extern pthread_mutex_t fuseln_host_mutex;

extern _Atomic(const struct fuseln_driver *)
    fuseln_driver_published; /* NULL until fuseln_driver_find() has found them */
/* The driver functions of this process; NULL while libcuda is not loaded or lacks one that is needed (drivers below
 * 525).
 * Thread-safe. */
const struct fuseln_driver *fuseln_driver_find(void);

/* The same without a search: never NULL once fuseln_context_current() has returned a context to any thread. Lock-free.
 */
static inline const struct fuseln_driver *fuseln_driver_known(void)
{
    return atomic_load_explicit(&fuseln_driver_published, memory_order_acquire);
}

#endif
