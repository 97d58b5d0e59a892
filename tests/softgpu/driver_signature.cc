/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes a demangled name apart: the parameters in its last parenthesis, at the commas outside of inner brackets. C++
 * only because the demangler is C++'s.
 */
#include "driver_signature.h"

#include <cxxabi.h>
#include <stdlib.h>
#include <string>

/* The last character of each parameter, from the last to the first. */
static std::string parameter_ends(const char *mangled)
{
    int status;
    char *text = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
    std::string name = text ? text : "", ends;
    free(text);
    if (name.empty() || name.back() != ')')
        return "";
    int depth = 0;
    for (size_t i = name.size(); i-- > 0;) {
        const char c = name[i];
        depth += (c == ')' || c == '>') - (c == '(' || c == '<');
        if (depth == 0)
            return ends == "(" ? "" : ends;
        if (depth == 1 && (c == ',' || i + 1 == name.size()))
            ends += name[i - 1];
    }
    return "";
}

size_t softgpu_signature_count(const char *mangled)
{
    return parameter_ends(mangled).size();
}

size_t softgpu_signature_pointers(const char *mangled, bool *ret_pointers, size_t room)
{
    const std::string ends = parameter_ends(mangled);
    const size_t count = ends.size() < room ? ends.size() : room;
    for (size_t i = 0; i < count; ++i)
        ret_pointers[i] = ends[ends.size() - 1 - i] == '*';
    return count;
}
