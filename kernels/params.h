/*
 * The one argument of every kernel of ours, passed by value; shared by the .cu files and the host C that launches.
 * Fields that an operation does not use are zero. Shapes as in struct fuseln_call (src/fuseln.h).
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

#endif
