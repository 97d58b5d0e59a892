/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bits that must not depend on a row's address, its batch, or which kernels share the work: unaligned variants against
 * aligned ones, a row alone and anywhere in batches, two runs, the paired backward against its two halves.
 */
#include "layer.h"

static const int64_t wide_cols[] = {96,   128,  130,  255,  256,  257,  261,  511,  512,   768,
                                    1000, 1024, 2048, 4096, 4100, 5120, 8192, 8200, 16384, 33000};
enum { WIDE = sizeof wide_cols / sizeof wide_cols[0] };

/* Row `from` of one layer becomes row `to` of another: x and dy, and what the backward reads. */
static void row_copy(struct layer *l, int64_t to, const struct layer *source, int64_t from)
{
    const size_t row = (size_t)l->cols * fuseln_dtype_bytes(l->dtype);
    memcpy(l->x.at + (size_t)to * row, source->x.at + (size_t)from * row, row);
    memcpy(l->dy.at + (size_t)to * row, source->dy.at + (size_t)from * row, row);
}

static void parameters_copy(struct layer *l, const struct layer *source)
{
    memcpy(l->gamma.at, source->gamma.at, l->gamma.bytes);
    memcpy(l->beta.at, source->beta.at, l->beta.bytes);
}

static void forward_and_dx(struct layer *l)
{
    run_op(l, FUSELN_OP_FORWARD);
    run_op(l, FUSELN_OP_DX);
}

static void assert_row_equal(const struct layer *a, int64_t row_a, const struct layer *b, int64_t row_b)
{
    const size_t row = (size_t)a->cols * fuseln_dtype_bytes(a->dtype), acc = fuseln_acc_bytes(a->dtype);
    assert_memory_equal(a->y.at + (size_t)row_a * row, b->y.at + (size_t)row_b * row, row);
    assert_memory_equal(a->dx.at + (size_t)row_a * row, b->dx.at + (size_t)row_b * row, row);
    assert_memory_equal(a->mean.at + (size_t)row_a * acc, b->mean.at + (size_t)row_b * acc, acc);
    assert_memory_equal(a->rstd.at + (size_t)row_a * acc, b->rstd.at + (size_t)row_b * acc, acc);
}

/* The same values at another alignment; the last row alone. */
TEST(bits_depend_on_the_row_alone)
{
    for (int dtype = 0; dtype < FUSELN_DTYPE_F64; dtype++)
        for (int i = 0; i < WIDE; i++)
            for (size_t off = 1; off < 16 / fuseln_dtype_bytes((enum fuseln_dtype)dtype); off = off * 2 + 1) {
                const int64_t rows = wide_cols[i] > 3000 ? 2 : 9, cols = wide_cols[i];
                struct layer a = layer_make((enum fuseln_dtype)dtype, rows, cols, 0, i % 2, true);
                struct layer b = layer_make((enum fuseln_dtype)dtype, rows, cols, off, i % 2, true);
                struct layer c = layer_make((enum fuseln_dtype)dtype, 1, cols, off / 2, i % 2, true);
                struct layer *all[] = {&a, &b, &c};
                for (int64_t r = 0; r < rows; r++)
                    row_copy(&b, r, &a, r);
                row_copy(&c, 0, &a, rows - 1);
                parameters_copy(&b, &a), parameters_copy(&c, &a);
                for (int l = 0; l < 3; l++) {
                    forward_and_dx(all[l]);
                    run_op(all[l], FUSELN_OP_DGAMMA);
                }
                for (int64_t r = 0; r < rows; r++)
                    assert_row_equal(&a, r, &b, r);
                assert_row_equal(&a, rows - 1, &c, 0);
                assert_memory_equal(a.dgamma.at, b.dgamma.at, a.dgamma.bytes);
                assert_memory_equal(a.dbeta.at, b.dbeta.at, a.dbeta.bytes);
                layer_free(&a), layer_free(&b), layer_free(&c);
            }
}

/* One row of 5000 and the same row first, in the middle and last in smaller batches, at every alignment. */
TEST(a_row_has_the_same_bits_in_every_batch)
{
    static const int64_t batches[] = {1, 2, 3, 31, 128}, cols[] = {24, 72, 77};
    enum { ROWS = 5000, CHOSEN = 4321 };
    for (int dtype = 0; dtype < FUSELN_DTYPE_F64; dtype++)
        for (size_t c = 0; c < sizeof cols / sizeof cols[0]; c++) {
            struct layer all = layer_make((enum fuseln_dtype)dtype, ROWS, cols[c], 0, false, true);
            forward_and_dx(&all);
            for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++)
                for (size_t off = 0; off < 16 / fuseln_dtype_bytes(all.dtype); off++) {
                    const int64_t rows = batches[i], positions[] = {0, rows / 2, rows - 1};
                    struct layer l = layer_make(all.dtype, rows, cols[c], off, false, true);
                    parameters_copy(&l, &all);
                    for (int p = 0; p < 3; p++)
                        row_copy(&l, positions[p], &all, CHOSEN);
                    forward_and_dx(&l);
                    for (int p = 0; p < 3; p++)
                        assert_row_equal(&l, positions[p], &all, CHOSEN);
                    layer_free(&l);
                }
            layer_free(&all);
        }
}

/* Shared memory for one row or for two in the ring, and the rows of a batch in one run or another. */
TEST(two_runs_and_two_rings_give_the_same_bits)
{
    const struct fuseln_device whole = device;
    for (int dtype = 0; dtype < FUSELN_DTYPE_F64; dtype++)
        for (int i = 0; i < WIDE; i += 3) {
            struct layer l = layer_make((enum fuseln_dtype)dtype, 21, wide_cols[i], 0, false, true);
            struct tensor *outputs[] = {&l.y, &l.dx, &l.mean, &l.rstd, &l.dgamma, &l.dbeta};
            char *first[6];
            for (int run_number = 0; run_number < 3; run_number++) {
                device.smem_optin_bytes = run_number == 2 ? 80 << 10 : whole.smem_optin_bytes;
                forward_and_dx(&l);
                run_op(&l, FUSELN_OP_DGAMMA);
                for (int t = 0; t < 6; t++)
                    if (run_number == 0) {
                        first[t] = malloc(outputs[t]->bytes);
                        memcpy(first[t], outputs[t]->at, outputs[t]->bytes);
                    } else {
                        assert_memory_equal(first[t], outputs[t]->at, outputs[t]->bytes);
                    }
            }
            device = whole;
            for (int t = 0; t < 6; t++)
                free(first[t]);
            layer_free(&l);
        }
}

/* DX's launch with partial sums, then DGAMMA's reduction of them. */
static void run_paired(struct layer *l)
{
    struct fuseln_plan dx, dgamma;
    l->call.op = FUSELN_OP_DGAMMA;
    assert_int_equal(fuseln_plan_make(&l->call, &device, &dgamma), FUSELN_VERDICT_OK);
    l->call.op = FUSELN_OP_DX;
    assert_int_equal(fuseln_plan_make(&l->call, &device, &dx), FUSELN_VERDICT_OK);
    assert_int_equal(dx.scratch_bytes, dgamma.scratch_bytes);
    assert_int_equal(dx.partial_rows, dgamma.partial_rows);
    assert_int_equal(dx.parts, dgamma.parts);
    struct tensor partials = tensor_make(dx.scratch_bytes, 0);
    memset(partials.at, 0xff, partials.bytes);
    const struct fuseln_ln_params p = params_of(&l->call, &dx, partials.at);
    run_kernel(&dx, 0, &p);
    run_kernel(&dgamma, 1, &p);
    tensor_free(&partials);
}

static bool is_paired(struct layer *l)
{
    struct fuseln_plan dx;
    l->call.op = FUSELN_OP_DX;
    assert_int_equal(fuseln_plan_make(&l->call, &device, &dx), FUSELN_VERDICT_OK);
    return dx.scratch_bytes;
}

TEST(paired_or_alone_the_bits_are_the_same)
{
    for (int dtype = 0; dtype < FUSELN_DTYPE_F64; dtype++)
        for (int i = 0; i < WIDE && wide_cols[i] <= 16384; i++)
            for (size_t off = 0; off <= 1; off++) {
                const int64_t rows = wide_cols[i] < 300 ? 300 : 13;
                struct layer alone = layer_make((enum fuseln_dtype)dtype, rows, wide_cols[i], off, i % 4 == 1, i % 3);
                if (wide_cols[i] > FUSELN_BACKWARD_COLS && !is_paired(&alone)) {
                    layer_free(&alone);
                    continue;
                }
                forward_and_dx(&alone);
                run_op(&alone, FUSELN_OP_DGAMMA);
                struct layer both = alone;
                struct tensor *outputs[] = {&both.dx, &both.dgamma, &both.dbeta};
                for (int t = 0; t < 3; t++)
                    *outputs[t] = tensor_make(outputs[t]->bytes, off * fuseln_dtype_bytes(alone.dtype));
                both.call.dx = both.dx.at, both.call.dgamma = both.dgamma.at;
                both.call.dbeta = both.rms ? NULL : both.dbeta.at;
                run_paired(&both);
                assert_memory_equal(both.dx.at, alone.dx.at, alone.dx.bytes);
                assert_memory_equal(both.dgamma.at, alone.dgamma.at, alone.dgamma.bytes);
                assert_memory_equal(both.dbeta.at, alone.dbeta.at, alone.dbeta.bytes);
                for (int t = 0; t < 3; t++)
                    tensor_free(outputs[t]);
                layer_free(&alone);
            }
}

int main(void)
{
    return run_registered_tests();
}
