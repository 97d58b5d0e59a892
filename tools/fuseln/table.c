/*
 * The merged reports as text, at most 100 columns wide (merge.h).
 */
#include "merge.h"

#include "fuseln.h"

#include <string.h>

enum { COLUMNS = 100, WHY_MAX = 23 };

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static long long number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* Reports come from anywhere, the terminal is the user's: control characters are shown as '?'. */
static void print_clean(FILE *out, const char *from, int width)
{
    int used = 0;
    for (; *from && used < width; from++, used++)
        fputc((unsigned char)*from < ' ' || *from == 0x7f ? '?' : *from, out);
}

static void print_padded(FILE *out, const char *from, int width)
{
    const int length = (int)strlen(from);
    print_clean(out, from, width - 1);
    for (int i = length < width - 1 ? length : width - 1; i < width; i++)
        fputc(' ', out);
}

/* "capture 4, skip 1", most first as they stand. */
static void join_counts(const json_t *counts, char *ret_text, size_t size)
{
    const char *key;
    json_t *value;
    size_t used = 0;
    ret_text[0] = '\0';
    json_object_foreach((json_t *)counts, key, value) if (used < size) used += (size_t)snprintf(
        ret_text + used, size - used, "%s%.12s %lld", used ? ", " : "", key, (long long)json_integer_value(value));
    if (used > WHY_MAX && size > WHY_MAX)
        strcpy(ret_text + WHY_MAX - 3, "...");
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
    fprintf(out, "%zu report%s, mode %.12s: %lld kernel launches, %lld layer norms: %lld replaced, %lld passed on\n",
            files, files == 1 ? "" : "s", mode, number(merged->totals, "launches"),
            number(merged->totals, "recognised"), number(merged->totals, "substituted"),
            number(merged->totals, "passed_through"));
    if (running)
        fprintf(out, "%zu of them from a process that was still running, or was killed\n", running);
    json_array_foreach(merged->devices, i, file)
    {
        const char *image = text(file, "image");
        fprintf(out, "device: ");
        print_clean(out, text(file, "name"), 40);
        fprintf(out, " (%lld), compute %.6s, driver %.8s, image %.24s\n", number(file, "count"),
                text(file, "compute_capability"), text(file, "driver"), *image ? image : "none");
    }
}

static void print_site(const json_t *site, FILE *out)
{
    char name[64], rows[48], cols[24] = "", why[64];
    const long long least = number(site, "rows_min"), most = number(site, "rows_max");
    const bool unverified = strcmp(text(site, "build"), "unverified") == 0;

    snprintf(rows, sizeof rows, least == most ? "%lld" : "%lld-%lld", least, most);
    if (json_is_integer(json_object_get(site, "cols")))
        snprintf(cols, sizeof cols, "%lld", number(site, "cols"));
    join_counts(json_object_get(site, "passed_through"), why, sizeof why);
    snprintf(name, sizeof name, "%.34s%s", text(site, "target"), unverified ? "*" : "");
    print_padded(out, name, 37);
    fprintf(out, "%6s%13s%10lld%10lld %s\n", cols, rows, number(site, "launches"), number(site, "substituted"), why);
}

/* What stands under a heading: "  12  capture   in stream capture, ..." */
static void print_reasons(FILE *out, const char *heading, const json_t *counts, const char *(*explain)(const char *key))
{
    const char *key;
    json_t *value;
    if (json_object_size(counts) > 0)
        fprintf(out, "\n%s\n", heading);
    json_object_foreach((json_t *)counts, key, value)
    {
        fprintf(out, "%14lld  ", (long long)json_integer_value(value));
        print_padded(out, key, 13);
        fprintf(out, "%s\n", explain(key));
    }
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

/* Lines of at most 100 columns, broken at blanks. */
static void print_wrapped(FILE *out, const char *line)
{
    while (*line) {
        size_t length = strlen(line);
        if (length > COLUMNS)
            for (length = COLUMNS; length > 1 && line[length] != ' ';)
                length--;
        print_clean(out, line, (int)length);
        fputc('\n', out);
        line += length;
        line += *line == ' ';
    }
}

void fuseln_merge_print(const struct fuseln_merged *merged, FILE *out)
{
    char heading[120];
    bool unverified = false;
    size_t i;
    json_t *item;

    print_head(merged, out);
    if (json_array_size(merged->sites) > 0)
        fprintf(out, "\n%-36s%7s%13s%10s%10s %s\n", "layer norm of the program", "cols", "rows", "launches", "replaced",
                "why not");
    json_array_foreach(merged->sites, i, item)
    {
        print_site(item, out);
        unverified = unverified || strcmp(text(item, "build"), "unverified") == 0;
    }
    if (unverified)
        fputs("* of a build that was not tested\n", out);
    print_reasons(out, "passed on to the original:", json_object_get(merged->totals, "reasons"), explain_passed);
    snprintf(heading, sizeof heading,
             "%lld backwards read dY and X once; others did not:", number(merged->totals, "pairs"));
    print_reasons(out, heading, json_object_get(merged->totals, "unpaired"), explain_unpaired);
    if (json_array_size(merged->differences) > 0)
        fputs("\nranks differ:\n", out);
    json_array_foreach(merged->differences, i, item) print_wrapped(out, json_string_value(item));
    if (merged->why)
        print_wrapped(out, json_string_value(merged->why));
}
