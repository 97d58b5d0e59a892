/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The errors that are measured, the lines of the table and their margins (margins.c), for accuracy.c and table.c.
 */
#ifndef FUSELN_TEST_MARGINS_H
#define FUSELN_TEST_MARGINS_H

#include <stdbool.h>

#include "accuracy.h"

/* The errors of one algorithm in one output. */
struct errors {
    float *all;
    size_t count, room;
};
struct summary {
    double rms, p999, max;
    size_t count;
};
void errors_add(struct errors *errors, const double *got, const double *want, const double *unit, int64_t count);
struct summary errors_summary(struct errors *errors, size_t first); /* of those from `first` on, which it reorders */

enum { OURS, PYTORCH, APEX, TWO_PASS, ALGORITHM_COUNT, DISTRIBUTIONS_MAX = 16 };

/* Those of the contract, over all widths; and that of a single width, whose errors the others might hide. */
static const double rms_margin = 1.05, percentile_margin = 1.25, width_margin = 1.25;

/*
 * Below these an algorithm is as good as exact arithmetic that is rounded once, whose errors are spread evenly over
 * half an ulp to either side: a root mean square of 1 / sqrt(12), and no error above one half.
 */
static const double rms_floor = 0.288675134594812882, percentile_floor = 0.5;

/* One distribution, one output. */
struct line {
    struct errors errors[ALGORITHM_COUNT];
    struct summary all[ALGORITHM_COUNT];
    double rms_ratio, percentile_ratio; /* ours / PyTorch's, of the last check; 0 where ours is below the floor */
    double of_bound;                    /* the largest error of ours, as a share of its bound */
    char broken[108];                   /* which margins are, and where; "" where all hold */
};
extern struct line lines[OUTPUT_COUNT][DISTRIBUTIONS_MAX];
extern int margins, broken;

struct growth {
    double ours, theirs;
};

/* Of errors from `first` on. few: how many are independent, or 0 if they are as many as the contract asks for. cols:
 * their width, 0 for all. */
void check_errors(struct line *line, size_t first, int64_t few, int64_t cols);
void check_bound(struct line *line, const double *got, const double *want, const double *bound, int64_t count);
struct growth check_growth(enum output output, int offset); /* offset: a distribution */

/* table.c */
void print_header(void);
void print_block(enum fuseln_dtype dtype, enum output output);
bool has(int algorithm, enum output output, enum fuseln_dtype dtype); /* f64: ours alone, a sanity line */

#endif
