/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver that only prints that it was called: the function's name and what identifies the call. It stands behind the
 * hooks in test_driver.py, which expects the same words with and without fuseln. Each thread has its own handles, in
 * order, and again from the first one after an unload, as drivers reuse them.
 */
#include "../../cudart.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SAY(format, ...) printf("%s " format "\n", __func__, __VA_ARGS__)

enum { SUCCESS = 0, INVALID_VALUE = 1, NOT_FOUND = 500 };

static _Thread_local const char *names[64];
static _Thread_local char handles[64];
static _Thread_local int count;

static int is_ours(const char *name)
{
    return strncmp(name, "fuseln_", 7) == 0;
}

/* A kernel of fuseln's, which unloads nothing, is its name, so that no other gets its handle. */
static int get_handle(void **ret_handle, const char *name)
{
    if (count == 64)
        return INVALID_VALUE;
    if (!is_ours(name))
        names[count] = name;
    *ret_handle = is_ours(name) ? (void *)name : &handles[count++];
    return SUCCESS;
}

static const char *name_of(const void *handle)
{
    const size_t index = (size_t)((const char *)handle - handles);
    return index < 64 ? names[index] : handle;
}

/* Launches of the program return 7, so that it can tell that nobody else answered; ours succeed. */
static int result_of(const void *function)
{
    return is_ours(name_of(function)) ? SUCCESS : 7;
}

int cuInit(unsigned flags)
{
    SAY("%u", flags);
    count = 0; /* as if all had been unloaded by a call that nobody sees */
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
    int name(const struct driver_config *config, void *function, void **args, void **extra)                   \
    {                                                                                                         \
        SAY("%s %u %u %p %d %d", name_of(function), config->grid[0], config->attribute_count, config->stream, \
            args ? *(int *)args[0] : -1, extra != NULL);                                                      \
        return result_of(function);                                                                           \
    }
LAUNCH_EX(cuLaunchKernelEx)
LAUNCH_EX(cuLaunchKernelEx_ptsz)

#define GET(name)                                                \
    int name(void **ret_handle, void *owner, const char *kernel) \
    {                                                            \
        SAY("%p %s", owner, kernel);                             \
        return get_handle(ret_handle, kernel);                   \
    }
GET(cuModuleGetFunction)
GET(cuLibraryGetKernel)

int cuKernelGetFunction(void **ret_function, void *kernel)
{
    SAY("%s", name_of(kernel));
    return get_handle(ret_function, name_of(kernel));
}

int cuLibraryGetModule(void **ret_module, void *library)
{
    SAY("%p", library);
    *ret_module = (char *)library + 1;
    return SUCCESS;
}

/* An owner holds the first two that were asked for by name before; `wanted` is the room that there is for them. */
enum { HELD = 2 };
#define ENUMERATE(name)                                        \
    int name(void **ret_handles, unsigned wanted, void *owner) \
    {                                                          \
        SAY("%u %p", wanted, owner);                           \
        for (unsigned i = 0; i < wanted && i < HELD; i++)      \
            get_handle(&ret_handles[i], names[i]);             \
        return SUCCESS;                                        \
    }
ENUMERATE(cuModuleEnumerateFunctions)
ENUMERATE(cuLibraryEnumerateKernels)

#define GET_COUNT(name)                         \
    int name(unsigned *ret_count, void *owner)  \
    {                                           \
        *ret_count = owner ? HELD : 0;          \
        return owner ? SUCCESS : INVALID_VALUE; \
    }
GET_COUNT(cuModuleGetFunctionCount)
GET_COUNT(cuLibraryGetKernelCount)

#define GET_NAME(name)                            \
    int name(const char **ret_name, void *handle) \
    {                                             \
        *ret_name = name_of(handle);              \
        return SUCCESS;                           \
    }
GET_NAME(cuFuncGetName)
GET_NAME(cuKernelGetName)

#define UNLOAD(name)      \
    int name(void *owner) \
    {                     \
        SAY("%p", owner); \
        count = 0;        \
        return SUCCESS;   \
    }
UNLOAD(cuModuleUnload)
UNLOAD(cuLibraryUnload)

int cuGetProcAddress(const char *name, void **ret_function, int version, uint64_t flags);
int cuGetProcAddress_v2(const char *name, void **ret_function, int version, uint64_t flags, int *ret_status);
int cuGetProcAddress_v2_ptsz(const char *name, void **ret_function, int version, uint64_t flags, int *ret_status);

/* X(base name, version that it came with, 2 for the form for the per-thread stream, function) */
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

#ifdef ASKS /* a driver that looks its own functions up by name, in this handle, and must find its own */
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
