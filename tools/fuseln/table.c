/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The merged reports as text, at most 100 columns wide (merge.h).
 */
#include "tools/fuseln/merge.h"

#include "base/fuseln.h"
#include "tools/fuseln/command.h"

#include <stdlib.h>

#include <string.h>

enum { COLUMNS = 100, COUNT_MAX = 24 };

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static long long number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* The reason, where there is one: they are explained below the table. */
static const char *why_of(const json_t *counts)
{
    const char *key = json_object_iter_key(json_object_iter((json_t *)counts));
    return json_object_size(counts) > 1 ? "several" : key ? key : "";
}

static void print_head(const struct fuseln_merged *merged, FILE *out)
{
    const size_t files = json_array_size(merged->files);
    const char *mode = text(json_array_get(merged->files, 0), "mode");
    size_t i, running = 0;
    json_t *file;
    json_array_foreach(merged->files, i, file)
    {
        if (strcmp(mode, text(file, "mode")) != 0)
            mode = "mixed";
        running += json_is_false(json_object_get(file, "final"));
    }
    fuseln_say(out, "%zu report%s, mode %.12s: %lld kernel launches, %lld layer norms: %lld replaced, %lld passed on",
               files, files == 1 ? "" : "s", mode, number(merged->totals, "launches"),
               number(merged->totals, "recognised"), number(merged->totals, "substituted"),
               number(merged->totals, "passed_through"));
    if (running)
        fuseln_say(out, "%zu of them from a process that was still running, or was killed", running);
    json_array_foreach(merged->devices, i, file)
    {
        const char *image = text(file, "image");
        fuseln_say(out, "device: %.40s (%lld), compute %.6s, driver %.8s, image %.24s", text(file, "name"),
                   number(file, "count"), text(file, "compute_capability"), text(file, "driver"),
                   *image ? image : "none");
    }
}

/* At most 6 digits: 123456, 12M, 3G, 4T. */
static const char *short_count(long long count, char ret_text[COUNT_MAX])
{
    static const char units[] = {' ', 'k', 'M', 'G', 'T', 'P'};
    size_t unit = 0;
    for (; (unit == 0 ? count >= 1000000 : count >= 10000) && unit + 1 < sizeof units; unit++)
        count /= 1000;
    snprintf(ret_text, COUNT_MAX, unit ? "%lld%c" : "%lld", count, units[unit]);
    return ret_text;
}

/* How many launches were compared and right; WRONG if one was not. unclear: in all of them was an Inf or a NaN in every
 * row. */
static const char *verified(const json_t *site, char ret_text[COUNT_MAX])
{
    const json_t *verify = json_object_get(site, "verify");
    if (!verify)
        return "-";
    if (json_is_true(json_object_get(verify, "failed")))
        return "WRONG";
    if (number(verify, "launches") == 0 && number(verify, "inconclusive") > 0)
        return "unclear";
    return short_count(number(verify, "launches"), ret_text);
}

static const char *time_of(double us, char ret_text[COUNT_MAX])
{
    if (us < 1e3)
        snprintf(ret_text, COUNT_MAX, "%.0f us", us);
    else if (us < 1e6)
        snprintf(ret_text, COUNT_MAX, "%.3g ms", us / 1e3);
    else
        snprintf(ret_text, COUNT_MAX, "%.4g s", us / 1e6);
    return ret_text;
}

/* Time that ours saved, where that was measured. */
static const char *saved(const json_t *site, char ret_text[COUNT_MAX])
{
    const json_t *measure = json_object_get(site, "measure");
    return measure ? time_of(json_number_value(json_object_get(measure, "saved_us")), ret_text) : "-";
}

static void print_saved(const struct fuseln_merged *merged, FILE *out)
{
    char text_of[2][COUNT_MAX], step[80] = "";
    double us;
    if (!fuseln_merge_saved(merged, &us))
        return;
    if (merged->steps > 0)
        snprintf(step, sizeof step, ", %s in each of %lld steps", time_of(us / (double)merged->steps, text_of[1]),
                 merged->steps);
    fputc('\n', out);
    fuseln_say(out, "saved since it was measured: %s%s", time_of(us, text_of[0]), step);
}

static void print_site(const json_t *site, FILE *out)
{
    char name[40], rows[2 * COUNT_MAX + 1], cols[24] = "", text_of[4][COUNT_MAX];
    const long long least = number(site, "rows_min"), most = number(site, "rows_max");
    const bool unverified = strcmp(text(site, "build"), "unverified") == 0;

    snprintf(rows, sizeof rows, least == most ? "%s" : "%s-%s", short_count(least, text_of[0]),
             short_count(most, text_of[1]));
    if (json_is_integer(json_object_get(site, "cols")))
        snprintf(cols, sizeof cols, "%lld", number(site, "cols"));
    snprintf(name, sizeof name, "%.34s%s", text(site, "target"), unverified ? "*" : "");
    fuseln_say(out, "%-37s%6s%13s%9s%9s%9s%8s %.8s", name, cols, rows,
               short_count(number(site, "launches"), text_of[0]), short_count(number(site, "substituted"), text_of[1]),
               verified(site, text_of[2]), saved(site, text_of[3]), why_of(json_object_get(site, "passed_through")));
}

static void print_heading(FILE *out, const char *heading)
{
    fputc('\n', out);
    fuseln_say(out, "%s", heading);
}

/* What stands under a heading: "  12  capture   in stream capture, ..." */
static void print_reasons(FILE *out, const char *heading, const json_t *counts, const char *(*explain)(const char *key))
{
    const char *key;
    json_t *value;
    if (json_object_size(counts) > 0)
        print_heading(out, heading);
    json_object_foreach((json_t *)counts, key, value)
        fuseln_say(out, "%14lld  %-12.12s %s", (long long)json_integer_value(value), key, explain(key));
}

static const char *explain_passed(const char *key)
{
    for (int i = 0; i < FUSELN_VERDICT_COUNT; i++)
        if (strcmp(key, fuseln_verdict_key((enum fuseln_verdict)i)) == 0)
            return fuseln_verdict_text((enum fuseln_verdict)i);
    return "a reason that is newer than this fuseln";
}

static const char *explain_unpaired(const char *key)
{
    for (int i = 0; i < FUSELN_PAIRING_COUNT; i++)
        if (strcmp(key, fuseln_pairing_key((enum fuseln_pairing)i)) == 0)
            return fuseln_pairing_text((enum fuseln_pairing)i);
    return "a reason that is newer than this fuseln";
}

/* Lines of at most 100 columns, broken at blanks where there are any. */
static void print_wrapped(FILE *out, const char *line)
{
    while (*line) {
        size_t length = strlen(line);
        if (length > COLUMNS) {
            for (length = COLUMNS; length > 0 && line[length] != ' ';)
                length--;
            if (length == 0)
                for (length = COLUMNS; length > 1 && (line[length] & 0xc0) == 0x80;)
                    length--; /* not inside a character */
        }
        fuseln_say(out, "%.*s", (int)length, line);
        line += length;
        line += *line == ' ';
    }
}

/* Each site that a check found wrong, with the numbers. */
static void print_failed(const struct fuseln_merged *merged, FILE *out)
{
    size_t i;
    json_t *site;
    if (fuseln_merge_failed(merged) == 0)
        return;
    print_heading(out, "compared with the original and found wrong, so not replaced:");
    json_array_foreach(merged->sites, i, site)
    {
        const json_t *verify = json_object_get(site, "verify"), *apart = json_object_get(verify, "apart"),
                     *first = json_object_get(verify, "first");
        if (!json_is_true(json_object_get(verify, "failed")))
            continue;
        char *line = fuseln_text(
            "%s cols=%lld in %s: beyond the bound are %lld of our values and %lld of the original's, NaN in one alone "
            "%lld; up to %.4g ulp apart; first at row %lld, column %lld",
            text(site, "target"), number(site, "cols"), text(site, "library"), number(verify, "outside"),
            number(verify, "outside_original"), number(verify, "nan"),
            json_number_value(json_object_get(apart, "max_ulp")), number(first, "row"), number(first, "col"));
        print_wrapped(out, line);
        free(line);
    }
}

void fuseln_merge_print(const struct fuseln_merged *merged, FILE *out)
{
    char heading[120];
    bool unverified = false;
    size_t i;
    json_t *item;

    print_head(merged, out);
    if (json_array_size(merged->sites) > 0) {
        fputc('\n', out);
        fuseln_say(out, "%-36s%7s%13s%9s%9s%9s%8s %s", "layer norm of the program", "cols", "rows", "launches",
                   "replaced", "verified", "saved", "why not");
    }
    json_array_foreach(merged->sites, i, item)
    {
        print_site(item, out);
        unverified = unverified || strcmp(text(item, "build"), "unverified") == 0;
    }
    if (unverified)
        fuseln_say(out, "* of a build that was not tested");
    print_reasons(out, "passed on to the original:", json_object_get(merged->totals, "reasons"), explain_passed);
    snprintf(heading, sizeof heading,
             "%lld backwards read dY and X once; others did not:", number(merged->totals, "pairs"));
    print_reasons(out, heading, json_object_get(merged->totals, "unpaired"), explain_unpaired);
    if (number(merged->totals, "left_out") > 0)
        fuseln_say(out, "%lld registrations of layer-norm kernels found no room and stay with their originals",
                   number(merged->totals, "left_out"));
    print_saved(merged, out);
    print_failed(merged, out);
    if (json_array_size(merged->differences) > 0)
        print_heading(out, "ranks differ:");
    json_array_foreach(merged->differences, i, item) print_wrapped(out, json_string_value(item));
    if (merged->why)
        print_wrapped(out, json_string_value(merged->why));
}
