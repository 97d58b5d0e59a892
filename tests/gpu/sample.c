/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launches each of our kernels a few times on the device, without a framework, for compute-sanitizer, which is slow.
 * Tensors are allocations of their exact size, so that one byte too many is seen; each output must be completely
 * written and within the bounds to which originals are held (check.cu). Kernels are chosen and launched by the
 * library's own code (kernels/host/device.h), whose archive sample.sh links. Usage: sample [all | ROW-BYTES | list]:
 * `all` also checks the longest rows, ROW-BYTES runs rows of that size alone, and list names the sizes. Exit 0; 1 if
 * something was refused, wrong or left unwritten; 77 without a device.
 */
#include "kernels/host/variant.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t device_pointer;

/* X(name in libcuda, parameters) */
// clang-format off
#define FUNCTIONS(X)                                                     \
    X(cuInit, (unsigned flags))                                          \
    X(cuDeviceGet, (int *device, int ordinal))                           \
    X(cuDevicePrimaryCtxRetain, (void **context, int device))            \
    X(cuCtxSetCurrent, (void *context))                                  \
    X(cuCtxSynchronize, (void))                                          \
    X(cuMemAlloc_v2, (device_pointer *pointer, size_t bytes))            \
    X(cuMemFree_v2, (device_pointer pointer))                            \
    X(cuMemcpyHtoD_v2, (device_pointer to, const void *from, size_t n))  \
    X(cuMemcpyDtoH_v2, (void *to, device_pointer from, size_t n))
// clang-format on
static struct {
#define X(name, params) int(*name) params;
    FUNCTIONS(X)
#undef X
} cuda;

enum { TENSORS_MAX = 16, UNWRITTEN = 0xa5 };
static struct tensor {
    device_pointer base;
    size_t bytes, skew;
    bool output;
} tensors[TENSORS_MAX];
static unsigned tensor_count;
static bool launched[FUSELN_VARIANT_COUNT];
static unsigned launches, failures;
/* Without it the longest rows are not checked: one warp checks each, which is slow under the sanitizer. */
static bool check_all;
static int direct; /* DGAMMA: 1 in one launch, 0 by partial sums, however few the rows */

static void must(int result, const char *what)
{
    if (result != 0) {
        fprintf(stderr, "%s: CUDA error %d\n", what, result);
        exit(1);
    }
}

static void fail(const struct fuseln_call *call, const char *text, int value)
{
    failures++;
    printf("WRONG %s %s rms=%d rows=%lld cols=%lld: %s %d\n", fuseln_op_name(call->op), fuseln_dtype_name(call->dtype),
           call->rms, (long long)call->rows, (long long)call->cols, text, value);
}

/* `count` elements, `skew` elements into their allocation; inputs are small numbers, outputs a pattern. */
static void *tensor_make(size_t count, enum fuseln_dtype dtype, size_t skew, bool output)
{
    struct tensor *tensor = &tensors[tensor_count++];
    const size_t size = fuseln_dtype_bytes(dtype);
    *tensor = (struct tensor){.bytes = (count + skew) * size, .skew = skew * size, .output = output};
    unsigned char *host = malloc(tensor->bytes);
    memset(host, UNWRITTEN, tensor->bytes);
    for (size_t i = 0; !output && i < count + skew; i++) {
        const double value = (double)((i * 2654435761u >> 7) % 2001) / 1000 - 1;
        const float single = (float)value;
        uint32_t word;
        memcpy(&word, &single, sizeof word);
        /* f16: the float's sign, and a fraction of an exponent that keeps it between 1 and 2 */
        const uint16_t half = dtype == FUSELN_DTYPE_BF16
                                  ? (uint16_t)(word >> 16)
                                  : (uint16_t)((word >> 16 & 0x8000) | 0x3c00 | (word >> 8 & 0x3ff));
        const void *bits = dtype == FUSELN_DTYPE_F64   ? (const void *)&value
                           : dtype == FUSELN_DTYPE_F32 ? (const void *)&single
                                                       : (const void *)&half;
        memcpy(host + i * size, bits, size);
    }
    must(cuda.cuMemAlloc_v2(&tensor->base, tensor->bytes), "cuMemAlloc");
    must(cuda.cuMemcpyHtoD_v2(tensor->base, host, tensor->bytes), "cuMemcpyHtoD");
    free(host);
    return (void *)(uintptr_t)(tensor->base + tensor->skew);
}

/* Nothing writes eight bytes of the pattern in a row by chance. */
static void tensors_check(const struct fuseln_call *call)
{
    for (unsigned i = 0; i < tensor_count; i++) {
        const struct tensor *tensor = &tensors[i];
        unsigned char *host = malloc(tensor->bytes);
        must(cuda.cuMemcpyDtoH_v2(host, tensor->base, tensor->bytes), "cuMemcpyDtoH");
        unsigned run = 0;
        for (size_t at = tensor->skew; tensor->output && at < tensor->bytes && run < 8; at++)
            run = host[at] == UNWRITTEN ? run + 1 : 0;
        if (run == 8)
            fail(call, "unwritten bytes in output", (int)i);
        for (size_t at = 0; tensor->output && at < tensor->skew; at++)
            if (host[at] != UNWRITTEN) {
                fail(call, "bytes written before output", (int)i);
                break;
            }
        free(host);
        must(cuda.cuMemFree_v2(tensor->base), "cuMemFree");
    }
    tensor_count = 0;
}

/* Checks what was written against float64, by the kernels that check originals: ours stands in for the original too. */
static void check(struct fuseln_context *context, struct fuseln_call *call)
{
    struct fuseln_check_result found;
    const enum fuseln_verdict verdict =
        fuseln_kernel_check(&(struct fuseln_check){.context = context, .slice = -1, .owner = call}, call);
    must(cuda.cuCtxSynchronize(), "cuCtxSynchronize");
    if (verdict != FUSELN_VERDICT_OK || fuseln_check_collect(&found) != call) {
        fail(call, "not checked", (int)verdict);
        return;
    }
    const double wrong = found.field[FUSELN_CHECK_OUTSIDE_OURS] + found.field[FUSELN_CHECK_OUTSIDE_THEIRS] +
                         found.field[FUSELN_CHECK_NAN];
    if (wrong > 0 || !(found.field[FUSELN_CHECK_ELEMENTS] > 0))
        fail(call, "elements beyond the bound:", (int)wrong);
    for (size_t i = 0; i < FUSELN_VARIANT_COUNT; i++)
        launched[i] = launched[i] || strncmp(fuseln_variant_name(&fuseln_variants[i]), "fuseln_check_", 13) == 0;
}

static void run(struct fuseln_call *call)
{
    struct fuseln_context *context = fuseln_context_current();
    struct fuseln_plan plan = {0};
    enum fuseln_verdict verdict = context ? FUSELN_VERDICT_OK : fuseln_context_missing();
    if (context) {
        struct fuseln_device device = *fuseln_context_device(context);
        device.direct_rows = direct ? INT_MAX : 0;
        verdict = fuseln_plan_make(call, &device, &plan);
    }
    for (int i = 0; i < 2 && verdict == FUSELN_VERDICT_OK; i++) /* the second time the kernel is known */
        verdict = fuseln_kernel_launch(&(struct fuseln_job){context, &plan, NULL, NULL}, call);
    if (verdict != FUSELN_VERDICT_OK)
        fail(call, fuseln_verdict_text(verdict), (int)verdict);
    must(cuda.cuCtxSynchronize(), "cuCtxSynchronize");
    if (verdict == FUSELN_VERDICT_OK && (check_all || call->cols * (int64_t)fuseln_dtype_bytes(call->dtype) <= 4096))
        check(context, call);
    launches += 2;
    for (int i = 0; i < 2 && verdict == FUSELN_VERDICT_OK; i++)
        if (plan.kernel[i])
            launched[fuseln_variant_index(plan.kernel[i])] = true;
    tensors_check(call);
}

/* One operation on its own tensors; plain: without those that may be null. */
static void run_case(enum fuseln_op op, enum fuseln_dtype dtype, int64_t rows, int64_t cols, size_t skew, bool plain)
{
    const enum fuseln_dtype acc = dtype == FUSELN_DTYPE_F64 ? FUSELN_DTYPE_F64 : FUSELN_DTYPE_F32;
    const bool rms = plain, given = op != FUSELN_OP_FORWARD && op != FUSELN_OP_MOMENTS;
    const size_t all = (size_t)(rows * cols), width = (size_t)cols, height = (size_t)rows;
    struct fuseln_call call = {
        .op = op, .dtype = dtype, .rms = rms, .rows = rows, .cols = cols, .eps = 1e-5, .out_rows = 1};

    call.x = tensor_make(all, dtype, skew, false);
    call.rstd = tensor_make(height, acc, 0, !given);
    if (!rms)
        call.mean = tensor_make(height, acc, 0, !given);
    if (op != FUSELN_OP_MOMENTS && op != FUSELN_OP_DGAMMA && !plain)
        call.gamma = tensor_make(width, dtype, 0, false);
    if ((op == FUSELN_OP_FORWARD || op == FUSELN_OP_APPLY) && !plain)
        call.beta = tensor_make(width, dtype, 0, false);
    if (op == FUSELN_OP_FORWARD || op == FUSELN_OP_APPLY)
        call.y = tensor_make(all, dtype, skew, true);
    if (op == FUSELN_OP_DX || op == FUSELN_OP_DGAMMA)
        call.dy = tensor_make(all, dtype, skew, false);
    if (op == FUSELN_OP_DX)
        call.dx = tensor_make(all, dtype, skew, true);
    if (op == FUSELN_OP_DGAMMA) {
        call.dgamma = tensor_make(width, dtype, 0, true);
        call.dbeta = plain ? NULL : tensor_make(width, dtype, 0, true);
    }
    run(&call);
}

static int find_cuda(void)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
    void *context;
    int device;
    if (!library)
        return 77;
#define X(name, params) cuda.name = (int(*) params)dlsym(library, #name);
    FUNCTIONS(X)
#undef X
    if (cuda.cuInit(0) != 0 || cuda.cuDeviceGet(&device, 0) != 0)
        return 77;
    must(cuda.cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
    must(cuda.cuCtxSetCurrent(context), "cuCtxSetCurrent");
    return 0;
}

/* Bytes in a row, one for each schedule of the table of variants; each also with an odd number of elements. */
static const int64_t row_bytes[] = {48, 128, 240, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144};
enum { ROW_SIZES = sizeof row_bytes / sizeof row_bytes[0] };

static void run_rows(size_t i)
{
    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++)
        for (int op = 0; op < FUSELN_OP_COUNT; op++)
            for (int odd = 0; odd < 2; odd++) {
                const int64_t cols = row_bytes[i] / (int64_t)fuseln_dtype_bytes((enum fuseln_dtype)dtype) - odd;
                for (direct = op == FUSELN_OP_DGAMMA; direct >= 0; direct--)
                    run_case((enum fuseln_op)op, (enum fuseln_dtype)dtype, i < 5 ? 37 : 3, cols, (size_t)odd, i % 2);
            }
}

int main(int argc, char **argv)
{
    const char *word = argc == 2 ? argv[1] : "";
    const long only = strtol(word, NULL, 10);
    check_all = strcmp(word, "all") == 0;
    if (strcmp(word, "list") == 0) {
        for (size_t i = 0; i < ROW_SIZES; i++)
            printf("%lld\n", (long long)row_bytes[i]);
        return 0;
    }
    setenv("FUSELN_SCRATCH", "1G", 1);
    const int status = find_cuda();
    if (status)
        return status;
    for (size_t i = 0; i < ROW_SIZES; i++)
        if (!only || only == row_bytes[i])
            run_rows(i);
    if (only) {
        printf("%u launches, %u failures\n", launches, failures);
        return failures ? 1 : 0;
    }
    unsigned missing = 0;
    for (size_t i = 0; i < FUSELN_VARIANT_COUNT; i++)
        if (!launched[i])
            printf("%s%s", missing++ ? ", " : "not launched: ", fuseln_variant_name(&fuseln_variants[i]));
    printf("%s%u launches, %u of %u kernels, %u failures\n", missing ? "\n" : "", launches,
           (unsigned)FUSELN_VARIANT_COUNT - missing, (unsigned)FUSELN_VARIANT_COUNT, failures);
    return failures ? 1 : 0;
}
