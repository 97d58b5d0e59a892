/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of the stand-in driver and its executor: kernels of test_driver_kernels.cu run through the driver's own entry
 * points, from the cubins of test_driver.h, without any part of libfuseln.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "driver_objects.h"
#include "executor.h"
#include "test_driver.h"

void fuseln_ln_test_barrier_missed(struct fuseln_ln_params params);

static void barriers_and_shuffles_give_a_blocks_sum(void **state)
{
    (void)state;
    float x[3 * 128], *y = device_memory(3 * sizeof *y);
    for (int i = 0; i < 3 * 128; ++i)
        x[i] = (float)i;
    assert_int_equal(launch(function_load("fuseln_ln_test_sum", REGISTERS), 3, 128, 512, NULL, x, y, 0), 0);
    for (int block = 0; block < 3; ++block)
        assert_float_equal(y[block], 128.0f * (128.0f * (float)block + 63.5f), 0);
}

static void shuffles_stay_in_their_segment(void **state)
{
    (void)state;
    double y[32];
    assert_int_equal(launch(function_load("fuseln_ln_test_shuffle", REGISTERS), 1, 32, 0, NULL, NULL, y, 0), 0);
    for (int lane = 0; lane < 32; ++lane)
        assert_float_equal(y[lane], (lane ^ 1) + 1000 * (lane / 16 * 16 + 0.5), 0);
}

/* A kernel that fails makes its context unusable, as on a device. */
static void launch_fails(const char *kernel, unsigned smem)
{
    CUfunction function = function_load(kernel, REGISTERS);
    assert_int_equal(launch(function, 2, 64, smem, NULL, NULL, NULL, 0), CUDA_ERROR_LAUNCH_FAILED);
    assert_int_equal(softgpu_errors_take(), 1);
    assert_int_equal(cuCtxSynchronize(), CUDA_ERROR_LAUNCH_FAILED);
}

static void a_missed_barrier_is_an_error(void **state)
{
    (void)state;
    launch_fails("fuseln_ln_test_barrier_missed", 0);
}

static void a_missing_lane_is_an_error(void **state)
{
    (void)state;
    launch_fails("fuseln_ln_test_lane_missed", 0);
}

static void a_write_beyond_shared_memory_is_an_error(void **state)
{
    (void)state;
    launch_fails("fuseln_ln_test_smem_overrun", 32);
}

static void barrier_missed(const void *params)
{
    fuseln_ln_test_barrier_missed(*(const struct fuseln_ln_params *)params);
}

static void the_error_names_kernel_and_block(void **state)
{
    (void)state;
    struct fuseln_ln_params params = {0};
    struct softgpu_grid grid = {.kernel = "missed", .grid_dim = {2, 1, 1}, .block_dim = {64, 1, 1}};
    const char *error = softgpu_execute(&grid, barrier_missed, &params);
    assert_non_null(error);
    assert_non_null(strstr(error, "kernel missed, block (1,0,0)"));
    assert_non_null(strstr(error, "40 wait at __syncthreads"));
}

static void shared_memory_is_nan_in_every_block(void **state)
{
    (void)state;
    float y[6] = {0};
    assert_int_equal(launch(function_load("fuseln_ln_test_fresh", REGISTERS), 3, 1, 16, NULL, NULL, y, 0), 0);
    for (int i = 0; i < 6; ++i)
        assert_true(isnan(y[i]));
}

static void images_of_other_devices_are_refused(void **state)
{
    (void)state;
    CUmodule module;
    static const struct {
        unsigned architecture, abi;
        CUresult result;
    } CASES[] = {
        {90, ABI_7, 0},
        {90, ABI_8, 0},
        {80, ABI_7, CUDA_ERROR_NO_BINARY_FOR_GPU},
        {80, ABI_8, CUDA_ERROR_NO_BINARY_FOR_GPU},
        {91, ABI_7, 209},
        {100, ABI_8, 209},
        {90, 6, CUDA_ERROR_INVALID_IMAGE},
        {90, 9, CUDA_ERROR_INVALID_IMAGE},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; ++i)
        assert_int_equal(cubin_load(&module, "fuseln_ln_test_sum", CASES[i].architecture, CASES[i].abi, 1),
                         CASES[i].result);
    assert_int_equal(cuModuleLoadData(&module, "garbage"), CUDA_ERROR_INVALID_IMAGE);
}

static void ptx_of_newer_compilers_is_refused(void **state)
{
    (void)state;
    CUmodule module;
    CUfunction function;
    static const char PTX[] = "//\n.version 8.0\n.target sm_90\n.visible .entry fuseln_ln_test_sum(\n.param";
    assert_int_equal(cuModuleLoadData(&module, PTX), 0);
    assert_int_equal(cuModuleGetFunction(&function, module, "fuseln_ln_test_sum"), 0);
    assert_int_equal(cuModuleGetFunction(&function, module, "fuseln_ln_test_su"), CUDA_ERROR_NOT_FOUND);
    assert_int_equal(cuModuleLoadData(&module, "//\n.version 9.3\n.target sm_90\n"),
                     CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    assert_int_equal(cuModuleLoadData(&module, "//\n.version 8.0\n.target sm_100\n"), CUDA_ERROR_NO_BINARY_FOR_GPU);
    assert_int_equal(cuModuleLoadData(&module, "//\n.target sm_90\n"), CUDA_ERROR_INVALID_PTX);
}

static void a_name_needs_image_and_cpu_build(void **state)
{
    (void)state;
    CUmodule module;
    CUfunction function;
    assert_int_equal(cubin_load(&module, "fuseln_ln_test_sum", 90, ABI_7, 1), 0);
    assert_int_equal(cuModuleGetFunction(&function, module, "fuseln_ln_test_write"), CUDA_ERROR_NOT_FOUND);
    assert_int_equal(cubin_load(&module, "fuseln_ln_test_absent", 90, ABI_7, 1), 0);
    assert_int_equal(cuModuleGetFunction(&function, module, "fuseln_ln_test_absent"), CUDA_ERROR_NOT_FOUND);
    assert_int_equal(softgpu_errors_take(), 1);
}

/* In PTX as CTranslate2, Triton and test_driver_kernels.cu have it. */
static void parameters_are_those_of_the_image(void **state)
{
    (void)state;
    static const char PTX[] = "//\n.version 8.7\n.target sm_86\n.visible .entry _Z5firstv()\n{}\n"
                              ".entry _Z6secondPfjfb3row(\n.param .u64 _Z6second_param_0,\n"
                              ".param .u64 .ptr .global .align 1 _Z6second_param_1,\n.param .u32 _Z6second_param_2,\n"
                              ".param .u8 _Z6second_param_3,\n.param .f32 _Z6second_param_4,\n"
                              ".param .align 8 .b8 _Z6second_param_5[24]\n)\n{\nld.param.u64 %rd1, [x];\n}\n";
    static const size_t PARAMETERS[][2] = {{0, 8}, {8, 8}, {16, 4}, {20, 1}, {24, 4}, {32, 24}};
    enum { COUNT = sizeof PARAMETERS / sizeof PARAMETERS[0] };
    CUlibrary library;
    CUkernel kernel;
    CUfunction function;
    size_t offset, bytes;
    assert_int_equal(cuLibraryLoadData(&library, PTX, NULL, NULL, 0, NULL, NULL, 0), 0);
    assert_int_equal(cuLibraryGetKernel(&kernel, library, "_Z5firstv"), 0);
    assert_int_equal(cuKernelGetParamInfo(kernel, 0, &offset, &bytes), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuLibraryGetKernel(&kernel, library, "_Z6secondPfjfb3row"), 0);
    assert_int_equal(cuKernelGetFunction(&function, kernel), 0);
    for (size_t i = 0; i < COUNT; ++i) {
        assert_int_equal(cuKernelGetParamInfo(kernel, i, &offset, &bytes), 0);
        assert_true(offset == PARAMETERS[i][0] && bytes == PARAMETERS[i][1]);
        assert_int_equal(cuFuncGetParamInfo(function, i, &offset, NULL), 0);
        assert_int_equal(offset, PARAMETERS[i][0]);
    }
    assert_int_equal(cuKernelGetParamInfo(kernel, COUNT, &offset, &bytes), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuFuncGetParamInfo((CUfunction)kernel, 0, &offset, &bytes), CUDA_ERROR_INVALID_HANDLE);
    function = function_load("fuseln_ln_test_sum", REGISTERS);
    assert_int_equal(cuFuncGetParamInfo(function, 0, &offset, &bytes), 0);
    assert_true(offset == 0 && bytes == sizeof(struct fuseln_ln_params) - 4);
    assert_int_equal(cuFuncGetParamInfo(function, 1, &offset, &bytes), 0);
    assert_true(offset == sizeof(struct fuseln_ln_params) - 4 && bytes == 4);
    assert_int_equal(cuFuncGetParamInfo(function, 2, &offset, &bytes), CUDA_ERROR_INVALID_VALUE);
}

static void launches_beyond_a_limit_are_refused(void **state)
{
    (void)state;
    float y[2];
    CUfunction small = function_load("fuseln_ln_test_write", REGISTERS);
    CUfunction large = function_load("fuseln_ln_test_write", 255);
    assert_int_equal(launch(small, 1, THREADS_MAX, 0, NULL, NULL, y, 0), 0);
    assert_int_equal(launch(small, 1, THREADS_MAX + 1, 0, NULL, NULL, y, 0), CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    assert_int_equal(launch(small, 1, 1025, 0, NULL, NULL, y, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(launch(small, 0, 1, 0, NULL, NULL, y, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(launch(large, 1, 256, 0, NULL, NULL, y, 0), 0);
    assert_int_equal(launch(large, 1, 257, 0, NULL, NULL, y, 0), CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    assert_int_equal(launch(small, 1, 1, 49153, NULL, NULL, y, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(
        cuFuncSetAttribute(small, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, SOFTGPU_SMEM_BYTES_MAX + 1),
        CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuFuncSetAttribute(small, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, SOFTGPU_SMEM_BYTES_MAX),
                     0);
    assert_int_equal(launch(small, 1, 1, SOFTGPU_SMEM_BYTES_MAX, NULL, NULL, y, 0), 0);
}

static void a_write_beside_an_allocation_is_an_error(void **state)
{
    (void)state;
    CUfunction write = function_load("fuseln_ln_test_write", REGISTERS);
    float *y = device_memory(10 * sizeof *y);
    assert_true(isnan(y[0]) && isnan(y[9]));
    assert_int_equal(launch(write, 1, 1, 0, NULL, NULL, y, 9), 0);
    assert_int_equal(softgpu_errors_take(), 0);
    assert_int_equal(launch(write, 1, 1, 0, NULL, NULL, y, 10), 0);
    assert_int_equal(softgpu_errors_take(), 1);
    float *z = device_memory(512);
    z[-1] = 1;
    assert_int_equal(cuMemFree_v2((CUdeviceptr)(uintptr_t)z), 0);
    assert_int_equal(softgpu_errors_take(), 1);
    assert_int_equal(cuMemFree_v2((CUdeviceptr)(uintptr_t)z), CUDA_ERROR_INVALID_VALUE);
}

static void capture_records_and_a_graph_replays(void **state)
{
    (void)state;
    CUstream stream;
    CUgraph graph;
    CUgraphExec exec;
    CUstreamCaptureStatus status;
    float y[3] = {0};
    CUfunction write = function_load("fuseln_ln_test_write", REGISTERS);
    assert_int_equal(cuStreamCreate(&stream, 1), 0);
    assert_int_equal(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), 0);
    assert_int_equal(cuStreamIsCapturing(stream, &status), 0);
    assert_int_equal(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
    assert_int_equal(launch(write, 1, 1, 0, stream, NULL, y, 1), 0);
    assert_int_equal(cuStreamEndCapture(stream, &graph), 0);
    assert_float_equal(y[1], 0, 0);
    assert_int_equal(cuGraphInstantiateWithFlags(&exec, graph, 0), 0);
    assert_int_equal(cuGraphDestroy(graph), 0);
    assert_int_equal(cuGraphLaunch(exec, stream), 0);
    assert_float_equal(y[1], 1, 0);
    assert_int_equal(cuGraphExecDestroy(exec), 0);
}

static void an_unrelaxed_allocation_spoils_a_capture(void **state)
{
    (void)state;
    CUstream stream;
    CUgraph graph;
    CUdeviceptr address;
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    assert_int_equal(cuStreamCreate(&stream, 1), 0);
    assert_int_equal(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), 0);
    assert_int_equal(cuThreadExchangeStreamCaptureMode(&mode), 0);
    assert_int_equal(cuMemAlloc_v2(&address, 8), 0);
    assert_int_equal(cuThreadExchangeStreamCaptureMode(&mode), 0);
    assert_int_equal(cuStreamEndCapture(stream, &graph), 0);
    assert_int_equal(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), 0);
    assert_int_equal(cuMemAlloc_v2(&address, 8), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    assert_int_equal(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

static int destroyed;
static pthread_t destroyed_by;

static void note_destroyed(void *by)
{
    destroyed++;
    destroyed_by = pthread_self();
    if (by)
        cuCtxGetDevice(by);
}

/* A graph of the nodes that it takes to write y[0 ... count - 1], with a user object. */
static CUgraph graph_with_object(int count, float *y, void *data)
{
    CUstream stream;
    CUgraph graph;
    CUuserObject object;
    CUfunction write = function_load("fuseln_ln_test_write", REGISTERS);
    assert_int_equal(cuStreamCreate(&stream, 1), 0);
    assert_int_equal(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED), 0);
    for (int i = 0; i < count; i++)
        assert_int_equal(launch(write, 1, 1, 0, stream, NULL, y, i), 0);
    assert_int_equal(cuStreamEndCapture(stream, &graph), 0);
    assert_int_equal(cuUserObjectCreate(&object, data, note_destroyed, 1, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuUserObjectCreate(&object, data, note_destroyed, 1, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC), 0);
    assert_int_equal(cuGraphRetainUserObject(graph, object, 1, CU_GRAPH_USER_OBJECT_MOVE), 0);
    destroyed = 0;
    return graph;
}

static void a_user_object_lasts_as_long_as_a_copy_of_its_graph(void **state)
{
    (void)state;
    CUgraph clone, parent;
    CUgraphExec exec, of_parent;
    CUgraphNode node;
    float y[2] = {0};
    CUgraph graph = graph_with_object(2, y, NULL);
    assert_int_equal(cuGraphClone(&clone, graph), 0);
    assert_int_equal(cuGraphInstantiateWithFlags(&exec, graph, 0), 0);
    assert_int_equal(cuGraphCreate(&parent, 0), 0);
    assert_int_equal(cuGraphAddChildGraphNode(&node, parent, NULL, 0, clone), 0);
    assert_int_equal(cuGraphAddChildGraphNode(&node, parent, &node, 1, clone), 0);
    assert_int_equal(cuGraphInstantiateWithFlags(&of_parent, parent, 0), 0);
    assert_int_equal(cuGraphDestroy(graph), 0);
    assert_int_equal(cuGraphDestroy(parent), 0);
    assert_int_equal(cuGraphExecDestroy(exec), 0);
    assert_int_equal(cuGraphDestroy(clone), 0);
    assert_int_equal(destroyed, 0);
    assert_int_equal(cuGraphLaunch(of_parent, NULL), 0);
    assert_float_equal(y[1], 1, 0);
    assert_int_equal(cuGraphExecDestroy(of_parent), 0);
    assert_int_equal(destroyed, 1);
    assert_false(pthread_equal(destroyed_by, pthread_self()));
}

static void an_update_changes_the_user_objects_and_a_failed_one_nothing(void **state)
{
    (void)state;
    CUgraphExec exec;
    CUgraphExecUpdateResultInfo info;
    float y[2] = {0}, z[2] = {0};
    CUgraph graph = graph_with_object(2, y, NULL), same = graph_with_object(2, z, NULL),
            longer = graph_with_object(3, y, NULL);
    assert_int_equal(cuGraphInstantiateWithFlags(&exec, graph, 0), 0);
    assert_int_equal(cuGraphDestroy(graph), 0);
    assert_int_equal(cuGraphExecUpdate_v2(exec, longer, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
    assert_int_equal(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
    assert_int_equal(cuGraphDestroy(longer), 0);
    assert_int_equal(destroyed, 1);
    assert_int_equal(cuGraphExecUpdate_v2(exec, same, &info), 0);
    assert_int_equal(destroyed, 2);
    assert_int_equal(cuGraphDestroy(same), 0);
    assert_int_equal(cuGraphLaunch(exec, NULL), 0);
    assert_true(y[1] == 0 && z[1] == 1);
    assert_int_equal(cuGraphExecDestroy(exec), 0);
    assert_int_equal(destroyed, 3);
}

static void a_destructor_that_calls_cuda_is_an_error(void **state)
{
    (void)state;
    CUdevice device;
    float y[1];
    assert_int_equal(cuGraphDestroy(graph_with_object(1, y, &device)), 0);
    assert_int_equal(destroyed, 1);
    assert_int_equal(softgpu_errors_take(), 1);
}

static void dependencies_of_a_capture_can_be_set(void **state)
{
    (void)state;
    CUstream stream;
    CUgraph graph;
    CUstreamCaptureStatus status;
    const CUgraphNode *nodes;
    CUgraphNode first;
    size_t count;
    cuuint64_t id, other;
    float y[2];
    CUfunction write = function_load("fuseln_ln_test_write", REGISTERS);
    assert_int_equal(cuStreamCreate(&stream, 1), 0);
    assert_int_equal(cuGraphCreate(&graph, 0), 0);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(cuStreamBeginCaptureToGraph(stream, graph, NULL, NULL, 0, CU_STREAM_CAPTURE_MODE_RELAXED), 0);
        assert_int_equal(launch(write, 1, 1, 0, stream, NULL, y, 0), 0);
        assert_int_equal(cuStreamGetCaptureInfo_v2(stream, &status, &id, NULL, &nodes, &count), 0);
        assert_int_equal(count, 1);
        first = nodes[0];
        assert_int_equal(launch(write, 1, 1, 0, stream, NULL, y, 1), 0);
        assert_int_equal(cuStreamUpdateCaptureDependencies(stream, &first, 1, CU_STREAM_SET_CAPTURE_DEPENDENCIES), 0);
        assert_int_equal(cuStreamGetCaptureInfo_v2(stream, &status, &id, NULL, &nodes, &count), 0);
        assert_true(count == 1 && nodes[0] == first);
        assert_true(round == 0 || id != other);
        other = id;
        assert_int_equal(cuStreamEndCapture(stream, &graph), 0);
    }
    assert_int_equal(cuGraphGetNodes(graph, NULL, &count), 0);
    assert_int_equal(count, 4);
}

static void the_resolver_knows_itself_and_every_variant(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int version;
        uint64_t flags;
        void *function;
        CUdriverProcAddressQueryResult status;
    } CASES[] = {
        {"cuGetProcAddress", 11030, 0, (void *)cuGetProcAddress, 0},
        {"cuGetProcAddress", 12000, 0, (void *)cuGetProcAddress_v2, 0},
        {"cuLaunchKernel", 4000, 0, (void *)cuLaunchKernel, 0},
        {"cuLaunchKernel", 7000, 2, (void *)cuLaunchKernel_ptsz, 0},
        {"cuLaunchKernelEx", 11060, 2, (void *)cuLaunchKernelEx_ptsz, 0},
        {"cuLaunchKernelEx", 11050, 0, NULL, 2},
        {"cuMemAlloc", 12000, 0, (void *)cuMemAlloc_v2, 0},
        {"cuStreamGetCaptureInfo", 12000, 0, (void *)cuStreamGetCaptureInfo_v2, 0},
        {"cuNoSuchFunction", 12000, 0, NULL, 1},
        {"", 0, 0, NULL, 1},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; ++i) {
        void *function;
        CUdriverProcAddressQueryResult status;
        assert_int_equal(cuGetProcAddress_v2(CASES[i].name, &function, CASES[i].version, CASES[i].flags, &status), 0);
        assert_ptr_equal(function, CASES[i].function);
        assert_int_equal(status, CASES[i].status);
    }
}

static void originals_run_by_name_only(void **state)
{
    (void)state;
    CUlibrary library;
    CUkernel kernel, again;
    CUfunction function;
    const char *name;
    size_t offset;
    void *params[] = {NULL};
    assert_int_equal(cuLibraryLoadData(&library, FATBIN, NULL, NULL, 0, NULL, NULL, 0), 0);
    assert_int_equal(cuLibraryGetKernel(&kernel, library, "_Z7unknowni"), 0);
    assert_int_equal(cuLibraryGetKernel(&again, library, "_Z7unknowni"), 0);
    assert_ptr_equal(kernel, again);
    assert_int_equal(cuKernelGetParamInfo(kernel, 0, &offset, NULL), CUDA_ERROR_NOT_SUPPORTED);
    assert_int_equal(cuKernelGetFunction(&function, kernel), 0);
    assert_int_equal(cuKernelGetName(&name, kernel), 0);
    assert_string_equal(name, "_Z7unknowni");
    assert_int_equal(cuFuncGetName(&name, (CUfunction)kernel), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuFuncGetName(&name, function), 0);
    assert_int_equal(cuLaunchKernel((CUfunction)kernel, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL),
                     CUDA_ERROR_NOT_SUPPORTED);
}

static void a_library_is_one_module_in_each_context(void **state)
{
    (void)state;
    CUlibrary library, other;
    CUmodule module, again, others, elsewhere;
    CUfunction function;
    CUcontext context;
    assert_int_equal(cuLibraryLoadData(&library, FATBIN, NULL, NULL, 0, NULL, NULL, 0), 0);
    assert_int_equal(cuLibraryLoadData(&other, FATBIN, NULL, NULL, 0, NULL, NULL, 0), 0);
    assert_int_equal(cuLibraryGetModule(&module, library), 0);
    assert_int_equal(cuLibraryGetModule(&again, library), 0);
    assert_int_equal(cuLibraryGetModule(&others, other), 0);
    assert_int_equal(cuModuleGetFunction(&function, module, "_Z7unknowni"), 0);
    assert_int_equal(cuCtxCreate_v2(&context, 0, 0), 0);
    assert_int_equal(cuLibraryGetModule(&elsewhere, library), 0);
    assert_ptr_equal(module, again);
    assert_ptr_not_equal(module, others);
    assert_ptr_not_equal(module, elsewhere);
    assert_int_equal(cuCtxDestroy_v2(context), 0);
    assert_int_equal(cuLibraryUnload(library), 0);
    assert_int_equal(cuModuleGetFunction(&function, module, "_Z7unknowni"), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuModuleGetFunction(&function, others, "_Z7unknowni"), 0);
}

static void *per_thread_id(void *ret_id)
{
    CUcontext context;
    if (cuCtxGetCurrent(&context) == 0 && !context && cuDevicePrimaryCtxRetain(&context, 0) == 0)
        cuCtxSetCurrent(context);
    cuStreamGetId(CU_STREAM_PER_THREAD, ret_id);
    return NULL;
}

static void the_per_thread_stream_is_another_in_every_thread(void **state)
{
    (void)state;
    unsigned long long mine = 0, again = 0, theirs = 0, legacy = 0;
    pthread_t thread;
    assert_int_equal(cuStreamGetId(CU_STREAM_PER_THREAD, &mine), 0);
    assert_int_equal(cuStreamGetId_ptsz(NULL, &again), 0);
    assert_int_equal(cuStreamGetId(NULL, &legacy), 0);
    assert_int_equal(pthread_create(&thread, NULL, per_thread_id, &theirs), 0);
    pthread_join(thread, NULL);
    assert_true(mine == again && mine != theirs && mine != legacy && theirs != 0);
}

struct other_thread {
    CUcontext context;
    CUfunction function;
    const float *x;
    float *y;
    CUresult result;
};

static void *launch_elsewhere(void *data)
{
    struct other_thread *other = data;
    other->result = cuCtxSetCurrent(other->context);
    for (int i = 0; i < 50 && other->result == 0; ++i)
        other->result = launch(other->function, 2, 128, 512, NULL, other->x, other->y, 0);
    return NULL;
}

/* Fibers made by one thread run in another; shared memory is each thread's own. */
static void kernels_run_from_every_thread(void **state)
{
    (void)state;
    float x[256], y[2], z[2];
    pthread_t thread;
    struct other_thread other = {.function = function_load("fuseln_ln_test_sum", REGISTERS), .x = x, .y = y};
    for (int i = 0; i < 256; ++i)
        x[i] = (float)i;
    assert_int_equal(cuCtxGetCurrent(&other.context), 0);
    assert_int_equal(launch(other.function, 2, 128, 512, NULL, x, z, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, launch_elsewhere, &other), 0);
    for (int i = 0; i < 50; ++i)
        assert_int_equal(launch(other.function, 2, 128, 512, NULL, x, z, 0), 0);
    pthread_join(thread, NULL);
    assert_int_equal(other.result, 0);
    assert_true(y[0] == 8128 && y[1] == 24512 && z[0] == 8128 && z[1] == 24512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(barriers_and_shuffles_give_a_blocks_sum),
        TEST(shuffles_stay_in_their_segment),
        TEST(a_missed_barrier_is_an_error),
        TEST(a_missing_lane_is_an_error),
        TEST(a_write_beyond_shared_memory_is_an_error),
        TEST(the_error_names_kernel_and_block),
        TEST(shared_memory_is_nan_in_every_block),
        TEST(images_of_other_devices_are_refused),
        TEST(ptx_of_newer_compilers_is_refused),
        TEST(a_name_needs_image_and_cpu_build),
        TEST(parameters_are_those_of_the_image),
        TEST(launches_beyond_a_limit_are_refused),
        TEST(a_write_beside_an_allocation_is_an_error),
        TEST(capture_records_and_a_graph_replays),
        TEST(an_unrelaxed_allocation_spoils_a_capture),
        TEST(a_user_object_lasts_as_long_as_a_copy_of_its_graph),
        TEST(an_update_changes_the_user_objects_and_a_failed_one_nothing),
        TEST(a_destructor_that_calls_cuda_is_an_error),
        TEST(dependencies_of_a_capture_can_be_set),
        TEST(the_resolver_knows_itself_and_every_variant),
        TEST(originals_run_by_name_only),
        TEST(a_library_is_one_module_in_each_context),
        TEST(kernels_run_from_every_thread),
        TEST(the_per_thread_stream_is_another_in_every_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
