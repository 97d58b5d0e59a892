/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path templates (FUSELN_REPORT, FUSELN_TRACE, FUSELN_LOG) and the names that they can contain. Thread-safe; no
 * allocation.
 */
#ifndef FUSELN_PATH_H
#define FUSELN_PATH_H

#include "base/fuseln.h"

enum { FUSELN_PATH_MAX = 4096, FUSELN_COMPLAINT_MAX = 160 };

/*
 * Expands %p (pid), %h (host), %r (rank; 0 if there is none), %e (executable), %q{NAME} (an environment variable;
 * nothing if it is not set) and %%. Any other % stays as it is. No value can lead into another folder: each / in it
 * becomes _, and so does each dot if it holds nothing but dots; only a %q{NAME} that begins the template may name a
 * folder. A relative path starts in folder ("": the current one). ret_path may be NULL. ret_complaint (may be NULL)
 * says what was unknown, unset or changed, or is "". Returns 0 or -ENAMETOOLONG.
 */
int fuseln_path_expand(const char *path_template, const char *folder, char ret_path[FUSELN_PATH_MAX],
                       char ret_complaint[FUSELN_COMPLAINT_MAX]);

/* The first one that is set of RANK and the variables of the MPI launchers, as text; NULL if none is. */
const char *fuseln_path_rank(void);
void fuseln_path_host(char *ret_host, size_t size);
/* The base name of /proc/self/exe, or else of argv[0]. */
void fuseln_path_executable(char *ret_name, size_t size);

#endif
