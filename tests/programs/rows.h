/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows that the programs of this folder normalise, 5 of 768 floats, and the error that the result may have.
 */
#ifndef FUSELN_TEST_ROWS_H
#define FUSELN_TEST_ROWS_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>

enum { ROWS = 5, COLS = 768, N = ROWS * COLS };

static float x[N], y[N];

static void x_fill(void)
{
    for (int i = 0; i < N; i++)
        x[i] = (float)((i * 2654435761u) >> 8) / (1 << 23) - 1 + (float)(i / COLS);
}

/* Prints the largest error of y against double, as a share of its bound, and the count of elements. The bound is 4
 * roundings of y, for rstd and the last two operations, and 4 of the mean of the magnitudes, for the mean. */
static void print_error(void)
{
    double largest = 0;
    for (int row = 0; row < ROWS; row++) {
        const float *const from = x + row * COLS, *const to = y + row * COLS;
        double mean = 0, magnitude = 0, m2 = 0;
        for (int i = 0; i < COLS; i++)
            mean += from[i] / (double)COLS, magnitude += fabs(from[i]) / COLS;
        for (int i = 0; i < COLS; i++)
            m2 += (from[i] - mean) * (from[i] - mean);
        for (int i = 0; i < COLS; i++) {
            const double rstd = 1 / sqrt(m2 / COLS + 1e-5f), want = (from[i] - mean) * rstd;
            const double share = fabs(to[i] - want) / (4 * ldexp(fabs(want) + magnitude * rstd, -24));
            largest = share <= largest ? largest : share; /* NaN too */
        }
    }
    printf("%.3f %d\n", largest, N);
}

#endif
