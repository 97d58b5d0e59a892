/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch WHAT COUNT: makes COUNT launches as a program built by nvcc does, on the stand-in libraries, and prints
 * nanoseconds a launch, then what happened in all of them but the first 1000: driver calls, driver launches,
 * allocations. WHAT: foreign (cudaLaunchKernel), foreign13 (__cudaLaunchKernel), foreign-ex (cudaLaunchKernelExC),
 * foreign-driver (cuLaunchKernel, as dlsym returns it), foreign-driver-ex (cuLaunchKernelEx), forward, dx, dgamma,
 * dgamma-few, pair (dx of many rows, then its dgamma, a launch each).
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct dim3 {
    unsigned x, y, z;
};

void __cudaRegisterFunction(void **fatbin, const char *host, char *device, const char *name, int threads, void *tid,
                            void *bid, void *block, void *grid, int *warp);
int __cudaGetKernel(void **ret_kernel, const void *function);
int __cudaLaunchKernel(void *kernel, struct dim3 grid, struct dim3 block, void **args, size_t smem_bytes, void *stream);
int cudaLaunchKernel(const void *function, struct dim3 grid, struct dim3 block, void **args, size_t smem_bytes,
                     void *stream);
struct launch_config { /* cudaLaunchConfig_t, CUlaunchConfig: as large */
    struct dim3 grid, block;
    size_t smem_bytes;
    void *stream, *attributes;
    unsigned attribute_count;
};
int cudaLaunchKernelExC(const struct launch_config *config, const void *function, void **args);
extern unsigned long stand_in_driver_calls, stand_in_driver_launches; /* stand_in.h */

#define UNIT "_ZN2at6native53_GLOBAL__N__4da244e1_20_layer_norm_kernel_cu_9c5ada8a"
static float x[1024] __attribute__((aligned(64))), gamma_[1024] __attribute__((aligned(64))), mean[1];
/* pdx is never dereferenced, and lies on nothing that dx reads. */
static void *pdx = (void *)0x100000000000, *px = x, *pgamma = gamma_, *pmean = mean;
static int cols = 1024;
static long long few = 1, many = 4096, cols64 = 1024;
static float eps = 1e-5f;

/* One kernel: its name, the geometry that PyTorch gives it for one row of 1024 columns (pair, dgamma: 4096 rows), and
 * its arguments. */
static const struct kernel {
    const char *what, *name;
    struct dim3 grid, block;
    void *args[9];
} kernels[] = {
    {"foreign", "_Z7foreignPf", {1, 1, 1}, {1, 1, 1}, {&px}},
    {"foreign13", "_Z7foreignPf", {1, 1, 1}, {1, 1, 1}, {&px}},
    {"foreign-ex", "_Z7foreignPf", {1, 1, 1}, {1, 1, 1}, {&px}},
    {"foreign-driver-ex", "_Z7foreignPf", {1, 1, 1}, {1, 1, 1}, {&px}},
    {"foreign-driver", "_Z7foreignPf", {1, 1, 1}, {1, 1, 1}, {&px}},
    {"forward",
     UNIT "28vectorized_layer_norm_kernelIffLb0EEEviT0_PKT_S6_S6_PS3_S7_PS4_",
     {1, 1, 1},
     {32, 4, 1},
     {&cols, &eps, &px, &pgamma, &pgamma, &pmean, &pmean, &px}},
    {"dx",
     UNIT "39layer_norm_grad_input_kernel_vectorizedIffLb0EEEvPKT_S5_PKT0_S8_S5_PS3_i",
     {1, 1, 1},
     {128, 1, 1},
     {&px, &px, &pmean, &pmean, &pgamma, &px, &cols}},
    {"dgamma",
     UNIT "35GammaBetaBackwardCUDAKernelTemplateIffLj32ELj32ELj256ELb0ELb1ELb0EEEvllPKT_S5_PKT0_S8_PS3_S9_",
     {32, 1, 1},
     {32, 32, 1},
     {&many, &cols64, &px, &px, &pmean, &pmean, &pgamma, &pgamma}},
    {"pair",
     UNIT "39layer_norm_grad_input_kernel_vectorizedIffLb0EEEvPKT_S5_PKT0_S8_S5_PS3_i",
     {4096, 1, 1},
     {128, 1, 1},
     {&px, &px, &pmean, &pmean, &pgamma, &pdx, &cols}},
    {"dgamma-few",
     UNIT "35GammaBetaBackwardCUDAKernelTemplateIffLj32ELj1ELj32ELb0ELb0ELb0EEEvllPKT_S5_PKT0_S8_PS3_S9_",
     {32, 1, 1},
     {32, 1, 1},
     {&few, &cols64, &px, &px, &pmean, &pmean, &pgamma, &pgamma}},
};

static unsigned long allocations;
void *__libc_malloc(size_t bytes);
void *malloc(size_t bytes)
{
    allocations++;
    return __libc_malloc(bytes);
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static const char host_function[1], partner_function[1], other_function[1];

typedef int driver_launch(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                          unsigned smem_bytes, void *stream, void **args, void **extra);

typedef int driver_launch_ex(const struct launch_config *config, void *function, void **args, void **extra);

static const struct kernel *find(const char *what)
{
    for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++)
        if (strcmp(what, kernels[i].what) == 0)
            return &kernels[i];
    return NULL;
}

static void prepare(const struct kernel *kernel, const char *function, void **ret_handle)
{
    __cudaRegisterFunction(ret_handle, function, NULL, kernel->name, -1, NULL, NULL, NULL, NULL, NULL);
    __cudaGetKernel(ret_handle, function);
}

/* Functions of their own, so that callgrind can count their instructions: a kernel, and what follows it in a pair. */
static __attribute__((noinline)) void launch_one(const struct kernel *kernel, void *handle)
{
    __cudaLaunchKernel(handle, kernel->grid, kernel->block, (void **)kernel->args, 0, NULL);
}
static const struct kernel *partner;
static __attribute__((noinline)) void launch_partner(void *handle)
{
    __cudaLaunchKernel(handle, partner->grid, partner->block, (void **)partner->args, 0, NULL);
}

static void launch(const struct kernel *kernel, void *handle, long count)
{
    void **args = (void **)kernel->args;
    const struct launch_config config = {.grid = kernel->grid, .block = kernel->block};

    if (strcmp(kernel->what, "foreign-driver") == 0) {
        driver_launch *const real = (driver_launch *)dlsym(dlopen("libcuda.so.1", RTLD_NOW), "cuLaunchKernel");
        for (long i = 0; i < count; i++)
            real(handle, 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL);
    } else if (strcmp(kernel->what, "foreign-driver-ex") == 0) {
        driver_launch_ex *const real = (driver_launch_ex *)dlsym(dlopen("libcuda.so.1", RTLD_NOW), "cuLaunchKernelEx");
        for (long i = 0; i < count; i++)
            real(&config, handle, args, NULL);
    } else if (strcmp(kernel->what, "foreign-ex") == 0) {
        for (long i = 0; i < count; i++)
            cudaLaunchKernelExC(&config, host_function, args);
    } else if (strcmp(kernel->what, "pair") == 0) {
        void *partner_handle = NULL;
        partner = find("dgamma");
        prepare(partner, partner_function, &partner_handle);
        for (long i = 0; i < count / 2; i++) {
            launch_one(kernel, handle);
            launch_partner(partner_handle);
        }
    } else if (strcmp(kernel->what, "foreign") == 0) {
        for (long i = 0; i < count; i++)
            cudaLaunchKernel(host_function, kernel->grid, kernel->block, args, 0, NULL);
    } else if (strcmp(kernel->what, "foreign13") == 0) {
        for (long i = 0; i < count; i++)
            __cudaLaunchKernel(handle, kernel->grid, kernel->block, args, 0, NULL);
    } else {
        for (long i = 0; i < count; i++)
            launch_one(kernel, handle);
    }
}

int main(int argc, char **argv)
{
    const long warm_up = 1000, count = argc > 2 ? atol(argv[2]) : 0;
    const struct kernel *kernel = argc > 1 ? find(argv[1]) : NULL;
    void *handle = NULL;

    if (!kernel)
        return 2;
    prepare(kernel, host_function, &handle);
    __cudaLaunchKernel((void *)other_function, kernel->grid, kernel->block, NULL, 0, NULL); /* as any program does */
    launch(kernel, handle, warm_up);
    const unsigned long calls = stand_in_driver_calls, launches = stand_in_driver_launches, before = allocations;
    const double begin = now_ns();
    launch(kernel, handle, count);
    const double ns = (now_ns() - begin) / (double)(count ? count : 1);
    printf("%.3f %lu %lu %lu\n", ns, stand_in_driver_calls - calls, stand_in_driver_launches - launches,
           allocations - before);
    return 0;
}
