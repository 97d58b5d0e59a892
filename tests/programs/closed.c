/* SPDX-License-Identifier: Apache-2.0 */
/*
 * closed CUBIN KERNEL WAY: stands for a closed binary with a CUDA runtime inside. Its dynamic table has no CUDA symbol
 * (closed.h): it loads the image and launches its layer-norm forward (PyTorch's vectorized kernel for float), 5 rows of
 * 768. WAY: module, library, function (of a library's kernel), ex, per-thread, packed; in-place (y over x); or
 * elsewhere, green: a library's kernel twice, first in the current context, then on a stream of another context or of a
 * green one. Prints the largest error of y, as a share of its bound, and how many elements there were (rows.h). Exit
 * code: a CUresult, or 255.
 */
#include "closed.h"
#include "rows.h"

static int leaves(const char *way)
{
    return strcmp(way, "elsewhere") == 0 || strcmp(way, "green") == 0;
}

static void *kernel_get(const char *way, const void *image, const char *name)
{
    void *owner, *kernel;
    if (strcmp(way, "library") == 0 || strcmp(way, "function") == 0 || leaves(way)) {
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

static int launch(const char *way, void *kernel, void *stream, uint64_t x, uint64_t mean, uint64_t rstd, uint64_t y)
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
    } config = {{ROWS, 1, 1}, {32, 4, 1}, 24, stream, NULL, 0};

    if (strcmp(way, "ex") == 0)
        return find("cuLaunchKernelEx", 0)(&config, kernel, args, NULL);
    const uint64_t flags = strcmp(way, "per-thread") == 0 ? 2 : 0;
    const int is_packed = strcmp(way, "packed") == 0;
    return find("cuLaunchKernel", flags)(kernel, ROWS, 1, 1, 32, 4, 1, 24, stream, is_packed ? NULL : args,
                                         is_packed ? packed : NULL);
}

/* Runs the kernel in the current context, or launches it in `launching` if that is not NULL; prints the error. */
static void normalise(const char *way, void *kernel, void *stream, void *launching)
{
    uint64_t device_x, device_y, mean, rstd;
    void *own;

    CALL(cuCtxGetCurrent, &own);
    CALL(cuMemAlloc, &device_x, sizeof x);
    CALL(cuMemAlloc, &device_y, sizeof y);
    if (strcmp(way, "in-place") == 0)
        device_y = device_x;
    CALL(cuMemAlloc, &mean, (size_t)256);
    CALL(cuMemAlloc, &rstd, (size_t)256);
    CALL(cuMemcpyHtoD, device_x, x, sizeof x);
    CALL(cuMemcpyHtoD, device_y, x, sizeof x); /* anything but the result */
    if (launching)
        CALL(cuCtxSetCurrent, launching);
    check("launch", launch(way, kernel, stream, device_x, mean, rstd, device_y));
    CALL(cuCtxSetCurrent, own);
    if (stream)
        CALL(cuStreamSynchronize, stream);
    check("cuCtxSynchronize", find("cuCtxSynchronize", 0)());
    CALL(cuMemcpyDtoH, y, device_y, sizeof y);
    print_error();
}

/* A stream in a context of its own, which is current afterwards. */
static void *stream_elsewhere(void)
{
    void *context, *stream;
    check("cuCtxCreate", find_version("cuCtxCreate", 3020, 0)(&context, 0, 0));
    CALL(cuStreamCreate, &stream, 0);
    return stream;
}

/* A stream in a green context with all multiprocessors. */
static void *stream_green(void)
{
    enum { SM = 1, DEFAULT_STREAM = 1, NON_BLOCKING = 1 };
    uint64_t resource[32]; /* CUdevResource */
    void *description, *context, *stream;
    CALL(cuDeviceGetDevResource, 0, resource, SM);
    CALL(cuDevResourceGenerateDesc, &description, resource, 1);
    CALL(cuGreenCtxCreate, &context, description, 0, DEFAULT_STREAM);
    check("cuGreenCtxStreamCreate",
          find_version("cuGreenCtxStreamCreate", 12050, 0)(&stream, context, NON_BLOCKING, 0));
    return stream;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: closed CUBIN KERNEL WAY\n");
        return 255;
    }
    x_fill();
    void *const context = start();
    const char *const way = argv[3];
    void *const kernel = kernel_get(way, read_file(argv[1]), argv[2]);
    normalise(way, kernel, NULL, NULL);
    if (leaves(way))
        normalise(way, kernel, strcmp(way, "green") == 0 ? stream_green() : stream_elsewhere(), context);
    return 0;
}
