/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of the table and the margins they are judged by (judge.c), for accuracy.c and table.c.
 */
#ifndef FUSELN_TEST_JUDGE_H
#define FUSELN_TEST_JUDGE_H

#include <stdbool.h>

#include "accuracy.h"

enum { OURS, PYTORCH, APEX, TWO_PASS, ALGORITHM_COUNT, DISTRIBUTIONS_MAX = 16 };

/* The contract's, over all widths; and what a single width may be worse by, lest the others hide it. */
static const double rms_margin = 1.05, percentile_margin = 1.25, width_margin = 1.25;

/*
 * Below these an algorithm cannot be told from one that computes exactly and rounds once: an error spread evenly over
 * half an ulp to either side has a root mean square of 1 / sqrt(12), and none beyond one half.
 */
static const double rms_floor = 0.288675134594812882, percentile_floor = 0.5;

/* One distribution, one output. */
struct line {
    struct errors errors[ALGORITHM_COUNT];
    struct summary all[ALGORITHM_COUNT];
    double rms_ratio, percentile_ratio; /* ours / PyTorch's, of what was judged last; 0 where ours is below the floor */
    double of_bound;                    /* the largest error of ours, as a share of its bound */
    char broken[108];                   /* which margins are, and where; "" where all hold */
};
extern struct line lines[OUTPUT_COUNT][DISTRIBUTIONS_MAX];
extern int margins, broken;

struct growth {
    double ours, theirs;
};

/* Errors from `first` on. few: samples that do not depend on each other, 0 where they are as many as the contract's.
 * cols: the width they are of, 0 for all. */
void judge_errors(struct line *line, size_t first, int64_t few, int64_t cols);
void judge_bound(struct line *line, const double *got, const double *want, const double *bound, int64_t count);
struct growth judge_growth(enum output output, int offset); /* offset: a distribution */

/* table.c */
void print_header(void);
void print_block(enum fuseln_dtype dtype, enum output output);
bool has(int algorithm, enum output output, enum fuseln_dtype dtype); /* f64: ours alone, a sanity line */
extern const char *const dtype_names[];

#endif
