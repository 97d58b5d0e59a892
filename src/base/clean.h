/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Foreign text (a path, a host name, a device name, the words of a program) on its way to a terminal, a log or JSON.
 * Called by the log, the JSON writer, the text report and the command. Thread-safe; no allocation.
 */
#ifndef FUSELN_CLEAN_H
#define FUSELN_CLEAN_H

#include <stddef.h>
#include <stdint.h>

/* The length of the UTF-8 sequence at text, and its code point; 0 if there is none (Unicode 15, table 3-7: overlong
 * forms and surrogates are invalid). */
size_t fuseln_utf8_length(const char *text, uint32_t *ret_code_point);

/* Cleans text in place and never makes it longer: every byte that is not UTF-8, and every character that controls a
 * terminal, ends a line or changes the writing direction, becomes '?'. */
void fuseln_clean(char *text);

#endif
