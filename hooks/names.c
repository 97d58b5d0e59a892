/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See names.h. The lists there are sorted: a name is found by halving.
 */
#include "hooks/names.h"

#include <string.h>

/* The names, sorted as in names.h. */
enum { NAME_BYTES = 56 };
#define TEXT(name) #name,
static const char runtime_names[][NAME_BYTES] = {FUSELN_CUDART_NOTICED(TEXT)},
                  driver_names[][NAME_BYTES] = {FUSELN_DRIVER_NOTICED(TEXT)},
                  harmless_names[][NAME_BYTES] = {FUSELN_DRIVER_HARMLESS(TEXT)};

const char *fuseln_notice_runtime_name(size_t index)
{
    return runtime_names[index];
}

const char *fuseln_notice_driver_name(size_t index)
{
    return driver_names[index];
}

/* Where this name stands among so many, or their number. */
static size_t find(const char (*names)[NAME_BYTES], size_t count, const char *name)
{
    size_t from = 0, to = count;
    while (from < to) {
        const size_t middle = (from + to) / 2;
        const int order = strcmp(name, names[middle]);
        if (order == 0)
            return middle;
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return count;
}

size_t fuseln_notice_find(const char *name)
{
    return find(driver_names, FUSELN_NOTICE_DRIVER, name);
}

bool fuseln_notice_is_runtime_call(const char *name)
{
    static const char hooked_names[][NAME_BYTES] = {
#define X(id, hooked) #hooked,
        FUSELN_CUDART_EXPORTS(X)
#undef X
    };
    for (size_t i = 0; i < sizeof hooked_names / sizeof hooked_names[0]; i++)
        if (strcmp(name, hooked_names[i]) == 0)
            return true;
    return find(runtime_names, FUSELN_NOTICE_RUNTIME, name) < FUSELN_NOTICE_RUNTIME;
}

/* Cut off, at the end of a name of so many bytes: */
static size_t without(const char *name, size_t length, const char *end)
{
    const size_t bytes = strlen(end);
    return length > bytes && memcmp(name + length - bytes, end, bytes) == 0 ? length - bytes : length;
}

bool fuseln_notice_is_harmless(const char *name)
{
    enum { HARMLESS = sizeof harmless_names / sizeof harmless_names[0] };
    char base[NAME_BYTES];
    size_t length = without(name, without(name, strlen(name), "_ptsz"), "_ptds");

    if (length > 3 && memcmp(name + length - 3, "_v", 2) == 0)
        length -= 3;
    if (length >= sizeof base)
        return false;
    memcpy(base, name, length);
    base[length] = '\0';
    return find(harmless_names, HARMLESS, base) < HARMLESS;
}
