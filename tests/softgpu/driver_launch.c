/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launches of the stand-in driver: refuses what is beyond the limits of the image or the device, runs our kernels
 * through the executor and originals through their references, and writes SOFTGPU_LOG, one JSON line for every kernel
 * that ran: {"kind","name","grid","block","smem","stream" (cuStreamGetId),"pid"}, and "programmatic" if it was launched
 * with that serialisation. Where kernels are counted
 * (run --count), ours add "read", "written", "shared_read", "shared_written", each {"bytes","compulsory","accesses" (of
 * 1, 2, 4, 8, 16 bytes)}; with SOFTGPU_COST (driver_cost.c) all add "us".
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "counters.h"
#include "device_memory.h"
#include "driver_objects.h"
#include "executor.h"
#include "originals.h"

enum { REGISTERS_PER_BLOCK = 65536, GRID_YZ_MAX = 65535, BLOCK_Z_MAX = 64, PARAMS_MAX = 64 };

static size_t traffic_print(char *to, size_t room, const char *name, const struct softgpu_traffic *traffic)
{
    const uint64_t *n = traffic->accesses;
    return (size_t)snprintf(to, room, ",\"%s\":{\"bytes\":%lu,\"compulsory\":%lu,\"accesses\":[%lu,%lu,%lu,%lu,%lu]}",
                            name, traffic->bytes, traffic->distinct, n[0], n[1], n[2], n[3], n[4]);
}

/* What the last launch accessed, as members of its JSON object; empty where nothing is counted. */
static const char *counts_print(char *text, size_t bytes)
{
    const struct softgpu_counts global = softgpu_counters_global(), shared = softgpu_counters_shared();
    size_t at = 0;
    *text = 0;
    if (!softgpu_counters_run())
        return text;
    at += traffic_print(text + at, bytes - at, "read", &global.read);
    at += traffic_print(text + at, bytes - at, "written", &global.written);
    at += traffic_print(text + at, bytes - at, "shared_read", &shared.read);
    traffic_print(text + at, bytes - at, "shared_written", &shared.written);
    return text;
}

static void log_write(const struct softgpu_launch *launch, unsigned long long stream_id, double us)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static int fd = -1;
    static pid_t opened_by;
    const char *path = getenv("SOFTGPU_LOG");
    const bool ours = launch->function->run != NULL;
    char line[8192], counts[1024] = "", cost[40] = "";
    if (!path || !*path)
        return;
    pthread_mutex_lock(&lock);
    if (opened_by != getpid()) {
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        opened_by = getpid();
        if (fd < 0)
            softgpu_error("cannot write SOFTGPU_LOG %s", path);
    }
    pthread_mutex_unlock(&lock);
    if (us > 0)
        snprintf(cost, sizeof cost, ",\"us\":%.3f", us);
    int length = snprintf(line, sizeof line,
                          "{\"kind\":\"%s\",\"name\":\"%s\",\"grid\":[%u,%u,%u],\"block\":[%u,%u,%u],\"smem\":%u,"
                          "\"stream\":%llu,\"pid\":%d%s%s%s}\n",
                          ours ? "ours" : "original", launch->function->name, launch->grid[0], launch->grid[1],
                          launch->grid[2], launch->block[0], launch->block[1], launch->block[2], launch->smem_bytes,
                          stream_id, (int)opened_by, launch->programmatic ? ",\"programmatic\":true" : "",
                          ours ? counts_print(counts, sizeof counts) : "", cost);
    if (fd >= 0 && length < (int)sizeof line && write(fd, line, (size_t)length) != length)
        softgpu_error("cannot write SOFTGPU_LOG %s", path);
}

static void ours_body(const void *argument)
{
    const struct softgpu_launch *launch = argument;
    launch->function->run(launch->ours);
}

/* early: only up to where its threads wait for the launch ahead. */
static const char *execute(const struct softgpu_launch *launch, bool early)
{
    const unsigned *g = launch->grid, *b = launch->block;
    const struct softgpu_grid grid = {.kernel = launch->function->name,
                                      .grid_dim = {g[0], g[1], g[2]},
                                      .block_dim = {b[0], b[1], b[2]},
                                      .smem_bytes = launch->smem_bytes,
                                      .dependent = launch->programmatic,
                                      .early = early};
    return softgpu_execute(&grid, ours_body, launch);
}

static void launch_run_early(const struct softgpu_operation *operation)
{
    const char *failure = execute(&operation->launch, true);
    if (failure)
        softgpu_error("%s", failure);
}

static CUresult ours_run(const struct softgpu_launch *launch, CUcontext context)
{
    char after[512];
    const char *failure = execute(launch, false);
    if (!failure)
        softgpu_plant(launch);
    snprintf(after, sizeof after, "after kernel %s", launch->function->name);
    softgpu_memory_check(after);
    if (!failure)
        return CUDA_SUCCESS;
    softgpu_error("%s", failure);
    context->error = CUDA_ERROR_LAUNCH_FAILED;
    return CUDA_ERROR_LAUNCH_FAILED;
}

static CUresult original_run(const struct softgpu_launch *launch)
{
    const char *name = launch->function->name;
    const unsigned *grid = launch->grid, *block = launch->block;
    const struct softgpu_original original = {
        name, {grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, launch->params};
    int result = softgpu_original_run(&original);
    if (result == 0)
        return CUDA_SUCCESS;
    if (result != SOFTGPU_ORIGINAL_UNKNOWN)
        return CUDA_ERROR_OUT_OF_MEMORY;
    softgpu_note("no reference for kernel %s", name);
    return CUDA_ERROR_NOT_SUPPORTED;
}

static bool pointer_is_allowed(const struct softgpu_launch *launch, const void *pointer)
{
    return softgpu_virtual_allows(launch->function->name, "uses", pointer, 1);
}

/* Only the first byte of each tensor is looked at; counted kernels check every access. The argument of a fuseln_check_
 * kernel begins with that of the launch that it checks. */
static bool ours_is_allowed(const struct softgpu_launch *launch)
{
    const struct fuseln_ln_params *p = &launch->ours.launch;
    const void *tensors[] = {p->x,  p->dy,     p->gamma, p->beta,     p->mean,     p->rstd, p->y,
                             p->dx, p->dgamma, p->dbeta, p->partials, p->residual, p->bias, p->sum};
    bool allowed = true;
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0] && allowed; ++i)
        allowed = pointer_is_allowed(launch, tensors[i]);
    return allowed;
}

static bool original_is_allowed(const struct softgpu_launch *launch)
{
    bool pointers[PARAMS_MAX], allowed = true;
    const size_t count = softgpu_signature(launch->function->name, pointers, PARAMS_MAX);
    for (size_t i = 0; i < count && i < PARAMS_MAX && allowed; ++i)
        if (pointers[i])
            allowed = pointer_is_allowed(launch, *(void **)launch->params[i]);
    return allowed;
}

static CUresult launch_run(const struct softgpu_operation *operation)
{
    const struct softgpu_launch *launch = &operation->launch;
    const bool ours = launch->function->run != NULL;
    if (softgpu_virtual_is_in_use() && !(ours ? ours_is_allowed(launch) : original_is_allowed(launch)))
        return operation->context->error = CUDA_ERROR_ILLEGAL_ADDRESS;
    CUresult result = ours ? ours_run(launch, operation->context) : original_run(launch);
    if (result == CUDA_SUCCESS)
        log_write(launch, operation->stream_id, softgpu_cost_spend(launch->function->name, launch->grid[0]));
    return result;
}

/* Copies 8 bytes of each parameter of an original: none of a layer norm's is larger. */
static CUresult launch_hold(struct softgpu_operation *operation)
{
    struct softgpu_launch *launch = &operation->launch;
    void **params = launch->params;
    launch->params = NULL;
    if (launch->function->run)
        return CUDA_SUCCESS;
    size_t count = softgpu_signature(launch->function->name, NULL, 0);
    void **held = count ? malloc(count * (sizeof(void *) + sizeof(uint64_t))) : NULL;
    if (!held) {
        softgpu_note("cannot capture kernel %s: its signature is unknown", launch->function->name);
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    for (size_t i = 0; i < count; ++i) {
        held[i] = (char *)(held + count) + i * sizeof(uint64_t);
        memcpy(held[i], params[i], sizeof(uint64_t));
    }
    launch->params = held;
    return CUDA_SUCCESS;
}

static CUresult device_limits_check(const struct softgpu_launch *launch)
{
    const unsigned *grid = launch->grid, *block = launch->block;
    unsigned long long threads = (unsigned long long)block[0] * block[1] * block[2];
    bool grid_fits =
        grid[0] && grid[1] && grid[2] && grid[0] <= INT32_MAX && grid[1] <= GRID_YZ_MAX && grid[2] <= GRID_YZ_MAX;
    bool block_fits = threads && threads <= SOFTGPU_BLOCK_THREADS_MAX && block[2] <= BLOCK_Z_MAX;
    return grid_fits && block_fits ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* A thread gets its registers in units of eight. */
static CUresult image_limits_check(const struct softgpu_launch *launch)
{
    const struct CUfunc_st *function = launch->function;
    unsigned threads = launch->block[0] * launch->block[1] * launch->block[2];
    unsigned registers = (function->facts.registers + 7) / 8 * 8 * ((threads + 31) / 32 * 32);
    if (launch->smem_bytes > function->smem_dynamic_max)
        return CUDA_ERROR_INVALID_VALUE;
    if (registers > REGISTERS_PER_BLOCK || (function->facts.threads_max && threads > function->facts.threads_max))
        return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    return CUDA_SUCCESS;
}

static CUresult ours_params_take(struct softgpu_launch *launch, void **params)
{
    const char *name = launch->function->name;
    const size_t expected =
        strncmp(name, "fuseln_check_", 13) == 0 ? sizeof launch->ours.check : sizeof launch->ours.launch;
    unsigned bytes = launch->function->facts.param_bytes;
    if (!params || !params[0])
        return CUDA_ERROR_INVALID_VALUE;
    if (bytes && bytes != expected) {
        softgpu_error("kernel %s takes %u bytes of parameters in its image, its CPU build %zu", name, bytes, expected);
        return CUDA_ERROR_INVALID_VALUE;
    }
    memcpy(&launch->ours, params[0], expected);
    return CUDA_SUCCESS;
}

/* A CUfunction runs only in its own context, which must be current and the stream's; a CUkernel in any. */
static CUresult handle_check(CUfunction function, CUstream handle)
{
    CUstream stream;
    CUcontext context = NULL;
    CUresult result = softgpu_context_ready(&context);
    result = result ? result : softgpu_stream_ready(handle, &stream);
    if (result != CUDA_SUCCESS || softgpu_object_is(function, SOFTGPU_KERNEL))
        return result;
    if (!softgpu_object_is(function, SOFTGPU_FUNCTION) || stream->context != context)
        return CUDA_ERROR_INVALID_HANDLE;
    CUcontext owner = function->module->context;
    return !owner || owner == context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult launch(struct softgpu_launch launch, CUstream stream, void **params, void **extra)
{
    CUresult result = handle_check(launch.function, stream);
    result = result ? result : device_limits_check(&launch);
    result = result ? result : image_limits_check(&launch);
    if (result == CUDA_SUCCESS && !params && extra) {
        softgpu_note("kernel %s: packed parameters are not supported", launch.function->name);
        result = CUDA_ERROR_NOT_SUPPORTED;
    }
    if (result == CUDA_SUCCESS && launch.function->run)
        result = ours_params_take(&launch, params);
    if (result != CUDA_SUCCESS)
        return result;
    launch.params = params;
    const bool early = launch.programmatic && launch.function->run;
    struct softgpu_operation operation = {
        .run = launch_run, .hold = launch_hold, .run_early = early ? launch_run_early : NULL, .launch = launch};
    return softgpu_stream_submit(stream, &operation);
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned smem_bytes, CUstream stream, void **params,
                        void **extra)
{
    return launch((struct softgpu_launch){.function = function,
                                          .grid = {grid_x, grid_y, grid_z},
                                          .block = {block_x, block_y, block_z},
                                          .smem_bytes = smem_bytes},
                  stream, params, extra);
}

CUresult cuLaunchCooperativeKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                   unsigned block_x, unsigned block_y, unsigned block_z, unsigned smem_bytes,
                                   CUstream stream, void **params)
{
    return cuLaunchKernel(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, smem_bytes, stream, params,
                          NULL);
}

CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function, void **params, void **extra)
{
    bool programmatic = false;
    for (unsigned i = 0; i < config->numAttrs; ++i) {
        const CUlaunchAttribute *attribute = &config->attrs[i];
        if (attribute->id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION)
            programmatic = attribute->value.programmaticStreamSerializationAllowed;
        if (attribute->id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION &&
            attribute->value.clusterDim.x * attribute->value.clusterDim.y * attribute->value.clusterDim.z > 1)
            return CUDA_ERROR_NOT_SUPPORTED;
    }
    return launch((struct softgpu_launch){.function = function,
                                          .grid = {config->gridDimX, config->gridDimY, config->gridDimZ},
                                          .block = {config->blockDimX, config->blockDimY, config->blockDimZ},
                                          .smem_bytes = config->sharedMemBytes,
                                          .programmatic = programmatic},
                  config->hStream, params, extra);
}

CUresult cuLaunchKernelEx_ptsz(const CUlaunchConfig *config, CUfunction function, void **params, void **extra)
{
    CUlaunchConfig own = *config;
    own.hStream = softgpu_stream_ptsz(config->hStream);
    return cuLaunchKernelEx(&own, function, params, extra);
}
