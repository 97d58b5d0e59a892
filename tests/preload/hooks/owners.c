/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers the same layer norm in more fat binaries than fuseln has room for, one after the other, half of them before
 * the first launch, and launches what the first and the last registered.
 */
#include "launches.h"

register_function __cudaRegisterFunction;
runtime_launch cudaLaunchKernel;

static char owners[OWNERS], functions[OWNERS];

static void launch(size_t i)
{
    cudaLaunchKernel(&functions[i], (struct dim3){5, 1, 1}, (struct dim3){32, 4, 1}, launch_args, 0, NULL);
}

int main(void)
{
    for (size_t i = 0; i < OWNERS; i++) {
        __cudaRegisterFunction(&owners[i], &functions[i], "kernel", SYMBOL, -1, NULL, NULL, NULL, NULL, NULL);
        if (i == OWNERS / 2)
            launch(i);
    }
    launch(0);
    launch(OWNERS - 1);
    return 0;
}
