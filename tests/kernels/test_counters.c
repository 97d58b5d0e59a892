/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory traffic of our kernels, counted on the CPU by instrumentation (tests/softgpu/counters.h): every plan over
 * real shapes touches exactly the bytes it should, once where a row is held on chip, in 16-byte accesses where rows are
 * aligned, and no check of the counters fails. gamma, beta, mean and rstd are requested by every row or thread and
 * served by caches: how often does not matter. test_counters_defects.c shows that each check works. test_counters
 * [JOB]: this operation only, or `paired`, `direct`, `unrounded` or `sum` (tests/mutants).
 */
#include "../unit/test.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bodies.h"
#include "counters.h"

/* The matrices of rows x cols first, then the parameters. */
// clang-format off
#define CALL_TENSORS(X)                                                                                     \
    X(x) X(dy) X(residual) X(y) X(dx) X(sum) X(gamma) X(beta) X(bias) X(mean) X(rstd) X(dgamma) X(dbeta)
#define X(name) TENSOR_##name,
enum tensor_id { CALL_TENSORS(X) TENSOR_partials, TENSOR_COUNT };
#undef X
#define X(name) #name,
static const char *const tensor_names[] = { CALL_TENSORS(X) "partials" };
#undef X
// clang-format on
enum { MATRICES = TENSOR_sum + 1, PARAMETERS = TENSOR_bias + 1 };
#define BIT(name) (1u << TENSOR_##name)

/* Behind DGAMMA: DGAMMA in one launch, of few rows; DGAMMA with float gradients. DX and DGAMMA in one pass: where a
 * plan for DX has room for the sums. FORWARD of a sum. */
enum { DIRECT = FUSELN_OP_COUNT, UNROUNDED, PAIRED, SUM, JOBS };

/* All that each job reads and writes. */
static const struct {
    unsigned reads, writes;
} uses[JOBS] = {
    [FUSELN_OP_FORWARD] = {BIT(x) | BIT(gamma) | BIT(beta), BIT(y) | BIT(mean) | BIT(rstd)},
    [FUSELN_OP_MOMENTS] = {BIT(x), BIT(mean) | BIT(rstd)},
    [FUSELN_OP_APPLY] = {BIT(x) | BIT(gamma) | BIT(beta) | BIT(mean) | BIT(rstd), BIT(y)},
    [FUSELN_OP_DX] = {BIT(x) | BIT(dy) | BIT(gamma) | BIT(mean) | BIT(rstd), BIT(dx)},
    [FUSELN_OP_DGAMMA... UNROUNDED] = {BIT(x) | BIT(dy) | BIT(mean) | BIT(rstd), BIT(dgamma) | BIT(dbeta)},
    [SUM] = {BIT(x) | BIT(residual) | BIT(bias) | BIT(gamma) | BIT(beta), BIT(y) | BIT(sum) | BIT(mean) | BIT(rstd)},
    [PAIRED] = {BIT(x) | BIT(dy) | BIT(gamma) | BIT(mean) | BIT(rstd), BIT(dx) | BIT(dgamma) | BIT(dbeta)},
};

enum { SUM_BYTES = 65536 }; /* of the longest row of a sum */
enum { HELD_COLS = 8192 };  /* a longer unaligned row may be read twice */
static struct fuseln_device device = {.cc_major = 9, .sm_count = 2, .smem_optin_bytes = SOFTGPU_SMEM_BYTES_MAX};

struct shape {
    unsigned job; /* an operation, or one of the jobs above */
    enum fuseln_dtype dtype;
    int64_t rows, cols, out_rows;
    size_t off; /* elements past a 16-byte boundary */
    bool rms, affine;
};

struct tensor {
    void *block;
    char *at;
    size_t bytes;
};

static struct tensor tensor_make(enum tensor_id id, size_t bytes, size_t off, bool filled)
{
    struct tensor t = {.bytes = bytes};
    t.block = aligned_alloc(64, (bytes + off + 63) / 64 * 64 + 64);
    assert_non_null(t.block);
    t.at = (char *)t.block + off;
    memset(t.at, filled ? 0x3c : 0xff, bytes);
    softgpu_counters_add(tensor_names[id], t.at, bytes);
    if (filled)
        softgpu_counters_fill(t.at, bytes);
    return t;
}

static void tensor_free(struct tensor *t)
{
    if (t->block)
        softgpu_counters_remove(t->at);
    free(t->block);
}

static void traffic_sum(struct softgpu_traffic *sum, const struct softgpu_traffic *more)
{
    sum->bytes += more->bytes;
    sum->distinct += more->distinct;
    for (int w = 0; w < SOFTGPU_WIDTHS; w++)
        sum->accesses[w] += more->accesses[w];
}

static bool is_dgamma(const struct shape *s)
{
    return s->job == FUSELN_OP_DGAMMA || s->job == DIRECT || s->job == UNROUNDED;
}

/* The launches of one job with their tensors, and what they touched. */
struct job {
    struct shape shape;
    struct fuseln_call call;
    struct {
        struct fuseln_plan plan;
        int which; /* of the plan's kernels */
    } launches[2];
    struct tensor tensors[TENSOR_COUNT];
    struct softgpu_counts counts[TENSOR_COUNT];
};

static size_t element_bytes(const struct shape *s, enum tensor_id id)
{
    const bool sums =
        id == TENSOR_mean || id == TENSOR_rstd || (s->job == UNROUNDED && (id == TENSOR_dgamma || id == TENSOR_dbeta));
    return sums ? fuseln_acc_bytes(s->dtype) : fuseln_dtype_bytes(s->dtype);
}

static size_t tensor_bytes(const struct shape *s, enum tensor_id id)
{
    const size_t size = element_bytes(s, id), rows = (size_t)s->rows, cols = (size_t)s->cols;
    if (s->rms && (id == TENSOR_mean || id == TENSOR_beta || id == TENSOR_dbeta))
        return 0;
    if (!s->affine && (id == TENSOR_gamma || id == TENSOR_beta))
        return 0;
    if ((int)id < MATRICES)
        return rows * cols * size;
    if ((int)id < PARAMETERS)
        return cols * size;
    return (id == TENSOR_mean || id == TENSOR_rstd ? rows : (size_t)s->out_rows * cols) * size;
}

static void tensors_make(struct job *job)
{
    const struct shape *shape = &job->shape;
    const unsigned reads = uses[shape->job].reads, touched = reads | uses[shape->job].writes;
    for (int id = 0; id < TENSOR_partials; id++) {
        const size_t bytes = tensor_bytes(shape, id);
        const bool statistic = id == TENSOR_mean || id == TENSOR_rstd;
        if (bytes && (touched >> id & 1))
            job->tensors[id] =
                tensor_make(id, bytes, statistic ? 0 : shape->off * element_bytes(shape, id), reads >> id & 1);
    }
}

static struct fuseln_plan plan_make(const struct job *job, enum fuseln_op op)
{
    struct fuseln_plan plan;
    struct fuseln_call call = job->call;
    call.op = op;
    assert_int_equal(fuseln_plan_make(&call, &device, &plan), FUSELN_VERDICT_OK);
    return plan;
}

/* false: DX and DGAMMA cannot be paired for this shape. */
static bool job_make(struct job *job, const struct shape *shape)
{
    memset(job, 0, sizeof *job);
    job->shape = *shape;
    tensors_make(job);
    job->call = (struct fuseln_call){.op = shape->job == PAIRED ? FUSELN_OP_DX
                                           : is_dgamma(shape)   ? FUSELN_OP_DGAMMA
                                           : shape->job == SUM  ? FUSELN_OP_FORWARD
                                                                : (enum fuseln_op)shape->job,
                                     .dtype = shape->dtype,
                                     .rms = shape->rms,
                                     .rows = shape->rows,
                                     .cols = shape->cols,
                                     .eps = 1e-5,
                                     .out_rows = shape->out_rows,
                                     .rounding = shape->job == UNROUNDED ? FUSELN_UNROUNDED : FUSELN_ROUND_OUTPUTS,
#define X(name) .name = job->tensors[TENSOR_##name].at,
                                     CALL_TENSORS(X)
#undef X
    };
    job->launches[0].plan = plan_make(job, job->call.op);
    job->launches[1].plan = shape->job == PAIRED ? plan_make(job, FUSELN_OP_DGAMMA) : job->launches[0].plan;
    job->launches[1].which = 1;
    const size_t bytes = job->launches[0].plan.scratch_bytes;
    if (bytes && (uses[shape->job].writes & BIT(dgamma)))
        job->tensors[TENSOR_partials] = tensor_make(TENSOR_partials, bytes, 0, false);
    return bytes || shape->job != PAIRED;
}

static void counts_sum(struct softgpu_counts *sum, struct softgpu_counts more)
{
    traffic_sum(&sum->read, &more.read);
    traffic_sum(&sum->written, &more.written);
}

static void job_run(struct job *job)
{
    for (int i = 0; i < 2; i++) {
        const struct fuseln_plan *plan = &job->launches[i].plan;
        const int which = job->launches[i].which;
        if (!plan->kernel[which])
            continue;
        const struct fuseln_ln_params p = params_of(&job->call, plan, job->tensors[TENSOR_partials].at);
        const char *error = body_run(plan, which, &p);
        if (error)
            fail_msg("%ld x %ld, %zu elements off: %s", (long)job->shape.rows, (long)job->shape.cols, job->shape.off,
                     error);
        for (int id = 0; id < TENSOR_COUNT; id++)
            counts_sum(&job->counts[id], softgpu_counters_of(job->tensors[id].at));
    }
}

/* Of x, dy, residual, y, dx and sum together: bytes requested over compulsory bytes. */
static double matrix_ratio(const struct job *job)
{
    struct softgpu_counts sum = {0};
    for (int id = 0; id < MATRICES; id++)
        counts_sum(&sum, job->counts[id]);
    return (double)(sum.read.bytes + sum.written.bytes) / (double)(sum.read.distinct + sum.written.distinct);
}

static const char *job_name(unsigned job)
{
    return job == PAIRED      ? "paired"
           : job == DIRECT    ? "direct"
           : job == UNROUNDED ? "unrounded"
           : job == SUM       ? "sum"
                              : fuseln_op_name((enum fuseln_op)job);
}

/* Nothing but 16-byte accesses. */
static bool is_wide(const struct softgpu_traffic *traffic)
{
    return traffic->accesses[SOFTGPU_WIDTHS - 1] * 16 == traffic->bytes;
}

/* May the kernel read its rows twice? */
static bool is_twice(const struct job *job)
{
    return job->shape.dtype == FUSELN_DTYPE_F64 ||
           strstr(fuseln_variant_name(job->launches[0].plan.kernel[0]), "_twice") ||
           (job->launches[0].plan.kernel[0]->unaligned && job->shape.cols > HELD_COLS);
}

static void job_check(const struct job *job)
{
    const char *kernel = fuseln_variant_name(job->launches[0].plan.kernel[0]);
    for (int id = 0; id < TENSOR_partials; id++) {
        const struct softgpu_counts *counts = &job->counts[id];
        const size_t bytes = job->tensors[id].bytes;
        if (counts->read.distinct != (uses[job->shape.job].reads >> id & 1 ? bytes : 0) ||
            counts->written.distinct != (uses[job->shape.job].writes >> id & 1 ? bytes : 0) ||
            counts->written.bytes != counts->written.distinct)
            fail_msg("%s: %s has %zu bytes; %lu are read, %lu written, by stores of %lu", kernel, tensor_names[id],
                     bytes, counts->read.distinct, counts->written.distinct, counts->written.bytes);
        if (!job->launches[0].plan.kernel[0]->unaligned && id < PARAMETERS &&
            !(is_wide(&counts->read) && is_wide(&counts->written)))
            fail_msg("%s: %s is accessed in less than 16 bytes", kernel, tensor_names[id]);
    }
    const struct softgpu_counts *partials = &job->counts[TENSOR_partials];
    if (partials->written.bytes != partials->written.distinct || partials->read.bytes != partials->read.distinct)
        fail_msg("%s: of %zu bytes of partial sums stores write %lu and loads read %lu", kernel,
                 job->tensors[TENSOR_partials].bytes, partials->written.bytes, partials->read.bytes);
    /* For its first and last 16 bytes an unaligned row requests at most 15 before it and 16 behind it. */
    const double row = (double)job->shape.cols * (double)fuseln_dtype_bytes(job->shape.dtype);
    const double beside = job->launches[0].plan.kernel[0]->unaligned ? 31 / row : 0;
    if (matrix_ratio(job) > (is_twice(job) ? 2 : 1.05 + beside))
        fail_msg("%s: requests %.3f times the compulsory bytes", kernel, matrix_ratio(job));
}

/* Rows of zeros: 16 bytes at a time, but for fewer than that before the first and after the last boundary. */
static void check_zeros(const struct job *job)
{
    const uint64_t size = fuseln_dtype_bytes(fuseln_gradient_dtype(&job->call)), row = (uint64_t)job->shape.cols * size;
    for (int id = TENSOR_dgamma; id <= TENSOR_dbeta; id++) {
        const struct softgpu_traffic *written = &job->counts[id].written;
        const uint64_t wide = written->accesses[SOFTGPU_WIDTHS - 1] * 16;
        if (written->bytes - wide > row + 2 * (16 - size))
            fail_msg("%s: %lu bytes of %lu in stores under 16", tensor_names[id],
                     (unsigned long)(written->bytes - wide), (unsigned long)written->bytes);
    }
}

static void job_do(const struct shape *shape)
{
    struct job job;
    device.direct_rows = shape->job == DIRECT ? INT_MAX : 0;
    if (job_make(&job, shape)) {
        job_run(&job);
        job_check(&job);
        if (is_dgamma(shape))
            check_zeros(&job);
    }
    for (int id = 0; id < TENSOR_COUNT; id++)
        tensor_free(&job.tensors[id]);
}

static const char *only_job; /* NULL: all */

/* Rows: several for each block, and just less than a multiple of what a block handles at once, so that it may request
 * its last row instead of rows beyond it. */
TEST(every_plan_touches_what_it_must)
{
    static const int64_t cols[] = {3,   24,  128,  257,  512,  1000, 1024, 2048, 4096, 4100,  8192,  16384, 20000,
                                   640, 768, 1152, 1280, 1600, 2560, 3072, 5120, 7168, 12288, 14336, 14848};
    static const size_t offs[] = {0, 1, 4};
    enum { MOVED = 13 }; /* so many of the widths also at other addresses; the others are what models have */
    assert_true(softgpu_counters_run());
    struct shape s = {.out_rows = 3};
    for (s.job = 0; s.job < JOBS; s.job++)
        for (s.dtype = only_job && strcmp(only_job, job_name(s.job)) ? FUSELN_DTYPE_COUNT : 0;
             s.dtype < FUSELN_DTYPE_COUNT; s.dtype++)
            for (size_t c = 0; c < sizeof cols / sizeof cols[0]; c++)
                for (size_t o = 0; o < (c < MOVED ? sizeof offs / sizeof offs[0] : 1); o++) {
                    s.cols = cols[c];
                    s.off = offs[o];
                    s.rows = s.cols <= 512 ? 317 : s.cols <= 2048 ? 63 : 7;
                    s.affine = (c + o) % 3 != 2;
                    s.rms = (c + o) % 4 == 3;
                    if (s.job != SUM ||
                        (s.dtype < FUSELN_DTYPE_F64 && s.cols * (int64_t)fuseln_dtype_bytes(s.dtype) <= SUM_BYTES))
                        job_do(&s);
                }
}

TEST(rows_of_zeros_of_any_number_are_written_once)
{
    static const int64_t out_rows[] = {1, 2, 16384};
    static const unsigned jobs[] = {FUSELN_OP_DGAMMA, DIRECT, UNROUNDED};
    for (size_t job = 0; job < sizeof jobs / sizeof jobs[0]; job++)
        for (size_t i = 0; i < sizeof out_rows / sizeof out_rows[0]; i++)
            for (size_t off = 0; off < 4; off++) {
                const struct shape s = {.job = jobs[job],
                                        .dtype = FUSELN_DTYPE_BF16,
                                        .rows = 9,
                                        .cols = 40 - (int64_t)off,
                                        .out_rows = out_rows[i],
                                        .off = off};
                job_do(&s);
            }
}

int main(int argc, char *argv[])
{
    only_job = argc > 1 ? argv[1] : NULL;
    return run_registered_tests();
}
