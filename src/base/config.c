/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings (config.h): one parser for each row of FUSELN_VARIABLES. A default goes through the same parser as a
 * value.
 */
#include "base/config.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/file.h"
#include "base/path.h"

_Atomic(const struct fuseln_config *) fuseln_config_published;

struct word {
    const char *text;
    size_t length;
};

static bool is_word(struct word word, const char *text)
{
    return strlen(text) == word.length && !memcmp(word.text, text, word.length);
}

/* Takes the next word off a comma list; false at its end. */
static bool next_word(const char **list, struct word *ret_word)
{
    ret_word->text = *list + strspn(*list, ", ");
    ret_word->length = strcspn(ret_word->text, ", ");
    *list = ret_word->text + ret_word->length;
    return ret_word->length > 0;
}

/* Decimal digits only (strtoull accepts signs and blanks); *ret_end is what follows them. */
static bool parse_digits(const char *text, uint64_t *ret_value, const char **ret_end)
{
    char *end;
    errno = 0;
    *ret_value = strtoull(text, &end, 10);
    *ret_end = end;
    return isdigit((unsigned char)*text) && errno == 0;
}

static const char *copy_text(char *to, size_t size, const char *value)
{
    if (strlen(value) >= size)
        return value;
    strcpy(to, value);
    return NULL;
}

static const char *copy_number(unsigned *to, uint64_t least, uint64_t most, const char *value)
{
    uint64_t number;
    const char *end;
    if (!parse_digits(value, &number, &end) || *end || number < least || number > most)
        return value;
    *to = (unsigned)number;
    return NULL;
}

static void add_warning(struct fuseln_config *config, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_warning(struct fuseln_config *config, const char *format, ...)
{
    const size_t end = strlen(config->warnings), room = sizeof config->warnings - end - 1;
    char *line = config->warnings + end;
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(line, room, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= room) {
        *line = '\0';
        return;
    }
    fuseln_clean(line);
    strcat(line, "\n");
}

/* The parsers. Each returns NULL, or the part of value that is not allowed, and then changes nothing. */
static const char *parse_MODE(struct fuseln_config *config, const char *value)
{
    enum fuseln_mode mode = 0;
    while (mode < FUSELN_MODE_COUNT && strcmp(value, fuseln_mode_name(mode)))
        mode++;
    if (mode == FUSELN_MODE_COUNT)
        return value;
    config->mode = mode;
    return NULL;
}

static const char *parse_REPORT(struct fuseln_config *config, const char *value)
{
    return copy_text(config->report, sizeof config->report, value);
}

static const char *parse_TRACE(struct fuseln_config *config, const char *value)
{
    return copy_text(config->trace, sizeof config->trace, value);
}

static const char *parse_TARGETS(struct fuseln_config *config, const char *value)
{
    return copy_text(config->targets, sizeof config->targets, value);
}

static const char *parse_REPORT_EVERY(struct fuseln_config *config, const char *value)
{
    return copy_number(&config->report_every_s, 1, 86400, value);
}

static const char *parse_CHECK(struct fuseln_config *config, const char *value)
{
    return copy_number(&config->check, 0, 1000000, value);
}

static const char *parse_SCRATCH(struct fuseln_config *config, const char *value)
{
    uint64_t bytes;
    const char *end;
    if (!parse_digits(value, &bytes, &end))
        return value;
    const char *unit = *end ? strchr("KMG", toupper((unsigned char)*end)) : NULL;
    const unsigned shift = unit ? 10 * (unsigned)(unit - "KMG" + 1) : 0;
    if ((*end && (!unit || end[1])) || bytes > SIZE_MAX >> shift)
        return value;
    config->scratch_bytes = (size_t)bytes << shift;
    return NULL;
}

static const char *parse_LOG(struct fuseln_config *config, const char *value)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    const struct word word = {value, strcspn(value, ":")};
    const char *path = value[word.length] ? value + word.length + 1 : NULL;
    unsigned level = FUSELN_LOG_WARN; /* of ":path" alone */
    if (word.length > 0)
        for (level = 0; level < 4 && !is_word(word, levels[level]);)
            level++;
    if (level == 4 || (path && copy_text(config->log_path, sizeof config->log_path, path)))
        return value;
    config->log_level = (enum fuseln_log_level)level;
    return NULL;
}

static const char *parse_HOOKS(struct fuseln_config *config, const char *value)
{
    const char *list = value;
    unsigned hooks = 0;
    struct word word;
    while (next_word(&list, &word)) {
        enum fuseln_boundary boundary = 0;
        while (boundary < FUSELN_BOUNDARY_COUNT && !is_word(word, fuseln_boundary_name(boundary)))
            boundary++;
        if (boundary == FUSELN_BOUNDARY_COUNT)
            return value;
        hooks |= 1u << boundary;
    }
    if (!hooks)
        return value;
    config->hooks = hooks;
    return NULL;
}

enum { NAME_BYTES = 256 }; /* with the NUL */

bool fuseln_config_names(const char *list, const char *executable, const char *invoked)
{
    char pattern[NAME_BYTES];
    struct word word;
    bool named = *list == '\0';
    while (!named && next_word(&list, &word)) {
        if (word.length >= NAME_BYTES)
            continue; /* cut off, it could name another */
        snprintf(pattern, sizeof pattern, "%.*s", (int)word.length, word.text);
        named = !fnmatch(pattern, executable, 0) || !fnmatch(pattern, invoked, 0);
    }
    return named;
}

/* Unlike the others this and parse_SKIP take the valid words even if one is not. */
static const char *parse_ONLY(struct fuseln_config *config, const char *value)
{
    char executable[NAME_BYTES];
    const char *bad = NULL;
    struct word word;
    fuseln_path_executable(executable, sizeof executable);
    if (!fuseln_config_names(value, executable, program_invocation_short_name))
        config->mode = FUSELN_MODE_OFF;
    while (!bad && next_word(&value, &word))
        bad = word.length >= NAME_BYTES ? word.text : NULL;
    return bad;
}

/* Does this word of FUSELN_SKIP name the target, or this call of it? With target NULL: is it a valid word? */
static bool skip_matches(struct word word, const struct fuseln_target *target, const struct fuseln_call *call)
{
    uint64_t number;
    const char *end;
    bool matches = false;
    for (enum fuseln_op op = 0; op < FUSELN_OP_COUNT; op++)
        if (is_word(word, fuseln_op_name(op)) || is_word(word, fuseln_op_pass(op)))
            matches |= !target || target->op == op;
    for (enum fuseln_dtype dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++)
        if (is_word(word, fuseln_dtype_name(dtype)))
            matches |= !target || target->dtype == dtype;
    if (is_word(word, "rms"))
        return !target || call->rms;
    if (memchr(word.text, '/', word.length)) /* any target name is valid: only hooks/targets knows them all */
        return !target || is_word(word, target->name);
    if (word.length > 5 && !memcmp(word.text, "cols=", 5))
        return parse_digits(word.text + 5, &number, &end) && end == word.text + word.length &&
               (!target || number == (uint64_t)call->cols);
    if (word.length > 6 && !memcmp(word.text, "build=", 6))
        return !target || (target->library && !strncasecmp(word.text + 6, target->library->build_id, word.length - 6));
    return matches;
}

/* As parse_ONLY; and where the list is too long, it takes the words that fit. */
static const char *parse_SKIP(struct fuseln_config *config, const char *value)
{
    const char *list = value, *end = value, *bad = NULL;
    struct word word;
    config->pairs = FUSELN_PAIRING_PAIRED;
    while (next_word(&list, &word) && (size_t)(list - value) < sizeof config->skip) {
        end = list;
        if (is_word(word, "pairs"))
            config->pairs = FUSELN_PAIRING_SKIPPED;
        else if (!bad && !skip_matches(word, NULL, NULL))
            bad = word.text;
    }
    snprintf(config->skip, sizeof config->skip, "%.*s", (int)(end - value), value);
    if (word.length)
        add_warning(config, "FUSELN_SKIP is longer than 1023 bytes: \"%.*s\" and what follows is left out",
                    word.length < 200 ? (int)word.length : 200, word.text);
    return bad;
}

bool fuseln_config_skips(const struct fuseln_config *config, const struct fuseln_target *target,
                         const struct fuseln_call *call)
{
    const char *list = config->skip;
    struct word word;
    if (!*list)
        return false;
    while (next_word(&list, &word))
        if (skip_matches(word, target, call))
            return true;
    return false;
}

static const struct variable {
    const char *name, *initial, *allowed;
    const char *(*parse)(struct fuseln_config *config, const char *value);
} variables[] = {
#define V(id, initial, allowed, help) {"FUSELN_" #id, initial, allowed, parse_##id},
    FUSELN_VARIABLES(V)
#undef V
};
enum { VARIABLES = sizeof variables / sizeof *variables };

static void load_variable(struct fuseln_config *config, const struct variable *variable)
{
    variable->parse(config, variable->initial);
    const char *value = secure_getenv(variable->name);
    const char *bad = value && *value ? variable->parse(config, value) : NULL;
    if (!bad)
        return;
    if (variable->parse == parse_SKIP || variable->parse == parse_ONLY)
        add_warning(config, "%s: \"%.*s\" is not known (allowed: %s), this word is left out", variable->name,
                    (int)(strlen(bad) < 200 ? strcspn(bad, ", ") : 200), bad, variable->allowed);
    else
        add_warning(config, "%s=%.200s is not valid (allowed: %s), %s%s", variable->name, value, variable->allowed,
                    *variable->initial ? variable->initial : "it counts as unset", *variable->initial ? " stays" : "");
}

/* The edit distance between a word and a name shorter than 32. */
static unsigned edit_distance(struct word word, const char *name)
{
    unsigned row[32];
    const size_t columns = strlen(name);
    for (size_t j = 0; j <= columns; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= word.length; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= columns; j++) {
            const unsigned change = diagonal + (word.text[i - 1] != name[j - 1]);
            diagonal = row[j];
            const unsigned gap = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < gap ? change : gap;
        }
    }
    return row[columns];
}

static void warn_unless_known(struct fuseln_config *config, struct word name)
{
    const char *nearest = NULL;
    unsigned best = UINT32_MAX;
    for (size_t i = 0; i < VARIABLES; i++) {
        const unsigned distance = edit_distance(name, variables[i].name);
        if (distance == 0)
            return;
        if (distance < best) {
            best = distance;
            nearest = variables[i].name;
        }
    }
    add_warning(config, "%.*s is not a variable of fuseln (the nearest is %s)", (int)name.length, name.text, nearest);
}

static void load(struct fuseln_config *config)
{
    if (!getcwd(config->folder, sizeof config->folder))
        config->folder[0] = '\0';
    for (size_t i = 0; i < VARIABLES; i++)
        load_variable(config, &variables[i]);
    if (config->mode == FUSELN_MODE_MEASURE)
        config->pairs = FUSELN_PAIRING_SKIPPED;
    else if (config->pairs == FUSELN_PAIRING_PAIRED && config->hooks != (1u << FUSELN_BOUNDARY_COUNT) - 1)
        config->pairs = FUSELN_PAIRING_UNSEEN;
    for (char **entry = environ; entry && *entry && !getauxval(AT_SECURE); entry++)
        if (!strncmp(*entry, "FUSELN_", 7) && strchr(*entry, '='))
            warn_unless_known(config, (struct word){*entry, strcspn(*entry, "=")});
}

/* The first four threads to get here each read the environment, one of them publishes the result, and any more wait for
 * it. A mutex would not do: fork is not handled yet, and a child that inherits it locked would wait for ever. */
const struct fuseln_config *fuseln_config_read(void)
{
    static struct fuseln_config pool[4];
    static _Atomic unsigned taken;
    const struct fuseln_config *published = NULL;
    const int saved = errno;
    fuseln_stream_record(); /* at our earliest moment, when 1 and 2 are most likely still what the program started with
                             */
    const unsigned mine = atomic_fetch_add(&taken, 1);
    if (mine < sizeof pool / sizeof *pool) {
        load(&pool[mine]);
        atomic_compare_exchange_strong(&fuseln_config_published, &published, &pool[mine]);
    }
    while (!(published = atomic_load_explicit(&fuseln_config_published, memory_order_acquire)))
        sched_yield();
    errno = saved;
    return published;
}

static void complain_of_template(const char *name, const char *path_template, void (*say)(const char *text, int length))
{
    char complaint[FUSELN_COMPLAINT_MAX], line[1400];
    if (fuseln_path_expand(path_template, fuseln_config_get()->folder, NULL, complaint))
        snprintf(line, sizeof line, "%s: the path is too long", name);
    else if (*complaint)
        snprintf(line, sizeof line, "%s=%s: %s", name, path_template, complaint);
    else
        return;
    say(line, (int)strlen(line));
}

void fuseln_config_complain(void (*say)(const char *text, int length))
{
    const struct fuseln_config *config = fuseln_config_get();
    const char *const templates[][2] = {{"FUSELN_REPORT", config->report},
                                        {"FUSELN_TRACE", config->trace},
                                        {"FUSELN_LOG", config->log_path},
                                        {"FUSELN_TARGETS", config->targets}};
    for (const char *line = config->warnings; *line; line += strcspn(line, "\n") + 1)
        say(line, (int)strcspn(line, "\n"));
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++)
        complain_of_template(templates[i][0], templates[i][1], say);
}
