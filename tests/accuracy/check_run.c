/* SPDX-License-Identifier: Apache-2.0 */
/* See check_run.h. */
#include "check_run.h"

enum { WARPS = FUSELN_CHECK_THREADS / 32 };

static struct tensor tensor_of(enum fuseln_dtype dtype, const double *values, int64_t count)
{
    struct tensor t = tensor_make((size_t)count * fuseln_dtype_bytes(dtype), 0);
    for (int64_t i = 0; i < count; i++)
        put(t.at, dtype, i, values[i]);
    return t;
}

void *at(struct outputs *outputs, int who, enum output output)
{
    return outputs->of[who][output].at;
}

static void kernel(const char *name, void (*body)(const void *), unsigned grid, unsigned block,
                   const struct fuseln_check_params *params)
{
    const struct softgpu_grid launch = {.kernel = name, .grid_dim = {grid, 1, 1}, .block_dim = {block, 1, 1}};
    const char *error = softgpu_execute(&launch, body, params);
    if (error)
        fail_msg("%s", error);
}

#define BODY(name)                                    \
    void name(struct fuseln_check_params p);          \
    static void run_##name(const void *p)             \
    {                                                 \
        name(*(const struct fuseln_check_params *)p); \
    }
BODY(fuseln_check_rows)
BODY(fuseln_check_columns)
BODY(fuseln_check_sum)

struct fuseln_check_result compare(const struct inputs *in, struct outputs *out, enum fuseln_op op)
{
    const struct batch *b = in->batch;
    const size_t row = (size_t)b->cols * fuseln_dtype_bytes(b->dtype), acc = fuseln_acc_bytes(b->dtype);
    static double records[64 * WARPS * FUSELN_CHECK_FIELDS];
    static struct fuseln_check_result result;
    static unsigned long long ticket;
    const bool columns = op == FUSELN_OP_DGAMMA, statistics = op == FUSELN_OP_FORWARD || op == FUSELN_OP_MOMENTS;
    const unsigned grid = columns ? (unsigned)(b->cols + 31) / 32 % 60 + 1 : (unsigned)(b->rows + WARPS - 1) / WARPS;
    struct fuseln_check_params p = {.records = records,
                                    .record_count = (int)grid * WARPS,
                                    .result = &result,
                                    .ticket = ++ticket,
                                    .chain = (double)b->rows / 32 + 64,
                                    .dtype = (int)b->dtype};
    memset(records, 0xff, sizeof records);
    const int64_t half = columns ? b->rows : (b->rows + 1) / 2;
    for (int64_t first = 0; first < b->rows; first += half) {
        const size_t r = (size_t)first;
        p.host = (struct fuseln_ln_params){
            .rows = first + half < b->rows ? half : b->rows - first,
            .cols = b->cols,
            .eps = b->eps,
            .x = in->x.at + r * row,
            .dy = in->dy.at + r * row,
            .gamma = in->gamma.at,
            .beta = in->beta.at,
            .mean = statistics ? (char *)at(out, THEIRS, MEAN) + r * acc : in->mean.at + r * acc,
            .rstd = statistics ? (char *)at(out, THEIRS, RSTD) + r * acc : in->rstd.at + r * acc,
            .y = op == FUSELN_OP_FORWARD || op == FUSELN_OP_APPLY ? (char *)at(out, THEIRS, Y) + r * row : NULL,
            .dx = op == FUSELN_OP_DX ? (char *)at(out, THEIRS, DX) + r * row : NULL,
            .dgamma = columns ? at(out, THEIRS, DGAMMA) : NULL,
            .dbeta = columns ? at(out, THEIRS, DBETA) : NULL,
            .out_rows = 1};
        p.out = columns ? at(out, OURS, DGAMMA) : (char *)at(out, OURS, op == FUSELN_OP_DX ? DX : Y) + r * row;
        p.dbeta = at(out, OURS, DBETA);
        p.mean = statistics ? (char *)at(out, OURS, MEAN) + r * acc : NULL;
        p.rstd = statistics ? (char *)at(out, OURS, RSTD) + r * acc : NULL;
        p.first_row = first;
        p.more = first > 0;
        kernel(columns ? "columns" : "rows", columns ? run_fuseln_check_columns : run_fuseln_check_rows, grid,
               FUSELN_CHECK_THREADS, &p);
    }
    kernel("sum", run_fuseln_check_sum, 1, 32, &p);
    assert_true(result.ticket == p.ticket);
    return result;
}

void outputs_make(const struct batch *b, const struct truth *truth, struct outputs *out)
{
    struct result ours, theirs;
    for (int o = 0; o < OUTPUT_COUNT; o++) {
        ours.of[o] = doubles(output_count(b, (enum output)o));
        theirs.of[o] = doubles(output_count(b, (enum output)o));
    }
    algorithm_ours.forward(b, &ours);
    algorithm_ours.backward(b, &ours);
    if (b->dtype != FUSELN_DTYPE_F64) {
        algorithm_pytorch.forward(b, &theirs);
        algorithm_pytorch.backward(b, &theirs);
    }
    for (int o = 0; o < OUTPUT_COUNT; o++) {
        const enum fuseln_dtype dtype = output_dtype(b->dtype, (enum output)o);
        const int64_t count = output_count(b, (enum output)o);
        out->of[OURS][o] = tensor_of(dtype, ours.of[o], count);
        out->of[THEIRS][o] = tensor_of(dtype, b->dtype == FUSELN_DTYPE_F64 ? truth->want[o] : theirs.of[o], count);
        free(ours.of[o]);
        free(theirs.of[o]);
    }
}

struct inputs inputs_make(const struct batch *b)
{
    const enum fuseln_dtype acc = acc_dtype(b->dtype);
    return (struct inputs){.x = tensor_of(b->dtype, b->x, b->rows * b->cols),
                           .dy = tensor_of(b->dtype, b->dy, b->rows * b->cols),
                           .gamma = tensor_of(b->dtype, b->gamma, b->cols),
                           .beta = tensor_of(b->dtype, b->beta, b->cols),
                           .mean = tensor_of(acc, b->mean, b->rows),
                           .rstd = tensor_of(acc, b->rstd, b->rows),
                           .batch = b};
}

void all_free(struct inputs *in, struct outputs *out)
{
    struct tensor *inputs[] = {&in->x, &in->dy, &in->gamma, &in->beta, &in->mean, &in->rstd};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        tensor_free(inputs[i]);
    for (int who = 0; who < 2; who++)
        for (int o = 0; o < OUTPUT_COUNT; o++)
            tensor_free(&out->of[who][o]);
}

double wrong(const struct fuseln_check_result *found)
{
    return found->field[FUSELN_CHECK_OUTSIDE_OURS] + found->field[FUSELN_CHECK_OUTSIDE_THEIRS] +
           found->field[FUSELN_CHECK_NAN];
}

void apply_make(struct inputs *in, struct outputs *out)
{
    memcpy(in->mean.at, at(out, OURS, MEAN), in->mean.bytes);
    memcpy(in->rstd.at, at(out, OURS, RSTD), in->rstd.bytes);
    memcpy(at(out, THEIRS, Y), at(out, OURS, Y), out->of[OURS][Y].bytes);
}
