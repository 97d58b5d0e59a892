/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target: a foreign kernel that we can replace, the library that holds it, and where its arguments are. Plain data,
 * made by hooks/targets and stored by core/registry.
 */
#ifndef FUSELN_TARGET_H
#define FUSELN_TARGET_H

#include "base/fuseln.h"

/* Arguments by role: the pointers in the order of struct fuseln_call. X(ENUM, word in a target row) */
// clang-format off
#define FUSELN_ROLES(X) \
    X(X, "x") X(DY, "dy") X(GAMMA, "gamma") X(BETA, "beta") X(MEAN, "mean") X(RSTD, "rstd") X(Y, "y") X(DX, "dx") \
    X(DGAMMA, "dgamma") X(DBETA, "dbeta") X(ROWS, "rows") X(COLS, "cols") X(EPS, "eps") X(IGNORE, "ignore")
// clang-format on

enum fuseln_role {
#define X(id, word) FUSELN_ROLE_##id,
    FUSELN_ROLES(X)
#undef X
        FUSELN_ROLE_COUNT
};

enum fuseln_arg_type { FUSELN_ARG_PTR, FUSELN_ARG_I32, FUSELN_ARG_I64, FUSELN_ARG_F32, FUSELN_ARG_F64 };

enum { FUSELN_ARGS_MAX = 16 };

/* Which argument of a launch has which role: parsed once, at registration, from the words of a target row. */
struct fuseln_layout {
    unsigned char count;
    unsigned char role[FUSELN_ARGS_MAX]; /* enum fuseln_role */
    unsigned char type[FUSELN_ARGS_MAX]; /* enum fuseln_arg_type */
    unsigned cols_per_block;             /* gridDim.x = ceil(cols / this); 0: gridDim.x = rows */
    bool partial;                        /* writes gridDim.y rows of partial sums; else gridDim.y is 1 */
    /* The same once more, in the form that each launch is decoded by; fuseln_decode_prepare makes it. */
    unsigned char pointer_count;
    struct fuseln_pointer {
        unsigned char argument, role;
    } pointers[FUSELN_ARGS_MAX];
    int rows, cols, eps; /* which argument; -1: none */
};

/* A loaded object that registered a kernel we know; made by core/library. */
struct fuseln_library {
    char name[64];     /* file name: libtorch_cuda.so */
    char build_id[41]; /* GNU build-id in hex; "" where the library has none */
    bool known;        /* we tested this build (hooks/targets/match.c) */
};

struct fuseln_target {
    char name[56]; /* "pytorch/forward/vectorized/f32", "pytorch/rms-forward/vectorized/bf16" */
    enum fuseln_op op;
    enum fuseln_dtype dtype;
    bool rms;
    struct fuseln_layout layout;
    const char *symbol; /* complete mangled name; the registry owns the copy */
    const struct fuseln_library *library;
    enum fuseln_runtime runtime; /* of that library, as far as the hook could tell; SHARED by default */
};

#endif
