/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of fuseln.h, made from its X-macros: what log, report and trace call an operation, an element type or a
 * verdict. Called by everyone; static strings only, thread-safe.
 */
#include "base/fuseln.h"

#define ROW(table, index, count) ((size_t)(index) < (count) ? table[index] : "unknown")

const char *fuseln_op_name(enum fuseln_op op)
{
    static const char *const names[] = {
#define X(id, name, pass, text) name,
        FUSELN_OPS(X)
#undef X
    };
    return ROW(names, op, FUSELN_OP_COUNT);
}

const char *fuseln_op_pass(enum fuseln_op op)
{
    static const char *const passes[] = {
#define X(id, name, pass, text) pass,
        FUSELN_OPS(X)
#undef X
    };
    return ROW(passes, op, FUSELN_OP_COUNT);
}

const char *fuseln_dtype_name(enum fuseln_dtype dtype)
{
    static const char *const names[] = {
#define X(id, name, bytes) name,
        FUSELN_DTYPES(X)
#undef X
    };
    return ROW(names, dtype, FUSELN_DTYPE_COUNT);
}

const char *fuseln_boundary_name(enum fuseln_boundary boundary)
{
    static const char *const names[] = {
#define X(id, name) name,
        FUSELN_BOUNDARIES(X)
#undef X
    };
    return ROW(names, boundary, FUSELN_BOUNDARY_COUNT);
}

const char *fuseln_runtime_name(enum fuseln_runtime runtime)
{
    static const char *const names[] = {
#define X(id, name, words) name,
        FUSELN_RUNTIMES(X)
#undef X
    };
    return ROW(names, runtime, FUSELN_RUNTIME_COUNT);
}

const char *fuseln_runtime_words(enum fuseln_runtime runtime)
{
    static const char *const words[] = {
#define X(id, name, text) text,
        FUSELN_RUNTIMES(X)
#undef X
    };
    return ROW(words, runtime, FUSELN_RUNTIME_COUNT);
}

const char *fuseln_verdict_key(enum fuseln_verdict verdict)
{
    static const char *const keys[] = {
#define X(id, key, text) key,
        FUSELN_VERDICTS(X)
#undef X
    };
    return ROW(keys, verdict, FUSELN_VERDICT_COUNT);
}

const char *fuseln_verdict_text(enum fuseln_verdict verdict)
{
    static const char *const texts[] = {
#define X(id, key, text) text,
        FUSELN_VERDICTS(X)
#undef X
    };
    return ROW(texts, verdict, FUSELN_VERDICT_COUNT);
}

const char *fuseln_pairing_key(enum fuseln_pairing pairing)
{
    static const char *const keys[] = {
#define X(id, key, text) key,
        FUSELN_PAIRINGS(X)
#undef X
    };
    return ROW(keys, pairing, FUSELN_PAIRING_COUNT);
}

const char *fuseln_pairing_text(enum fuseln_pairing pairing)
{
    static const char *const texts[] = {
#define X(id, key, text) text,
        FUSELN_PAIRINGS(X)
#undef X
    };
    return ROW(texts, pairing, FUSELN_PAIRING_COUNT);
}
