/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports (schema 1) read and added up: of ranks, of restarts, of the processes of one run. For report.c and run.c.
 */
#ifndef FUSELN_MERGE_H
#define FUSELN_MERGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* As JSON {"files": [...], "devices": [...], "totals": {...}, "sites": [...], "differences": [...]}; sites are those of
 * the reports, added up over devices and processes, most launches first. "saved", where something was measured: {"us",
 * "steps", "us_per_step"}, the latter two where steps were told. */
struct fuseln_merged {
    json_t *files;   /* one object for each file that was taken: file, rank, pid, host, seconds, mode, final */
    json_t *devices; /* one for each kind: name, compute_capability, driver, image, count, scratch_bytes (largest) */
    json_t *sites;   /* each with "by_rank": {rank: launches} besides a report's own fields */
    json_t *totals;  /* as in a report */
    json_t *differences; /* sites whose launches differ between ranks, as texts */
    json_t *why;         /* why nothing was recognised, of the first file that says so; NULL if something was */
    long long steps;     /* that the processes made, all together; 0: not told */
    json_t *index;       /* devices and sites by what they are */
    char *error;         /* why the last file was not taken */
};

struct fuseln_merged fuseln_merge_new(void);
void fuseln_merge_free(struct fuseln_merged *merged);

/* Add a file. False: merged->error is one line, and nothing of the file is taken. */
bool fuseln_merge_add(struct fuseln_merged *merged, const char *path);
/* After the last one: order the sites, find out where ranks differ. */
void fuseln_merge_finish(struct fuseln_merged *merged);

/* Sites whose results a check found beyond the bound. */
size_t fuseln_merge_failed(const struct fuseln_merged *merged);

/* Time that ours saved, in us, where it was measured; false where it was not. */
bool fuseln_merge_saved(const struct fuseln_merged *merged, double *ret_us);

/* A table of at most 100 columns; JSON goes to stdout. */
void fuseln_merge_print(const struct fuseln_merged *merged, FILE *out);
void fuseln_merge_print_json(const struct fuseln_merged *merged);

#endif
