/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers the same layer norm in more fat binaries than fuseln has room for, one after the other, half of them before
 * the first launch, and launches what the first and the last registered.
 */
#include "launches.h"

void __cudaRegisterFunction(void **handle, const char *host_function, char *device_function, const char *device_name,
                            int thread_limit, void *tid, void *bid, void *block, void *grid, int *warp_size);
int cudaLaunchKernel(const void *function, struct dim3 grid, struct dim3 block, void **args, size_t smem_bytes,
                     void *stream);

static char owners[OWNERS], functions[OWNERS];

static void launch(size_t i)
{
    cudaLaunchKernel(&functions[i], (struct dim3){5, 1, 1}, (struct dim3){32, 4, 1}, launch_args, 0, NULL);
}

int main(void)
{
    for (size_t i = 0; i < OWNERS; i++) {
        __cudaRegisterFunction((void **)&owners[i], &functions[i], "kernel", SYMBOL, -1, NULL, NULL, NULL, NULL, NULL);
        if (i == OWNERS / 2)
            launch(i);
    }
    launch(0);
    launch(OWNERS - 1);
    return 0;
}
