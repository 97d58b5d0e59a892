/*
 * See merge.h. A report is checked whole before anything of it is taken: what must be there, of which type, and that no
 * count is negative or too large to be added up.
 */
#include "merge.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA = 1, DIFFERENCES_MAX = 20 };
static const json_int_t COUNT_MAX = INT64_C(1) << 53; /* what any reader of JSON can hold; a thousand files add up */

struct fuseln_merged fuseln_merge_new(void)
{
    return (struct fuseln_merged){json_array(), json_array(), json_array(), json_object(), json_array(), NULL, 0};
}

void fuseln_merge_free(struct fuseln_merged *merged)
{
    json_decref(merged->files);
    json_decref(merged->devices);
    json_decref(merged->sites);
    json_decref(merged->totals);
    json_decref(merged->differences);
    json_decref(merged->why);
}

/* ---- is it a report? ---- */

static int wrong(char *ret_error, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(ret_error, size, format, arguments);
    va_end(arguments);
    for (char *c = ret_error; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    return -1;
}

static int is_kind(const json_t *value, char kind)
{
    switch (kind) {
    case 's':
        return json_is_string(value);
    case 'i':
        return json_is_integer(value);
    case 'o':
        return json_is_object(value);
    default:
        return json_is_array(value);
    }
}

/* What stands under key: 's' a text, 'i' a count, 'o' an object of counts, 'a' an array; upper case: or null. */
static int check_field(const json_t *object, char kind, const char *key, const char *where, char *ret_error,
                       size_t size)
{
    static const char *const kinds[] = {['s'] = "a text", ['i'] = "a count", ['o'] = "an object", ['a'] = "a list"};
    const json_t *value = json_object_get(object, key);
    const int nullable = kind >= 'A' && kind <= 'Z';
    const char type = nullable ? (char)(kind - 'A' + 'a') : kind;

    if (nullable && json_is_null(value))
        return 0;
    if (!value || !is_kind(value, type))
        return wrong(ret_error, size, "%s%s is %s, not %s", where, key, value ? "of another type" : "missing",
                     kinds[(unsigned char)type]);
    if (type == 'i' && (json_integer_value(value) < -1 || json_integer_value(value) > COUNT_MAX))
        return wrong(ret_error, size, "%s%s is %" JSON_INTEGER_FORMAT ", which no count can be", where, key,
                     json_integer_value(value));
    return 0;
}

static int check_fields(const json_t *object, const char *fields, const char *where, char *ret_error, size_t size)
{
    char key[32];
    int kind_at = 0, used = 0;
    char kind;

    if (!json_is_object(object))
        return wrong(ret_error, size, "%s is not an object", *where ? where : "it");
    for (; sscanf(fields + kind_at, " %c:%31s%n", &kind, key, &used) == 2; kind_at += used)
        if (check_field(object, kind, key, where, ret_error, size))
            return -1;
    return 0;
}

static int check_counts(const json_t *object, const char *where, char *ret_error, size_t size)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key,
                        value) if (!json_is_integer(value) || json_integer_value(value) < 0 ||
                                   json_integer_value(value) >
                                       COUNT_MAX) return wrong(ret_error, size, "%s.%s is not a count", where, key);
    return 0;
}

/* "apart": {"max_ulp": ..., "rms_ulp": ...}; a number too large to be one is null. */
static const char *const distances[] = {"apart", "ours", "original"};
static const char *const distance_parts[] = {"max_ulp", "rms_ulp"};

/* What a site says of its checks. */
static int check_verify(const json_t *site, const char *where, char *ret_error, size_t size)
{
    const json_t *verify = json_object_get(site, "verify");
    char place[96];
    if (!verify || json_is_null(verify))
        return 0;
    snprintf(place, sizeof place, "%sverify.", where);
    if (check_fields(verify, "i:launches i:waiting i:elements i:outside i:outside_original i:nan o:unchecked", place,
                     ret_error, size) ||
        check_counts(json_object_get(verify, "unchecked"), place, ret_error, size))
        return -1;
    if (!json_is_boolean(json_object_get(verify, "failed")))
        return wrong(ret_error, size, "%sfailed is neither true nor false", place);
    for (size_t i = 0; i < sizeof distances / sizeof *distances; i++) {
        const json_t *distance = json_object_get(verify, distances[i]);
        for (size_t part = 0; part < 2 && distance; part++) {
            const json_t *value = json_object_get(distance, distance_parts[part]);
            if (!json_is_null(value) && !(json_is_number(value) && json_number_value(value) >= 0))
                return wrong(ret_error, size, "%s%s.%s is not a distance", place, distances[i], distance_parts[part]);
        }
    }
    return 0;
}

/* Only what is added up. */
static int check_measure(const json_t *site, const char *where, char *ret_error, size_t size)
{
    const json_t *measure = json_object_get(site, "measure"), *saved = json_object_get(measure, "saved_us");
    if (!measure || json_is_null(measure))
        return 0;
    if (!json_is_number(saved) || json_number_value(saved) < 0 || json_number_value(saved) > 1e18)
        return wrong(ret_error, size, "%smeasure.saved_us is not a time", where);
    return json_is_array(json_object_get(measure, "rows"))
               ? 0
               : wrong(ret_error, size, "%smeasure.rows is not a list", where);
}

static int check_list(const json_t *report, const char *name, const char *fields, char *ret_error, size_t size)
{
    char where[64];
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(report, name), i, item)
    {
        snprintf(where, sizeof where, "%s[%zu].", name, i);
        if (check_fields(item, fields, where, ret_error, size))
            return -1;
        const json_t *passed = json_object_get(item, "passed_through"), *unpaired = json_object_get(item, "unpaired");
        if ((passed && check_counts(passed, where, ret_error, size)) ||
            (unpaired && check_counts(unpaired, where, ret_error, size)) ||
            check_verify(item, where, ret_error, size) || check_measure(item, where, ret_error, size))
            return -1;
    }
    return 0;
}

static int check(const json_t *report, char *ret_error, size_t size)
{
    const json_t *schema = json_object_get(report, "schema"), *process = json_object_get(report, "process");
    if (!json_is_object(report) || !json_is_integer(schema))
        return wrong(ret_error, size, "JSON, but not a report of fuseln: it has no schema");
    if (json_integer_value(schema) != SCHEMA)
        return wrong(ret_error, size, "a report of schema %" JSON_INTEGER_FORMAT "; this fuseln reads schema %d",
                     json_integer_value(schema), SCHEMA);
    if (check_fields(report, "o:fuseln o:process a:devices o:totals a:sites", "", ret_error, size) ||
        check_fields(process, "i:pid s:host", "process.", ret_error, size) ||
        check_fields(json_object_get(report, "fuseln"), "s:version s:mode", "fuseln.", ret_error, size) ||
        check_fields(json_object_get(report, "totals"),
                     "i:launches i:recognised i:substituted i:passed_through i:pairs", "totals.", ret_error, size) ||
        check_list(report, "devices", "i:index s:name s:compute_capability s:driver S:image i:scratch_bytes", ret_error,
                   size))
        return -1;
    return check_list(report, "sites",
                      "s:target S:op S:dtype S:library S:build_id S:build I:cols i:rows_min i:rows_max i:launches "
                      "i:substituted o:passed_through",
                      ret_error, size);
}

/* ---- adding up ---- */

static json_int_t integer(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void add_to(json_t *object, const char *key, json_int_t more)
{
    json_object_set_new(object, key, json_integer(integer(object, key) + more));
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

static int same(const json_t *a, const json_t *b, const char *const *keys)
{
    for (; *keys; keys++) {
        const json_t *x = json_object_get(a, *keys), *y = json_object_get(b, *keys);
        if (!(x ? json_equal((json_t *)x, (json_t *)y) : !y))
            return 0;
    }
    return 1;
}

static json_t *find(json_t *list, const json_t *like, const char *const *keys)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) if (same(item, like, keys)) return item;
    return NULL;
}

static json_t *copy_of(json_t *list, const json_t *from, const char *const *keys)
{
    json_t *item = json_object();
    for (; *keys; keys++)
        if (json_object_get(from, *keys))
            json_object_set(item, *keys, json_object_get(from, *keys));
    json_array_append_new(list, item);
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
    static const char *const counts[] = {"launches", "waiting", "elements", "outside", "outside_original", "nan"};
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

static void add_site(struct fuseln_merged *merged, const json_t *site, const char *rank)
{
    static const char *const keys[] = {"target", "symbol", "library", "build_id", "build",        "runtime",
                                       "op",     "dtype",  "rms",     "boundary", "access_bytes", "null_arguments",
                                       "cols",   NULL};
    json_t *into = find(merged->sites, site, keys);
    const int is_new = !into;

    if (is_new) {
        into = copy_of(merged->sites, site, keys);
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
    add_to(json_object_get(into, "by_rank"), rank, integer(site, "launches"));
}

static void add_device(struct fuseln_merged *merged, const json_t *device)
{
    static const char *const keys[] = {"name", "compute_capability", "driver", "image", "compiler", NULL};
    json_t *into = find(merged->devices, device, keys);
    if (!into)
        into = copy_of(merged->devices, device, keys);
    add_to(into, "count", 1);
    if (integer(device, "scratch_bytes") >= integer(into, "scratch_bytes"))
        json_object_set(into, "scratch_bytes", json_object_get(device, "scratch_bytes"));
}

static void add_totals(struct fuseln_merged *merged, const json_t *totals)
{
    static const char *const counts[] = {"launches", "recognised", "substituted", "passed_through", "pairs"};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        add_to(merged->totals, counts[i], integer(totals, counts[i]));
    add_counts(merged->totals, "reasons", json_object_get(totals, "reasons"));
    add_counts(merged->totals, "unpaired", json_object_get(totals, "unpaired"));
}

/* The rank as a text: a number, a word, or "" where there is none. */
static const char *rank_of(const json_t *process, char *text, size_t size)
{
    const json_t *rank = json_object_get(process, "rank");
    text[0] = '\0';
    if (json_is_integer(rank))
        snprintf(text, size, "%" JSON_INTEGER_FORMAT, json_integer_value(rank));
    else if (json_is_string(rank))
        snprintf(text, size, "%s", json_string_value(rank));
    return text;
}

static void add_file(struct fuseln_merged *merged, const json_t *report, const char *path, const char *rank)
{
    json_t *process = json_object_get(report, "process"), *file = json_object();
    json_object_set_new(file, "file", json_string_nocheck(path));
    json_object_set_new(file, "rank", json_string(rank));
    json_object_set(file, "pid", json_object_get(process, "pid"));
    json_object_set(file, "host", json_object_get(process, "host"));
    if (json_object_get(process, "seconds"))
        json_object_set(file, "seconds", json_object_get(process, "seconds"));
    json_object_set(file, "mode", json_object_get(json_object_get(report, "fuseln"), "mode"));
    if (json_object_get(report, "final"))
        json_object_set(file, "final", json_object_get(report, "final"));
    json_array_append_new(merged->files, file);
}

static int read_report(const char *path, json_t **ret_report, char *ret_error, size_t size)
{
    json_error_t error;
    *ret_report = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!*ret_report)
        return error.line > 0
                   ? wrong(ret_error, size, "not JSON (line %d, column %d: %s)%s", error.line, error.column, error.text,
                           json_error_code(&error) == json_error_premature_end_of_input ? ": it was cut off" : "")
                   : wrong(ret_error, size, "%s", error.text);
    return check(*ret_report, ret_error, size);
}

int fuseln_merge_add(struct fuseln_merged *merged, const char *path, char *ret_error, size_t error_size)
{
    json_t *report, *item;
    char rank[64];
    size_t i;
    const int rc = read_report(path, &report, ret_error, error_size);

    if (rc == 0) {
        rank_of(json_object_get(report, "process"), rank, sizeof rank);
        add_file(merged, report, path, rank);
        json_array_foreach(json_object_get(report, "devices"), i, item) add_device(merged, item);
        json_array_foreach(json_object_get(report, "sites"), i, item) add_site(merged, item, rank);
        add_totals(merged, json_object_get(report, "totals"));
        if (!merged->why && json_is_string(json_object_get(report, "why")))
            merged->why = json_incref(json_object_get(report, "why"));
    }
    json_decref(report);
    return rc;
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

/* Sorts by insertion: most launches first, else as they came. */
static void sort_sites(json_t *sites)
{
    for (size_t i = 1; i < json_array_size(sites); i++) {
        json_t *site = json_incref(json_array_get(sites, i));
        size_t at = i;
        while (at > 0 && integer(json_array_get(sites, at - 1), "launches") < integer(site, "launches"))
            at--;
        json_array_remove(sites, i);
        json_array_insert_new(sites, at, site);
    }
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

    sort_sites(merged->sites);
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

void fuseln_merge_print_json(const struct fuseln_merged *merged, FILE *out)
{
    json_t *saved = saved_of(merged);
    json_t *all = json_pack("{s:i, s:O, s:O, s:O, s:O, s:O, s:o*, s:O?}", "schema", SCHEMA, "files", merged->files,
                            "devices", merged->devices, "totals", merged->totals, "sites", merged->sites, "differences",
                            merged->differences, "saved", saved, "why", merged->why);
    json_dumpf(all, out, JSON_INDENT(1));
    fputc('\n', out);
    json_decref(all);
}
