/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings (config.h): one parser and one sentence of what is allowed for each row of FUSELN_VARIABLES. A default
 * passes the same parser as a value. Several threads may read the environment at once, one of them publishes: nobody
 * holds a lock while another library's constructor registers kernels.
 */
#include "base/config.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
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

/* The first threads that ask may each read the environment; more of them than this at once wait for a winner. */
static struct fuseln_config pool[4];
static _Atomic unsigned pool_used;
_Atomic(const struct fuseln_config *) fuseln_config_published;

/* Parsers: NULL when all is well, else the part of value that is not allowed. Nothing is changed then. */
static const char *parse_MODE(struct fuseln_config *config, const char *value)
{
#define X(id, text)           \
    if (!strcmp(value, text)) \
        return config->mode = FUSELN_MODE_##id, NULL;
    FUSELN_MODES(X) // clang-format off
#undef X // clang-format on
    return value;
}

static const char *copy_text(char *to, size_t size, const char *value)
{
    if (strlen(value) >= size)
        return value;
    strcpy(to, value);
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

/* Decimal digits only (strtoull takes signs and blanks); *ret_end is what follows. */
static bool parse_digits(const char *text, uint64_t *ret_value, const char **ret_end)
{
    char *end;
    errno = 0;
    *ret_value = strtoull(text, &end, 10);
    *ret_end = end;
    return isdigit((unsigned char)*text) && errno == 0;
}

static const char *parse_REPORT_EVERY(struct fuseln_config *config, const char *value)
{
    uint64_t seconds;
    const char *end;
    if (!parse_digits(value, &seconds, &end) || *end || seconds < 1 || seconds > 86400)
        return value;
    config->report_every_s = (unsigned)seconds;
    return NULL;
}

static const char *parse_CHECK(struct fuseln_config *config, const char *value)
{
    uint64_t launches;
    const char *end;
    if (!parse_digits(value, &launches, &end) || *end || launches > 1000000)
        return value;
    config->check = (unsigned)launches;
    return NULL;
}

static const char *parse_SCRATCH(struct fuseln_config *config, const char *value)
{
    uint64_t bytes;
    const char *end;
    if (!parse_digits(value, &bytes, &end))
        return value;
    const char *unit = *end ? strchr("KMG", toupper((unsigned char)*end)) : NULL;
    unsigned shift = unit ? 10 * (unsigned)(unit - "KMG" + 1) : 0;
    if ((*end && (!unit || end[1])) || bytes > SIZE_MAX >> shift)
        return value;
    config->scratch_bytes = (size_t)bytes << shift;
    return NULL;
}

static const char *parse_LOG(struct fuseln_config *config, const char *value)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    const char *path = strchr(value, ':');
    size_t length = path ? (size_t)(path - value) : strlen(value);
    unsigned level = FUSELN_LOG_WARN; /* ":path" alone */
    if (length > 0)
        for (level = 0; level < 4 && (strlen(levels[level]) != length || memcmp(levels[level], value, length));)
            level++;
    if (level == 4 || (path && copy_text(config->log_path, sizeof config->log_path, path + 1)))
        return value;
    config->log_level = (enum fuseln_log_level)level;
    return NULL;
}

/* The words of a comma list, one after the other: false past the last. */
static bool next_word(const char **list, const char **ret_word, size_t *ret_length)
{
    *list += strspn(*list, ", ");
    *ret_word = *list;
    *ret_length = strcspn(*list, ", ");
    *list += *ret_length;
    return *ret_length > 0;
}

static bool word_is(const char *word, size_t length, const char *text)
{
    return strlen(text) == length && !memcmp(word, text, length);
}

static const char *parse_HOOKS(struct fuseln_config *config, const char *value)
{
    const char *list = value, *word;
    unsigned hooks = 0;
    size_t length;
    while (next_word(&list, &word, &length)) {
        enum fuseln_boundary boundary = 0;
        while (boundary < FUSELN_BOUNDARY_COUNT && !word_is(word, length, fuseln_boundary_name(boundary)))
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

static const char *parse_ONLY(struct fuseln_config *config, const char *value)
{
    char executable[256], pattern[256];
    const char *word;
    size_t length;
    fuseln_path_executable(executable, sizeof executable);
    bool named = *value == '\0';
    while (!named && next_word(&value, &word, &length)) {
        snprintf(pattern, sizeof pattern, "%.*s", (int)length, word);
        named = !fnmatch(pattern, executable, 0) || !fnmatch(pattern, program_invocation_short_name, 0);
    }
    if (!named)
        config->mode = FUSELN_MODE_OFF;
    return NULL;
}

/* Does this word of FUSELN_SKIP name the target? A NULL target asks whether the word is one at all. */
static bool skip_matches(const char *word, size_t length, const struct fuseln_target *target, int64_t cols)
{
    uint64_t number;
    const char *end;
    bool known = false;
    for (int op = 0; op < FUSELN_OP_COUNT; op++)
        if (word_is(word, length, fuseln_op_name(op)) || word_is(word, length, fuseln_op_pass(op)))
            known |= !target || target->op == (enum fuseln_op)op;
    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++)
        if (word_is(word, length, fuseln_dtype_name(dtype)))
            known |= !target || target->dtype == (enum fuseln_dtype)dtype;
    if (word_is(word, length, "rms"))
        return !target || target->rms;
    if (memchr(word, '/', length)) /* a target's name: the rows of hooks/targets/match.c are not known here */
        return !target || word_is(word, length, target->name);
    if (length > 5 && !memcmp(word, "cols=", 5))
        return parse_digits(word + 5, &number, &end) && end == word + length && (!target || number == (uint64_t)cols);
    if (length > 6 && !memcmp(word, "build=", 6))
        return !target || (target->library && !strncasecmp(word + 6, target->library->build_id, length - 6));
    return known;
}

static const char *parse_SKIP(struct fuseln_config *config, const char *value)
{
    const char *word, *bad = copy_text(config->skip, sizeof config->skip, value);
    size_t length;
    config->skip_pairs = false;
    while (next_word(&value, &word, &length)) {
        if (word_is(word, length, "pairs"))
            config->skip_pairs = true;
        else if (!bad && !skip_matches(word, length, NULL, 0))
            bad = word;
    }
    return bad;
}

bool fuseln_config_skips(const struct fuseln_config *config, const struct fuseln_target *target, int64_t cols)
{
    const char *list = config->skip, *word;
    size_t length;
    if (!*list)
        return false;
    while (next_word(&list, &word, &length))
        if (skip_matches(word, length, target, cols))
            return true;
    return false;
}

/* What may stand in each variable, for the warning. */
#define X(id, text)          " " text
#define ALLOWED_MODE         "one of" FUSELN_MODES(X)
#define ALLOWED_PATH         "at most 1023 bytes"
#define ALLOWED_REPORT       ALLOWED_PATH
#define ALLOWED_REPORT_EVERY "whole seconds, 1 to 86400"
#define ALLOWED_CHECK        "launches, 0 to 1000000"
#define ALLOWED_TRACE        ALLOWED_PATH
#define ALLOWED_LOG          "error warn info debug, then :path if wanted"
#define ALLOWED_SKIP \
    "forward backward moments apply dx dgamma rms f32 f16 bf16 f64 pairs cols=N build=ID target/name, with commas"
#define ALLOWED_ONLY    ALLOWED_PATH
#define ALLOWED_HOOKS   "runtime driver, with a comma"
#define ALLOWED_SCRATCH "bytes, with K, M or G if wanted"

static const struct variable {
    const char *name, *initial, *allowed;
    const char *(*parse)(struct fuseln_config *config, const char *value);
} variables[] = {
#define V(id, initial, help) {"FUSELN_" #id, initial, ALLOWED_##id, parse_##id},
    FUSELN_VARIABLES(V)
#undef V
};
#undef X
enum { VARIABLES = sizeof variables / sizeof *variables };

static void add_warning(struct fuseln_config *config, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_warning(struct fuseln_config *config, const char *format, ...)
{
    size_t used = strlen(config->warnings), room = sizeof config->warnings - used - 1;
    char *line = config->warnings + used;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, room, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= room) {
        *line = '\0';
        return;
    }
    fuseln_clean(line);
    strcat(line, "\n");
}

static void load_variable(struct fuseln_config *config, const struct variable *variable)
{
    variable->parse(config, variable->initial);
    const char *value = secure_getenv(variable->name);
    const char *bad = value && *value ? variable->parse(config, value) : NULL;
    if (!bad)
        return;
    if (variable->parse == parse_SKIP) /* the known words keep their meaning */
        add_warning(config, "%s: \"%.*s\" is not known (allowed: %s), this word is left out", variable->name,
                    (int)(strlen(bad) < 200 ? strcspn(bad, ", ") : 200), bad, variable->allowed);
    else
        add_warning(config, "%s=%.200s is not valid (allowed: %s), %s%s", variable->name, value, variable->allowed,
                    *variable->initial ? variable->initial : "it counts as unset", *variable->initial ? " stays" : "");
}

/* Edit distance of two names shorter than 32. */
static unsigned name_distance(const char *a, size_t length, const char *b)
{
    unsigned row[32];
    size_t columns = strlen(b);
    for (size_t j = 0; j <= columns; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= length; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= columns; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            unsigned gap = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < gap ? change : gap;
        }
    }
    return row[columns];
}

static void warn_unknown(struct fuseln_config *config, const char *name, size_t length)
{
    const char *nearest = variables[0].name;
    unsigned best = UINT32_MAX;
    for (size_t i = 0; i < VARIABLES; i++) {
        if (word_is(name, length, variables[i].name))
            return;
        unsigned distance = name_distance(name, length, variables[i].name);
        if (distance < best) {
            best = distance;
            nearest = variables[i].name;
        }
    }
    add_warning(config, "%.*s is not a variable of fuseln (the nearest is %s)", (int)length, name, nearest);
}

static void load(struct fuseln_config *config)
{
    if (!getcwd(config->folder, sizeof config->folder))
        config->folder[0] = '\0';
    for (size_t i = 0; i < VARIABLES; i++)
        load_variable(config, &variables[i]);
    config->pairs = config->skip_pairs || config->mode == FUSELN_MODE_MEASURE ? FUSELN_PAIRING_SKIPPED
                    : config->hooks != (1u << FUSELN_BOUNDARY_COUNT) - 1      ? FUSELN_PAIRING_UNSEEN
                                                                              : FUSELN_PAIRING_PAIRED;
    for (char **entry = environ; entry && *entry && !getauxval(AT_SECURE); entry++)
        if (!strncmp(*entry, "FUSELN_", 7) && strchr(*entry, '='))
            warn_unknown(config, *entry, strcspn(*entry, "="));
}

const struct fuseln_config *fuseln_config_read(void)
{
    const struct fuseln_config *winner = NULL;
    int saved = errno;
    fuseln_stream_look(); /* nothing of ours runs earlier: what 1 and 2 are now, they mostly were at the start */
    unsigned mine = atomic_fetch_add(&pool_used, 1);
    if (mine < sizeof pool / sizeof *pool) {
        load(&pool[mine]);
        atomic_compare_exchange_strong(&fuseln_config_published, &winner, &pool[mine]);
    }
    while (!(winner = atomic_load(&fuseln_config_published)))
        sched_yield();
    errno = saved;
    return winner;
}

static __attribute__((noinline)) void complain_of_template(const struct fuseln_config *config, const char *name,
                                                           const char *path_template,
                                                           void (*say)(const char *text, int length))
{
    char complaint[FUSELN_COMPLAINT_MAX], line[1400];
    if (fuseln_path_expand(path_template, config->folder, NULL, complaint))
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
    for (const char *line = config->warnings; *line; line += strcspn(line, "\n") + 1)
        say(line, (int)strcspn(line, "\n"));
    complain_of_template(config, "FUSELN_REPORT", config->report, say);
    complain_of_template(config, "FUSELN_TRACE", config->trace, say);
    complain_of_template(config, "FUSELN_LOG", config->log_path, say);
}
