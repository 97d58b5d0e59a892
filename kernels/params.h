/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The argument of each kernel, passed by value; shared by the .cu files and the host C that launches them. Fields that
 * an operation does not need are zero. Shapes as in struct fuseln_call (src/base/fuseln.h).
 */
#ifndef FUSELN_PARAMS_H
#define FUSELN_PARAMS_H

/* What is rounded to dtype: outputs alone; each addition of a sum, too, in one order (x + bias + residual) or the other
 * (x + residual + bias), and y is the norm of the rounded sum; or not even dgamma and dbeta, which have the type of
 * mean and rstd. */
enum fuseln_rounding { FUSELN_ROUND_OUTPUTS, FUSELN_BIAS_FIRST, FUSELN_BIAS_LAST, FUSELN_UNROUNDED };

struct fuseln_ln_params {
    /* As in struct fuseln_call, in its order. The backward kernels get a NULL mean for RMS norm. */
    long long rows, cols;
    double eps;
    const void *x, *dy, *gamma, *beta;
    void *mean, *rstd; /* [rows] of float, double for f64 */
    void *y, *dx;
    void *dgamma, *dbeta;        /* [out_rows][cols] */
    const void *residual, *bias; /* FORWARD: the rows s = x + bias + residual are normalised */
    void *sum;                   /* s, rounded; NULL: not wanted */
    long long out_rows;
    float gamma_add; /* added to gamma */
    int rounding;    /* enum fuseln_rounding */
    int rms;         /* bool */
    float eps_f;     /* eps, rounded */
    void *partials; /* dgamma's sums, then dbeta's: [2][partial_rows][cols rounded up to FUSELN_PARTIAL_ALIGN] of float,
                       double for f64 */
    /* As in struct fuseln_plan, in its order. */
    long long partial_rows; /* a function of cols, dtype and device; each kernel says which rows a partial row sums */
    long long parts;        /* that are written; the partial rows after them have no rows to sum */
    double inverse_cols;    /* 1 / cols */
    float inverse_cols_f;   /* rounded */
    int width;              /* common alignment of all chunks in bytes, at most 16; for the sums of DGAMMA */
    int log_lanes;          /* log2 of the lanes of a row, where a kernel serves several schedules */
    int stages;             /* of the ring in shared memory, 1 or 2 */
};

/* What a check of both outputs of one launch finds (check.cu): fields that are summed, then fields whose largest value
 * counts. */
#define FUSELN_CHECK_RESULTS(SUM, LARGEST)                                                     \
    SUM(ELEMENTS)                                                                              \
    SUM(OUTSIDE_OURS) /* elements outside their bound; a row's fit of dx counts as one */      \
    SUM(OUTSIDE_THEIRS)                                                                        \
    SUM(NAN)          /* elements that are NaN in only one of the two */                       \
    SUM(SQUARES)      /* of the differences, in ulp of the element type at the largest term */ \
    SUM(SQUARES_OURS) /* of the errors */                                                      \
    SUM(SQUARES_THEIRS)                                                                        \
    SUM(TELLING) /* rows whose data show what is computed: of a user's row, each part of it */ \
    SUM(CHANGED) /* parts of what it must not write that are not as before the original */     \
    LARGEST(MAX)                                                                               \
    LARGEST(MAX_OURS)                                                                          \
    LARGEST(MAX_THEIRS)                                                                        \
    LARGEST(FIRST) /* minus the index, row * cols + col, of the first element outside or NaN */

enum {
#define X(name) FUSELN_CHECK_##name,
    FUSELN_CHECK_RESULTS(X, X)
#undef X
        FUSELN_CHECK_FIELDS,
    FUSELN_CHECK_SUMS = FUSELN_CHECK_MAX,
};
#define FUSELN_CHECK_NONE (-1e300) /* the largest of no values */

/* In memory that the device writes and the host reads meanwhile. */
struct fuseln_check_result {
    double field[FUSELN_CHECK_FIELDS];
    unsigned long long ticket; /* of the launch that was checked; written last */
};

enum { FUSELN_CHECK_F32, FUSELN_CHECK_F16, FUSELN_CHECK_BF16, FUSELN_CHECK_F64 }; /* as enum fuseln_dtype */

/* The argument of the kernels of check.cu. */
struct fuseln_check_params {
    struct fuseln_ln_params host;  /* the launch, or a slice of its rows; y only of FORWARD and APPLY, dx only of DX */
    const void *out, *mean, *rstd; /* written by ours: y, dx or dgamma; the statistics, NULL where they are inputs,
                                      never where they are outputs: of the host's launch they may be absent */
    const void *dbeta, *sum;
    double *records; /* [record_count][FUSELN_CHECK_FIELDS], one a warp */
    struct fuseln_check_result *result;
    unsigned long long ticket;
    unsigned long long *hashes; /* [2][hash_count]: of what must not change, before the original and after it */
    int hash_count;             /* of fuseln_check_hash, one a warp; 0: they are not compared */
    int proves;                 /* bool: a user's row */
    double other_eps;           /* another argument that might be eps; 0: there is none */
    long long first_row;        /* of the slice */
    double chain;               /* DGAMMA: additions on the longest chain of ours */
    int dtype, gradient_dtype, rms;
    int one_pass, round_affine; /* bool: how the original computes (base/target.h) */
    int more;                   /* the records already hold what earlier slices found */
    int record_count;
};

#endif
