/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of tests/accuracy and by kernels/test_kernels.c: a batch of rows, the outputs that an algorithm
 * computes from it, and the truth. All values are held as double, rounded to the element type wherever a program would
 * hold that type, so that each algorithm reads and writes exactly the numbers of its kernel.
 */
#ifndef FUSELN_TEST_ACCURACY_H
#define FUSELN_TEST_ACCURACY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fuseln.h"

enum output { Y, MEAN, RSTD, DX, DGAMMA, DBETA, OUTPUT_COUNT };

struct batch {
    enum fuseln_dtype dtype;
    bool rms;     /* RMS norm: the means are zero */
    int sm_count; /* multiprocessors, which share the rows of a sum over columns */
    int64_t rows, cols;
    double eps; /* as the kernels get it */
    double *x, *dy, *gamma, *beta;
    double *mean, *rstd; /* for the backward: the true ones, rounded once to the type of the sums */
};

struct result {
    double *of[OUTPUT_COUNT];
};

/* The true outputs, the unit in which errors are counted, and how far ours may be off. */
struct truth {
    double *want[OUTPUT_COUNT], *unit[OUTPUT_COUNT], *bound[OUTPUT_COUNT];
};

/* An algorithm writes the outputs of `result` that it computes; the others are ignored. */
typedef void algorithm_run(const struct batch *batch, struct result *result);
struct algorithm {
    const char *name;
    algorithm_run *forward, *backward; /* NULL: it has none */
};
extern const struct algorithm algorithm_ours, algorithm_pytorch, algorithm_apex, algorithm_two_pass, algorithm_naive;

/* values.c: the numbers of a type. */
double round_to(enum fuseln_dtype dtype, double value); /* to nearest, ties to even */
double ulp(enum fuseln_dtype dtype, double value);
enum fuseln_dtype output_dtype(enum fuseln_dtype dtype, enum output output);
int64_t output_count(const struct batch *batch, enum output output);
double *doubles(int64_t count); /* zeroed memory, or the end of the program */

/* inputs.c: the distributions, and their names, NULL after the last. */
enum { NORMAL, OFFSET_1E2, OFFSET_1E4, TINY, HUGE_1E4, CONSTANT, OUTLIER, ALTERNATING, ACTIVATIONS };
const char *distribution_name(int which);
struct batch batch_room(enum fuseln_dtype dtype, int64_t rows, int64_t cols); /* zeros, on an H100 */
struct batch batch_make(enum fuseln_dtype dtype, int which, int64_t rows, int64_t cols);
struct batch batch_read(enum fuseln_dtype dtype,
                        void *file); /* the next of a FILE of activations.py; rows 0 at its end */
void batch_free(struct batch *batch);

/* truth.c */
struct truth truth_make(struct batch *batch); /* and sets batch->mean, batch->rstd */
void truth_free(struct truth *truth);

#endif
