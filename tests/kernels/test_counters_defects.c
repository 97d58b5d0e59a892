/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks of tests/softgpu/counters.h: each is found by its name in a kernel with a planted defect
 * (test_counters_kernels.cu), and stays silent on the twin without it. Prints what the launches said.
 */
#include "../unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/params.h"
#include "counters.h"
#include "executor.h"

/* X(kernel, blocks, check) */
// clang-format off
#define DEFECTS(X) \
    X(fuseln_test_barrier_removed,       1, SHARED_RACE)     \
    X(fuseln_test_buffer_reused,         1, SHARED_RACE)     \
    X(fuseln_test_write_after_read,      1, SHARED_RACE)     \
    X(fuseln_test_syncwarp_removed,      1, SHARED_RACE)     \
    X(fuseln_test_syncwarp_for_barrier,  1, SHARED_RACE)     \
    X(fuseln_test_index_shifted,         1, BOUNDS)          \
    X(fuseln_test_beyond_the_row,        1, BOUNDS)          \
    X(fuseln_test_global_unset,          1, GLOBAL_UNSET)    \
    X(fuseln_test_shared_unset,          1, SHARED_UNSET)    \
    X(fuseln_test_shared_unset_in_block, 2, SHARED_UNSET)    \
    X(fuseln_test_misaligned,            1, MISALIGNED)      \
    X(fuseln_test_async_unwaited,        1, ASYNC_PENDING)   \
    X(fuseln_test_async_barrier_removed, 1, SHARED_RACE)     \
    X(fuseln_test_async_issued_early,    1, SHARED_RACE)     \
    X(fuseln_test_async_beyond,          1, BOUNDS)          \
    X(fuseln_test_blocks_overlap,        2, GLOBAL_CONFLICT) \
    X(fuseln_test_smem_beyond,           1, BOUNDS)
// clang-format on
#define X(name, blocks, check)                     \
    void name(struct fuseln_ln_params p);          \
    static void run_##name(const void *p)          \
    {                                              \
        name(*(const struct fuseln_ln_params *)p); \
    }
DEFECTS(X)
#undef X

/* Far enough apart that an access behind one is not in another. On the heap: kernels may read the program's image. */
struct memory {
    _Alignas(64) float x[1024], gap_x[64], y[1024], gap_y[64], gamma[1024], gap_gamma[64];
};

TEST(a_planted_defect_is_found_by_name)
{
    static const struct {
        const char *kernel;
        void (*body)(const void *);
        unsigned blocks;
        enum softgpu_check check;
    } defects[] = {
#define X(name, blocks, check) {#name, run_##name, blocks, SOFTGPU_CHECK_##check},
        DEFECTS(X)
#undef X
    };
    struct memory *m = aligned_alloc(64, sizeof *m);
    assert_non_null(m);
    for (size_t i = 0; i < sizeof defects / sizeof defects[0]; i++)
        for (int defect = 0; defect < 2; defect++) {
            softgpu_counters_add("x", m->x, sizeof m->x);
            softgpu_counters_add("y", m->y, sizeof m->y);
            softgpu_counters_add("gamma", m->gamma, sizeof m->gamma);
            softgpu_counters_fill(m->x, sizeof m->x);
            const struct fuseln_ln_params p = {.x = m->x, .y = m->y, .gamma = m->gamma, .rows = defect};
            const struct softgpu_grid grid = {.kernel = defects[i].kernel,
                                              .grid_dim = {defects[i].blocks, 1, 1},
                                              .block_dim = {128, 1, 1},
                                              .smem_bytes = 4096};
            const char *error = softgpu_execute(&grid, defects[i].body, &p);
            printf("%s: %s\n", defect ? "defect" : "twin", error ? error : defects[i].kernel);
            if (!defect && error)
                fail_msg("%s", error);
            if (defect && !(error && strstr(error, softgpu_check_names[defects[i].check])))
                fail_msg("%s: no %s found", defects[i].kernel, softgpu_check_names[defects[i].check]);
            softgpu_counters_remove(m->x);
            softgpu_counters_remove(m->y);
            softgpu_counters_remove(m->gamma);
        }
    free(m);
}

/* Both kernels, launched with programmatic serialisation: rows 0 right, 1 with the defect. */
void fuseln_test_access_before_wait(struct fuseln_ln_params p);
void fuseln_test_block_without_wait(struct fuseln_ln_params p);
static void run_access(const void *p)
{
    fuseln_test_access_before_wait(*(const struct fuseln_ln_params *)p);
}
static void run_block(const void *p)
{
    fuseln_test_block_without_wait(*(const struct fuseln_ln_params *)p);
}

TEST(what_does_not_wait_for_the_launch_ahead_is_found)
{
    static const struct {
        void (*body)(const void *);
        const char *error;
    } defects[] = {{run_access, "early-access"}, {run_block, "did not wait for the launch before"}};
    float *y = aligned_alloc(64, 1024 * sizeof *y);
    assert_non_null(y);
    softgpu_counters_add("y", y, 1024 * sizeof *y);
    for (size_t i = 0; i < sizeof defects / sizeof defects[0]; i++)
        for (int run = 0; run < 4; run++) {
            const bool defect = run % 2, early = run < 2;
            const struct fuseln_ln_params p = {.y = y, .rows = defect};
            const struct softgpu_grid grid = {.kernel = "dependent",
                                              .grid_dim = {2, 1, 1},
                                              .block_dim = {128, 1, 1},
                                              .dependent = true,
                                              .early = early};
            y[0] = 7;
            const char *error = softgpu_execute(&grid, defects[i].body, &p);
            printf("%s: %s\n", defect ? "defect" : "twin", error ? error : "right");
            if (defect)
                assert_true(error && strstr(error, defects[i].error));
            else
                assert_null(error);
            if (!defect)
                assert_true(y[0] == (early ? 7 : 1)); /* nothing of it before the wait */
        }
    softgpu_counters_remove(y);
    free(y);
}

int main(void)
{
    return run_registered_tests();
}
