/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dlsym behind ours. fuseln exports dlsym, so none of our code may call it by name.
 */
#ifndef FUSELN_REAL_DLSYM_H
#define FUSELN_REAL_DLSYM_H

typedef void *fuseln_dlsym_function(void *handle, const char *name);

/* The C library's dlsym, found by version, so that our own look-ups bypass everybody's hooks. Thread-safe; never NULL
 * on x86-64 and aarch64, which dlsym.S is written for. */
fuseln_dlsym_function *fuseln_real_dlsym(void);
/* The next dlsym behind ours, found by name: the C library's, or another hook. */
fuseln_dlsym_function *fuseln_next_dlsym(void);

#endif
