/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime boundary: what we export in cudart's place, once for each version node (hooks/names.h), and nothing else.
 * Each hook hands what it saw to launch, handles or given, and calls the real function of its caller. All are
 * valid before any constructor ran, in any thread. Types are written by hand after driver_types.h and
 * crt/host_runtime.h (CUDA 11 to 13: these signatures did not change).
 */
#include "hooks/real.h"

#include "hooks/given.h"
#include "hooks/handles.h"
#include "hooks/launch.h"

#include <string.h>

struct dim3 {
    unsigned x, y, z;
};

enum { CUDA_ERROR_SYMBOL_NOT_FOUND = 500 };

#define LAUNCH_PARAMETERS \
    const void *function, struct dim3 grid, struct dim3 block, void **args, size_t smem_bytes, void *stream
#define LAUNCH_EX_PARAMETERS const struct fuseln_launch_config *config, const void *function, void **args
#define REGISTER_PARAMETERS                                                                                     \
    void **fatbin, const char *host_function, char *device_function, const char *device_name, int thread_limit, \
        void *tid, void *bid, void *block, void *grid, int *warp_size
/* CUDA 11's have no last parameter; they do not read what they do not know of. */
#define ENTRY_PARAMETERS const char *symbol, void **ret_function, unsigned long long flags, void *ret_result
#define ENTRY_BY_PARAMETERS \
    const char *symbol, void **ret_function, unsigned cuda_version, unsigned long long flags, void *ret_result

typedef int launch_function(LAUNCH_PARAMETERS);
typedef int launch_ex_function(LAUNCH_EX_PARAMETERS);
typedef void register_function(REGISTER_PARAMETERS);
typedef int entry_function(ENTRY_PARAMETERS);
typedef int entry_by_function(ENTRY_BY_PARAMETERS);

static int original(const struct fuseln_hooked *hooked)
{
    const unsigned *grid = hooked->launch.grid, *block = hooked->launch.block;
    launch_function *real = (launch_function *)hooked->real;
    return real ? real(hooked->function, (struct dim3){grid[0], grid[1], grid[2]},
                       (struct dim3){block[0], block[1], block[2]}, hooked->args, hooked->smem_bytes, hooked->stream)
                : CUDA_ERROR_SYMBOL_NOT_FOUND;
}

static int original_ex(const struct fuseln_hooked *hooked)
{
    launch_ex_function *real = (launch_ex_function *)hooked->real;
    return real ? real(hooked->config, hooked->function, hooked->args) : CUDA_ERROR_SYMBOL_NOT_FOUND;
}

static void unregister(enum fuseln_node node, void **fatbin, const void *caller)
{
    void (*real)(void **) = (void (*)(void **))fuseln_real(node, FUSELN_REAL_UNREGISTER, caller);

    fuseln_handles_unregister(fatbin, caller);
    if (real)
        real(fatbin);
}

static int get_kernel(enum fuseln_node node, void **ret_kernel, const void *function, const void *caller)
{
    int (*real)(void **, const void *) =
        (int (*)(void **, const void *))fuseln_real(node, FUSELN_REAL_GET_KERNEL, caller);
    int rc = real ? real(ret_kernel, function) : CUDA_ERROR_SYMBOL_NOT_FOUND;

    if (rc == 0 && ret_kernel)
        fuseln_registry_alias(*ret_kernel, function);
    return rc;
}

/* Begins the definition of name@node; the dynamic symbol table has no other name for it. */
#define HOOK(suffix, version, returned, name, parameters)                           \
    returned fuseln_##suffix##_##name parameters;                                   \
    __asm__(".symver fuseln_" #suffix "_" #name ", " #name "@" version ", remove"); \
    __attribute__((visibility("default"))) returned fuseln_##suffix##_##name parameters
#define CALLER                          __builtin_return_address(0)
#define REAL(suffix, id, function_type) (function_type *)fuseln_real(FUSELN_NODE_##suffix, FUSELN_REAL_##id, CALLER)

#define LAUNCH_HOOK(suffix, version, name, id, ptsz, verdict)                                                   \
    HOOK(suffix, version, int, name, (LAUNCH_PARAMETERS))                                                       \
    {                                                                                                           \
        launch_function *known = (launch_function *)fuseln_real_known(FUSELN_NODE_##suffix, FUSELN_REAL_##id);  \
        if (known && fuseln_launch_is_foreign(function)) {                                                      \
            fuseln_record_launch(FUSELN_BOUNDARY_RUNTIME);                                                      \
            return known(function, grid, block, args, smem_bytes, stream);                                      \
        }                                                                                                       \
        struct fuseln_hooked hooked;                                                                            \
        hooked.launch.stream = fuseln_launch_stream(stream, ptsz);                                              \
        hooked.launch.args = hooked.args = args;                                                                \
        hooked.launch.declined = FUSELN_VERDICT_##verdict;                                                      \
        hooked.launch.boundary = FUSELN_BOUNDARY_RUNTIME;                                                       \
        hooked.function = function;                                                                             \
        hooked.special = false;                                                                                 \
        hooked.original = original;                                                                             \
        hooked.real = known ? (void *)known : fuseln_real_find(FUSELN_NODE_##suffix, FUSELN_REAL_##id, CALLER); \
        hooked.get_device = fuseln_real_known(FUSELN_NODE_##suffix, FUSELN_REAL_GET_DEVICE);                    \
        hooked.node = FUSELN_NODE_##suffix;                                                                     \
        hooked.caller = CALLER;                                                                                 \
        hooked.smem_bytes = smem_bytes;                                                                         \
        hooked.stream = stream;                                                                                 \
        memcpy(hooked.launch.grid, &grid, sizeof grid);                                                         \
        memcpy(hooked.launch.block, &block, sizeof block);                                                      \
        return fuseln_launch(&hooked);                                                                          \
    }

#define LAUNCH_EX_HOOK(suffix, version, name, id, ptsz)                                                              \
    HOOK(suffix, version, int, name, (LAUNCH_EX_PARAMETERS))                                                         \
    {                                                                                                                \
        launch_ex_function *known = (launch_ex_function *)fuseln_real_known(FUSELN_NODE_##suffix, FUSELN_REAL_##id); \
        if (known && fuseln_launch_is_foreign(function)) {                                                           \
            fuseln_record_launch(FUSELN_BOUNDARY_RUNTIME);                                                           \
            return known(config, function, args);                                                                    \
        }                                                                                                            \
        struct fuseln_hooked hooked = {                                                                              \
            .launch = {.args = args, .boundary = FUSELN_BOUNDARY_RUNTIME},                                           \
            .function = function,                                                                                    \
            .args = args,                                                                                            \
            .original = original_ex,                                                                                 \
            .real = known ? (void *)known : fuseln_real_find(FUSELN_NODE_##suffix, FUSELN_REAL_##id, CALLER),        \
            .get_device = fuseln_real_known(FUSELN_NODE_##suffix, FUSELN_REAL_GET_DEVICE),                           \
            .node = FUSELN_NODE_##suffix,                                                                            \
            .caller = CALLER,                                                                                        \
        };                                                                                                           \
        return fuseln_launch_ex(&hooked, config, ptsz);                                                              \
    }

#define REGISTER_HOOKS(suffix, version)                                                                                \
    HOOK(suffix, version, void, __cudaRegisterFunction, (REGISTER_PARAMETERS))                                         \
    {                                                                                                                  \
        register_function *const real = REAL(suffix, REGISTER, register_function);                                     \
        fuseln_handles_register(fatbin, host_function, device_name);                                                   \
        if (real)                                                                                                      \
            real(fatbin, host_function, device_function, device_name, thread_limit, tid, bid, block, grid, warp_size); \
    }                                                                                                                  \
    HOOK(suffix, version, void, __cudaUnregisterFatBinary, (void **fatbin))                                            \
    {                                                                                                                  \
        unregister(FUSELN_NODE_##suffix, fatbin, CALLER);                                                              \
    }                                                                                                                  \
    HOOK(suffix, version, int, __cudaGetKernel, (void **ret_kernel, const void *function))                             \
    {                                                                                                                  \
        return get_kernel(FUSELN_NODE_##suffix, ret_kernel, function, CALLER);                                         \
    }

/* A program that asks the runtime for the driver's functions calls them itself. */
#define ENTRY_HOOK(suffix, version, name, id)                                                              \
    HOOK(suffix, version, int, name, (ENTRY_PARAMETERS))                                                   \
    {                                                                                                      \
        entry_function *const real = REAL(suffix, id, entry_function);                                     \
        const int rc = real ? real(symbol, ret_function, flags, ret_result) : CUDA_ERROR_SYMBOL_NOT_FOUND; \
        return fuseln_given_after(rc, symbol, ret_function, CALLER);                                       \
    }

#define ENTRY_BY_HOOK(suffix, version, name, id)                                                              \
    HOOK(suffix, version, int, name, (ENTRY_BY_PARAMETERS))                                                   \
    {                                                                                                         \
        entry_by_function *const real = REAL(suffix, id, entry_by_function);                                  \
        const int rc =                                                                                        \
            real ? real(symbol, ret_function, cuda_version, flags, ret_result) : CUDA_ERROR_SYMBOL_NOT_FOUND; \
        return fuseln_given_after(rc, symbol, ret_function, CALLER);                                          \
    }

#define NODE_HOOKS(suffix, version)                                                                     \
    REGISTER_HOOKS(suffix, version)                                                                     \
    LAUNCH_HOOK(suffix, version, cudaLaunchKernel, LAUNCH, false, OK)                                   \
    LAUNCH_HOOK(suffix, version, cudaLaunchKernel_ptsz, LAUNCH_PTSZ, true, OK)                          \
    LAUNCH_HOOK(suffix, version, __cudaLaunchKernel, LAUNCH13, false, OK)                               \
    LAUNCH_HOOK(suffix, version, __cudaLaunchKernel_ptsz, LAUNCH13_PTSZ, true, OK)                      \
    LAUNCH_EX_HOOK(suffix, version, cudaLaunchKernelExC, LAUNCH_EX, false)                              \
    LAUNCH_EX_HOOK(suffix, version, cudaLaunchKernelExC_ptsz, LAUNCH_EX_PTSZ, true)                     \
    LAUNCH_HOOK(suffix, version, cudaLaunchCooperativeKernel, COOPERATIVE, false, COOPERATIVE)          \
    LAUNCH_HOOK(suffix, version, cudaLaunchCooperativeKernel_ptsz, COOPERATIVE_PTSZ, true, COOPERATIVE) \
    ENTRY_HOOK(suffix, version, cudaGetDriverEntryPoint, ENTRY)                                         \
    ENTRY_HOOK(suffix, version, cudaGetDriverEntryPoint_ptsz, ENTRY_PTSZ)                               \
    ENTRY_BY_HOOK(suffix, version, cudaGetDriverEntryPointByVersion, ENTRY_BY)                          \
    ENTRY_BY_HOOK(suffix, version, cudaGetDriverEntryPointByVersion_ptsz, ENTRY_BY_PTSZ)

FUSELN_CUDART_NODES(NODE_HOOKS)
