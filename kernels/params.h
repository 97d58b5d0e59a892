/*
 * The one argument of every kernel of ours, passed by value; shared by the .cu files and the host C that launches.
 * Fields that an operation does not use are zero. Shapes as in struct fuseln_call (src/fuseln.h).
 */
#ifndef FUSELN_PARAMS_H
#define FUSELN_PARAMS_H

struct fuseln_ln_params {
    const void *x, *dy, *gamma, *beta;
    void *mean, *rstd; /* [rows] of float, double for f64 */
    void *y, *dx;
    void *dgamma, *dbeta; /* [out_rows][cols] */
    void *partials;       /* [2][partial_rows][cols] of float, double for f64: dgamma's sums, then dbeta's */
    long long rows, cols;
    long long partial_rows; /* partial row p sums the rows p, p + partial_rows, p + 2 * partial_rows, ... in order */
    long long out_rows;
    double eps;
    int width; /* bytes per access of rows of x, dy, y, dx: 16, 8, 4 or 2 */
};

#endif
