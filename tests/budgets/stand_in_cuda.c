/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver of no cost, for measuring a matched launch, for failing and for unit tests: libcuda.so.1 with the functions
 * that our launches call (kernels/host/libcuda.h). It accepts every image and counts its calls; each call can be told
 * to fail (stand_in.h). What could break a capture of another thread fails unless the calling thread is RELAXED.
 */
#include "stand_in.h"

#include <string.h>
#include <sys/mman.h>

enum { CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900 };
enum { SMEM_WITHOUT_ATTRIBUTE = 48 << 10, LARGE_MAX = 64 };

struct stand_in_fault stand_in_fault;
struct stand_in_count stand_in_counts[STAND_IN_CALLS];
unsigned long stand_in_driver_calls;
unsigned long stand_in_driver_launches;
unsigned long long stand_in_context = 1, stand_in_stream_context = 1;
int stand_in_capturing, stand_in_smem_limit;
void (*stand_in_driver_launched)(const struct stand_in_launch *launch);
static _Thread_local int capture_mode;

static CUresult begin(enum stand_in_call call)
{
    const unsigned long number = ++stand_in_counts[call].calls;
    if (call != stand_in_fault.call || number < stand_in_fault.from || number > stand_in_fault.until)
        return CUDA_SUCCESS;
    stand_in_counts[call].failed++;
    return stand_in_fault.error;
}

/* Functions that were allowed more shared memory than a launch has without asking. */
static const char *_Atomic large[LARGE_MAX];

static void allow_large(const char *function, int attribute, int value)
{
    if (attribute != CU_FUNC_ATTR_MAX_DYNAMIC_SHARED_SIZE_BYTES)
        return;
    stand_in_smem_limit = value;
    for (int i = 0; i < LARGE_MAX; i++) {
        const char *none = NULL;
        if (atomic_load(&large[i]) == function || atomic_compare_exchange_strong(&large[i], &none, function) ||
            none == function)
            return;
    }
}

static bool is_large(const char *function)
{
    for (int i = 0; i < LARGE_MAX && atomic_load(&large[i]); i++)
        if (atomic_load(&large[i]) == function)
            return true;
    return false;
}

/* Each driver function but the launches: counts the call, fails if it is told to, else has its effect. */
#define STUB(member, name, params, effect)         \
    CUresult name params                           \
    {                                              \
        CUresult error = begin(STAND_IN_##member); \
        stand_in_driver_calls++;                   \
        if (!error) {                              \
            effect;                                \
        }                                          \
        return error;                              \
    }

static int attribute_value(int attribute)
{
    return attribute == CU_ATTR_MULTIPROCESSOR_COUNT                ? 132
           : attribute == CU_ATTR_COMPUTE_CAPABILITY_MAJOR          ? 9
           : attribute == CU_ATTR_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN ? 232448
                                                                    : 0;
}

/* The same of one that must not be called while this thread's capture mode is not RELAXED. */
#define RELAXED_STUB(member, name, params, effect) STUB(member, name, params, error = relaxed(); if (!error) effect)

static CUresult relaxed(void)
{
    return capture_mode == CU_STREAM_CAPTURE_MODE_RELAXED ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

static void exchange(int *mode)
{
    const int before = capture_mode;
    capture_mode = *mode;
    *mode = before;
}

/* Is it whole pages, for all contexts? */
static CUresult registered(size_t bytes, unsigned flags)
{
    const bool is = bytes % 4096 == 0 && flags == (CU_HOST_REGISTER_PORTABLE | CU_HOST_REGISTER_DEVICEMAP);
    return is ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

enum { OBJECTS_MAX = 1024 };
static struct object {
    void (*destroy)(void *);
    void *data;
    atomic_bool retained;
} objects[OBJECTS_MAX];
static unsigned object_count;

static CUuserObject object_make(void *data, void (*destroy)(void *))
{
    struct object *object = &objects[object_count++ % OBJECTS_MAX];
    object->destroy = destroy;
    object->data = data;
    return (CUuserObject)object;
}

static void object_destroy(struct object *object)
{
    if (object->destroy)
        object->destroy(object->data);
    object->destroy = NULL;
    atomic_store(&object->retained, false);
}

void stand_in_destroy_graphs(void)
{
    for (unsigned i = 0; i < OBJECTS_MAX; i++)
        if (objects[i].retained)
            object_destroy(&objects[i]);
}

#define THERE            ((CUcontext)16)
#define ADDRESS(pointer) ((CUdeviceptr)(uintptr_t)(pointer))

/* Device memory, behind a page that holds its size. Not of malloc's: under ThreadSanitizer a child that was forked
 * while other threads ran may wait there for ever. */
enum { HEADER = 4096 };
static CUdeviceptr map_memory(size_t bytes)
{
    size_t *size = mmap(NULL, HEADER + bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *size = HEADER + bytes;
    return ADDRESS(size) + HEADER;
}
static void unmap_memory(CUdeviceptr memory)
{
    size_t *size = (size_t *)(uintptr_t)(memory - HEADER);
    munmap(size, *size);
}

// clang-format off
STUB(ctx_get_id, cuCtxGetId, (CUcontext ctx, unsigned long long *id),
     *id = ctx ? stand_in_stream_context : stand_in_context)
STUB(ctx_get_device, cuCtxGetDevice, (CUdevice *device), *device = 0)
STUB(device_get_name, cuDeviceGetName, (char *name, int len, CUdevice device), strncpy(name, "stand-in", (size_t)len))
STUB(device_get_attr, cuDeviceGetAttribute, (int *value, int attribute, CUdevice device),
     *value = attribute_value(attribute))
STUB(driver_get_version, cuDriverGetVersion, (int *version), *version = 13000)
STUB(stream_get_id, cuStreamGetId, (CUstream stream, unsigned long long *id), *id = ADDRESS(stream) + 1)
STUB(stream_get_ctx, cuStreamGetCtx, (CUstream stream, CUcontext *ctx), *ctx = THERE)
STUB(stream_capturing, cuStreamIsCapturing, (CUstream stream, int *status), *status = stand_in_capturing != 0)
STUB(capture_info, cuStreamGetCaptureInfo_v2,
     (CUstream stream, int *status, uint64_t *id, CUgraph *graph, const void **nodes, size_t *count),
     *status = stand_in_capturing != 0; *id = (uint64_t)stand_in_capturing; *graph = (CUgraph)THERE)
STUB(object_create, cuUserObjectCreate,
     (CUuserObject *object, void *data, void (*destroy)(void *), unsigned count, unsigned flags),
     *object = object_make(data, destroy))
STUB(object_release, cuUserObjectRelease, (CUuserObject object, unsigned count),
     object_destroy((struct object *)object))
STUB(graph_retain, cuGraphRetainUserObject, (CUgraph graph, CUuserObject object, unsigned count, unsigned flags),
     ((struct object *)object)->retained = true)
STUB(exchange_capture, cuThreadExchangeStreamCaptureMode, (int *mode), exchange(mode))
RELAXED_STUB(module_load_data, cuModuleLoadData, (CUmodule *module, const void *image),
             *module = (CUmodule)ADDRESS(image))
RELAXED_STUB(module_unload, cuModuleUnload, (CUmodule module), (void)module)
STUB(module_get_func, cuModuleGetFunction, (CUfunction *function, CUmodule module, const char *name),
     *function = (CUfunction)ADDRESS(name))
STUB(func_set_attr, cuFuncSetAttribute, (CUfunction function, int attribute, int value),
     allow_large((const char *)function, attribute, value))
RELAXED_STUB(mem_alloc, cuMemAlloc_v2, (CUdeviceptr *ptr, size_t bytes), *ptr = map_memory(bytes))
STUB(mem_free, cuMemFree_v2, (CUdeviceptr ptr), unmap_memory(ptr))
STUB(memcpy_device, cuMemcpyDtoDAsync_v2, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream),
     memcpy((void *)(uintptr_t)to, (const void *)(uintptr_t)from, bytes))
RELAXED_STUB(host_register, cuMemHostRegister_v2, (void *ptr, size_t bytes, unsigned flags),
             error = registered(bytes, flags))
STUB(host_get_device, cuMemHostGetDevicePointer_v2, (CUdeviceptr *ptr, void *host, unsigned flags),
     *ptr = ADDRESS(host))
STUB(event_create, cuEventCreate, (CUevent *event, unsigned flags), *event = (CUevent)THERE)
STUB(event_record, cuEventRecord, (CUevent event, CUstream stream), (void)event)
STUB(event_query, cuEventQuery, (CUevent event), (void)event)
STUB(event_elapsed, cuEventElapsedTime, (float *ms, CUevent start, CUevent stop), *ms = 1)
// clang-format on

CUresult cuCtxGetCurrent(CUcontext *ctx)
{
    *ctx = THERE;
    stand_in_driver_calls++;
    return CUDA_SUCCESS;
}

static __attribute__((noinline)) CUresult launch_and_tell(enum stand_in_call call, struct stand_in_launch launch,
                                                          unsigned smem_bytes)
{
    launch.result = begin(call);
    if (!launch.result && smem_bytes > SMEM_WITHOUT_ATTRIBUTE && !is_large(launch.kernel))
        launch.result = CUDA_ERROR_INVALID_VALUE;
    stand_in_driver_launched(&launch);
    return launch.result;
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned smem_bytes, CUstream stream, void **params,
                        void **extra)
{
    (void)grid_y, (void)grid_z, (void)block_x, (void)block_y, (void)block_z, (void)stream, (void)extra;
    stand_in_driver_launches++;
    if (!stand_in_driver_launched)
        return CUDA_SUCCESS;
    return launch_and_tell(STAND_IN_launch_kernel,
                           (struct stand_in_launch){(const char *)function, grid_x, params, CUDA_SUCCESS}, smem_bytes);
}

CUresult cuLaunchKernelEx(const struct CUlaunchConfig *config, CUfunction function, void **params, void **extra)
{
    (void)extra;
    stand_in_driver_launches++;
    if (!stand_in_driver_launched)
        return CUDA_SUCCESS;
    return launch_and_tell(STAND_IN_launch_kernel_ex,
                           (struct stand_in_launch){(const char *)function, config->grid[0], params, CUDA_SUCCESS},
                           config->smem_bytes);
}
