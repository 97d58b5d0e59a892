/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See given.h. Decided by the function that the real look-up found, not by the name alone: the driver's own, and one
 * that we hook or notice, is replaced; everything else is passed on.
 */
#include "hooks/given.h"

#include "base/config.h"
#include "base/real_dlsym.h"
#include "core/pairing.h"
#include "hooks/behind.h"
#include "hooks/notice.h"
#include "hooks/real.h"
#include "hooks/scope.h"

#include <dlfcn.h>
#include <errno.h>

/* A runtime whose own functions we hook gets libcuda's: its launches have been seen above. So does libcuda itself. */
static bool is_ours_to_give(const void *caller)
{
    return fuseln_config_hooks(FUSELN_BOUNDARY_DRIVER) && !fuseln_scope_kind(caller).stands_in &&
           !(fuseln_config_hooks(FUSELN_BOUNDARY_RUNTIME) && fuseln_real_is_runtime(caller));
}

/* What goes to the caller in place of libcuda's function; i: which of those that are given out it is, or
 * FUSELN_DRIVER_GIVEN. A name that is not in names.h is newer than we are: what it does, it does behind our back.
 */
static void *choose(size_t i, const char *name, void *function, const void *caller)
{
    if ((i >= FUSELN_DRIVER_GIVEN && fuseln_notice_is_harmless(name)) || !is_ours_to_give(caller))
        return function;
    if (i < FUSELN_DRIVER_GIVEN)
        return i < FUSELN_DRIVER_HOOKS ? (void *)fuseln_driver_functions[i]
                                       : fuseln_notice_stub(i - FUSELN_DRIVER_HOOKS, function);
    fuseln_pairing_unseen(name);
    return function;
}

/* By what was found, not by what it was asked for: the name has no version there. Asked for itself, a resolver gives a
 * function that we hook as well. */
int fuseln_given_after(int rc, const char *name, void **ret_function, const void *caller)
{
    const int saved_errno = errno;
    size_t i = 0;

    if (rc != 0 || !name || !ret_function || !*ret_function)
        return rc;
    fuseln_behind_complete();
    while (i < FUSELN_DRIVER_GIVEN && atomic_load_explicit(&fuseln_behind[i], memory_order_acquire) != *ret_function)
        i++;
    *ret_function = choose(i, name, *ret_function, caller);
    errno = saved_errno;
    return rc;
}

void *fuseln_given_for_dlsym(void *handle, const char *name, void *function, const void *caller)
{
    const int saved_errno = errno;
    const size_t i = fuseln_real_of_driver(name) - FUSELN_REAL_CU_FIRST;

    if (i >= FUSELN_DRIVER_GIVEN && fuseln_notice_is_harmless(name))
        return function;
    if (fuseln_scope_kind(function).driver) {
        if (i < FUSELN_DRIVER_GIVEN && is_ours_to_give(caller) && atomic_load(&fuseln_behind[i]) != function) {
            fuseln_behind_fill(handle); /* the first time, or libcuda was loaded again */
            atomic_store_explicit(&fuseln_behind[i], function, memory_order_release);
        }
        function = choose(i, name, function, caller);
    }
    errno = saved_errno;
    return function;
}

bool fuseln_given_without_us(void *handle, const char *name, const void *caller, void **ret_function)
{
    const size_t i = fuseln_real_of_driver(name) - FUSELN_REAL_CU_FIRST;
    const struct fuseln_library_kind kind =
        i < FUSELN_DRIVER_GIVEN ? fuseln_scope_kind(caller) : (struct fuseln_library_kind){0};
    const bool next = handle == RTLD_NEXT;

    if (!kind.stands_in || (next && !kind.before) || fuseln_scope_stops_before_us(name, next ? caller : NULL))
        return false;
    *ret_function = next ? NULL : fuseln_real(FUSELN_NODE_DRIVER, (enum fuseln_real)(FUSELN_REAL_CU_FIRST + i), caller);
    if (!*ret_function)
        *ret_function = fuseln_real_dlsym()(RTLD_NEXT, name); /* or an error for dlerror */
    return true;
}
