/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CUDA runtime's and the driver's launches, as nvcc's code and programs call them: types by hand after
 * driver_types.h and cuda.h, so that the tests need no toolkit. A program declares what it uses of them: a
 * runtime_launch cudaLaunchKernel.
 */
#ifndef FUSELN_TEST_CUDART_H
#define FUSELN_TEST_CUDART_H

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

typedef void *register_image(void *image);
typedef void register_function(void *fatbin, const char *host_function, char *device_function, const char *device_name,
                               int thread_limit, void *tid, void *bid, void *block, void *grid, int *warp_size);
typedef int runtime_launch(const void *function, struct dim3 grid, struct dim3 block, void **args, size_t smem_bytes,
                           void *stream);
typedef int runtime_launch_ex(const struct config *config, const void *function, void **args);
typedef int driver_launch(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                          unsigned block_y, unsigned block_z, unsigned smem_bytes, void *stream, void **args,
                          void **extra);
typedef int driver_launch_ex(const struct driver_config *config, void *function, void **args, void **extra);

#endif
