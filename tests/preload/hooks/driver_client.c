/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library that uses the driver API, made for one WAY to its functions: linked to libcuda (LINKED), through dlopen and
 * dlsym (DLSYM), or as a CUDA runtime inside of it would, through the resolver, which it asks for itself first
 * (RESOLVER). Gets a layer-norm kernel and another one by each look-up and launches both by every function.
 */
#include "launches.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int launch(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned smem_bytes, void *stream, void **args, void **extra);
typedef int launch_ex(const struct driver_config *config, void *function, void **args, void **extra);
typedef int cooperative(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                        unsigned smem_bytes, void *stream, void **args);
typedef int by_name(void **ret_handle, void *owner, const char *name);
typedef int enumerate(void **ret_handles, unsigned count, void *owner);
typedef int convert(void **ret_handle, void *handle);
typedef int unload(void *owner);
typedef int init(unsigned flags);

/* X(type, exported name, base name, flags) */
// clang-format off
#define FUNCTIONS(X) \
    X(launch, cuLaunchKernel, cuLaunchKernel, 0) \
    X(launch, cuLaunchKernel_ptsz, cuLaunchKernel, 2) \
    X(launch_ex, cuLaunchKernelEx, cuLaunchKernelEx, 0) \
    X(launch_ex, cuLaunchKernelEx_ptsz, cuLaunchKernelEx, 2) \
    X(cooperative, cuLaunchCooperativeKernel, cuLaunchCooperativeKernel, 0) \
    X(cooperative, cuLaunchCooperativeKernel_ptsz, cuLaunchCooperativeKernel, 2) \
    X(by_name, cuModuleGetFunction, cuModuleGetFunction, 0) \
    X(by_name, cuLibraryGetKernel, cuLibraryGetKernel, 0) \
    X(convert, cuKernelGetFunction, cuKernelGetFunction, 0) \
    X(convert, cuLibraryGetModule, cuLibraryGetModule, 0) \
    X(enumerate, cuModuleEnumerateFunctions, cuModuleEnumerateFunctions, 0) \
    X(enumerate, cuLibraryEnumerateKernels, cuLibraryEnumerateKernels, 0) \
    X(unload, cuModuleUnload, cuModuleUnload, 0) \
    X(unload, cuLibraryUnload, cuLibraryUnload, 0) \
    X(init, cuInit, cuInit, 0)
// clang-format on

#define X(type, symbol, base, flags) type symbol;
FUNCTIONS(X)
#undef X

static struct {
#define X(type, symbol, base, flags) type *symbol;
    FUNCTIONS(X)
#undef X
} driver;

#if defined(RESOLVER)
typedef int resolver(const char *name, void **ret_function, int version, uint64_t flags, int *ret_status);
static void find_all(void)
{
    resolver *ask = (resolver *)dlsym(dlopen("libcuda.so.1", RTLD_NOW), "cuGetProcAddress_v2");
    int status;
    void *found = NULL;
    ask("", &found, 0, 0, &status);
    ask("cuGetProcAddress", &found, 11030, 0, &status);
    if (!found)
        printf("the resolver does not know itself\n");
    ask("cuGetProcAddress", &found, 12000, RESOLVER, &status);
    ask = (resolver *)found;
#define X(type, symbol, base, flags)                         \
    if (ask(#base, &found, 13000, flags, &status) || status) \
        printf("%s: status %d\n", #symbol, status);          \
    driver.symbol = (type *)found;
    FUNCTIONS(X)
#undef X
}
#elif defined(DLSYM)
static void find_all(void)
{
    void *libcuda = dlopen("libcuda.so.1", RTLD_NOW);
#define X(type, symbol, base, flags) driver.symbol = (type *)dlsym(libcuda, #symbol);
    FUNCTIONS(X)
#undef X
}
#else
static void find_all(void)
{
#define X(type, symbol, base, flags) driver.symbol = symbol;
    FUNCTIONS(X)
#undef X
}
#endif

static void launch_all(void *function)
{
    static struct {
        int n;
        float eps;
        void *x, *gamma, *beta, *mean, *rstd, *y;
    } packed = {768, 1e-5f, launch_memory, NULL, NULL, launch_memory, launch_memory, launch_memory};
    void **args = launch_args;
    size_t bytes = sizeof packed;
    void *extra[] = {(void *)1, &packed, (void *)2, &bytes, NULL};
    struct driver_config config = {{5, 1, 1}, {32, 4, 1}, 24, (void *)0x40, &serialization, 1};
    int sum = driver.cuLaunchKernel(function, 5, 1, 1, 32, 4, 1, 24, (void *)0x40, args, NULL);

    sum += driver.cuLaunchKernel_ptsz(function, 5, 1, 1, 32, 4, 1, 24, NULL, args, NULL);
    sum += driver.cuLaunchKernel(function, 5, 1, 1, 32, 4, 1, 24, NULL, NULL, extra);
    bytes -= 8; /* lacks the last one */
    sum += driver.cuLaunchKernel(function, 5, 1, 1, 32, 4, 1, 24, NULL, NULL, extra);
    sum += driver.cuLaunchKernelEx(&config, function, args, NULL);
    sum += driver.cuLaunchKernelEx_ptsz(&config, function, args, NULL);
    config.attributes = &cluster;
    sum += driver.cuLaunchKernelEx(&config, function, args, NULL);
    sum += driver.cuLaunchCooperativeKernel(function, 5, 1, 1, 32, 4, 1, 24, NULL, args);
    sum += driver.cuLaunchCooperativeKernel_ptsz(function, 5, 1, 1, 32, 4, 1, 24, NULL, args);
    printf("sum %d\n", sum);
}

void client_run(void);
void client_run(void)
{
    void *module = (void *)0x100, *library = (void *)0x200, *of_library, *known[2], *handle;

    if (!driver.cuLaunchKernel)
        find_all();
    for (int other = 0; other < 2; other++) {
        driver.cuModuleGetFunction(&handle, module, other ? "_Z5otherv" : SYMBOL);
        launch_all(handle);
    }
    driver.cuModuleEnumerateFunctions(known, 2, module);
    for (int other = 0; other < 2; other++)
        launch_all(known[other]);
    driver.cuModuleUnload(module);
    launch_all(known[0]); /* gone: it is nobody's now */
    driver.cuModuleGetFunction(&handle, module, SYMBOL);
    driver.cuInit(0);
    driver.cuModuleGetFunction(&handle, module, "_Z5otherv"); /* that handle again */
    launch_all(handle);
    driver.cuModuleUnload(module);

    for (int other = 0; other < 2; other++) {
        driver.cuLibraryGetKernel(&handle, library, other ? "_Z5otherv" : SYMBOL);
        launch_all(handle);
        driver.cuKernelGetFunction(&handle, handle);
        launch_all(handle);
    }
    driver.cuLibraryUnload(library);
    driver.cuLibraryGetModule(&of_library, library);
    driver.cuModuleGetFunction(&handle, of_library, SYMBOL);
    launch_all(handle);
    driver.cuLibraryUnload(library); /* and its module with it */
    launch_all(handle);
    driver.cuLibraryGetKernel(&handle, library, SYMBOL);
    driver.cuLibraryGetKernel(&known[0], library, "_Z5otherv");
    driver.cuLibraryEnumerateKernels(known, 2, library);
    for (int other = 0; other < 2; other++)
        launch_all(known[other]);
    driver.cuLibraryUnload(library);
}

#ifdef EXIT_AT_LOAD
/* The program ends while the loader is at work. */
__attribute__((constructor)) static void leave(void)
{
    client_run();
    exit(0);
}
#endif
