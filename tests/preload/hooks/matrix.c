/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matrix ENTRY LOOKUP KERNEL: one launch of the kernel of that name by that function, its handle got by that look-up:
 * of a runtime (RUNTIME), or of the driver, found by one WAY (ways.h).
 */
#include "launches.h"

#ifndef RUNTIME
#include "ways.h"
#endif

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#ifdef RUNTIME
register_image __cudaRegisterFatBinary;
register_function __cudaRegisterFunction;
int __cudaGetKernel(void **ret_kernel, const void *function);
runtime_launch cudaLaunchKernel, cudaLaunchKernel_ptsz, __cudaLaunchKernel, __cudaLaunchKernel_ptsz,
    cudaLaunchCooperativeKernel, cudaLaunchCooperativeKernel_ptsz;
runtime_launch_ex cudaLaunchKernelExC, cudaLaunchKernelExC_ptsz;

static int run(const char *entry, const char *look_up, const char *name)
{
    static const struct {
        const char *name;
        runtime_launch *launch;
        runtime_launch_ex *ex;
    } entries[] = {
        {"cudaLaunchKernel", cudaLaunchKernel, NULL},
        {"cudaLaunchKernel_ptsz", cudaLaunchKernel_ptsz, NULL},
        {"__cudaLaunchKernel", __cudaLaunchKernel, NULL},
        {"__cudaLaunchKernel_ptsz", __cudaLaunchKernel_ptsz, NULL},
        {"cudaLaunchCooperativeKernel", cudaLaunchCooperativeKernel, NULL},
        {"cudaLaunchCooperativeKernel_ptsz", cudaLaunchCooperativeKernel_ptsz, NULL},
        {"cudaLaunchKernelExC", NULL, cudaLaunchKernelExC},
        {"cudaLaunchKernelExC_ptsz", NULL, cudaLaunchKernelExC_ptsz},
        {"cudaLaunchKernelExC+cluster", NULL, cudaLaunchKernelExC},
    };
    const struct dim3 grid = {5, 1, 1}, block = {32, 4, 1};
    void *kernel = launch_memory, *fatbin = __cudaRegisterFatBinary(launch_memory);
    __cudaRegisterFunction(fatbin, launch_memory, "kernel", name, -1, NULL, NULL, NULL, NULL, NULL);
    if (strcmp(look_up, "handle") == 0)
        __cudaGetKernel(&kernel, launch_memory);
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        struct config config = {grid, block, 24, NULL, strchr(entry, '+') ? &cluster : &serialization, 1};
        if (strcmp(entries[i].name, entry) == 0)
            return entries[i].ex ? entries[i].ex(&config, kernel, launch_args)
                                 : entries[i].launch(kernel, grid, block, launch_args, 24, NULL);
    }
    return -1;
}
#else
static int run(const char *entry, const char *look_up, const char *name)
{
    struct driver_config config = {{5, 1, 1}, {32, 4, 1}, 24, NULL, strchr(entry, '+') ? &cluster : &serialization, 1};
    char function[64];
    void *kernel = NULL;
    snprintf(function, sizeof function, "%.*s", (int)strcspn(entry, "+"), entry);
    if (strcmp(look_up, "module") == 0)
        find("cuModuleGetFunction")(&kernel, launch_memory, name);
    else
        find("cuLibraryGetKernel")(&kernel, launch_memory, name);
    if (strcmp(look_up, "function") == 0)
        find("cuKernelGetFunction")(&kernel, kernel);
    if (strstr(entry, "Ex"))
        return find(function)(&config, kernel, launch_args, NULL);
    if (strstr(entry, "Cooperative"))
        return find(function)(kernel, 5, 1, 1, 32, 4, 1, 24, NULL, launch_args);
    return find(function)(kernel, 5, 1, 1, 32, 4, 1, 24, NULL, launch_args, NULL);
}
#endif

int main(int argc, char **argv)
{
    if (argc != 4 || !dlopen("libcuda.so.1", RTLD_NOW))
        return 2;
    printf("returned %d\n", run(argv[1], argv[2], argv[3]));
    return 0;
}
