/* SPDX-License-Identifier: Apache-2.0 */
/*
 * library CUBIN KERNEL: a program with a CUDA runtime of its own, linked statically, launches PyTorch's layer-norm
 * forward (the vectorized kernel for float), 5 rows of 768, by the runtime's own functions: cudaLibraryLoadData,
 * cudaLibraryGetKernel and cudaLaunchKernel; then captured, by a graph. Prints the error of each, as a share of its
 * bound (rows.h). Declarations by hand after cuda_runtime_api.h. Exit code: a cudaError_t, or 255.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../cudart.h"
#include "rows.h"

enum { HOST_TO_DEVICE = 1, DEVICE_TO_HOST = 2, RELAXED = 2 };

int cudaLibraryLoadData(void **library, const void *code, void *jit, void *jit_values, unsigned jit_count,
                        void *options, void *values, unsigned count);
int cudaLibraryGetKernel(void **ret_kernel, void *library, const char *name);
runtime_launch cudaLaunchKernel;
int cudaMalloc(void **ret_memory, size_t bytes);
int cudaMemcpy(void *to, const void *from, size_t bytes, int kind);
int cudaMemset(void *to, int value, size_t bytes);
int cudaDeviceSynchronize(void);
int cudaStreamCreate(void **ret_stream);
int cudaStreamBeginCapture(void *stream, int mode);
int cudaStreamEndCapture(void *stream, void **ret_graph);
int cudaGraphInstantiate(void **ret_exec, void *graph, unsigned long long flags);
int cudaGraphLaunch(void *exec, void *stream);

#define CHECK(call)                                             \
    do {                                                        \
        const int error = call;                                 \
        if (error != 0) {                                       \
            fprintf(stderr, "library: %s: %d\n", #call, error); \
            exit(error < 255 ? error : 255);                    \
        }                                                       \
    } while (0)

static void print_and_clear(void *device_y)
{
    CHECK(cudaDeviceSynchronize());
    CHECK(cudaMemcpy(y, device_y, sizeof y, DEVICE_TO_HOST));
    CHECK(cudaMemset(device_y, 0, sizeof y));
    print_error();
}

int main(int argc, char **argv)
{
    static char image[1 << 24];
    FILE *file = argc == 3 ? fopen(argv[1], "rb") : NULL;
    void *library, *kernel, *device_x, *mean, *rstd, *device_y, *gamma = NULL, *stream, *graph, *exec;
    int cols = COLS;
    float eps = 1e-5f;

    if (!file || fread(image, 1, sizeof image, file) == 0) {
        fprintf(stderr, "usage: library CUBIN KERNEL\n");
        return 255;
    }
    x_fill();
    CHECK(cudaLibraryLoadData(&library, image, NULL, NULL, 0, NULL, NULL, 0));
    CHECK(cudaLibraryGetKernel(&kernel, library, argv[2]));
    CHECK(cudaMalloc(&device_x, sizeof x));
    CHECK(cudaMalloc(&device_y, sizeof x));
    CHECK(cudaMalloc(&mean, 256));
    CHECK(cudaMalloc(&rstd, 256));
    CHECK(cudaMemcpy(device_x, x, sizeof x, HOST_TO_DEVICE));

    void *args[] = {&cols, &eps, &device_x, &gamma, &gamma, &mean, &rstd, &device_y};
    const struct dim3 grid = {ROWS, 1, 1}, block = {32, 4, 1};
    CHECK(cudaLaunchKernel(kernel, grid, block, args, 24, NULL));
    print_and_clear(device_y);
    CHECK(cudaStreamCreate(&stream));
    CHECK(cudaStreamBeginCapture(stream, RELAXED));
    CHECK(cudaLaunchKernel(kernel, grid, block, args, 24, stream));
    CHECK(cudaStreamEndCapture(stream, &graph));
    CHECK(cudaGraphInstantiate(&exec, graph, 0));
    CHECK(cudaGraphLaunch(exec, stream));
    print_and_clear(device_y);
    return 0;
}
