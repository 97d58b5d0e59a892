/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The foreign kernels that fuseln replaces, as rows, and the match of a complete mangled name against them. A framework
 * is one file of rows (pytorch.c) and one line in match.c.
 *
 * A symbol is  scope <length> _GLOBAL__N__<8 hex> file <8 hex>[_<digits>] rest:  the length covers the anonymous
 * namespace with its per-build hash. `rest` must equal the row's pattern to the last letter. Patterns are written for
 * float:
 *   $T    element and accumulator type. A class type (c10::Half) adds two substitutions, so every S<n>_ shifts by two
 *   $R    an optional bool template argument, true for RMS norm (PyTorch 2.9 and later)
 *   $U $B an unsigned and a bool template argument of any value
 * Arguments are the roles of base/target.h in the order of the parameters: pointers, unless `:i32`, `:i64` or `:acc`
 * (float; double for f64) follows. `partial` is no argument: it says that the original writes gridDim.y rows of partial
 * sums instead of one row of sums.
 */
#ifndef FUSELN_MATCH_H
#define FUSELN_MATCH_H

#include "base/target.h"

#include <stddef.h>

struct fuseln_target_row {
    const char *name; /* "pytorch/forward/vectorized"; the framework before the first slash */
    enum fuseln_op op;
    unsigned cols_per_block; /* of the original: gridDim.x = ceil(cols / this); 0: a block for each row */
    const char *versions;    /* releases that hold it, for README */
    const char *symbol;      /* pattern of what follows the translation unit */
    const char *arguments;   /* role words */
};

/* A library whose kernels this project tested. On any other the first launches are checked before one is replaced. */
struct fuseln_known_build {
    const char *build_id; /* GNU build-id in hex */
    const char *version, *cuda, *machine;
    const char *code; /* digest of its device code, by tools/known_build.py */
};

struct fuseln_framework {
    const char *scope; /* mangled namespaces before the anonymous one */
    const char *file;  /* the source file inside the anonymous namespace's name */
    const struct fuseln_target_row *rows;
    size_t row_count;
    const struct fuseln_known_build *known_builds;
    size_t build_count;
};
extern const struct fuseln_framework fuseln_pytorch;

/*
 * Does this device name, as registered with the CUDA runtime, belong to a row? True: *ret_target holds name, op, dtype,
 * rms and layout (symbol is the one passed in, library is NULL). Only the whole name counts: namespace, translation
 * unit, template arguments, parameter types. Pure, thread-safe; some 10 ns for a foreign name.
 */
bool fuseln_targets_match(const char *symbol, struct fuseln_target *ret_target);

/* Who makes this kernel, if it is a layer or RMS norm by its name: "inductor", "quack" or "other"; else NULL. For names
 * that match no row (core/foreign.h). */
const char *fuseln_targets_norm_maker(const char *symbol);

bool fuseln_targets_known_build(const char *build_id);

/* For the test and README: each row and each build of every framework; false past the end. */
bool fuseln_targets_row(size_t index, struct fuseln_target_row *ret_row);
bool fuseln_targets_build(size_t index, struct fuseln_known_build *ret_build);
bool fuseln_targets_match_row(size_t index, const char *symbol, struct fuseln_target *ret_target);

#endif
