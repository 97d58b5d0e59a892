/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel's parameters: demangles the name and splits its last parenthesis at the commas that stand outside inner
 * brackets.
 */
#include <stdlib.h>
#include <string.h>

#include "driver_objects.h"

char *__cxa_demangle(const char *mangled, char *buffer, size_t *size, int *ret_status); /* of the C++ runtime */

/* Where the parameters begin, just behind their parenthesis; NULL without parameters. */
static const char *parameters_find(const char *name)
{
    int depth = 0;
    const char *at = name + strlen(name);
    if (at == name || at[-1] != ')')
        return NULL;
    do {
        --at;
        depth += (*at == ')' || *at == '>') - (*at == '(' || *at == '<');
    } while (depth && at > name);
    return depth == 0 && at[1] != ')' ? at + 1 : NULL;
}

size_t softgpu_signature(const char *mangled, bool *ret_pointers, size_t room)
{
    int status, depth = 0;
    size_t count = 0;
    char *name = __cxa_demangle(mangled, NULL, NULL, &status);
    const char *at = name ? parameters_find(name) : NULL;
    for (; at && *at; ++at) {
        const bool is_end = depth == 0 && (*at == ',' || *at == ')');
        if (is_end && count < room)
            ret_pointers[count] = at[-1] == '*';
        count += is_end;
        depth += (*at == '(' || *at == '<') - (*at == ')' || *at == '>');
    }
    free(name);
    return count;
}
