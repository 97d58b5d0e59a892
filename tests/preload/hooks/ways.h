/* SPDX-License-Identifier: Apache-2.0 */
/*
 * find(NAME): a function of the driver, by one WAY: linked to libcuda (LINKED), by dlopen and dlsym (DLSYM), or by the
 * resolver (RESOLVER), which is first asked for itself, with these flags, as a CUDA runtime inside of a program does.
 */
#ifndef FUSELN_TEST_WAYS_H
#define FUSELN_TEST_WAYS_H

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef int any();

#if defined LINKED

#define FUNCTIONS(X)                                                                                               \
    X(cuInit)                                                                                                      \
    X(cuLaunchKernel)                                                                                              \
    X(cuLaunchKernel_ptsz)                                                                                         \
    X(cuLaunchKernelEx)                                                                                            \
    X(cuLaunchKernelEx_ptsz) X(cuLaunchCooperativeKernel) X(cuLaunchCooperativeKernel_ptsz) X(cuModuleGetFunction) \
        X(cuModuleUnload) X(cuModuleEnumerateFunctions) X(cuLibraryGetKernel) X(cuLibraryGetModule)                \
            X(cuLibraryEnumerateKernels) X(cuLibraryUnload) X(cuKernelGetFunction)
#define X(name) any name;
FUNCTIONS(X)
#undef X

static any *find(const char *name)
{
    static const struct {
        const char *name;
        any *function;
    } all[] = {
#define X(name) {#name, name},
        FUNCTIONS(X)
#undef X
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i].name, name) == 0)
            return all[i].function;
    return NULL;
}

#elif defined DLSYM

static any *find(const char *name)
{
    return (any *)dlsym(dlopen("libcuda.so.1", RTLD_NOW), name);
}

#elif defined RESOLVER

typedef int resolver(const char *name, void **ret_function, int version, uint64_t flags, int *ret_status);

static resolver *find_resolver(void)
{
    resolver *const ask = (resolver *)dlsym(dlopen("libcuda.so.1", RTLD_NOW), "cuGetProcAddress_v2");
    void *function = NULL;
    int status;
    ask("", &function, 0, 0, &status);
    ask("cuGetProcAddress", &function, 11030, 0, &status);
    if (!function)
        printf("the resolver does not know itself\n");
    ask("cuGetProcAddress", &function, 12000, RESOLVER, &status);
    return (resolver *)function;
}

static any *find(const char *name)
{
    static resolver *ask;
    char base[64] = "";
    void *function = NULL;
    int status;
    if (!ask)
        ask = find_resolver();
    const char *const ptsz = strstr(name, "_ptsz");
    strncat(base, name, ptsz ? (size_t)(ptsz - name) : sizeof base - 1);
    if (ask(base, &function, 13000, ptsz ? 2 : 0, &status) || status)
        printf("%s: status %d\n", name, status);
    return (any *)function;
}

#endif
#endif
