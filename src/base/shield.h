/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stretch of our own code that the host must not break off: no signal handler of the host runs in it (one that calls
 * exit() or siglongjmp() would leave a lock of ours held), and pthread_cancel() of this thread waits until its end.
 * Never on the path of a launch: four system calls.
 */
#ifndef FUSELN_SHIELD_H
#define FUSELN_SHIELD_H

#include <pthread.h>
#include <signal.h>

struct fuseln_shield {
    sigset_t signals; /* as they were before */
    int cancel_state;
};

/* Blocks every signal but those that a faulting instruction raises (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT,
 * SIGSYS), and cancellation, for the calling thread. May be nested. Keeps errno; thread-safe. */
void fuseln_shield_raise(struct fuseln_shield *ret_before);
/* As it was before. Signals that came in between are delivered here. */
void fuseln_shield_lower(const struct fuseln_shield *before);

/* A mutex of ours is only ever held so. */
void fuseln_shield_lock(struct fuseln_shield *ret_before, pthread_mutex_t *mutex);
void fuseln_shield_unlock(const struct fuseln_shield *before, pthread_mutex_t *mutex);

#endif
