/*
 * launch WHAT COUNT: makes COUNT launches as a program built by nvcc does, on the stand-in libraries, and prints
 * nanoseconds a launch, then what happened in all of them but the first 1000: driver calls, driver launches,
 * allocations. WHAT: foreign (cudaLaunchKernel), foreign13 (__cudaLaunchKernel), foreign-driver (cuLaunchKernel, as
 * dlsym gives it out), forward, dx, dgamma, none.
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
extern unsigned long stand_in_driver_calls, stand_in_driver_launches;

#define UNIT "_ZN2at6native53_GLOBAL__N__4da244e1_20_layer_norm_kernel_cu_9c5ada8a"
static float x[1024] __attribute__((aligned(64))), gamma_[1024] __attribute__((aligned(64))), mean[1];
static void *px = x, *pgamma = gamma_, *pmean = mean;
static int cols = 1024;
static long long few = 1, many = 4096, cols64 = 1024;
static float eps = 1e-5f;

/* One kernel: its name, its arguments, and the geometry that PyTorch gives it for one row of 1024 columns; dgamma:
 * many. */
static const struct kernel {
    const char *what, *name;
    struct dim3 grid, block;
    void *args[9];
} kernels[] = {
    {"foreign", "_Z7foreignPf", {1, 1, 1}, {1, 1, 1}, {&px}},
    {"foreign13", "_Z7foreignPf", {1, 1, 1}, {1, 1, 1}, {&px}},
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

static const char host_function[1];

typedef int driver_launch(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                          unsigned smem_bytes, void *stream, void **args, void **extra);

static void launch(const struct kernel *kernel, void *handle, long count)
{
    void **args = (void **)kernel->args;

    if (strcmp(kernel->what, "foreign-driver") == 0) {
        driver_launch *const real = (driver_launch *)dlsym(dlopen("libcuda.so.1", RTLD_NOW), "cuLaunchKernel");
        for (long i = 0; i < count; i++)
            real(handle, 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL);
    } else if (strcmp(kernel->what, "foreign") == 0)
        for (long i = 0; i < count; i++)
            cudaLaunchKernel(host_function, kernel->grid, kernel->block, args, 0, NULL);
    else
        for (long i = 0; i < count; i++)
            __cudaLaunchKernel(handle, kernel->grid, kernel->block, args, 0, NULL);
}

int main(int argc, char **argv)
{
    const long warm_up = 1000, count = argc > 2 ? atol(argv[2]) : 0;
    void *handle = NULL;

    for (size_t i = 0; argc > 1 && i < sizeof(kernels) / sizeof(kernels[0]); i++) {
        if (strcmp(argv[1], kernels[i].what) != 0)
            continue;
        __cudaRegisterFunction(&handle, host_function, NULL, kernels[i].name, -1, NULL, NULL, NULL, NULL, NULL);
        __cudaGetKernel(&handle, host_function);
        launch(&kernels[i], handle, warm_up);
        const unsigned long calls = stand_in_driver_calls, launches = stand_in_driver_launches, before = allocations;
        const double begin = now_ns();
        launch(&kernels[i], handle, count);
        const double ns = (now_ns() - begin) / (double)(count ? count : 1);
        printf("%.3f %lu %lu %lu\n", ns, stand_in_driver_calls - calls, stand_in_driver_launches - launches,
               allocations - before);
        return 0;
    }
    return 2;
}
