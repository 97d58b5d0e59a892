/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See thread.h. The library is linked without start files and so defines __dso_handle itself. The definition is weak: a
 * unit test, which has start files, uses theirs.
 */
#include "base/thread.h"

extern void *__dso_handle __attribute__((weak, visibility("hidden")));
void *__dso_handle = &__dso_handle;

/* What C++ compilers call for a thread_local object; in libc since 2.18. */
int __cxa_thread_atexit_impl(void (*function)(void *), void *argument, void *dso_symbol);
/* What pthread_atfork calls (Linux Standard Base), which glibc links statically: on aarch64 without a landing pad. */
int __register_atfork(void (*before)(void), void (*parent)(void), void (*child)(void), void *dso_handle);

void fuseln_thread_at_exit(void (*function)(void *), void *argument)
{
    __cxa_thread_atexit_impl(function, argument, &__dso_handle);
}

void fuseln_thread_at_fork(void (*before)(void), void (*parent)(void), void (*child)(void))
{
    __register_atfork(before, parent, child, __dso_handle);
}
