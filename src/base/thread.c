/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See thread.h. The library is linked without start files, so __dso_handle is ours; in a program that has one (unit
 * tests) theirs is taken.
 */
#include "base/thread.h"

extern void *__dso_handle __attribute__((weak, visibility("hidden")));
void *__dso_handle = &__dso_handle;

/* What C++ compilers emit for thread_local; in libc since 2.18. */
int __cxa_thread_atexit_impl(void (*function)(void *), void *argument, void *dso_symbol);

void fuseln_thread_at_exit(void (*function)(void *), void *argument)
{
    __cxa_thread_atexit_impl(function, argument, &__dso_handle);
}
