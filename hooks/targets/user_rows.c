/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See user_rows.h. Threads that come at once may each read the file, into memory of their own; the first to be done
 * publishes what it read, and the others drop theirs: no lock, and nobody waits.
 */
#include "hooks/targets/user_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/config.h"
#include "base/file.h"
#include "base/path.h"
#include "hooks/targets/match.h"
#include "hooks/targets/signature.h"
#include "hooks/targets/words.h"

enum { FILE_MAX = 1 << 20 };

/* ---- one row ---- */

/* What a row is made from. */
struct source {
    const char *begin; /* of the file */
    struct fuseln_text name, body;
};

static unsigned line_of(const struct source *source, const char *at)
{
    unsigned line = 1;

    for (const char *c = source->begin; c < at; c++)
        line += *c == '\n';
    return line;
}

static void refuse(struct fuseln_user_row *row, const struct source *source, struct fuseln_refusal refusal)
{
    const size_t room = sizeof row->what - 1, length = refusal.what.length < room ? refusal.what.length : room;

    if (refusal.what.length)
        row->line = line_of(source, refusal.what.at);
    memcpy(row->what, refusal.what.at, length);
    atomic_store_explicit(&row->refused, refusal.reason, memory_order_relaxed);
}

/* As FUSELN_SKIP can name it. */
static bool name_is_valid(struct fuseln_text name)
{
    bool slash = false;

    for (size_t i = 0; i < name.length; i++) {
        if (name.at[i] <= ' ' || name.at[i] > '~' || strchr(",[]", name.at[i]))
            return false;
        slash |= name.at[i] == '/';
    }
    return slash && name.length <= FUSELN_USER_NAME_MAX;
}

static const struct fuseln_user_row *find_named(const struct fuseln_user_rows *rows, struct fuseln_text name)
{
    for (size_t i = 0; i < rows->count; i++)
        if (fuseln_text_is(name, rows->rows[i].target.name))
            return &rows->rows[i];
    return NULL;
}

static struct fuseln_user_row *find_symbol(struct fuseln_user_rows *rows, struct fuseln_text symbol)
{
    for (size_t i = 0; i < rows->count; i++)
        if (rows->rows[i].symbol_length == symbol.length && memcmp(rows->rows[i].symbol, symbol.at, symbol.length) == 0)
            return &rows->rows[i];
    return NULL;
}

/* The two fields that only a user's row has. */
static void read_identity(struct fuseln_user_row *row, struct fuseln_text body)
{
    struct fuseln_text key, value;

    while (fuseln_words_field(&body, &key, &value)) {
        if (fuseln_text_is(key, "symbol")) {
            row->symbol = value.at;
            row->symbol_length = value.length;
        } else if (fuseln_text_is(key, "build")) {
            row->builds = value.at;
            row->builds_length = value.length;
        }
    }
}

/* Does a row of ours have this symbol? It is terminated for that long. */
static bool is_built_in(struct fuseln_text symbol)
{
    char *end = (char *)(uintptr_t)symbol.at + symbol.length;
    const char after = *end;
    struct fuseln_target target;

    *end = '\0';
    const bool built_in = fuseln_targets_match(symbol.at, &target);
    *end = after;
    return built_in;
}

/* ---- What the name must show of each argument ---- */

static bool is_output(enum fuseln_role role, enum fuseln_op op)
{
    const bool forward = op == FUSELN_OP_FORWARD || op == FUSELN_OP_MOMENTS;

    switch (role) {
    case FUSELN_ROLE_MEAN:
    case FUSELN_ROLE_RSTD:
        return forward;
    case FUSELN_ROLE_Y:
    case FUSELN_ROLE_DX:
    case FUSELN_ROLE_DGAMMA:
    case FUSELN_ROLE_DBETA:
    case FUSELN_ROLE_SUM:
        return true;
    default:
        return false;
    }
}

/* Of the pointer's roles, which one that the operation writes can be among. */
static bool is_written(const struct fuseln_target *target, int argument)
{
    const struct fuseln_layout *layout = &target->layout;
    bool written = is_output((enum fuseln_role)layout->role[argument], target->op);

    for (int i = 0; i < layout->pointer_count; i++)
        written |= layout->pointers[i].argument == argument &&
                   is_output((enum fuseln_role)layout->pointers[i].role, target->op);
    return written;
}

static bool is_null(const struct fuseln_layout *layout, int argument)
{
    for (int i = 0; i < layout->require_count; i++)
        if (layout->require[i].argument == argument)
            return !layout->require[i].factors && !layout->require[i].low && !layout->require[i].high;
    return false;
}

/* NULL, or why a pointer is not accounted for. */
static const char *pointer_wrong(const struct fuseln_target *target, int argument, enum fuseln_parameter_kind shown)
{
    const bool in = target->layout.in >> argument & 1;

    if (is_null(&target->layout, argument))
        return NULL;
    if (target->layout.role[argument] >= FUSELN_POINTER_ROLES_END)
        return "a pointer needs a role, or must be null: what lies behind it cannot be ignored";
    if (is_written(target, argument))
        return in                                        ? "an `in` is an output"
               : shown == FUSELN_PARAMETER_CONST_POINTER ? "an output is const by the kernel's name"
                                                         : NULL;
    return in || shown == FUSELN_PARAMETER_CONST_POINTER
               ? NULL
               : "a pointer is not const by the kernel's name: it is an output that the row does not name, or belongs "
                 "into `in`";
}

static const char *argument_wrong(const struct fuseln_target *target, int argument,
                                  const struct fuseln_parameter *shown)
{
    const enum fuseln_arg_type type = (enum fuseln_arg_type)target->layout.type[argument];

    if (shown->kind != FUSELN_PARAMETER_UNKNOWN && shown->type != type)
        return "an argument has another type than in the kernel's name";
    return type == FUSELN_ARG_PTR ? pointer_wrong(target, argument, shown->kind) : NULL;
}

static const char *arguments_wrong(const struct fuseln_user_row *row)
{
    struct fuseln_parameter shown[FUSELN_ARGS_MAX] = {0};
    const int count = fuseln_signature_read(row->symbol, row->symbol_length, shown);
    const char *wrong = NULL;

    if (count >= 0 && count != row->target.layout.count)
        return "args has not as many as the kernel's name";
    if (count < 0)
        memset(shown, 0, sizeof shown);
    for (int i = 0; !wrong && i < row->target.layout.count; i++)
        wrong = argument_wrong(&row->target, i, &shown[i]);
    return wrong;
}

/* NULL, or what is wrong with the row. */
static struct fuseln_refusal row_read(struct fuseln_user_rows *rows, struct fuseln_user_row *row,
                                      const struct source *source)
{
    struct fuseln_refusal refusal = {"", {"", 0}};
    const struct fuseln_text none = {"", 0};

    if (!name_is_valid(source->name))
        return (struct fuseln_refusal){"is not a name: at most 40 letters, a slash among them, such as mine/norm/f16",
                                       source->name};
    if (find_named(rows, source->name))
        return (struct fuseln_refusal){"is the name of an earlier row", source->name};
    read_identity(row, source->body);
    const struct fuseln_text symbol = {row->symbol, row->symbol_length};
    if (!symbol.length)
        return (struct fuseln_refusal){"a row needs symbol, the kernel's complete mangled name", none};
    if (is_built_in(symbol))
        return (struct fuseln_refusal){"is a kernel that fuseln has a row for", symbol};
    if (find_symbol(rows, symbol) != NULL)
        return (struct fuseln_refusal){"has an earlier row", symbol};
    if (!fuseln_words_parse(source->body, NULL, &row->target, &refusal))
        return refusal;
    row->target.user = row;
    row->target.layout.plain = false; /* its eps is looked at */
    const char *wrong = arguments_wrong(row);
    return wrong ? (struct fuseln_refusal){wrong, none} : (struct fuseln_refusal){NULL, none};
}

static void row_add(struct fuseln_user_rows *rows, const struct source *source)
{
    struct fuseln_user_row *row = &rows->rows[rows->count];
    const size_t length = source->name.length < FUSELN_USER_NAME_MAX ? source->name.length : FUSELN_USER_NAME_MAX;

    row->line = line_of(source, source->name.at);
    const struct fuseln_refusal refusal = row_read(rows, row, source);
    memcpy(row->target.name, source->name.at, length);
    if (refusal.reason)
        refuse(row, source, refusal);
    rows->count++;
}

/* ---- the file ---- */

static void blank_comments(char *text, size_t bytes)
{
    bool comment = false;

    for (size_t i = 0; i < bytes; i++) {
        comment = text[i] != '\n' && (comment || text[i] == '#');
        if (comment)
            text[i] = ' ';
    }
}

static const char *next_line(const char *at, const char *end)
{
    at = memchr(at, '\n', (size_t)(end - at));
    return at ? at + 1 : end;
}

/* Where the first line from `at` on begins whose first character is a bracket; the end where there is none. */
static const char *next_header(const char *at, const char *end)
{
    while (at < end) {
        const char *line = at;
        while (at < end && (*at == ' ' || *at == '\t'))
            at++;
        if (at < end && *at == '[')
            return at;
        at = next_line(line, end);
    }
    return end;
}

/* [name], and nothing else on its line. */
static struct fuseln_text header_name(const char *at, const char *end)
{
    const char *close;
    struct fuseln_text line = {at, 0};

    while (at + line.length < end && at[line.length] != '\n')
        line.length++;
    while (line.length && (unsigned char)at[line.length - 1] <= ' ')
        line.length--;
    close = memchr(at, ']', line.length);
    return close == at + line.length - 1 ? (struct fuseln_text){at + 1, (size_t)(close - at - 1)} : line;
}

void fuseln_user_parse(struct fuseln_user_rows *ret_rows, char *text, size_t bytes)
{
    const char *const end = text + bytes;
    size_t headers = 0;

    blank_comments(text, bytes);
    const char *at = next_header(text, end);
    for (const char *header = at; header < end; header = next_header(next_line(header, end), end))
        headers++;
    for (const char *c = text; c < at && !ret_rows->wrong; c++)
        if ((unsigned char)*c > ' ')
            ret_rows->wrong = "it does not begin with a [name]; no row is used";
    if (!headers || headers > FUSELN_USER_ROWS_MAX)
        ret_rows->wrong =
            headers ? "it has more than 256 rows; none is used" : "it has no row, such as [mine/norm/f16]";
    while (!ret_rows->wrong && at < end) {
        const char *next = next_header(next_line(at, end), end);
        struct source source = {.begin = text, .name = header_name(at, end)};
        source.body.at = source.name.at + source.name.length;
        source.body.at += source.body.at < next && *source.body.at == ']';
        source.body.length = (size_t)(next - source.body.at);
        row_add(ret_rows, &source);
        at = next;
    }
}

/* Returns the bytes of the file, at most FILE_MAX, or -1 with *ret_wrong. */
static ssize_t read_all(int fd, char *text, const char **ret_wrong)
{
    struct stat info;
    ssize_t got = 1;
    size_t bytes = 0;

    if (fuseln_file_stat(fd, "", AT_EMPTY_PATH, &info) != 0 || !S_ISREG(info.st_mode)) {
        *ret_wrong = "it is not a file; no row is used";
        return -1;
    }
    while (bytes <= FILE_MAX && got) {
        got = read(fd, text + bytes, FILE_MAX + 1 - bytes);
        if (got < 0 && errno != EINTR)
            break;
        bytes += got > 0 ? (size_t)got : 0;
    }
    if (got >= 0 && bytes <= FILE_MAX)
        return (ssize_t)bytes;
    *ret_wrong = got < 0 ? "it cannot be read; no row is used" : "it is larger than 1 MB; no row is used";
    return -1;
}

/* In memory of its own, which stays. NULL where there is none. O_NONBLOCK: a FIFO is not waited for. */
static struct fuseln_user_rows *rows_load(const struct fuseln_config *config)
{
    char path[FUSELN_PATH_MAX];
    const size_t size = sizeof(struct fuseln_user_rows) + FILE_MAX + 1;
    struct fuseln_user_rows *rows = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (rows == MAP_FAILED)
        return NULL;
    if (fuseln_path_expand(config->targets, config->folder, path, NULL) != 0)
        path[0] = '\0';
    const int fd = fuseln_file_open(path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0) {
        rows->wrong = "it cannot be opened; no row is used";
        return rows;
    }
    char *text = (char *)(rows + 1);
    const ssize_t bytes = read_all(fd, text, &rows->wrong);
    close(fd);
    if (bytes >= 0)
        fuseln_user_parse(rows, text, (size_t)bytes);
    return rows;
}

/* NULL: no file was named, or fuseln is off. */
static struct fuseln_user_rows *rows_get(void)
{
    struct fuseln_user_rows *rows = atomic_load_explicit(&fuseln_user_rows, memory_order_acquire), *others = NULL;
    const struct fuseln_config *config = fuseln_config_get();

    if (rows || !config->targets[0] || config->mode == FUSELN_MODE_OFF)
        return rows;
    rows = rows_load(config);
    if (!rows || atomic_compare_exchange_strong(&fuseln_user_rows, &others, rows))
        return rows;
    munmap(rows, sizeof *rows + FILE_MAX + 1);
    return others;
}

bool fuseln_user_match(const char *symbol, struct fuseln_target *ret_target)
{
    struct fuseln_user_rows *rows = rows_get();
    const struct fuseln_user_row *row = rows ? find_symbol(rows, (struct fuseln_text){symbol, strlen(symbol)}) : NULL;

    if (!row || fuseln_user_is_refused(row))
        return false;
    *ret_target = row->target;
    ret_target->symbol = symbol;
    return true;
}

bool fuseln_user_has_build(const struct fuseln_user_row *row, const char *build_id)
{
    struct fuseln_text rest = {row->builds, row->builds_length}, begin;

    while (row->builds && fuseln_text_part(&rest, ',', &begin))
        if (strncmp(build_id, begin.at, begin.length) == 0)
            return true;
    return !row->builds;
}
