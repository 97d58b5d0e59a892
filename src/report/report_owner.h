/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the report: whose file it is, and putting ours where it may stand (report_owner.c has the rule). Under the
 * writer's exclusion, but for fuseln_owner_after_fork.
 */
#ifndef FUSELN_REPORT_OWNER_H
#define FUSELN_REPORT_OWNER_H

#include "base/file.h"

enum { FUSELN_OWNER_ID = 96, FUSELN_OWNER_RANDOM = 32 };

/* A file that stood at a path when it was first looked at. */
struct fuseln_owner_seen {
    bool looked, there, locked;
    struct stat info;
    char id[FUSELN_OWNER_ID]; /* "": it has none */
    uint64_t ticks;           /* when it was written */
};

/* 128 random bits as digits. */
void fuseln_owner_random(char ret_text[FUSELN_OWNER_RANDOM + 1]);
/* Make this process's id, once. */
void fuseln_owner_begin(void);
/* This process's id, as its reports carry it; "" before fuseln_owner_begin. */
const char *fuseln_owner_id(void);
/* Was it this very process that made the id, not one that it was forked or cloned from? */
bool fuseln_owner_is_self(void);
/* What is at path now. */
void fuseln_owner_look(const char *path, struct fuseln_owner_seen *ret_seen);
/* The file of descriptor fd is to be our next report: it is locked, and known to a child that is forked meanwhile. */
void fuseln_owner_take(int fd);
void fuseln_owner_drop(void); /* close it */
/*
 * Give the file that was taken, which stands at temporary, the name path. 0: it stays open and locked until the next
 * one does. -EEXIST: what is there is another process's. Other errors: nothing has changed.
 */
int fuseln_owner_place(const char *temporary, const char *path, const struct fuseln_owner_seen *seen);
void fuseln_owner_after_fork(void); /* async-signal-safe */

/* Now, in ticks since boot. */
uint64_t fuseln_owner_ticks(void);
/* Time since this program was started, by the kernel's own account; 0 where it does not say. */
uint64_t fuseln_owner_age_us(void);

#endif
