/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path templates of FUSELN_REPORT, FUSELN_TRACE and FUSELN_LOG, and what they are made of.
 * Thread-safe; no allocation.
 */
#ifndef FUSELN_PATH_H
#define FUSELN_PATH_H

#include "base/fuseln.h"

enum { FUSELN_PATH_MAX = 4096, FUSELN_COMPLAINT_MAX = 160 };

/*
 * Expand %p (pid), %h (host), %r (rank; 0 where there is none), %e (executable), %q{NAME} (a variable; nothing where
 * it is not set) and %%; any other % stays as it is. No value leads into another folder: each / of it, and each dot
 * where it has nothing else, becomes _; only a %q{NAME} that the template begins with may name a folder. A relative
 * path starts in this folder ("": in the current one). ret_path may be NULL. ret_complaint (may be NULL) says what was
 * not known, not set or changed, or is "". 0 or -ENAMETOOLONG.
 */
int fuseln_path_expand(const char *path_template, const char *folder, char ret_path[FUSELN_PATH_MAX],
                       char ret_complaint[FUSELN_COMPLAINT_MAX]);

/* The first that is set of RANK and the variables of MPI's launchers (path.c), as text; NULL if none is. */
const char *fuseln_path_rank(void);
void fuseln_path_host(char *ret_host, size_t size);
/* Base name of /proc/self/exe, else of argv[0]. */
void fuseln_path_executable(char *ret_name, size_t size);

#endif
