/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The merged reports as text, at most 100 columns wide (merge.h).
 */
#include "tools/fuseln/merge.h"

#include "base/fuseln.h"
#include "tools/fuseln/command.h"

#include <stdlib.h>
#include <string.h>

static const char *count_of(char ret_text[FUSELN_COUNT_MAX], const json_t *object, const char *key)
{
    return fuseln_word_count(ret_text, (uint64_t)fuseln_count_at(object, key));
}

const char *fuseln_files_mode(const json_t *files)
{
    const char *mode = fuseln_text_at(json_array_get(files, 0), "mode");
    FOREACH_ITEM(file, files)
        if (strcmp(mode, fuseln_text_at(file, "mode")) != 0)
            return "mixed";
    return mode;
}

char *fuseln_files_running(const json_t *files)
{
    size_t running = 0;
    FOREACH_ITEM(file, files)
        running += json_is_false(json_object_get(file, "final"));
    return running ? fuseln_text("%zu of them from a process that was still running, or was killed", running) : NULL;
}

/* Prints a line and frees it; nothing for NULL. */
static void print_text(FILE *out, char *line)
{
    if (line)
        fuseln_say(out, "%s", line);
    free(line);
}

static void print_head(const json_t *report, FILE *out)
{
    const json_t *files = json_object_get(report, "files"), *totals = json_object_get(report, "totals");
    char cells[4][FUSELN_COUNT_MAX];
    const size_t count = json_array_size(files);
    fuseln_say(out, "%zu report%s, mode %.12s: " FUSELN_WORD_TOTALS, count, count == 1 ? "" : "s",
               fuseln_files_mode(files), count_of(cells[0], totals, "launches"),
               count_of(cells[1], totals, "recognised"), count_of(cells[2], totals, "substituted"),
               count_of(cells[3], totals, "passed_through"));
    print_text(out, fuseln_files_running(files));
    FOREACH_ITEM(item, json_object_get(report, "devices"))
        fuseln_say(out, "device: %.40s (%lld), compute %.6s, driver %.8s, image %.24s", fuseln_text_at(item, "name"),
                   fuseln_count_at(item, "count"), fuseln_text_at(item, "compute_capability"),
                   fuseln_text_at(item, "driver"),
                   *fuseln_text_at(item, "image") ? fuseln_text_at(item, "image") : "none");
}

const char *fuseln_cell_count(char ret_text[FUSELN_CELL_MAX], long long count)
{
    static const char units[] = {' ', 'k', 'M', 'G', 'T', 'P'};
    size_t unit = 0;
    for (; (unit == 0 ? count >= 1000000 : count >= 10000) && unit + 1 < sizeof units; unit++)
        count /= 1000;
    snprintf(ret_text, FUSELN_CELL_MAX, unit ? "%lld%c" : "%lld", count, units[unit]);
    return ret_text;
}

const char *fuseln_cell_time(char ret_text[FUSELN_CELL_MAX], double us)
{
    if (us < 1e3)
        snprintf(ret_text, FUSELN_CELL_MAX, "%.0f us", us);
    else if (us < 1e6)
        snprintf(ret_text, FUSELN_CELL_MAX, "%.3g ms", us / 1e3);
    else
        snprintf(ret_text, FUSELN_CELL_MAX, "%.4g s", us / 1e6);
    return ret_text;
}

const char *fuseln_cell_verified(char ret_text[FUSELN_CELL_MAX], const json_t *verify)
{
    const long long launches = fuseln_count_at(verify, "launches");
    const bool failed = json_is_true(json_object_get(verify, "failed"));
    if (!verify)
        return "-";
    return launches && !failed
               ? fuseln_cell_count(ret_text, launches)
               : fuseln_word_checked(failed, (uint64_t)launches, (uint64_t)fuseln_count_at(verify, "inconclusive"));
}

/* Why launches were passed on. The reasons are explained below the table. */
static const char *why_of(const json_t *counts)
{
    const char *key = json_object_iter_key(json_object_iter((json_t *)counts));
    return json_object_size(counts) > 1 ? "several" : key ? key : "";
}

#define SITE_ROW "%-37s%6s%13s%9s%9s%9s%8s %.8s"

static void print_site(const json_t *site, FILE *out)
{
    char name[40], rows[2 * FUSELN_CELL_MAX], cols[FUSELN_CELL_MAX] = "", cells[4][FUSELN_CELL_MAX];
    const long long least = fuseln_count_at(site, "rows_min"), most = fuseln_count_at(site, "rows_max");
    const json_t *measure = json_object_get(site, "measure");
    const bool unverified = strcmp(fuseln_text_at(site, "build"), "unverified") == 0;

    snprintf(rows, sizeof rows, least == most ? "%s" : "%s-%s", fuseln_cell_count(cells[0], least),
             fuseln_cell_count(cells[1], most));
    if (json_is_integer(json_object_get(site, "cols")))
        snprintf(cols, sizeof cols, "%lld", fuseln_count_at(site, "cols"));
    snprintf(name, sizeof name, "%.34s%s", fuseln_text_at(site, "target"), unverified ? "*" : "");
    fuseln_say(out, SITE_ROW, name, cols, rows, fuseln_cell_count(cells[0], fuseln_count_at(site, "launches")),
               fuseln_cell_count(cells[1], fuseln_count_at(site, "substituted")),
               fuseln_cell_verified(cells[2], json_object_get(site, "verify")),
               measure ? fuseln_cell_time(cells[3], json_number_value(json_object_get(measure, "saved_us"))) : "-",
               why_of(json_object_get(site, "passed_through")));
}

static void print_sites(const json_t *sites, FILE *out)
{
    bool unverified = false;
    if (json_array_size(sites) == 0)
        return;
    fputc('\n', out);
    fuseln_say(out, SITE_ROW, "layer norm of the program", "cols", "rows", "launches", "replaced", "verified", "saved",
               "why not");
    FOREACH_ITEM(site, sites) {
        print_site(site, out);
        unverified |= strcmp(fuseln_text_at(site, "build"), "unverified") == 0;
    }
    if (unverified)
        fuseln_say(out, "* of a build that was not tested");
}

/* A blank line, and a heading. */
static void print_heading(FILE *out, const char *heading)
{
    fprintf(out, "\n%s\n", heading);
}

const char *fuseln_reason_text(const struct fuseln_reason *reasons, size_t size, const char *key)
{
    for (size_t i = 0; i < size; i++)
        if (strcmp(reasons[i].key, key) == 0)
            return reasons[i].text;
    return "a reason that is newer than this fuseln";
}

static void print_reasons(FILE *out, const json_t *counts, const struct fuseln_reason *reasons, size_t size)
{
    char cell[FUSELN_COUNT_MAX];
    FOREACH_MEMBER(key, counts)
        fuseln_say(out, FUSELN_WORD_REASON, count_of(cell, counts, key), key, fuseln_reason_text(reasons, size, key));
}

static void print_totals(const json_t *totals, FILE *out)
{
    const json_t *reasons = json_object_get(totals, "reasons"), *unpaired = json_object_get(totals, "unpaired");
    char cell[FUSELN_COUNT_MAX];
    if (json_object_size(reasons) > 0)
        print_heading(out, FUSELN_WORD_PASSED);
    print_reasons(out, reasons, fuseln_passed_reasons, FUSELN_VERDICT_COUNT);
    if (fuseln_count_at(totals, "pairs") > 0 || json_object_size(unpaired) > 0)
        fprintf(out, "\n" FUSELN_WORD_PAIRS "\n", count_of(cell, totals, "pairs"),
                json_object_size(unpaired) > 0 ? FUSELN_WORD_UNPAIRED : "");
    print_reasons(out, unpaired, fuseln_unpaired_reasons, FUSELN_PAIRING_COUNT);
    if (fuseln_count_at(totals, "left_out") > 0)
        fuseln_say(out, FUSELN_WORD_LEFT_OUT, count_of(cell, totals, "left_out"));
}

static void print_norms(const json_t *norms, FILE *out)
{
    char cell[FUSELN_COUNT_MAX];
    if (json_array_size(norms) > 0)
        print_heading(out, FUSELN_WORD_FOREIGN);
    FOREACH_ITEM(norm, norms)
        fuseln_say(out, FUSELN_WORD_NORM, count_of(cell, norm, "launches"), fuseln_text_at(norm, "maker"),
                   fuseln_text_at(norm, "symbol"));
}

static void print_wrapped(FILE *out, const char *line)
{
    while (*line) {
        const size_t length = fuseln_word_line(line);
        fuseln_say(out, "%.*s", (int)length, line);
        line += length + (line[length] == ' ');
    }
}

/* Rows of FUSELN_TARGETS, or the file. */
static void print_refused(const json_t *rows, FILE *out)
{
    if (json_array_size(rows) > 0)
        print_heading(out, "refused of FUSELN_TARGETS:");
    FOREACH_ITEM(row, rows) {
        const char *file = fuseln_text_at(row, "file"), *reason = fuseln_text_at(row, "reason");
        const bool is_row = json_is_string(json_object_get(row, "name"));
        char *line = is_row ? fuseln_text("  %s, line %lld: [%s] %s", file, fuseln_count_at(row, "line"),
                                          fuseln_text_at(row, "name"), reason)
                            : fuseln_text("  %s: %s", file, reason);
        print_wrapped(out, line);
        free(line);
    }
}

char *fuseln_saved_text(const json_t *saved)
{
    char all[FUSELN_CELL_MAX], step[FUSELN_CELL_MAX];
    if (!saved)
        return NULL;
    fuseln_cell_time(all, fuseln_real_at(saved, "us"));
    if (!json_object_get(saved, "steps"))
        return fuseln_text("saved since it was measured: %s", all);
    return fuseln_text("saved since it was measured: %s, %s in each of %lld steps", all,
                       fuseln_cell_time(step, fuseln_real_at(saved, "us_per_step")), fuseln_count_at(saved, "steps"));
}

char *fuseln_failed_text(const json_t *site)
{
    const json_t *verify = json_object_get(site, "verify"), *first = json_object_get(verify, "first");
    if (!json_is_true(json_object_get(verify, "failed")))
        return NULL;
    return fuseln_text(
        "%s cols=%lld in %s: beyond the bound are %lld of our values and %lld of the original's, NaN in one alone "
        "%lld; up to %.4g ulp apart; first at row %lld, column %lld",
        fuseln_text_at(site, "target"), fuseln_count_at(site, "cols"), fuseln_text_at(site, "library"),
        fuseln_count_at(verify, "outside"), fuseln_count_at(verify, "outside_original"), fuseln_count_at(verify, "nan"),
        fuseln_real_at(json_object_get(verify, "apart"), "max_ulp"), fuseln_count_at(first, "row"),
        fuseln_count_at(first, "col"));
}

/* The sites that a check found wrong, with the numbers. */
static void print_failed(const json_t *sites, FILE *out)
{
    bool any = false;
    FOREACH_ITEM(site, sites) {
        char *line = fuseln_failed_text(site);
        if (line && !any)
            print_heading(out, "verified against the original and found wrong, so not replaced:");
        any |= line != NULL;
        print_wrapped(out, line ? line : "");
        free(line);
    }
}

void fuseln_merge_print(const json_t *report, FILE *out)
{
    const json_t *sites = json_object_get(report, "sites"), *differences = json_object_get(report, "differences");
    char *saved = fuseln_saved_text(json_object_get(report, "saved"));

    print_head(report, out);
    print_sites(sites, out);
    print_totals(json_object_get(report, "totals"), out);
    print_norms(json_object_get(report, "foreign_norms"), out);
    print_refused(json_object_get(report, "refused_rows"), out);
    if (saved)
        fputc('\n', out);
    print_text(out, saved);
    print_failed(sites, out);
    if (json_array_size(differences) > 0)
        print_heading(out, "ranks differ:");
    FOREACH_ITEM(difference, differences)
        print_wrapped(out, json_string_value(difference));
    print_wrapped(out, fuseln_text_at(report, "why"));
}
