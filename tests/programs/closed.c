/*
 * closed CUBIN KERNEL WAY: stands for a closed binary with a CUDA runtime inside. No CUDA symbol is in its dynamic
 * table: it opens libcuda, asks dlsym for cuGetProcAddress_v2 and that one for all others, loads the image and launches
 * its layer-norm forward (PyTorch's vectorized kernel for float), 5 rows of 768. WAY: module, library, function (of a
 * library's kernel), ex, per-thread, packed. Prints the largest error of y against double, as a share of what float
 * arithmetic may be off by, and how many elements there were. Exit code: a CUresult, or 255.
 */
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 5, COLS = 768, N = ROWS * COLS, CUDA = 12040 };

typedef int resolver(const char *name, void **ret_function, int version, uint64_t flags, int *ret_status);
typedef int any();

static resolver *ask;

static any *find(const char *name, uint64_t flags)
{
    void *function = NULL;
    int status = 0;
    if (ask(name, &function, CUDA, flags, &status) != 0 || !function) {
        fprintf(stderr, "closed: the driver has no %s\n", name);
        exit(255);
    }
    return (any *)function;
}

static void check(const char *what, int result)
{
    if (result == 0)
        return;
    fprintf(stderr, "closed: %s: error %d\n", what, result);
    exit(result < 255 ? result : 255);
}
#define CALL(name, ...) check(#name, find(#name, 0)(__VA_ARGS__))

static void *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(255);
    }
    const size_t bytes = (size_t)ftell(file);
    void *data = malloc(bytes);
    rewind(file);
    if (!data || fread(data, 1, bytes, file) != bytes)
        exit(255);
    fclose(file);
    return data;
}

static void *kernel_get(const char *way, const void *image, const char *name)
{
    void *owner, *kernel;
    if (strcmp(way, "library") == 0 || strcmp(way, "function") == 0) {
        CALL(cuLibraryLoadData, &owner, image, NULL, NULL, 0, NULL, NULL, 0);
        CALL(cuLibraryGetKernel, &kernel, owner, name);
        if (strcmp(way, "function") == 0)
            CALL(cuKernelGetFunction, &kernel, kernel);
    } else {
        CALL(cuModuleLoadData, &owner, image);
        CALL(cuModuleGetFunction, &kernel, owner, name);
    }
    return kernel;
}

static int launch(const char *way, void *kernel, uint64_t x, uint64_t mean, uint64_t rstd, uint64_t y)
{
    struct {
        int cols;
        float eps;
        uint64_t x, gamma, beta, mean, rstd, y;
    } p = {COLS, 1e-5f, x, 0, 0, mean, rstd, y};
    void *args[] = {&p.cols, &p.eps, &p.x, &p.gamma, &p.beta, &p.mean, &p.rstd, &p.y};
    size_t bytes = sizeof p;
    void *packed[] = {(void *)1, &p, (void *)2, &bytes, NULL};
    struct {
        unsigned grid[3], block[3], smem_bytes;
        void *stream, *attributes;
        unsigned attribute_count;
    } config = {{ROWS, 1, 1}, {32, 4, 1}, 24, NULL, NULL, 0};

    if (strcmp(way, "ex") == 0)
        return find("cuLaunchKernelEx", 0)(&config, kernel, args, NULL);
    const uint64_t flags = strcmp(way, "per-thread") == 0 ? 2 : 0;
    const int is_packed = strcmp(way, "packed") == 0;
    return find("cuLaunchKernel", flags)(kernel, ROWS, 1, 1, 32, 4, 1, 24, NULL, is_packed ? NULL : args,
                                         is_packed ? packed : NULL);
}

/* As a share of 4 roundings of y, for rstd and the last two operations, and 4 of the sum behind the mean, whose
 * condition is that of the sum of the magnitudes. */
static double largest_error(const float *x, const float *y)
{
    double largest = 0;
    for (int row = 0; row < ROWS; row++, x += COLS, y += COLS) {
        double mean = 0, magnitude = 0, m2 = 0;
        for (int i = 0; i < COLS; i++)
            mean += x[i] / (double)COLS, magnitude += fabs(x[i]) / COLS;
        for (int i = 0; i < COLS; i++)
            m2 += (x[i] - mean) * (x[i] - mean);
        for (int i = 0; i < COLS; i++) {
            const double rstd = 1 / sqrt(m2 / COLS + 1e-5f), want = (x[i] - mean) * rstd;
            largest = fmax(largest, fabs(y[i] - want) / (4 * ldexp(fabs(want) + magnitude * rstd, -24)));
        }
    }
    return largest;
}

int main(int argc, char **argv)
{
    static float x[N], y[N];
    uint64_t device_x, device_y, mean, rstd;
    void *context, *libcuda = dlopen("libcuda.so.1", RTLD_NOW);

    if (argc != 4 || !libcuda || !(ask = (resolver *)dlsym(libcuda, "cuGetProcAddress_v2"))) {
        fprintf(stderr, "usage: closed CUBIN KERNEL WAY, where libcuda.so.1 is\n");
        return 255;
    }
    ask = (resolver *)find("cuGetProcAddress", 0);
    find("cuGetExportTable", 0); /* as a runtime would */
    for (int i = 0; i < N; i++)
        x[i] = (float)((i * 2654435761u) >> 8) / (1 << 23) - 1 + (float)(i / COLS);
    CALL(cuInit, 0);
    CALL(cuDevicePrimaryCtxRetain, &context, 0);
    CALL(cuCtxSetCurrent, context);
    CALL(cuMemAlloc, &device_x, sizeof x);
    CALL(cuMemAlloc, &device_y, sizeof y);
    CALL(cuMemAlloc, &mean, (size_t)256);
    CALL(cuMemAlloc, &rstd, (size_t)256);
    CALL(cuMemcpyHtoD, device_x, x, sizeof x);
    check("launch", launch(argv[3], kernel_get(argv[3], read_file(argv[1]), argv[2]), device_x, mean, rstd, device_y));
    check("cuCtxSynchronize", find("cuCtxSynchronize", 0)());
    CALL(cuMemcpyDtoH, y, device_y, sizeof y);
    printf("%.3f %d\n", largest_error(x, y), N);
    return 0;
}
