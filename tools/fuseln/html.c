/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See html.h. The page's frame, with its styles and its script, is page.html; this fills it with the sections below and
 * writes it.
 */
#include "tools/fuseln/html.h"

#include "report/wording.h"
#include "tools/fuseln/command.h"
#include "tools/fuseln/html_parts.h"
#include "tools/fuseln/merge.h"
#include "tools/fuseln/table.h"

#include "version.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the sections ---- */

// clang-format off
#define SITE {"layer norm", "target", html_code, LEFT}, {"columns", "cols", html_count, RIGHT}
static const struct html_column site_columns[] = {
    SITE,
    {"rows", "rows_max", html_rows, RIGHT},
    {"launches", "launches", html_count, RIGHT},
    {"replaced", "substituted", html_count, RIGHT},
    {"verified", "verify", html_verified, LEFT},
    {"saved", "saved_us", html_time, RIGHT},
    {"why not", "passed_through", html_counts, LEFT},
    {"kernel", "kernel", html_code, LEFT},
    {"library", "library", html_code, LEFT},
    {0}};
static const struct html_column reason_columns[] = {
    {"reason", "key", html_code, LEFT},
    {"launches", "count", html_count, RIGHT},
    {"in words", "text", html_text, WIDE},
    {0}};
static const struct html_column pair_columns[] = {
    SITE,
    {"backwards", "launches", html_count, RIGHT},
    {"one read", "pairs", html_count, RIGHT},
    {"why not", "unpaired", html_counts, LEFT},
    {0}};
static const struct html_column verify_columns[] = {
    SITE,
    {"verified", "verify", html_verified, LEFT},
    {"checked", "launches", html_count, RIGHT},
    {"waiting", "waiting", html_count, RIGHT},
    {"elements", "elements", html_count, RIGHT},
    {"ours outside", "outside", html_count, RIGHT},
    {"original outside", "outside_original", html_count, RIGHT},
    {"NaN in one alone", "nan", html_count, RIGHT},
    {"apart (ulp, RMS)", "apart", html_real, RIGHT},
    {"ours to float64", "ours", html_real, RIGHT},
    {"original to float64", "original", html_real, RIGHT},
    {"not checked", "unchecked", html_counts, LEFT},
    {0}};
static const struct html_column measure_columns[] = {
    SITE,
    {"rows", "rows_max", html_rows, RIGHT},
    {"kept", "kept", html_text, LEFT},
    {"ours, us", "ours_us", html_real, RIGHT},
    {"original, us", "original_us", html_real, RIGHT},
    {"ours, GB/s", "ours_gb_s", html_real, RIGHT},
    {"original, GB/s", "original_gb_s", html_real, RIGHT},
    {"launches since", "launches", html_count, RIGHT},
    {"saved", "saved_us", html_time, RIGHT},
    {0}};
static const struct html_column norm_columns[] = {
    {"made by", "maker", html_text, LEFT},
    {"launches", "launches", html_count, RIGHT},
    {"kernel", "symbol", html_code, WIDE},
    {0}};
static const struct html_column device_columns[] = {
    {"device", "name", html_text, LEFT},
    {"count", "count", html_count, RIGHT},
    {"compute capability", "compute_capability", html_text, LEFT},
    {"driver", "driver", html_text, LEFT},
    {"image", "image", html_text, LEFT},
    {"compiled by", "compiler", html_text, LEFT},
    {"scratch bytes", "scratch_bytes", html_count, RIGHT},
    {0}};
static const struct html_column build_columns[] = {
    {"library", "library", html_code, LEFT},
    {"build", "build", html_text, LEFT},
    {"build-id", "build_id", html_code, WIDE},
    {"launches", "launches", html_count, RIGHT},
    {"replaced", "substituted", html_count, RIGHT},
    {0}};
static const struct html_column process_columns[] = {
    {"process", "name", html_text, LEFT},
    {"mode", "mode", html_text, LEFT},
    {"layer norms", "recognised", html_count, RIGHT},
    {"replaced", "substituted", html_count, RIGHT},
    {"seconds", "seconds", html_real, RIGHT},
    {"state", "state", html_text, LEFT},
    {"command", "command", html_code, WIDE},
    {"fuseln", "version", html_text, LEFT},
    {"report", "file", html_code, LEFT},
    {0}};

static const struct html_section sections[] = {
    {"sites", "Layer norms of the program", "Each kernel at one number of columns, most launches first.", site_columns,
     {"Launches of the layer norms, and how many of them were replaced", "replaced", "passed on to the original",
      "substituted", "launches", false}},
    {"reasons", "Why launches were passed on", "The original kernel ran, within the same call.", reason_columns, {0}},
    {"measure", "Time", "Medians of both kernels, timed in turn on this program's own launches; a line for each process.", measure_columns,
     {"Bytes per second of both kernels, in GB/s", "ours", "original", "ours_gb_s", "original_gb_s", true}},
    {"verify", "Checks", "Ours against the original on the same inputs. The bound is derived from the type and the shape.",
     verify_columns, {0}},
    {"pairs", "Backwards", "dX and the gradients of gamma and beta from one read of dY and X.", pair_columns, {0}},
    {"unpaired", "Why backwards read dY and X twice", "Both were replaced, each by a kernel of its own.", reason_columns, {0}},
    {"norms", "Layer norms that fuseln does not know", "Left as they are.", norm_columns, {0}},
    {"ranks", "Ranks side by side", "Launches of each layer norm in each rank.", NULL, {0}},
    {"processes", "Processes", "One report each.", process_columns,
     {"Layer norms of the processes, and how many of them were replaced", "replaced", "passed on to the original",
      "substituted", "recognised", false}},
    {"devices", "Devices", "With the kernel image that was loaded there.", device_columns, {0}},
    {"builds", "Builds", "The libraries that hold the program's layer norms.", build_columns, {0}},
};
// clang-format on
#define FOREACH_SECTION(section)                                                                                 \
    for (const struct html_section *section = sections; section < sections + sizeof sections / sizeof *sections; \
         section++)

static void put_notes(FILE *page, const json_t *notes)
{
    size_t i;
    json_t *note;
    json_array_foreach(notes, i, note) html_put(page, "<p class=\"note\">%s</p>\n", json_string_value(note));
}

static void put_section(FILE *page, const json_t *view, const struct html_section *section)
{
    const json_t *rows = json_object_get(view, section->id);
    if (json_array_size(rows) == 0)
        return;
    html_put(page, "<section id=\"%s\" aria-labelledby=\"%s-heading\"><h2 id=\"%s-heading\">%s</h2><p>%s</p>\n",
             section->id, section->id, section->id, section->heading, section->text);
    put_notes(page, json_object_get(json_object_get(view, "notes"), section->id));
    if (section->chart.title && json_array_size(rows) > 1)
        html_put_chart(page, rows, section);
    html_put_table(page, rows, section);
    html_put(page, "</section>\n");
}

/* A column for each rank, as far as there is room. */
static void put_ranks(FILE *page, const json_t *view, const struct html_section *section)
{
    enum { MOST = 64 };
    struct html_column columns[2 + MOST + 1] = {SITE};
    struct html_section ranks = *section;
    const json_t *all = json_object_get(view, "all_ranks");
    char *text = fuseln_text("Of %zu ranks, the first %d; fuseln report --json has all.", json_object_size(all), MOST);
    const char *rank;
    size_t count = 0;
    json_t *unused;
    json_object_foreach((json_t *)all, rank, unused)
    {
        if (count < MOST)
            columns[2 + count++] = (struct html_column){rank, rank, html_rank, RIGHT};
    }
    ranks.columns = columns;
    ranks.text = json_object_size(all) > MOST ? text : section->text;
    put_section(page, view, &ranks);
    free(text);
}

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

static void put_links(FILE *page, const json_t *report, const json_t *view)
{
    (void)report;
    FOREACH_SECTION(section)
    {
        if (json_array_size(json_object_get(view, section->id)) > 0)
            html_put(page, "<li><a href=\"#%s\">%s</a></li>\n", section->id, section->heading);
    }
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

static void put_main(FILE *page, const json_t *report, const json_t *view)
{
    put_summary(page, report, view);
    FOREACH_SECTION(section)
    {
        (section->columns ? put_section : put_ranks)(page, view, section);
    }
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
                 {"<!--links-->", put_links},
                 {"<!--main-->", put_main},
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
    if (strlen(path) >= sizeof target->path) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (!realpath(path, target->path)) /* a link stays one */
        strcpy(target->path, path);
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
