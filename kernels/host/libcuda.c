/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of driver.h. libcuda is found by RTLD_NOLOAD, its functions by the C library's own dlsym: fuseln may hook
 * that name. The table is filled in private and then published, so there is no lock, and nothing calls dl* in one.
 * While libcuda is absent every call looks again: only a recognised launch asks.
 */
#include "kernels/host/libcuda.h"

#include "base/real_dlsym.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Threads that race for the first use each fill one; one is published. */
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
    return complete; /* the handle is kept: what we point into must not be unloaded */
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
        dlerror(); /* the host must not find our failure there */
    errno = saved;
    return driver;
}
