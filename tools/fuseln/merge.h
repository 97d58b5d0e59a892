/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports (schema 1) read and added up: of ranks, of restarts, of the processes of one run. For report.c and run.c.
 */
#ifndef FUSELN_MERGE_H
#define FUSELN_MERGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct fuseln_merged {
    /*
     * What `fuseln report --json` prints. "totals" as in a report; and
     * "files": one object for each file that was taken: file, rank, pid, host, seconds, mode, final;
     * "devices": one for each kind: name, compute_capability, driver, image, compiler, count, scratch_bytes (largest);
     * "sites": added up over devices and processes, with "by_rank": {rank: launches};
     * "differences": sites whose launches differ between ranks, as texts;
     * "saved": {"us", "steps", "us_per_step"}, where something was measured; the latter two where steps were told;
     * "why": why nothing was recognised, from the first file that says so; null if something was.
     */
    json_t *report;
    json_t *index; /* devices and sites by what they are */
    bool failed;   /* a check found a site's results beyond the bound */
    char *error;   /* why the last file was not taken */
};

struct fuseln_merged fuseln_merge_new(void);
void fuseln_merge_free(struct fuseln_merged *merged);

/* Add a file. False: merged->error is one line, and nothing of the file is taken. */
bool fuseln_merge_add(struct fuseln_merged *merged, const char *path);
/* After the last one: sort the sites, most launches first, and find out where ranks differ and what was saved. steps
 * that the processes made, all together; 0: not told. */
void fuseln_merge_finish(struct fuseln_merged *merged, long long steps);

/* table.c: the report as a table of at most 100 columns. */
void fuseln_merge_print(const json_t *report, FILE *out);

#endif
