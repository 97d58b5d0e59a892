/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The matcher of match.h. group_norm, Paddle and CTranslate2 reuse PyTorch's function names in other translation units
 * or with other parameters: none of them matches.
 */
#include "hooks/targets/match.h"

#include "hooks/targets/words.h"

#include <stdio.h>
#include <string.h>

static const struct fuseln_framework *const frameworks[] = {
#define X(program) &fuseln_##program,
    FUSELN_PROGRAMS(X)
#undef X
};
enum { FRAMEWORKS = sizeof(frameworks) / sizeof(frameworks[0]) };

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
    const char *s = *at;

    for (; *text; text++, s++) /* by letter: nearly all names differ soon */
        if (*s != *text)
            return false;
    *at = s;
    return true;
}

/* What follows the framework's scope and translation unit, or NULL for a name from anywhere else. All scopes, and the
 * name, begin with `_Z`. */
static const char *past_scope(const struct fuseln_framework *framework, const char *symbol)
{
    const char *at = symbol + 2;
    size_t length = 0;

    if (!skip_text(&at, framework->scope + 2))
        return NULL;
    if (!framework->file)
        return at;
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

/* Matches one template argument: kind R, B, U or I of the placeholders in match.h. */
static bool match_literal(char kind, const char **at, bool *rms)
{
    if (kind == 'U' || kind == 'I') {
        if (!skip_text(at, kind == 'U' ? "Lj" : "Li") || !is_digit(**at))
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

static bool match_pattern(const char *pattern, const char *name, const struct fuseln_type_name *type, bool *ret_rms)
{
    bool rms = false;

    while (*pattern) {
        if (pattern[0] == '$' && pattern[1] == 'T') {
            if (!skip_text(&name, type->encoding))
                return false;
            pattern += 2;
        } else if (pattern[0] == '$') {
            if (!match_literal(pattern[1], &name, &rms))
                return false;
            pattern += 2;
        } else if (pattern[0] == 'S' && pattern[1] && pattern[2] == '_') {
            if (name[0] != 'S' || name[1] != shifted(pattern[1], type->substitutions) || name[2] != '_')
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

/* Most names differ from a row's before its first placeholder: then no type needs to be tried. */
static inline bool begins_alike(const char *pattern, const char *name)
{
    while (*pattern && *pattern != '$' && *pattern == *name)
        pattern++, name++;
    return !*pattern || *pattern == '$' || *pattern == 'S';
}

/* `rest` is what follows the framework's scope. */
static bool match_row(const struct fuseln_framework *framework, const struct fuseln_target_row *row, const char *symbol,
                      const char *rest, struct fuseln_target *ret_target)
{
    const int program = (int)strcspn(row->name, "/") + 1;
    struct fuseln_refusal none;

    for (size_t i = 0; i < framework->type_count; i++) {
        const struct fuseln_type_name *type = &framework->types[i];
        struct fuseln_target target = {.symbol = symbol};
        bool rms = false;
        if (!match_pattern(row->symbol, rest, type, &rms))
            continue;
        target.rms = rms;
        if (!fuseln_words_parse((struct fuseln_text){row->words, strlen(row->words)}, &type->dtype, &target, &none))
            continue;
        snprintf(target.name, sizeof(target.name), "%.*s%s%s/%s", program, row->name, rms ? "rms-" : "",
                 row->name + program, fuseln_dtype_name(target.dtype));
        *ret_target = target;
        return true;
    }
    return false;
}

/* Can a name begin with this scope? Most are told by their third or fourth letter: `_ZN` and the length of a namespace,
 * which the name of a global function does not have. */
static inline bool may_begin(const char *scope, const char *symbol)
{
    return scope[2] ? scope[2] == symbol[2] && (!scope[3] || scope[3] == symbol[3]) : symbol[2] != 'N';
}

bool fuseln_targets_match(const char *symbol, struct fuseln_target *ret_target)
{
    if (symbol[0] != '_' || symbol[1] != 'Z')
        return false;
    for (size_t f = 0; f < FRAMEWORKS; f++) {
        const char *rest = may_begin(frameworks[f]->scope, symbol) ? past_scope(frameworks[f], symbol) : NULL;
        for (size_t i = 0; rest && i < frameworks[f]->row_count; i++)
            if (begins_alike(frameworks[f]->rows[i].symbol, rest) &&
                match_row(frameworks[f], &frameworks[f]->rows[i], symbol, rest, ret_target))
                return true;
    }
    return false;
}

const struct fuseln_framework *fuseln_targets_build(size_t index, struct fuseln_known_build *ret_build)
{
    size_t f = 0;

    while (f < FRAMEWORKS && index >= frameworks[f]->build_count)
        index -= frameworks[f++]->build_count;
    if (f == FRAMEWORKS)
        return NULL;
    *ret_build = frameworks[f]->known_builds[index];
    return frameworks[f];
}

bool fuseln_targets_known_build(const char *build_id)
{
    struct fuseln_known_build build;

    for (size_t i = 0; fuseln_targets_build(i, &build); i++)
        if (strcmp(build.build_id, build_id) == 0)
            return true;
    return false;
}

const struct fuseln_framework *fuseln_targets_row(size_t index, struct fuseln_target_row *ret_row)
{
    size_t f = 0;

    while (f < FRAMEWORKS && index >= frameworks[f]->row_count)
        index -= frameworks[f++]->row_count;
    if (f == FRAMEWORKS)
        return NULL;
    *ret_row = frameworks[f]->rows[index];
    return frameworks[f];
}

bool fuseln_targets_match_row(size_t index, const char *symbol, struct fuseln_target *ret_target)
{
    struct fuseln_target_row row;
    const struct fuseln_framework *framework = fuseln_targets_row(index, &row);
    const char *rest = framework ? past_scope(framework, symbol) : NULL;

    return rest && match_row(framework, &row, symbol, rest, ret_target);
}
