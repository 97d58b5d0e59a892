/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads reports (schema 1), adds them up (those of ranks, of restarts, of the processes of one run) and prints the sum.
 */
#ifndef FUSELN_MERGE_H
#define FUSELN_MERGE_H

#include "report/wording.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct fuseln_merged {
    /*
     * What `fuseln report --json` prints. "totals" as in a report; and
     * "files": one object for each file that was taken: file, rank, final, and of its process pid, host, command,
     * seconds, version, commit, mode, launches, recognised, substituted;
     * "devices": one for each kind: name, compute_capability, driver, image, compiler, count, and the largest
     * scratch_bytes and scratch_wanted_bytes;
     * "sites": added up over devices and processes, with "by_rank": {rank: launches};
     * "foreign_norms": added up over processes;
     * "refused_rows": the user's rows that were not taken, each once: file, line, name, reason;
     * "differences": sites whose launches differ between ranks, as texts;
     * "saved": {"us", "steps", "us_per_step"}, where something was measured; the latter two where steps were told;
     * "why": why nothing was recognised, from the first file that says so; null if something was.
     */
    json_t *report;
    json_t *index; /* devices and sites by their identity */
    bool failed;   /* a check found a site's results beyond the bound */
};

struct fuseln_merged fuseln_merge_new(void);
void fuseln_merge_free(struct fuseln_merged *merged);

/* Adds a file. False: nothing of it was taken, and a line on stderr said why. */
bool fuseln_merge_add(struct fuseln_merged *merged, const char *path);
/* Adds all .json files of a folder, those of the processes of one run. Returns how many there are. */
size_t fuseln_merge_folder(struct fuseln_merged *merged, const char *folder);
/* After the last one: sorts the sites, most launches first, and finds where ranks differ and what was saved. steps:
 * made by all processes together; 0 if unknown. */
void fuseln_merge_finish(struct fuseln_merged *merged, long long steps);

/* Adds to the count under key, which stays one. */
void fuseln_merge_count(json_t *into, const char *key, json_int_t more);
/* The ranks of all files, as the keys of an object that the caller releases. */
json_t *fuseln_merge_ranks(const json_t *files);

/* ---- table.c: the sum as text, and what it and the page (html.c) both say ---- */

/* As a table of at most 100 columns. */
void fuseln_merge_print(const json_t *report, FILE *out);

enum { FUSELN_CELL_MAX = 24 };

/* In at most 6 characters: 123456, 12M, 3G, 4T. */
const char *fuseln_cell_count(char ret_text[FUSELN_CELL_MAX], long long count);
const char *fuseln_cell_time(char ret_text[FUSELN_CELL_MAX], double us);
/* How many launches were verified and right, or what the checks found instead; "-" if verify is NULL. */
const char *fuseln_cell_verified(char ret_text[FUSELN_CELL_MAX], const json_t *verify);
/* The explanation of a reason, by its key. */
const char *fuseln_reason_text(const struct fuseln_reason *reasons, size_t size, const char *key);

/* The mode of these files, or "mixed". */
const char *fuseln_files_mode(const json_t *files);
/* A text that the caller frees; NULL: all of these files are of processes that have ended. */
char *fuseln_files_running(const json_t *files);
/* The like: what was saved, and what is wrong with a site; NULL: nothing was measured, or found wrong. */
char *fuseln_saved_text(const json_t *saved);
char *fuseln_failed_text(const json_t *site);

#endif
