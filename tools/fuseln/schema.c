/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See schema.h. A report may be broken, or made by anybody: nothing of it is taken before all of it was validated.
 */
#include "tools/fuseln/schema.h"

#include "tools/fuseln/command.h"

#include <stdlib.h>

static const double REAL_MAX = 1e300; /* as src/base/json.c writes them */

// clang-format off
static const struct fuseln_field distance[] = {
    {REAL,   MAY,  SKIP,     NULL,     {"max_ulp", "rms_ulp"}}, /* null: too large for JSON */
    {0}};
static const struct fuseln_field verify[] = {
    {OBJECT, MAY,  DISTANCE, distance, {"apart", "ours", "original"}}, /* weighted by "elements": before it */
    {COUNT,  MUST, ADD,      NULL,     {"launches", "waiting", "elements", "outside", "outside_original", "nan"}},
    {COUNT,  MAY,  ADD,      NULL,     {"inconclusive"}},
    {FLAG,   MUST, ADD,      NULL,     {"failed"}},
    {OBJECT, MUST, ADD,      NULL,     {"unchecked"}},
    {OBJECT, MAY,  FIRST,    NULL,     {"first"}},
    {0}};
static const struct fuseln_field rows[] = {
    {COUNT,  MAY,  SKIP,     NULL,     {"rows_from", "rows_to", "pairs", "launches"}},
    {TEXT,   MAY,  SKIP,     NULL,     {"kept"}},
    {REAL,   MAY,  SKIP,     NULL,     {"ours_us", "original_us", "ours_gb_s", "original_gb_s", "saved_us"}},
    {0}};
static const struct fuseln_field measure[] = {
    {REAL,   MUST, ADD,      NULL,     {"saved_us"}},
    {LIST,   MUST, ADD,      rows,     {"rows"}},
    {0}};
const struct fuseln_field fuseln_schema_site[] = {
    {TEXT,   MUST, SAME,     NULL,     {"target"}},
    {TEXT,   MAY,  SAME,     NULL,     {"library", "build_id", "build", "op", "dtype"}},
    {ANY,    MAY,  SAME,     NULL,     {"symbol", "runtime", "rms", "boundary", "access_bytes", "null_arguments", "gamma_add"}},
    {COUNT,  MAY,  SAME,     NULL,     {"cols"}},
    {COUNT,  MUST, LEAST,    NULL,     {"rows_min"}},
    {COUNT,  MUST, MOST,     NULL,     {"rows_max"}},
    {COUNT,  MUST, ADD,      NULL,     {"launches", "substituted"}},
    {COUNT,  MAY,  ADD,      NULL,     {"pairs"}},
    {OBJECT, MUST, ADD,      NULL,     {"passed_through"}},
    {OBJECT, MAY,  ADD,      NULL,     {"unpaired"}},
    {OBJECT, MAY,  ADD,      verify,   {"verify"}},
    {OBJECT, MAY,  ADD,      measure,  {"measure"}},
    {ANY,    MAY,  LAST,     NULL,     {"kernel"}},
    {0}};
const struct fuseln_field fuseln_schema_device[] = {
    {NUMBER, MUST, SKIP,     NULL,     {"index"}},
    {TEXT,   MUST, SAME,     NULL,     {"name", "compute_capability", "driver"}},
    {TEXT,   MAY,  SAME,     NULL,     {"image", "compiler"}},
    {COUNT,  MUST, MOST,     NULL,     {"scratch_bytes"}},
    {COUNT,  MAY,  MOST,     NULL,     {"scratch_wanted_bytes"}},
    {0}};
const struct fuseln_field fuseln_schema_totals[] = {
    {COUNT,  MUST, ADD,      NULL,     {"launches", "recognised", "substituted", "passed_through", "pairs"}},
    {COUNT,  MAY,  ADD,      NULL,     {"left_out"}},
    {OBJECT, MAY,  ADD,      NULL,     {"reasons", "unpaired"}},
    {0}};
const struct fuseln_field fuseln_schema_norm[] = {
    {TEXT,   MUST, SAME,     NULL,     {"maker", "symbol"}},
    {COUNT,  MUST, ADD,      NULL,     {"launches"}},
    {0}};
const struct fuseln_field fuseln_schema_refused[] = {
    {COUNT,  MUST, SAME,     NULL,     {"line"}},
    {TEXT,   MAY,  SAME,     NULL,     {"file", "name"}}, /* name null: the whole file is */
    {TEXT,   MUST, SAME,     NULL,     {"reason"}},
    {0}};
static const struct fuseln_field targets[] = {
    {TEXT,   MUST, SKIP,     NULL,     {"file"}},
    {LIST,   MUST, SKIP,     fuseln_schema_refused, {"refused"}},
    {0}};
static const struct fuseln_field fuseln[] = {
    {TEXT,   MUST, SKIP,     NULL,     {"version", "mode"}},
    {0}};
static const struct fuseln_field process[] = {
    {NUMBER, MUST, SKIP,     NULL,     {"pid"}},
    {TEXT,   MUST, SKIP,     NULL,     {"host"}},
    {0}};
static const struct fuseln_field report[] = {
    {OBJECT, MUST, SKIP,     fuseln,   {"fuseln"}},
    {OBJECT, MUST, SKIP,     process,  {"process"}},
    {OBJECT, MUST, SKIP,     fuseln_schema_totals, {"totals"}},
    {LIST,   MUST, SKIP,     fuseln_schema_device, {"devices"}},
    {LIST,   MUST, SKIP,     fuseln_schema_site, {"sites"}},
    {LIST,   MAY,  SKIP,     fuseln_schema_norm, {"foreign_norms"}},
    {OBJECT, MAY,  SKIP,     targets,  {"targets"}},
    {0}};
// clang-format on

/* ---- is it a report? These return NULL, or what is wrong, which the caller frees ---- */

static bool is_kind(const json_t *value, enum fuseln_kind kind)
{
    switch (kind) {
    case TEXT:
        return json_is_string(value);
    case NUMBER:
        return json_is_integer(value);
    case COUNT:
        return json_is_integer(value) && json_integer_value(value) >= 0 &&
               json_integer_value(value) <= FUSELN_COUNT_LIMIT;
    case REAL:
        return json_is_number(value) && json_number_value(value) >= 0 && json_number_value(value) <= REAL_MAX;
    case FLAG:
        return json_is_boolean(value);
    case OBJECT:
        return json_is_object(value);
    case LIST:
        return json_is_array(value);
    default:
        return true;
    }
}

static char *check(const json_t *value, const char *key, const struct fuseln_field *field);

static char *check_members(const json_t *object, const struct fuseln_field *members)
{
    char *wrong = NULL;
    FOREACH_KEY(members, field, key) {
        wrong = check(json_object_get(object, *key), *key, field);
        if (wrong)
            return wrong;
    }
    if (!members)
        FOREACH_MEMBER(name, object)
            if (!is_kind(json_object_get(object, name), COUNT))
                return fuseln_text("%s is not a count", name);
    return NULL;
}

static char *check_items(const json_t *list, const char *key, const struct fuseln_field *members)
{
    FOREACH_ITEM(item, list) {
        char name[32];
        snprintf(name, sizeof name, "%s[%zu]", key, item_at);
        char *wrong = check(item, name, &(struct fuseln_field){OBJECT, MUST, SKIP, members, {0}});
        if (wrong)
            return wrong;
    }
    return NULL;
}

static char *check(const json_t *value, const char *key, const struct fuseln_field *field)
{
    static const char *const kinds[] = {"anything",  "a text", "a number",  "a count (0 to 2^53)",
                                        "a measure", "a flag", "an object", "a list"};
    if (!value || json_is_null(value))
        return field->need == MAY ? NULL : fuseln_text("%s is missing", key);
    if (!is_kind(value, field->kind))
        return fuseln_text("%s is not %s", key, kinds[field->kind]);
    if (field->kind == LIST && field->members)
        return check_items(value, key, field->members);
    char *inner = field->kind == OBJECT ? check_members(value, field->members) : NULL;
    char *wrong = inner ? fuseln_text("%s.%s", key, inner) : NULL;
    free(inner);
    return wrong;
}

static char *check_report(const json_t *json)
{
    const json_t *schema = json_object_get(json, "schema");
    if (!json_is_integer(schema))
        return fuseln_text("JSON, but not a report of fuseln: it has no schema");
    if (json_integer_value(schema) != FUSELN_SCHEMA)
        return fuseln_text("a report of schema %" JSON_INTEGER_FORMAT "; this fuseln reads schema %d",
                           json_integer_value(schema), FUSELN_SCHEMA);
    return check_members(json, report);
}

char *fuseln_schema_read(const char *path, json_t **ret_report)
{
    json_error_t error;
    *ret_report = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (*ret_report)
        return check_report(*ret_report);
    if (error.line <= 0)
        return fuseln_text("%s", error.text);
    return fuseln_text("not JSON (line %d, column %d: %s)%s", error.line, error.column, error.text,
                       json_error_code(&error) == json_error_premature_end_of_input ? ": it was cut off" : "");
}
