/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the report: which process a report file belongs to, and publishing ours without replacing another's. The
 * rule is in report_owner.c. Only the thread that writes the report calls these, except fuseln_owner_after_fork.
 */
#ifndef FUSELN_REPORT_OWNER_H
#define FUSELN_REPORT_OWNER_H

#include "base/file.h"

enum { FUSELN_OWNER_ID = 104, FUSELN_OWNER_RANDOM = 32 };

/* What was at a path when we first inspected it. */
struct fuseln_owner_seen {
    bool inspected, exists, locked;
    struct stat info;
    char id[FUSELN_OWNER_ID]; /* "" if the file has none */
    uint64_t ticks;           /* when it was written */
};

/* 128 random bits as hex digits. */
void fuseln_owner_random(char ret_text[FUSELN_OWNER_RANDOM + 1]);
/* Makes this process's id. */
void fuseln_owner_begin(void);
/* This process's id, as its reports carry it; "" before fuseln_owner_begin. */
const char *fuseln_owner_id(void);
/* Did this very process make the id, rather than one that it was forked or cloned from? */
bool fuseln_owner_is_self(void);
/* What is at path now. */
void fuseln_owner_inspect(const char *path, struct fuseln_owner_seen *ret_seen);
/* Holds and locks the file that is to become our next report. A child that is forked meanwhile knows of it, too. */
void fuseln_owner_hold(int fd);
void fuseln_owner_release(void); /* closes it */
/*
 * Renames the held file from temporary to path. 0: it stays open and locked until the next one replaces it. -EEXIST:
 * the file at path belongs to another process. On any error nothing has changed.
 */
int fuseln_owner_publish(const char *temporary, const char *path, const struct fuseln_owner_seen *seen);
void fuseln_owner_after_fork(void); /* async-signal-safe */

/* Now, in clock ticks since boot. */
uint64_t fuseln_owner_ticks(void);
/* How long ago this program started, according to the kernel; 0 if unknown. */
uint64_t fuseln_owner_age_us(void);

#endif
