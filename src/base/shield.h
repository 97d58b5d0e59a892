/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shield around code of ours that the host must not interrupt: no signal handler of the host runs inside it (one that
 * calls exit() or siglongjmp() would leave a lock of ours held), and pthread_cancel() of this thread takes effect at
 * its end. It costs system calls, so it is never raised on the path of a recognised launch.
 */
#ifndef FUSELN_SHIELD_H
#define FUSELN_SHIELD_H

#include <pthread.h>
#include <signal.h>

struct fuseln_shield {
    sigset_t signals; /* the mask before */
    int cancel_state;
};

/* Blocks cancellation and every signal except those that a faulting instruction raises (SIGSEGV, SIGBUS, SIGFPE,
 * SIGILL, SIGTRAP, SIGABRT, SIGSYS), for the calling thread. Shields nest. Preserves errno. */
void fuseln_shield_raise(struct fuseln_shield *ret_before);
/* Restores what was there before. Signals that arrived in between are delivered here. */
void fuseln_shield_lower(const struct fuseln_shield *before);

/* Our mutexes are only ever held under a shield. */
void fuseln_shield_lock(struct fuseln_shield *ret_before, pthread_mutex_t *mutex);
void fuseln_shield_unlock(const struct fuseln_shield *before, pthread_mutex_t *mutex);

#endif
