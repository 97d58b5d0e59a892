/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensors, layers and launches for tests/kernels and tests/accuracy: a layer norm with all of its tensors, planned by
 * fuseln_plan_make and run on the executor of tests/softgpu. Tensors end at a page that cannot be touched and begin
 * behind marked bytes, so that an access beyond a row's bytes is found.
 */
#ifndef FUSELN_TEST_LAYER_H
#define FUSELN_TEST_LAYER_H

#include "../unit/test.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bodies.h"

static
    __attribute__((unused)) struct fuseln_device device = {.sm_count = 4, .smem_optin_bytes = SOFTGPU_SMEM_BYTES_MAX};

enum { MARK = 0xa5, MARK_BYTES = 256 };

/* Memory of a tensor: `at` is off bytes past a 16-byte boundary; it ends at a guard page, or up to 15 bytes before. */
struct tensor {
    char *at, *map;
    size_t bytes, map_bytes;
};

static struct tensor tensor_make(size_t bytes, size_t off)
{
    const size_t room = (bytes + MARK_BYTES + 32 + 4095) & ~(size_t)4095;
    struct tensor t = {.bytes = bytes, .map_bytes = room + 4096};
    t.map = mmap(NULL, t.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(t.map != MAP_FAILED);
    assert_int_equal(mprotect(t.map + room, 4096, PROT_NONE), 0);
    t.at = t.map + ((room - bytes - off) & ~(size_t)15) + off;
    memset(t.map, MARK, room);
    return t;
}

static void tensor_free(struct tensor *t)
{
    const char *end = t->map + t->map_bytes - 4096;
    for (const char *c = t->at - MARK_BYTES; c < end; c = c + 1 == t->at ? t->at + t->bytes : c + 1)
        assert_int_equal((unsigned char)*c, MARK);
    munmap(t->map, t->map_bytes);
}

static inline double get(const void *from, enum fuseln_dtype dtype, int64_t i)
{
    uint32_t word;
    float f;
    switch (dtype) {
    case FUSELN_DTYPE_F32:
        return ((const float *)from)[i];
    case FUSELN_DTYPE_F16:
        return (double)((const _Float16 *)from)[i];
    case FUSELN_DTYPE_BF16:
        word = (uint32_t)((const uint16_t *)from)[i] << 16;
        memcpy(&f, &word, 4);
        return f;
    default:
        return ((const double *)from)[i];
    }
}

static void put(void *to, enum fuseln_dtype dtype, int64_t i, double v)
{
    const float f = (float)v;
    uint32_t word;
    switch (dtype) {
    case FUSELN_DTYPE_F32:
        ((float *)to)[i] = f;
        break;
    case FUSELN_DTYPE_F16:
        ((_Float16 *)to)[i] = (_Float16)f;
        break;
    case FUSELN_DTYPE_BF16:
        memcpy(&word, &f, 4);
        ((uint16_t *)to)[i] = (uint16_t)(word >> 16);
        break;
    default:
        ((double *)to)[i] = v;
    }
}

/* Values that are rounded to the type already: put() truncates those that bf16 cannot hold. */
static inline struct tensor tensor_of(enum fuseln_dtype dtype, const double *values, int64_t count)
{
    struct tensor t = tensor_make((size_t)count * fuseln_dtype_bytes(dtype), 0);
    for (int64_t i = 0; i < count; i++)
        put(t.at, dtype, i, values[i]);
    return t;
}

/* Half a unit in the last place, relative; and of the sums. */
static inline double unit(enum fuseln_dtype dtype)
{
    return dtype == FUSELN_DTYPE_F32    ? 0x1p-24
           : dtype == FUSELN_DTYPE_F16  ? 0x1p-11
           : dtype == FUSELN_DTYPE_BF16 ? 0x1p-8
                                        : 0x1p-53;
}
static inline double acc_unit(enum fuseln_dtype dtype)
{
    return dtype == FUSELN_DTYPE_F64 ? 0x1p-53 : 0x1p-24;
}
static inline enum fuseln_dtype acc_dtype(enum fuseln_dtype dtype)
{
    return dtype == FUSELN_DTYPE_F64 ? FUSELN_DTYPE_F64 : FUSELN_DTYPE_F32;
}

static double uniform(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (double)(state >> 11) * 0x1p-53;
}

static struct tensor random_tensor(enum fuseln_dtype dtype, int64_t n, size_t off, double middle, double spread)
{
    struct tensor t = tensor_make((size_t)n * fuseln_dtype_bytes(dtype), off);
    for (int64_t i = 0; i < n; i++)
        put(t.at, dtype, i, middle + spread * (uniform() + uniform() + uniform() - 1.5) * 2);
    return t;
}

static void run_kernel(const struct fuseln_plan *plan, int which, const struct fuseln_ln_params *p)
{
    signal(SIGSEGV, SIG_DFL); /* on a fiber's stack, with the executor's lock held, cmocka could not go on */
    const char *error = body_run(plan, which, p);
    if (error)
        fail_msg("%s", error);
}

/* Plan and run; the name of the first kernel. */
static const char *run(const struct fuseln_call *call)
{
    struct fuseln_plan plan;
    assert_int_equal(fuseln_plan_make(call, &device, &plan), FUSELN_VERDICT_OK);
    const bool sums = call->op == FUSELN_OP_DGAMMA;
    struct tensor partials = tensor_make(sums ? plan.scratch_bytes : 0, 0);
    memset(partials.at, 0xff, partials.bytes); /* NaN: what nobody wrote must not be read */
    const struct fuseln_ln_params p = params_of(call, &plan, sums ? partials.at : NULL);
    for (int i = 0; i < 2 && plan.kernel[i]; i++)
        run_kernel(&plan, i, &p);
    tensor_free(&partials);
    return plan.kernel[0]->name;
}

/* One layer norm with all of its tensors; the element offsets say how unaligned they are. */
struct layer {
    enum fuseln_dtype dtype;
    bool rms, affine;
    int64_t rows, cols, out_rows;
    struct tensor x, dy, y, dx, gamma, beta, mean, rstd, dgamma, dbeta;
    struct fuseln_call call;
};

static struct layer layer_make(enum fuseln_dtype dtype, int64_t rows, int64_t cols, size_t off, bool rms, bool affine)
{
    const size_t size = fuseln_dtype_bytes(dtype), acc = fuseln_acc_bytes(dtype);
    struct layer l = {.dtype = dtype, .rms = rms, .affine = affine, .rows = rows, .cols = cols, .out_rows = 3};
    off *= size;
    l.x = random_tensor(dtype, rows * cols, off, 3, 1);
    l.dy = random_tensor(dtype, rows * cols, off, 0.1, 1);
    l.gamma = random_tensor(dtype, cols, off, 1, 0.5);
    l.beta = random_tensor(dtype, cols, off, 0, 0.5);
    l.y = tensor_make((size_t)(rows * cols) * size, off);
    l.dx = tensor_make((size_t)(rows * cols) * size, off);
    l.mean = tensor_make((size_t)rows * acc, 0);
    l.rstd = tensor_make((size_t)rows * acc, 0);
    l.dgamma = tensor_make((size_t)(l.out_rows * cols) * size, off);
    l.dbeta = tensor_make((size_t)(l.out_rows * cols) * size, off);
    l.call = (struct fuseln_call){.dtype = dtype,
                                  .rms = rms,
                                  .rows = rows,
                                  .cols = cols,
                                  .eps = 1e-5,
                                  .x = l.x.at,
                                  .dy = l.dy.at,
                                  .gamma = affine ? l.gamma.at : NULL,
                                  .beta = affine && !rms ? l.beta.at : NULL,
                                  .mean = l.mean.at,
                                  .rstd = l.rstd.at,
                                  .y = l.y.at,
                                  .dx = l.dx.at,
                                  .dgamma = l.dgamma.at,
                                  .dbeta = rms ? NULL : l.dbeta.at,
                                  .out_rows = l.out_rows};
    return l;
}

static void layer_free(struct layer *l)
{
    struct tensor *all[] = {&l->x,    &l->dy,   &l->y,    &l->dx,     &l->gamma,
                            &l->beta, &l->mean, &l->rstd, &l->dgamma, &l->dbeta};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        tensor_free(all[i]);
}

static const char *run_op(struct layer *l, enum fuseln_op op)
{
    l->call.op = op;
    return run(&l->call);
}

#endif
