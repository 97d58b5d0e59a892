/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the report of one process (report_text.c) and the sum of many (`fuseln report`) both say. Counts in these
 * formats are texts of fuseln_word_count. Pure functions: no allocation, no locale.
 */
#ifndef FUSELN_WORDING_H
#define FUSELN_WORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why launches were passed on (by enum fuseln_verdict), and backwards not paired (by enum fuseln_pairing): the key in a
 * report, and what it means. The first of each is none. */
struct fuseln_reason {
    const char *key, *text;
};
extern const struct fuseln_reason fuseln_passed_reasons[], fuseln_unpaired_reasons[];

#define FUSELN_WORD_TOTALS   "%s kernel launches, %s layer norms: %s replaced, %s passed on"
#define FUSELN_WORD_PASSED   "passed on to the original:"
#define FUSELN_WORD_PAIRS    "%s backwards read dY and X once%s"
#define FUSELN_WORD_UNPAIRED "; others did not:"
#define FUSELN_WORD_FOREIGN  "layer norms by kernels that fuseln does not know, left as they are:"
#define FUSELN_WORD_REASON   "%14s  %-11.11s  %s"    /* count, key, explanation */
#define FUSELN_WORD_NORM     "%14s  %-11.11s  %.71s" /* count, maker, name of the kernel */
#define FUSELN_WORD_LEFT_OUT "%s registrations of layer-norm kernels found no room and stay with their originals"

enum { FUSELN_COLUMNS = 100, FUSELN_COUNT_MAX = 28 };

/* 1,234,567 */
const char *fuseln_word_count(char ret_text[FUSELN_COUNT_MAX], uint64_t count);
/* What the checks of a site found: "WRONG", "right", "unclear" (after 100 without a result) or "waiting". */
const char *fuseln_word_checked(bool failed, uint64_t launches, uint64_t inconclusive);
/* Bytes of the first line of text: at most FUSELN_COLUMNS, broken at a blank, or else between two characters. */
size_t fuseln_word_line(const char *text);

#endif
