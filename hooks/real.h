/*
 * The functions behind our exported hooks: for each cudart version node, and for the driver's names, which have no
 * version, the one that the caller would have reached without us. No CUDA library is ever opened, only found again.
 */
#ifndef FUSELN_REAL_H
#define FUSELN_REAL_H

#include "notice.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

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

enum fuseln_node {
#define X(suffix, node) FUSELN_NODE_##suffix,
    FUSELN_CUDART_NODES(X)
#undef X
        FUSELN_NODE_DRIVER, /* no node of a runtime: the driver's names, without a version */
    FUSELN_NODE_COUNT
};

enum {
#define X(name) +1
    FUSELN_NOTICE_RUNTIME = 0 FUSELN_CUDART_NOTICED(X), /* how many functions stand in notice.h */
    FUSELN_NOTICE_DRIVER = 0 FUSELN_DRIVER_NOTICED(X)
#undef X
};

enum fuseln_real {
#define X(id, name) FUSELN_REAL_##id,
    FUSELN_CUDART_EXPORTS(X)
#undef X
        FUSELN_REAL_GET_DEVICE, /* cudaGetDevice, cudaRuntimeGetVersion: asked, not exported */
    FUSELN_REAL_GET_VERSION,
#define X(id, name) FUSELN_REAL_##id,
    FUSELN_DRIVER_EXPORTS(X)
#undef X
        FUSELN_REAL_CUDART_NOTICED, /* the first of them, in the order of notice.h */
    FUSELN_REAL_DRIVER_NOTICED = FUSELN_REAL_CUDART_NOTICED + FUSELN_NOTICE_RUNTIME,
    FUSELN_REAL_COUNT = FUSELN_REAL_DRIVER_NOTICED + FUSELN_NOTICE_DRIVER
};

/* What answers every caller of a node, while one does. */
extern _Atomic(void *) fuseln_real_next[FUSELN_NODE_COUNT][FUSELN_REAL_COUNT];
void *fuseln_real_find(enum fuseln_node node, enum fuseln_real which, const void *address);

static inline void *fuseln_real_known(enum fuseln_node node, enum fuseln_real which)
{
    return atomic_load_explicit(&fuseln_real_next[node][which], memory_order_acquire);
}

/*
 * The real function for a caller (an address inside the calling library: __builtin_return_address(0)), or NULL where
 * its scope holds none. Lock-free; a few instructions once known.
 */
static inline void *fuseln_real(enum fuseln_node node, enum fuseln_real which, const void *address)
{
    void *function = fuseln_real_known(node, which);
    return __builtin_expect(function != NULL, 1) ? function : fuseln_real_find(node, which, address);
}

/* Is the library that holds this address a CUDA runtime of a node that we hook (it defines the node)? */
bool fuseln_real_is_runtime(const void *address);
/*
 * A library in front of us looks up one of our names of a runtime without a version, as dlsym(RTLD_NEXT) does, or with
 * caller NULL as dlsym(RTLD_DEFAULT): our function, of the node that the loader's answer belongs to; NULL where that
 * answer lies in front of us, where there is none, or where it is no runtime's that we hook.
 */
void *fuseln_real_hook(const char *name, const void *caller);

/* The library at this address is being unloaded: what was found through it is forgotten. */
void fuseln_real_forget(const void *address);

#endif
