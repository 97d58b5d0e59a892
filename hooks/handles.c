/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See handles.h. Modules and runtimes are few, and are looked at when a kernel is looked up, never at a launch.
 */
#include "hooks/handles.h"

#include "core/library.h"
#include "core/pairing.h"
#include "core/registry.h"
#include "hooks/process.h"
#include "hooks/proof.h"
#include "hooks/real.h"
#include "hooks/targets/match.h"
#include "hooks/targets/user_rows.h"

#include <errno.h>

/* Modules that belong to a CUlibrary, and are unloaded with it. Where the table is full a module stands for itself, and
 * is forgotten when there is no room (registry.h). */
enum { MODULES_MAX = 1024 };
static struct {
    _Atomic(void *) module, library;
} library_modules[MODULES_MAX];

static void *owner_of(void *module)
{
    for (size_t i = 0; i < MODULES_MAX; i++) {
        void *library = atomic_load(&library_modules[i].library);
        if (library && atomic_load(&library_modules[i].module) == module)
            return library;
    }
    return module;
}

void fuseln_handles_add_module(void *module, void *library)
{
    if (owner_of(module) == library)
        return;
    for (size_t i = 0; i < MODULES_MAX; i++) {
        void *none = NULL;
        if (!atomic_compare_exchange_strong(&library_modules[i].module, &none, module))
            continue;
        atomic_store(&library_modules[i].library, library);
        return;
    }
}

/* Before the driver unloads it: its handles may be somebody else's at once. */
void fuseln_handles_forget(void *owner)
{
    fuseln_registry_forget(owner);
    for (size_t i = 0; i < MODULES_MAX; i++) {
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

void fuseln_handles_add_runtime(const void *address)
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

/* Is it a kernel that we or the user have a row for, seen at a boundary that is hooked, in a library there is room for?
 * Then *ret_target is complete but for its runtime and, of a user's row, what tells the kernel from others of its name.
 * from: an address inside that library. */
static bool recognise(const char *name, const void *from, enum fuseln_boundary boundary,
                      struct fuseln_target *ret_target)
{
    if (!name || !(fuseln_targets_match(name, ret_target) || fuseln_user_match(name, ret_target)) ||
        !fuseln_config_hooks(boundary))
        return false;
    fuseln_process_handle_fork();
    if (boundary == FUSELN_BOUNDARY_DRIVER)
        fuseln_library_forget(from); /* no registration tells us when it was unloaded */
    ret_target->library = fuseln_library_of(from, fuseln_targets_known_build);
    if (!ret_target->library)
        fuseln_registry_leave_out();
    return ret_target->library &&
           (!ret_target->user || fuseln_user_has_build(ret_target->user, ret_target->library->build_id));
}

void fuseln_handles_register(void **fatbin, const char *host_function, const char *device_name)
{
    const int saved_errno = errno;
    struct fuseln_target target;

    if (recognise(device_name, host_function, FUSELN_BOUNDARY_RUNTIME, &target)) {
        target.owner = target.user ? fatbin : NULL;
        target.host_function = target.user ? host_function : NULL; /* its first launch is to prove the row */
        fuseln_registry_add(host_function, fatbin, &target);
    }
    fuseln_process_left_out();
    errno = saved_errno;
}

void fuseln_handles_unregister(void **fatbin, const void *caller)
{
    fuseln_pairing_notice();
    if (fuseln_registry_forget(fatbin))
        fuseln_library_forget(caller);
    fuseln_real_forget(caller);
}

/* A norm by its name alone is only counted. Names that the runtime registers are not searched for such: PyTorch has
 * 24,000. */
static void learn_norm(const void *handle, const void *owner, const char *name)
{
    const char *maker = fuseln_targets_norm_maker(name);
    if (!maker || !fuseln_config_hooks(FUSELN_BOUNDARY_DRIVER))
        return;
    fuseln_process_handle_fork();
    fuseln_registry_learn_norm(handle, owner, name, maker);
}

void fuseln_handles_learn(const struct fuseln_found *found)
{
    const int saved_errno = errno;
    const void *const owner = owner_of(found->module);
    struct fuseln_target target;
    const bool known = recognise(found->name, found->caller, FUSELN_BOUNDARY_DRIVER, &target) &&
                       (!target.user || fuseln_proof_of_handle(&target, found->handle, found->is_kernel));

    if (known) {
        target.owner = target.user ? owner : NULL;
        target.runtime = fuseln_real_is_runtime(found->caller) ? FUSELN_RUNTIME_SHARED
                         : has_runtime(found->caller)          ? FUSELN_RUNTIME_STATIC
                                                               : FUSELN_RUNTIME_NONE;
    }
    fuseln_registry_learn(found->handle, owner, known ? &target : NULL);
    if (!known && found->name)
        learn_norm(found->handle, owner, found->name);
    fuseln_process_left_out();
    errno = saved_errno;
}

void fuseln_handles_learn_function(const void *function, const void *kernel)
{
    if (fuseln_registry_find(kernel) || fuseln_registry_foreign(kernel))
        fuseln_registry_alias(function, kernel);
    else
        fuseln_registry_learn(function, NULL, NULL);
}
