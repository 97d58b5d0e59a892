/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cp.async on the executor, without instrumentation (kernels of tests/kernels/test_counters_kernels.cu): copies land at
 * the wait that covers them or when the thread ends, no earlier; zfill fills; what CUDA forbids is refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "kernels/params.h"
#include "executor.h"

static _Alignas(64) float x[1032], y[1024];

#define KERNELS(X)                \
    X(fuseln_test_async_unwaited) \
    X(fuseln_test_async_beyond)   \
    X(fuseln_test_async_refused)  \
    X(fuseln_test_async_at_end)
#define X(name)                                                                                        \
    void name(struct fuseln_ln_params p);                                                              \
    static void name##_body(const void *p)                                                             \
    {                                                                                                  \
        name(*(const struct fuseln_ln_params *)p);                                                     \
    }                                                                                                  \
    static const char *run_##name(unsigned threads, long long rows, long long cols)                    \
    {                                                                                                  \
        const struct fuseln_ln_params p = {.x = x, .y = y, .rows = rows, .cols = cols};                \
        const struct softgpu_grid grid = {                                                             \
            .kernel = #name, .grid_dim = {1, 1, 1}, .block_dim = {threads, 1, 1}, .smem_bytes = 4096}; \
        for (int i = 0; i < 1032; i++)                                                                 \
            x[i] = (float)i;                                                                           \
        return softgpu_execute(&grid, name##_body, &p);                                                \
    }
KERNELS(X)
#undef X

static void a_copy_lands_at_the_wait_that_covers_it(void **state)
{
    (void)state;
    assert_null(run_fuseln_test_async_unwaited(128, 0, 0));
    for (int i = 0; i < 128; i++)
        assert_true(y[i] == (float)(4 * i + 512 + 4 * i));
    assert_null(run_fuseln_test_async_unwaited(128, 1, 0)); /* the second of two commits stays pending */
    for (int i = 0; i < 128; i++)
        assert_true(isnan(y[i]));
}

static void zfill_takes_bytes_off_the_source(void **state)
{
    (void)state;
    assert_null(run_fuseln_test_async_beyond(128, 0, 0));
    for (int i = 0; i < 127; i++)
        assert_true(y[i] == (float)(516 + 4 * i));
    assert_true(y[127] == 0);
}

static void a_copy_lands_when_its_thread_ends(void **state)
{
    (void)state;
    assert_null(run_fuseln_test_async_at_end(64, 0, 0));
    for (int i = 0; i < 32; i++)
        assert_true(y[i] == (float)i);
}

static void a_copy_that_cuda_does_not_allow_is_refused_by_name(void **state)
{
    static const char *const why[] = {"size or zfill", "size or zfill", "alignment",
                                      "alignment",     "destination",   "source"};
    (void)state;
    for (int i = 0; i < 6; i++) {
        const char *error = run_fuseln_test_async_refused(32, 0, i);
        assert_non_null(error);
        assert_non_null(strstr(error, "fuseln_test_async_refused, block (0,0,0): thread 0: cp.async"));
        assert_non_null(strstr(error, why[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_lands_at_the_wait_that_covers_it),
        cmocka_unit_test(zfill_takes_bytes_off_the_source),
        cmocka_unit_test(a_copy_lands_when_its_thread_ends),
        cmocka_unit_test(a_copy_that_cuda_does_not_allow_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
