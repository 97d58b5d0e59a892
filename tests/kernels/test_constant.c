/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Constant rows of up to two chunks: y is beta to the bit, where the row ends inside of its first chunk too, whose mean
 * is the pivot of the sum (kernels/welford.cuh). Wider ones are in test_kernels.c.
 */
#include "layer.h"

static void a_short_constant_row_gives_beta(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++)
        for (int64_t cols = 1; cols <= 16; cols++) {
            if (dtype == FUSELN_DTYPE_F32 && cols == 3)
                continue; /* x + x + x rounds by up to two units of x: a third of it may be one too many */
            struct layer l = layer_make((enum fuseln_dtype)dtype, 37, cols, 0, false, true);
            for (int64_t r = 0; r < l.rows; r++) {
                const double value = 100 * (uniform() - 0.5);
                for (int64_t c = 0; c < cols; c++)
                    put(l.x.at, l.dtype, r * cols + c, value);
            }
            run_op(&l, FUSELN_OP_FORWARD);
            for (int64_t r = 0; r < l.rows; r++)
                assert_memory_equal(l.y.at + (size_t)r * l.beta.bytes, l.beta.at, l.beta.bytes);
            layer_free(&l);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_short_constant_row_gives_beta)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
