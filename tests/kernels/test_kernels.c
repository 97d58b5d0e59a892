/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our .cu sources on the CPU (executor of tests/softgpu), through fuseln_plan_make, against float64 with derived
 * bounds: every schedule, element type and alignment, NULL gamma and beta, RMS norm. MOMENTS + APPLY must have the bits
 * of FORWARD; test_bits.c tests all other bits.
 */
#include <limits.h>

#include "layer.h"

#include "../accuracy/accuracy.h"

/* The layer's inputs, for the truth. */
static struct batch batch_of(const struct layer *l)
{
    struct batch b = batch_room(l->dtype, l->rows, l->cols);
    b.rms = l->rms;
    b.sm_count = device.sm_count;
    for (int64_t i = 0; i < l->rows * l->cols; i++) {
        b.x[i] = get(l->x.at, l->dtype, i);
        b.dy[i] = get(l->dy.at, l->dtype, i);
    }
    for (int64_t c = 0; c < l->cols; c++) {
        b.gamma[c] = l->call.gamma ? get(l->gamma.at, l->dtype, c) : 1;
        b.beta[c] = l->call.beta ? get(l->beta.at, l->dtype, c) : 0;
    }
    return b;
}

/* What the kernel wrote, within the derived bound (accuracy/truth.c). Further rows of dgamma and dbeta are zeros. */
static void check(const struct layer *l, const struct truth *truth, enum output output, const char *kernel)
{
    static const char *const names[] = {"y", "mean", "rstd", "dx", "dgamma", "dbeta"};
    const struct tensor *const tensors[] = {&l->y, &l->mean, &l->rstd, &l->dx, &l->dgamma, &l->dbeta};
    const enum fuseln_dtype dtype = output_dtype(l->dtype, output);
    const int64_t count = output_count(&(struct batch){.rows = l->rows, .cols = l->cols}, output);
    const int64_t all = output < DGAMMA ? count : count * l->out_rows;
    for (int64_t i = 0; i < all; i++) {
        const double got = get(tensors[output]->at, dtype, i), want = i < count ? truth->want[output][i] : 0;
        const double bound = i < count ? truth->bound[output][i] : 0;
        if (!(fabs(got - want) <= bound))
            fail_msg("%s, %ld x %ld, %s[%ld]: %.17g, expected %.17g, off by %g, allowed %g", kernel, (long)l->rows,
                     (long)l->cols, names[output], (long)i, got, want, fabs(got - want), bound);
    }
}

static void check_forward(const struct layer *l, const struct truth *truth, const char *kernel)
{
    if (!l->rms)
        check(l, truth, MEAN, kernel);
    check(l, truth, RSTD, kernel);
    check(l, truth, Y, kernel);
}

/* The backward is checked with the true statistics, so that only its own sums and roundings count. */
static void set_statistics(struct layer *l, const struct batch *b)
{
    for (int64_t r = 0; r < l->rows; r++) {
        put(l->mean.at, acc_dtype(l->dtype), r, b->mean[r]);
        put(l->rstd.at, acc_dtype(l->dtype), r, b->rstd[r]);
    }
}

static bool seen[FUSELN_VARIANT_COUNT];
static void mark_seen(const char *kernel)
{
    for (size_t i = 0; i < FUSELN_VARIANT_COUNT; i++)
        seen[i] |= strcmp(fuseln_variants[i].name, kernel) == 0;
}

/* All five operations of one layer: FORWARD, whose bits MOMENTS + APPLY must have, DX, and DGAMMA by partial sums and
 * in one launch. */
static void check_layer(enum fuseln_dtype dtype, int64_t rows, int64_t cols, size_t off, bool rms, bool affine)
{
    struct layer l = layer_make(dtype, rows, cols, off, rms, affine);
    struct batch b = batch_of(&l);
    struct truth truth = truth_make(&b);
    const char *kernel = run_op(&l, FUSELN_OP_FORWARD);
    mark_seen(kernel);
    check_forward(&l, &truth, kernel);

    struct layer two = l;
    const size_t acc = fuseln_acc_bytes(dtype);
    two.mean = tensor_make((size_t)rows * acc, 0);
    two.rstd = tensor_make((size_t)rows * acc, 0);
    two.y = tensor_make(l.y.bytes, off * fuseln_dtype_bytes(dtype));
    two.call.mean = two.mean.at, two.call.rstd = two.rstd.at, two.call.y = two.y.at;
    mark_seen(run_op(&two, FUSELN_OP_MOMENTS));
    run_op(&two, FUSELN_OP_APPLY);
    assert_memory_equal(two.mean.at, l.mean.at, l.mean.bytes);
    assert_memory_equal(two.rstd.at, l.rstd.at, l.rstd.bytes);
    assert_memory_equal(two.y.at, l.y.at, l.y.bytes);
    tensor_free(&two.mean), tensor_free(&two.rstd), tensor_free(&two.y);

    set_statistics(&l, &b);
    kernel = run_op(&l, FUSELN_OP_DX);
    mark_seen(kernel);
    check(&l, &truth, DX, kernel);
    for (int direct = 0; direct < 2; direct++) {
        device.direct_rows = direct ? INT_MAX : 0;
        memset(l.dgamma.at, MARK, l.dgamma.bytes);
        memset(l.dbeta.at, MARK, l.dbeta.bytes);
        kernel = run_op(&l, FUSELN_OP_DGAMMA);
        mark_seen(kernel);
        check(&l, &truth, DGAMMA, kernel);
        if (l.call.dbeta)
            check(&l, &truth, DBETA, kernel);
    }
    device.direct_rows = 0;
    truth_free(&truth);
    batch_free(&b);
    layer_free(&l);
}

static const int64_t wide_cols[] = {96,   128,  130,  255,  256,  257,  261,  511,   512,   768,   1000,
                                    1024, 2048, 4096, 4100, 5120, 8192, 8200, 16384, 20000, 33000, 60000};
enum { WIDE = sizeof wide_cols / sizeof wide_cols[0] };

TEST(every_shape_and_type_is_within_its_bound)
{
    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++) {
        for (int64_t cols = 1; cols <= 70; cols++)
            check_layer((enum fuseln_dtype)dtype, 37, cols, (size_t)cols % 3, cols % 5 == 0, cols % 4 != 0);
        for (int i = 0; i < WIDE; i++)
            for (size_t off = 0; off <= 1; off++)
                check_layer((enum fuseln_dtype)dtype,
                            wide_cols[i] == 16384 ? 9
                            : wide_cols[i] > 3000 ? 2
                                                  : 11,
                            wide_cols[i], off * (1 + (size_t)i % 3), i % 4 == 1, i % 3 != 1);
    }
    check_layer(FUSELN_DTYPE_BF16, 700, 24, 0, false, true); /* more rows than partial rows */
    check_layer(FUSELN_DTYPE_F32, 90, 2000, 0, false, true);
    for (size_t i = 0; i < FUSELN_VARIANT_COUNT; i++)
        if (!seen[i] && !strstr(fuseln_variants[i].name, "check") && !strstr(fuseln_variants[i].name, "apply") &&
            !strstr(fuseln_variants[i].name, "reduce") && !strstr(fuseln_variants[i].name, "residual"))
            fail_msg("%s was never chosen", fuseln_variants[i].name);
}

TEST(a_nan_or_infinite_row_stays_alone)
{
    const double bad[] = {NAN, INFINITY, -INFINITY};
    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++)
        for (int i = 0; i < 3; i++) {
            struct layer l = layer_make((enum fuseln_dtype)dtype, 5, 100, 0, false, true);
            put(l.x.at, l.dtype, 2 * 100 + 7, bad[i]);
            run_op(&l, FUSELN_OP_FORWARD);
            run_op(&l, FUSELN_OP_DX);
            for (int64_t at = 0; at < 500; at++) {
                assert_int_equal(isnan(get(l.y.at, l.dtype, at)), at / 100 == 2);
                assert_int_equal(isnan(get(l.dx.at, l.dtype, at)), at / 100 == 2);
            }
            layer_free(&l);
        }
}

/* PyTorch's one-launch RMS norm sums squares, so that one Inf makes rstd 0; that of two launches goes by way of the
 * mean, so that it makes rstd NaN. A NaN makes it NaN in both. */
TEST(an_infinite_row_has_the_rstd_of_the_original_in_rms_norm)
{
    const int64_t cols[] = {3, 100, 261, 1024, 4100, 20000, 60000};
    const double bad[] = {INFINITY, -INFINITY, NAN};
    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++)
        for (size_t i = 0; i < sizeof cols / sizeof cols[0]; i++)
            for (size_t off = 0; off <= 1; off++) {
                struct layer l = layer_make((enum fuseln_dtype)dtype, 5, cols[i], off, true, true);
                for (int64_t k = 0; k < 3; k++)
                    put(l.x.at, l.dtype, (k + 1) * cols[i] + (k + 1) * (cols[i] - 1) / 3, bad[k]);
                for (int two = 0; two < 2; two++) {
                    run_op(&l, two ? FUSELN_OP_MOMENTS : FUSELN_OP_FORWARD);
                    for (int64_t r = 0; r < l.rows; r++) {
                        const double rstd = get(l.rstd.at, acc_dtype(l.dtype), r);
                        assert_int_equal(isnan(rstd), r == 3 || (two && (r == 1 || r == 2)));
                        assert_int_equal(rstd == 0, !two && (r == 1 || r == 2));
                    }
                }
                layer_free(&l);
            }
}

/* A row of one value: its mean has no error, so y = beta, although rstd is large. */
static void check_constant_rows(enum fuseln_dtype dtype, int64_t rows, int64_t cols)
{
    struct layer l = layer_make(dtype, rows, cols, 0, false, true);
    for (int64_t r = 0; r < rows; r++) {
        const double value = 100 * (uniform() - 0.5);
        for (int64_t c = 0; c < cols; c++)
            put(l.x.at, dtype, r * cols + c, value);
    }
    run_op(&l, FUSELN_OP_FORWARD);
    for (int64_t r = 0; r < rows; r++)
        assert_memory_equal(l.y.at + (size_t)r * l.beta.bytes, l.beta.at, l.beta.bytes);
    layer_free(&l);
}

TEST(a_constant_row_gives_beta)
{
    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++) {
        for (int64_t cols = 1; cols <= 16; cols++)      /* a short row may end inside its first chunk */
            if (dtype != FUSELN_DTYPE_F32 || cols != 3) /* x + x + x is rounded twice: a third of it may be off */
                check_constant_rows((enum fuseln_dtype)dtype, 37, cols);
        for (int i = 0; i < WIDE; i++)
            check_constant_rows((enum fuseln_dtype)dtype, 16, wide_cols[i]);
    }
}

/* Rows of one enormous value, whose mean x rstd overflows in the type of the sums, between ordinary ones: their xhat is
 * 0, and so must be that of everything that a thread's chunks and a block's groups lack. */
static void check_enormous_rows(enum fuseln_dtype dtype, int64_t rows, int64_t cols, size_t off, double value)
{
    struct layer l = layer_make(dtype, rows, cols, off, false, off % 2);
    for (int64_t at = 0; at < rows * cols; at++)
        if ((rows - at / cols) % 3 == 1) /* the last row always */
            put(l.x.at, dtype, at, value);
    struct batch b = batch_of(&l);
    b.eps = dtype == FUSELN_DTYPE_F16 ? 1e-5 : 1e-12; /* f16 holds no larger dx */
    struct truth truth = truth_make(&b);
    set_statistics(&l, &b);
    check(&l, &truth, DX, run_op(&l, FUSELN_OP_DX));
    const char *kernel = run_op(&l, FUSELN_OP_DGAMMA);
    check(&l, &truth, DGAMMA, kernel);
    check(&l, &truth, DBETA, kernel);
    truth_free(&truth);
    batch_free(&b);
    layer_free(&l);
}

TEST(a_row_of_one_enormous_value_has_finite_gradients)
{
    static const double values[] = {0x1.8p120, 65504, 0x1.8p110, 0x1.8p1020};
    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++)
        for (size_t off = 0; off < 16 / fuseln_dtype_bytes((enum fuseln_dtype)dtype); off++) {
            for (int64_t cols = 1; cols <= 80; cols += 3)
                check_enormous_rows((enum fuseln_dtype)dtype, 1 + cols % 7, cols, off, values[dtype]);
            for (int i = (int)off % 3; i < WIDE - 2; i += 3) /* longer rows run the same code */
                check_enormous_rows((enum fuseln_dtype)dtype, 1 + i % 3, wide_cols[i], off, -values[dtype]);
        }
}

TEST(unwanted_gradients_are_not_written)
{
    for (int wanted = 0; wanted < 8; wanted++) {
        device.direct_rows = wanted & 4 ? INT_MAX : 0;
        struct layer l = layer_make(FUSELN_DTYPE_F32, 20, 33, 0, false, true);
        run_op(&l, FUSELN_OP_FORWARD);
        l.call.dgamma = wanted & 1 ? l.dgamma.at : NULL;
        l.call.dbeta = wanted & 2 ? l.dbeta.at : NULL;
        run_op(&l, FUSELN_OP_DGAMMA);
        assert_int_equal((unsigned char)l.dgamma.at[0] == MARK && (unsigned char)l.dgamma.at[1] == MARK, !(wanted & 1));
        assert_int_equal((unsigned char)l.dbeta.at[0] == MARK && (unsigned char)l.dbeta.at[1] == MARK, !(wanted & 2));
        layer_free(&l);
    }
    device.direct_rows = 0;
}

static void check_unrounded(enum fuseln_dtype dtype, int64_t rows, int64_t cols, size_t off)
{
    struct layer l = layer_make(dtype, rows, cols, off, false, true);
    const enum fuseln_dtype acc = acc_dtype(dtype);
    const size_t bytes = (size_t)(l.out_rows * cols) * fuseln_acc_bytes(dtype);
    int64_t unrounded = 0;
    struct tensor sums[] = {tensor_make(bytes, off * fuseln_acc_bytes(dtype)), tensor_make(bytes, 0)};
    run_op(&l, FUSELN_OP_FORWARD);
    run_op(&l, FUSELN_OP_DGAMMA);
    l.call.rounding = FUSELN_UNROUNDED;
    l.call.dgamma = sums[0].at, l.call.dbeta = sums[1].at;
    device.direct_rows = INT_MAX; /* there is no kernel that does it in one launch, but of the type itself */
    run_op(&l, FUSELN_OP_DGAMMA);
    for (int64_t i = 0; acc != dtype && i < l.out_rows * cols; i++) {
        const double dgamma = get(sums[0].at, acc, i), dbeta = get(sums[1].at, acc, i);
        assert_true(round_to(dtype, dgamma) == get(l.dgamma.at, dtype, i));
        assert_true(round_to(dtype, dbeta) == get(l.dbeta.at, dtype, i));
        assert_true(i < cols || (dgamma == 0 && dbeta == 0));
        unrounded += dgamma != round_to(dtype, dgamma);
    }
    assert_true(unrounded >= (acc == dtype ? 0 : cols / 2)); /* a few sums are as short as the type */
    device.direct_rows = 0;
    tensor_free(&sums[0]), tensor_free(&sums[1]);
    layer_free(&l);
}

TEST(unrounded_gradients_are_the_sums_of_the_rounded_ones)
{
    static const int64_t cols[] = {1, 7, 40, 1000, 1023, 9000};
    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++)
        for (size_t i = 0; i < sizeof cols / sizeof cols[0]; i++)
            for (size_t off = 0; off < 2; off++)
                check_unrounded((enum fuseln_dtype)dtype, 37, cols[i], off);
}

int main(void)
{
    return run_registered_tests();
}
