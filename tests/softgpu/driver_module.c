/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules, libraries, kernels and functions of the stand-in driver. A module is an image whose kernels were read
 * (driver_image.c): a name is found only if the image holds it, and a kernel of ours only if this library holds its
 * CPU build too. A library (what the runtime registers) gives any name: its kernels are originals.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver_objects.h"
#include "executor.h"

enum { SMEM_BYTES_DEFAULT = 49152, REGISTERS_PER_SM = 65536, REGISTER_GRANULARITY = 8, THREADS_PER_SM = 2048 };
static const char OUR_PREFIX[] = "fuseln_";

static void *cpu_build_find(const char *name)
{
    Dl_info info;
    void *self = NULL;
    if (dladdr((void *)OUR_PREFIX, &info))
        self = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    return dlsym(self ? self : RTLD_DEFAULT, name);
}

static void unload(CUmodule module)
{
    struct softgpu_object *object = NULL;
    softgpu_order_wait(NULL);
    for (int kind = SOFTGPU_KERNEL; kind <= SOFTGPU_FUNCTION; ++kind)
        while ((object = softgpu_object_next(object, (enum softgpu_kind)kind)))
            if (((CUfunction)object)->module == module)
                softgpu_object_kill(object);
    for (size_t i = 0; i < module->kernel_count; ++i)
        free(module->kernels[i].name);
    free(module->kernels);
    softgpu_object_kill(module);
}

CUresult cuModuleLoadData(CUmodule *ret_module, const void *image)
{
    CUcontext context;
    CUresult result = softgpu_context_ready(&context);
    result = result ? result : softgpu_capture_forbids();
    if (result != CUDA_SUCCESS)
        return result;
    CUmodule module = softgpu_object_make(SOFTGPU_MODULE, sizeof *module);
    if (!module)
        return CUDA_ERROR_OUT_OF_MEMORY;
    module->context = context;
    result = softgpu_image_read(image, module);
    if (result == CUDA_SUCCESS)
        *ret_module = module;
    else
        unload(module);
    return result;
}

/* The image with a zero behind it: it may be PTX. */
CUresult cuModuleLoad(CUmodule *ret_module, const char *path)
{
    struct stat info;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        if (fd >= 0)
            close(fd);
        return CUDA_ERROR_FILE_NOT_FOUND;
    }
    char *image = calloc(1, (size_t)info.st_size + 1);
    const bool is_read = image && read(fd, image, (size_t)info.st_size) == info.st_size;
    const CUresult result = is_read ? cuModuleLoadData(ret_module, image) : CUDA_ERROR_FILE_NOT_FOUND;
    free(image);
    close(fd);
    return result;
}

CUresult cuModuleLoadDataEx(CUmodule *ret_module, const void *image, unsigned count, const int *options, void **values)
{
    (void)count, (void)options, (void)values;
    return cuModuleLoadData(ret_module, image);
}

CUresult cuModuleLoadFatBinary(CUmodule *ret_module, const void *image)
{
    return cuModuleLoadData(ret_module, image);
}

CUresult cuModuleUnload(CUmodule module)
{
    if (!softgpu_object_is(module, SOFTGPU_MODULE))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult result = softgpu_capture_forbids();
    if (result == CUDA_SUCCESS)
        unload(module);
    return result;
}

CUresult cuModuleGetLoadingMode(int *ret_mode)
{
    *ret_mode = 2; /* lazy */
    return CUDA_SUCCESS;
}

CUresult cuLibraryLoadData(CUmodule *ret_library, const void *code, const int *jit_options, void **jit_values,
                           unsigned jit_count, const int *options, void **values, unsigned count)
{
    (void)jit_options, (void)jit_values, (void)jit_count, (void)options, (void)values, (void)count;
    CUmodule library = code ? softgpu_object_make(SOFTGPU_LIBRARY, sizeof *library) : NULL;
    if (!library)
        return code ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_VALUE;
    library->any_name = true;
    *ret_library = library;
    return CUDA_SUCCESS;
}

CUresult cuLibraryUnload(CUmodule library)
{
    if (!softgpu_object_is(library, SOFTGPU_LIBRARY))
        return CUDA_ERROR_INVALID_HANDLE;
    unload(library);
    return CUDA_SUCCESS;
}

CUresult cuLibraryGetModule(CUmodule *ret_module, CUmodule library)
{
    CUcontext context;
    CUresult result = softgpu_context_ready(&context);
    if (result != CUDA_SUCCESS || !softgpu_object_is(library, SOFTGPU_LIBRARY))
        return result ? result : CUDA_ERROR_INVALID_HANDLE;
    CUmodule module = softgpu_object_make(SOFTGPU_MODULE, sizeof *module);
    if (!module)
        return CUDA_ERROR_OUT_OF_MEMORY;
    module->context = context;
    module->any_name = true;
    *ret_module = module;
    return CUDA_SUCCESS;
}

static CUfunction made_before(enum softgpu_kind kind, CUmodule module, const char *name)
{
    struct softgpu_object *object = NULL;
    while ((object = softgpu_object_next(object, kind)))
        if (((CUfunction)object)->module == module && strcmp(((CUfunction)object)->name, name) == 0)
            return (CUfunction)object;
    return NULL;
}

/* The same handle for the same name, as drivers give it. */
static CUresult kernel_get(CUfunction *ret_kernel, enum softgpu_kind kind, CUmodule module, const char *name,
                           const struct softgpu_image_kernel *facts)
{
    CUfunction kernel = made_before(kind, module, name);
    void *run = facts && strncmp(name, OUR_PREFIX, sizeof OUR_PREFIX - 1) == 0 ? cpu_build_find(name) : NULL;
    if (facts && !run && strncmp(name, OUR_PREFIX, sizeof OUR_PREFIX - 1) == 0) {
        softgpu_error("kernel %s is in the image but was not compiled for the CPU", name);
        return CUDA_ERROR_NOT_FOUND;
    }
    if (!kernel) {
        kernel = softgpu_object_make(kind, sizeof *kernel + strlen(name) + 1);
        if (!kernel)
            return CUDA_ERROR_OUT_OF_MEMORY;
        strcpy(kernel->name, name);
        kernel->module = module;
        kernel->facts = facts ? *facts : (struct softgpu_image_kernel){0};
        memcpy(&kernel->run, &run, sizeof run);
        kernel->smem_dynamic_max = SMEM_BYTES_DEFAULT - kernel->facts.smem_static_bytes;
    }
    *ret_kernel = kernel;
    return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *ret_function, CUmodule module, const char *name)
{
    if (!softgpu_object_is(module, SOFTGPU_MODULE))
        return CUDA_ERROR_INVALID_HANDLE;
    for (size_t i = 0; i < module->kernel_count; ++i)
        if (strcmp(module->kernels[i].name, name) == 0)
            return kernel_get(ret_function, SOFTGPU_FUNCTION, module, name, &module->kernels[i]);
    return module->any_name ? kernel_get(ret_function, SOFTGPU_FUNCTION, module, name, NULL) : CUDA_ERROR_NOT_FOUND;
}

CUresult cuLibraryGetKernel(CUfunction *ret_kernel, CUmodule library, const char *name)
{
    if (!softgpu_object_is(library, SOFTGPU_LIBRARY))
        return CUDA_ERROR_INVALID_HANDLE;
    return kernel_get(ret_kernel, SOFTGPU_KERNEL, library, name, NULL);
}

CUresult cuKernelGetFunction(CUfunction *ret_function, CUfunction kernel)
{
    if (!softgpu_object_is(kernel, SOFTGPU_KERNEL))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult result = CUDA_SUCCESS;
    if (!kernel->function)
        result = kernel_get(&kernel->function, SOFTGPU_FUNCTION, kernel->module, kernel->name, NULL);
    *ret_function = kernel->function;
    return result;
}

/* X(function, kind of the handle, type and expression of what it gives): a kernel is no function, nor the reverse. */
#define KERNEL_GETTERS(X)                                   \
    X(cuKernelGetLibrary, SOFTGPU_KERNEL, CUmodule, module) \
    X(cuFuncGetModule, SOFTGPU_FUNCTION, CUmodule, module)  \
    X(cuKernelGetName, SOFTGPU_KERNEL, const char *, name)  \
    X(cuFuncGetName, SOFTGPU_FUNCTION, const char *, name)
#define X(function, kind, type, value)              \
    CUresult function(type *ret, CUfunction handle) \
    {                                               \
        if (!softgpu_object_is(handle, kind))       \
            return CUDA_ERROR_INVALID_HANDLE;       \
        *ret = handle->value;                       \
        return CUDA_SUCCESS;                        \
    }
KERNEL_GETTERS(X)
#undef X
#undef KERNEL_GETTERS

enum function_attribute {
    THREADS_MAX,
    SMEM_STATIC,
    CONSTANT,
    LOCAL,
    REGISTERS,
    PTX,
    BINARY,
    CACHE_CA,
    SMEM_DYNAMIC_MAX
};

static CUresult attribute_get(int *ret_value, int attribute, CUfunction function)
{
    const struct softgpu_facts *device = softgpu_facts_get();
    int threads_max = function->facts.threads_max ? (int)function->facts.threads_max : SOFTGPU_BLOCK_THREADS_MAX;
    switch (attribute) {
    case THREADS_MAX:
        *ret_value = threads_max;
        return CUDA_SUCCESS;
    case SMEM_STATIC:
        *ret_value = (int)function->facts.smem_static_bytes;
        return CUDA_SUCCESS;
    case REGISTERS:
        *ret_value = function->facts.registers ? (int)function->facts.registers : 32;
        return CUDA_SUCCESS;
    case PTX:
    case BINARY:
        *ret_value = device->cc_major * 10 + device->cc_minor;
        return CUDA_SUCCESS;
    case SMEM_DYNAMIC_MAX:
        *ret_value = (int)function->smem_dynamic_max;
        return CUDA_SUCCESS;
    default:
        *ret_value = 0;
        return attribute > SMEM_DYNAMIC_MAX + 7 || attribute < 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
    }
}

static CUresult attribute_set(CUfunction function, int attribute, int value)
{
    if (attribute != SMEM_DYNAMIC_MAX)
        return attribute > SMEM_DYNAMIC_MAX ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    if (value < 0 || (unsigned)value + function->facts.smem_static_bytes > SOFTGPU_SMEM_BYTES_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    function->smem_dynamic_max = (unsigned)value;
    return CUDA_SUCCESS;
}

CUresult cuFuncGetAttribute(int *ret_value, int attribute, CUfunction function)
{
    bool known = softgpu_object_is(function, SOFTGPU_FUNCTION) || softgpu_object_is(function, SOFTGPU_KERNEL);
    return known ? attribute_get(ret_value, attribute, function) : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuFuncSetAttribute(CUfunction function, int attribute, int value)
{
    bool known = softgpu_object_is(function, SOFTGPU_FUNCTION) || softgpu_object_is(function, SOFTGPU_KERNEL);
    return known ? attribute_set(function, attribute, value) : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuFuncSetCacheConfig(CUfunction function, int config)
{
    (void)function, (void)config;
    return CUDA_SUCCESS;
}

CUresult cuKernelGetAttribute(int *ret_value, int attribute, CUfunction kernel, CUdevice device)
{
    (void)device;
    return cuFuncGetAttribute(ret_value, attribute, kernel);
}

CUresult cuKernelSetAttribute(int attribute, int value, CUfunction kernel, CUdevice device)
{
    (void)device;
    return cuFuncSetAttribute(kernel, attribute, value);
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *ret_blocks, CUfunction function, int threads,
                                                     size_t smem_bytes)
{
    int registers;
    CUresult result = cuFuncGetAttribute(&registers, REGISTERS, function);
    if (result != CUDA_SUCCESS || threads <= 0)
        return result ? result : CUDA_ERROR_INVALID_VALUE;
    int granted = (registers + REGISTER_GRANULARITY - 1) / REGISTER_GRANULARITY * REGISTER_GRANULARITY;
    int rounded = (threads + 31) / 32 * 32;
    int blocks = REGISTERS_PER_SM / (granted * rounded);
    int by_threads = THREADS_PER_SM / rounded;
    int by_smem = (int)(233472 / (smem_bytes + function->facts.smem_static_bytes + 1024));
    blocks = by_threads < blocks ? by_threads : blocks;
    blocks = by_smem < blocks ? by_smem : blocks;
    *ret_blocks = blocks < 32 ? blocks : 32;
    return CUDA_SUCCESS;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *ret_blocks, CUfunction function, int threads,
                                                              size_t smem_bytes, unsigned flags)
{
    (void)flags;
    return cuOccupancyMaxActiveBlocksPerMultiprocessor(ret_blocks, function, threads, smem_bytes);
}
