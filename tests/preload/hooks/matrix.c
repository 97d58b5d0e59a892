/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matrix ENTRY LOOKUP KERNEL: one launch of the kernel of that name by that function, its handle got by that look-up,
 * made for one WAY as driver_client.c (LINKED, DLSYM, RESOLVER) or for a runtime (RUNTIME).
 */
#include "launches.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef RUNTIME
void **__cudaRegisterFatBinary(void *image);
void __cudaRegisterFunction(void **handle, const char *host_function, char *device_function, const char *device_name,
                            int thread_limit, void *tid, void *bid, void *block, void *grid, int *warp_size);
int __cudaGetKernel(void **ret_kernel, const void *function);
typedef int launch(const void *function, struct dim3 grid, struct dim3 block, void **args, size_t smem_bytes,
                   void *stream);
typedef int launch_ex(const struct config *config, const void *function, void **args);
launch cudaLaunchKernel, cudaLaunchKernel_ptsz, __cudaLaunchKernel, __cudaLaunchKernel_ptsz,
    cudaLaunchCooperativeKernel, cudaLaunchCooperativeKernel_ptsz;
launch_ex cudaLaunchKernelExC, cudaLaunchKernelExC_ptsz;

static int run(const char *entry, const char *look_up, const char *name)
{
    static const struct {
        const char *name;
        launch *launch;
        launch_ex *ex;
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
    void *kernel = launch_memory, **fatbin = __cudaRegisterFatBinary(launch_memory);
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
typedef int any();
typedef int resolver(const char *name, void **ret_function, int version, uint64_t flags, int *ret_status);

#ifdef LINKED
any cuLaunchKernel, cuLaunchKernel_ptsz, cuLaunchKernelEx, cuLaunchKernelEx_ptsz, cuLaunchCooperativeKernel,
    cuLaunchCooperativeKernel_ptsz, cuModuleGetFunction, cuLibraryGetKernel, cuKernelGetFunction;
#define ENTRY(name) \
    {               \
#name, name \
    }
static any *find(const char *name)
{
    static const struct {
        const char *name;
        any *function;
    } all[] = {ENTRY(cuLaunchKernel),        ENTRY(cuLaunchKernel_ptsz),       ENTRY(cuLaunchKernelEx),
               ENTRY(cuLaunchKernelEx_ptsz), ENTRY(cuLaunchCooperativeKernel), ENTRY(cuLaunchCooperativeKernel_ptsz),
               ENTRY(cuModuleGetFunction),   ENTRY(cuLibraryGetKernel),        ENTRY(cuKernelGetFunction)};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i].name, name) == 0)
            return all[i].function;
    return NULL;
}
#elif defined(DLSYM)
static any *find(const char *name)
{
    return (any *)dlsym(dlopen("libcuda.so.1", RTLD_NOW), name);
}
#else
static any *find(const char *name)
{
    static resolver *ask;
    char base[64] = "";
    void *function = NULL;
    int status;
    if (!ask) {
        ask = (resolver *)dlsym(dlopen("libcuda.so.1", RTLD_NOW), "cuGetProcAddress_v2");
        ask("cuGetProcAddress", &function, 12000, RESOLVER, &status);
        ask = (resolver *)function;
    }
    const char *ptsz = strstr(name, "_ptsz");
    strncat(base, name, ptsz ? (size_t)(ptsz - name) : sizeof base - 1);
    ask(base, &function, 13000, ptsz ? 2 : 0, &status);
    return (any *)function;
}
#endif

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
