/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one argument of every kernel of ours, passed by value; shared by the .cu files and the host C that launches.
 * Fields that an operation does not use are zero. Shapes as in struct fuseln_call (src/base/fuseln.h).
 */
#ifndef FUSELN_PARAMS_H
#define FUSELN_PARAMS_H

struct fuseln_ln_params {
    /* As in struct fuseln_call, in its order. A NULL mean: RMS norm. */
    long long rows, cols;
    double eps;
    const void *x, *dy, *gamma, *beta;
    void *mean, *rstd; /* [rows] of float, double for f64 */
    void *y, *dx;
    void *dgamma, *dbeta; /* [out_rows][cols] */
    long long out_rows;
    void *partials; /* [2][partial_rows][cols, up to FUSELN_PARTIAL_ALIGN] of float, double for f64: dgamma's sums,
                       then dbeta's */
    long long partial_rows;      /* a function of cols, dtype and device; which rows of x each sums: see the kernels */
    long long parts;             /* partial rows that have rows at all, the first ones */
    double inverse_cols;         /* 1 / cols */
    float eps_f, inverse_cols_f; /* rounded */
    int width;                   /* of it all chunks' addresses are multiples, 16 bytes at most; for DGAMMA's sums */
    int log_lanes;               /* of the threads that share a row, where the kernel serves several schedules */
    int stages;                  /* rows that a thread has in its ring of shared memory, 1 or 2 */
};

/* What a check of both outputs of one launch finds (check.cu). X(FIELD): first those that are summed up, then those of
 * which the largest counts. */
#define FUSELN_CHECK_RESULTS(SUM, LARGEST)                                                       \
    SUM(ELEMENTS)                                                                                \
    SUM(OUTSIDE_OURS) /* elements beyond the bound; a row's fit of dx beyond it counts as one */ \
    SUM(OUTSIDE_THEIRS)                                                                          \
    SUM(NAN)          /* elements that are NaN in one of them only */                            \
    SUM(SQUARES)      /* of the difference, in ulp of the element type at the largest term */    \
    SUM(SQUARES_OURS) /* of the errors */                                                        \
    SUM(SQUARES_THEIRS)                                                                          \
    LARGEST(MAX)                                                                                 \
    LARGEST(MAX_OURS)                                                                            \
    LARGEST(MAX_THEIRS)                                                                          \
    LARGEST(FIRST) /* minus the index, row * cols + col, of the first one outside or NaN */

enum {
#define X(name) FUSELN_CHECK_##name,
    FUSELN_CHECK_RESULTS(X, X)
#undef X
        FUSELN_CHECK_FIELDS,
    FUSELN_CHECK_SUMS = FUSELN_CHECK_MAX,
};
#define FUSELN_CHECK_NONE (-1e300) /* the largest of nothing */

/* In memory that the host reads while the device writes. */
struct fuseln_check_result {
    double field[FUSELN_CHECK_FIELDS];
    unsigned long long ticket; /* of the launch that the fields are of; written last */
};

enum { FUSELN_CHECK_F32, FUSELN_CHECK_F16, FUSELN_CHECK_BF16, FUSELN_CHECK_F64 }; /* as enum fuseln_dtype */

/* The one argument of the kernels of check.cu. */
struct fuseln_check_params {
    struct fuseln_ln_params host;  /* the launch, or a slice of its rows; y: FORWARD and APPLY, dx: DX, alone */
    const void *out, *mean, *rstd; /* what ours wrote: y, dx or dgamma; the statistics, NULL where they are inputs */
    const void *dbeta;
    double *records; /* [record_count][FUSELN_CHECK_FIELDS]: of each warp */
    struct fuseln_check_result *result;
    unsigned long long ticket;
    long long first_row; /* of the slice */
    double chain;        /* DGAMMA: additions in the longest chain of ours */
    int dtype, rms;
    int more; /* the records hold what earlier slices found */
    int record_count;
};

#endif
