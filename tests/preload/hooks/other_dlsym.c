/* SPDX-License-Identifier: Apache-2.0 */
/* Another library that hooks dlsym, as some tools do: it passes everything on and prints at exit that it was called. */
#include "../../../src/base/glibc.h"

#include <dlfcn.h>
#include <stdio.h>

static int asked;

void *dlsym(void *handle, const char *name)
{
    static void *(*real)(void *, const char *);
    if (!real)
        *(void **)&real = dlvsym(RTLD_NEXT, "dlsym", FUSELN_GLIBC_BASE);
    asked = 1;
    return real(handle, name);
}

static __attribute__((destructor)) void at_exit(void)
{
    if (asked)
        fputs("asked\n", stderr);
}
