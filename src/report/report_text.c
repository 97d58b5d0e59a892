/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report as text: tables of at most 100 columns, the site with most launches first. A pure function of the
 * snapshot.
 */
#include "report/report_snapshot.h"

#include "base/clean.h"
#include "report/wording.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "version.h"

enum { LINE_BYTES = 256 };

/* Writes one line, whatever foreign text in it holds. */
static void line(struct fuseln_out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void line(struct fuseln_out *out, const char *format, ...)
{
    char text[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fuseln_clean(text);
    fuseln_out_text(out, text);
    fuseln_out_text(out, "\n");
}

/* The command, shortened to so many bytes, three at least. */
static void copy_command(const struct fuseln_snapshot *snapshot, size_t room, char ret_line[FUSELN_COLUMNS + 1])
{
    const size_t size = snapshot->command_size ? snapshot->command_size - 1 : 0;
    size_t shown = size < room ? size : room - 3;
    while (shown < size && shown > 0 && (snapshot->command[shown] & 0xc0) == 0x80)
        shown--; /* not in the middle of a UTF-8 sequence */
    for (size_t i = 0; i < shown; i++)
        ret_line[i] = snapshot->command[i] ? snapshot->command[i] : ' ';
    strcpy(ret_line + shown, shown < size ? "..." : "");
}

static void write_head(struct fuseln_out *out, const struct fuseln_snapshot *snapshot)
{
    char count[4][FUSELN_COUNT_MAX], tail[160], command[FUSELN_COLUMNS + 1];
    const uint64_t seconds = snapshot->age_us / 1000000, tenths = snapshot->age_us / 100000 % 10;
    line(out, "fuseln " FUSELN_VERSION ", mode %s: " FUSELN_WORD_TOTALS, snapshot->mode,
         fuseln_word_count(count[0], snapshot->launches), fuseln_word_count(count[1], snapshot->recognised),
         fuseln_word_count(count[2], snapshot->substituted),
         fuseln_word_count(count[3], snapshot->recognised - snapshot->substituted));
    const int length =
        snprintf(tail, sizeof tail, " (pid %d on %.40s%s%.8s, %" PRIu64 ".%" PRIu64 " s%s)", (int)getpid(),
                 snapshot->host, snapshot->rank ? ", rank " : "", snapshot->rank ? snapshot->rank : "", seconds, tenths,
                 snapshot->final ? "" : ", still running");
    copy_command(snapshot, length < FUSELN_COLUMNS - 3 ? (size_t)(FUSELN_COLUMNS - length) : 3, command);
    line(out, "%s%s", command, tail);
}

static void write_devices(struct fuseln_out *out, const struct fuseln_snapshot *snapshot)
{
    char count[FUSELN_COUNT_MAX];
    for (size_t i = 0; i < snapshot->device_count; i++) {
        const struct fuseln_device_report *device = &snapshot->devices[i];
        const bool image = device->image[0] != '\0';
        line(out, "device %d: %.36s, compute %s, driver %d.%d, image %s%s%.20s", device->index, device->name,
             device->compute_capability, device->driver_version / 1000, device->driver_version % 1000 / 10,
             image ? device->image : "none", image ? " by " : "", image ? device->compiler : "");
        if (device->scratch_bytes)
            line(out, "          %s bytes of scratch", fuseln_word_count(count, device->scratch_bytes));
        if (device->scratch_wanted)
            line(out, "          FUSELN_SCRATCH is too small: %zuK would have been enough",
                 device->scratch_wanted >> 10);
    }
}

/* Each library once, with its build. */
static void write_libraries(struct fuseln_out *out, const struct fuseln_snapshot *snapshot)
{
    const struct fuseln_library *said[8];
    size_t count = 0;
    for (size_t i = 0; i < snapshot->site_count && count < 8; i++) {
        const struct fuseln_target *target = snapshot->sites[i].key->target;
        const struct fuseln_library *library = target ? target->library : NULL;
        for (size_t j = 0; j < count; j++)
            if (said[j] == library)
                library = NULL;
        if (!library)
            continue;
        said[count++] = library;
        line(out, "library %.36s, build %s: %s", library->name, library->build_id[0] ? library->build_id : "id missing",
             library->known ? "known" : "unverified (*)");
        if (target->runtime != FUSELN_RUNTIME_SHARED)
            line(out, "        seen at the driver: %s", fuseln_runtime_words(target->runtime));
    }
}

static const char *target_name(const struct fuseln_site_key *key)
{
    return key->target ? key->target->name : "other";
}

static const char *range(char ret_text[48], int64_t from, int64_t to)
{
    const int length = snprintf(ret_text, 48, "%" PRId64, from);
    if (to != from)
        snprintf(ret_text + length, 48 - (size_t)length, "-%" PRId64, to);
    return ret_text;
}

#define SITE_ROW "%-36s %6s %12s %9s %9s %.23s" /* 100 columns, unless numbers are huge */

static void write_site(struct fuseln_out *out, const struct fuseln_site_view *site)
{
    const struct fuseln_target *target = site->key->target;
    char rows[48], cols[24] = "", launches[FUSELN_COUNT_MAX], substituted[FUSELN_COUNT_MAX], name[64];
    const bool unverified = target && !(target->library && target->library->known);
    snprintf(name, sizeof name, "%.55s%s", target_name(site->key), unverified ? "*" : "");
    if (target)
        snprintf(cols, sizeof cols, "%" PRId64, site->key->cols);
    const char *kernel = site->kernel ? site->kernel : "-";
    kernel += strncmp(kernel, "fuseln_ln_", 10) ? 0 : 10;
    line(out, SITE_ROW, name, cols, range(rows, site->rows_min, site->rows_max),
         fuseln_word_count(launches, site->launches), fuseln_word_count(substituted, site->substituted), kernel);
}

static void write_sites(struct fuseln_out *out, const struct fuseln_snapshot *snapshot)
{
    if (snapshot->site_count == 0)
        return;
    fuseln_out_text(out, "\n");
    line(out, SITE_ROW, "layer norm of the program", "cols", "rows", "launches", "replaced", "by fuseln_ln_...");
    for (size_t i = 0; i < snapshot->site_count; i++)
        write_site(out, &snapshot->sites[i]);
}

static void write_reasons(struct fuseln_out *out, const uint64_t *counts, const struct fuseln_reason *reasons,
                          size_t size)
{
    char count[FUSELN_COUNT_MAX];
    for (size_t i = 1; i < size; i++)
        if (counts[i])
            line(out, FUSELN_WORD_REASON, fuseln_word_count(count, counts[i]), reasons[i].key, reasons[i].text);
}

static void write_passed(struct fuseln_out *out, const struct fuseln_snapshot *snapshot)
{
    if (snapshot->recognised > snapshot->substituted)
        fuseln_out_text(out, "\n" FUSELN_WORD_PASSED "\n");
    write_reasons(out, snapshot->passed, fuseln_passed_reasons, FUSELN_VERDICT_COUNT);
}

static void write_foreign(struct fuseln_out *out, const struct fuseln_snapshot *snapshot)
{
    char count[FUSELN_COUNT_MAX];
    if (snapshot->foreign_count)
        fuseln_out_text(out, "\n" FUSELN_WORD_FOREIGN "\n");
    for (size_t i = 0; i < snapshot->foreign_count; i++)
        line(out, FUSELN_WORD_NORM, fuseln_word_count(count, snapshot->foreign[i].launches),
             snapshot->foreign[i].norm->maker, snapshot->foreign[i].norm->name);
}

/* What became of FUSELN_TARGETS. */
static void write_targets(struct fuseln_out *out, const struct fuseln_user_rows *rows)
{
    char reason[256];

    if (!rows)
        return;
    fuseln_out_text(out, "\n");
    line(out, "FUSELN_TARGETS: %zu of %zu rows are used%s%s", fuseln_user_accepted(rows), rows->count,
         rows->wrong ? ": " : "", rows->wrong ? rows->wrong : "");
    for (size_t i = 0; i < rows->count; i++)
        if (fuseln_user_refusal(&rows->rows[i], reason))
            line(out, "  line %u: [%s] is refused: %s", rows->rows[i].line, rows->rows[i].target.name, reason);
}

/* Backward passes that made dX and the gradients of gamma and beta from one read of dY and X, and why others did not.
 */
static void write_pairs(struct fuseln_out *out, const struct fuseln_snapshot *snapshot)
{
    char count[FUSELN_COUNT_MAX];
    const uint64_t pairs = snapshot->sums[FUSELN_PAIRING_PAIRED];
    uint64_t others = 0;
    for (int i = FUSELN_PAIRING_PAIRED + 1; i < FUSELN_PAIRING_COUNT; i++)
        others += snapshot->sums[i];
    if (pairs + others == 0)
        return;
    fuseln_out_text(out, "\n");
    line(out, FUSELN_WORD_PAIRS, fuseln_word_count(count, pairs), others ? FUSELN_WORD_UNPAIRED : "");
    write_reasons(out, snapshot->sums, fuseln_unpaired_reasons, FUSELN_PAIRING_COUNT);
}

static double mean(double squares, double elements)
{
    return elements > 0 ? fuseln_report_root(squares / elements) : 0;
}

#define CHECK_ROW "%-36.55s %6s %9s %-9s%9s %9s %9s"

static void write_check(struct fuseln_out *out, const struct fuseln_site_view *site)
{
    char cols[24], count[FUSELN_COUNT_MAX], apart[FUSELN_REAL_MAX], ours[FUSELN_REAL_MAX], theirs[FUSELN_REAL_MAX];
    const struct fuseln_check_view *checked = &site->checked;
    const double *field = checked->field, elements = field[FUSELN_CHECK_ELEMENTS];
    snprintf(cols, sizeof cols, "%" PRId64, site->key->cols);
    line(out, CHECK_ROW, target_name(site->key), cols, fuseln_word_count(count, checked->compared),
         fuseln_word_checked(checked->failed, checked->compared, checked->inconclusive),
         fuseln_out_short(apart, field[FUSELN_CHECK_MAX]),
         fuseln_out_short(ours, mean(field[FUSELN_CHECK_SQUARES_OURS], elements)),
         fuseln_out_short(theirs, mean(field[FUSELN_CHECK_SQUARES_THEIRS], elements)));
}

/* Sites that were verified, or should have been. */
static void write_checks(struct fuseln_out *out, const struct fuseln_snapshot *snapshot)
{
    char count[FUSELN_COUNT_MAX];
    uint64_t unchecked[FUSELN_VERDICT_COUNT] = {0}, inconclusive = 0;
    bool any = false;
    for (size_t i = 0; i < snapshot->site_count; i++) {
        const struct fuseln_check_view *checked = &snapshot->sites[i].checked;
        if (!fuseln_report_is_checked(checked))
            continue;
        if (!any) {
            fuseln_out_text(out, "\n");
            line(out, CHECK_ROW, "verified against the original", "cols", "launches", "", "ulp apart", "ours off",
                 "orig. off");
        }
        any = true;
        write_check(out, &snapshot->sites[i]);
        inconclusive += checked->inconclusive;
        for (int verdict = 0; verdict < FUSELN_VERDICT_COUNT; verdict++)
            unchecked[verdict] += checked->unchecked[verdict];
    }
    if (any)
        line(out, "(off: root mean square of the errors against float64, in ulp)");
    if (inconclusive)
        line(out, "%14s  unclear: Inf, NaN or too large in every row; or no proof of a row of yours",
             fuseln_word_count(count, inconclusive));
    for (int i = 0; i < FUSELN_VERDICT_COUNT; i++)
        if (unchecked[i])
            line(out, "%14s  not verified, %s: %s", fuseln_word_count(count, unchecked[i]),
                 fuseln_passed_reasons[i].key, fuseln_passed_reasons[i].text);
}

#define MEASURE_ROW "%-36.55s %6s %15s %11.9s %11.9s %s"

/* What was measured at a site for some range of rows, and which of the two kernels is launched from now on. */
static void write_measure(struct fuseln_out *out, const struct fuseln_measure_view *bucket)
{
    char cols[24], rows[48], ours[FUSELN_REAL_MAX], original[FUSELN_REAL_MAX];
    const struct fuseln_site_key *key = &bucket->site->key;
    snprintf(cols, sizeof cols, "%" PRId64, key->cols);
    snprintf(rows, sizeof rows, "%" PRId64 "-%" PRId64, bucket->rows_from, bucket->rows_to);
    fuseln_out_real(ours, bucket->ours_us);
    fuseln_out_real(original, bucket->original_us);
    if (bucket->decided)
        line(out, MEASURE_ROW, target_name(key), cols, rows, ours, original, bucket->ours ? "ours" : "original");
    else
        line(out, "%-36.55s %6s %15s %u of %d pairs: not enough, ours", target_name(key), cols, rows, bucket->pairs,
             FUSELN_MEASURE_PAIRS);
}

static void write_measures(struct fuseln_out *out, const struct fuseln_snapshot *snapshot)
{
    char saved[FUSELN_REAL_MAX];
    double all = 0;
    if (snapshot->measure_count == 0)
        return;
    fuseln_out_text(out, "\n");
    line(out, MEASURE_ROW, "measured, us", "cols", "rows", "ours", "original", "stays");
    for (size_t i = 0; i < snapshot->measure_count; i++) {
        write_measure(out, &snapshot->measures[i]);
        all += fuseln_report_saved(&snapshot->measures[i]);
    }
    if (fuseln_out_real(saved, all / 1000))
        line(out, "saved since: %s ms", saved);
}

static void write_why(struct fuseln_out *out, const char *why)
{
    while (*why) {
        const size_t length = fuseln_word_line(why);
        line(out, "%.*s", (int)length, why);
        why += length + (why[length] == ' ');
    }
}

void fuseln_report_text(const struct fuseln_snapshot *snapshot, struct fuseln_out *out)
{
    char count[FUSELN_COUNT_MAX];
    write_head(out, snapshot);
    write_devices(out, snapshot);
    write_libraries(out, snapshot);
    write_sites(out, snapshot);
    write_passed(out, snapshot);
    write_foreign(out, snapshot);
    write_targets(out, snapshot->user);
    write_pairs(out, snapshot);
    write_checks(out, snapshot);
    write_measures(out, snapshot);
    if (snapshot->left_out)
        line(out, FUSELN_WORD_LEFT_OUT, fuseln_word_count(count, snapshot->left_out));
    write_why(out, snapshot->why ? snapshot->why : "");
}
