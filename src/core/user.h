/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of FUSELN_TARGETS as core and the report know them. hooks/targets/user_rows.c reads the file, once, and
 * publishes them; after that only the atomic members change. Lock-free; valid when zeroed.
 */
#ifndef FUSELN_USER_H
#define FUSELN_USER_H

#include <stdatomic.h>

#include "base/target.h"

enum { FUSELN_USER_ROWS_MAX = 256, FUSELN_USER_NAME_MAX = 40 };

struct fuseln_user_row {
    struct fuseln_target target; /* without symbol, library and owner */
    const char *symbol;          /* both texts of the file, which are not terminated */
    size_t symbol_length;
    const char *builds; /* build-ids; NULL: of any build */
    size_t builds_length;
    unsigned line; /* of what is refused, or else of its name */
    char what[64]; /* the word that it is refused for; may be "" */
    const char *_Atomic refused;
    atomic_bool said; /* in the log */
};

struct fuseln_user_rows {
    const char *wrong; /* why no row was read; NULL: some were */
    size_t count;
    struct fuseln_user_row rows[FUSELN_USER_ROWS_MAX];
};

/* NULL: none were read. */
extern _Atomic(struct fuseln_user_rows *) fuseln_user_rows;

static inline bool fuseln_user_is_refused(const struct fuseln_user_row *row)
{
    return atomic_load_explicit(&row->refused, memory_order_acquire);
}
/* Rows that are not refused. */
size_t fuseln_user_accepted(const struct fuseln_user_rows *rows);
/* Why the row is refused, with the word that it is refused for; false where it is not. */
bool fuseln_user_refusal(const struct fuseln_user_row *row, char ret_reason[256]);
/* Refuses a row that seemed right. reason: a string that stays. */
void fuseln_user_refuse(struct fuseln_user_row *row, const char *reason);
/* Warns of each refusal, once. */
void fuseln_user_complain(void);

#endif
