/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A merged report as one page (HTML) that needs nothing else: no other file, no network, no script to be read. For
 * report.c and run.c.
 */
#ifndef FUSELN_HTML_H
#define FUSELN_HTML_H

#include <jansson.h>
#include <stdbool.h>

/* These return the exit code: 0, or what to end with; a line on stderr then said why. */

/* Can a page be written there? For before the work that it is to tell about. */
int fuseln_html_check(const char *path);
/* Writes it to a temporary file beside path and renames that. "-" is stdout; a device or a FIFO is written to. If that
 * fails, a page that was there before is unchanged. */
int fuseln_html_write(const json_t *report, const char *path);

#endif
