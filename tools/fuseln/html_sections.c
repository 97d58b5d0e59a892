/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sections of the page, in their order. See html.h.
 */
#include "tools/fuseln/html.h"

#include "tools/fuseln/command.h"

#include <stdlib.h>

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
    {"measure", "Time",
     "Medians of both kernels, timed in turn on this program's own launches; a line for each process.",
     measure_columns,
     {"Bytes per second of both kernels, in GB/s", "ours, in GB/s", "original, in GB/s", "ours_gb_s", "original_gb_s",
      true}},
    {"verify", "Checks",
     "Ours against the original on the same inputs. The bound is derived from the type and the shape.",
     verify_columns, {0}},
    {"pairs", "Backwards", "dX and the gradients of gamma and beta from one read of dY and X.", pair_columns, {0}},
    {"unpaired", "Why backwards read dY and X twice", "dX and the gradients of gamma and beta were computed apart.",
     reason_columns, {0}},
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
    FOREACH_ITEM(note, notes)
        html_put(page, "<p class=\"note\">%s</p>\n", json_string_value(note));
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
    size_t count = 0;
    FOREACH_MEMBER(rank, all) {
        if (count < MOST)
            columns[2 + count++] = (struct html_column){rank, rank, html_rank, RIGHT};
    }
    ranks.columns = columns;
    ranks.text = json_object_size(all) > MOST ? text : section->text;
    put_section(page, view, &ranks);
    free(text);
}

void html_put_links(FILE *page, const json_t *report, const json_t *view)
{
    (void)report;
    FOREACH_SECTION(section) {
        if (json_array_size(json_object_get(view, section->id)) > 0)
            html_put(page, "<li><a href=\"#%s\">%s</a></li>\n", section->id, section->heading);
    }
}

void html_put_sections(FILE *page, const json_t *report, const json_t *view)
{
    (void)report;
    FOREACH_SECTION(section) {
        (section->columns ? put_section : put_ranks)(page, view, section);
    }
}
