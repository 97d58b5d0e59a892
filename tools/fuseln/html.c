/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page (command.h). Its frame, with its styles and its script, is page.html; this fills it and writes the file.
 */
#include "tools/fuseln/html.h"

#include "tools/fuseln/command.h"
#include "tools/fuseln/merge.h"

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

/* Where a page goes: a temporary file, which then takes the place of another. Without one: to what path opened. */
struct target {
    FILE *page;
    char path[PATH_MAX], temporary[PATH_MAX + 16];
};

/* False with errno. */
static bool open_temporary(const char *path, struct target *target)
{
    const mode_t mask = umask(0);
    umask(mask);
    if (!realpath(path, target->path)) { /* a link stays one */
        if (errno != ENOENT || !*path || strlen(path) >= sizeof target->path)
            return false;
        strcpy(target->path, path);
    }
    const char *slash = strrchr(target->path, '/');
    snprintf(target->temporary, sizeof target->temporary, "%.*s.fuseln-XXXXXX",
             (int)(slash ? slash + 1 - target->path : 0), target->path);
    const int fd = mkostemp(target->temporary, O_CLOEXEC);
    if (fd < 0)
        return false;
    fchmod(fd, 0666 & ~mask);
    target->page = fdopen(fd, "w");
    return target->page;
}

static mode_t kind_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_mode & S_IFMT : S_IFREG;
}

static bool open_target(const char *path, struct target *target)
{
    *target = (struct target){.page = strcmp(path, "-") == 0 ? stdout : NULL};
    if (target->page)
        return true;
    if (kind_of(path) == S_IFREG)
        return open_temporary(path, target);
    target->page = fopen(path, "we");
    return target->page;
}

/* Gives the page its name, or removes it if it is not wanted, or not whole. False with errno. */
static bool close_target(struct target *target, bool wanted)
{
    if (target->page == stdout) /* as all output there: fuseln_say_begin */
        return true;
    int error = ferror(target->page) ? errno : 0; /* a part may be lost although there is room again */
    if (fclose(target->page) != 0 && !error)
        error = errno;
    if (*target->temporary && (error || !wanted || rename(target->temporary, target->path) != 0)) {
        error = error || !wanted ? error : errno;
        unlink(target->temporary);
    }
    errno = error;
    return !error;
}

static int fail(const char *path)
{
    return fuseln_fail(1, "cannot write the page %s: %s", path, strerror(errno));
}

int fuseln_html_check(const char *path)
{
    struct target target;
    const mode_t kind = kind_of(path);
    if (fuseln_is_json(path)) /* `--html *.json` would lose the first report */
        return fuseln_fail(EXIT_USAGE, "--html=%s: a page is no .json; name the page to write", path);
    if (kind != S_IFREG && kind != S_IFDIR) /* to open a FIFO is to wait for its reader */
        return 0;
    return open_target(path, &target) && close_target(&target, false) ? 0 : fail(path);
}

int fuseln_html_write(const json_t *report, const char *path)
{
    struct target target;
    if (!open_target(path, &target))
        return fail(path);
    put_page(target.page, report);
    return close_target(&target, true) ? 0 : fail(path);
}
