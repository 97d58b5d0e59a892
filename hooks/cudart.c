/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime boundary: what we export in cudart's place, once for each version node (hooks/names.h), and nothing else.
 * Each hook hands what it saw to the registry or the pipeline and then calls the real function of its caller. All are
 * valid before any constructor ran, in any thread. Types are written by hand after driver_types.h and
 * crt/host_runtime.h (CUDA 11 to 13: these signatures did not change).
 */
#include "hooks/real.h"

#include "core/library.h"
#include "core/pairing.h"
#include "core/pipeline.h"
#include "core/record.h"
#include "hooks/dlsym.h"
#include "hooks/launch.h"
#include "hooks/process.h"
#include "hooks/targets/match.h"

#include <errno.h>
#include <string.h>

struct dim3 {
    unsigned x, y, z;
};

enum { CUDA_ERROR_SYMBOL_NOT_FOUND = 500 };

struct launch_config { /* cudaLaunchConfig_t */
    struct dim3 grid, block;
    size_t smem_bytes;
    void *stream;
    const struct fuseln_attribute *attributes;
    unsigned attribute_count;
};

_Static_assert(offsetof(struct launch_config, attributes) == 40, "cudaLaunchConfig_t");

static void register_function(void **fatbin, const char *host_function, const char *device_name)
{
    const int saved_errno = errno;
    struct fuseln_target target;

    if (device_name && fuseln_targets_match(device_name, &target) && fuseln_config_hooks(FUSELN_BOUNDARY_RUNTIME)) {
        fuseln_process_handle_fork();
        target.library = fuseln_library_of(host_function, fuseln_targets_known_build);
        if (target.library)
            fuseln_registry_add(host_function, fatbin, &target);
        else
            fuseln_registry_leave_out();
        fuseln_process_left_out();
    }
    errno = saved_errno;
}

static inline enum fuseln_course run(struct fuseln_launch *launch, void *get_device)
{
    if (!get_device || ((int (*)(int *))get_device)(&launch->runtime_device) != 0)
        launch->runtime_device = -1;
    return fuseln_pipeline_run(launch);
}

/* The arguments of a launch as x86-64 and AArch64 pass them: a dim3 in two registers, of the second only the lower
 * half. Hooks that do not take it apart can jump on with them where they are. */
_Static_assert(sizeof(struct dim3) == 12, "dim3");
/* The last two, which x86-64 passes on the stack, in one struct, which lies where they do (on AArch64 in the same
 * registers). Two arguments GCC moves to registers and back before it jumps; of a struct with a member of three bytes
 * it knows no other place than memory, and leaves it there. */
struct last_arguments {
    char smem_bytes_begin[3], smem_bytes_end[5], stream[8];
};
_Static_assert(sizeof(struct last_arguments) == sizeof(size_t) + sizeof(void *), "two arguments");
#define LAUNCH_PARAMETERS                                                                                      \
    const void *function, uint64_t grid_xy, uint64_t grid_z, uint64_t block_xy, uint64_t block_z, void **args, \
        struct last_arguments last
#define LAUNCH_ARGUMENTS function, grid_xy, grid_z, block_xy, block_z, args, last

typedef int launch_function(LAUNCH_PARAMETERS);
typedef int launch_ex_function(const struct launch_config *config, const void *function, void **args);

/* A launch that is looked at, and what else the original needs. */
struct seen {
    struct fuseln_launch launch;
    const void *function, *caller;
    const struct last_arguments *last;
};

static inline void set_geometry(unsigned ret_dim[3], uint64_t xy, uint64_t z)
{
    memcpy(ret_dim, &xy, sizeof xy);
    ret_dim[2] = (unsigned)z;
}

/* The original, watched if it is to be. Kept out of line, with all it needs in memory: what is replaced does not pay.
 */
static __attribute__((noinline)) int launch_original(const struct seen *seen, enum fuseln_course course,
                                                     enum fuseln_node node, enum fuseln_real which)
{
    launch_function *real = (launch_function *)fuseln_real(node, which, seen->caller);
    uint64_t grid_xy, block_xy;
    memcpy(&grid_xy, seen->launch.grid, sizeof grid_xy);
    memcpy(&block_xy, seen->launch.block, sizeof block_xy);
    const int rc = real ? real(seen->function, grid_xy, seen->launch.grid[2], block_xy, seen->launch.block[2],
                               seen->launch.args, *seen->last)
                        : CUDA_ERROR_SYMBOL_NOT_FOUND;
    if (rc == 0 && course == FUSELN_WATCHED)
        fuseln_pipeline_after(&seen->launch);
    return rc;
}

/* A launch that may be ours, or must be known to what is pending, or is a thread's first. The caller of the hook, which
 * jumped here with the arguments where they were, stands in the thread's record. */
static inline __attribute__((always_inline)) int look_closer(enum fuseln_node node, enum fuseln_real which, bool ptsz,
                                                             enum fuseln_verdict declined, const void *function,
                                                             uint64_t grid_xy, uint64_t grid_z, uint64_t block_xy,
                                                             uint64_t block_z, void **args,
                                                             const struct last_arguments *last)
{
    void *stream;
    struct seen seen; /* filled member by member: first cleared, it would cost twice */

    set_geometry(seen.launch.grid, grid_xy, grid_z);
    set_geometry(seen.launch.block, block_xy, block_z);
    memcpy(&stream, last->stream, sizeof stream);
    seen.launch.stream = ptsz ? per_thread(stream) : stream;
    seen.launch.args = args;
    seen.launch.declined = declined;
    seen.launch.boundary = FUSELN_BOUNDARY_RUNTIME;
    seen.function = function;
    seen.caller = fuseln_thread_counter.caller;
    seen.last = last;
    __asm__("" ::"r"(&seen) : "memory"); /* stored by now: else they wait in registers, which are saved for it */
    seen.launch.target = fuseln_registry_find(function);
    fuseln_process_launch(FUSELN_BOUNDARY_RUNTIME);
    if (__builtin_expect(!seen.launch.target, 0)) {
        fuseln_pairing_foreign(seen.launch.stream);
        return launch_original(&seen, FUSELN_ORIGINAL, node, which);
    }
    const enum fuseln_course course = run(&seen.launch, fuseln_real(node, FUSELN_REAL_GET_DEVICE, seen.caller));
    return __builtin_expect(course == FUSELN_REPLACED, 1) ? 0 : launch_original(&seen, course, node, which);
}

static __attribute__((noinline)) int launch_ex(enum fuseln_node node, enum fuseln_real which,
                                               const struct launch_config *config, const void *function, void **args,
                                               const void *caller)
{
    const struct fuseln_target *target = fuseln_registry_find(function);
    launch_ex_function *real = (launch_ex_function *)fuseln_real(node, which, caller);

    fuseln_process_launch(FUSELN_BOUNDARY_RUNTIME);
    if (__builtin_expect(target != NULL, 0) && config) {
        struct fuseln_launch launch = {
            .target = target,
            .stream = which == FUSELN_REAL_LAUNCH_EX_PTSZ ? per_thread(config->stream) : config->stream,
            .args = args,
            .declined = check_attributes(config->attributes, config->attribute_count),
            .boundary = FUSELN_BOUNDARY_RUNTIME,
        };
        memcpy(launch.grid, &config->grid, sizeof(launch.grid));
        memcpy(launch.block, &config->block, sizeof(launch.block));
        const enum fuseln_course course = run(&launch, fuseln_real(node, FUSELN_REAL_GET_DEVICE, caller));
        if (course == FUSELN_REPLACED)
            return 0;
        if (course == FUSELN_WATCHED && real) {
            const int rc = real(config, function, args);
            if (rc == 0)
                fuseln_pipeline_after(&launch);
            return rc;
        }
    } else if (config) {
        fuseln_pairing_foreign(which == FUSELN_REAL_LAUNCH_EX_PTSZ ? per_thread(config->stream) : config->stream);
    }
    return real ? real(config, function, args) : CUDA_ERROR_SYMBOL_NOT_FOUND;
}

static void unregister(enum fuseln_node node, void **fatbin, const void *caller)
{
    void (*real)(void **) = (void (*)(void **))fuseln_real(node, FUSELN_REAL_UNREGISTER, caller);

    fuseln_pairing_notice();
    if (fuseln_registry_forget(fatbin))
        fuseln_library_forget(caller);
    fuseln_real_forget(caller);
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

/* A program that asks the runtime for the driver's functions calls them itself. */
static int entry_point(int rc, const char *name, void **ret_function, const void *caller)
{
    if (rc == 0 && name && ret_function && *ret_function)
        *ret_function = fuseln_driver_given(name, *ret_function, caller);
    return rc;
}

/* name@node, and no other name for it in the dynamic symbol table. */
#define EXPORT(suffix, name, version)                                               \
    __asm__(".symver fuseln_" #suffix "_" #name ", " #name "@" version ", remove"); \
    __attribute__((visibility("default")))

#define LAUNCH_HOOK(suffix, version, name, id, ptsz, verdict)                                                         \
    static __attribute__((noinline)) int seen_##suffix##_##name(LAUNCH_PARAMETERS)                                    \
    {                                                                                                                 \
        return look_closer(FUSELN_NODE_##suffix, FUSELN_REAL_##id, ptsz, FUSELN_VERDICT_##verdict, function, grid_xy, \
                           grid_z, block_xy, block_z, args, &last);                                                   \
    }                                                                                                                 \
    int fuseln_##suffix##_##name(LAUNCH_PARAMETERS);                                                                  \
    EXPORT(suffix, name, version)                                                                                     \
    int fuseln_##suffix##_##name(LAUNCH_PARAMETERS)                                                                   \
    {                                                                                                                 \
        launch_function *real;                                                                                        \
        if (passes(function) &&                                                                                       \
            (real = (launch_function *)fuseln_real_known(FUSELN_NODE_##suffix, FUSELN_REAL_##id))) {                  \
            fuseln_record_launch_joined(FUSELN_BOUNDARY_RUNTIME);                                                     \
            return real(LAUNCH_ARGUMENTS);                                                                            \
        }                                                                                                             \
        fuseln_thread_counter.caller = __builtin_return_address(0);                                                   \
        return seen_##suffix##_##name(LAUNCH_ARGUMENTS);                                                              \
    }

#define LAUNCH_EX_HOOK(suffix, version, name, id)                                                                      \
    int fuseln_##suffix##_##name(const struct launch_config *config, const void *function, void **args);               \
    EXPORT(suffix, name, version)                                                                                      \
    int fuseln_##suffix##_##name(const struct launch_config *config, const void *function, void **args)                \
    {                                                                                                                  \
        launch_ex_function *real;                                                                                      \
        if (passes(function) &&                                                                                        \
            (real = (launch_ex_function *)fuseln_real_known(FUSELN_NODE_##suffix, FUSELN_REAL_##id))) {                \
            fuseln_record_launch_joined(FUSELN_BOUNDARY_RUNTIME);                                                      \
            return real(config, function, args);                                                                       \
        }                                                                                                              \
        return launch_ex(FUSELN_NODE_##suffix, FUSELN_REAL_##id, config, function, args, __builtin_return_address(0)); \
    }

#define REGISTER_HOOKS(suffix, version)                                                                                \
    void fuseln_##suffix##___cudaRegisterFunction(void **fatbin, const char *host_function, char *device_function,     \
                                                  const char *device_name, int thread_limit, void *tid, void *bid,     \
                                                  void *block, void *grid, int *warp_size);                            \
    EXPORT(suffix, __cudaRegisterFunction, version)                                                                    \
    void fuseln_##suffix##___cudaRegisterFunction(void **fatbin, const char *host_function, char *device_function,     \
                                                  const char *device_name, int thread_limit, void *tid, void *bid,     \
                                                  void *block, void *grid, int *warp_size)                             \
    {                                                                                                                  \
        void (*real)(void **, const char *, char *, const char *, int, void *, void *, void *, void *, int *) =        \
            (void (*)(void **, const char *, char *, const char *, int, void *, void *, void *, void *,                \
                      int *))fuseln_real(FUSELN_NODE_##suffix, FUSELN_REAL_REGISTER, __builtin_return_address(0));     \
        register_function(fatbin, host_function, device_name);                                                         \
        if (real)                                                                                                      \
            real(fatbin, host_function, device_function, device_name, thread_limit, tid, bid, block, grid, warp_size); \
    }                                                                                                                  \
    void fuseln_##suffix##___cudaUnregisterFatBinary(void **fatbin);                                                   \
    EXPORT(suffix, __cudaUnregisterFatBinary, version)                                                                 \
    void fuseln_##suffix##___cudaUnregisterFatBinary(void **fatbin)                                                    \
    {                                                                                                                  \
        unregister(FUSELN_NODE_##suffix, fatbin, __builtin_return_address(0));                                         \
    }                                                                                                                  \
    int fuseln_##suffix##___cudaGetKernel(void **ret_kernel, const void *function);                                    \
    EXPORT(suffix, __cudaGetKernel, version)                                                                           \
    int fuseln_##suffix##___cudaGetKernel(void **ret_kernel, const void *function)                                     \
    {                                                                                                                  \
        return get_kernel(FUSELN_NODE_##suffix, ret_kernel, function, __builtin_return_address(0));                    \
    }

/* CUDA 11's has no last parameter; it does not read what it does not know of. */
#define ENTRY_HOOK(suffix, version, name, id)                                                                          \
    int fuseln_##suffix##_##name(const char *symbol, void **ret_function, unsigned long long flags, void *ret_result); \
    EXPORT(suffix, name, version)                                                                                      \
    int fuseln_##suffix##_##name(const char *symbol, void **ret_function, unsigned long long flags, void *ret_result)  \
    {                                                                                                                  \
        int (*real)(const char *, void **, unsigned long long, void *) =                                               \
            (int (*)(const char *, void **, unsigned long long, void *))fuseln_real(                                   \
                FUSELN_NODE_##suffix, FUSELN_REAL_##id, __builtin_return_address(0));                                  \
        const int rc = real ? real(symbol, ret_function, flags, ret_result) : CUDA_ERROR_SYMBOL_NOT_FOUND;             \
        return entry_point(rc, symbol, ret_function, __builtin_return_address(0));                                     \
    }

#define ENTRY_BY_HOOK(suffix, version, name, id)                                                              \
    int fuseln_##suffix##_##name(const char *symbol, void **ret_function, unsigned cuda_version,              \
                                 unsigned long long flags, void *ret_result);                                 \
    EXPORT(suffix, name, version)                                                                             \
    int fuseln_##suffix##_##name(const char *symbol, void **ret_function, unsigned cuda_version,              \
                                 unsigned long long flags, void *ret_result)                                  \
    {                                                                                                         \
        int (*real)(const char *, void **, unsigned, unsigned long long, void *) =                            \
            (int (*)(const char *, void **, unsigned, unsigned long long, void *))fuseln_real(                \
                FUSELN_NODE_##suffix, FUSELN_REAL_##id, __builtin_return_address(0));                         \
        const int rc =                                                                                        \
            real ? real(symbol, ret_function, cuda_version, flags, ret_result) : CUDA_ERROR_SYMBOL_NOT_FOUND; \
        return entry_point(rc, symbol, ret_function, __builtin_return_address(0));                            \
    }

#define NODE_HOOKS(suffix, version)                                                                     \
    REGISTER_HOOKS(suffix, version)                                                                     \
    LAUNCH_HOOK(suffix, version, cudaLaunchKernel, LAUNCH, false, OK)                                   \
    LAUNCH_HOOK(suffix, version, cudaLaunchKernel_ptsz, LAUNCH_PTSZ, true, OK)                          \
    LAUNCH_HOOK(suffix, version, __cudaLaunchKernel, LAUNCH13, false, OK)                               \
    LAUNCH_HOOK(suffix, version, __cudaLaunchKernel_ptsz, LAUNCH13_PTSZ, true, OK)                      \
    LAUNCH_EX_HOOK(suffix, version, cudaLaunchKernelExC, LAUNCH_EX)                                     \
    LAUNCH_EX_HOOK(suffix, version, cudaLaunchKernelExC_ptsz, LAUNCH_EX_PTSZ)                           \
    LAUNCH_HOOK(suffix, version, cudaLaunchCooperativeKernel, COOPERATIVE, false, COOPERATIVE)          \
    LAUNCH_HOOK(suffix, version, cudaLaunchCooperativeKernel_ptsz, COOPERATIVE_PTSZ, true, COOPERATIVE) \
    ENTRY_HOOK(suffix, version, cudaGetDriverEntryPoint, ENTRY)                                         \
    ENTRY_HOOK(suffix, version, cudaGetDriverEntryPoint_ptsz, ENTRY_PTSZ)                               \
    ENTRY_BY_HOOK(suffix, version, cudaGetDriverEntryPointByVersion, ENTRY_BY)                          \
    ENTRY_BY_HOOK(suffix, version, cudaGetDriverEntryPointByVersion_ptsz, ENTRY_BY_PTSZ)

FUSELN_CUDART_NODES(NODE_HOOKS)
