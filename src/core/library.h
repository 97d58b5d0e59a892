/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which loaded object holds an address, and its GNU build-id. Read once per library, when it registers a kernel, so
 * that a launch never has to ask the loader. Static storage: an entry stays at its address until the process ends.
 * Thread-safe.
 */
#ifndef FUSELN_LIBRARY_H
#define FUSELN_LIBRARY_H

#include "base/target.h"

/*
 * The library that holds this address; NULL if there is none or the table (1,024) is full. Asks the loader, without a
 * lock of ours, unless the address lies in a library that we have seen. is_known says whether we tested the build with
 * this build-id (hex).
 */
const struct fuseln_library *fuseln_library_of(const void *address, bool (*is_known)(const char *build_id));

struct dl_phdr_info;
/* Where this loaded object is mapped: [*ret_begin, *ret_end), which is empty for one without segments. */
void fuseln_library_extent(const struct dl_phdr_info *info, uintptr_t *ret_begin, uintptr_t *ret_end);
/* The same of the one that holds this address. False if there is none. */
bool fuseln_library_range(const void *address, uintptr_t *ret_begin, uintptr_t *ret_end);

/* The GNU build-id in an ELF file's notes, in hex; ret_hex stays as it is where there is none. The notes may be broken.
 */
void fuseln_library_build_id(const void *notes, size_t bytes, char ret_hex[41]);

/* The library at this address is being unloaded: another may be mapped there later. */
void fuseln_library_forget(const void *address);

/*
 * Put these around a call that takes the loader's locks (dl_iterate_phdr, dladdr1). fork() then waits for the end of
 * the call, and the call for the end of a fork; either waits at most about a fifth of a second. Preserves errno.
 */
void fuseln_library_ask_begin(void);
void fuseln_library_ask_end(void);
void fuseln_library_before_fork(void);
void fuseln_library_after_fork_in_parent(void);
void fuseln_library_after_fork(void); /* in the child */

#endif
