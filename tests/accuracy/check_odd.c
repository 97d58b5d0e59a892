/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the check makes of rows with Inf, NaN and numbers that float sums cannot hold, as float16 training has them
 * daily. Ours and PyTorch's algorithm differ there and neither is wrong; and what is wrong beside them is still found.
 */
#include <math.h>

#include "check_run.h"

enum { ROWS = 12 };

/* A place of row r. */
static int64_t place(const struct batch *b, int64_t r)
{
    return r * b->cols + (r * 37 + 5) % b->cols;
}
static bool is_odd(int64_t r)
{
    return r % 3 == 1;
}

static void put_all(struct batch *b, double *tensor, double first, double second)
{
    for (int64_t r = 0; r < b->rows; r++) {
        if (!is_odd(r))
            continue;
        tensor[place(b, r)] = first;
        if (second != 0)
            tensor[r * b->cols + (place(b, r) + b->cols / 3) % b->cols] = second;
    }
}
static void scale_all(struct batch *b, double *tensor, double by)
{
    for (int64_t i = 0; i < b->rows * b->cols; i++)
        if (is_odd(i / b->cols))
            tensor[i] = round_to(b->dtype, tensor[i] * by);
}
static void set_all(struct batch *b, double value)
{
    for (int64_t i = 0; i < b->rows * b->cols; i++)
        if (is_odd(i / b->cols))
            b->x[i] = round_to(b->dtype, value);
}

static void x_inf(struct batch *b)
{
    put_all(b, b->x, INFINITY, 0);
}
static void x_both_infs(struct batch *b)
{
    put_all(b, b->x, -INFINITY, INFINITY);
}
static void x_nan(struct batch *b)
{
    put_all(b, b->x, NAN, 0);
}
static void dy_inf(struct batch *b)
{
    put_all(b, b->dy, -INFINITY, 0);
}
static void dy_both_infs(struct batch *b)
{
    put_all(b, b->dy, INFINITY, -INFINITY);
}
static void dy_nan(struct batch *b)
{
    put_all(b, b->dy, NAN, 0);
}
static void dy_inf_beside_large(struct batch *b)
{
    scale_all(b, b->dy, 0x1p126);
    put_all(b, b->dy, INFINITY, 0);
}
static void gamma_nan(struct batch *b)
{
    b->gamma[b->cols / 2] = NAN;
}
static void gamma_inf(struct batch *b)
{
    b->gamma[b->cols / 2] = INFINITY;
    for (int64_t r = 0; r < b->rows; r++) /* and an xhat of zero, or nearly */
        b->x[r * b->cols + b->cols / 2] = 0;
}
static void beta_inf(struct batch *b)
{
    b->beta[b->cols / 3] = -INFINITY;
    b->gamma[b->cols / 2] = INFINITY, b->beta[b->cols / 2] = INFINITY;
}
static void y_too_large(struct batch *b)
{
    for (int64_t c = 0; c < b->cols; c++)
        b->gamma[c] = round_to(b->dtype, b->gamma[c] * (c % 2 ? 6e4 : 2e38));
}
static void squares_too_large(struct batch *b)
{
    scale_all(b, b->x, 0x1.8p59); /* their sum, not one of them */
}
static void far_too_large(struct batch *b)
{
    scale_all(b, b->x, 0x1p120);
}
static void dy_too_large(struct batch *b)
{
    scale_all(b, b->dy, 0x1p124);
}
static void x_denormal(struct batch *b)
{
    scale_all(b, b->x, b->dtype == FUSELN_DTYPE_F16 ? 0x1p-22 : 0x1p-140);
}
static void x_denormal_without_eps(struct batch *b)
{
    x_denormal(b);
    b->eps = 0;
}
static void squares_vanish(struct batch *b)
{
    scale_all(b, b->x, 0x1p-70);
    b->eps = 0;
}
static void dy_denormal(struct batch *b)
{
    scale_all(b, b->x, 0x1p-10);
    scale_all(b, b->dy, b->dtype == FUSELN_DTYPE_F16 ? 0x1p-22 : 0x1p-142);
}
static void x_zero(struct batch *b)
{
    set_all(b, 0);
    b->eps = 0;
}
static void x_constant(struct batch *b)
{
    set_all(b, 0.7);
    b->eps = 0;
}

static const struct {
    const char *name;
    void (*make)(struct batch *b);
} kinds[] = {{"Inf in X", x_inf},
             {"-Inf and Inf in X", x_both_infs},
             {"NaN in X", x_nan},
             {"Inf in dY", dy_inf},
             {"Inf and -Inf in dY", dy_both_infs},
             {"NaN in dY", dy_nan},
             {"Inf beside what is large in dY", dy_inf_beside_large},
             {"NaN in gamma", gamma_nan},
             {"Inf in gamma", gamma_inf},
             {"Inf in beta", beta_inf},
             {"y too large", y_too_large},
             {"squares too large", squares_too_large},
             {"X far too large", far_too_large},
             {"dY too large", dy_too_large},
             {"X denormal", x_denormal},
             {"X denormal, eps 0", x_denormal_without_eps},
             {"squares vanish, eps 0", squares_vanish},
             {"dY denormal", dy_denormal},
             {"rows of zeros, eps 0", x_zero},
             {"constant rows, eps 0", x_constant}};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct sample {
    struct batch b;
    struct truth truth;
    struct inputs in;
    struct outputs out;
};

static struct sample sample_make(enum fuseln_dtype dtype, int64_t cols, void (*make)(struct batch *b))
{
    struct sample s = {.b = batch_make(dtype, NORMAL, ROWS, cols)};
    make(&s.b);
    s.truth = truth_make(&s.b);
    return s;
}

static void sample_free(struct sample *s)
{
    all_free(&s->in, &s->out);
    truth_free(&s->truth);
    batch_free(&s->b);
}

/* Once the sample stays where it is. */
static void run_both(struct sample *s)
{
    s->in = inputs_make(&s->b);
    outputs_make(&s->b, &s->truth, &s->out);
}

static void check_one(struct sample *s, enum fuseln_op op, const char *name)
{
    const struct fuseln_check_result found = compare(&s->in, &s->out, op);
    const double *field = found.field;
    if (wrong(&found) != 0)
        fail_msg("%s, %s of %d columns, %s: outside %g and %g, NaN %g, first %g", name, fuseln_dtype_name(s->b.dtype),
                 (int)s->b.cols, fuseln_op_name(op), field[FUSELN_CHECK_OUTSIDE_OURS],
                 field[FUSELN_CHECK_OUTSIDE_THEIRS], field[FUSELN_CHECK_NAN], -field[FUSELN_CHECK_FIRST]);
}

static void check_all(struct sample *s, const char *name)
{
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (ops[i] != FUSELN_OP_APPLY)
            check_one(s, ops[i], name);
    apply_make(&s->in, &s->out); /* the last, as the backward got other statistics */
    check_one(s, FUSELN_OP_APPLY, name);
}

void odd_rows_make_no_kernel_wrong(void **state)
{
    (void)state;
    static const int64_t widths[] = {64, 77, 768, 1500};
    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int w = 0; w < 2; w++) {
                struct sample s =
                    sample_make((enum fuseln_dtype)dtype, widths[(kind + 2 * w + dtype) % 4], kinds[kind].make);
                run_both(&s);
                check_all(&s, kinds[kind].name);
                sample_free(&s);
            }
}

static void every_row_inf(struct batch *b)
{
    for (int64_t r = 0; r < b->rows; r++)
        b->x[place(b, r)] = INFINITY;
}

/* Without one row that can be judged by value there are no elements, though dbeta has them. */
void nothing_is_proved_by_odd_rows_alone(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++) {
        struct sample s = sample_make((enum fuseln_dtype)dtype, 768, every_row_inf);
        run_both(&s);
        for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
            const struct fuseln_check_result found = compare(&s.in, &s.out, ops[i]);
            assert_true(ops[i] == FUSELN_OP_APPLY || found.field[FUSELN_CHECK_ELEMENTS] == 0);
            assert_true(ops[i] == FUSELN_OP_APPLY || wrong(&found) == 0);
        }
        sample_free(&s);
    }
}

/* ---- planted mistakes ---- */

static void mistake(struct sample *s, int who, enum output output, int64_t index, double value)
{
    put(at(&s->out, who, output), output_dtype(s->b.dtype, output), index, value);
}

/* Every mistake alone: `value` for what stands at an index, of y, dx, dgamma or the statistics. */
static const struct {
    const char *name;
    void (*make)(struct batch *b);
    enum fuseln_op op;
    enum output output;
    int64_t row, col; /* col -1: the place of the row's Inf */
    double value;
    int who;
} mistakes[] = {
    {"a finite row wrong beside Inf", x_inf, FUSELN_OP_FORWARD, Y, 2, 9, 1e3, OURS},
    {"its mean", x_inf, FUSELN_OP_MOMENTS, MEAN, 2, 0, 1, OURS},
    {"its dX", x_inf, FUSELN_OP_DX, DX, 3, 11, 1e3, OURS},
    {"NaN in a finite row", x_inf, FUSELN_OP_FORWARD, Y, 0, 3, NAN, OURS},
    {"NaN in a finite row of dX", dy_nan, FUSELN_OP_DX, DX, 0, 3, NAN, OURS},
    {"NaN for a finite rstd", x_both_infs, FUSELN_OP_MOMENTS, RSTD, 0, 0, NAN, OURS},
    {"a finite y in the row of an Inf", x_inf, FUSELN_OP_FORWARD, Y, 1, 7, 0, OURS},
    {"the same of the original", x_inf, FUSELN_OP_FORWARD, Y, 1, 7, 0, THEIRS},
    {"a finite mean there", x_both_infs, FUSELN_OP_MOMENTS, MEAN, 4, 0, 1, OURS},
    {"a finite rstd there", x_nan, FUSELN_OP_MOMENTS, RSTD, 4, 0, 1, OURS},
    {"a finite dX where dY has an Inf", dy_inf, FUSELN_OP_DX, DX, 1, 2, 0, OURS},
    {"the same at the Inf", dy_both_infs, FUSELN_OP_DX, DX, 1, -1, 1, OURS},
    {"a finite dgamma where X has NaN", x_nan, FUSELN_OP_DGAMMA, DGAMMA, 0, 5, 1, OURS},
    {"a finite dbeta where dY has NaN", dy_nan, FUSELN_OP_DGAMMA, DBETA, 0, 42, 1, OURS},
    {"a wrong dbeta beside a NaN", x_nan, FUSELN_OP_DGAMMA, DBETA, 0, 5, 1e3, OURS},
    {"NaN for a finite dbeta", x_nan, FUSELN_OP_DGAMMA, DBETA, 0, 5, NAN, OURS},
    {"NaN for an Inf of beta", beta_inf, FUSELN_OP_FORWARD, Y, 3, 256, NAN, OURS},
    {"Inf for its -Inf", beta_inf, FUSELN_OP_FORWARD, Y, 3, 256, INFINITY, OURS},
    {"a finite y where gamma is NaN", gamma_nan, FUSELN_OP_FORWARD, Y, 2, 384, 1, OURS},
    {"NaN in a row of denormals", x_denormal, FUSELN_OP_FORWARD, Y, 1, 3, NAN, OURS},
    {"a wrong row beside squares too large", squares_too_large, FUSELN_OP_FORWARD, Y, 0, 3, 1e3, OURS},
};

void a_mistake_beside_odd_rows_is_found(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++)
        for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
            struct sample s = sample_make((enum fuseln_dtype)dtype, 768, mistakes[i].make);
            run_both(&s);
            const bool statistic = mistakes[i].output == MEAN || mistakes[i].output == RSTD;
            const int64_t index = statistic               ? mistakes[i].row
                                  : mistakes[i].col == -1 ? place(&s.b, mistakes[i].row)
                                                          : mistakes[i].row * s.b.cols + mistakes[i].col;
            mistake(&s, mistakes[i].who, mistakes[i].output, index, mistakes[i].value);
            const struct fuseln_check_result found = compare(&s.in, &s.out, mistakes[i].op);
            const double first = -found.field[FUSELN_CHECK_FIRST];
            if (wrong(&found) == 0 || (int64_t)first / s.b.cols != mistakes[i].row ||
                (mistakes[i].who == OURS) != (found.field[FUSELN_CHECK_OUTSIDE_THEIRS] == 0))
                fail_msg("%s (%s): outside %g and %g, NaN %g, first %g", mistakes[i].name,
                         fuseln_dtype_name((enum fuseln_dtype)dtype), found.field[FUSELN_CHECK_OUTSIDE_OURS],
                         found.field[FUSELN_CHECK_OUTSIDE_THEIRS], found.field[FUSELN_CHECK_NAN], first);
            sample_free(&s);
        }
}
