/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a thread, without libpthread: pthread_key_create was in it before glibc 2.34.
 */
#ifndef FUSELN_THREAD_H
#define FUSELN_THREAD_H

/* function(argument) runs when the calling thread ends; what was registered last runs first, and one that registers
 * another runs that too. Memory may be allocated by the C library. */
void fuseln_thread_at_exit(void (*function)(void *), void *argument);

#endif
