/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded before everything else: writes to the file ASKED what the program asks the driver's resolver for, a line
 * each: name, version, flags, result, status, and the library that the answer lies in.
 */
#include "../object_of.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef void *look_up(void *handle, const char *name);
typedef int resolver(const char *name, void **ret_function, int version, uint64_t flags, int *ret_status);

static resolver *real_resolver;
static FILE *asked;

static int resolve(const char *name, void **ret_function, int version, uint64_t flags, int *ret_status)
{
    const int result = real_resolver(name, ret_function, version, flags, ret_status);
    if (asked)
        fprintf(asked, "%s %d %d %d %d %s\n", *name ? name : "-", version, (int)flags, result,
                ret_status ? *ret_status : -1, object_of(result == 0 ? *ret_function : NULL));
    if (result == 0 && *ret_function && version >= 12000 && strcmp(name, "cuGetProcAddress") == 0) {
        real_resolver = (resolver *)*ret_function;
        *ret_function = (void *)resolve;
    }
    return result;
}

__attribute__((visibility("default"))) void *dlsym(void *handle, const char *name)
{
    static look_up *next;
    if (!next) {
        look_up *const own = (look_up *)dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
        next = (look_up *)own(RTLD_NEXT, "dlsym");
        asked = getenv("ASKED") ? fopen(getenv("ASKED"), "w") : NULL;
    }
    void *function = next(handle, name);
    if (asked)
        fprintf(asked, "dlsym %s %s\n", name, object_of(function));
    if (!function || strcmp(name, "cuGetProcAddress_v2") != 0)
        return function;
    real_resolver = (resolver *)function;
    return (void *)resolve;
}
