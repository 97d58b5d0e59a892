/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the report: one consistent copy of everything it says, and who writes it down.
 * report.c takes the copy and decides when; report_json.c and report_text.c are pure functions of it;
 * report_file.c knows where it goes.
 */
#ifndef FUSELN_REPORT_SNAPSHOT_H
#define FUSELN_REPORT_SNAPSHOT_H

#include "base/output.h"
#include "core/foreign.h"
#include "core/measure.h"
#include "core/record.h"
#include "core/user.h"
#include "kernels/host/device.h"

struct fuseln_site_view {
    const struct fuseln_site_key *key; /* key->target is NULL in the site `other` */
    int64_t rows_first, rows_min, rows_max;
    uint64_t launches, substituted, passed[FUSELN_VERDICT_COUNT]; /* launches = substituted + all passed */
    uint64_t sums[FUSELN_PAIRING_COUNT];                          /* what became of a DX's partial sums */
    const char *kernel;
    struct fuseln_check_view { /* struct fuseln_checked */
        bool failed;
        uint64_t issued, compared, inconclusive, unchecked[FUSELN_VERDICT_COUNT];
        double field[FUSELN_CHECK_FIELDS];
    } checked;
};

struct fuseln_foreign_view {
    const struct fuseln_foreign *norm;
    uint64_t launches;
};

struct fuseln_snapshot {
    bool final;                   /* written at exit */
    uint64_t written_us, age_us;  /* wall clock; age of the process */
    const char *id;               /* of the process, report_owner.c */
    uint64_t ticks;               /* since boot, now */
    char host[72], command[4096]; /* command: arguments, each ended by a NUL */
    size_t command_size;
    const char *rank;       /* NULL where there is none */
    const char *mode, *why; /* why nothing was recognised; NULL if something was */
    uint64_t launches, recognised, substituted, passed[FUSELN_VERDICT_COUNT], sums[FUSELN_PAIRING_COUNT];
    unsigned left_out; /* registrations that found no room (registry.h) */
    size_t site_count, device_count;
    struct fuseln_device_report devices[FUSELN_DEVICES_MAX];
    struct fuseln_site_view sites[FUSELN_SITES_MAX + 1]; /* most launches first */
    size_t foreign_count;
    struct fuseln_foreign_view foreign[FUSELN_FOREIGN_MAX + 1]; /* those launched, in the order of their look-up */
    const struct fuseln_user_rows *user; /* NULL: FUSELN_TARGETS named no file, or it was not read */
    size_t measure_count;
    struct fuseln_measure_view measures[FUSELN_MEASURES_MAX];
};

/* Was any of it checked, or could it not be? */
bool fuseln_report_is_checked(const struct fuseln_check_view *checked);
/* Whose errors against float64 are smaller, by their root mean square: "ours", "original" or "equal". */
const char *fuseln_report_nearer(const struct fuseln_check_view *checked);
/* Microseconds that ours saved since it was found the faster one. */
double fuseln_report_saved(const struct fuseln_measure_view *bucket);
/* Square root of what is not negative, without libm. */
double fuseln_report_root(double square);

void fuseln_report_json(const struct fuseln_snapshot *snapshot, struct fuseln_out *out);
void fuseln_report_text(const struct fuseln_snapshot *snapshot, struct fuseln_out *out);

/* Write to where FUSELN_REPORT says; a descriptor (stderr, a FIFO, a device) only when final. 0 or -errno: then a
 * line has said why. One caller at a time. */
int fuseln_report_file_write(const struct fuseln_snapshot *snapshot);
/* Expand the template, and look at what is there; once, until fork. */
void fuseln_report_file_arm(void);
/* Is this a child that no fork handler told of (clone(2))? All that it has is its parent's. */
bool fuseln_report_file_is_inherited(void);
void fuseln_report_file_after_fork(void);

#endif
