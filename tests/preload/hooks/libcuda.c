/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver that only says that it was called: the function's name and what identifies the call. Stands behind the hooks
 * in test_driver.py, which compares what it says with and without fuseln. Handles are given out in order, in each
 * thread its own, and again from the first after an unload, as drivers reuse them.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SAY(format, ...) printf("%s " format "\n", __func__, __VA_ARGS__)

enum { SUCCESS = 0, INVALID_VALUE = 1, NOT_FOUND = 500 };

struct config {
    unsigned grid[3], block[3], smem_bytes;
    void *stream, *attributes;
    unsigned attribute_count;
};

static _Thread_local const char *names[64];
static _Thread_local char handles[64];
static _Thread_local int given;

static int give(void **ret_handle, const char *name)
{
    if (given == 64)
        return INVALID_VALUE;
    names[given] = name;
    *ret_handle = &handles[given++];
    return SUCCESS;
}

static const char *name_of(const void *handle)
{
    return names[(const char *)handle - handles];
}

/* Launches of the program return 7, so that it can tell that nobody else answered; ours succeed. */
static int result_of(const void *function)
{
    return strncmp(name_of(function), "fuseln_", 7) == 0 ? SUCCESS : 7;
}

int cuInit(unsigned flags)
{
    SAY("%u", flags);
    given = 0; /* as if what was loaded had been unloaded by a way that nobody sees */
    return SUCCESS;
}

#define LAUNCH(name, extra_parameter, extra_text, extra_value)                                                       \
    int name(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,           \
             unsigned smem, void *stream, void **args extra_parameter)                                               \
    {                                                                                                                \
        SAY("%s (%u,%u,%u) (%u,%u,%u) %u %p %d" extra_text, name_of(function), gx, gy, gz, bx, by, bz, smem, stream, \
            args ? *(int *)args[0] : -1 extra_value);                                                                \
        return result_of(function);                                                                                  \
    }
#define COMMA ,
LAUNCH(cuLaunchKernel, COMMA void **extra, " %d", COMMA extra != NULL)
LAUNCH(cuLaunchKernel_ptsz, COMMA void **extra, " %d", COMMA extra != NULL)
LAUNCH(cuLaunchCooperativeKernel, , "", )
LAUNCH(cuLaunchCooperativeKernel_ptsz, , "", )

#define LAUNCH_EX(name)                                                                                       \
    int name(const struct config *config, void *function, void **args, void **extra)                          \
    {                                                                                                         \
        SAY("%s %u %u %p %d %d", name_of(function), config->grid[0], config->attribute_count, config->stream, \
            args ? *(int *)args[0] : -1, extra != NULL);                                                      \
        return result_of(function);                                                                           \
    }
LAUNCH_EX(cuLaunchKernelEx)
LAUNCH_EX(cuLaunchKernelEx_ptsz)

int cuModuleGetFunction(void **ret_function, void *module, const char *name)
{
    SAY("%p %s", module, name);
    return give(ret_function, name);
}

int cuLibraryGetKernel(void **ret_kernel, void *library, const char *name)
{
    SAY("%p %s", library, name);
    return give(ret_kernel, name);
}

int cuKernelGetFunction(void **ret_function, void *kernel)
{
    SAY("%s", name_of(kernel));
    return give(ret_function, name_of(kernel));
}

int cuLibraryGetModule(void **ret_module, void *library)
{
    SAY("%p", library);
    *ret_module = (char *)library + 1;
    return SUCCESS;
}

/* Holds what was asked for before by name. */
int cuModuleEnumerateFunctions(void **ret_functions, unsigned count, void *module)
{
    SAY("%u %p", count, module);
    for (unsigned i = 0; i < count; i++)
        give(&ret_functions[i], names[i]);
    return SUCCESS;
}

int cuLibraryEnumerateKernels(void **ret_kernels, unsigned count, void *library)
{
    SAY("%u %p", count, library);
    for (unsigned i = 0; i < count; i++)
        give(&ret_kernels[i], names[i]);
    return SUCCESS;
}

int cuFuncGetName(const char **ret_name, void *function)
{
    *ret_name = name_of(function);
    return SUCCESS;
}

int cuKernelGetName(const char **ret_name, void *kernel)
{
    *ret_name = name_of(kernel);
    return SUCCESS;
}

int cuModuleUnload(void *module)
{
    SAY("%p", module);
    given = 0;
    return SUCCESS;
}

int cuLibraryUnload(void *library)
{
    SAY("%p", library);
    given = 0;
    return SUCCESS;
}

int cuGetProcAddress(const char *name, void **ret_function, int version, uint64_t flags);
int cuGetProcAddress_v2(const char *name, void **ret_function, int version, uint64_t flags, int *ret_status);
int cuGetProcAddress_v2_ptsz(const char *name, void **ret_function, int version, uint64_t flags, int *ret_status);

/* A base name, the version that it came with, whether for the per-thread stream: X(base, version, ptsz, function) */
// clang-format off
#define FUNCTIONS(X) \
    X(cuInit, 2000, 0, cuInit) \
    X(cuGetProcAddress, 11030, 0, cuGetProcAddress) \
    X(cuGetProcAddress, 12000, 0, cuGetProcAddress_v2) \
    X(cuGetProcAddress, 12000, 2, cuGetProcAddress_v2_ptsz) \
    X(cuLaunchKernel, 4000, 0, cuLaunchKernel) \
    X(cuLaunchKernel, 7000, 2, cuLaunchKernel_ptsz) \
    X(cuLaunchKernelEx, 11060, 0, cuLaunchKernelEx) \
    X(cuLaunchKernelEx, 11060, 2, cuLaunchKernelEx_ptsz) \
    X(cuLaunchCooperativeKernel, 9000, 0, cuLaunchCooperativeKernel) \
    X(cuLaunchCooperativeKernel, 9000, 2, cuLaunchCooperativeKernel_ptsz) \
    X(cuModuleGetFunction, 2000, 0, cuModuleGetFunction) \
    X(cuLibraryGetKernel, 12000, 0, cuLibraryGetKernel) \
    X(cuKernelGetFunction, 12000, 0, cuKernelGetFunction) \
    X(cuLibraryGetModule, 12000, 0, cuLibraryGetModule) \
    X(cuModuleEnumerateFunctions, 12040, 0, cuModuleEnumerateFunctions) \
    X(cuLibraryEnumerateKernels, 12040, 0, cuLibraryEnumerateKernels) \
    X(cuModuleUnload, 2000, 0, cuModuleUnload) \
    X(cuLibraryUnload, 12000, 0, cuLibraryUnload)
// clang-format on

#ifdef ASKS /* a driver that looks its own functions up by name, in this handle, and knows them */
#define FUNCTION(function) (dlsym(ASKS, #function) == (void *)function ? (void *)function : NULL)
#else
#define FUNCTION(function) ((void *)function)
#endif

static int resolve(const char *name, void **ret_function, int version, uint64_t flags)
{
    int status = 1, best = -1; /* CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND */
    *ret_function = NULL;
#define X(base, since, ptsz, function)                                         \
    if (strcmp(name, #base) == 0) {                                            \
        status = status == 1 ? 2 : status; /* VERSION_NOT_SUFFICIENT */        \
        if (since <= version && since + ptsz > best && (!ptsz || flags & 2)) { \
            best = since + ptsz, status = 0;                                   \
            *ret_function = FUNCTION(function);                                \
        }                                                                      \
    }
    FUNCTIONS(X)
#undef X
    return status;
}

int cuGetProcAddress_v2(const char *name, void **ret_function, int version, uint64_t flags, int *ret_status)
{
    if (!name || !ret_function)
        return INVALID_VALUE;
    int status = resolve(name, ret_function, version, flags);
    if (ret_status)
        *ret_status = status;
    return SUCCESS;
}

int cuGetProcAddress_v2_ptsz(const char *name, void **ret_function, int version, uint64_t flags, int *ret_status)
{
    return cuGetProcAddress_v2(name, ret_function, version, flags, ret_status);
}

int cuGetProcAddress(const char *name, void **ret_function, int version, uint64_t flags)
{
    return name && ret_function && resolve(name, ret_function, version, flags) == 0 ? SUCCESS : NOT_FOUND;
}
