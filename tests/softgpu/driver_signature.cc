/*
 * Counts the parameters in a demangled name: the commas of its last parenthesis, outside of inner brackets. C++ only
 * because the demangler is C++'s.
 */
#include "driver_signature.h"

#include <cxxabi.h>
#include <stdlib.h>
#include <string>

size_t softgpu_signature_count(const char *mangled)
{
    int status;
    char *text = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
    std::string name = text ? text : "";
    free(text);
    if (name.empty() || name.back() != ')')
        return 0;
    int depth = 0;
    size_t commas = 0;
    for (size_t i = name.size(); i-- > 0;) {
        char c = name[i];
        depth += (c == ')' || c == '>') - (c == '(' || c == '<');
        commas += depth == 1 && c == ',';
        if (depth == 0)
            return name.compare(i, std::string::npos, "()") == 0 ? 0 : commas + 1;
    }
    return 0;
}
