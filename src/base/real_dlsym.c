/* SPDX-License-Identifier: Apache-2.0 */
#include "base/real_dlsym.h"

#include <dlfcn.h>
#include <stddef.h>

fuseln_dlsym_function *fuseln_real_dlsym(void)
{
    static const char *const versions[] = {"GLIBC_2.2.5", "GLIBC_2.17"}; /* x86-64, aarch64 */
    void *function = NULL;
    for (size_t i = 0; i < sizeof versions / sizeof versions[0] && !function; i++)
        function = dlvsym(RTLD_NEXT, "dlsym", versions[i]);
    return (fuseln_dlsym_function *)function;
}

fuseln_dlsym_function *fuseln_next_dlsym(void)
{
    fuseln_dlsym_function *const own = fuseln_real_dlsym();
    fuseln_dlsym_function *const next = own ? (fuseln_dlsym_function *)own(RTLD_NEXT, "dlsym") : NULL;
    return next ? next : own;
}
