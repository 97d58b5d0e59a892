/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FORWARD of a sum (kernels/residual.cu): the stored sum bit for bit, and y within its derived bound of the float64
 * norm of that sum, for every type, rounding and alignment, and in place. A row has the same bits at every address and
 * in every batch.
 */
#include "layer.h"

#include "../accuracy/accuracy.h"

/* What a launch adds up, and how. steps: each 4 KB of a row of x has one value. */
struct form {
    bool rms, bias, residual, sum, in_place, steps;
    int rounding;
    float gamma_add;
};

/* A layer with what it adds to x; before: the bytes of x and of residual before the launch. */
struct sums {
    struct layer l;
    struct form form;
    struct tensor residual, bias, sum;
    char *before[2];
};

static char *copy_of(const struct tensor *t)
{
    char *copy = malloc(t->bytes);
    assert_non_null(copy);
    return memcpy(copy, t->at, t->bytes);
}

static struct sums sums_make(enum fuseln_dtype dtype, int64_t rows, int64_t cols, size_t off, const struct form *form)
{
    struct sums s = {.l = layer_make(dtype, rows, cols, off, form->rms, cols % 4 != 1), .form = *form};
    off *= fuseln_dtype_bytes(dtype);
    s.residual = random_tensor(dtype, rows * cols, off, -1, 2);
    s.bias = random_tensor(dtype, cols, off, 0.5, 1);
    s.sum = tensor_make(s.residual.bytes, off);
    for (int64_t i = 0; form->steps && i < rows * cols; i++)
        put(s.l.x.at, dtype, i, (double)(8 * (i % cols * (int64_t)fuseln_dtype_bytes(dtype) / 4096)));
    return s;
}

static void sums_free(struct sums *s)
{
    tensor_free(&s->residual), tensor_free(&s->bias), tensor_free(&s->sum);
    free(s->before[0]), free(s->before[1]);
    layer_free(&s->l);
}

static const char *sums_run(struct sums *s)
{
    struct fuseln_call *call = &s->l.call;
    const struct form *form = &s->form;
    s->before[0] = copy_of(&s->l.x);
    s->before[1] = copy_of(&s->residual);
    call->residual = form->residual ? s->residual.at : NULL;
    call->bias = form->bias ? s->bias.at : NULL;
    call->sum = !form->sum ? NULL : form->in_place ? s->residual.at : s->sum.at;
    call->y = form->in_place ? s->l.x.at : s->l.y.at;
    call->gamma_add = form->gamma_add;
    call->rms = form->rms;
    call->rounding = form->rounding;
    return run_op(&s->l, FUSELN_OP_FORWARD);
}

static float plus(const struct sums *s, float v, const void *addend, int64_t i)
{
    v += (float)get(addend, s->l.dtype, i);
    return s->form.rounding ? (float)round_to(s->l.dtype, (double)v) : v;
}

/* The sum that is normalised; *ret_stored is what stands in `sum`. */
static float sum_at(const struct sums *s, int64_t i, float *ret_stored)
{
    const bool bias_last = s->form.rounding == FUSELN_BIAS_LAST;
    float v = (float)get(s->before[0], s->l.dtype, i);
    if (s->form.bias && !bias_last)
        v = plus(s, v, s->bias.at, i % s->l.cols);
    if (s->form.residual)
        v = plus(s, v, s->before[1], i);
    if (s->form.bias && bias_last)
        v = plus(s, v, s->bias.at, i % s->l.cols);
    *ret_stored = (float)round_to(s->l.dtype, (double)v);
    return v;
}

static struct truth truth_of(const struct sums *s, struct batch *ret_batch)
{
    const struct layer *l = &s->l;
    struct batch b = batch_room(l->dtype, l->rows, l->cols);
    float stored;
    b.rms = l->call.rms;
    b.sm_count = device.sm_count;
    for (int64_t i = 0; i < l->rows * l->cols; i++)
        b.x[i] = (double)sum_at(s, i, &stored);
    for (int64_t c = 0; c < l->cols; c++) {
        b.gamma[c] = (double)((l->call.gamma ? (float)get(l->gamma.at, l->dtype, c) : 1.0f) + s->form.gamma_add);
        b.beta[c] = l->call.beta ? get(l->beta.at, l->dtype, c) : 0;
    }
    *ret_batch = b;
    return truth_make(&b);
}

static void check_output(const struct sums *s, const struct truth *truth, enum output output, const void *at,
                         const char *kernel)
{
    const enum fuseln_dtype dtype = output_dtype(s->l.dtype, output);
    const int64_t count = output_count(&(struct batch){.rows = s->l.rows, .cols = s->l.cols}, output);
    for (int64_t i = 0; i < count; i++) {
        const double got = get(at, dtype, i), want = truth->want[output][i], bound = truth->bound[output][i];
        if (!(fabs(got - want) <= bound))
            fail_msg("%s, %ld x %ld, output %d [%ld]: %.17g, expected %.17g, off by %g, allowed %g", kernel,
                     (long)s->l.rows, (long)s->l.cols, (int)output, (long)i, got, want, fabs(got - want), bound);
    }
}

static void check_sums(enum fuseln_dtype dtype, int64_t rows, int64_t cols, size_t off, const struct form *form)
{
    struct sums s = sums_make(dtype, rows, cols, off, form);
    const char *kernel = sums_run(&s);
    struct batch b;
    struct truth truth = truth_of(&s, &b);
    for (int64_t i = 0; s.l.call.sum && i < rows * cols; i++) {
        float stored;
        sum_at(&s, i, &stored);
        assert_true(get(s.l.call.sum, dtype, i) == (double)stored);
    }
    check_output(&s, &truth, Y, s.l.call.y, kernel);
    check_output(&s, &truth, RSTD, s.l.rstd.at, kernel);
    if (!form->rms)
        check_output(&s, &truth, MEAN, s.l.mean.at, kernel);
    truth_free(&truth);
    batch_free(&b);
    sums_free(&s);
}

/* vLLM; sglang; ONNX Runtime, with and without an output for the sum; CTranslate2's gamma + 1; lmdeploy. */
static const struct form forms[] = {
    {.rms = true, .residual = true, .sum = true, .rounding = FUSELN_BIAS_FIRST, .in_place = true},
    {.rms = true, .residual = true, .sum = true, .in_place = true, .gamma_add = 1},
    {.bias = true, .residual = true, .sum = true, .rounding = FUSELN_BIAS_FIRST},
    {.bias = true, .residual = true},
    {.residual = true, .sum = true},
    {.bias = true, .sum = true, .rounding = FUSELN_BIAS_FIRST},
    {.gamma_add = 1},
    {.gamma_add = 0.5f, .steps = true},
    {.rms = true, .bias = true, .residual = true, .sum = true, .rounding = FUSELN_BIAS_LAST, .in_place = true},
    {.bias = true, .residual = true, .sum = true, .rounding = FUSELN_BIAS_LAST, .in_place = true},
    {.bias = true, .sum = true, .rounding = FUSELN_BIAS_LAST},
};
enum { FORMS = sizeof forms / sizeof *forms };

static const int64_t wide_cols[] = {96,   128,  130,  255,  256,  257,  261,  511,   512,   768,   1000,
                                    1024, 2048, 4096, 4100, 5120, 8192, 8200, 16384, 16385, 32768, 32760};
enum { WIDE = sizeof wide_cols / sizeof *wide_cols };

static bool fits(enum fuseln_dtype dtype, int64_t cols)
{
    return cols * (int64_t)fuseln_dtype_bytes(dtype) <= FUSELN_RESIDUAL_WARPS * 4096;
}

TEST(every_shape_type_and_form_is_within_its_bound)
{
    for (int dtype = 0; dtype < FUSELN_DTYPE_F64; dtype++) {
        for (int64_t cols = 1; cols <= 70; cols++)
            check_sums((enum fuseln_dtype)dtype, 7, cols, (size_t)cols % 3, &forms[cols % FORMS]);
        for (int i = 0; i < WIDE * FORMS; i++)
            if (fits((enum fuseln_dtype)dtype, wide_cols[i % WIDE]))
                check_sums((enum fuseln_dtype)dtype, wide_cols[i % WIDE] > 3000 ? 2 : 5, wide_cols[i % WIDE],
                           i / WIDE % 2 ? 1 + (size_t)i % 3 : 0, &forms[i / WIDE]);
    }
}

static void row_copy(struct sums *to, int64_t row, const struct sums *from, int64_t source)
{
    const size_t bytes = (size_t)to->l.cols * fuseln_dtype_bytes(to->l.dtype);
    memcpy(to->l.x.at + (size_t)row * bytes, from->l.x.at + (size_t)source * bytes, bytes);
    memcpy(to->residual.at + (size_t)row * bytes, from->residual.at + (size_t)source * bytes, bytes);
    memcpy(to->bias.at, from->bias.at, bytes);
    memcpy(to->l.gamma.at, from->l.gamma.at, bytes);
    memcpy(to->l.beta.at, from->l.beta.at, bytes);
}

static void assert_row_equal(const struct sums *a, int64_t row_a, const struct sums *b, int64_t row_b)
{
    const size_t bytes = (size_t)a->l.cols * fuseln_dtype_bytes(a->l.dtype);
    assert_memory_equal((char *)a->l.call.y + (size_t)row_a * bytes, (char *)b->l.call.y + (size_t)row_b * bytes,
                        bytes);
    assert_memory_equal((char *)a->l.call.sum + (size_t)row_a * bytes, (char *)b->l.call.sum + (size_t)row_b * bytes,
                        bytes);
    assert_memory_equal((float *)a->l.rstd.at + row_a, (float *)b->l.rstd.at + row_b, sizeof(float));
}

/* The last row of a batch, alone at another address, and in place. */
TEST(bits_depend_on_the_row_alone)
{
    struct form form = {.bias = true, .residual = true, .sum = true};
    for (int dtype = 0; dtype < FUSELN_DTYPE_F64; dtype++)
        for (int i = 0; i < WIDE; i++) {
            const int64_t rows = wide_cols[i] > 3000 ? 2 : 9;
            if (!fits((enum fuseln_dtype)dtype, wide_cols[i]))
                continue;
            form.in_place = false;
            form.rms = i % 2, form.rounding = i % 3;
            struct sums all = sums_make((enum fuseln_dtype)dtype, rows, wide_cols[i], 0, &form);
            struct sums moved = sums_make((enum fuseln_dtype)dtype, 1, wide_cols[i], 1 + (size_t)i % 3, &form);
            form.in_place = true;
            struct sums placed = sums_make((enum fuseln_dtype)dtype, 3, wide_cols[i], (size_t)i % 2, &form);
            row_copy(&moved, 0, &all, rows - 1);
            row_copy(&placed, 1, &all, rows - 1);
            sums_run(&all), sums_run(&moved), sums_run(&placed);
            assert_row_equal(&all, rows - 1, &moved, 0);
            assert_row_equal(&all, rows - 1, &placed, 1);
            sums_free(&all), sums_free(&moved), sums_free(&placed);
        }
}

TEST(what_has_no_kernel_is_declined)
{
    const struct form form = {.residual = true, .sum = true};
    struct sums s = sums_make(FUSELN_DTYPE_F32, 1, 64, 0, &form);
    struct fuseln_plan plan;
    sums_run(&s);
    struct fuseln_call call = s.l.call;
    call.cols = FUSELN_RESIDUAL_WARPS * 1024 + 4;
    assert_int_equal(fuseln_plan_make(&call, &device, &plan), FUSELN_VERDICT_SHAPE);
    call = s.l.call, call.residual = NULL;
    assert_int_equal(fuseln_plan_make(&call, &device, &plan), FUSELN_VERDICT_REQUIRE);
    call = s.l.call, call.dtype = FUSELN_DTYPE_F64;
    assert_int_equal(fuseln_plan_make(&call, &device, &plan), FUSELN_VERDICT_REQUIRE);
    call = s.l.call, call.op = FUSELN_OP_MOMENTS;
    assert_int_equal(fuseln_plan_make(&call, &device, &plan), FUSELN_VERDICT_REQUIRE);
    sums_free(&s);
}

#define BODY(name)                                    \
    void name(struct fuseln_check_params p);          \
    static void run_##name(const void *p)             \
    {                                                 \
        name(*(const struct fuseln_check_params *)p); \
    }
BODY(fuseln_check_rows)
BODY(fuseln_check_sum)

static void check_kernel(void (*body)(const void *), unsigned block, const struct fuseln_check_params *params)
{
    const struct softgpu_grid grid = {.kernel = "check", .grid_dim = {1, 1, 1}, .block_dim = {block, 1, 1}};
    const char *error = softgpu_execute(&grid, body, params);
    if (error)
        fail_msg("%s", error);
}

/* Ours against an original that computes in double and wrote `theirs`, by the kernels of a check. */
static struct fuseln_check_result result_of(const struct sums *s, const struct tensor *theirs_y,
                                            const struct tensor *theirs_sum)
{
    static double records[FUSELN_CHECK_THREADS / 32 * FUSELN_CHECK_FIELDS];
    static struct fuseln_check_result result;
    struct fuseln_check_params p = {.host = s->l.call.params,
                                    .out = s->l.call.y,
                                    .sum = s->l.call.sum,
                                    .mean = s->form.rms ? NULL : s->l.mean.at,
                                    .rstd = s->l.rstd.at,
                                    .records = records,
                                    .record_count = FUSELN_CHECK_THREADS / 32,
                                    .result = &result,
                                    .dtype = (int)s->l.dtype,
                                    .rms = s->form.rms};
    p.host.x = s->before[0];
    p.host.residual = s->form.residual ? s->before[1] : NULL;
    p.host.y = theirs_y->at;
    p.host.sum = s->l.call.sum ? theirs_sum->at : NULL;
    p.host.mean = p.host.rstd = p.host.dx = NULL;
    check_kernel(run_fuseln_check_rows, FUSELN_CHECK_THREADS, &p);
    check_kernel(run_fuseln_check_sum, 32, &p);
    return result;
}

static double wrong(const struct fuseln_check_result *found)
{
    return found->field[FUSELN_CHECK_OUTSIDE_OURS] + found->field[FUSELN_CHECK_OUTSIDE_THEIRS];
}

TEST(a_check_holds_both_against_the_sum_of_what_was_there)
{
    for (int i = 0; i < FORMS * FUSELN_DTYPE_F64; i++) {
        const enum fuseln_dtype dtype = (enum fuseln_dtype)(i / FORMS);
        struct sums s = sums_make(dtype, 9, 300, 0, &forms[i % FORMS]);
        struct tensor y = tensor_make(s.l.y.bytes, 0), sum = tensor_make(s.l.y.bytes, 0);
        struct batch b;
        float stored;

        sums_run(&s);
        struct truth truth = truth_of(&s, &b);
        for (int64_t at = 0; at < 9 * 300; at++) {
            sum_at(&s, at, &stored);
            put(y.at, dtype, at, round_to(dtype, truth.want[Y][at]));
            put(sum.at, dtype, at, (double)stored);
        }
        struct fuseln_check_result found = result_of(&s, &y, &sum);
        assert_true(wrong(&found) == 0);
        assert_true(found.field[FUSELN_CHECK_ELEMENTS] == 9 * 300);

        const double was = get(y.at, dtype, 700);
        put(y.at, dtype, 700, was + (fabs(was) + 1) / 16);
        found = result_of(&s, &y, &sum);
        assert_true(found.field[FUSELN_CHECK_OUTSIDE_THEIRS] == 1 && found.field[FUSELN_CHECK_FIRST] == -700);
        put(y.at, dtype, 700, was);
        if (s.form.sum) {
            const double right = get(sum.at, dtype, 800);
            put(sum.at, dtype, 800, right + ulp(dtype, right));
            found = result_of(&s, &y, &sum);
            assert_true(found.field[FUSELN_CHECK_OUTSIDE_THEIRS] == 1 && found.field[FUSELN_CHECK_FIRST] == -800);
            put(s.l.call.sum, dtype, 900, get(s.l.call.sum, dtype, 900) + 1);
            found = result_of(&s, &y, &sum);
            assert_true(found.field[FUSELN_CHECK_OUTSIDE_OURS] == 1);
        }
        tensor_free(&y), tensor_free(&sum);
        truth_free(&truth), batch_free(&b);
        sums_free(&s);
    }
}

/* An original that adds up in the order that the call says, and one that does not. */
TEST(a_check_tells_the_order_of_the_additions)
{
    for (int i = 0; i < 2 * FUSELN_DTYPE_F64; i++) {
        const enum fuseln_dtype dtype = (enum fuseln_dtype)(i / 2);
        const int order = i % 2 ? FUSELN_BIAS_FIRST : FUSELN_BIAS_LAST;
        struct form form = {.bias = true, .residual = true, .sum = true, .rounding = order};
        struct sums s = sums_make(dtype, 9, 300, 0, &form);
        struct tensor theirs = tensor_make(s.sum.bytes, 0);
        sums_run(&s);
        for (int said = FUSELN_BIAS_FIRST; said <= FUSELN_BIAS_LAST; said++) {
            float stored;
            s.form.rounding = said;
            for (int64_t at = 0; at < 9 * 300; at++) {
                sum_at(&s, at, &stored);
                put(theirs.at, dtype, at, (double)stored);
            }
            const struct fuseln_check_result found = result_of(&s, &s.l.y, &theirs);
            assert_true(found.field[FUSELN_CHECK_OUTSIDE_OURS] == 0);
            assert_true((found.field[FUSELN_CHECK_OUTSIDE_THEIRS] == 0) == (said == order));
        }
        tensor_free(&theirs);
        sums_free(&s);
    }
}

int main(void)
{
    return run_registered_tests();
}
