/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page (command.h). Its frame, with its styles and its script, is page.html; this fills it and writes the file.
 */
#include "tools/fuseln/html.h"

#include "tools/fuseln/command.h"
#include "tools/fuseln/merge.h"

#include "base/output.h"

#include "version.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the parts of page.html ---- */

static void put_share(FILE *page, const json_t *report)
{
    html_count(page, json_object_get(report, "totals"), "substituted");
    html_put(page, " of ");
    html_count(page, json_object_get(report, "totals"), "recognised");
}

static void put_title(FILE *page, const json_t *report, const json_t *view)
{
    html_put(page, "fuseln: ");
    put_share(page, report);
    html_put(page, " replaced: %s", fuseln_text_at(json_array_get(json_object_get(view, "processes"), 0), "command"));
}

static void put_head(FILE *page, const json_t *report, const json_t *view)
{
    const json_t *files = json_object_get(report, "files"),
                 *first = json_array_get(json_object_get(view, "processes"), 0);
    html_put(page, "<h1>fuseln report</h1>\n<p><code>%s</code></p>\n<p class=\"soft\">%d report%s, mode %s</p>",
             fuseln_text_at(first, "command"), (int)json_array_size(files), json_array_size(files) == 1 ? "" : "s",
             fuseln_files_mode(files));
}

/* Numbers, the last two of which are left out where they are none. */
static void put_numbers(FILE *page, const json_t *report)
{
    static const struct {
        const char *key, *text;
        bool always;
    } numbers[] = {{"launches", "kernel launches", true},
                   {"recognised", "layer norms", true},
                   {"substituted", "replaced", true},
                   {"passed_through", "passed on to the original", true},
                   {"pairs", "backwards that read dY and X once", false},
                   {"left_out", "registrations that found no room", false}};
    const json_t *totals = json_object_get(report, "totals"), *saved = json_object_get(report, "saved");
    html_put(page, "<dl>\n");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (!numbers[i].always && fuseln_count_at(totals, numbers[i].key) == 0)
            continue;
        html_put(page, "<div><dt>%s</dt><dd>", numbers[i].text);
        html_count(page, totals, numbers[i].key);
        html_put(page, "</dd></div>\n");
    }
    if (saved) {
        html_put(page, "<div><dt>saved since it was measured</dt><dd>");
        html_time(page, saved, "us");
        html_put(page, "</dd></div>\n");
    }
    html_put(page, "</dl>\n");
}

static void put_summary(FILE *page, const json_t *report, const json_t *view)
{
    const json_t *totals = json_object_get(report, "totals");
    const double all = fuseln_real_at(totals, "recognised"), ours = fmin(fuseln_real_at(totals, "substituted"), all);
    const size_t failed = json_array_size(json_object_get(json_object_get(view, "notes"), "verify"));
    html_put(page, "<section aria-labelledby=\"summary\"><h2 class=\"lead\" id=\"summary\">");
    put_share(page, report);
    html_put(page,
             " layer norms replaced</h2>\n<svg class=\"whole\" aria-hidden=\"true\" width=\"100%%\" height=\"10\">"
             "<rect class=\"rest\" width=\"%f%%\" height=\"10\"/><rect class=\"ours\" width=\"%f%%\" height=\"10\"/>"
             "</svg>\n",
             all > 0 ? 100. : 0, all > 0 ? 100 * ours / all : 0);
    if (failed > 0)
        html_put(page,
                 "<p class=\"note bad\"><a href=\"#verify\">Checked against the original and found wrong: %d</a></p>\n",
                 (int)failed);
    if (json_is_string(json_object_get(report, "why")))
        html_put(page, "<p class=\"note\">%s</p>\n", fuseln_text_at(report, "why"));
    put_numbers(page, report);
    html_put(page, "</section>\n");
}

static void put_version(FILE *page, const json_t *report, const json_t *view)
{
    (void)report, (void)view;
    html_put(page, "fuseln %s (%s)", FUSELN_VERSION, FUSELN_COMMIT);
}

static void put_page(FILE *page, const json_t *report)
{
    static const char frame[] = {
#include "page.inc"
    };
    static const struct {
        const char *mark;
        void (*put)(FILE *page, const json_t *report, const json_t *view);
    } parts[] = {{"<!--title-->", put_title},
                 {"<!--head-->", put_head},
                 {"<!--links-->", html_put_links},
                 {"<!--summary-->", put_summary},
                 {"<!--sections-->", html_put_sections},
                 {"<!--version-->", put_version}}; /* in their order there */
    json_t *view = html_view(report);
    const char *at = frame;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *mark = strstr(at, parts[i].mark);
        fwrite(at, 1, (size_t)(mark - at), page);
        parts[i].put(page, report, view);
        at = mark + strlen(parts[i].mark);
    }
    fputs(at, page);
    json_decref(view);
}

/* ---- the file ---- */

/* In memory that the caller frees; NULL with errno. */
static char *make_page(const json_t *report, size_t *ret_size)
{
    char *text = NULL;
    FILE *page = open_memstream(&text, ret_size);
    if (!page)
        return NULL;
    put_page(page, report);
    const bool whole = !ferror(page);
    if (fclose(page) == 0 && whole)
        return text;
    free(text);
    errno = ENOMEM;
    return NULL;
}

/* Writes to fd, unless it could not be opened, and closes it. Returns 0 or errno. */
static int write_and_close(int fd, const char *text, size_t size)
{
    if (fd < 0)
        return errno;
    const int error = -fuseln_write(fd, text, size, FUSELN_WRITE_FILE);
    return close(fd) != 0 && !error ? errno : error;
}

/* To a temporary file, which then takes the place of the other. Returns 0 or errno. */
static int replace_file(const char *path, const char *text, size_t size)
{
    char target[PATH_MAX], temporary[PATH_MAX + 16];
    const mode_t mask = umask(0);
    umask(mask);
    if (!realpath(path, target)) { /* a link stays one */
        if (errno != ENOENT || strlen(path) >= sizeof target)
            return errno;
        strcpy(target, path);
    }
    const char *slash = strrchr(target, '/');
    snprintf(temporary, sizeof temporary, "%.*s.fuseln-XXXXXX", (int)(slash ? slash + 1 - target : 0), target);
    const int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd >= 0)
        fchmod(fd, 0666 & ~mask);
    int error = write_and_close(fd, text, size);
    if (!error && rename(temporary, target) != 0)
        error = errno;
    if (error && fd >= 0)
        unlink(temporary);
    return error;
}

/* Returns 0 or errno. */
static int write_page(const char *path, const char *text, size_t size)
{
    struct stat status;
    if (strcmp(path, "-") == 0) /* what is lost there is said at the exit: fuseln_say_begin */
        return fwrite(text, 1, size, stdout), 0;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return write_and_close(open(path, O_WRONLY | O_CLOEXEC), text, size);
    return replace_file(path, text, size);
}

/* Says what went wrong, if anything did. */
static int exit_code(const char *path, int error)
{
    return error ? fuseln_fail(1, "cannot write the page %s: %s", path, strerror(error)) : 0;
}

int fuseln_html_check(const char *path)
{
    if (fuseln_is_json(path)) /* `--html *.json` would lose the first report */
        return fuseln_fail(EXIT_USAGE, "--html=%s: a page is no .json; name the page to write", path);
    return exit_code(path, strcmp(path, "-") == 0 ? 0 : fuseln_write_error(path));
}

int fuseln_html_write(const json_t *report, const char *path)
{
    size_t size;
    char *text = make_page(report, &size);
    const int error = text ? write_page(path, text, size) : errno;
    free(text);
    return exit_code(path, error);
}
