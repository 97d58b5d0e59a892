/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's own rows: FUSELN_TARGETS names a text file of at most 1 MB, with up to 256 rows in the words of words.h.
 * Each begins with a line [name], and what follows a # is left out. The file is read once, at the first look-up or
 * registration of a kernel, by open and read. A row is refused whole, with the line and the reason.
 */
#ifndef FUSELN_USER_ROWS_H
#define FUSELN_USER_ROWS_H

#include "core/user.h"

/* The same as fuseln_targets_match (match.h) of the user's rows. Thread-safe; holds no lock. */
bool fuseln_user_match(const char *symbol, struct fuseln_target *ret_target);

/* Does the row hold for the library with this build-id? */
bool fuseln_user_has_build(const struct fuseln_user_row *row, const char *build_id);

/* Reads the text of a file, which it changes; for user_rows.c, the tests and the fuzzer. */
void fuseln_user_parse(struct fuseln_user_rows *ret_rows, char *text, size_t bytes);

#endif
