/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program of the CUDA version whose headers compile it, on the stand-in runtime of that version. Launches PyTorch's
 * layer norm by every entry point, alone and in a graph, and prints for each whether y is right; then reads each
 * structure that the runtime fills and whose layout differs between versions: the fields must agree with what another
 * call says, and the bytes around it must stay as they were.
 */
#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 4, COLS = 64, GUARD = 256, FILLED = 0xA5 };

void **__cudaRegisterFatBinary(void *);
void __cudaRegisterFunction(void **, const char *, char *, const char *, int, uint3 *, uint3 *, dim3 *, dim3 *, int *);
#if CUDART_VERSION >= 12000
cudaError_t __cudaGetKernel(cudaKernel_t *, const void *);
cudaError_t __cudaLaunchKernel(cudaKernel_t, dim3, dim3, void **, size_t, cudaStream_t);
cudaError_t __cudaLaunchKernel_ptsz(cudaKernel_t, dim3, dim3, void **, size_t, cudaStream_t);
#endif
cudaError_t cudaLaunchKernel_ptsz(const void *, dim3, dim3, void **, size_t, cudaStream_t);
cudaError_t cudaLaunchCooperativeKernel_ptsz(const void *, dim3, dim3, void **, size_t, cudaStream_t);
#if CUDART_VERSION >= 11080
cudaError_t cudaLaunchKernelExC_ptsz(const cudaLaunchConfig_t *, const void *, void **);
#endif

static char host_function;
static float x[ROWS * COLS], *device_x, *y;
static cudaStream_t stream;
static const dim3 GRID = {ROWS, 1, 1}, BLOCK = {32, 4, 1};
enum { SMEM_BYTES = 24 };

static void check(cudaError_t error, const char *what)
{
    if (error)
        printf("%s: %s\n", what, cudaGetErrorName(error));
}
#define CHECK(call) check(call, #call)

static bool y_is_right(void)
{
    float found[ROWS * COLS];
    CHECK(cudaMemcpy(found, y, sizeof found, cudaMemcpyDeviceToHost));
    CHECK(cudaMemset(y, FILLED, sizeof found));
    for (int row = 0; row < ROWS; row++) {
        double mean = 0, squares = 0;
        for (int i = 0; i < COLS; i++)
            mean += x[row * COLS + i] / COLS;
        for (int i = 0; i < COLS; i++)
            squares += (x[row * COLS + i] - mean) * (x[row * COLS + i] - mean) / COLS;
        for (int i = 0; i < COLS; i++)
            if (!(fabs(found[row * COLS + i] - (x[row * COLS + i] - mean) / sqrt(squares + 1e-5)) < 1e-5))
                return false;
    }
    return true;
}

/* LAUNCH(entry point, arguments): on a stream, then on the default stream. */
#define LAUNCH(entry, ...)                                                 \
    do {                                                                   \
        CHECK(entry(__VA_ARGS__));                                         \
        CHECK(cudaDeviceSynchronize());                                    \
        printf("%s: y is %s\n", #entry, y_is_right() ? "right" : "wrong"); \
    } while (0)

static void launch_all(void **args, cudaStream_t on)
{
    LAUNCH(cudaLaunchKernel, &host_function, GRID, BLOCK, args, SMEM_BYTES, on);
    LAUNCH(cudaLaunchKernel_ptsz, &host_function, GRID, BLOCK, args, SMEM_BYTES, on);
    LAUNCH(cudaLaunchCooperativeKernel, &host_function, GRID, BLOCK, args, SMEM_BYTES, on);
    LAUNCH(cudaLaunchCooperativeKernel_ptsz, &host_function, GRID, BLOCK, args, SMEM_BYTES, on);
#if CUDART_VERSION >= 11080
    cudaLaunchConfig_t config = {.gridDim = GRID, .blockDim = BLOCK, .dynamicSmemBytes = SMEM_BYTES, .stream = on};
    LAUNCH(cudaLaunchKernelExC, &config, &host_function, args);
    LAUNCH(cudaLaunchKernelExC_ptsz, &config, &host_function, args);
#endif
#if CUDART_VERSION >= 12000
    cudaKernel_t kernel;
    CHECK(__cudaGetKernel(&kernel, &host_function));
    LAUNCH(__cudaLaunchKernel, kernel, GRID, BLOCK, args, SMEM_BYTES, on);
    LAUNCH(__cudaLaunchKernel_ptsz, kernel, GRID, BLOCK, args, SMEM_BYTES, on);
#endif
}

static void launch_in_a_graph(void **args)
{
    cudaGraph_t graph, captured = NULL;
    cudaGraphExec_t exec;
    enum cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    unsigned long long id = 0;
    size_t nodes = 0;
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    CHECK(cudaLaunchKernel(&host_function, GRID, BLOCK, args, SMEM_BYTES, stream));
#if CUDART_VERSION >= 13000
    CHECK(cudaStreamGetCaptureInfo(stream, &status, &id, &captured, NULL, NULL, NULL));
#elif CUDART_VERSION >= 12000 /* the headers rename it */
    CHECK(cudaStreamGetCaptureInfo(stream, &status, &id, &captured, NULL, NULL));
#else
    CHECK(cudaStreamGetCaptureInfo(stream, &status, &id));
    CHECK(cudaStreamGetCaptureInfo_v2(stream, &status, &id, &captured, NULL, NULL));
#endif
    CHECK(cudaStreamEndCapture(stream, &graph));
    CHECK(cudaGraphGetNodes(graph, NULL, &nodes));
    printf("capture: %s, %s id, %s graph, %zu nodes\n",
           status == cudaStreamCaptureStatusActive ? "active" : "not active", id ? "an" : "no",
           captured == graph ? "this" : "another", nodes);
#if CUDART_VERSION >= 12000
    CHECK(cudaGraphInstantiate(&exec, graph, 0));
#else
    CHECK(cudaGraphInstantiate(&exec, graph, NULL, NULL, 0));
#endif
    LAUNCH(cudaGraphLaunch, exec, stream);
    CHECK(cudaGraphExecDestroy(exec));
    CHECK(cudaGraphDestroy(graph));
}

/* FILL(type, call with &filled): a structure between two guards, filled by the call. */
#define FILL(type, filled, call)                                         \
    struct {                                                             \
        unsigned char before[GUARD];                                     \
        type value;                                                      \
        unsigned char after[GUARD];                                      \
    } filled;                                                            \
    memset(&filled, FILLED, sizeof filled);                              \
    CHECK(call);                                                         \
    for (int i = 0; i < GUARD; i++)                                      \
        if (filled.before[i] != FILLED || filled.after[i] != FILLED) {   \
            printf("%s: byte %d around it was overwritten\n", #type, i); \
            break;                                                       \
        }

static void attribute(const char *name, long long found, enum cudaDeviceAttr which)
{
    int expected = -1;
    CHECK(cudaDeviceGetAttribute(&expected, which, 0));
    if (found != expected)
        printf("cudaDeviceProp: %s is %lld, expected %d\n", name, found, expected);
}

/* The first and the last of each kind of field. */
static void read_properties(void)
{
    FILL(struct cudaDeviceProp, filled, cudaGetDeviceProperties(&filled.value, 0))
    const struct cudaDeviceProp *p = &filled.value;
    printf("device: %s\n", p->name);
#define ATTRIBUTE(field, which) attribute(#field, (long long)p->field, cudaDevAttr##which)
    ATTRIBUTE(sharedMemPerBlock, MaxSharedMemoryPerBlock);
    ATTRIBUTE(regsPerBlock, MaxRegistersPerBlock);
    ATTRIBUTE(maxThreadsDim[2], MaxBlockDimZ);
    ATTRIBUTE(maxGridSize[0], MaxGridDimX);
    ATTRIBUTE(major, ComputeCapabilityMajor);
    ATTRIBUTE(minor, ComputeCapabilityMinor);
    ATTRIBUTE(multiProcessorCount, MultiProcessorCount);
    ATTRIBUTE(l2CacheSize, L2CacheSize);
    ATTRIBUTE(maxThreadsPerMultiProcessor, MaxThreadsPerMultiProcessor);
    ATTRIBUTE(sharedMemPerMultiprocessor, MaxSharedMemoryPerMultiprocessor);
    ATTRIBUTE(sharedMemPerBlockOptin, MaxSharedMemoryPerBlockOptin);
    ATTRIBUTE(reservedSharedMemPerBlock, ReservedSharedMemoryPerBlock);
}

static void read_others(void)
{
    FILL(struct cudaFuncAttributes, function, cudaFuncGetAttributes(&function.value, &host_function))
    FILL(struct cudaPointerAttributes, pointer, cudaPointerGetAttributes(&pointer.value, y))
    printf("function: %d threads, %d bytes of dynamic shared memory\n", function.value.maxThreadsPerBlock,
           function.value.maxDynamicSharedSizeBytes);
    printf("pointer: type %d, device %d, %s\n", pointer.value.type, pointer.value.device,
           pointer.value.devicePointer == y ? "this" : "another");
}

int main(void)
{
    int cols = COLS, version = 0;
    float eps = 1e-5f, *statistics;
    void *null = NULL, *rstd;
    static int image[6] = {0x466243b1, 1}; /* __fatBinC_Wrapper_t: the software device reads its magic number alone */
    void **fatbin = __cudaRegisterFatBinary(image);
    __cudaRegisterFunction(fatbin, &host_function, SYMBOL, SYMBOL, -1, NULL, NULL, NULL, NULL, NULL);
    for (int i = 0; i < ROWS * COLS; i++)
        x[i] = (float)(i * 37 % 101) / 50 - 1;
    CHECK(cudaMalloc((void **)&device_x, sizeof x));
    CHECK(cudaMalloc((void **)&y, sizeof x));
    CHECK(cudaMalloc((void **)&statistics, 2 * ROWS * sizeof(float)));
    CHECK(cudaStreamCreate(&stream));
    CHECK(cudaMemcpy(device_x, x, sizeof x, cudaMemcpyHostToDevice));
    CHECK(cudaMemset(y, FILLED, sizeof x));
    rstd = statistics + ROWS;
    void *args[] = {&cols, &eps, &device_x, &null, &null, &statistics, &rstd, &y};
    CHECK(cudaRuntimeGetVersion(&version));
    printf("headers %d, runtime %d\n", CUDART_VERSION, version);
    launch_all(args, stream);
    launch_all(args, NULL);
    launch_in_a_graph(args);
    read_properties();
    read_others();
    return 0;
}
