/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program with the CUDA runtime inside (linked to libcudart_static.a): registers a layer-norm kernel as nvcc's code
 * does, and launches it. Without a real driver the runtime asks for all its functions and then fails to start.
 */
#include "../cudart.h"

#include <stdio.h>

register_image __cudaRegisterFatBinary;
void __cudaRegisterFatBinaryEnd(void *fatbin);
register_function __cudaRegisterFunction;
runtime_launch cudaLaunchKernel;

/* An empty fat binary: __fatBinC_Wrapper_t of fatbinary_section.h around a header. */
static const unsigned long long image[] = {0x0010000100000000ull | 0xba55ed50u, 0};
static const struct {
    int magic, version;
    const void *data, *names;
} wrapper = {0x466243b1, 1, image, NULL};

static void kernel(void) {}

int main(void)
{
    const struct dim3 one = {1, 1, 1};
    void *args[] = {NULL}, *fatbin = __cudaRegisterFatBinary((void *)&wrapper);
    __cudaRegisterFunction(fatbin, (const char *)kernel, "kernel", "kernel", -1, NULL, NULL, NULL, NULL, NULL);
    __cudaRegisterFatBinaryEnd(fatbin);
    printf("cudaLaunchKernel: %d\n", cudaLaunchKernel((const void *)kernel, one, one, args, 0, NULL));
    return 0;
}
