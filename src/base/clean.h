/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that somebody else chose (a path, a host, a device, a program's words), before it goes to a terminal or into a
 * line of a log: called by the log, the text report and the command.
 */
#ifndef FUSELN_CLEAN_H
#define FUSELN_CLEAN_H

/* In place, no longer than before: every byte that is no UTF-8, and every character that commands a terminal, ends a
 * line or turns the direction of writing, becomes '?'. Thread-safe; no allocation. */
void fuseln_clean(char *text);

#endif
