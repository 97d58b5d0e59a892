/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the kernels of kernels/check.cu on the CPU, for test_check.c and check_odd.c: a batch, what ours and an original
 * make of it, and what the check finds.
 */
#ifndef FUSELN_TEST_CHECK_RUN_H
#define FUSELN_TEST_CHECK_RUN_H

#include "kernels/host/launch.h"

#include "kernels/host/device.h"
#include "accuracy.h"

#include "../kernels/layer.h"

/* One operation of a batch: what ours and the original wrote. */
struct outputs {
    struct tensor of[2][OUTPUT_COUNT]; /* ours, theirs */
};
enum { OURS, THEIRS };

struct inputs {
    struct tensor x, dy, gamma, beta, mean, rstd;
    const struct batch *batch;
};

/* What a program would see of one batch: every output of both. In double the original is the truth. */
void outputs_make(const struct batch *b, const struct truth *truth, struct outputs *out);
struct inputs inputs_make(const struct batch *b);
void all_free(struct inputs *in, struct outputs *out);
void *at(struct outputs *outputs, int who, enum output output);
/* The original of APPLY gets the statistics that ours made, and so writes what ours did. */
void apply_make(struct inputs *in, struct outputs *out);

/* What the check says of one operation. The rows come in two slices, if there are two. */
struct fuseln_check_result compare(const struct inputs *in, struct outputs *out, enum fuseln_op op);
double wrong(const struct fuseln_check_result *found);

static const enum fuseln_op ops[] = {FUSELN_OP_FORWARD, FUSELN_OP_MOMENTS, FUSELN_OP_APPLY, FUSELN_OP_DX,
                                     FUSELN_OP_DGAMMA};

/* check_odd.c */
void odd_rows_make_no_kernel_wrong(void **state);
void nothing_is_proved_by_odd_rows_alone(void **state);
void a_mistake_beside_odd_rows_is_found(void **state);

#endif
