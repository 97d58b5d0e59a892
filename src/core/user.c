/* SPDX-License-Identifier: Apache-2.0 */
/* See user.h. */
#include "core/user.h"

#include <stdio.h>

#include "base/log.h"

_Atomic(struct fuseln_user_rows *) fuseln_user_rows;

size_t fuseln_user_accepted(const struct fuseln_user_rows *rows)
{
    size_t count = 0;

    for (size_t i = 0; i < rows->count; i++)
        count += !fuseln_user_is_refused(&rows->rows[i]);
    return count;
}

bool fuseln_user_refusal(const struct fuseln_user_row *row, char ret_reason[256])
{
    const char *reason = atomic_load_explicit(&row->refused, memory_order_acquire);

    if (reason)
        snprintf(ret_reason, 256, "%s%s%s", row->what, *row->what ? " " : "", reason);
    return reason;
}

void fuseln_user_refuse(struct fuseln_user_row *row, const char *reason)
{
    const char *none = NULL;
    atomic_compare_exchange_strong(&row->refused, &none, reason);
}

static void complain_of(struct fuseln_user_row *row)
{
    char reason[256];

    if (fuseln_user_refusal(row, reason) && !atomic_exchange(&row->said, true))
        pr_warn("FUSELN_TARGETS, line %u: [%s] is refused: %s", row->line, row->target.name, reason);
}

void fuseln_user_complain(void)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    struct fuseln_user_rows *rows = atomic_load_explicit(&fuseln_user_rows, memory_order_acquire);

    if (rows && rows->wrong && !atomic_flag_test_and_set(&said))
        pr_warn("FUSELN_TARGETS=%s: %s", fuseln_config_get()->targets, rows->wrong);
    for (size_t i = 0; rows && i < rows->count; i++)
        complain_of(&rows->rows[i]);
}
