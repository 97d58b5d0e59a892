/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target: a foreign kernel that we can replace, the library that holds it, and where its arguments are. Plain data,
 * made by hooks/targets and stored by core/registry.
 */
#ifndef FUSELN_TARGET_H
#define FUSELN_TARGET_H

#include "base/fuseln.h"

#include <stdatomic.h>

/* Arguments by role: the pointers in the order of struct fuseln_call. X(ENUM, word in a target row) */
// clang-format off
#define FUSELN_POINTER_ROLES(X) \
    X(X, "x") X(DY, "dy") X(GAMMA, "gamma") X(BETA, "beta") X(MEAN, "mean") X(RSTD, "rstd") X(Y, "y") X(DX, "dx") \
    X(DGAMMA, "dgamma") X(DBETA, "dbeta") X(RESIDUAL, "residual") X(BIAS, "bias") X(SUM, "sum")
#define FUSELN_ROLES(X) FUSELN_POINTER_ROLES(X) \
    X(ROWS, "rows") X(COLS, "cols") X(EPS, "eps") X(GAMMA_ADD, "gamma_add") X(RMS, "rms") X(IGNORE, "ignore") X(REQUIRE, "require")

/* X(ENUM, word in a target row, bytes) */
#define FUSELN_ARG_TYPES(X) \
    X(PTR, "ptr", 8) X(I32, "i32", 4) X(U32, "u32", 4) X(I64, "i64", 8) X(F32, "f32", 4) X(F64, "f64", 8) X(BOOL, "bool", 1)
// clang-format on

enum fuseln_role {
#define X(id, word) FUSELN_ROLE_##id,
    FUSELN_ROLES(X)
#undef X
        FUSELN_ROLE_COUNT,
    FUSELN_POINTER_ROLES_END = FUSELN_ROLE_ROWS
};

enum fuseln_arg_type {
#define X(id, word, bytes) FUSELN_ARG_##id,
    FUSELN_ARG_TYPES(X)
#undef X
        FUSELN_ARG_TYPE_COUNT
};

static inline size_t fuseln_arg_bytes(enum fuseln_arg_type type)
{
    static const unsigned char bytes[] = {
#define X(id, word, size) size,
        FUSELN_ARG_TYPES(X)
#undef X
    };
    return bytes[type];
}

/* Between these lies the eps of any norm; of a user's row no other is taken. */
#define FUSELN_EPS_LEAST 1e-12
#define FUSELN_EPS_MOST  1e-2

/* FLAGS: combinations of values that a row's ranges may hold; the bits above the roles (struct fuseln_call). */
enum { FUSELN_ARGS_MAX = 32, FUSELN_REQUIRES_MAX = 8, FUSELN_FLAGS_MAX = 1 << (32 - FUSELN_ROLE_COUNT) };

/* What an argument, an integer or a pointer, must be for the launch to mean what the row says: the product of some of
 * these, or of a range. */
// clang-format off
#define FUSELN_FACTORS(X) X(ROWS, "rows") X(COLS, "cols") X(GRID_X, "grid.x") X(GRID_Y, "grid.y")
// clang-format on

enum fuseln_factor {
#define X(id, word) FUSELN_FACTOR_##id,
    FUSELN_FACTORS(X)
#undef X
        FUSELN_FACTOR_COUNT
};

struct fuseln_require {
    unsigned char argument;
    unsigned char factors; /* a bit for each; 0: low <= it <= high */
    int64_t low, high;
};

/* Where a launch keeps its rows, and which grid goes with them. */
enum fuseln_rows {
    FUSELN_ROWS_GRID_X,         /* gridDim.x, which an argument may repeat; the rest of the grid is 1 */
    FUSELN_ROWS_GRID_X_BLOCK_Y, /* gridDim.x * blockDim.y */
    FUSELN_ROWS_GRID,           /* gridDim.x * gridDim.y * gridDim.z */
    FUSELN_ROWS_LOOP            /* an argument; gridDim.y is that many, or 65,535 of more; the rest of the grid is 1 */
};

/* Which argument of a launch has which role: parsed once, at registration, from the words of a target row. */
struct fuseln_layout {
    unsigned char count;
    unsigned char role[FUSELN_ARGS_MAX]; /* enum fuseln_role; the first, where an argument has two */
    unsigned char type[FUSELN_ARGS_MAX]; /* enum fuseln_arg_type */
    unsigned cols_per_block;             /* gridDim.x = ceil(cols / this); 0: by rows */
    bool partial;                        /* writes gridDim.y rows of partial sums; else gridDim.y is 1 */
    bool one_pass;                       /* the original's variance is E[x^2] - E[x]^2 */
    bool round_affine;                   /* the original rounds xhat and gamma xhat to dtype */
    enum fuseln_rounding rounding;       /* as in struct fuseln_call */
    bool plain;                          /* rows are gridDim.x, there is nothing to require, gamma_add and rounding are
                                          * 0, and no argument says whether it is RMS norm */
    enum fuseln_rows rows_from;
    unsigned nullable; /* bit r: the pointer of role r may be null */
    unsigned in;       /* bit a: the user says that the kernel only reads through argument a, and its name does not */
    float gamma_add;   /* where no argument says it */
    double eps_value;  /* the same */
    unsigned char require_count;
    struct fuseln_require require[FUSELN_REQUIRES_MAX];
    /* Pointers in the form that each launch is decoded by; an argument that is two stands here twice. */
    unsigned char pointer_count;
    struct fuseln_pointer {
        unsigned char argument, role;
    } pointers[FUSELN_ARGS_MAX];
    int rows, cols, eps, add, rms; /* which argument; -1: none */
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
    int rms;                      /* bool */
    atomic_bool unproven;         /* kept by core/registry: it has a host_function, and was not proven yet */
    struct fuseln_user_row *user; /* of FUSELN_TARGETS: never replaced before it was checked; else NULL */
    struct fuseln_layout layout;
    const char *symbol; /* complete mangled name; the registry owns the copy */
    const struct fuseln_library *library;
    enum fuseln_runtime runtime; /* of that library, as far as the hook could tell; SHARED by default */
    const void *owner; /* of a user's row: its module, as another may hold something else by that name; else NULL */
    /* Of a user's row, where a shared runtime registered the kernel: its host function, by which that runtime is asked
     * for it. No argument of a launch is read before they are proven. Else NULL. */
    const void *host_function;
};

#endif
