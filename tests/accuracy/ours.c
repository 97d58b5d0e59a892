/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our kernels, compiled from kernels/ for the CPU and run on the executor of tests/softgpu, planned by
 * fuseln_plan_make as a launch of the library is. Where PyTorch's forward has two launches, so has ours.
 */
#include "kernels/host/device.h"
#include "accuracy.h"

#include "../kernels/layer.h"

/* layer.h plans for a small device. The partial sums of dgamma depend on the device, and this is one that users have.
 */
static void run_as_on_h100(const struct fuseln_call *call)
{
    device = (struct fuseln_device){.cc_major = 9, .sm_count = 132, .smem_optin_bytes = 232448};
    run(call);
}

static void tensor_take(struct tensor *t, enum fuseln_dtype dtype, double *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = get(t->at, dtype, i);
    tensor_free(t);
}

static void forward(const struct batch *b, struct result *out)
{
    const int64_t size = b->rows * b->cols;
    const enum fuseln_dtype acc = acc_dtype(b->dtype);
    struct tensor x = tensor_of(b->dtype, b->x, size), y = tensor_of(b->dtype, out->of[Y], size);
    struct tensor gamma = tensor_of(b->dtype, b->gamma, b->cols), beta = tensor_of(b->dtype, b->beta, b->cols);
    struct tensor mean = tensor_of(acc, out->of[MEAN], b->rows), rstd = tensor_of(acc, out->of[RSTD], b->rows);
    const bool two = b->cols % 4 != 0 || b->dtype == FUSELN_DTYPE_F64;
    struct fuseln_call call = {.op = two ? FUSELN_OP_MOMENTS : FUSELN_OP_FORWARD,
                               .dtype = b->dtype,
                               .rows = b->rows,
                               .cols = b->cols,
                               .eps = b->eps,
                               .x = x.at,
                               .gamma = gamma.at,
                               .beta = beta.at,
                               .mean = mean.at,
                               .rstd = rstd.at,
                               .y = two ? NULL : y.at};
    run_as_on_h100(&call);
    if (two) {
        call.op = FUSELN_OP_APPLY;
        call.y = y.at;
        run_as_on_h100(&call);
    }
    tensor_take(&y, b->dtype, out->of[Y], size);
    tensor_take(&mean, acc, out->of[MEAN], b->rows);
    tensor_take(&rstd, acc, out->of[RSTD], b->rows);
    tensor_free(&x), tensor_free(&gamma), tensor_free(&beta);
}

static void backward(const struct batch *b, struct result *out)
{
    const int64_t size = b->rows * b->cols;
    const enum fuseln_dtype acc = acc_dtype(b->dtype);
    struct tensor x = tensor_of(b->dtype, b->x, size), dy = tensor_of(b->dtype, b->dy, size);
    struct tensor gamma = tensor_of(b->dtype, b->gamma, b->cols), dx = tensor_of(b->dtype, out->of[DX], size);
    struct tensor mean = tensor_of(acc, b->mean, b->rows), rstd = tensor_of(acc, b->rstd, b->rows);
    struct tensor dgamma = tensor_of(b->dtype, out->of[DGAMMA], b->cols);
    struct tensor dbeta = tensor_of(b->dtype, out->of[DBETA], b->cols);
    struct fuseln_call call = {.op = FUSELN_OP_DX,
                               .dtype = b->dtype,
                               .rows = b->rows,
                               .cols = b->cols,
                               .eps = b->eps,
                               .x = x.at,
                               .dy = dy.at,
                               .gamma = gamma.at,
                               .mean = mean.at,
                               .rstd = rstd.at,
                               .dx = dx.at,
                               .dgamma = dgamma.at,
                               .dbeta = dbeta.at,
                               .out_rows = 1};
    run_as_on_h100(&call);
    call.op = FUSELN_OP_DGAMMA;
    run_as_on_h100(&call);
    tensor_take(&dx, b->dtype, out->of[DX], size);
    tensor_take(&dgamma, b->dtype, out->of[DGAMMA], b->cols);
    tensor_take(&dbeta, b->dtype, out->of[DBETA], b->cols);
    tensor_free(&x), tensor_free(&dy), tensor_free(&gamma), tensor_free(&mean), tensor_free(&rstd);
}

const struct algorithm algorithm_ours = {"ours", forward, backward};
