/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the page: html_view.c turns a merged report into flat rows, html_sections.c says which columns of them the
 * page has, html_table.c shows them as a table and as bars, and html.c writes the file.
 */
#ifndef FUSELN_HTML_H
#define FUSELN_HTML_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* ---- html_view.c ---- */

/*
 * For each section, by its id, a list of rows, whose members its columns name; none where there is nothing to show.
 * "name" is what a chart calls the row. And "notes": by section, texts that stand above its table; "all_ranks": as
 * keys. The caller releases it.
 */
json_t *html_view(const json_t *report);

/* ---- html_table.c ---- */

/* Everything that is not in page.html is written by this. The format is ours, and knows %s (text of anybody, which is
 * escaped), %d, %f (two digits) and %%. */
void html_put(FILE *page, const char *format, ...) __attribute__((format(printf, 2, 3)));

enum html_align { LEFT, WIDE, RIGHT }; /* RIGHT: numbers, by which a script may sort */
typedef void html_cell(FILE *page, const json_t *row, const char *key);
/* html_rank: a count, whose column is that of a rank. html_counts: an object of them. */
html_cell html_text, html_code, html_count, html_rank, html_real, html_time, html_rows, html_verified, html_counts;

struct html_column {
    const char *title, *key;
    html_cell *cell;
    enum html_align align;
};

/* Two bars for each row: the part over the whole, or two of a kind side by side. */
struct html_chart {
    const char *title, *part, *whole, *part_key, *whole_key;
    bool side_by_side;
};

/* The first column names the row. A column that no row has a value for is left out. */
struct html_section {
    const char *id, *heading, *text;
    const struct html_column *columns; /* ended by one without a title */
    struct html_chart chart;           /* none without a title */
};

void html_put_chart(FILE *page, const json_t *rows, const struct html_section *section);
void html_put_table(FILE *page, const json_t *rows, const struct html_section *section);

/* ---- html_sections.c: those that the view has rows for ---- */

void html_put_links(FILE *page, const json_t *report, const json_t *view);
void html_put_sections(FILE *page, const json_t *report, const json_t *view);

#endif
