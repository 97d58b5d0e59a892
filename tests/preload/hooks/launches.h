/* SPDX-License-Identifier: Apache-2.0 */
/* The arguments of PyTorch's vectorized layer-norm forward for float, and launch attributes to go with them. */
#ifndef FUSELN_TEST_LAUNCHES_H
#define FUSELN_TEST_LAUNCHES_H

#include "../../cudart.h"

#define STREAM ((void *)0x40)
static char launch_memory[64];
static int launch_cols = 768;
static float launch_eps = 1e-5f;
static void *launch_x = launch_memory, *launch_null;
static void *launch_args[] = {&launch_cols, &launch_eps, &launch_x, &launch_null,
                              &launch_null, &launch_x,   &launch_x, &launch_x};
static struct attribute serialization = {.id = 6}, cluster = {.id = 4};

#endif
