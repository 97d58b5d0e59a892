/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver boundary: launches and the look-ups that give a kernel its handle, as programs make them that carry their
 * own CUDA runtime or use the driver API. Each function stands here twice: exported, for programs that link to libcuda,
 * with the real function of the caller's scope behind it (real.h); and private, given out by dlsym and cuGetProcAddress
 * in place of libcuda's own (given.h), with that one behind it (behind.h). Types are written by hand after cuda.h
 * (these signatures did not change from CUDA 11 to 13).
 */
#include "core/pairing.h"
#include "hooks/behind.h"
#include "hooks/given.h"
#include "hooks/handles.h"
#include "hooks/launch.h"
#include "hooks/real.h"

#include <string.h>

enum { NOT_FOUND = 500 /* CUDA_ERROR_NOT_FOUND */ };

#define GRID_PARAMETERS                                                                                    \
    void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, \
        unsigned block_z, unsigned smem_bytes, void *stream, void **args
#define GRID function, grid_x, grid_y, grid_z, block_x, block_y, block_z, smem_bytes, stream, args

typedef int launch_function(GRID_PARAMETERS, void **extra);
typedef int cooperative_function(GRID_PARAMETERS);
typedef int launch_ex_function(const struct fuseln_launch_config *config, void *function, void **args, void **extra);

/* Behind an exported hook. */
static void *real_of(enum fuseln_real which, const void *caller)
{
    void *function = fuseln_real(FUSELN_NODE_DRIVER, which, caller);
    return function ? function : fuseln_behind_get(which - FUSELN_REAL_CU_FIRST);
}

/* ---- launches ---- */

static int original(const struct fuseln_hooked *hooked)
{
    const unsigned *grid = hooked->launch.grid, *block = hooked->launch.block;
    return ((launch_function *)hooked->real)((void *)(uintptr_t)hooked->function, grid[0], grid[1], grid[2], block[0],
                                             block[1], block[2], (unsigned)hooked->smem_bytes, hooked->stream,
                                             hooked->args, hooked->extra);
}

static int original_cooperative(const struct fuseln_hooked *hooked)
{
    const unsigned *grid = hooked->launch.grid, *block = hooked->launch.block;
    return ((cooperative_function *)hooked->real)((void *)(uintptr_t)hooked->function, grid[0], grid[1], grid[2],
                                                  block[0], block[1], block[2], (unsigned)hooked->smem_bytes,
                                                  hooked->stream, hooked->args);
}

static int original_ex(const struct fuseln_hooked *hooked)
{
    return ((launch_ex_function *)hooked->real)(hooked->config, (void *)(uintptr_t)hooked->function, hooked->args,
                                                hooked->extra);
}

/* ---- look-ups ---- */

typedef int get_function(void **ret_handle, void *owner, const char *name);

/* found lacks its handle. */
static int look_up(get_function *real, void **ret_handle, struct fuseln_found found)
{
    const int rc = real(ret_handle, found.module, found.name);
    if (rc != 0 || !ret_handle)
        return rc;
    found.handle = *ret_handle;
    fuseln_handles_learn(&found);
    return rc;
}

/* found lacks handles and names. The program has room for `room` handles; those that the module lacks stay unset. */
static int enumerate(int (*real)(void **, unsigned, void *), void **ret_handles, unsigned room,
                     struct fuseln_found found)
{
    const int rc = real(ret_handles, room, found.module);
    fuseln_behind_complete();
    fuseln_name_function *const name_get = atomic_load(&fuseln_behind_name[found.is_kernel]);
    fuseln_count_function *const count_get = atomic_load(&fuseln_behind_count[found.is_kernel]);
    unsigned count;
    if (rc != 0 || !ret_handles || !name_get || !count_get || count_get(&count, found.module) != 0)
        return rc;
    for (unsigned i = 0; i < count && i < room; i++) {
        found.handle = ret_handles[i];
        if (found.handle && name_get(&found.name, ret_handles[i]) == 0)
            fuseln_handles_learn(&found);
    }
    return rc;
}

static int get_kernel_function(int (*real)(void **, void *), void **ret_function, void *kernel)
{
    const int rc = real(ret_function, kernel);
    if (rc == 0 && ret_function)
        fuseln_handles_learn_function(*ret_function, kernel);
    return rc;
}

static int get_module(int (*real)(void **, void *), void **ret_module, void *library)
{
    const int rc = real(ret_module, library);
    if (rc == 0 && ret_module)
        fuseln_handles_add_module(*ret_module, library);
    return rc;
}

static int unload(int (*real)(void *), void *owner)
{
    fuseln_pairing_notice();
    fuseln_handles_forget(owner);
    return real(owner);
}

/* The real one was asked first: what it does not know stays unknown. */
static int give(int rc, const char *name, void **ret_function, const void *caller)
{
    if (rc == 0 && name && strcmp(name, "cuGetExportTable") == 0)
        fuseln_handles_add_runtime(caller);
    return fuseln_given_after(rc, name, ret_function, caller);
}

/* ---- the functions themselves ---- */

#define CALLER     __builtin_return_address(0)
#define BEHIND(id) atomic_load_explicit(&fuseln_behind[FUSELN_REAL_##id - FUSELN_REAL_CU_FIRST], memory_order_acquire)

/* Exported: behind it stands what the caller would have reached. */
#define EXPORTED_HOOK(id, name, parameters, call)              \
    int name parameters;                                       \
    __attribute__((visibility("default"))) int name parameters \
    {                                                          \
        void *const real = real_of(FUSELN_REAL_##id, CALLER);  \
        return real ? call : NOT_FOUND;                        \
    }

#define HOOK(id, name, parameters, call)      \
    EXPORTED_HOOK(id, name, parameters, call) \
    static int given_##name parameters        \
    {                                         \
        void *const real = BEHIND(id);        \
        return call;                          \
    }

#define LAUNCH_HOOK(id, name, parameters, arguments, call)                                       \
    EXPORTED_HOOK(id, name, parameters, call)                                                    \
    static int given_##name parameters                                                           \
    {                                                                                            \
        int(*const real) parameters = (int(*) parameters)BEHIND(id);                             \
        if (fuseln_thread_counter.launching != function && fuseln_launch_is_foreign(function)) { \
            fuseln_record_launch(FUSELN_BOUNDARY_DRIVER);                                        \
            return real arguments;                                                               \
        }                                                                                        \
        return call;                                                                             \
    }

#define LAUNCH(original_of, ptsz, verdict, extra_of)             \
    fuseln_launch(&(struct fuseln_hooked){                       \
        .launch = {.grid = {grid_x, grid_y, grid_z},             \
                   .block = {block_x, block_y, block_z},         \
                   .stream = fuseln_launch_stream(stream, ptsz), \
                   .args = args,                                 \
                   .declined = FUSELN_VERDICT_##verdict,         \
                   .boundary = FUSELN_BOUNDARY_DRIVER},          \
        .function = function,                                    \
        .args = args,                                            \
        .special = (extra_of) != NULL,                           \
        .extra = extra_of,                                       \
        .original = original_of,                                 \
        .real = (void *)real,                                    \
        .smem_bytes = smem_bytes,                                \
        .stream = stream,                                        \
    })
#define LAUNCH_EX(ptsz)                                                                                    \
    fuseln_launch_ex(&(struct fuseln_hooked){.launch = {.args = args, .boundary = FUSELN_BOUNDARY_DRIVER}, \
                                             .function = function,                                         \
                                             .args = args,                                                 \
                                             .extra = extra,                                               \
                                             .original = original_ex,                                      \
                                             .real = (void *)real},                                        \
                     config, ptsz)

LAUNCH_HOOK(CU_LAUNCH, cuLaunchKernel, (GRID_PARAMETERS, void **extra), (GRID, extra),
            LAUNCH(original, false, OK, extra))
LAUNCH_HOOK(CU_LAUNCH_PTSZ, cuLaunchKernel_ptsz, (GRID_PARAMETERS, void **extra), (GRID, extra),
            LAUNCH(original, true, OK, extra))
LAUNCH_HOOK(CU_COOPERATIVE, cuLaunchCooperativeKernel, (GRID_PARAMETERS), (GRID),
            LAUNCH(original_cooperative, false, COOPERATIVE, NULL))
LAUNCH_HOOK(CU_COOPERATIVE_PTSZ, cuLaunchCooperativeKernel_ptsz, (GRID_PARAMETERS), (GRID),
            LAUNCH(original_cooperative, true, COOPERATIVE, NULL))
LAUNCH_HOOK(CU_LAUNCH_EX, cuLaunchKernelEx,
            (const struct fuseln_launch_config *config, void *function, void **args, void **extra),
            (config, function, args, extra), LAUNCH_EX(false))
LAUNCH_HOOK(CU_LAUNCH_EX_PTSZ, cuLaunchKernelEx_ptsz,
            (const struct fuseln_launch_config *config, void *function, void **args, void **extra),
            (config, function, args, extra), LAUNCH_EX(true))

HOOK(CU_MODULE_FUNCTION, cuModuleGetFunction, (void **ret_function, void *module, const char *name),
     look_up((get_function *)real, ret_function,
             (struct fuseln_found){.module = module, .name = name, .caller = CALLER}))
HOOK(CU_LIBRARY_KERNEL, cuLibraryGetKernel, (void **ret_kernel, void *library, const char *name),
     look_up((get_function *)real, ret_kernel,
             (struct fuseln_found){.is_kernel = true, .module = library, .name = name, .caller = CALLER}))
HOOK(CU_MODULE_FUNCTIONS, cuModuleEnumerateFunctions, (void **ret_functions, unsigned count, void *module),
     enumerate(real, ret_functions, count, (struct fuseln_found){.module = module, .caller = CALLER}))
HOOK(CU_LIBRARY_KERNELS, cuLibraryEnumerateKernels, (void **ret_kernels, unsigned count, void *library),
     enumerate(real, ret_kernels, count, (struct fuseln_found){.is_kernel = true, .module = library, .caller = CALLER}))
HOOK(CU_KERNEL_FUNCTION, cuKernelGetFunction, (void **ret_function, void *kernel),
     get_kernel_function(real, ret_function, kernel))
HOOK(CU_LIBRARY_MODULE, cuLibraryGetModule, (void **ret_module, void *library), get_module(real, ret_module, library))
HOOK(CU_MODULE_UNLOAD, cuModuleUnload, (void *module), unload(real, module))
HOOK(CU_LIBRARY_UNLOAD, cuLibraryUnload, (void *library), unload(real, library))

typedef int get_proc_function(const char *name, void **ret_function, int version, uint64_t flags);
typedef int get_proc_v2_function(const char *name, void **ret_function, int version, uint64_t flags, int *ret_status);

HOOK(CU_GET_PROC, cuGetProcAddress, (const char *name, void **ret_function, int version, uint64_t flags),
     give(((get_proc_function *)real)(name, ret_function, version, flags), name, ret_function, CALLER))
HOOK(CU_GET_PROC_V2, cuGetProcAddress_v2,
     (const char *name, void **ret_function, int version, uint64_t flags, int *ret_status),
     give(((get_proc_v2_function *)real)(name, ret_function, version, flags, ret_status), name, ret_function, CALLER))
HOOK(CU_GET_PROC_V2_PTSZ, cuGetProcAddress_v2_ptsz,
     (const char *name, void **ret_function, int version, uint64_t flags, int *ret_status),
     give(((get_proc_v2_function *)real)(name, ret_function, version, flags, ret_status), name, ret_function, CALLER))

fuseln_driver_function *const fuseln_driver_functions[FUSELN_DRIVER_HOOKS] = {
#define X(id, name) (fuseln_driver_function *)given_##name,
    FUSELN_DRIVER_EXPORTS(X)
#undef X
};
