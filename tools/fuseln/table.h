/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the table (table.c, which defines these) and the page (html.c) both say of a merged report.
 */
#ifndef FUSELN_TABLE_H
#define FUSELN_TABLE_H

#include "report/wording.h"

#include <jansson.h>

#define FUSELN_WORD_FAILED "verified against the original and found wrong, so not replaced:"

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
