/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our kernels, compiled from kernels/ for the CPU and run on the executor of tests/softgpu, planned by
 * fuseln_plan_make as a launch of the library is. Where PyTorch's forward has two launches, so has ours.
 */
#include "kernels/host/device.h"
#include "accuracy.h"

#include "../kernels/layer.h"

/* A layer with the batch's values. layer.h plans for a small device; the partial sums of dgamma depend on the device,
 * and this is one that users have. */
static struct layer layer_of(const struct batch *b)
{
    const int64_t size = b->rows * b->cols;
    const enum fuseln_dtype acc = acc_dtype(b->dtype);
    struct layer l = layer_make(b->dtype, b->rows, b->cols, 0, false, true);
    const struct {
        const struct tensor *to;
        enum fuseln_dtype dtype;
        const double *from;
        int64_t count;
    } inputs[] = {{&l.x, b->dtype, b->x, size},
                  {&l.dy, b->dtype, b->dy, size},
                  {&l.gamma, b->dtype, b->gamma, b->cols},
                  {&l.beta, b->dtype, b->beta, b->cols},
                  {&l.mean, acc, b->mean, b->rows},
                  {&l.rstd, acc, b->rstd, b->rows}};
    for (size_t t = 0; t < sizeof inputs / sizeof inputs[0]; t++)
        for (int64_t i = 0; i < inputs[t].count; i++)
            put(inputs[t].to->at, inputs[t].dtype, i, inputs[t].from[i]);
    l.call.eps = b->eps;
    l.call.out_rows = 1;
    device = (struct fuseln_device){.cc_major = 9, .sm_count = 132, .smem_optin_bytes = 232448};
    return l;
}

static void take(const struct tensor *t, const struct batch *b, enum output output, struct result *out)
{
    for (int64_t i = 0; i < output_count(b, output); i++)
        out->of[output][i] = get(t->at, output_dtype(b->dtype, output), i);
}

static void forward(const struct batch *b, struct result *out)
{
    struct layer l = layer_of(b);
    if (b->cols % 4 != 0 || b->dtype == FUSELN_DTYPE_F64) {
        run_op(&l, FUSELN_OP_MOMENTS);
        run_op(&l, FUSELN_OP_APPLY);
    } else {
        run_op(&l, FUSELN_OP_FORWARD);
    }
    take(&l.y, b, Y, out), take(&l.mean, b, MEAN, out), take(&l.rstd, b, RSTD, out);
    layer_free(&l);
}

static void backward(const struct batch *b, struct result *out)
{
    struct layer l = layer_of(b);
    run_op(&l, FUSELN_OP_DX);
    run_op(&l, FUSELN_OP_DGAMMA);
    take(&l.dx, b, DX, out), take(&l.dgamma, b, DGAMMA, out), take(&l.dbeta, b, DBETA, out);
    layer_free(&l);
}

const struct algorithm algorithm_ours = {"ours", forward, backward};
