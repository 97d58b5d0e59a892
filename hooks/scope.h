/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which libraries of the process define a name, in the loader's order and by the loader's rules (glibc's check_match):
 * read from the loaded libraries' own symbol tables. For what the dl functions do not tell: which library in front of
 * us, or behind us, a look-up finds. Thread-safe; takes the loader's lock and none of ours; keeps errno.
 */
#ifndef FUSELN_SCOPE_H
#define FUSELN_SCOPE_H

#include <stdbool.h>
#include <stddef.h>

/* The library that holds this address, as far as it matters here; all false where none does. */
struct fuseln_library_kind {
    bool driver;    /* libcuda.so.1 by its SONAME */
    bool stands_in; /* that, or called libcuda.so... by its SONAME or its file: shims, and the drivers behind them */
    bool before;    /* the loader looks there before it looks at us */
};
struct fuseln_library_kind fuseln_scope_kind(const void *address);

/* Does the library that holds this address define one of these versions, as a CUDA runtime defines its node? */
bool fuseln_scope_has_version(const void *address, const char *const versions[], size_t count);

/* Does the library that holds this function define the name so that a reference to that version of it binds to it:
 * with the version, or with none? (True where it does not define the name at all: an IFUNC may lie anywhere.) */
bool fuseln_scope_binds(const void *function, const char *name, const char *version);

/*
 * Behind the library of `any`, which defines the name with another version, and before that of `exact` (NULL: none):
 * the first definition without a version among the libraries that the program began with; NULL where there is none.
 * (Where a library was opened later, only the loader knows in which scopes it is.) Of an IFUNC, its resolver.
 */
void *fuseln_scope_between(const void *any, const void *exact, const char *name);

/* What a look-up of the name without a version found, and what one with it: the one that comes first. The former where
 * it would have stopped at the latter as well; else the one whose library was loaded first. */
void *fuseln_scope_first(void *any, void *exact, const char *name, const char *version);

/* Does a library in front of us define the name, so that a look-up without a version stops there? Where caller is not
 * NULL only libraries behind the caller's count, as for RTLD_NEXT. */
bool fuseln_scope_stops_before_us(const char *name, const void *caller);

/* Our own definition of this version of the name; NULL where there is none. */
void *fuseln_scope_ours(const char *name, const char *version);

#endif
