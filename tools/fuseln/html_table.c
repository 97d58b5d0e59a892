/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows as a table and as bars. See html.h.
 */
#include "tools/fuseln/html.h"

#include "tools/fuseln/command.h"
#include "tools/fuseln/merge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BARS_MAX = 12, COLUMNS_MAX = 80 };

/* Anybody's text: one line that commands no terminal, as everywhere, and no markup. It may be broken after these. */
static void put_text(FILE *page, const char *text, const char *breaks)
{
    char *clean = fuseln_text("%s", text);
    for (const char *at = clean; *at; at++) {
        if (strchr("<>&\"'", *at))
            fprintf(page, "&#%d;", *at);
        else
            fputc(*at, page);
        if (strchr(breaks, *at))
            fputs("<wbr>", page);
    }
    free(clean);
}

void html_put(FILE *page, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    for (; *format; format++)
        if (*format != '%')
            fputc(*format, page);
        else if (*++format == 's')
            put_text(page, va_arg(arguments, const char *), "");
        else if (*format == 'd')
            fprintf(page, "%d", va_arg(arguments, int));
        else if (*format == 'f')
            fprintf(page, "%.2f", va_arg(arguments, double));
        else
            fputc('%', page);
    va_end(arguments);
}

/* ---- cells: what a column shows of a row ---- */

void html_text(FILE *page, const json_t *row, const char *key)
{
    html_put(page, "%s", fuseln_text_at(row, key));
}

void html_code(FILE *page, const json_t *row, const char *key)
{
    fputs("<code>", page);
    put_text(page, fuseln_text_at(row, key), "/_");
    fputs("</code>", page);
}

void html_count(FILE *page, const json_t *row, const char *key)
{
    char text[FUSELN_COUNT_MAX];
    html_put(page, "%s", fuseln_word_count(text, (uint64_t)fuseln_count_at(row, key)));
}

void html_rank(FILE *page, const json_t *row, const char *key)
{
    html_count(page, row, key);
}

void html_real(FILE *page, const json_t *row, const char *key)
{
    const double value = fuseln_real_at(row, key);
    fprintf(page, value < 1e4 || value > 1e15 ? "%.4g" : "%.0f", value);
}

void html_time(FILE *page, const json_t *row, const char *key)
{
    char text[FUSELN_CELL_MAX];
    html_put(page, "%s", fuseln_cell_time(text, fuseln_real_at(row, key)));
}

void html_rows(FILE *page, const json_t *row, const char *key)
{
    if (fuseln_count_at(row, "rows_min") != fuseln_count_at(row, key)) {
        html_count(page, row, "rows_min");
        html_put(page, " to ");
    }
    html_count(page, row, key);
}

void html_verified(FILE *page, const json_t *row, const char *key)
{
    char text[FUSELN_CELL_MAX];
    const char *found = fuseln_cell_verified(text, json_object_get(row, key));
    const bool failed = json_is_true(json_object_get(json_object_get(row, key), "failed"));
    html_put(page, failed ? "<strong>%s</strong>" : "%s", found);
}

void html_counts(FILE *page, const json_t *row, const char *key)
{
    const char *comma = "";
    FOREACH_MEMBER(reason, json_object_get(row, key)) {
        html_put(page, "%s<code>%s</code> ", comma, reason);
        html_count(page, json_object_get(row, key), reason);
        comma = ", ";
    }
}

/* ---- a chart ---- */

/* For a length: reports are made by anybody. */
static double amount(const json_t *row, const char *key)
{
    return fmin(fuseln_real_at(row, key), 1e15);
}

/* A bar, at least wide enough to be seen. */
static void put_bar(FILE *page, const char *name, int y, int height, double share)
{
    html_put(page, "<rect class=\"%s\" y=\"%d\" width=\"%f%%\" height=\"%d\" rx=\"2\"/>", name, y,
             share > 0 ? fmax(share, 0.3) : 0, height);
}

/* The number beside a bar: in full, or in at most 6 characters. */
static const char *number_of(char ret_text[FUSELN_COUNT_MAX], double value)
{
    return value < 1e6 ? fuseln_word_count(ret_text, (uint64_t)value) : fuseln_cell_count(ret_text, (long long)value);
}

static void put_bars(FILE *page, const json_t *row, const struct html_chart *chart, int y, double most)
{
    enum { SHARE = 62 }; /* percent of the width: the numbers stand beside it, on a telephone too */
    char cells[2][FUSELN_COUNT_MAX];
    const double part = amount(row, chart->part_key), whole = amount(row, chart->whole_key);
    const int height = chart->side_by_side ? 6 : 12;
    html_put(page, "<text y=\"%d\">%s</text>", y + 14, fuseln_text_at(row, "name"));
    put_bar(page, "rest", chart->side_by_side ? y + 27 : y + 20, height, SHARE * whole / most);
    put_bar(page, "ours", y + 20, height, SHARE * part / most);
    html_put(page, "<text x=\"%f%%\" dx=\"8\" y=\"%d\">%s%s%s</text>\n", SHARE * fmax(part, whole) / most, y + 31,
             part < whole || chart->side_by_side ? number_of(cells[0], part) : "",
             chart->side_by_side ? " and "
             : part < whole      ? " of "
                                 : "all ",
             number_of(cells[1], whole));
}

void html_put_chart(FILE *page, const json_t *rows, const struct html_section *section)
{
    enum { HEIGHT = 44 };
    const struct html_chart *chart = &section->chart;
    const int count = (int)(json_array_size(rows) < BARS_MAX ? json_array_size(rows) : BARS_MAX);
    double most = 1;
    for (int i = 0; i < count; i++)
        most = fmax(most, fmax(amount(json_array_get(rows, (size_t)i), chart->part_key),
                               amount(json_array_get(rows, (size_t)i), chart->whole_key)));
    html_put(page,
             "<figure><figcaption><span class=\"key ours\">%s</span> <span class=\"key rest\">%s</span></figcaption>\n"
             "<svg role=\"img\" aria-labelledby=\"%s-chart\" width=\"100%%\" height=\"%d\">"
             "<title id=\"%s-chart\">%s. The numbers are in the table below.</title>\n",
             chart->part, chart->whole, section->id, count * HEIGHT, section->id, chart->title);
    for (int i = 0; i < count; i++)
        put_bars(page, json_array_get(rows, (size_t)i), chart, i * HEIGHT, most);
    html_put(page, "</svg></figure>\n");
}

/* ---- a table ---- */

static bool is_empty(const json_t *value)
{
    return !value || json_is_null(value) || (json_is_string(value) && !*json_string_value(value)) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

/* Columns that no row has a value for are left out. */
static bool is_shown(const json_t *rows, const struct html_column *column)
{
    FOREACH_ITEM(row, rows)
        if (!is_empty(json_object_get(row, column->key)))
            return true;
    return false;
}

/* A script may sort by data-v, which is a number where the text is a time or has commas. */
static void put_cell(FILE *page, const json_t *row, const struct html_column *column, bool first)
{
    const json_t *value = json_object_get(row, column->key);
    fputs(first ? "<th scope=\"row\"" : "<td", page);
    if (column->align == RIGHT && json_is_number(value))
        fprintf(page, " class=\"n\" data-v=\"%.17g\"", json_number_value(value));
    else if (column->align != LEFT)
        html_put(page, " class=\"%s\"", column->align == RIGHT ? "n" : "wide");
    html_put(page, ">");
    if (is_empty(value))
        html_put(page, "-");
    else
        column->cell(page, row, column->key);
    fputs(first ? "</th>" : "</td>", page);
}

/* The columns that any row has a value for. Returns how many. */
static size_t shown_of(const json_t *rows, const struct html_column *columns, const struct html_column **ret_shown)
{
    size_t count = 0;
    for (const struct html_column *column = columns; column->title; column++)
        if (count < COLUMNS_MAX && is_shown(rows, column))
            ret_shown[count++] = column;
    return count;
}

void html_put_table(FILE *page, const json_t *rows, const struct html_section *section)
{
    const struct html_column *shown[COLUMNS_MAX];
    const size_t count = shown_of(rows, section->columns, shown);
    html_put(page,
             "<div class=\"scroll\" role=\"group\" aria-labelledby=\"%s-table\" tabindex=\"0\"><table>"
             "<caption id=\"%s-table\">%s</caption>\n<thead><tr>",
             section->id, section->id, section->heading);
    for (size_t j = 0; j < count; j++)
        html_put(page, "<th scope=\"col\" class=\"%s\">%s%s</th>", shown[j]->align == RIGHT ? "n" : "text",
                 shown[j]->cell == html_rank ? "rank " : "", shown[j]->title);
    html_put(page, "</tr></thead>\n<tbody>\n");
    FOREACH_ITEM(row, rows) {
        html_put(page, "<tr>");
        for (size_t j = 0; j < count; j++)
            put_cell(page, row, shown[j], j == 0);
        html_put(page, "</tr>\n");
    }
    html_put(page, "</tbody></table></div>\n");
}
