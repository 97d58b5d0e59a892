/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which alignments make a plan choose an unaligned variant: each tensor that an operation accesses by 16 bytes counts
 * by itself, as do the columns. In the other tests all tensors of a call have the same alignment. Plans only, nothing
 * runs.
 */
#include "../unit/test.h"

#include "kernels/host/variant.h"

static const struct fuseln_device device = {.cc_major = 9, .sm_count = 132, .smem_optin_bytes = 227 << 10};

enum { PLACE = 1 << 20 };
#define AT(n) ((void *)(uintptr_t)((n)*PLACE)) /* never dereferenced */
static const struct fuseln_call aligned = {.rows = 100,
                                           .eps = 1e-5,
                                           .x = AT(1),
                                           .dy = AT(2),
                                           .gamma = AT(3),
                                           .beta = AT(4),
                                           .mean = AT(5),
                                           .rstd = AT(6),
                                           .y = AT(7),
                                           .dx = AT(8),
                                           .dgamma = AT(9),
                                           .dbeta = AT(10),
                                           .out_rows = 1};

/* X(operation, tensor): accessed in 16-byte chunks. APPLY checks alignments at run time. */
// clang-format off
#define CHUNKED(X)                                                          \
    X(FORWARD, x) X(FORWARD, y) X(FORWARD, gamma) X(FORWARD, beta)          \
    X(MOMENTS, x)                                                           \
    X(DX, x) X(DX, dy) X(DX, dx) X(DX, gamma)                               \
    X(DGAMMA, x) X(DGAMMA, dy)
// clang-format on

static bool is_unaligned(const struct fuseln_call *call)
{
    struct fuseln_plan plan;
    assert_int_equal(fuseln_plan_make(call, &device, &plan), FUSELN_VERDICT_OK);
    assert_int_equal(plan.kernel[0]->unaligned, plan.width < FUSELN_CHUNK_BYTES);
    return plan.kernel[0]->unaligned;
}

TEST(one_unaligned_tensor_makes_the_plan_unaligned)
{
    static const int64_t cols[] = {64, 512, 4096, 16384, 80000};
    for (size_t c = 0; c < sizeof cols / sizeof cols[0]; c++)
        for (int dtype = 0; dtype < FUSELN_DTYPE_F64; dtype++) {
            struct fuseln_call call = aligned;
            call.dtype = (enum fuseln_dtype)dtype;
            call.cols = cols[c];
            const size_t size = fuseln_dtype_bytes(call.dtype);
#define X(operation, tensor)                                                    \
    call.op = FUSELN_OP_##operation;                                            \
    assert_false(is_unaligned(&call));                                          \
    call.tensor = (void *)((uintptr_t)aligned.tensor + FUSELN_CHUNK_BYTES / 2); \
    assert_true(is_unaligned(&call));                                           \
    call.tensor = (void *)((uintptr_t)aligned.tensor + size);                   \
    assert_true(is_unaligned(&call));                                           \
    call.tensor = aligned.tensor;                                               \
    call.cols++; /* its second row is unaligned */                              \
    assert_true(is_unaligned(&call));                                           \
    call.cols--;
            CHUNKED(X)
#undef X
        }
}

/* The same for the forward of a sum. */
TEST(one_unaligned_tensor_of_a_sum_makes_the_plan_unaligned)
{
    struct fuseln_call sum = aligned;
    sum.op = FUSELN_OP_FORWARD;
    sum.dtype = FUSELN_DTYPE_F16;
    sum.cols = 4096;
    sum.residual = AT(11), sum.bias = AT(12), sum.sum = AT(13);
#define X(tensor)                                                          \
    assert_false(is_unaligned(&sum));                                      \
    sum.tensor = (void *)((uintptr_t)sum.tensor + FUSELN_CHUNK_BYTES / 2); \
    assert_true(is_unaligned(&sum));                                       \
    sum.tensor = (void *)((uintptr_t)sum.tensor - FUSELN_CHUNK_BYTES / 2);
    X(x) X(residual) X(bias) X(sum) X(y) X(gamma) X(beta)
#undef X
}

int main(void)
{
    return run_registered_tests();
}
