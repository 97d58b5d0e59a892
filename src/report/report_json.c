/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report as JSON, schema 1: fields are added freely and never changed. A pure function of the snapshot.
 */
#include "report/report_snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "report/wording.h"
#include "version.h"

static const char *or_null(const char *text)
{
    return text && *text ? text : NULL;
}

static void write_reasons(struct fuseln_json *json, const char *key, const uint64_t *counts,
                          const struct fuseln_reason *reasons, size_t size)
{
    fuseln_json_open(json, key, '{');
    for (size_t i = 1; i < size; i++)
        if (counts[i])
            fuseln_json_integer(json, reasons[i].key, (int64_t)counts[i]);
    fuseln_json_close(json, '}');
}

static void write_passed(struct fuseln_json *json, const char *key, const uint64_t *passed)
{
    write_reasons(json, key, passed, fuseln_passed_reasons, FUSELN_VERDICT_COUNT);
}

/* Why the partial sums of a DX were not made, or not consumed. */
static void write_unpaired(struct fuseln_json *json, const uint64_t *sums)
{
    write_reasons(json, "unpaired", sums, fuseln_unpaired_reasons, FUSELN_PAIRING_COUNT);
}

static void write_process(struct fuseln_json *json, const struct fuseln_snapshot *snapshot)
{
    fuseln_json_line(json);
    fuseln_json_open(json, "process", '{');
    fuseln_json_string(json, "id", snapshot->id); /* these two first: report_owner.c looks for them */
    fuseln_json_integer(json, "written_ticks", (int64_t)snapshot->ticks);
    fuseln_json_integer(json, "pid", getpid());
    fuseln_json_string(json, "host", snapshot->host);
    char *end = NULL;
    errno = 0;
    const long rank = snapshot->rank ? strtol(snapshot->rank, &end, 10) : 0;
    if (end && end != snapshot->rank && *end == '\0' && !errno)
        fuseln_json_integer(json, "rank", rank);
    else
        fuseln_json_string(json, "rank", snapshot->rank);
    fuseln_json_open(json, "command", '[');
    const char *word = snapshot->command, *last = word + snapshot->command_size;
    for (; word < last; word += strlen(word) + 1)
        fuseln_json_string(json, NULL, word);
    fuseln_json_close(json, ']');
    fuseln_json_seconds(json, "seconds", snapshot->age_us);
    fuseln_json_close(json, '}');
}

static void write_device(struct fuseln_json *json, const struct fuseln_device_report *device)
{
    char driver[24];
    snprintf(driver, sizeof driver, "%d.%d", device->driver_version / 1000, device->driver_version % 1000 / 10);
    fuseln_json_line(json);
    fuseln_json_open(json, NULL, '{');
    fuseln_json_integer(json, "index", device->index);
    fuseln_json_string(json, "name", device->name);
    fuseln_json_string(json, "compute_capability", device->compute_capability);
    fuseln_json_string(json, "driver", driver);
    fuseln_json_string(json, "image", or_null(device->image));
    fuseln_json_string(json, "compiler", or_null(device->compiler));
    fuseln_json_integer(json, "scratch_bytes", (int64_t)device->scratch_bytes);
    fuseln_json_integer(json, "scratch_wanted_bytes", (int64_t)device->scratch_wanted);
    fuseln_json_close(json, '}');
}

static void write_totals(struct fuseln_json *json, const struct fuseln_snapshot *snapshot)
{
    fuseln_json_line(json);
    fuseln_json_open(json, "totals", '{');
    fuseln_json_integer(json, "launches", (int64_t)snapshot->launches);
    fuseln_json_integer(json, "recognised", (int64_t)snapshot->recognised);
    fuseln_json_integer(json, "substituted", (int64_t)snapshot->substituted);
    fuseln_json_integer(json, "passed_through", (int64_t)(snapshot->recognised - snapshot->substituted));
    fuseln_json_integer(json, "pairs", (int64_t)snapshot->sums[FUSELN_PAIRING_PAIRED]);
    fuseln_json_integer(json, "left_out", snapshot->left_out);
    write_passed(json, "reasons", snapshot->passed);
    write_unpaired(json, snapshot->sums);
    fuseln_json_close(json, '}');
}

/* Norms by their names that we do not know. */
static void write_foreign(struct fuseln_json *json, const struct fuseln_snapshot *snapshot)
{
    fuseln_json_line(json);
    fuseln_json_open(json, "foreign_norms", '[');
    for (size_t i = 0; i < snapshot->foreign_count; i++) {
        fuseln_json_open(json, NULL, '{');
        fuseln_json_string(json, "maker", snapshot->foreign[i].norm->maker);
        fuseln_json_string(json, "symbol", snapshot->foreign[i].norm->name);
        fuseln_json_integer(json, "launches", (int64_t)snapshot->foreign[i].launches);
        fuseln_json_close(json, '}');
    }
    fuseln_json_close(json, ']');
}

static void write_refused(struct fuseln_json *json, const char *name, unsigned line, const char *reason)
{
    fuseln_json_open(json, NULL, '{');
    fuseln_json_integer(json, "line", line);
    fuseln_json_string(json, "name", name);
    fuseln_json_string(json, "reason", reason);
    fuseln_json_close(json, '}');
}

/* The user's own rows. */
static void write_targets(struct fuseln_json *json, const struct fuseln_user_rows *rows)
{
    char reason[256];

    fuseln_json_line(json);
    if (!rows) {
        fuseln_json_string(json, "targets", NULL);
        return;
    }
    fuseln_json_open(json, "targets", '{');
    fuseln_json_string(json, "file", fuseln_config_get()->targets);
    fuseln_json_integer(json, "rows", (int64_t)fuseln_user_accepted(rows));
    fuseln_json_open(json, "refused", '[');
    if (rows->wrong)
        write_refused(json, NULL, 0, rows->wrong);
    for (size_t i = 0; i < rows->count; i++)
        if (fuseln_user_refusal(&rows->rows[i], reason))
            write_refused(json, rows->rows[i].target.name, rows->rows[i].line, reason);
    fuseln_json_close(json, ']');
    fuseln_json_close(json, '}');
}

static void write_nulls(struct fuseln_json *json, unsigned nulls)
{
    static const char *const roles[] = {
#define X(id, word) word,
        FUSELN_POINTER_ROLES(X)
#undef X
    };
    fuseln_json_open(json, "null_arguments", '[');
    for (unsigned role = 0; role < FUSELN_POINTER_ROLES_END; role++)
        if (nulls >> role & 1)
            fuseln_json_string(json, NULL, roles[role]);
    fuseln_json_close(json, ']');
}

/* What identifies a site; the site `other` has none of it. */
static void write_identity(struct fuseln_json *json, const struct fuseln_site_view *site)
{
    const struct fuseln_target *target = site->key->target;
    const struct fuseln_library *library = target->library;
    fuseln_json_string(json, "symbol", target->symbol);
    fuseln_json_string(json, "library", library ? library->name : NULL);
    fuseln_json_string(json, "build_id", library ? or_null(library->build_id) : NULL);
    fuseln_json_string(json, "build", library && library->known ? "known" : "unverified");
    fuseln_json_string(json, "runtime", fuseln_runtime_name(target->runtime));
    fuseln_json_string(json, "op", fuseln_op_name(target->op));
    fuseln_json_string(json, "dtype", fuseln_dtype_name(target->dtype));
    fuseln_json_bool(json, "rms", target->rms || site->key->nulls >> FUSELN_ROLE_RMS & 1);
    fuseln_json_integer(json, "cols", site->key->cols);
    fuseln_json_integer(json, "device", site->key->device);
    fuseln_json_string(json, "boundary", fuseln_boundary_name(site->key->boundary));
    fuseln_json_integer(json, "access_bytes", site->key->width);
    write_nulls(json, site->key->nulls);
    fuseln_json_bool(json, "gamma_add", site->key->nulls >> FUSELN_ROLE_GAMMA_ADD & 1);
}

/* Differences and errors are in ulp of the element type at the largest term. */
static void write_distance(struct fuseln_json *json, const char *key, double largest, double squares, double elements)
{
    fuseln_json_open(json, key, '{');
    fuseln_json_real(json, "max_ulp", largest);
    fuseln_json_real(json, "rms_ulp", fuseln_report_root(squares / elements));
    fuseln_json_close(json, '}');
}

static void write_verify(struct fuseln_json *json, const struct fuseln_site_view *site)
{
    const struct fuseln_check_view *checked = &site->checked;
    const double *field = checked->field, elements = field[FUSELN_CHECK_ELEMENTS];
    const int64_t first = (int64_t)field[FUSELN_CHECK_FIRST] - 1, cols = site->key->cols;
    if (!fuseln_report_is_checked(checked)) {
        fuseln_json_string(json, "verify", NULL);
        return;
    }
    fuseln_json_open(json, "verify", '{');
    fuseln_json_integer(json, "launches", (int64_t)checked->compared);
    fuseln_json_integer(json, "waiting", (int64_t)(checked->issued - checked->compared));
    fuseln_json_integer(json, "inconclusive", (int64_t)checked->inconclusive);
    fuseln_json_bool(json, "failed", checked->failed);
    fuseln_json_integer(json, "elements", (int64_t)elements);
    fuseln_json_integer(json, "outside", (int64_t)field[FUSELN_CHECK_OUTSIDE_OURS]);
    fuseln_json_integer(json, "outside_original", (int64_t)field[FUSELN_CHECK_OUTSIDE_THEIRS]);
    fuseln_json_integer(json, "nan", (int64_t)field[FUSELN_CHECK_NAN]);
    if (elements > 0) {
        write_distance(json, "apart", field[FUSELN_CHECK_MAX], field[FUSELN_CHECK_SQUARES], elements);
        write_distance(json, "ours", field[FUSELN_CHECK_MAX_OURS], field[FUSELN_CHECK_SQUARES_OURS], elements);
        write_distance(json, "original", field[FUSELN_CHECK_MAX_THEIRS], field[FUSELN_CHECK_SQUARES_THEIRS], elements);
        fuseln_json_string(json, "nearer", fuseln_report_nearer(checked));
    }
    if (first >= 0 && cols > 0) {
        fuseln_json_open(json, "first", '{');
        fuseln_json_integer(json, "row", first / cols);
        fuseln_json_integer(json, "col", first % cols);
        fuseln_json_close(json, '}');
    }
    write_passed(json, "unchecked", checked->unchecked);
    fuseln_json_close(json, '}');
}

/* Medians of the samples; what ours saved since it was decided for them. */
static void write_bucket(struct fuseln_json *json, const struct fuseln_measure_view *bucket)
{
    fuseln_json_open(json, NULL, '{');
    fuseln_json_integer(json, "rows_from", bucket->rows_from);
    fuseln_json_integer(json, "rows_to", bucket->rows_to);
    fuseln_json_integer(json, "pairs", bucket->pairs);
    fuseln_json_string(json, "kept", !bucket->decided ? "undecided" : bucket->ours ? "ours" : "original");
    if (bucket->decided) {
        fuseln_json_real(json, "ours_us", bucket->ours_us);
        fuseln_json_real(json, "original_us", bucket->original_us);
        fuseln_json_real(json, "ours_gb_s", bucket->ours_us > 0 ? bucket->bytes / bucket->ours_us / 1e3 : 0);
        fuseln_json_real(json, "original_gb_s",
                         bucket->original_us > 0 ? bucket->bytes / bucket->original_us / 1e3 : 0);
        fuseln_json_real(json, "saved_us_per_launch", bucket->ours ? bucket->original_us - bucket->ours_us : 0);
        fuseln_json_integer(json, "launches", (int64_t)bucket->launches);
        fuseln_json_real(json, "saved_us", fuseln_report_saved(bucket));
    }
    fuseln_json_close(json, '}');
}

static void write_measure(struct fuseln_json *json, const struct fuseln_snapshot *snapshot,
                          const struct fuseln_site_view *site)
{
    double saved = 0;
    bool any = false;
    for (size_t i = 0; i < snapshot->measure_count; i++)
        if (&snapshot->measures[i].site->key == site->key) {
            saved += fuseln_report_saved(&snapshot->measures[i]);
            any = true;
        }
    if (!any) {
        fuseln_json_string(json, "measure", NULL);
        return;
    }
    fuseln_json_open(json, "measure", '{');
    fuseln_json_real(json, "saved_us", saved);
    fuseln_json_open(json, "rows", '[');
    for (size_t i = 0; i < snapshot->measure_count; i++)
        if (&snapshot->measures[i].site->key == site->key)
            write_bucket(json, &snapshot->measures[i]);
    fuseln_json_close(json, ']');
    fuseln_json_close(json, '}');
}

static void write_site(struct fuseln_json *json, const struct fuseln_snapshot *snapshot,
                       const struct fuseln_site_view *site)
{
    static const char *const absent[] = {"symbol", "library", "build_id", "build", "runtime",
                                         "op",     "dtype",   "rms",      "cols",  "device"};
    fuseln_json_line(json);
    fuseln_json_open(json, NULL, '{');
    fuseln_json_string(json, "target", site->key->target ? site->key->target->name : "other");
    if (site->key->target)
        write_identity(json, site);
    else
        for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
            fuseln_json_string(json, absent[i], NULL);
    fuseln_json_integer(json, "rows", site->rows_first);
    fuseln_json_integer(json, "rows_min", site->rows_min);
    fuseln_json_integer(json, "rows_max", site->rows_max);
    fuseln_json_string(json, "kernel", site->kernel);
    fuseln_json_integer(json, "launches", (int64_t)site->launches);
    fuseln_json_integer(json, "substituted", (int64_t)site->substituted);
    write_passed(json, "passed_through", site->passed);
    if (site->key->target && site->key->target->op == FUSELN_OP_DX) {
        fuseln_json_integer(json, "pairs", (int64_t)site->sums[FUSELN_PAIRING_PAIRED]);
        write_unpaired(json, site->sums);
    }
    write_verify(json, site);
    write_measure(json, snapshot, site);
    fuseln_json_close(json, '}');
}

void fuseln_report_json(const struct fuseln_snapshot *snapshot, struct fuseln_out *out)
{
    struct fuseln_json json = {.out = out};
    fuseln_json_open(&json, NULL, '{');
    fuseln_json_integer(&json, "schema", 1);
    fuseln_json_open(&json, "fuseln", '{');
    fuseln_json_string(&json, "version", FUSELN_VERSION);
    fuseln_json_string(&json, "commit", FUSELN_COMMIT);
    fuseln_json_string(&json, "mode", snapshot->mode);
    fuseln_json_close(&json, '}');
    fuseln_json_seconds(&json, "written_at", snapshot->written_us); /* Unix time: now - written_at is its age */
    fuseln_json_bool(&json, "final", snapshot->final);
    write_process(&json, snapshot);
    fuseln_json_line(&json);
    fuseln_json_open(&json, "devices", '[');
    for (size_t i = 0; i < snapshot->device_count; i++)
        write_device(&json, &snapshot->devices[i]);
    fuseln_json_close(&json, ']');
    write_totals(&json, snapshot);
    fuseln_json_string(&json, "why", snapshot->why);
    write_foreign(&json, snapshot);
    write_targets(&json, snapshot->user);
    fuseln_json_line(&json);
    fuseln_json_open(&json, "sites", '[');
    for (size_t i = 0; i < snapshot->site_count; i++)
        write_site(&json, snapshot, &snapshot->sites[i]);
    fuseln_json_close(&json, ']');
    fuseln_json_close(&json, '}');
    fuseln_out_text(out, "\n");
}
