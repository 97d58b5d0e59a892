/* SPDX-License-Identifier: Apache-2.0 */
/* Which library a function lies in. */
#ifndef FUSELN_TEST_OBJECT_OF_H
#define FUSELN_TEST_OBJECT_OF_H

#include <dlfcn.h>
#include <string.h>

/* The name of its file, without the folder. */
static const char *object_of(const void *function)
{
    Dl_info info;
    if (!function)
        return "none";
    if (!dladdr(function, &info) || !info.dli_fname)
        return "unknown";
    const char *const slash = strrchr(info.dli_fname, '/');
    return slash ? slash + 1 : info.dli_fname;
}

#endif
