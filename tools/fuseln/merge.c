/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See merge.h. schema.h says what a report holds and how two of its values are added up.
 */
#include "tools/fuseln/merge.h"

#include "tools/fuseln/command.h"
#include "tools/fuseln/schema.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DIFFERENCES_MAX = 20 };

/* The object under key, which is made if there is none. */
static json_t *object_at(json_t *object, const char *key)
{
    if (!json_object_get(object, key))
        json_object_set_new(object, key, json_object());
    return json_object_get(object, key);
}

/* Neither overflows, as both are at most FUSELN_COUNT_LIMIT. */
void fuseln_merge_count(json_t *into, const char *key, json_int_t more)
{
    const json_int_t sum = fuseln_count_at(into, key) + more;
    json_object_set_new(into, key, json_integer(sum < FUSELN_COUNT_LIMIT ? sum : FUSELN_COUNT_LIMIT));
}

static void add_members(json_t *into, const json_t *more, const struct fuseln_field *members);

static void add_value(json_t *into, const char *key, const struct fuseln_field *field, json_t *more)
{
    json_t *old = json_object_get(into, key);
    if (field->kind == COUNT)
        fuseln_merge_count(into, key, json_integer_value(more));
    else if (field->kind == REAL)
        json_object_set_new(into, key, json_real(json_number_value(old) + json_number_value(more)));
    else if (field->kind == FLAG)
        json_object_set_new(into, key, json_boolean(json_is_true(old) || json_is_true(more)));
    else if (field->kind == OBJECT)
        add_members(object_at(into, key), more, field->members);
    else if (!old)
        json_object_set_new(into, key, json_copy(more));
    else
        json_array_extend(old, more);
}

/* The sum of the squares that a root of their mean was made of. */
static double squares_of(const json_t *verify, const char *key)
{
    const double root = fuseln_real_at(json_object_get(verify, key), "rms_ulp");
    return root * root * fuseln_real_at(verify, "elements");
}

static void add_distance(json_t *into, const char *key, const json_t *more)
{
    const double elements = fuseln_real_at(into, "elements") + fuseln_real_at(more, "elements"),
                 squares = squares_of(into, key) + squares_of(more, key),
                 most = fmax(fuseln_real_at(json_object_get(into, key), "max_ulp"),
                             fuseln_real_at(json_object_get(more, key), "max_ulp"));
    json_object_set_new(object_at(into, key), "max_ulp", json_real(most));
    json_object_set_new(object_at(into, key), "rms_ulp", json_real(elements > 0 ? sqrt(squares / elements) : 0));
}

static bool is_taken(enum fuseln_how how, const json_t *old, const json_t *value)
{
    switch (how) {
    case LEAST:
        return !old || json_integer_value(value) < json_integer_value(old);
    case MOST:
        return !old || json_integer_value(value) > json_integer_value(old);
    case FIRST:
        return !old;
    default:
        return how == LAST;
    }
}

static void add_members(json_t *into, const json_t *more, const struct fuseln_field *members)
{
    FOREACH_KEY(members, field, key) {
        json_t *value = json_object_get(more, *key);
        if (!value || json_is_null(value))
            continue;
        if (field->how == ADD)
            add_value(into, *key, field, value);
        else if (field->how == DISTANCE)
            add_distance(into, *key, more);
        else if (is_taken(field->how, json_object_get(into, *key), value))
            json_object_set(into, *key, value);
    }
    if (!members)
        FOREACH_MEMBER(name, more)
            fuseln_merge_count(into, name, fuseln_count_at(more, name));
}

/* Adds an item to the one of the same identity in the list, or appends it. Returns the sum. */
static json_t *add_item(struct fuseln_merged *merged, const char *list, const json_t *item,
                        const struct fuseln_field *members)
{
    json_t *identity = json_object(), *sum;
    FOREACH_KEY(members, field, key) {
        if (field->how == SAME && json_object_get(item, *key))
            json_object_set(identity, *key, json_object_get(item, *key));
    }
    char *name = json_dumps(identity, JSON_COMPACT);
    sum = json_object_get(merged->index, name);
    if (!sum) {
        sum = identity;
        json_object_set(merged->index, name, sum);
        json_array_append(json_object_get(merged->report, list), sum);
    }
    json_decref(identity);
    free(name);
    add_members(sum, item, members);
    return sum;
}

/* The rank, a number or a word, as a text; "" if there is none. */
static json_t *rank_of(const json_t *process_json)
{
    json_t *rank = json_object_get(process_json, "rank");
    if (json_is_integer(rank))
        return json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(rank));
    return json_is_string(rank) ? json_incref(rank) : json_string("");
}

static void add_file(json_t *files, const json_t *json, const char *path, json_t *rank)
{
    static const struct {
        const char *from, *keys[6];
    } taken[] = {{"process", {"pid", "host", "command", "seconds"}},
                 {"fuseln", {"version", "commit", "mode"}},
                 {"totals", {"launches", "recognised", "substituted"}}};
    json_t *file = json_pack("{s:o, s:O, s:O*}", "file", fuseln_text_json(path), "rank", rank, "final",
                             json_object_get(json, "final"));
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        for (const char *const *key = taken[i].keys; *key; key++)
            json_object_set(file, *key, json_object_get(json_object_get(json, taken[i].from), *key));
    json_array_append_new(files, file);
}

/* The user's rows that were refused, each with the name of its file. */
static void add_refused(struct fuseln_merged *merged, const json_t *targets)
{
    FOREACH_ITEM(refused, json_object_get(targets, "refused")) {
        json_t *row = json_pack("{s:O*}", "file", json_object_get(targets, "file"));
        json_object_update(row, refused);
        add_item(merged, "refused_rows", row, fuseln_schema_refused);
        json_decref(row);
    }
}

static void add_report(struct fuseln_merged *merged, const json_t *json, const char *path)
{
    json_t *const sum = merged->report, *const rank = rank_of(json_object_get(json, "process"));
    add_file(json_object_get(sum, "files"), json, path, rank);
    FOREACH_ITEM(item, json_object_get(json, "devices"))
        fuseln_merge_count(add_item(merged, "devices", item, fuseln_schema_device), "count", 1);
    FOREACH_ITEM(item, json_object_get(json, "sites"))
        fuseln_merge_count(object_at(add_item(merged, "sites", item, fuseln_schema_site), "by_rank"),
                           json_string_value(rank), fuseln_count_at(item, "launches"));
    FOREACH_ITEM(item, json_object_get(json, "foreign_norms"))
        add_item(merged, "foreign_norms", item, fuseln_schema_norm);
    add_refused(merged, json_object_get(json, "targets"));
    add_members(json_object_get(sum, "totals"), json_object_get(json, "totals"), fuseln_schema_totals);
    if (!json_is_string(json_object_get(sum, "why")) && json_is_string(json_object_get(json, "why")))
        json_object_set(sum, "why", json_object_get(json, "why"));
    json_decref(rank);
}

struct fuseln_merged fuseln_merge_new(void)
{
    return (struct fuseln_merged){json_pack("{s:i, s:[], s:[], s:{s:i}, s:[], s:[], s:[], s:[], s:n}", "schema",
                                            FUSELN_SCHEMA, "files", "devices", "totals", "left_out", 0, "sites",
                                            "foreign_norms", "refused_rows", "differences", "why"),
                                  json_object(), false};
}

void fuseln_merge_free(struct fuseln_merged *merged)
{
    json_decref(merged->report);
    json_decref(merged->index);
}

bool fuseln_merge_add(struct fuseln_merged *merged, const char *path)
{
    json_t *json;
    char *wrong = fuseln_schema_read(path, &json);
    const bool taken = !wrong;
    if (wrong)
        fuseln_fail(1, "%s: %s", path, wrong);
    else
        add_report(merged, json, path);
    json_decref(json);
    free(wrong);
    return taken;
}

static int is_report(const struct dirent *entry)
{
    return fuseln_is_json(entry->d_name);
}

size_t fuseln_merge_folder(struct fuseln_merged *merged, const char *folder)
{
    struct dirent **files = NULL;
    const int found = scandir(folder, &files, is_report, alphasort), count = found > 0 ? found : 0;
    for (int i = 0; i < count; i++) {
        char *path;
        if (asprintf(&path, "%s/%s", folder, files[i]->d_name) >= 0) {
            fuseln_merge_add(merged, path);
            free(path);
        }
        free(files[i]);
    }
    free(files);
    return (size_t)count;
}

/* ---- after the last report ---- */

/* Most launches first; equal ones in the order in which they came. */
static json_t *sorted(const json_t *sites)
{
    json_t *result = json_array();
    FOREACH_ITEM(sum, sites) {
        size_t low = 0, high = sum_at;
        while (low < high) {
            const size_t middle = (low + high) / 2;
            if (fuseln_count_at(json_array_get(result, middle), "launches") >= fuseln_count_at(sum, "launches"))
                low = middle + 1;
            else
                high = middle;
        }
        json_array_insert(result, low, sum);
    }
    return result;
}

json_t *fuseln_merge_ranks(const json_t *files)
{
    json_t *ranks = json_object();
    FOREACH_ITEM(file, files) {
        const char *rank = fuseln_text_at(file, "rank");
        if (*rank)
            json_object_set_new(ranks, rank, json_true());
    }
    return ranks;
}

/* A text that says how a site's launches differ between ranks; NULL if they do not. */
static json_t *difference(const json_t *sum, json_t *ranks)
{
    const json_t *launches = json_object_get(sum, "by_rank");
    const char *least = NULL, *most = NULL;

    FOREACH_MEMBER(rank, ranks) {
        least = !least || fuseln_count_at(launches, rank) < fuseln_count_at(launches, least) ? rank : least;
        most = !most || fuseln_count_at(launches, rank) > fuseln_count_at(launches, most) ? rank : most;
    }
    if (fuseln_count_at(launches, least) == fuseln_count_at(launches, most))
        return NULL;
    return json_sprintf("%s, %" JSON_INTEGER_FORMAT " columns: %" JSON_INTEGER_FORMAT
                        " launches in rank %s, %" JSON_INTEGER_FORMAT " in rank %s",
                        fuseln_text_at(sum, "target"), fuseln_count_at(sum, "cols"), fuseln_count_at(launches, least),
                        least, fuseln_count_at(launches, most), most);
}

static void note_differences(json_t *report_json)
{
    json_t *differences = json_object_get(report_json, "differences");
    json_t *ranks = fuseln_merge_ranks(json_object_get(report_json, "files"));
    FOREACH_ITEM(sum, json_object_get(report_json, "sites")) {
        json_t *text = json_object_size(ranks) > 1 && json_array_size(differences) < DIFFERENCES_MAX
                           ? difference(sum, ranks)
                           : NULL;
        if (text)
            json_array_append_new(differences, text);
    }
    json_decref(ranks);
}

/* What ours saved, and whether a check failed. */
static void note_results(struct fuseln_merged *merged, long long steps)
{
    bool measured = false;
    double us = 0;
    FOREACH_ITEM(sum, json_object_get(merged->report, "sites")) {
        const json_t *times = json_object_get(sum, "measure");
        merged->failed |= json_is_true(json_object_get(json_object_get(sum, "verify"), "failed"));
        measured |= times != NULL;
        us += fuseln_real_at(times, "saved_us");
    }
    if (measured)
        json_object_set_new(merged->report, "saved", json_pack("{s:f}", "us", us));
    if (measured && steps > 0)
        json_object_update_new(json_object_get(merged->report, "saved"),
                               json_pack("{s:I, s:f}", "steps", (json_int_t)steps, "us_per_step", us / (double)steps));
}

void fuseln_merge_finish(struct fuseln_merged *merged, long long steps)
{
    json_object_set_new(merged->report, "sites", sorted(json_object_get(merged->report, "sites")));
    note_differences(merged->report);
    note_results(merged, steps);
    if (fuseln_count_at(json_object_get(merged->report, "totals"), "recognised") > 0)
        json_object_set_new(merged->report, "why", json_null());
}
