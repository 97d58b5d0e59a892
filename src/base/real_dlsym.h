/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dlsym behind ours: fuseln exports that name, so nothing of ours may call it by name.
 */
#ifndef FUSELN_REAL_DLSYM_H
#define FUSELN_REAL_DLSYM_H

typedef void *fuseln_dlsym_function(void *handle, const char *name);

/* The C library's dlsym, found by its version: what we look up for ourselves passes nobody else's hooks. Thread-safe;
 * never NULL on glibc. */
fuseln_dlsym_function *fuseln_real_dlsym(void);
/* The next dlsym behind ours, found by its name: the C library's, or that of another library that hooks it. */
fuseln_dlsym_function *fuseln_next_dlsym(void);

#endif
