/* SPDX-License-Identifier: Apache-2.0 */
// clang-format off
/*
 * The foreign kernels that fuseln replaces, as rows, and the match of a complete mangled name against them. A program
 * is one file of rows (pytorch.c) and one line in match.c.
 *
 * A symbol is  scope rest,  or where the program names a file
 *              scope <length> _GLOBAL__N__<8 hex> file <8 hex>[_<digits>] rest:
 * the length covers the anonymous namespace with its per-build hash. `rest` must equal the row's pattern to the last
 * letter. Patterns are written for the first of the program's types:
 *   $T         the template's types, as the program's table has them. A class type (c10::Half) adds substitutions, by
 *              which the number of every S<n>_ grows
 *   $R         an optional bool template argument, true for RMS norm (PyTorch 2.9 and later)
 *   $U $I $B   an unsigned, an int and a bool template argument of any value
 * What the arguments are say the words of a row (words.h); `dtype` is what $T tells.
 */
// clang-format on
#ifndef FUSELN_MATCH_H
#define FUSELN_MATCH_H

#include "base/target.h"

#include <stddef.h>

struct fuseln_target_row {
    const char *name;     /* "pytorch/forward/vectorized"; the program before the first slash */
    const char *versions; /* releases that hold it, for README */
    const char *symbol;   /* pattern of what follows the scope */
    const char *words;
};

/* How template types read in a mangled name, how many substitutions they add, and the dtype they stand for. */
struct fuseln_type_name {
    const char *encoding;
    int substitutions;
    enum fuseln_dtype dtype;
};

/* A library whose kernels this project tested. On any other the first launches are checked before one is replaced. */
struct fuseln_known_build {
    const char *build_id; /* GNU build-id in hex */
    const char *version, *cuda, *machine;
    const char *code; /* digest of its device code, by tools/known_build.py */
};

struct fuseln_framework {
    const char *program; /* as a user calls it, and which of its kernels these are; for README */
    const char *scope;   /* what all names begin with */
    const char *file;    /* the source file inside the anonymous namespace's name; NULL: there is none */
    const struct fuseln_type_name *types;
    size_t type_count;
    const struct fuseln_target_row *rows;
    size_t row_count;
    const struct fuseln_known_build *known_builds;
    size_t build_count;
};
#define FUSELN_COUNTED(member, count, array) .member = array, .count = sizeof(array) / sizeof((array)[0])
/* Ends a file of rows, whose tables are `types`, `rows` and, where builds of it were tested, `known_builds`. */
#define FUSELN_FRAMEWORK(id, ...)                                                          \
    const struct fuseln_framework fuseln_##id = {FUSELN_COUNTED(types, type_count, types), \
                                                 FUSELN_COUNTED(rows, row_count, rows), __VA_ARGS__}
#define FUSELN_KNOWN_BUILDS FUSELN_COUNTED(known_builds, build_count, known_builds)

/* A program: its file here, and its place in this list. */
#define FUSELN_PROGRAMS(X) X(pytorch) X(onnxruntime) X(ctranslate2) X(vllm) X(sglang) X(lmdeploy) X(apex) X(ggml)
#define X(program)         extern const struct fuseln_framework fuseln_##program;
FUSELN_PROGRAMS(X)
#undef X

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

/* For tests and README: each row and each build of every framework, which is returned; NULL past the end. */
const struct fuseln_framework *fuseln_targets_row(size_t index, struct fuseln_target_row *ret_row);
const struct fuseln_framework *fuseln_targets_build(size_t index, struct fuseln_known_build *ret_build);
bool fuseln_targets_match_row(size_t index, const char *symbol, struct fuseln_target *ret_target);

#endif
