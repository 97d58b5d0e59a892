/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the functions of libcuda.h: libcuda by dlopen with RTLD_NOLOAD, and its functions by the C library's own dlsym,
 * past all hooks. They are all found before the table is locked and published. While libcuda is absent each call
 * searches again, but only recognised launches call.
 */
#include "kernels/host/libcuda.h"

#include "base/real_dlsym.h"
#include "base/shield.h"

#include <dlfcn.h>
#include <errno.h>

pthread_mutex_t fuseln_host_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct fuseln_driver table; /* constant once it is published */
_Atomic(const struct fuseln_driver *) fuseln_driver_published;

static bool resolve(struct fuseln_driver *ret_driver)
{
    fuseln_dlsym_function *look_up = fuseln_real_dlsym();
    void *libcuda = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
    if (!look_up || !libcuda)
        return false;
    bool complete = true;
#define X(member, name, params) ret_driver->member = (CUresult(*) params)look_up(libcuda, name);
    FUSELN_DRIVER_FUNCTIONS(X)
#undef X
#define X(member, name, params) complete = complete && ret_driver->member;
    FUSELN_DRIVER_NEEDED(X)
#undef X
    return complete; /* never dlclose: the table points into the library */
}

const struct fuseln_driver *fuseln_driver_find(void)
{
    const int saved = errno;
    struct fuseln_driver found;
    struct fuseln_shield before;
    const bool complete = resolve(&found);
    dlerror(); /* clears a failure of ours, which the program must not see */
    if (complete) {
        fuseln_shield_lock(&before, &fuseln_host_mutex);
        if (!fuseln_driver_known()) {
            table = found;
            atomic_store_explicit(&fuseln_driver_published, &table, memory_order_release);
        }
        fuseln_shield_unlock(&before, &fuseln_host_mutex);
    }
    errno = saved;
    return fuseln_driver_known();
}
