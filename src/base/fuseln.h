/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vocabulary that hooks, src and kernels share: modes, operations, element types, verdicts, a decoded call.
 * Each enumeration is listed once, here, as an X-macro. The log, the report and README print these texts.
 */
#ifndef FUSELN_FUSELN_H
#define FUSELN_FUSELN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/params.h"

/* X(ENUM, report name): FUSELN_MODE */
#define FUSELN_MODES(X) \
    X(REPLACE, "replace") X(OBSERVE, "observe") X(VERIFY, "verify") X(MEASURE, "measure") X(OFF, "off")

/* X(ENUM, report name, pass it belongs to) */
// clang-format off
#define FUSELN_OPS(X) \
    X(FORWARD, "forward", "forward")  /* mean, rstd and y from x in one launch */              \
    X(MOMENTS, "moments", "forward")  /* mean and rstd from x: half of a two-launch forward */ \
    X(APPLY,   "apply",   "forward")  /* y from x, mean and rstd: the second half */           \
    X(DX,      "dx",      "backward") /* the gradient of x */                                  \
    X(DGAMMA,  "dgamma",  "backward") /* the gradients of gamma and beta */

/* X(ENUM, report name, bytes) */
#define FUSELN_DTYPES(X) \
    X(F32,  "f32",  4) \
    X(F16,  "f16",  2) \
    X(BF16, "bf16", 2) \
    X(F64,  "f64",  8)

/* X(ENUM, report key, one line of text): what becomes of a launch. OK is zero; any other verdict means that the original
 * is launched. */
#define FUSELN_VERDICTS(X) \
    X(OK,          "ok",          "replaced")                                                        \
    X(OBSERVE,     "observe",     "FUSELN_MODE=observe launches the originals")                      \
    X(SKIP,        "skip",        "named in FUSELN_SKIP")                                            \
    X(EMPTY,       "empty",       "rows or cols is zero")                                            \
    X(SHAPE,       "shape",       "a shape beyond what our kernels index or the grid can hold")      \
    X(GEOMETRY,    "geometry",    "the launch geometry is not the one its name is known for")        \
    X(REQUIRE,     "require",     "an argument has a value that its kernel is not known for")        \
    X(NULLPTR,     "null",        "an argument that must not be null is null")                       \
    X(ALIGN,       "align",       "a pointer is not aligned to its element type")                    \
    X(COOPERATIVE, "cooperative", "a cooperative launch")                                            \
    X(ATTRIBUTE,   "attribute",   "a launch attribute that a replacement would lose")                \
    X(CONTEXT,     "context",     "no current CUDA context, or the stream belongs to another one")   \
    X(CAPTURE,     "capture",     "in stream capture, and this kernel cannot be used there yet")     \
    X(SCRATCH,     "scratch",     "FUSELN_SCRATCH cannot hold the partial sums")                     \
    X(IMAGE,       "image",       "no kernel image of ours loads on this device and driver")         \
    X(DRIVER,      "driver",      "libcuda is not loaded or lacks a function that we need")          \
    X(REFUSED,     "refused",     "the driver refused our launch")                                   \
    X(VERIFY,      "verify",      "FUSELN_MODE=verify launches the originals")                       \
    X(CHECK,       "check",       "an unknown build: its first launches are checked")                \
    X(FAILED,      "failed",      "a check found its results outside the bound")                     \
    X(ALIAS,       "alias",       "an output overlaps an input, so it cannot be checked")            \
    X(MEASURE,     "measure",     "FUSELN_MODE=measure: the original was timed")                     \
    X(SLOWER,      "slower",      "FUSELN_MODE=measure: the original is faster here")                \
    X(BUSY,        "busy",        "too many checks still wait for their results")
// clang-format on

/* X(ENUM, report key, one line of text): what became of the partial sums that a DX launch can make for the DGAMMA
 * launch of the same pass. PAIRED is zero; any other value means that DGAMMA reads dY and X again. */
// clang-format off
#define FUSELN_PAIRINGS(X)                                                                              \
    X(PAIRED,    "paired",   "consumed by the gradients of gamma and beta of the same dY and X")        \
    X(LAUNCH,    "launch",   "another launch came first")                                               \
    X(CALL,      "call",     "a copy, a synchronisation or the like came first")                        \
    X(ALONE,     "alone",    "the gradients of gamma and beta did not follow the last times")          \
    X(SKIPPED,   "skip",     "FUSELN_SKIP=pairs")                                                       \
    X(UNSEEN,    "unseen",   "a call could go unseen (README, Limits)")                                 \
    X(CAPTURED,  "capture",  "in stream capture")                                                       \
    X(OVERLAP,   "overlap",  "dX is written over dY, X or the statistics")                              \
    X(NOSCRATCH, "scratch",  "FUSELN_SCRATCH cannot hold the partial sums")                             \
    X(FULL,      "full",     "too many others were waiting for their partner")                          \
    X(FAILED,    "failed",   "one of the two stayed with the original")
// clang-format on

/* X(ENUM, report name): where a launch is seen */
#define FUSELN_BOUNDARIES(X) X(RUNTIME, "runtime") X(DRIVER, "driver")

/* X(ENUM, report name, words): the CUDA runtime of the program or library that a launch comes from */
#define FUSELN_RUNTIMES(X)                       \
    X(SHARED, "shared", "shared CUDA runtime")   \
    X(STATIC, "static", "a CUDA runtime inside") \
    X(NONE, "none", "driver API")

/* Each list as an enum, ended by its count: FUSELN_MODE_REPLACE, ..., FUSELN_MODE_COUNT. */
// clang-format off
#define X(id, ...) FUSELN_MODE_##id,
enum fuseln_mode { FUSELN_MODES(X) FUSELN_MODE_COUNT };
#undef X
#define X(id, ...) FUSELN_BOUNDARY_##id,
enum fuseln_boundary { FUSELN_BOUNDARIES(X) FUSELN_BOUNDARY_COUNT };
#undef X
#define X(id, ...) FUSELN_RUNTIME_##id,
enum fuseln_runtime { FUSELN_RUNTIMES(X) FUSELN_RUNTIME_COUNT };
#undef X
#define X(id, ...) FUSELN_OP_##id,
enum fuseln_op { FUSELN_OPS(X) FUSELN_OP_COUNT };
#undef X
#define X(id, ...) FUSELN_DTYPE_##id,
enum fuseln_dtype { FUSELN_DTYPES(X) FUSELN_DTYPE_COUNT };
#undef X
#define X(id, ...) FUSELN_VERDICT_##id,
enum fuseln_verdict { FUSELN_VERDICTS(X) FUSELN_VERDICT_COUNT };
#undef X
#define X(id, ...) FUSELN_PAIRING_##id,
enum fuseln_pairing { FUSELN_PAIRINGS(X) FUSELN_PAIRING_COUNT };
#undef X
// clang-format on

/* Static strings; never NULL. */
const char *fuseln_mode_name(enum fuseln_mode value);   /* "replace", ... */
const char *fuseln_op_name(enum fuseln_op value);       /* "forward", "moments", ... */
const char *fuseln_op_pass(enum fuseln_op value);       /* "forward" or "backward" */
const char *fuseln_dtype_name(enum fuseln_dtype value); /* "f32", ... */
const char *fuseln_boundary_name(enum fuseln_boundary value);
const char *fuseln_runtime_name(enum fuseln_runtime value);
const char *fuseln_runtime_words(enum fuseln_runtime value);
const char *fuseln_verdict_key(enum fuseln_verdict value);
const char *fuseln_verdict_text(enum fuseln_verdict value);
const char *fuseln_pairing_key(enum fuseln_pairing value);
const char *fuseln_pairing_text(enum fuseln_pairing value);

/* Bytes of one element. */
static inline size_t fuseln_dtype_bytes(enum fuseln_dtype dtype)
{
    static const unsigned char bytes[] = {
#define X(id, name, size) size,
        FUSELN_DTYPES(X)
#undef X
    };
    return bytes[dtype];
}

/* Bytes of mean, rstd and sums: 8 for f64, else 4. */
static inline size_t fuseln_acc_bytes(enum fuseln_dtype dtype)
{
    return dtype == FUSELN_DTYPE_F64 ? 8 : 4;
}

/*
 * One layer-norm launch of the host, decoded. Tensors are packed row-major [rows][cols] of dtype on the device;
 * mean and rstd are [rows] of float (double for f64); gamma, beta, dgamma and dbeta are [cols] of dtype.
 * A pointer is NULL if the operation does not have it or the host passed null: gamma NULL means 1, beta NULL means 0,
 * and an output that is NULL is not wanted.
 * rms: rstd = 1/sqrt(mean(x*x) + eps), no mean is subtracted, and mean, beta and dbeta are NULL.
 */
struct fuseln_call {
    enum fuseln_op op;
    enum fuseln_dtype dtype;
    unsigned nulls;    /* bit r of enum fuseln_role set: that pointer is null; of GAMMA_ADD: it is not 0;
                        * of RMS: an argument says that it is RMS norm; above: the values of arguments that a row gives
                        * a range, as one number */
    unsigned low_bits; /* of all addresses, modulo 16, or-ed: 0 where everything is aligned */
    union {            /* our kernels take the call as they find it: their argument begins with it */
        struct {
            int64_t rows, cols;
            double eps;
            const void *x, *dy, *gamma, *beta;
            void *mean, *rstd; /* outputs of FORWARD and MOMENTS, inputs of the others */
            void *y, *dx;
            void *dgamma, *dbeta;        /* [out_rows][cols] */
            const void *residual, *bias; /* [rows][cols] and [cols]; NULL: none */
            void *sum;                   /* [rows][cols]: x + bias + residual; NULL: not wanted */
            int64_t out_rows; /* DGAMMA: rows of partial sums the original writes; ours: row 0 the sums, the others 0 */
            float gamma_add;  /* added to gamma, in float */
            int rounding;     /* enum fuseln_rounding */
            int rms;          /* bool */
        };
        struct fuseln_ln_params params; /* the rest of it is of the launch (kernels/host/launch.c) */
    };
};

/* The type of dgamma and dbeta. */
static inline enum fuseln_dtype fuseln_gradient_dtype(const struct fuseln_call *call)
{
    return call->rounding != FUSELN_UNROUNDED || call->dtype == FUSELN_DTYPE_F64 ? call->dtype : FUSELN_DTYPE_F32;
}

#endif
