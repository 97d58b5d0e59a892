/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check on odd rows: rows with Inf, NaN and numbers that float sums cannot hold, which float16 training meets
 * daily. Ours and PyTorch's algorithm differ there and neither is wrong; a mistake beside them must still be found.
 */
#include <math.h>

#include "check_run.h"

enum { ROWS = 12 };

/* The element of row r that is replaced first. */
static int64_t element_of(const struct batch *b, int64_t r)
{
    return r * b->cols + (r * 37 + 5) % b->cols;
}
static bool is_odd(int64_t r)
{
    return r % 3 == 1;
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
static void x_is(struct batch *b, double value)
{
    for (int64_t i = 0; i < b->rows * b->cols; i++)
        if (is_odd(i / b->cols))
            b->x[i] = round_to(b->dtype, value);
}
static void x_zero(struct batch *b)
{
    x_is(b, 0);
}
static void x_constant(struct batch *b)
{
    x_is(b, 0.7);
}
static void every_row_inf(struct batch *b)
{
    for (int64_t r = 0; r < b->rows; r++)
        b->x[element_of(b, r)] = INFINITY;
}

enum { X_INF, X_BOTH_INFS, X_NAN, DY_INF, DY_BOTH_INFS, DY_NAN, GAMMA_NAN, BETA_INF, SQUARES_TOO_LARGE, X_DENORMAL };
/* What is done to the odd rows: they are scaled, then one or two elements replaced; `make` does whatever else. 0: not.
 */
static const struct kind {
    const char *name;
    double scale_x, scale_dy, x[2], dy[2];
    bool no_eps;
    void (*make)(struct batch *b);
} kinds[] = {[X_INF] = {"Inf in X", .x = {INFINITY}},
             [X_BOTH_INFS] = {"-Inf and Inf in X", .x = {-INFINITY, INFINITY}},
             [X_NAN] = {"NaN in X", .x = {NAN}},
             [DY_INF] = {"Inf in dY", .dy = {-INFINITY}},
             [DY_BOTH_INFS] = {"Inf and -Inf in dY", .dy = {INFINITY, -INFINITY}},
             [DY_NAN] = {"NaN in dY", .dy = {NAN}},
             [GAMMA_NAN] = {"NaN in gamma", .make = gamma_nan},
             [BETA_INF] = {"Inf in beta", .make = beta_inf},
             [SQUARES_TOO_LARGE] = {"squares too large", .scale_x = 0x1.8p59}, /* their sum, not one of them */
             [X_DENORMAL] = {"X denormal", .scale_x = 0x1p-140},
             {"Inf beside large dY", .scale_dy = 0x1p126, .dy = {INFINITY}},
             {"Inf in gamma", .make = gamma_inf},
             {"y too large", .make = y_too_large},
             {"X far too large", .scale_x = 0x1p120},
             {"dY too large", .scale_dy = 0x1p124},
             {"X denormal, eps 0", .scale_x = 0x1p-140, .no_eps = true},
             {"squares vanish, eps 0", .scale_x = 0x1p-70, .no_eps = true},
             {"dY denormal", .scale_x = 0x1p-10, .scale_dy = 0x1p-142},
             {"rows of zeros, eps 0", .no_eps = true, .make = x_zero},
             {"constant rows, eps 0", .no_eps = true, .make = x_constant}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void change(struct batch *b, double *tensor, double scale, const double replaced[2])
{
    if (b->dtype == FUSELN_DTYPE_F16 && scale != 0 && scale < 0x1p-100)
        scale = 0x1p-22; /* its denormals */
    for (int64_t r = 0; r < b->rows; r++) {
        const int64_t first = element_of(b, r), second = r * b->cols + (first + b->cols / 3) % b->cols;
        for (int64_t c = 0; c < b->cols && is_odd(r) && scale != 0; c++)
            tensor[r * b->cols + c] = round_to(b->dtype, tensor[r * b->cols + c] * scale);
        if (is_odd(r) && replaced[0] != 0)
            tensor[first] = replaced[0];
        if (is_odd(r) && replaced[1] != 0)
            tensor[second] = replaced[1];
    }
}

static struct sample odd_sample(enum fuseln_dtype dtype, int64_t cols, const struct kind *kind)
{
    struct batch b = batch_make(dtype, NORMAL, ROWS, cols);
    change(&b, b.x, kind->scale_x, kind->x);
    change(&b, b.dy, kind->scale_dy, kind->dy);
    if (kind->make)
        kind->make(&b);
    if (kind->no_eps)
        b.eps = 0;
    return sample_make(b);
}

TEST(odd_rows_make_no_kernel_wrong)
{
    static const int64_t widths[] = {64, 77, 768, 1500};
    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int w = 0; w < 2; w++) {
                struct sample s =
                    odd_sample((enum fuseln_dtype)dtype, widths[(kind + 2 * w + dtype) % 4], &kinds[kind]);
                for (int i = 0; i < OPS; i++) {
                    if (ops[i] == FUSELN_OP_APPLY)
                        original_apply(&s);
                    const struct fuseln_check_result found = sample_check(&s, ops[i]);
                    if (wrong(&found) != 0)
                        fail_check(&s, kinds[kind].name, ops[i], &found);
                }
                sample_free(&s);
            }
}

/* Without a row that can be checked by value there are no elements, although dbeta has some. */
TEST(odd_rows_alone_prove_nothing)
{
    static const struct kind every_row = {"every row", .make = every_row_inf};
    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++) {
        struct sample s = odd_sample((enum fuseln_dtype)dtype, 768, &every_row);
        for (int i = 0; i < OPS; i++) {
            const struct fuseln_check_result found = sample_check(&s, ops[i]);
            assert_true(ops[i] == FUSELN_OP_APPLY || found.field[FUSELN_CHECK_ELEMENTS] == 0);
            assert_true(ops[i] == FUSELN_OP_APPLY || wrong(&found) == 0);
        }
        sample_free(&s);
    }
}

/* ---- planted mistakes ---- */

/* Each alone: `value` replaces one element of an output. */
static const struct {
    const char *name;
    int kind;
    enum fuseln_op op;
    enum output output;
    int64_t row, col; /* col -1: the row's Inf */
    double value;
    int who;
} mistakes[] = {
    {"a finite row wrong beside Inf", X_INF, FUSELN_OP_FORWARD, Y, 2, 9, 1e3, OURS},
    {"its mean", X_INF, FUSELN_OP_MOMENTS, MEAN, 2, 0, 1, OURS},
    {"its dX", X_INF, FUSELN_OP_DX, DX, 3, 11, 1e3, OURS},
    {"NaN in a finite row", X_INF, FUSELN_OP_FORWARD, Y, 0, 3, NAN, OURS},
    {"NaN in a finite row of dX", DY_NAN, FUSELN_OP_DX, DX, 0, 3, NAN, OURS},
    {"NaN for a finite rstd", X_BOTH_INFS, FUSELN_OP_MOMENTS, RSTD, 0, 0, NAN, OURS},
    {"a finite y in the row of an Inf", X_INF, FUSELN_OP_FORWARD, Y, 1, 7, 0, OURS},
    {"the same of the original", X_INF, FUSELN_OP_FORWARD, Y, 1, 7, 0, THEIRS},
    {"a finite mean there", X_BOTH_INFS, FUSELN_OP_MOMENTS, MEAN, 4, 0, 1, OURS},
    {"a finite rstd there", X_NAN, FUSELN_OP_MOMENTS, RSTD, 4, 0, 1, OURS},
    {"a finite dX where dY has an Inf", DY_INF, FUSELN_OP_DX, DX, 1, 2, 0, OURS},
    {"the same at the Inf", DY_BOTH_INFS, FUSELN_OP_DX, DX, 1, -1, 1, OURS},
    {"a finite dgamma where X has NaN", X_NAN, FUSELN_OP_DGAMMA, DGAMMA, 0, 5, 1, OURS},
    {"a finite dbeta where dY has NaN", DY_NAN, FUSELN_OP_DGAMMA, DBETA, 0, 42, 1, OURS},
    {"a wrong dbeta beside a NaN", X_NAN, FUSELN_OP_DGAMMA, DBETA, 0, 5, 1e3, OURS},
    {"NaN for a finite dbeta", X_NAN, FUSELN_OP_DGAMMA, DBETA, 0, 5, NAN, OURS},
    {"NaN for an Inf of beta", BETA_INF, FUSELN_OP_FORWARD, Y, 3, 256, NAN, OURS},
    {"Inf for its -Inf", BETA_INF, FUSELN_OP_FORWARD, Y, 3, 256, INFINITY, OURS},
    {"a finite y where gamma is NaN", GAMMA_NAN, FUSELN_OP_FORWARD, Y, 2, 384, 1, OURS},
    {"NaN in a row of denormals", X_DENORMAL, FUSELN_OP_FORWARD, Y, 1, 3, NAN, OURS},
    {"a wrong row beside squares too large", SQUARES_TOO_LARGE, FUSELN_OP_FORWARD, Y, 0, 3, 1e3, OURS},
};

TEST(a_mistake_beside_odd_rows_is_found)
{
    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++)
        for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
            const enum output output = mistakes[i].output;
            struct sample s = odd_sample((enum fuseln_dtype)dtype, 768, &kinds[mistakes[i].kind]);
            const int64_t index = output == MEAN || output == RSTD ? mistakes[i].row
                                  : mistakes[i].col == -1          ? element_of(&s.b, mistakes[i].row)
                                                                   : mistakes[i].row * s.b.cols + mistakes[i].col;
            put(output_at(&s, mistakes[i].who, output), output_dtype(s.b.dtype, output), index, mistakes[i].value);
            const struct fuseln_check_result found = sample_check(&s, mistakes[i].op);
            const double first = -found.field[FUSELN_CHECK_FIRST];
            if (wrong(&found) == 0 || (int64_t)first / s.b.cols != mistakes[i].row ||
                (mistakes[i].who == OURS) != (found.field[FUSELN_CHECK_OUTSIDE_THEIRS] == 0))
                fail_check(&s, mistakes[i].name, mistakes[i].op, &found);
            sample_free(&s);
        }
}
