/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See html.h.
 */
#include "tools/fuseln/html.h"

#include "base/fuseln.h"
#include "tools/fuseln/command.h"
#include "tools/fuseln/merge.h"

#include <stdlib.h>
#include <string.h>

/* Appends to the list under key, which is made if there is none. */
static void append(json_t *view, const char *key, json_t *row)
{
    if (!json_object_get(view, key))
        json_object_set_new(view, key, json_array());
    json_array_append_new(json_object_get(view, key), row);
}

/* A text that is freed; none if it is NULL. */
static void append_note(json_t *view, const char *section, char *text)
{
    if (text)
        append(json_object_get(view, "notes"), section, json_string(text));
    free(text);
}

static void set_text(json_t *row, const char *key, char *text)
{
    json_object_set_new(row, key, json_string(text));
    free(text);
}

static void append_reasons(json_t *view, const char *section, const json_t *counts, const struct fuseln_reason *reasons,
                           size_t size)
{
    FOREACH_MEMBER(key, counts)
        append(view, section,
               json_pack("{s:s, s:O, s:s}", "key", key, "count", json_object_get(counts, key), "text",
                         fuseln_reason_text(reasons, size, key)));
}

/* The members of such an object, and what names the site. */
static json_t *row_of(const json_t *members, const json_t *site)
{
    json_t *row = json_copy((json_t *)members);
    json_object_set(row, "target", json_object_get(site, "target"));
    json_object_set(row, "cols", json_object_get(site, "cols"));
    json_object_set(row, "name", json_object_get(site, "name"));
    return row;
}

static void append_checks(json_t *view, const json_t *site)
{
    static const char *const distances[] = {"apart", "ours", "original"};
    json_t *row = row_of(json_object_get(site, "verify"), site);
    for (size_t i = 0; i < sizeof distances / sizeof *distances; i++)
        json_object_set(row, distances[i], json_object_get(json_object_get(row, distances[i]), "rms_ulp"));
    json_object_set(row, "verify", json_object_get(site, "verify"));
    append(view, "verify", row);
    append_note(view, "verify", fuseln_failed_text(site));
}

static void append_times(json_t *view, const json_t *site)
{
    FOREACH_ITEM(bucket, json_object_get(json_object_get(site, "measure"), "rows")) {
        json_t *row = row_of(bucket, site);
        set_text(row, "name",
                 fuseln_text("%s, from %lld rows", fuseln_text_at(site, "name"), fuseln_count_at(bucket, "rows_from")));
        json_object_set(row, "rows_min", json_object_get(bucket, "rows_from"));
        json_object_set(row, "rows_max", json_object_get(bucket, "rows_to"));
        append(view, "measure", row);
    }
}

/* index: the rows of "builds" by what they are of, as there may be as many as sites. */
static void append_build(json_t *view, json_t *index, const json_t *site)
{
    char *key = fuseln_text("%s %s", fuseln_text_at(site, "build_id"), fuseln_text_at(site, "library"));
    json_t *row = json_object_get(index, key);
    if (!row && *fuseln_text_at(site, "library")) {
        const bool unverified = strcmp(fuseln_text_at(site, "build"), "unverified") == 0;
        row = json_pack("{s:O, s:O*, s:s}", "library", json_object_get(site, "library"), "build_id",
                        json_object_get(site, "build_id"), "build", unverified ? "not tested" : "tested");
        json_object_set(index, key, row);
        append(view, "builds", row);
    }
    if (row) {
        fuseln_merge_count(row, "launches", fuseln_count_at(site, "launches"));
        fuseln_merge_count(row, "substituted", fuseln_count_at(site, "substituted"));
    }
    free(key);
}

static void append_site(json_t *view, const json_t *site)
{
    json_t *row = json_copy((json_t *)site);
    char cols[40] = ""; /* a launch that cannot be read has none */
    if (json_is_integer(json_object_get(site, "cols")))
        snprintf(cols, sizeof cols, ", %lld columns", fuseln_count_at(site, "cols"));
    set_text(row, "name", fuseln_text("%s%s", fuseln_text_at(site, "target"), cols));
    json_object_set(row, "saved_us", json_object_get(json_object_get(site, "measure"), "saved_us"));
    append(view, "sites", row);
    if (json_object_size(json_object_get(view, "all_ranks")) > 1)
        append(view, "ranks", row_of(json_object_get(site, "by_rank"), row));
    if (json_object_get(row, "verify"))
        append_checks(view, row);
    if (fuseln_count_at(row, "pairs") > 0 || json_object_size(json_object_get(row, "unpaired")) > 0)
        append(view, "pairs", json_incref(row));
    append_times(view, row);
}

/* The words of the command, one blank apart. The caller frees it. */
static char *command_of(const json_t *file)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    FOREACH_ITEM(word, json_object_get(file, "command")) {
        if (out && json_is_string(word))
            fprintf(out, "%s%s", word_at ? " " : "", json_string_value(word));
    }
    if (out)
        fclose(out);
    return text ? text : strdup("");
}

static void append_process(json_t *view, const json_t *file)
{
    json_t *row = json_copy((json_t *)file);
    const char *rank = fuseln_text_at(file, "rank");
    set_text(row, "command", command_of(file));
    set_text(row, "name",
             fuseln_text("%s%s%s%lld on %s", *rank ? "rank " : "", rank, *rank ? ", pid " : "pid ",
                         fuseln_count_at(file, "pid"), fuseln_text_at(file, "host")));
    const bool ended = !json_is_false(json_object_get(file, "final"));
    json_object_set_new(row, "state", json_string(ended ? "ended" : "running, or killed"));
    append(view, "processes", row);
}

json_t *html_view(const json_t *report)
{
    const json_t *totals = json_object_get(report, "totals");
    json_t *const view =
        json_pack("{s:{}, s:o, s:O, s:O}", "notes", "all_ranks", fuseln_merge_ranks(json_object_get(report, "files")),
                  "devices", json_object_get(report, "devices"), "norms", json_object_get(report, "foreign_norms"));
    json_t *index = json_object();
    FOREACH_ITEM(item, json_object_get(report, "sites")) {
        append_site(view, item);
        append_build(view, index, item);
    }
    json_decref(index);
    FOREACH_ITEM(item, json_object_get(report, "files"))
        append_process(view, item);
    FOREACH_ITEM(item, json_object_get(report, "differences"))
        append_note(view, "ranks", fuseln_text("%s", json_string_value(item)));
    append_reasons(view, "reasons", json_object_get(totals, "reasons"), fuseln_passed_reasons, FUSELN_VERDICT_COUNT);
    append_reasons(view, "unpaired", json_object_get(totals, "unpaired"), fuseln_unpaired_reasons,
                   FUSELN_PAIRING_COUNT);
    append_note(view, "measure", fuseln_saved_text(json_object_get(report, "saved")));
    append_note(view, "processes", fuseln_files_running(json_object_get(report, "files")));
    return view;
}
