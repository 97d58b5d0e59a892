/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver boundary: launches and the look-ups that give a kernel its handle, as programs make them that carry their
 * own CUDA runtime or use the driver API. Each function stands here twice: exported, for programs that link to libcuda,
 * with the real function of the caller's scope behind it (real.h); and private, given out by dlsym and cuGetProcAddress
 * in place of libcuda's own, with that one behind it. Everything else that is asked for is passed on untouched, names
 * that nobody knows yet too. Types are written by hand after cuda.h (these signatures did not change from CUDA 11 to
 * 13).
 */
#include "hooks/dlsym.h"

#include "base/config.h"
#include "core/library.h"
#include "core/pairing.h"
#include "core/pipeline.h"
#include "core/record.h"
#include "hooks/launch.h"
#include "hooks/notice.h"
#include "hooks/process.h"
#include "hooks/real.h"
#include "hooks/scope.h"
#include "hooks/targets/match.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

enum { NOT_FOUND = 500 /* CUDA_ERROR_NOT_FOUND */ };

struct launch_config { /* CUlaunchConfig */
    unsigned grid[3], block[3], smem_bytes;
    void *stream;
    const struct fuseln_attribute *attributes;
    unsigned attribute_count;
};
_Static_assert(offsetof(struct launch_config, stream) == 32, "CUlaunchConfig");

typedef int launch_function(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                            unsigned block_y, unsigned block_z, unsigned smem_bytes, void *stream, void **args,
                            void **extra);
typedef int launch_ex_function(const struct launch_config *config, void *function, void **args, void **extra);
typedef int cooperative_function(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                                 unsigned block_y, unsigned block_z, unsigned smem_bytes, void *stream, void **args);

/* libcuda's own functions, behind what was given out in their place; NULL while none was. */
static _Atomic(void *) given_real[FUSELN_REAL_COUNT];
/* cuKernelGetName and cuFuncGetName: int (const char **, handle). */
typedef int name_function(const char **ret_name, void *handle);
static _Atomic(name_function *) kernel_name, function_name;

/* Behind an exported hook. */
static inline void *real_of(enum fuseln_real which, const void *caller)
{
    void *function = fuseln_real(FUSELN_NODE_DRIVER, which, caller);
    return __builtin_expect(function != NULL, 1) ? function : fuseln_driver_own(&given_real[which]);
}

/* ---- launches ---- */

/* Arguments packed in one buffer (CU_LAUNCH_PARAM_*): each at the next multiple of its size, as in a C struct. */
static bool unpack(const struct fuseln_layout *layout, void **extra, void **ret_args)
{
    static const unsigned char sizes[] = {
        [FUSELN_ARG_PTR] = 8, [FUSELN_ARG_I32] = 4, [FUSELN_ARG_I64] = 8, [FUSELN_ARG_F32] = 4, [FUSELN_ARG_F64] = 8};
    enum { END, BUFFER, SIZE };
    char *buffer = NULL;
    size_t bytes = 0, at = 0;

    for (; (uintptr_t)extra[0] != END; extra += 2) {
        if ((uintptr_t)extra[0] == BUFFER)
            buffer = extra[1];
        else if ((uintptr_t)extra[0] == SIZE && extra[1])
            bytes = *(const size_t *)extra[1];
        else
            return false;
    }
    for (unsigned i = 0; i < layout->count; i++) {
        const size_t size = sizes[layout->type[i]];
        at = (at + size - 1) / size * size;
        ret_args[i] = buffer + at;
        at += size;
    }
    return buffer && at <= bytes;
}

/* Kept out of line: the hooks stay short for the launches that are not ours. after: the original was launched, as the
 * pipeline wanted. */
static __attribute__((noinline)) enum fuseln_course run(const struct fuseln_target *target,
                                                        const struct launch_config *config, void *stream, void **args,
                                                        void **extra, enum fuseln_verdict declined, bool after)
{
    void *unpacked[FUSELN_ARGS_MAX];
    struct fuseln_launch launch = {.target = target,
                                   .stream = stream,
                                   .args = args,
                                   .declined = declined,
                                   .runtime_device = -1,
                                   .boundary = FUSELN_BOUNDARY_DRIVER};

    memcpy(launch.grid, config->grid, sizeof launch.grid);
    memcpy(launch.block, config->block, sizeof launch.block);
    if (extra && (args || !unpack(&target->layout, extra, unpacked)))
        launch.declined = FUSELN_VERDICT_GEOMETRY; /* the driver knows what it is; we do not */
    else if (extra)
        launch.args = unpacked;
    if (!after)
        return fuseln_pipeline_run(&launch);
    fuseln_pipeline_after(&launch);
    return FUSELN_ORIGINAL;
}

/* Is this a launch of the host's own, not what came out of another hook of ours? It is counted then. */
static inline bool is_outermost(void)
{
    if (__builtin_expect(fuseln_thread_counter.nested, 0))
        return false;
    fuseln_process_launch(FUSELN_BOUNDARY_DRIVER);
    return true;
}

/* A program that is linked to libcuda may have reached somebody's stub, which goes on to what we gave out. */
#define PASS_ON(linked, call)                             \
    do {                                                  \
        const bool before = fuseln_thread_counter.nested; \
        if (!(linked))                                    \
            return call;                                  \
        fuseln_thread_counter.nested = true;              \
        const int rc = call;                              \
        fuseln_thread_counter.nested = before;            \
        return rc;                                        \
    } while (0)

/* The original, watched: `after` follows it if it was launched. */
#define WATCH(call, after)                                \
    do {                                                  \
        const bool before = fuseln_thread_counter.nested; \
        fuseln_thread_counter.nested = true;              \
        const int rc = call;                              \
        fuseln_thread_counter.nested = before;            \
        if (rc == 0)                                      \
            after;                                        \
        return rc;                                        \
    } while (0)

#define PER_THREAD(ptsz, stream) ((ptsz) ? per_thread(stream) : (stream))

static __attribute__((noinline)) int launch_seen(launch_function *real, bool linked, bool ptsz, void *function,
                                                 unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                                                 unsigned block_y, unsigned block_z, unsigned smem_bytes, void *stream,
                                                 void **args, void **extra)
{
    const struct fuseln_target *target = is_outermost() ? fuseln_registry_find(function) : NULL;

    if (__builtin_expect(target != NULL, 0)) {
        const struct launch_config config = {{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, 0, NULL, NULL, 0};
        void *const effective = PER_THREAD(ptsz, stream);
        const enum fuseln_course course = run(target, &config, effective, args, extra, FUSELN_VERDICT_OK, false);
        if (course == FUSELN_REPLACED)
            return 0;
        if (course == FUSELN_WATCHED)
            WATCH(real(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, smem_bytes, stream, args, extra),
                  run(target, &config, effective, args, extra, FUSELN_VERDICT_OK, true));
    } else {
        fuseln_pairing_foreign(PER_THREAD(ptsz, stream));
    }
    PASS_ON(linked, real(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, smem_bytes, stream, args, extra));
}

static inline __attribute__((always_inline)) int launch(launch_function *real, bool linked, bool ptsz, void *function,
                                                        unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                                        unsigned block_x, unsigned block_y, unsigned block_z,
                                                        unsigned smem_bytes, void *stream, void **args, void **extra)
{
    if (!linked && !fuseln_thread_counter.nested && passes(function)) {
        fuseln_record_launch_joined(FUSELN_BOUNDARY_DRIVER);
        return real(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, smem_bytes, stream, args, extra);
    }
    return launch_seen(real, linked, ptsz, function, grid_x, grid_y, grid_z, block_x, block_y, block_z, smem_bytes,
                       stream, args, extra);
}

static __attribute__((noinline)) int launch_ex_seen(launch_ex_function *real, bool linked, bool ptsz,
                                                    const struct launch_config *config, void *function, void **args,
                                                    void **extra)
{
    const struct fuseln_target *target = is_outermost() ? fuseln_registry_find(function) : NULL;

    if (__builtin_expect(target != NULL, 0) && config) {
        void *const effective = PER_THREAD(ptsz, config->stream);
        const enum fuseln_verdict declined = check_attributes(config->attributes, config->attribute_count);
        const enum fuseln_course course = run(target, config, effective, args, extra, declined, false);
        if (course == FUSELN_REPLACED)
            return 0;
        if (course == FUSELN_WATCHED)
            WATCH(real(config, function, args, extra), run(target, config, effective, args, extra, declined, true));
    } else if (config) {
        fuseln_pairing_foreign(PER_THREAD(ptsz, config->stream));
    }
    PASS_ON(linked, real(config, function, args, extra));
}

static inline __attribute__((always_inline)) int launch_ex(launch_ex_function *real, bool linked, bool ptsz,
                                                           const struct launch_config *config, void *function,
                                                           void **args, void **extra)
{
    if (!linked && !fuseln_thread_counter.nested && passes(function)) {
        fuseln_record_launch_joined(FUSELN_BOUNDARY_DRIVER);
        return real(config, function, args, extra);
    }
    return launch_ex_seen(real, linked, ptsz, config, function, args, extra);
}

static inline __attribute__((always_inline)) int launch_cooperative(cooperative_function *real, bool linked, bool ptsz,
                                                                    void *function, unsigned grid_x, unsigned grid_y,
                                                                    unsigned grid_z, unsigned block_x, unsigned block_y,
                                                                    unsigned block_z, unsigned smem_bytes, void *stream,
                                                                    void **args)
{
    const struct fuseln_target *target = is_outermost() ? fuseln_registry_find(function) : NULL;

    if (__builtin_expect(target != NULL, 0)) {
        const struct launch_config config = {{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, 0, NULL, NULL, 0};
        run(target, &config, PER_THREAD(ptsz, stream), args, NULL, FUSELN_VERDICT_COOPERATIVE, false);
    } else {
        fuseln_pairing_foreign(PER_THREAD(ptsz, stream));
    }
    PASS_ON(linked, real(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, smem_bytes, stream, args));
}

/* ---- which handle is which kernel ---- */

/* Modules that belong to a CUlibrary, and are unloaded with it. Where the table is full a module stands for itself, and
 * is forgotten when there is no room (registry.h). */
static struct {
    _Atomic(void *) module, library;
} library_modules[1024];
static atomic_size_t library_module_count; /* places ever taken */

static void *owner_of(void *module)
{
    const size_t count = atomic_load(&library_module_count);
    for (size_t i = 0; i < count; i++) {
        void *library = atomic_load(&library_modules[i].library);
        if (library && atomic_load(&library_modules[i].module) == module)
            return library;
    }
    return module;
}

static void add_module(void *module, void *library)
{
    if (owner_of(module) == library)
        return;
    for (size_t i = 0; i < sizeof library_modules / sizeof library_modules[0]; i++) {
        void *none = NULL;
        if (!atomic_compare_exchange_strong(&library_modules[i].module, &none, module))
            continue;
        atomic_store(&library_modules[i].library, library);
        for (size_t count = atomic_load(&library_module_count); count <= i;)
            atomic_compare_exchange_weak(&library_module_count, &count, i + 1);
        return;
    }
}

/* Before the driver unloads it: its handles may be somebody else's at once. */
static void forget_owner(void *owner)
{
    fuseln_registry_forget(owner);
    const size_t count = atomic_load(&library_module_count);
    for (size_t i = 0; i < count; i++) {
        if (atomic_load(&library_modules[i].library) != owner)
            continue;
        atomic_store(&library_modules[i].library, NULL);
        atomic_store(&library_modules[i].module, NULL);
    }
}

/* Libraries with a CUDA runtime inside: it asks for the driver's private tables, as nobody else does. */
static struct {
    _Atomic uintptr_t begin, end;
} runtimes[256];

static bool has_runtime(const void *address)
{
    for (size_t i = 0; i < sizeof runtimes / sizeof runtimes[0]; i++)
        if ((uintptr_t)address >= atomic_load(&runtimes[i].begin) && (uintptr_t)address < atomic_load(&runtimes[i].end))
            return true;
    return false;
}

static void add_runtime(const void *address)
{
    uintptr_t begin, end;
    if (has_runtime(address) || !fuseln_library_range(address, &begin, &end))
        return;
    for (size_t i = 0; i < sizeof runtimes / sizeof runtimes[0]; i++) {
        uintptr_t none = 0;
        if (!atomic_compare_exchange_strong(&runtimes[i].begin, &none, begin))
            continue;
        atomic_store(&runtimes[i].end, end);
        return;
    }
}

/* The driver just gave out this handle for the kernel of this name. */
static void learn(const void *handle, void *owner, const char *name, const void *caller)
{
    const int saved_errno = errno;
    struct fuseln_target target;
    bool known = name && fuseln_targets_match(name, &target) && fuseln_config_hooks(FUSELN_BOUNDARY_DRIVER);

    if (known) {
        fuseln_library_forget(caller); /* no registration tells us when it was unloaded */
        fuseln_process_handle_fork();
        target.library = fuseln_library_of(caller, fuseln_targets_known_build);
        known = target.library != NULL;
        if (!known)
            fuseln_registry_leave_out();
        target.runtime = fuseln_real_is_runtime(caller) ? FUSELN_RUNTIME_SHARED
                         : has_runtime(caller)          ? FUSELN_RUNTIME_STATIC
                                                        : FUSELN_RUNTIME_NONE;
    }
    fuseln_registry_learn(handle, owner, known ? &target : NULL);
    fuseln_process_left_out();
    errno = saved_errno;
}

static int get_function(int (*real)(void **, void *, const char *), void **ret_handle, void *owner, const char *name,
                        const void *caller)
{
    const int rc = real(ret_handle, owner, name);
    if (rc == 0 && ret_handle)
        learn(*ret_handle, owner_of(owner), name, caller);
    return rc;
}

static void index_complete(void);

static int enumerate(int (*real)(void **, unsigned, void *), _Atomic(name_function *) *name_of, void **ret_handles,
                     unsigned count, void *owner, const void *caller)
{
    const int rc = real(ret_handles, count, owner);
    index_complete();
    name_function *const name_get = atomic_load(name_of);
    for (unsigned i = 0; rc == 0 && name_get && ret_handles && i < count; i++) {
        const char *name = NULL;
        if (ret_handles[i] && name_get(&name, ret_handles[i]) == 0)
            learn(ret_handles[i], owner_of(owner), name, caller);
    }
    return rc;
}

static int get_kernel_function(int (*real)(void **, void *), void **ret_function, void *kernel)
{
    const int rc = real(ret_function, kernel);
    if (rc != 0 || !ret_function)
        return rc;
    if (fuseln_registry_find(kernel))
        fuseln_registry_alias(*ret_function, kernel);
    else
        fuseln_registry_learn(*ret_function, NULL, NULL);
    return rc;
}

static int get_module(int (*real)(void **, void *), void **ret_module, void *library)
{
    const int rc = real(ret_module, library);
    if (rc == 0 && ret_module)
        add_module(*ret_module, library);
    return rc;
}

static int unload(int (*real)(void *), void *owner)
{
    fuseln_pairing_notice();
    forget_owner(owner);
    return real(owner);
}

/* ---- the resolver ---- */

/* The real one first: what it does not know stays unknown, and what it gives is replaced for what it is, not for what
 * it was asked for. Asked for itself it gives a function that we hook as well. */
static int get_proc(void *real, const char *name, void **ret_function, int version, uint64_t flags, int *ret_status,
                    bool v2, const void *caller)
{
    const int rc = v2 ? ((int (*)(const char *, void **, int, uint64_t, int *))real)(name, ret_function, version, flags,
                                                                                     ret_status)
                      : ((int (*)(const char *, void **, int, uint64_t))real)(name, ret_function, version, flags);
    if (rc == 0 && name && ret_function && *ret_function)
        *ret_function = fuseln_driver_given(name, *ret_function, caller);
    if (rc == 0 && name && strcmp(name, "cuGetExportTable") == 0)
        add_runtime(caller);
    return rc;
}

/* ---- the functions themselves ---- */

#define CALLER __builtin_return_address(0)

#define HOOK(id, name, parameters, call)                                                              \
    int name parameters;                                                                              \
    __attribute__((visibility("default"))) int name parameters                                        \
    {                                                                                                 \
        void *const real = real_of(FUSELN_REAL_##id, CALLER);                                         \
        const bool linked = true;                                                                     \
        (void)linked;                                                                                 \
        return real ? call : NOT_FOUND;                                                               \
    }                                                                                                 \
    static int given_##name parameters                                                                \
    {                                                                                                 \
        void *const real = atomic_load_explicit(&given_real[FUSELN_REAL_##id], memory_order_acquire); \
        const bool linked = false;                                                                    \
        (void)linked;                                                                                 \
        return call;                                                                                  \
    }

#define GRID_PARAMETERS                                                                                    \
    void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, \
        unsigned block_z, unsigned smem_bytes, void *stream, void **args
#define GRID function, grid_x, grid_y, grid_z, block_x, block_y, block_z, smem_bytes, stream, args

HOOK(CU_LAUNCH, cuLaunchKernel, (GRID_PARAMETERS, void **extra), launch(real, linked, false, GRID, extra))
HOOK(CU_LAUNCH_PTSZ, cuLaunchKernel_ptsz, (GRID_PARAMETERS, void **extra), launch(real, linked, true, GRID, extra))
HOOK(CU_COOPERATIVE, cuLaunchCooperativeKernel, (GRID_PARAMETERS), launch_cooperative(real, linked, false, GRID))
HOOK(CU_COOPERATIVE_PTSZ, cuLaunchCooperativeKernel_ptsz, (GRID_PARAMETERS),
     launch_cooperative(real, linked, true, GRID))
HOOK(CU_LAUNCH_EX, cuLaunchKernelEx, (const struct launch_config *config, void *function, void **args, void **extra),
     launch_ex(real, linked, false, config, function, args, extra))
HOOK(CU_LAUNCH_EX_PTSZ, cuLaunchKernelEx_ptsz,
     (const struct launch_config *config, void *function, void **args, void **extra),
     launch_ex(real, linked, true, config, function, args, extra))

HOOK(CU_MODULE_FUNCTION, cuModuleGetFunction, (void **ret_function, void *module, const char *name),
     get_function(real, ret_function, module, name, CALLER))
HOOK(CU_LIBRARY_KERNEL, cuLibraryGetKernel, (void **ret_kernel, void *library, const char *name),
     get_function(real, ret_kernel, library, name, CALLER))
HOOK(CU_MODULE_FUNCTIONS, cuModuleEnumerateFunctions, (void **ret_functions, unsigned count, void *module),
     enumerate(real, &function_name, ret_functions, count, module, CALLER))
HOOK(CU_LIBRARY_KERNELS, cuLibraryEnumerateKernels, (void **ret_kernels, unsigned count, void *library),
     enumerate(real, &kernel_name, ret_kernels, count, library, CALLER))
HOOK(CU_KERNEL_FUNCTION, cuKernelGetFunction, (void **ret_function, void *kernel),
     get_kernel_function(real, ret_function, kernel))
HOOK(CU_LIBRARY_MODULE, cuLibraryGetModule, (void **ret_module, void *library), get_module(real, ret_module, library))
HOOK(CU_MODULE_UNLOAD, cuModuleUnload, (void *module), unload(real, module))
HOOK(CU_LIBRARY_UNLOAD, cuLibraryUnload, (void *library), unload(real, library))

HOOK(CU_GET_PROC, cuGetProcAddress, (const char *name, void **ret_function, int version, uint64_t flags),
     get_proc(real, name, ret_function, version, flags, NULL, false, CALLER))
HOOK(CU_GET_PROC_V2, cuGetProcAddress_v2,
     (const char *name, void **ret_function, int version, uint64_t flags, int *ret_status),
     get_proc(real, name, ret_function, version, flags, ret_status, true, CALLER))
HOOK(CU_GET_PROC_V2_PTSZ, cuGetProcAddress_v2_ptsz,
     (const char *name, void **ret_function, int version, uint64_t flags, int *ret_status),
     get_proc(real, name, ret_function, version, flags, ret_status, true, CALLER))

/* ---- what is given out ---- */

typedef void hook_function(void);
static const struct {
    const char *name;
    enum fuseln_real id;
    hook_function *function;
} hooks[] = {
#define X(id, name) {#name, FUSELN_REAL_##id, (hook_function *)given_##name},
    FUSELN_DRIVER_EXPORTS(X)
#undef X
};
enum { HOOKS = sizeof hooks / sizeof hooks[0] };

static void *address_of(hook_function *function)
{
    void *address;
    memcpy(&address, &function, sizeof address);
    return address;
}

/* Of all functions that are given out, first those above and then the noticed ones (names.h): */
#ifdef __x86_64__
enum { GIVEN = HOOKS + FUSELN_NOTICE_DRIVER };
#else
enum { GIVEN = HOOKS };
#define fuseln_notice_stub(index)   NULL
#define fuseln_notice_behind(index) NULL
#endif

static void *given(size_t i)
{
    return i < HOOKS ? address_of(hooks[i].function) : fuseln_notice_stub(i - HOOKS);
}

static _Atomic(void *) *behind(size_t i)
{
    return i < HOOKS ? &given_real[hooks[i].id] : fuseln_notice_behind(i - HOOKS);
}

/* libcuda's functions of the names that we hook, through a handle that reaches it. A driver may lack some of them. */
static void index_fill(void *handle)
{
    fuseln_dlsym_function *const real = fuseln_dlsym_real();

    for (size_t i = 0; i < GIVEN; i++) {
        void *function = real(handle, i < HOOKS ? hooks[i].name : fuseln_notice_driver_name(i - HOOKS));
        if (function && fuseln_scope_kind(function).driver)
            atomic_store_explicit(behind(i), function, memory_order_release);
    }
    atomic_store(&kernel_name, (name_function *)real(handle, "cuKernelGetName"));
    atomic_store(&function_name, (name_function *)real(handle, "cuFuncGetName"));
    dlerror(); /* the host must not find there what we did not find */
}

/* For programs that are linked to libcuda: they ask no dlsym. */
static void index_complete(void)
{
    if (atomic_load_explicit(&given_real[FUSELN_REAL_CU_LAUNCH], memory_order_acquire))
        return;
    const int saved_errno = errno;
    void *libcuda = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
    if (libcuda) {
        index_fill(libcuda);
        dlclose(libcuda);
    } else {
        dlerror();
    }
    errno = saved_errno;
}

void *fuseln_driver_own(_Atomic(void *) *behind_one)
{
    index_complete();
    return atomic_load_explicit(behind_one, memory_order_acquire);
}

/* A runtime whose own functions we hook gets libcuda's: its launches have been seen above. So does libcuda itself. */
static bool is_ours_to_give(const void *caller)
{
    return fuseln_config_hooks(FUSELN_BOUNDARY_DRIVER) && !fuseln_scope_kind(caller).stands_in &&
           !(fuseln_config_hooks(FUSELN_BOUNDARY_RUNTIME) && fuseln_real_is_runtime(caller));
}

/* What goes to the caller in place of libcuda's function; i: which of those that are given out it is, or GIVEN. A name
 * that stands not in names.h is newer than we are: what it does, it does behind our back. */
static void *give(size_t i, const char *name, void *function, const void *caller)
{
    if ((i >= GIVEN && fuseln_notice_is_harmless(name)) || !is_ours_to_give(caller))
        return function;
    if (i < GIVEN)
        return given(i);
    fuseln_pairing_unseen(name);
    return function;
}

/* By what was found, not by what it was asked for: the name has no version there. */
void *fuseln_driver_given(const char *name, void *function, const void *caller)
{
    const int saved_errno = errno;
    size_t i = 0;

    index_complete();
    while (i < GIVEN && atomic_load_explicit(behind(i), memory_order_acquire) != function)
        i++;
    function = give(i, name, function, caller);
    errno = saved_errno;
    return function;
}

static size_t find_name(const char *name)
{
    for (size_t i = 0; i < HOOKS; i++)
        if (strcmp(hooks[i].name, name) == 0)
            return i;
    return HOOKS + fuseln_notice_find(name);
}

void *fuseln_driver_hook(void *handle, const char *name, void *function, const void *caller)
{
    const int saved_errno = errno;
    const size_t i = find_name(name);

    if (i >= GIVEN && fuseln_notice_is_harmless(name))
        return function;
    if (fuseln_scope_kind(function).driver) {
        if (i < GIVEN && is_ours_to_give(caller) && atomic_load(behind(i)) != function) {
            index_fill(handle); /* the first time, or libcuda was loaded again */
            atomic_store_explicit(behind(i), function, memory_order_release);
        }
        function = give(i, name, function, caller);
    }
    errno = saved_errno;
    return function;
}

bool fuseln_driver_without_us(void *handle, const char *name, const void *caller, void **ret_function)
{
    const size_t i = find_name(name);
    const struct fuseln_library_kind kind = i < GIVEN ? fuseln_scope_kind(caller) : (struct fuseln_library_kind){0};
    const bool next = handle == RTLD_NEXT;

    if (!kind.stands_in || (next && !kind.before) || fuseln_scope_stops_before_us(name, next ? caller : NULL))
        return false;
    const size_t which = i < HOOKS ? hooks[i].id : FUSELN_REAL_DRIVER_NOTICED + (i - HOOKS);
    *ret_function = next ? NULL : fuseln_real(FUSELN_NODE_DRIVER, (enum fuseln_real)which, caller);
    if (!*ret_function)
        *ret_function = fuseln_real_dlsym()(RTLD_NEXT, name); /* or an error for dlerror */
    return true;
}
