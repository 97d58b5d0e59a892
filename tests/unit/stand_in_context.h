/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of kernels/host on the stand-in driver (budgets/stand_in.h). Every test uses contexts that no other test has
 * seen: slabs that it leaves are never another's.
 */
#ifndef FUSELN_TESTS_STAND_IN_CONTEXT_H
#define FUSELN_TESTS_STAND_IN_CONTEXT_H

#define TEST(name) TEST_WITH(name, new_context, NULL)
#include "test.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "../budgets/stand_in.h"
#include "base/config.h"
#include "kernels/host/context.h"

enum { SMS = 132, SMEM_OPTIN = 232448 }; /* of the stand-in's device */

/* Since the counts were last set to zero. */
#define calls(member) (stand_in_counts[STAND_IN_##member].calls)
/* Of these the driver fails number `from` to `until`. */
#define fail_calls(member, from, until, error) \
    (stand_in_fault = (struct stand_in_fault){STAND_IN_##member, from, until, error})

static CUstream const STREAM = (CUstream)0x5000, OTHER_STREAM = (CUstream)0x6000;
static struct fuseln_config config;
static bool racing; /* all threads find no module before one of them has loaded it */

const struct fuseln_image *fuseln_image_find(enum fuseln_module module, const struct fuseln_device *device, bool ptx)
{
    static const struct fuseln_image images[] = {{.name = "sm_90", .compiler = "c", .data = "machine code"},
                                                 {.name = "compute_90", .compiler = "c", .data = "ptx"}};
    (void)module, (void)device;
    if (racing)
        usleep(1000);
    return &images[ptx];
}

static inline void enter_new_context(void)
{
    static unsigned long long contexts = 100;
    stand_in_fault = (struct stand_in_fault){0};
    stand_in_context = stand_in_stream_context = ++contexts;
    stand_in_capturing = stand_in_smem_limit = 0;
    atomic_store(&fuseln_config_published, &config);
}

static inline struct fuseln_call call_of(enum fuseln_op op, int64_t rows)
{
    static char memory[64] __attribute__((aligned(16)));
    return (struct fuseln_call){.op = op,
                                .rows = rows,
                                .cols = 1024,
                                .eps = 1e-5,
                                .x = memory,
                                .dy = memory,
                                .mean = memory,
                                .rstd = memory,
                                .y = memory,
                                .dx = memory,
                                .dgamma = memory,
                                .dbeta = memory,
                                .out_rows = 1};
}

static inline struct fuseln_device_report report(void)
{
    struct fuseln_device_report reports[FUSELN_DEVICES_MAX];
    assert_int_equal(fuseln_device_reports(reports, FUSELN_DEVICES_MAX), 1);
    return reports[0];
}

#endif
