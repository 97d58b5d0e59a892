/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thread exit without libpthread, which pthread_key_create lived in before glibc 2.34; and fork.
 */
#ifndef FUSELN_THREAD_H
#define FUSELN_THREAD_H

/* Calls function(argument) when the calling thread ends. The last one registered runs first; one registered by another
 * runs too. The C library may allocate memory. */
void fuseln_thread_at_exit(void (*function)(void *), void *argument);
/* As pthread_atfork; in a library, until it is unloaded. */
void fuseln_thread_at_fork(void (*before)(void), void (*parent)(void), void (*child)(void));

#endif
