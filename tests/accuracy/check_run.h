/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the kernels of kernels/check.cu on the CPU, for test_check.c and check_odd.c: a batch, what ours and an original
 * write for it, and what the check finds.
 */
#ifndef FUSELN_TEST_CHECK_RUN_H
#define FUSELN_TEST_CHECK_RUN_H

#include "kernels/host/device.h"
#include "accuracy.h"

#include "../kernels/layer.h"

enum { OURS, THEIRS };

/* A batch, its truth, its tensors, and every output of ours and of an original: PyTorch's algorithm, for double the
 * truth. */
struct sample {
    struct batch b;
    struct truth truth;
    struct tensor x, dy, gamma, beta, mean, rstd;
    struct tensor outputs[2][OUTPUT_COUNT]; /* ours, theirs */
    bool bare, one_pass, round_affine;      /* the original keeps no statistics; how it computes (base/target.h) */
};
struct sample sample_make(struct batch b); /* which owns the batch then */
void sample_free(struct sample *s);
void *output_at(const struct sample *s, int who, enum output output);

/* What the check finds in one operation. The rows come in two slices if there are two. */
struct fuseln_check_result sample_check(const struct sample *s, enum fuseln_op op);
/* Before APPLY, after FORWARD: the original of APPLY gets the statistics of ours, and so writes the y of ours. */
void original_apply(struct sample *s);
double wrong(const struct fuseln_check_result *found);
void fail_check(const struct sample *s, const char *name, enum fuseln_op op, const struct fuseln_check_result *found);

static const enum fuseln_op ops[] = {FUSELN_OP_FORWARD, FUSELN_OP_MOMENTS, FUSELN_OP_APPLY, FUSELN_OP_DX,
                                     FUSELN_OP_DGAMMA};
enum { OPS = sizeof ops / sizeof *ops };

#endif
