/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report as text: a table of at most 100 columns, the site with most launches first. A pure function of the
 * snapshot.
 */
#include "report/report_snapshot.h"

#include "base/clean.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "version.h"

enum { COLUMNS = 100, NUMBER_MAX = 28 };

/* 1234567 as 1,234,567 (printf's ' flag follows the host's locale). */
static const char *grouped(uint64_t value, char ret_text[NUMBER_MAX])
{
    char *text = ret_text + NUMBER_MAX - 1;
    *text = '\0';
    for (unsigned digits = 0; value > 0 || digits == 0; digits++, value /= 10) {
        if (digits > 0 && digits % 3 == 0)
            *--text = ',';
        *--text = (char)('0' + value % 10);
    }
    return text;
}

/* A line of up to 255 bytes with words of others in it. */
static void write_line(struct fuseln_out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void write_line(struct fuseln_out *out, const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    fuseln_clean(line);
    fuseln_out_text(out, line);
    fuseln_out_text(out, "\n");
}

/* The command, shortened to so many bytes. */
static void copy_command(const struct fuseln_snapshot *snapshot, size_t room, char ret_line[COLUMNS + 1])
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
    char launches[NUMBER_MAX], recognised[NUMBER_MAX], substituted[NUMBER_MAX], passed[NUMBER_MAX], tail[160];
    char command[COLUMNS + 1];
    uint64_t seconds = snapshot->age_us / 1000000, tenths = snapshot->age_us / 100000 % 10;
    fuseln_out_format(
        out, "fuseln " FUSELN_VERSION ", mode %s: %s kernel launches, %s layer norms: %s replaced, %s passed on\n",
        snapshot->mode, grouped(snapshot->launches, launches), grouped(snapshot->recognised, recognised),
        grouped(snapshot->substituted, substituted), grouped(snapshot->recognised - snapshot->substituted, passed));
    int used = snprintf(tail, sizeof tail, " (pid %d on %.40s%s%.8s, %" PRIu64 ".%" PRIu64 " s%s)", (int)getpid(),
                        snapshot->host, snapshot->rank ? ", rank " : "", snapshot->rank ? snapshot->rank : "", seconds,
                        tenths, snapshot->final ? "" : ", still running");
    copy_command(snapshot, (size_t)(COLUMNS - used), command);
    write_line(out, "%s%s", command, tail);
}

static void write_devices(struct fuseln_out *out, const struct fuseln_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->device_count; i++) {
        const struct fuseln_device_report *device = &snapshot->devices[i];
        char scratch[NUMBER_MAX];
        bool image = device->image[0] != '\0';
        write_line(out, "device %d: %.36s, compute %s, driver %d.%d, image %s%s%.20s", device->index, device->name,
                   device->compute_capability, device->driver_version / 1000, device->driver_version % 1000 / 10,
                   image ? device->image : "none", image ? " by " : "", image ? device->compiler : "");
        if (device->scratch_bytes)
            fuseln_out_format(out, "          %s bytes of scratch\n", grouped(device->scratch_bytes, scratch));
    }
}

/* Each library once, with the build that its kernels came from. */
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
        write_line(out, "library %.36s, build %s: %s", library->name,
                   library->build_id[0] ? library->build_id : "id missing",
                   library->known ? "known" : "unverified (*)");
        if (target->runtime != FUSELN_RUNTIME_SHARED)
            fuseln_out_format(out, "        seen at the driver: %s\n", fuseln_runtime_words(target->runtime));
    }
}

static void write_rows(char *ret_text, size_t size, const struct fuseln_site_view *site)
{
    if (site->rows_min == site->rows_max)
        snprintf(ret_text, size, "%" PRId64, site->rows_min);
    else
        snprintf(ret_text, size, "%" PRId64 "-%" PRId64, site->rows_min, site->rows_max);
}

/* 36 + 7 + 13 + 10 + 10 + 1 + 23 = 100 columns, unless numbers are huge. */
static void write_site(struct fuseln_out *out, const struct fuseln_site_view *site)
{
    const struct fuseln_target *target = site->key->target;
    char rows[48], cols[24] = "", launches[NUMBER_MAX], substituted[NUMBER_MAX], name[64];
    bool unverified = target && !(target->library && target->library->known);
    snprintf(name, sizeof name, "%.55s%s", target ? target->name : "other", unverified ? "*" : "");
    if (target)
        snprintf(cols, sizeof cols, "%" PRId64, site->key->cols);
    write_rows(rows, sizeof rows, site);
    const char *kernel = site->kernel ? site->kernel : "-";
    kernel += strncmp(kernel, "fuseln_ln_", 10) ? 0 : 10;
    fuseln_out_format(out, "%-36s%7s%13s%10s%10s %.23s\n", name, cols, rows, grouped(site->launches, launches),
                      grouped(site->substituted, substituted), kernel);
}

static void write_reasons(struct fuseln_out *out, const struct fuseln_snapshot *snapshot)
{
    char count[NUMBER_MAX];
    if (snapshot->recognised > snapshot->substituted)
        fuseln_out_text(out, "\npassed on to the original:\n");
    for (int verdict = 1; verdict < FUSELN_VERDICT_COUNT; verdict++)
        if (snapshot->passed[verdict])
            fuseln_out_format(out, "%14s  %-11s  %s\n", grouped(snapshot->passed[verdict], count),
                              fuseln_verdict_key((enum fuseln_verdict)verdict),
                              fuseln_verdict_text((enum fuseln_verdict)verdict));
}

/* Backwards whose dX and gradients of gamma and beta came from one read of dY and X, and why others did not. */
static void write_pairs(struct fuseln_out *out, const struct fuseln_snapshot *snapshot)
{
    char count[NUMBER_MAX];
    uint64_t unpaired = 0;
    for (int what = FUSELN_PAIRING_PAIRED + 1; what < FUSELN_PAIRING_COUNT; what++)
        unpaired += snapshot->sums[what];
    if (unpaired + snapshot->sums[FUSELN_PAIRING_PAIRED] > 0)
        fuseln_out_format(out, "\n%14s  backwards read dY and X once%s\n",
                          grouped(snapshot->sums[FUSELN_PAIRING_PAIRED], count), unpaired ? "; others did not:" : "");
    for (int what = FUSELN_PAIRING_PAIRED + 1; what < FUSELN_PAIRING_COUNT; what++)
        if (snapshot->sums[what])
            fuseln_out_format(out, "%14s  %-11s  %s\n", grouped(snapshot->sums[what], count),
                              fuseln_pairing_key((enum fuseln_pairing)what),
                              fuseln_pairing_text((enum fuseln_pairing)what));
}

/* Sites that were compared with the originals, or should have been. */
static void write_checks(struct fuseln_out *out, const struct fuseln_snapshot *snapshot)
{
    char count[NUMBER_MAX], apart[FUSELN_REAL_MAX], ours[FUSELN_REAL_MAX], theirs[FUSELN_REAL_MAX];
    uint64_t unchecked[FUSELN_VERDICT_COUNT] = {0}, inconclusive = 0;
    bool head = false;
    for (size_t i = 0; i < snapshot->site_count; i++) {
        const struct fuseln_site_view *site = &snapshot->sites[i];
        const struct fuseln_check_view *checked = &site->checked;
        const double *field = checked->field, elements = field[FUSELN_CHECK_ELEMENTS];
        if (!fuseln_report_is_checked(checked))
            continue;
        if (!head)
            fuseln_out_format(out, "\n%-36s%7s%10s %-9s%9s %9s %9s\n", "compared with the originals", "cols",
                              "launches", "", "ulp apart", "ours off", "orig. off");
        head = true;
        fuseln_out_real(apart, field[FUSELN_CHECK_MAX]);
        fuseln_out_real(ours, elements > 0 ? fuseln_report_root(field[FUSELN_CHECK_SQUARES_OURS] / elements) : 0);
        fuseln_out_real(theirs, elements > 0 ? fuseln_report_root(field[FUSELN_CHECK_SQUARES_THEIRS] / elements) : 0);
        fuseln_out_format(out, "%-36.55s%7" PRId64 "%10s %-9s%9.6s %9.6s %9.6s\n",
                          site->key->target ? site->key->target->name : "other", site->key->cols,
                          grouped(checked->compared, count),
                          checked->failed                                       ? "WRONG"
                          : checked->compared                                   ? "right"
                          : checked->inconclusive >= FUSELN_REPORT_INCONCLUSIVE ? "unclear"
                                                                                : "waiting",
                          apart, ours, theirs);
        inconclusive += checked->inconclusive;
        for (int verdict = 0; verdict < FUSELN_VERDICT_COUNT; verdict++)
            unchecked[verdict] += checked->unchecked[verdict];
    }
    if (head)
        fuseln_out_text(out, "(off: root mean square of the errors against float64, in ulp)\n");
    if (inconclusive)
        fuseln_out_format(out, "%14s  unclear: Inf, NaN or what is too large for a float in every row\n",
                          grouped(inconclusive, count));
    for (int verdict = 0; verdict < FUSELN_VERDICT_COUNT; verdict++)
        if (unchecked[verdict])
            fuseln_out_format(out, "%14s  not compared, %s: %s\n", grouped(unchecked[verdict], count),
                              fuseln_verdict_key((enum fuseln_verdict)verdict),
                              fuseln_verdict_text((enum fuseln_verdict)verdict));
}

/* What was measured, and what stays. */
static void write_measures(struct fuseln_out *out, const struct fuseln_snapshot *snapshot)
{
    char rows[48], ours[FUSELN_REAL_MAX], original[FUSELN_REAL_MAX], saved[FUSELN_REAL_MAX];
    double all = 0;
    for (size_t i = 0; i < snapshot->measure_count; i++) {
        const struct fuseln_measure_view *bucket = &snapshot->measures[i];
        const struct fuseln_site_key *key = &bucket->site->key;
        if (i == 0)
            fuseln_out_format(out, "\n%-36s%7s%16s %11s %11s %-8s\n", "measured, us", "cols", "rows", "ours",
                              "original", "stays");
        snprintf(rows, sizeof rows, "%" PRId64 "-%" PRId64, bucket->rows_from, bucket->rows_to);
        fuseln_out_real(ours, bucket->ours_us);
        fuseln_out_real(original, bucket->original_us);
        if (bucket->decided)
            fuseln_out_format(out, "%-36.55s%7" PRId64 "%16s %11.9s %11.9s %s\n",
                              key->target ? key->target->name : "other", key->cols, rows, ours, original,
                              bucket->ours ? "ours" : "original");
        else
            fuseln_out_format(out, "%-36.55s%7" PRId64 "%16s %u of %d pairs: not enough, ours\n",
                              key->target ? key->target->name : "other", key->cols, rows, bucket->pairs,
                              FUSELN_MEASURE_PAIRS);
        all += fuseln_report_saved(bucket);
    }
    if (snapshot->measure_count && fuseln_out_real(saved, all / 1000))
        fuseln_out_format(out, "saved since: %s ms\n", saved);
}

/* Lines of at most 100 columns, broken at blanks. */
static void write_wrapped(struct fuseln_out *out, const char *text)
{
    while (*text) {
        size_t length = strlen(text);
        if (length > COLUMNS)
            for (length = COLUMNS; length > 1 && text[length] != ' ';)
                length--;
        fuseln_out_bytes(out, text, length);
        fuseln_out_text(out, "\n");
        text += length;
        text += *text == ' ';
    }
}

void fuseln_report_text(const struct fuseln_snapshot *snapshot, struct fuseln_out *out)
{
    write_head(out, snapshot);
    write_devices(out, snapshot);
    write_libraries(out, snapshot);
    if (snapshot->site_count > 0)
        fuseln_out_format(out, "\n%-36s%7s%13s%10s%10s %s\n", "layer norm of the program", "cols", "rows", "launches",
                          "replaced", "by fuseln_ln_...");
    for (size_t i = 0; i < snapshot->site_count; i++)
        write_site(out, &snapshot->sites[i]);
    write_reasons(out, snapshot);
    write_pairs(out, snapshot);
    write_checks(out, snapshot);
    write_measures(out, snapshot);
    if (snapshot->left_out)
        fuseln_out_format(out, "\n%u registrations of layer-norm kernels found no room and stay with their originals\n",
                          snapshot->left_out);
    if (snapshot->why)
        write_wrapped(out, snapshot->why);
}
