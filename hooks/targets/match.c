/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The matcher of match.h. group_norm, Paddle and CTranslate2 reuse PyTorch's function names in other translation units
 * or with other parameters: none of them matches.
 */
#include "hooks/targets/match.h"

#include "core/decode.h"

#include <stdio.h>
#include <string.h>

static const struct fuseln_framework *const frameworks[] = {&fuseln_pytorch};
enum { FRAMEWORKS = sizeof(frameworks) / sizeof(frameworks[0]) };

/* How a dtype reads in a template argument list, the substitutions that it adds, and its accumulator. */
static const struct {
    const char *encoding;
    int substitutions;
    enum fuseln_arg_type acc;
} types[FUSELN_DTYPE_COUNT] = {
    [FUSELN_DTYPE_F32] = {"ff", 0, FUSELN_ARG_F32},
    [FUSELN_DTYPE_F16] = {"N3c104HalfEf", 2, FUSELN_ARG_F32},
    [FUSELN_DTYPE_BF16] = {"N3c108BFloat16Ef", 2, FUSELN_ARG_F32},
    [FUSELN_DTYPE_F64] = {"dd", 0, FUSELN_ARG_F64},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool skip_hex8(const char **at)
{
    for (int i = 0; i < 8; i++, (*at)++)
        if (!is_digit(**at) && !(**at >= 'a' && **at <= 'f'))
            return false;
    return true;
}

static bool skip_text(const char **at, const char *text)
{
    size_t n = strlen(text);

    if (strncmp(*at, text, n) != 0)
        return false;
    *at += n;
    return true;
}

/* What follows the framework's translation unit, or NULL for a name from anywhere else. */
static const char *past_translation_unit(const struct fuseln_framework *framework, const char *symbol)
{
    const char *at = symbol;
    size_t length = 0;

    if (!skip_text(&at, framework->scope))
        return NULL;
    while (is_digit(*at) && length < 1000)
        length = length * 10 + (size_t)(*at++ - '0');
    const char *begin = at;
    if (!skip_text(&at, "_GLOBAL__N__") || !skip_hex8(&at) || !skip_text(&at, framework->file) || !skip_hex8(&at))
        return NULL;
    size_t fixed = (size_t)(at - begin);
    if (length == fixed)
        return at;
    if (length < fixed + 2 || *at++ != '_') /* some nvcc releases add _<digits> */
        return NULL;
    while (at < begin + length && is_digit(*at))
        at++;
    return at == begin + length ? at : NULL;
}

/* Matches one template argument: kind R, B or U of the placeholders in match.h. */
static bool match_literal(char kind, const char **at, bool *rms)
{
    if (kind == 'U') {
        if (!skip_text(at, "Lj") || !is_digit(**at))
            return false;
        while (is_digit(**at))
            (*at)++;
        return skip_text(at, "E");
    }
    bool one = strncmp(*at, "Lb1E", 4) == 0, zero = strncmp(*at, "Lb0E", 4) == 0;
    if (kind == 'R')
        *rms = one;
    else if (!one && !zero)
        return false;
    *at += one || zero ? 4 : 0;
    return true;
}

/* The letter of substitution n + shift in the base-36 sequence 0-9A-Z. */
static char shifted(char seq, int shift)
{
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const char *found = strchr(letters, seq);
    return found && *found && found + shift < letters + 36 ? found[shift] : '\0';
}

static bool match_pattern(const char *pattern, const char *name, enum fuseln_dtype dtype, bool *ret_rms)
{
    bool rms = false;

    while (*pattern) {
        if (pattern[0] == '$' && pattern[1] == 'T') {
            if (!skip_text(&name, types[dtype].encoding))
                return false;
            pattern += 2;
        } else if (pattern[0] == '$') {
            if (!match_literal(pattern[1], &name, &rms))
                return false;
            pattern += 2;
        } else if (pattern[0] == 'S' && pattern[1] && pattern[2] == '_') {
            if (name[0] != 'S' || name[1] != shifted(pattern[1], types[dtype].substitutions) || name[2] != '_')
                return false;
            pattern += 3;
            name += 3;
        } else if (*pattern++ != *name++) {
            return false;
        }
    }
    *ret_rms = rms;
    return *name == '\0';
}

static int find_word(const char *word, size_t length)
{
    static const char *const words[FUSELN_ROLE_COUNT] = {
#define X(id, text) text,
        FUSELN_ROLES(X)
#undef X
    };

    for (int i = 0; i < FUSELN_ROLE_COUNT; i++)
        if (strlen(words[i]) == length && memcmp(words[i], word, length) == 0)
            return i;
    return -1;
}

static enum fuseln_arg_type find_type(const char *word, enum fuseln_dtype dtype)
{
    static const struct {
        const char *word;
        enum fuseln_arg_type type;
    } scalars[] = {{":i32", FUSELN_ARG_I32}, {":i64", FUSELN_ARG_I64}};

    for (size_t i = 0; i < sizeof(scalars) / sizeof(scalars[0]); i++)
        if (strncmp(word, scalars[i].word, 4) == 0)
            return scalars[i].type;
    return strncmp(word, ":acc", 4) == 0 ? types[dtype].acc : FUSELN_ARG_PTR;
}

static bool parse_arguments(const struct fuseln_target_row *row, enum fuseln_dtype dtype,
                            struct fuseln_layout *ret_layout)
{
    struct fuseln_layout layout = {.cols_per_block = row->cols_per_block};

    for (const char *at = row->arguments; *at; at += strspn(at, " ")) {
        size_t word = strcspn(at, ": ");
        if (strncmp(at, "partial", word) == 0) {
            layout.partial = true;
            at += word;
            continue;
        }
        int role = find_word(at, word);
        if (role < 0 || layout.count == FUSELN_ARGS_MAX)
            return false;
        layout.role[layout.count] = (unsigned char)role;
        layout.type[layout.count++] = (unsigned char)find_type(at + word, dtype);
        at += strcspn(at, " ");
    }
    fuseln_decode_prepare(&layout);
    *ret_layout = layout;
    return true;
}

static bool match_row(const struct fuseln_target_row *row, const char *symbol, const char *rest,
                      struct fuseln_target *ret_target)
{
    int framework = (int)strcspn(row->name, "/") + 1;
    struct fuseln_target target = {.symbol = symbol, .op = row->op};

    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++) {
        target.dtype = (enum fuseln_dtype)dtype;
        if (!match_pattern(row->symbol, rest, target.dtype, &target.rms) ||
            !parse_arguments(row, target.dtype, &target.layout))
            continue;
        snprintf(target.name, sizeof(target.name), "%.*s%s%s/%s", framework, row->name, target.rms ? "rms-" : "",
                 row->name + framework, fuseln_dtype_name(target.dtype));
        *ret_target = target;
        return true;
    }
    return false;
}

bool fuseln_targets_match(const char *symbol, struct fuseln_target *ret_target)
{
    for (size_t f = 0; f < FRAMEWORKS; f++) {
        const char *rest = past_translation_unit(frameworks[f], symbol);
        for (size_t i = 0; rest && i < frameworks[f]->row_count; i++)
            if (match_row(&frameworks[f]->rows[i], symbol, rest, ret_target))
                return true;
    }
    return false;
}

bool fuseln_targets_build(size_t index, struct fuseln_known_build *ret_build)
{
    size_t f = 0;

    while (f < FRAMEWORKS && index >= frameworks[f]->build_count)
        index -= frameworks[f++]->build_count;
    if (f == FRAMEWORKS)
        return false;
    *ret_build = frameworks[f]->known_builds[index];
    return true;
}

bool fuseln_targets_known_build(const char *build_id)
{
    struct fuseln_known_build build;

    for (size_t i = 0; fuseln_targets_build(i, &build); i++)
        if (strcmp(build.build_id, build_id) == 0)
            return true;
    return false;
}

/* The framework of the row with this index over all frameworks, and the index within it; NULL past the last row. */
static const struct fuseln_framework *framework_of(size_t *index)
{
    for (size_t f = 0; f < FRAMEWORKS; f++) {
        if (*index < frameworks[f]->row_count)
            return frameworks[f];
        *index -= frameworks[f]->row_count;
    }
    return NULL;
}

bool fuseln_targets_row(size_t index, struct fuseln_target_row *ret_row)
{
    const struct fuseln_framework *framework = framework_of(&index);

    if (!framework)
        return false;
    *ret_row = framework->rows[index];
    return true;
}

bool fuseln_targets_match_row(size_t index, const char *symbol, struct fuseln_target *ret_target)
{
    const struct fuseln_framework *framework = framework_of(&index);
    const char *rest = framework ? past_translation_unit(framework, symbol) : NULL;

    return rest && match_row(&framework->rows[index], symbol, rest, ret_target);
}
