/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules, libraries, kernels and functions of the stand-in driver. A module is an image whose kernels were read
 * (driver_image.c): a name is found only if the image holds it, and a kernel of ours only if this library also holds
 * its CPU build. A fat binary, as the runtime registers it, has a kernel for any name: those are originals, of which it
 * may tell the parameters.
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
    softgpu_order_wait(NULL);
    for (int kind = SOFTGPU_KERNEL; kind <= SOFTGPU_FUNCTION; ++kind)
        for (CUfunction function = NULL; (function = softgpu_object_next(function, (enum softgpu_kind)kind));)
            if (function->module == module)
                softgpu_object_kill(function);
    for (size_t i = 0; i < module->kernel_count; ++i) {
        free(module->kernels[i].name);
        free(module->kernels[i].params);
    }
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
    module->context = context;
    result = softgpu_image_read(image, module);
    if (result == CUDA_SUCCESS)
        *ret_module = module;
    else
        unload(module);
    return result;
}

/* Appends a zero byte to the image, which may be PTX text. */
CUresult cuModuleLoad(CUmodule *ret_module, const char *path)
{
    struct stat info;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        if (fd >= 0)
            close(fd);
        return CUDA_ERROR_FILE_NOT_FOUND;
    }
    char *image = softgpu_realloc(NULL, (size_t)info.st_size + 1);
    image[info.st_size] = 0;
    const bool is_read = read(fd, image, (size_t)info.st_size) == info.st_size;
    const CUresult result = is_read ? cuModuleLoadData(ret_module, image) : CUDA_ERROR_FILE_NOT_FOUND;
    free(image);
    close(fd);
    return result;
}

CUresult cuModuleLoadDataEx(CUmodule *ret_module, const void *image, unsigned count, CUjit_option *options,
                            void **values)
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

CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode *ret_mode)
{
    *ret_mode = CU_MODULE_LAZY_LOADING;
    return CUDA_SUCCESS;
}

CUresult cuLibraryLoadData(CUlibrary *ret_library, const void *code, CUjit_option *jit_options, void **jit_values,
                           unsigned jit_count, CUlibraryOption *options, void **values, unsigned count)
{
    (void)jit_options, (void)jit_values, (void)jit_count, (void)options, (void)values, (void)count;
    CUmodule library = softgpu_object_make(SOFTGPU_LIBRARY, sizeof *library);
    const CUresult result = softgpu_image_read(code, library);
    if (result == CUDA_SUCCESS)
        *ret_library = (CUlibrary)library;
    else
        unload(library);
    return result;
}

CUresult cuLibraryUnload(CUlibrary library)
{
    if (!softgpu_object_is(library, SOFTGPU_LIBRARY))
        return CUDA_ERROR_INVALID_HANDLE;
    for (CUmodule module = NULL; (module = softgpu_object_next(module, SOFTGPU_MODULE));)
        if (module->library == (CUmodule)library)
            unload(module);
    unload((CUmodule)library);
    return CUDA_SUCCESS;
}

CUresult cuLibraryGetModule(CUmodule *ret_module, CUlibrary library)
{
    CUcontext context;
    CUresult result = softgpu_context_ready(&context);
    if (result != CUDA_SUCCESS || !softgpu_object_is(library, SOFTGPU_LIBRARY))
        return result ? result : CUDA_ERROR_INVALID_HANDLE;
    CUmodule module = NULL;
    do
        module = softgpu_object_next(module, SOFTGPU_MODULE);
    while (module && (module->library != (CUmodule)library || module->context != context));
    if (!module) {
        module = softgpu_object_make(SOFTGPU_MODULE, sizeof *module);
        module->context = context;
        module->library = (CUmodule)library;
    }
    *ret_module = module;
    return CUDA_SUCCESS;
}

static CUfunction kernel_find(enum softgpu_kind kind, CUmodule module, const char *name)
{
    CUfunction kernel = NULL;
    do
        kernel = softgpu_object_next(kernel, kind);
    while (kernel && (kernel->module != module || strcmp(kernel->name, name) != 0));
    return kernel;
}

/* What the module's image says about the kernel, nothing where images are not read; or that it has none of that name.
 */
static CUresult facts_find(struct softgpu_image_kernel *ret_facts, const struct CUmod_st *module, const char *name)
{
    const struct CUmod_st *image = module->library ? module->library : module;
    *ret_facts = (struct softgpu_image_kernel){0};
    for (size_t i = 0; i < image->kernel_count; ++i)
        if (strcmp(image->kernels[i].name, name) == 0) {
            *ret_facts = image->kernels[i];
            return CUDA_SUCCESS;
        }
    return image->any_name ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

/* The same name has the same handle, as with real drivers. */
static CUresult kernel_get(CUfunction *ret_kernel, enum softgpu_kind kind, CUmodule module, const char *name)
{
    struct softgpu_image_kernel facts;
    CUresult result = facts_find(&facts, module, name);
    if (result != CUDA_SUCCESS)
        return result;
    CUfunction kernel = kernel_find(kind, module, name);
    const bool is_ours = facts.name && strncmp(name, OUR_PREFIX, sizeof OUR_PREFIX - 1) == 0;
    void *run = is_ours ? cpu_build_find(name) : NULL;
    if (is_ours && !run) {
        softgpu_error("kernel %s is in the image but was not compiled for the CPU", name);
        return CUDA_ERROR_NOT_FOUND;
    }
    if (!kernel) {
        kernel = softgpu_object_make(kind, sizeof *kernel + strlen(name) + 1);
        strcpy(kernel->name, name);
        kernel->module = module;
        kernel->facts = facts;
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
    return kernel_get(ret_function, SOFTGPU_FUNCTION, module, name);
}

CUresult cuLibraryGetKernel(CUkernel *ret_kernel, CUlibrary library, const char *name)
{
    if (!softgpu_object_is(library, SOFTGPU_LIBRARY))
        return CUDA_ERROR_INVALID_HANDLE;
    return kernel_get((CUfunction *)ret_kernel, SOFTGPU_KERNEL, (CUmodule)library, name);
}

CUresult cuKernelGetFunction(CUfunction *ret_function, CUkernel handle)
{
    CUfunction kernel = (CUfunction)handle;
    if (!softgpu_object_is(kernel, SOFTGPU_KERNEL))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult result = CUDA_SUCCESS;
    if (!kernel->function)
        result = kernel_get(&kernel->function, SOFTGPU_FUNCTION, kernel->module, kernel->name);
    *ret_function = kernel->function;
    return result;
}

/* GETTER(function, type of the handle, its kind, type of the result, member). A handle of the other kind is refused. */
#define GETTER(function, handle_type, kind, type, member) \
    CUresult function(type *ret, handle_type handle)      \
    {                                                     \
        if (!softgpu_object_is(handle, kind))             \
            return CUDA_ERROR_INVALID_HANDLE;             \
        *ret = (type)((CUfunction)handle)->member;        \
        return CUDA_SUCCESS;                              \
    }
GETTER(cuKernelGetLibrary, CUkernel, SOFTGPU_KERNEL, CUlibrary, module)
GETTER(cuKernelGetName, CUkernel, SOFTGPU_KERNEL, const char *, name)
GETTER(cuFuncGetModule, CUfunction, SOFTGPU_FUNCTION, CUmodule, module)
GETTER(cuFuncGetName, CUfunction, SOFTGPU_FUNCTION, const char *, name)
#undef GETTER

/* Of a fat binary, PTX that is not compressed is read, and nothing else. */
static CUresult parameter_get(const struct softgpu_image_kernel *facts, size_t ordinal, size_t *ret_offset,
                              size_t *ret_bytes)
{
    if (!facts->name)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (ordinal >= facts->param_count || !ret_offset)
        return CUDA_ERROR_INVALID_VALUE;
    *ret_offset = facts->params[ordinal].offset;
    if (ret_bytes)
        *ret_bytes = facts->params[ordinal].bytes;
    return CUDA_SUCCESS;
}

CUresult cuFuncGetParamInfo(CUfunction function, size_t ordinal, size_t *ret_offset, size_t *ret_bytes)
{
    return softgpu_object_is(function, SOFTGPU_FUNCTION)
               ? parameter_get(&function->facts, ordinal, ret_offset, ret_bytes)
               : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuKernelGetParamInfo(CUkernel kernel, size_t ordinal, size_t *ret_offset, size_t *ret_bytes)
{
    return softgpu_object_is(kernel, SOFTGPU_KERNEL)
               ? parameter_get(&((CUfunction)kernel)->facts, ordinal, ret_offset, ret_bytes)
               : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult attribute_get(int *ret_value, CUfunction_attribute attribute, CUfunction function)
{
    const struct softgpu_image_kernel *facts = &function->facts;
    const struct softgpu_facts *device = softgpu_facts_get();
    switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        *ret_value = facts->threads_max ? (int)facts->threads_max : SOFTGPU_BLOCK_THREADS_MAX;
        break;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
        *ret_value = (int)facts->smem_static_bytes;
        break;
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
        *ret_value = facts->registers ? (int)facts->registers : 32;
        break;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
        *ret_value = device->cc_major * 10 + device->cc_minor;
        break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        *ret_value = (int)function->smem_dynamic_max;
        break;
    default:
        *ret_value = 0;
    }
    return attribute < CU_FUNC_ATTRIBUTE_MAX ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* Attributes before this one cannot be set; those after it change nothing here. */
static CUresult attribute_set(CUfunction function, CUfunction_attribute attribute, int value)
{
    if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)
        return attribute > CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    if (value < 0 || (unsigned)value + function->facts.smem_static_bytes > SOFTGPU_SMEM_BYTES_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    function->smem_dynamic_max = (unsigned)value;
    return CUDA_SUCCESS;
}

static bool has_attributes(CUfunction function)
{
    return softgpu_object_is(function, SOFTGPU_FUNCTION) || softgpu_object_is(function, SOFTGPU_KERNEL);
}

CUresult cuFuncGetAttribute(int *ret_value, CUfunction_attribute attribute, CUfunction function)
{
    return has_attributes(function) ? attribute_get(ret_value, attribute, function) : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value)
{
    return has_attributes(function) ? attribute_set(function, attribute, value) : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuFuncSetCacheConfig(CUfunction function, CUfunc_cache config)
{
    (void)function, (void)config;
    return CUDA_SUCCESS;
}

CUresult cuKernelGetAttribute(int *ret_value, CUfunction_attribute attribute, CUkernel kernel, CUdevice device)
{
    (void)device;
    return cuFuncGetAttribute(ret_value, attribute, (CUfunction)kernel);
}

CUresult cuKernelSetAttribute(CUfunction_attribute attribute, int value, CUkernel kernel, CUdevice device)
{
    (void)device;
    return cuFuncSetAttribute((CUfunction)kernel, attribute, value);
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *ret_blocks, CUfunction function, int threads,
                                                     size_t smem_bytes)
{
    int registers;
    CUresult result = cuFuncGetAttribute(&registers, CU_FUNC_ATTRIBUTE_NUM_REGS, function);
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
