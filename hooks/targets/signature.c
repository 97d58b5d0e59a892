/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See signature.h. Most pointers of a signature are written as S<n>_, the n-th component of the name so far, so the
 * components must be counted as the ABI does: each prefix of a name, each type that is not a builtin one, and each
 * template parameter, in the order in which they end. What is not read (expressions, lambdas, function types, ABI tags)
 * ends the parsing: a component that was missed would shift all numbers after it.
 */
#include "hooks/targets/signature.h"

#include <string.h>

enum { COMPONENTS_MAX = 64, TEMPLATE_MAX = 16, DEPTH_MAX = 16 };

/* A type as far as it matters here. */
enum kind { OTHER, BUILTIN, POINTER, CONST_POINTER, CONST };
struct type {
    enum kind kind;
    char letter; /* of a builtin type */
};

struct reader {
    const char *at, *end;
    struct type components[COMPONENTS_MAX], arguments[TEMPLATE_MAX]; /* the latter of the function's own template */
    int component_count, argument_count, depth;
};

static char peek(const struct reader *reader)
{
    return reader->at < reader->end ? *reader->at : '\0';
}

static bool take(struct reader *reader, char c)
{
    const bool is = c && peek(reader) == c;
    reader->at += is;
    return is;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool add_component(struct reader *reader, struct type type)
{
    if (reader->component_count == COMPONENTS_MAX)
        return false;
    reader->components[reader->component_count++] = type;
    return true;
}

/* 6kernel */
static bool read_source_name(struct reader *reader)
{
    long length = 0;

    take(reader, 'L'); /* of internal linkage */
    if (!is_digit(peek(reader)))
        return false;
    while (is_digit(peek(reader)) && length < 100000)
        length = length * 10 + (*reader->at++ - '0');
    if (length > reader->end - reader->at)
        return false;
    reader->at += length;
    return true;
}

/* What stands between the letter and the underscore of S_, S0_, SA_, T_ or T0_, as an index; -1 if it is none. */
static int read_index(struct reader *reader, int base)
{
    int index = 0;

    if (take(reader, '_'))
        return 0;
    for (char c; (c = peek(reader)) != '_' && index < 1000; reader->at++) {
        const int digit = is_digit(c) ? c - '0' : c >= 'A' && c <= 'Z' ? c - 'A' + 10 : base;
        if (digit >= base)
            return -1;
        index = index * base + digit;
    }
    return take(reader, '_') ? index + 1 : -1;
}

/* Behind the S. False for the abbreviations of the standard library but St, which the caller looks for. */
static bool read_substitution(struct reader *reader, struct type *ret_type)
{
    const int index = read_index(reader, 36);

    if (index < 0 || index >= reader->component_count)
        return false;
    *ret_type = reader->components[index];
    return true;
}

static bool read_type(struct reader *reader, struct type *ret_type);

/* A template's argument: a type, or a value such as Li8E. */
static bool read_argument(struct reader *reader, struct type *ret_type)
{
    *ret_type = (struct type){OTHER, 0};
    if (!take(reader, 'L'))
        return read_type(reader, ret_type);
    struct type of;
    if (peek(reader) == '_' || !read_type(reader, &of))
        return false;
    while (is_digit(peek(reader)) || peek(reader) == 'n')
        reader->at++;
    *ret_type = (struct type){OTHER, 0};
    return take(reader, 'E');
}

/* Behind the I, up to its E. Those of the function itself are what T_, T0_, ... stand for. */
static bool read_arguments(struct reader *reader, bool own)
{
    struct type type;

    if (own)
        reader->argument_count = 0;
    while (!take(reader, 'E')) {
        if (!read_argument(reader, &type))
            return false;
        if (own && reader->argument_count == TEMPLATE_MAX)
            return false;
        if (own)
            reader->arguments[reader->argument_count++] = type;
    }
    return true;
}

/* One part of a nested name. */
static bool read_part(struct reader *reader, bool own, bool *ret_template)
{
    struct type ignored;

    *ret_template = false;
    if (take(reader, 'I')) {
        *ret_template = true;
        return read_arguments(reader, own);
    }
    return read_source_name(reader) || (take(reader, 'T') && read_index(reader, 10) >= 0) ||
           (take(reader, 'S') && read_substitution(reader, &ignored));
}

/* Behind the N, up to its E. Each prefix is a component; the whole is one only as a type. */
static bool read_nested(struct reader *reader, bool own, bool *ret_template)
{
    bool known = false; /* the prefix so far is a component already, or is std */

    *ret_template = false;
    if (reader->end - reader->at > 1 && memcmp(reader->at, "St", 2) == 0) {
        reader->at += 2;
        known = true;
    }
    for (bool first = !known; !take(reader, 'E'); first = false) {
        known = first && peek(reader) == 'S';
        if (!read_part(reader, own, ret_template))
            return false;
        if (!known && (!own || peek(reader) != 'E') && !add_component(reader, (struct type){OTHER, 0}))
            return false;
    }
    return true;
}

/* kernel<...>, or std::kernel<...> */
static bool read_unscoped(struct reader *reader, bool own, bool *ret_template)
{
    if (reader->end - reader->at > 1 && memcmp(reader->at, "St", 2) == 0)
        reader->at += 2;
    if (!read_source_name(reader))
        return false;
    *ret_template = peek(reader) == 'I';
    if ((!own || *ret_template) && !add_component(reader, (struct type){OTHER, 0}))
        return false;
    if (!take(reader, 'I'))
        return true;
    return read_arguments(reader, own) && (own || add_component(reader, (struct type){OTHER, 0}));
}

static bool read_class(struct reader *reader)
{
    bool ignored;
    return take(reader, 'N') ? read_nested(reader, false, &ignored) : read_unscoped(reader, false, &ignored);
}

/* S_, maybe with template arguments. */
static bool read_substituted(struct reader *reader, struct type *ret_type)
{
    if (!read_substitution(reader, ret_type))
        return false;
    if (!take(reader, 'I'))
        return true;
    *ret_type = (struct type){OTHER, 0};
    return read_arguments(reader, false) && add_component(reader, *ret_type);
}

static bool read_template_parameter(struct reader *reader, struct type *ret_type)
{
    const int index = read_index(reader, 10);

    if (index < 0)
        return false;
    *ret_type = index < reader->argument_count ? reader->arguments[index] : (struct type){OTHER, 0};
    return add_component(reader, *ret_type);
}

static bool read_pointer(struct reader *reader, struct type *ret_type)
{
    struct type to;

    if (!read_type(reader, &to))
        return false;
    *ret_type = (struct type){to.kind == CONST ? CONST_POINTER : POINTER, 0};
    return add_component(reader, *ret_type);
}

/* Behind K. Of a class or number; a const pointer is a pointer still. */
static bool read_const(struct reader *reader, struct type *ret_type)
{
    if (!read_type(reader, ret_type))
        return false;
    if (ret_type->kind == OTHER || ret_type->kind == BUILTIN)
        *ret_type = (struct type){CONST, 0};
    return add_component(reader, *ret_type);
}

static bool read_builtin(struct reader *reader, struct type *ret_type)
{
    const char letter = peek(reader);

    if (!letter || !strchr("vwbcahstijlmxynofdegz", letter))
        return false;
    reader->at++;
    *ret_type = (struct type){BUILTIN, letter};
    return true;
}

static bool read_any_type(struct reader *reader, struct type *ret_type)
{
    const char c = peek(reader);

    if (take(reader, 'P'))
        return read_pointer(reader, ret_type);
    if (take(reader, 'K'))
        return read_const(reader, ret_type);
    if (take(reader, 'T'))
        return read_template_parameter(reader, ret_type);
    if (c == 'S' && reader->at + 1 < reader->end && reader->at[1] != 't') {
        reader->at++;
        return read_substituted(reader, ret_type);
    }
    *ret_type = (struct type){OTHER, 0};
    return c == 'N' || c == 'S' || is_digit(c) ? read_class(reader) : read_builtin(reader, ret_type);
}

static bool read_type(struct reader *reader, struct type *ret_type)
{
    if (reader->depth == DEPTH_MAX)
        return false;
    reader->depth++;
    const bool read = read_any_type(reader, ret_type);
    reader->depth--;
    return read;
}

static struct fuseln_parameter parameter_of(struct type type)
{
    static const struct {
        char letter;
        unsigned char type;
    } types[] = {{'i', FUSELN_ARG_I32}, {'j', FUSELN_ARG_U32}, {'l', FUSELN_ARG_I64},
                 {'m', FUSELN_ARG_I64}, {'x', FUSELN_ARG_I64}, {'y', FUSELN_ARG_I64},
                 {'f', FUSELN_ARG_F32}, {'d', FUSELN_ARG_F64}, {'b', FUSELN_ARG_BOOL}};
    struct fuseln_parameter parameter = {FUSELN_PARAMETER_UNKNOWN, FUSELN_ARG_TYPE_COUNT};

    if (type.kind == POINTER || type.kind == CONST_POINTER)
        return (struct fuseln_parameter){
            type.kind == POINTER ? FUSELN_PARAMETER_POINTER : FUSELN_PARAMETER_CONST_POINTER, FUSELN_ARG_PTR};
    if (type.kind == BUILTIN)
        parameter.kind = FUSELN_PARAMETER_VALUE;
    for (size_t i = 0; type.kind == BUILTIN && i < sizeof types / sizeof *types; i++)
        if (types[i].letter == type.letter)
            parameter.type = types[i].type;
    return parameter;
}

static int read_parameters(struct reader *reader, struct fuseln_parameter *ret_parameters)
{
    struct type type;
    int count = 0;

    while (reader->at < reader->end) {
        if (count == FUSELN_ARGS_MAX || !read_type(reader, &type))
            return -1;
        ret_parameters[count++] = parameter_of(type);
    }
    return count == 1 && type.letter == 'v' ? 0 : count ? count : -1;
}

int fuseln_signature_read(const char *symbol, size_t length, struct fuseln_parameter ret_parameters[FUSELN_ARGS_MAX])
{
    struct reader reader = {.at = symbol, .end = symbol + length};
    struct type returned;
    bool is_template;

    if (!take(&reader, '_') || !take(&reader, 'Z'))
        return -1;
    if (!(take(&reader, 'N') ? read_nested(&reader, true, &is_template) : read_unscoped(&reader, true, &is_template)))
        return -1;
    if (is_template && !read_type(&reader, &returned)) /* only a template's name tells what it returns */
        return -1;
    return read_parameters(&reader, ret_parameters);
}
