/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands for a program's library, such as apex's fused_layer_norm_cuda: registers kernels by their names (NAMES: the
 * lines NAME("..."), in a file) when it is loaded, and launches one by the CUDA runtime. Which arguments a launch has
 * is up to its caller (use_apex_norms.py). FATBIN: a file with its fat binary; without it there is none, and the
 * software device takes any name. HANDLES: launches by the kernel's handle, as what nvcc 13 compiled does.
 */
#include "../cudart.h"

#include <string.h>

register_image __cudaRegisterFatBinary;
register_function __cudaRegisterFunction;
runtime_launch cudaLaunchKernel;
void __cudaUnregisterFatBinary(void *fatbin);

#define NAME(name) name,
static char *const names[] = {
#include NAMES
};
enum { COUNT = sizeof names / sizeof *names };

#ifdef FATBIN
__asm__(".pushsection .nv_fatbin, \"a\"\n.balign 8\nimages: .incbin \"" FATBIN "\"\n.popsection");
extern const char images[] __attribute__((visibility("hidden")));
#else
#define images NULL
#endif

static char host_functions[COUNT];
static void *fatbin;

static __attribute__((constructor)) void load(void)
{
    static struct {
        int magic, version;
        const void *data, *names;
    } wrapper = {0x466243b1, 1, images, NULL}; /* __fatBinC_Wrapper_t */
    fatbin = __cudaRegisterFatBinary(&wrapper);
    for (int i = 0; i < COUNT; i++)
        __cudaRegisterFunction(fatbin, &host_functions[i], names[i], names[i], -1, NULL, NULL, NULL, NULL, NULL);
}

static __attribute__((destructor)) void unload(void)
{
    __cudaUnregisterFatBinary(fatbin);
}

#ifdef HANDLES
int __cudaGetKernel(void **ret_kernel, const void *host_function);
runtime_launch __cudaLaunchKernel;

static int launch(int kernel, struct dim3 grid, struct dim3 block, void **args, size_t smem_bytes, void *stream)
{
    static void *handles[COUNT];
    const int error = handles[kernel] ? 0 : __cudaGetKernel(&handles[kernel], &host_functions[kernel]);
    return error ? error : __cudaLaunchKernel(handles[kernel], grid, block, args, smem_bytes, stream);
}
#else
static int launch(int kernel, struct dim3 grid, struct dim3 block, void **args, size_t smem_bytes, void *stream)
{
    return cudaLaunchKernel(&host_functions[kernel], grid, block, args, smem_bytes, stream);
}
#endif

void *registered_stream; /* of the launches; the default stream unless the program sets another */

/* Launches the kernel of this index; returns a cudaError_t. */
int registered_launch(int kernel, const unsigned grid[2], const unsigned block[2], size_t smem_bytes, void **args)
{
    const struct dim3 blocks = {grid[0], grid[1], 1}, threads = {block[0], block[1], 1};
    return launch(kernel, blocks, threads, args, smem_bytes, registered_stream);
}

/* The index of this kernel; COUNT: there is none. */
int registered_find(const char *name)
{
    int i = 0;
    while (i < COUNT && strcmp(names[i], name) != 0)
        i++;
    return i;
}
