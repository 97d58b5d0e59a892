/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See names.h. Names are looked up when a program asks for a function's address, so one after the other will do.
 */
#include "hooks/names.h"

#include <string.h>

enum { NAME_BYTES = 56 };
#define TEXT(name, ...)       #name,
#define SECOND_TEXT(id, name) #name,
static const char names[][NAME_BYTES] =
    {/* in the order of enum fuseln_real */
     FUSELN_CUDART_EXPORTS(SECOND_TEXT) FUSELN_CUDART_CALLED(SECOND_TEXT) FUSELN_CUDART_NOTICED(TEXT)
         FUSELN_DRIVER_EXPORTS(SECOND_TEXT) FUSELN_DRIVER_NOTICED(TEXT)},
                  harmless_names[][NAME_BYTES] = {FUSELN_DRIVER_HARMLESS(TEXT)};
_Static_assert(sizeof names == FUSELN_REAL_COUNT * NAME_BYTES, "a name for each of enum fuseln_real");

const char *fuseln_real_name(enum fuseln_real which)
{
    return names[which];
}

/* Where this name stands in that part of them, or its end. */
static size_t find(const char (*among)[NAME_BYTES], size_t from, size_t to, const char *name)
{
    while (from < to && strcmp(among[from], name) != 0)
        from++;
    return from;
}

enum fuseln_real fuseln_real_of_driver(const char *name)
{
    return (enum fuseln_real)find(names, FUSELN_REAL_CU_FIRST, FUSELN_REAL_COUNT, name);
}

bool fuseln_notice_is_runtime_call(const char *name)
{
    return find(names, 0, FUSELN_REAL_CUDART_CALLED, name) < FUSELN_REAL_CUDART_CALLED ||
           find(names, FUSELN_REAL_CUDART_NOTICED, FUSELN_REAL_CU_FIRST, name) < FUSELN_REAL_CU_FIRST;
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
    return find(harmless_names, 0, HARMLESS, base) < HARMLESS;
}
