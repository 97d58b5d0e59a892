/* SPDX-License-Identifier: Apache-2.0 */
#include "base/shield.h"

#include <errno.h>

void fuseln_shield_raise(struct fuseln_shield *ret_before)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    const int saved_errno = errno;
    sigset_t blocked;

    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&blocked, faults[i]);
    ret_before->cancel_state = PTHREAD_CANCEL_ENABLE; /* in case there is no libpthread (before glibc 2.34) */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &ret_before->cancel_state);
    /* Not pthread_sigmask, which was in libpthread before 2.32. On Linux this sets the thread's mask all the same. */
    sigprocmask(SIG_BLOCK, &blocked, &ret_before->signals);
    errno = saved_errno;
}

void fuseln_shield_lower(const struct fuseln_shield *before)
{
    const int saved_errno = errno;

    sigprocmask(SIG_SETMASK, &before->signals, NULL);
    pthread_setcancelstate(before->cancel_state, NULL);
    errno = saved_errno;
}

void fuseln_shield_lock(struct fuseln_shield *ret_before, pthread_mutex_t *mutex)
{
    fuseln_shield_raise(ret_before);
    pthread_mutex_lock(mutex);
}

void fuseln_shield_unlock(const struct fuseln_shield *before, pthread_mutex_t *mutex)
{
    pthread_mutex_unlock(mutex);
    fuseln_shield_lower(before);
}
