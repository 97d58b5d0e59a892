/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the clients of the stand-in libraries launch with: the types of cuda.h and driver_types.h, and the arguments of
 * PyTorch's vectorized layer-norm forward for float.
 */
#ifndef FUSELN_TEST_LAUNCHES_H
#define FUSELN_TEST_LAUNCHES_H

#include <stddef.h>

struct dim3 {
    unsigned x, y, z;
};
struct attribute {
    int id;
    char pad[4];
    char value[64];
};
struct config { /* cudaLaunchConfig_t */
    struct dim3 grid, block;
    size_t smem_bytes;
    void *stream;
    struct attribute *attributes;
    unsigned attribute_count;
};
struct driver_config { /* CUlaunchConfig */
    unsigned grid[3], block[3], smem_bytes;
    void *stream;
    struct attribute *attributes;
    unsigned attribute_count;
};

static char launch_memory[64];
static int launch_cols = 768;
static float launch_eps = 1e-5f;
static void *launch_x = launch_memory, *launch_null;
static void *launch_args[] = {&launch_cols, &launch_eps, &launch_x, &launch_null,
                              &launch_null, &launch_x,   &launch_x, &launch_x};
static struct attribute serialization = {.id = 6}, cluster = {.id = 4};

#endif
