/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the functions of libcuda.h: libcuda by dlopen with RTLD_NOLOAD, and its functions by the C library's own dlsym,
 * past all hooks. A table is filled and then published, so no lock is held across dl*. While libcuda is absent each
 * call searches again, but only recognised launches call.
 */
#include "kernels/host/libcuda.h"

#include "base/real_dlsym.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Threads that race for the first search fill one each; only one is published. */
static struct fuseln_driver tables[16];
static atomic_uint tables_used;
_Atomic(const struct fuseln_driver *) fuseln_driver_published;

static bool resolve(struct fuseln_driver *ret_driver)
{
    fuseln_dlsym_function *look_up = fuseln_real_dlsym();
    void *libcuda = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
    if (!look_up || !libcuda)
        return false;
    bool complete = true;
#define X(member, name, params)                                      \
    ret_driver->member = (CUresult(*) params)look_up(libcuda, name); \
    complete = complete && ret_driver->member;
    FUSELN_DRIVER_FUNCTIONS(X)
#undef X
    return complete; /* never dlclose: the table points into the library */
}

static const struct fuseln_driver *search(void)
{
    struct fuseln_driver driver;
    const struct fuseln_driver *none = NULL;
    if (!resolve(&driver))
        return NULL;
    const unsigned slot = atomic_fetch_add(&tables_used, 1);
    if (slot >= sizeof tables / sizeof tables[0])
        return atomic_load_explicit(&fuseln_driver_published, memory_order_acquire);
    tables[slot] = driver;
    atomic_compare_exchange_strong(&fuseln_driver_published, &none, &tables[slot]);
    return atomic_load_explicit(&fuseln_driver_published, memory_order_acquire);
}

const struct fuseln_driver *fuseln_driver_find(void)
{
    const int saved = errno;
    const struct fuseln_driver *driver = search();
    if (!driver)
        dlerror(); /* clears our failure, which the program must not see */
    errno = saved;
    return driver;
}
