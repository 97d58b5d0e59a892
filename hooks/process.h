/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When things happen in a process: the first launch of each of its threads, its own first one, fork and exit. The only
 * file that calls each layer's reset. No constructor.
 */
#ifndef FUSELN_PROCESS_H
#define FUSELN_PROCESS_H

#include "core/record.h"

/* Called where a kernel that we know is registered, and by a thread's first launch: from here on a child after fork
 * starts afresh. */
void fuseln_process_handle_fork(void);

/* Before a thread's first launch is counted. That of the process prints the warnings that were held back and the line
 * of FUSELN_LOG=info, and fixes the report's path; not in mode off. */
void fuseln_process_join(void);

/* Print what is wrong with the settings, once. */
void fuseln_process_warn(void);
/* Called where a kernel was registered: says once that some were left out for want of room, but not before the first
 * launch. */
void fuseln_process_left_out(void);

#endif
