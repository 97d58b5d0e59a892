/*
 * When things happen in a process: its first launch, fork, exit of a thread and of the process. No constructor.
 */
#ifndef FUSELN_LIFECYCLE_H
#define FUSELN_LIFECYCLE_H

#include "fuseln.h"

/* Called by the record before a thread's first launch is counted: from here on a child after fork starts afresh. */
void fuseln_lifecycle_handle_fork(void);
/* Called by the record at the first launch of any kernel in this process: held-back warnings, the report's path, the
 * line of FUSELN_LOG=info. Does nothing in mode off. */
void fuseln_lifecycle_first_launch(void);
/* Called where a kernel was registered: says once that some were left out for want of room, but not before the first
 * launch. */
void fuseln_lifecycle_left_out(void);
/* Call function(argument) when the calling thread ends, before its thread-local storage goes. */
void fuseln_lifecycle_at_thread_exit(void (*function)(void *), void *argument);

#endif
