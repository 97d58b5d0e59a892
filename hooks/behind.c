/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See behind.h. Libcuda is only ever found again, never opened.
 */
#include "hooks/behind.h"

#include "base/real_dlsym.h"
#include "hooks/scope.h"

#include <dlfcn.h>
#include <errno.h>

_Atomic(void *) fuseln_behind[FUSELN_DRIVER_GIVEN];
_Atomic(fuseln_name_function *) fuseln_behind_name[2];
_Atomic(fuseln_param_function *) fuseln_behind_param[2];
_Atomic(fuseln_count_function *) fuseln_behind_count[2];
static atomic_bool complete; /* set last: a thread that comes while another looks them up does it, too */

void fuseln_behind_fill(void *handle)
{
    fuseln_dlsym_function *const real = fuseln_next_dlsym();

    for (size_t i = 0; i < FUSELN_DRIVER_GIVEN; i++) {
        void *function = real(handle, fuseln_real_name((enum fuseln_real)(FUSELN_REAL_CU_FIRST + i)));
        if (function && fuseln_scope_kind(function).driver)
            atomic_store_explicit(&fuseln_behind[i], function, memory_order_release);
    }
    atomic_store(&fuseln_behind_name[false], (fuseln_name_function *)real(handle, "cuFuncGetName"));
    atomic_store(&fuseln_behind_name[true], (fuseln_name_function *)real(handle, "cuKernelGetName"));
    atomic_store(&fuseln_behind_param[false], (fuseln_param_function *)real(handle, "cuFuncGetParamInfo"));
    atomic_store(&fuseln_behind_param[true], (fuseln_param_function *)real(handle, "cuKernelGetParamInfo"));
    atomic_store(&fuseln_behind_count[false], (fuseln_count_function *)real(handle, "cuModuleGetFunctionCount"));
    atomic_store(&fuseln_behind_count[true], (fuseln_count_function *)real(handle, "cuLibraryGetKernelCount"));
    dlerror(); /* the host must not find there what we did not find */
    if (atomic_load(&fuseln_behind[FUSELN_REAL_CU_LAUNCH - FUSELN_REAL_CU_FIRST]))
        atomic_store_explicit(&complete, true, memory_order_release);
}

void fuseln_behind_complete(void)
{
    const int saved_errno = errno;

    if (atomic_load_explicit(&complete, memory_order_acquire))
        return;
    void *libcuda = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
    if (libcuda) {
        fuseln_behind_fill(libcuda);
        dlclose(libcuda);
    } else {
        dlerror();
    }
    errno = saved_errno;
}

void *fuseln_behind_get(size_t index)
{
    fuseln_behind_complete();
    return atomic_load_explicit(&fuseln_behind[index], memory_order_acquire);
}
