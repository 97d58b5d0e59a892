/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of every foreign kernel that fuseln replaces, and the match of a complete mangled name against it.
 * Adding a framework means adding rows here and nowhere else.
 */
#ifndef FUSELN_TARGETS_H
#define FUSELN_TARGETS_H

#include "core/registry.h"

/*
 * Recognise a device name as it is registered with the CUDA runtime. True: *ret_target holds name, op, dtype, rms and
 * layout (symbol is the given one, library is NULL). A name is recognised only whole: namespace, translation unit,
 * template arguments, parameter types. Pure, thread-safe; some 10 ns for a name that is not ours.
 */
bool fuseln_targets_match(const char *symbol, struct fuseln_target *ret_target);

/* The same for one row alone; index is below the number of rows. */
bool fuseln_targets_match_row(size_t index, const char *symbol, struct fuseln_target *ret_target);

/* Is this GNU build-id (hex) of a build whose kernels were tested by this project? */
bool fuseln_targets_known_build(const char *build_id);

/* Rows, for tests and the README table. Returns false past the end. */
struct fuseln_target_row {
    const char *name; /* "forward/vectorized" */
    enum fuseln_op op;
    const char *symbol;    /* pattern of what follows the translation unit, see targets.c */
    const char *arguments; /* role words in the order of the parameters */
    unsigned cols_per_block;
    const char *versions; /* PyTorch releases whose wheels hold it */
};
bool fuseln_targets_row(size_t index, struct fuseln_target_row *ret_row);

#endif
