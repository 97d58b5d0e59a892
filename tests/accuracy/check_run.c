/* SPDX-License-Identifier: Apache-2.0 */
/* See check_run.h. */
#include "check_run.h"

enum { WARPS = FUSELN_CHECK_THREADS / 32 };

void *output_at(const struct sample *s, int who, enum output output)
{
    return s->outputs[who][output].at;
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

struct fuseln_check_result sample_check(const struct sample *s, enum fuseln_op op)
{
    const struct batch *b = &s->b;
    const size_t row = (size_t)b->cols * fuseln_dtype_bytes(b->dtype), acc = fuseln_acc_bytes(b->dtype);
    static double records[64 * WARPS * FUSELN_CHECK_FIELDS];
    static struct fuseln_check_result result;
    static unsigned long long ticket;
    const bool columns = op == FUSELN_OP_DGAMMA, statistics = op == FUSELN_OP_FORWARD || op == FUSELN_OP_MOMENTS;
    const struct tensor *of = s->outputs[op == FUSELN_OP_APPLY ? OURS : THEIRS];
    const bool backward = op == FUSELN_OP_DX || columns;
    char *mean = backward ? s->mean.at : of[MEAN].at, *rstd = backward ? s->rstd.at : of[RSTD].at;
    const unsigned grid = columns ? (unsigned)(b->cols + 31) / 32 % 60 + 1 : (unsigned)(b->rows + WARPS - 1) / WARPS;
    struct fuseln_check_params p = {.records = records,
                                    .record_count = (int)grid * WARPS,
                                    .result = &result,
                                    .ticket = ++ticket,
                                    .chain = (double)b->rows / 32 + 64,
                                    .one_pass = s->one_pass,
                                    .round_affine = s->round_affine,
                                    .dtype = (int)b->dtype,
                                    .gradient_dtype = (int)b->dtype};
    memset(records, 0xff, sizeof records);
    const int64_t half = columns ? b->rows : (b->rows + 1) / 2;
    for (int64_t first = 0; first < b->rows; first += half) {
        const size_t r = (size_t)first;
        p.host = (struct fuseln_ln_params){
            .rows = first + half < b->rows ? half : b->rows - first,
            .cols = b->cols,
            .eps = b->eps,
            .x = s->x.at + r * row,
            .dy = s->dy.at + r * row,
            .gamma = s->gamma.at,
            .beta = s->beta.at,
            .mean = s->bare ? NULL : mean + r * acc,
            .rstd = s->bare ? NULL : rstd + r * acc,
            .y = op == FUSELN_OP_FORWARD || op == FUSELN_OP_APPLY ? (char *)output_at(s, THEIRS, Y) + r * row : NULL,
            .dx = op == FUSELN_OP_DX ? (char *)output_at(s, THEIRS, DX) + r * row : NULL,
            .dgamma = columns ? output_at(s, THEIRS, DGAMMA) : NULL,
            .dbeta = columns ? output_at(s, THEIRS, DBETA) : NULL,
            .out_rows = 1};
        p.out =
            columns ? output_at(s, OURS, DGAMMA) : (char *)output_at(s, OURS, op == FUSELN_OP_DX ? DX : Y) + r * row;
        p.dbeta = output_at(s, OURS, DBETA);
        p.mean = statistics ? (char *)output_at(s, OURS, MEAN) + r * acc : NULL;
        p.rstd = statistics ? (char *)output_at(s, OURS, RSTD) + r * acc : NULL;
        p.first_row = first;
        p.more = first > 0;
        kernel(columns ? "columns" : "rows", columns ? run_fuseln_check_columns : run_fuseln_check_rows, grid,
               FUSELN_CHECK_THREADS, &p);
    }
    kernel("sum", run_fuseln_check_sum, 1, 32, &p);
    assert_true(result.ticket == p.ticket);
    return result;
}

void original_apply(struct sample *s)
{
    memcpy(output_at(s, THEIRS, Y), output_at(s, OURS, Y), s->outputs[OURS][Y].bytes);
}

double wrong(const struct fuseln_check_result *found)
{
    return found->field[FUSELN_CHECK_OUTSIDE_OURS] + found->field[FUSELN_CHECK_OUTSIDE_THEIRS] +
           found->field[FUSELN_CHECK_NAN];
}

void fail_check(const struct sample *s, const char *name, enum fuseln_op op, const struct fuseln_check_result *found)
{
    const double *field = found->field;
    fail_msg("%s: %s %s, %ld x %ld: outside %g and %g, NaN %g, first %g, %g and %g ulp", name, fuseln_op_name(op),
             fuseln_dtype_name(s->b.dtype), (long)s->b.rows, (long)s->b.cols, field[FUSELN_CHECK_OUTSIDE_OURS],
             field[FUSELN_CHECK_OUTSIDE_THEIRS], field[FUSELN_CHECK_NAN], -field[FUSELN_CHECK_FIRST],
             field[FUSELN_CHECK_MAX_OURS], field[FUSELN_CHECK_MAX_THEIRS]);
}

static void run_algorithm(const struct algorithm *algorithm, struct sample *s, int who)
{
    struct result result;
    for (enum output o = 0; o < OUTPUT_COUNT; o++)
        result.of[o] = doubles(output_count(&s->b, o));
    algorithm->forward(&s->b, &result);
    algorithm->backward(&s->b, &result);
    for (enum output o = 0; o < OUTPUT_COUNT; o++) {
        s->outputs[who][o] = tensor_of(output_dtype(s->b.dtype, o), result.of[o], output_count(&s->b, o));
        free(result.of[o]);
    }
}

struct sample sample_make(struct batch b)
{
    struct sample s = {.b = b};
    const enum fuseln_dtype acc = acc_dtype(b.dtype);
    s.truth = truth_make(&s.b); /* sets mean and rstd */
    s.x = tensor_of(b.dtype, b.x, b.rows * b.cols);
    s.dy = tensor_of(b.dtype, b.dy, b.rows * b.cols);
    s.gamma = tensor_of(b.dtype, b.gamma, b.cols);
    s.beta = tensor_of(b.dtype, b.beta, b.cols);
    s.mean = tensor_of(acc, b.mean, b.rows);
    s.rstd = tensor_of(acc, b.rstd, b.rows);
    run_algorithm(&algorithm_ours, &s, OURS);
    if (b.dtype != FUSELN_DTYPE_F64)
        run_algorithm(&algorithm_pytorch, &s, THEIRS);
    for (enum output o = 0; o < OUTPUT_COUNT && b.dtype == FUSELN_DTYPE_F64; o++)
        s.outputs[THEIRS][o] = tensor_of(b.dtype, s.truth.want[o], output_count(&b, o));
    return s;
}

void sample_free(struct sample *s)
{
    struct tensor *inputs[] = {&s->x, &s->dy, &s->gamma, &s->beta, &s->mean, &s->rstd};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        tensor_free(inputs[i]);
    for (int who = 0; who < 2; who++)
        for (int o = 0; o < OUTPUT_COUNT; o++)
            tensor_free(&s->outputs[who][o]);
    truth_free(&s->truth);
    batch_free(&s->b);
}
