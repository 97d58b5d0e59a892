/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See merge.h. A report is checked whole before anything of it is taken: what must be there, of which type, and that no
 * count is negative or too large to be added up.
 */
#include "tools/fuseln/merge.h"

#include "tools/fuseln/command.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA = 1, DIFFERENCES_MAX = 20 };
static const json_int_t COUNT_MAX = INT64_C(1) << 53; /* what any reader of JSON can hold; sums stay there too */

struct fuseln_merged fuseln_merge_new(void)
{
    return (struct fuseln_merged){.files = json_array(),
                                  .devices = json_array(),
                                  .sites = json_array(),
                                  .totals = json_object(),
                                  .differences = json_array(),
                                  .index = json_object()};
}

void fuseln_merge_free(struct fuseln_merged *merged)
{
    json_decref(merged->files);
    json_decref(merged->devices);
    json_decref(merged->sites);
    json_decref(merged->totals);
    json_decref(merged->differences);
    json_decref(merged->why);
    json_decref(merged->index);
    free(merged->error);
}

/* ---- is it a report? Each of these is NULL, or what is wrong: to be freed ---- */

static bool is_count(const json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) <= COUNT_MAX;
}

static bool is_kind(const json_t *value, char kind)
{
    switch (kind) {
    case 's':
        return json_is_string(value);
    case 'i':
    case 'n':
        return json_is_integer(value);
    case 'c':
    case 'o':
        return json_is_object(value);
    default:
        return json_is_array(value);
    }
}

/* What stands under key: 's' a text, 'i' a count, 'n' a number that is none, 'c' an object of counts, 'o' an object,
 * 'a' a list; upper case: or null, or nothing at all. */
static char *check_field(const json_t *object, char kind, const char *key, const char *where)
{
    static const char *const kinds[] = {['s'] = "a text",    ['i'] = "a count",   ['n'] = "a number",
                                        ['c'] = "an object", ['o'] = "an object", ['a'] = "a list"};
    const json_t *value = json_object_get(object, key);
    const bool nullable = kind >= 'A' && kind <= 'Z';
    const char type = nullable ? (char)(kind - 'A' + 'a') : kind, *name;
    json_t *count;

    if (nullable && (!value || json_is_null(value)))
        return NULL;
    if (!value || !is_kind(value, type))
        return fuseln_text("%s%s is %s, not %s", where, key, value ? "of another type" : "missing",
                           kinds[(unsigned char)type]);
    if (type == 'i' && !is_count(value))
        return fuseln_text("%s%s is %" JSON_INTEGER_FORMAT ", which no count can be", where, key,
                           json_integer_value(value));
    if (type == 'c')
        json_object_foreach((json_t *)value, name,
                            count) if (!is_count(count)) return fuseln_text("%s%s.%s is not a count", where, key, name);
    return NULL;
}

static char *check_fields(const json_t *object, const char *fields, const char *where)
{
    char key[32], kind, *wrong = NULL;
    int used = 0;

    if (!json_is_object(object))
        return fuseln_text("%s is not an object", *where ? where : "it");
    for (; !wrong && sscanf(fields, " %c:%31s%n", &kind, key, &used) == 2; fields += used)
        wrong = check_field(object, kind, key, where);
    return wrong;
}

/* "apart": {"max_ulp": ..., "rms_ulp": ...}; a number too large to be one is null. */
static const char *const distances[] = {"apart", "ours", "original"};
static const char *const distance_parts[] = {"max_ulp", "rms_ulp"};

/* What a site says of its checks. */
static char *check_verify(const json_t *verify, const char *where)
{
    char *wrong = check_fields(
        verify, "i:launches i:waiting i:elements i:outside i:outside_original i:nan I:inconclusive c:unchecked O:first",
        where);
    if (!wrong && !json_is_boolean(json_object_get(verify, "failed")))
        wrong = fuseln_text("%sfailed is neither true nor false", where);
    for (size_t i = 0; i < sizeof distances / sizeof *distances; i++) {
        const json_t *distance = json_object_get(verify, distances[i]);
        for (size_t part = 0; part < 2 && distance && !wrong; part++) {
            const json_t *value = json_object_get(distance, distance_parts[part]);
            if (!json_is_null(value) && !(json_is_number(value) && json_number_value(value) >= 0))
                wrong = fuseln_text("%s%s.%s is not a distance", where, distances[i], distance_parts[part]);
        }
    }
    return wrong;
}

/* Only what is added up. */
static char *check_measure(const json_t *measure, const char *where)
{
    const json_t *saved = json_object_get(measure, "saved_us");
    if (!json_is_number(saved) || json_number_value(saved) < 0 || json_number_value(saved) > 1e18)
        return fuseln_text("%ssaved_us is not a time", where);
    return check_fields(measure, "a:rows", where);
}

/* What stands under key, if anything does. */
static char *check_part(const json_t *item, const char *key, const char *where,
                        char *(*check_it)(const json_t *part, const char *where))
{
    const json_t *part = json_object_get(item, key);
    if (!part || json_is_null(part))
        return NULL;
    char *place = fuseln_text("%s%s.", where, key), *wrong = check_it(part, place);
    free(place);
    return wrong;
}

static char *check_list(const json_t *report, const char *name, const char *fields)
{
    char where[64], *wrong;
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(report, name), i, item)
    {
        snprintf(where, sizeof where, "%s[%zu].", name, i);
        if ((wrong = check_fields(item, fields, where)) || (wrong = check_part(item, "verify", where, check_verify)) ||
            (wrong = check_part(item, "measure", where, check_measure)))
            return wrong;
    }
    return NULL;
}

static char *check(const json_t *report)
{
    const json_t *schema = json_object_get(report, "schema");
    char *wrong;
    if (!json_is_object(report) || !json_is_integer(schema))
        return fuseln_text("JSON, but not a report of fuseln: it has no schema");
    if (json_integer_value(schema) != SCHEMA)
        return fuseln_text("a report of schema %" JSON_INTEGER_FORMAT "; this fuseln reads schema %d",
                           json_integer_value(schema), SCHEMA);
    if ((wrong = check_fields(report, "o:fuseln o:process a:devices o:totals a:sites", "")) ||
        (wrong = check_fields(json_object_get(report, "process"), "n:pid s:host", "process.")) ||
        (wrong = check_fields(json_object_get(report, "fuseln"), "s:version s:mode", "fuseln.")) ||
        (wrong = check_fields(json_object_get(report, "totals"),
                              "i:launches i:recognised i:substituted i:passed_through i:pairs C:reasons C:unpaired",
                              "totals.")) ||
        (wrong = check_list(report, "devices",
                            "n:index s:name s:compute_capability s:driver S:image S:compiler i:scratch_bytes")))
        return wrong;
    return check_list(report, "sites",
                      "s:target S:op S:dtype S:library S:build_id S:build I:cols i:rows_min i:rows_max i:launches "
                      "i:substituted c:passed_through I:pairs C:unpaired");
}

/* ---- adding up ---- */

static json_int_t integer(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* Both are at most COUNT_MAX, and so is the sum. */
static void add_to(json_t *object, const char *key, json_int_t more)
{
    const json_int_t sum = integer(object, key) + more;
    json_object_set_new(object, key, json_integer(sum < COUNT_MAX ? sum : COUNT_MAX));
}

/* Add the counts of an object, key by key. */
static void add_counts(json_t *object, const char *name, const json_t *counts)
{
    const char *key;
    json_t *value, *into = json_object_get(object, name);
    if (!into)
        json_object_set_new(object, name, into = json_object());
    json_object_foreach((json_t *)counts, key, value) add_to(into, key, json_integer_value(value));
}

/* What is under these keys, as one text. To be freed. */
static char *identity_of(const json_t *item, const char *const *keys)
{
    char *identity = NULL;
    size_t size;
    FILE *text = open_memstream(&identity, &size);
    for (; text && *keys; keys++) {
        const json_t *value = json_object_get(item, *keys);
        if (json_is_string(value))
            fprintf(text, "\"%zu:%s", json_string_length(value), json_string_value(value));
        else if (json_is_integer(value))
            fprintf(text, "%" JSON_INTEGER_FORMAT ",", json_integer_value(value));
        else if (value)
            json_dumpf(value, text, JSON_COMPACT | JSON_ENCODE_ANY);
        else
            fputc('-', text);
    }
    if (text)
        fclose(text);
    return identity;
}

/* That of the list which has the same under all of these keys; a new one with just them if there is none. */
static json_t *find(struct fuseln_merged *merged, json_t *list, const json_t *like, const char *const *keys)
{
    char *identity = identity_of(like, keys);
    json_t *item = json_object_get(merged->index, identity);
    if (!item) {
        item = json_object();
        for (; *keys; keys++)
            if (json_object_get(like, *keys))
                json_object_set(item, *keys, json_object_get(like, *keys));
        json_object_set(merged->index, identity, item);
        json_array_append_new(list, item);
    }
    free(identity);
    return item;
}

/* Of so many elements each: the largest, and the root of the mean square of all. */
static void add_distance(json_t *into, const char *name, const json_t *more, double elements, double more_elements)
{
    json_t *distance = json_object_get(into, name);
    if (!more)
        return;
    if (!distance)
        json_object_set_new(into, name, distance = json_object());
    const double largest = json_number_value(json_object_get(distance, "max_ulp")),
                 other = json_number_value(json_object_get(more, "max_ulp")),
                 mean = json_number_value(json_object_get(distance, "rms_ulp")),
                 other_mean = json_number_value(json_object_get(more, "rms_ulp")), all = elements + more_elements;
    json_object_set_new(distance, "max_ulp", json_real(largest > other ? largest : other));
    json_object_set_new(
        distance, "rms_ulp",
        json_real(all > 0 ? sqrt(mean * mean * (elements / all) + other_mean * other_mean * (more_elements / all))
                          : 0));
}

static void add_verify(json_t *site, const json_t *more)
{
    static const char *const counts[] = {"launches",         "waiting", "elements",    "outside",
                                         "outside_original", "nan",     "inconclusive"};
    json_t *into = json_object_get(site, "verify");
    if (!json_is_object(more))
        return;
    if (!into)
        json_object_set_new(site, "verify", into = json_object());
    for (size_t i = 0; i < sizeof distances / sizeof *distances; i++)
        add_distance(into, distances[i], json_object_get(more, distances[i]), (double)integer(into, "elements"),
                     (double)integer(more, "elements"));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        add_to(into, counts[i], integer(more, counts[i]));
    add_counts(into, "unchecked", json_object_get(more, "unchecked"));
    json_object_set_new(
        into, "failed",
        json_boolean(json_is_true(json_object_get(into, "failed")) || json_is_true(json_object_get(more, "failed"))));
    if (json_object_get(more, "first") && !json_object_get(into, "first"))
        json_object_set(into, "first", json_object_get(more, "first"));
}

/* The time saved is added up; what was measured stands side by side. */
static void add_measure(json_t *site, const json_t *more)
{
    json_t *into = json_object_get(site, "measure");
    if (!json_is_object(more))
        return;
    if (!into)
        json_object_set_new(site, "measure", into = json_pack("{s:f, s:[]}", "saved_us", 0.0, "rows"));
    json_object_set_new(into, "saved_us",
                        json_real(json_number_value(json_object_get(into, "saved_us")) +
                                  json_number_value(json_object_get(more, "saved_us"))));
    json_array_extend(json_object_get(into, "rows"), json_object_get(more, "rows"));
}

static void add_site(struct fuseln_merged *merged, const json_t *site, const json_t *rank)
{
    static const char *const keys[] = {"target", "symbol", "library", "build_id", "build",        "runtime",
                                       "op",     "dtype",  "rms",     "boundary", "access_bytes", "null_arguments",
                                       "cols",   NULL};
    json_t *into = find(merged, merged->sites, site, keys);

    if (!json_object_get(into, "rows_min")) {
        json_object_set(into, "rows_min", json_object_get(site, "rows_min"));
        json_object_set(into, "rows_max", json_object_get(site, "rows_max"));
    }
    if (integer(site, "rows_min") < integer(into, "rows_min"))
        json_object_set(into, "rows_min", json_object_get(site, "rows_min"));
    if (integer(site, "rows_max") > integer(into, "rows_max"))
        json_object_set(into, "rows_max", json_object_get(site, "rows_max"));
    if (json_is_string(json_object_get(site, "kernel")))
        json_object_set(into, "kernel", json_object_get(site, "kernel"));
    add_to(into, "launches", integer(site, "launches"));
    add_to(into, "substituted", integer(site, "substituted"));
    add_counts(into, "passed_through", json_object_get(site, "passed_through"));
    if (json_object_get(site, "pairs")) {
        add_to(into, "pairs", integer(site, "pairs"));
        add_counts(into, "unpaired", json_object_get(site, "unpaired"));
    }
    add_verify(into, json_object_get(site, "verify"));
    add_measure(into, json_object_get(site, "measure"));
    if (!json_object_get(into, "by_rank"))
        json_object_set_new(into, "by_rank", json_object());
    add_to(json_object_get(into, "by_rank"), json_string_value(rank), integer(site, "launches"));
}

static void add_device(struct fuseln_merged *merged, const json_t *device)
{
    static const char *const keys[] = {"name", "compute_capability", "driver", "image", "compiler", NULL};
    json_t *into = find(merged, merged->devices, device, keys);
    add_to(into, "count", 1);
    if (integer(device, "scratch_bytes") >= integer(into, "scratch_bytes"))
        json_object_set(into, "scratch_bytes", json_object_get(device, "scratch_bytes"));
}

static void add_totals(struct fuseln_merged *merged, const json_t *totals)
{
    static const char *const counts[] = {"launches",       "recognised", "substituted",
                                         "passed_through", "pairs",      "left_out"};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        add_to(merged->totals, counts[i], integer(totals, counts[i]));
    add_counts(merged->totals, "reasons", json_object_get(totals, "reasons"));
    add_counts(merged->totals, "unpaired", json_object_get(totals, "unpaired"));
}

/* The rank as a text: a number, a word, or "" where there is none. */
static json_t *rank_of(const json_t *process)
{
    json_t *rank = json_object_get(process, "rank");
    if (json_is_integer(rank))
        return json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(rank));
    return json_is_string(rank) ? json_incref(rank) : json_string("");
}

static void add_file(struct fuseln_merged *merged, const json_t *report, const char *path, json_t *rank)
{
    const json_t *process = json_object_get(report, "process");
    json_t *file = json_pack("{s:o, s:O, s:O, s:O, s:O}", "file", fuseln_text_json(path), "rank", rank, "pid",
                             json_object_get(process, "pid"), "host", json_object_get(process, "host"), "mode",
                             json_object_get(json_object_get(report, "fuseln"), "mode"));
    if (json_object_get(process, "seconds"))
        json_object_set(file, "seconds", json_object_get(process, "seconds"));
    if (json_object_get(report, "final"))
        json_object_set(file, "final", json_object_get(report, "final"));
    json_array_append_new(merged->files, file);
}

static char *read_report(const char *path, json_t **ret_report)
{
    json_error_t error;
    *ret_report = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (*ret_report)
        return check(*ret_report);
    return error.line <= 0
               ? fuseln_text("%s", error.text)
               : fuseln_text("not JSON (line %d, column %d: %s)%s", error.line, error.column, error.text,
                             json_error_code(&error) == json_error_premature_end_of_input ? ": it was cut off" : "");
}

static void add_report(struct fuseln_merged *merged, const json_t *report, const char *path)
{
    json_t *rank = rank_of(json_object_get(report, "process")), *item;
    size_t i;
    add_file(merged, report, path, rank);
    json_array_foreach(json_object_get(report, "devices"), i, item) add_device(merged, item);
    json_array_foreach(json_object_get(report, "sites"), i, item) add_site(merged, item, rank);
    add_totals(merged, json_object_get(report, "totals"));
    if (!merged->why && json_is_string(json_object_get(report, "why")))
        merged->why = json_incref(json_object_get(report, "why"));
    json_decref(rank);
}

bool fuseln_merge_add(struct fuseln_merged *merged, const char *path)
{
    json_t *report;
    free(merged->error);
    merged->error = read_report(path, &report);
    if (!merged->error)
        add_report(merged, report, path);
    json_decref(report);
    return !merged->error;
}

size_t fuseln_merge_failed(const struct fuseln_merged *merged)
{
    size_t i, failed = 0;
    json_t *site;
    json_array_foreach(merged->sites, i, site) failed +=
        json_is_true(json_object_get(json_object_get(site, "verify"), "failed"));
    return failed;
}

bool fuseln_merge_saved(const struct fuseln_merged *merged, double *ret_us)
{
    bool measured = false;
    size_t i;
    json_t *site;
    *ret_us = 0;
    json_array_foreach(merged->sites, i, site)
    {
        const json_t *measure = json_object_get(site, "measure");
        measured = measured || measure;
        *ret_us += json_number_value(json_object_get(measure, "saved_us"));
    }
    return measured;
}

/* ---- when all are there ---- */

struct place {
    json_t *site;
    size_t at;
};

static int compare_places(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    const json_int_t more = integer(a->site, "launches"), less = integer(b->site, "launches");
    return more != less ? (more < less) - (more > less) : (a->at > b->at) - (a->at < b->at);
}

/* Most launches first, else as they came. */
static void sort_sites(struct fuseln_merged *merged)
{
    const size_t count = json_array_size(merged->sites);
    struct place *places = calloc(count + 1, sizeof *places);
    if (!places)
        return;
    for (size_t i = 0; i < count; i++)
        places[i] = (struct place){json_array_get(merged->sites, i), i};
    qsort(places, count, sizeof *places, compare_places);
    json_t *sorted = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append(sorted, places[i].site);
    free(places);
    json_decref(merged->sites);
    merged->sites = sorted;
}

/* The ranks that there are, as keys. */
static json_t *ranks_of(const struct fuseln_merged *merged)
{
    json_t *ranks = json_object(), *file;
    size_t i;
    json_array_foreach(merged->files, i, file) if (*json_string_value(json_object_get(file, "rank")))
        json_object_set_new(ranks, json_string_value(json_object_get(file, "rank")), json_true());
    return ranks;
}

static void compare_ranks(struct fuseln_merged *merged, const json_t *site, json_t *ranks)
{
    const json_t *launches = json_object_get(site, "by_rank");
    const char *rank, *least_rank = NULL, *most_rank = NULL;
    json_int_t least = 0, most = 0;
    json_t *unused;

    json_object_foreach(ranks, rank, unused)
    {
        const json_int_t count = integer(launches, rank);
        if (!least_rank || count < least)
            least = count, least_rank = rank;
        if (!most_rank || count > most)
            most = count, most_rank = rank;
    }
    if (least != most && json_array_size(merged->differences) < DIFFERENCES_MAX)
        json_array_append_new(merged->differences,
                              json_sprintf("%s, %" JSON_INTEGER_FORMAT " columns: %" JSON_INTEGER_FORMAT
                                           " launches in rank %s, %" JSON_INTEGER_FORMAT " in rank %s",
                                           json_string_value(json_object_get(site, "target")), integer(site, "cols"),
                                           least, least_rank, most, most_rank));
}

void fuseln_merge_finish(struct fuseln_merged *merged)
{
    json_t *ranks = ranks_of(merged), *site;
    size_t i;

    sort_sites(merged);
    if (json_object_size(ranks) > 1)
        json_array_foreach(merged->sites, i, site) compare_ranks(merged, site, ranks);
    if (integer(merged->totals, "recognised") > 0 && merged->why) {
        json_decref(merged->why);
        merged->why = NULL;
    }
    json_decref(ranks);
}

static json_t *saved_of(const struct fuseln_merged *merged)
{
    double us;
    if (!fuseln_merge_saved(merged, &us))
        return NULL;
    json_t *saved = json_pack("{s:f}", "us", us);
    if (merged->steps > 0) {
        json_object_set_new(saved, "steps", json_integer(merged->steps));
        json_object_set_new(saved, "us_per_step", json_real(us / (double)merged->steps));
    }
    return saved;
}

void fuseln_merge_print_json(const struct fuseln_merged *merged)
{
    fuseln_say_json(json_pack("{s:i, s:O, s:O, s:O, s:O, s:O, s:o*, s:O?}", "schema", SCHEMA, "files", merged->files,
                              "devices", merged->devices, "totals", merged->totals, "sites", merged->sites,
                              "differences", merged->differences, "saved", saved_of(merged), "why", merged->why));
}
