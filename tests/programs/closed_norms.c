/* SPDX-License-Identifier: Apache-2.0 */
/*
 * closed_norms IMAGE KERNEL LAUNCHES [DATA [SCALE [HOW]]]: a closed binary (closed.h) that launches a kernel of
 * closed_norms.cu, 6 rows of 256 floats, with new values each time. DATA: drawn; plain (gamma is 1, beta 0); equal (the
 * residual is x). Prints the largest error of all results, as a share of the largest value. IMAGE: the kernels' PTX; of
 * a program with a shared runtime (SHARED) libraries, joined by commas, and HOW stands in closed_shared.h.
 */
#ifdef SHARED
#include "closed_shared.h"
#else
#include "closed.h"
#endif

#include <math.h>

enum { ROWS = 6, COLS = 256, N = ROWS * COLS, CAPACITY = 512 };
static const float eps = 1e-5f;

static float x[N], residual[N], gamma_[COLS], beta[COLS], y[N];

static float draw(void)
{
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / (1 << 23) - 1;
}

static void draw_all(const char *data)
{
    const int plain = strcmp(data, "plain") == 0, equal = strcmp(data, "equal") == 0;
    for (int i = 0; i < N; i++) {
        x[i] = draw() + (float)(i / COLS);
        residual[i] = equal ? x[i] : draw();
    }
    for (int i = 0; i < COLS; i++) {
        gamma_[i] = plain ? 1 : 1 + draw() / 2;
        beta[i] = plain ? 0 : draw();
    }
}

/* Against float64. A layer norm, or the RMS norm of x or of x + residual. */
static double error_of(int is_layer_norm, int adds)
{
    double largest = 0, scale = 0;
    for (int row = 0; row < ROWS; row++) {
        double v[COLS], mean = 0, m2 = 0;
        for (int i = 0; i < COLS; i++) {
            v[i] = x[row * COLS + i];
            v[i] = adds ? (float)(v[i] + residual[row * COLS + i]) : v[i];
            mean += is_layer_norm ? v[i] / COLS : 0;
        }
        for (int i = 0; i < COLS; i++)
            m2 += (v[i] - mean) * (v[i] - mean);
        for (int i = 0; i < COLS; i++) {
            const double want = (v[i] - mean) / sqrt(m2 / COLS + eps) * gamma_[i] + (is_layer_norm ? beta[i] : 0);
            const double error = fabs(y[row * COLS + i] - want);
            largest = error <= largest ? largest : error; /* NaN too */
            scale = fabs(want) > scale ? fabs(want) : scale;
        }
    }
    return largest / scale;
}

/* Device memory with these values, of as many bytes, or of more. */
static uint64_t upload(const float *values, size_t count, size_t room)
{
    uint64_t address;
    CALL(cuMemAlloc, &address, (count + room) * sizeof(float));
    CALL(cuMemcpyHtoD, address, values, count * sizeof(float));
    return address;
}

struct device {
    uint64_t x, residual, gamma, beta, y, peak;
};

#ifndef SHARED
static void *kernel_get(const char *ptx, const char *name, const char *how)
{
    void *module, *kernel;
    (void)how;
    start();
    CALL(cuModuleLoadData, &module, read_file(ptx));
    CALL(cuModuleGetFunction, &kernel, module, name);
    return kernel;
}

static void launch_on(void *kernel, unsigned grid, void **args)
{
    CALL(cuLaunchKernel, kernel, grid, 1, 1, 1, 1, 1, 0, NULL, args, NULL);
}
#endif

/* Launches the kernel of this name; returns where its y is. */
static uint64_t launch(void *kernel, const char *name, const struct device *at, float scale)
{
    int rows = ROWS, cols = COLS, capacity = CAPACITY;
    float epsilon = eps;
    struct device p = *at;
    const int adds = strstr(name, "add_norm") != NULL;
    void *norm[] = {&p.x, &p.gamma, &p.beta, &p.y, &scale, &epsilon, &rows, &cols, &capacity};
    void *add_norm[] = {&p.x, &p.residual, &p.gamma, &epsilon, &cols};
    void *norm_peak[] = {&p.x, &p.gamma, &p.y, &p.peak, &epsilon, &cols};
    void *others[] = {&p.x, &p.gamma, &p.y, &epsilon, &cols};
    void **args = strstr(name, "4norm") ? norm : adds ? add_norm : strstr(name, "norm_peak") ? norm_peak : others;
    const unsigned grid = strstr(name, "two_rows") ? ROWS / 2 : ROWS;

    launch_on(kernel, grid, args);
    check("cuCtxSynchronize", find("cuCtxSynchronize", 0)());
    return adds ? at->x : at->y;
}

int main(int argc, char **argv)
{
    double largest = 0;
    if (argc < 4)
        return 255;
    void *const kernel = kernel_get(argv[1], argv[2], argc > 6 ? argv[6] : "");
    for (int i = 0; i < atoi(argv[3]); i++) {
        draw_all(argc > 4 ? argv[4] : "drawn");
        const struct device at = {upload(x, N, 0),       upload(residual, N, 0), upload(gamma_, COLS, 0),
                                  upload(beta, COLS, 0), upload(x, N, COLS),     upload(x, ROWS, 0)};
        const uint64_t out = launch(kernel, argv[2], &at, argc > 5 ? strtof(argv[5], NULL) : 0.5f);
        CALL(cuMemcpyDtoH, y, out, sizeof y);
        const double error = error_of(strstr(argv[2], "4norm") != NULL, strstr(argv[2], "add_norm") != NULL);
        largest = error <= largest ? largest : error;
        for (const uint64_t *address = &at.x; address <= &at.peak; address++)
            CALL(cuMemFree, *address);
    }
    printf("%.3g\n", largest);
    return 0;
}
