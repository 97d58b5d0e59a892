/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which loaded object an address belongs to, with its GNU build-id: read once per library, at its registration,
 * so that nothing has to be asked of the loader on the launch path. Static table; entries live until the process ends.
 */
#ifndef FUSELN_LIBRARY_H
#define FUSELN_LIBRARY_H

#include "core/registry.h"

/*
 * The library that holds this address, or NULL where none does or the table (1,024) is full. is_known tells whether a
 * build-id (hex) is one that was tested; asked once per library. Thread-safe; walks the loader's list without a lock
 * of ours, only for an address outside of the libraries already seen.
 */
const struct fuseln_library *fuseln_library_of(const void *address, bool (*is_known)(const char *build_id));

/* Where the loaded object that holds this address is mapped: [*ret_begin, *ret_end). False where none does. */
bool fuseln_library_range(const void *address, uintptr_t *ret_begin, uintptr_t *ret_end);

/* The library at this address is being unloaded: another may be mapped there later. */
void fuseln_library_forget(const void *address);

/*
 * Around a question to the loader that takes its locks (dl_iterate_phdr, dladdr1): fork() waits for its end, a fifth
 * of a second or so at most, and a question for the fork's. Thread-safe; keeps errno.
 */
void fuseln_library_ask_begin(void);
void fuseln_library_ask_end(void);
void fuseln_library_before_fork(void);
void fuseln_library_after_fork_in_parent(void);
void fuseln_library_after_fork(void); /* in the child: the lock is free again */

#endif
