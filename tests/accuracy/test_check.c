/*
 * The kernels that compare ours with an original (kernels/check.cu), on the CPU. Right kernels (ours beside PyTorch's
 * algorithm in float, or the truth in double) must never be found wrong, whatever the shape and the values; a planted
 * mistake in ours must be, in every type, and one in the original as well. `test_check N`: N drawn shapes.
 */
#include "check.h"

#include "accuracy.h"
#include "kernels.h"

#include "../kernels/layer.h"

enum { WARPS = FUSELN_CHECK_THREADS / 32 };
static int shapes = 100; /* --all: 2,000 */

static uint64_t next(void)
{
    static uint64_t state = 0x9e3779b97f4a7c15u;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}
static int64_t below(int64_t n)
{
    return (int64_t)(next() % (uint64_t)n);
}

/* One operation of a batch: what ours and the original wrote. */
struct outputs {
    struct tensor of[2][OUTPUT_COUNT]; /* ours, theirs */
};
enum { OURS, THEIRS };

struct inputs {
    struct tensor x, dy, gamma, beta, mean, rstd;
    const struct batch *batch;
};

static struct tensor tensor_of(enum fuseln_dtype dtype, const double *values, int64_t count)
{
    struct tensor t = tensor_make((size_t)count * fuseln_dtype_bytes(dtype), 0);
    for (int64_t i = 0; i < count; i++)
        put(t.at, dtype, i, values[i]);
    return t;
}

static void *at(struct outputs *outputs, int who, enum output output)
{
    return outputs->of[who][output].at;
}

static void kernel(const char *name, void (*body)(const void *), unsigned grid, unsigned block,
                   const struct fuseln_check_params *params)
{
    const struct softgpu_grid launch = {.kernel = name, .grid_dim = {grid, 1, 1}, .block_dim = {block, 1, 1}};
    const char *error = softgpu_execute(&launch, body, params);
    if (error)
        fail_msg("%s", error);
}

#define BODY(name)                                    \
    void name(struct fuseln_check_params p);          \
    static void run_##name(const void *p)             \
    {                                                 \
        name(*(const struct fuseln_check_params *)p); \
    }
BODY(fuseln_check_rows)
BODY(fuseln_check_columns)
BODY(fuseln_check_sum)

/* The rows in two slices, if there are two. */
static struct fuseln_check_result compare(const struct inputs *in, struct outputs *out, enum fuseln_op op)
{
    const struct batch *b = in->batch;
    const size_t row = (size_t)b->cols * fuseln_dtype_bytes(b->dtype), acc = fuseln_acc_bytes(b->dtype);
    static double records[64 * WARPS * FUSELN_CHECK_FIELDS];
    static struct fuseln_check_result result;
    const bool columns = op == FUSELN_OP_DGAMMA, statistics = op == FUSELN_OP_FORWARD || op == FUSELN_OP_MOMENTS;
    const unsigned grid = columns ? (unsigned)(b->cols + 31) / 32 % 60 + 1 : (unsigned)(b->rows + WARPS - 1) / WARPS;
    struct fuseln_check_params p = {.records = records,
                                    .record_count = (int)grid * WARPS,
                                    .result = &result,
                                    .ticket = next(),
                                    .chain = (double)b->rows / 32 + 64,
                                    .dtype = (int)b->dtype};
    memset(records, 0xff, sizeof records);
    const int64_t half = columns ? b->rows : (b->rows + 1) / 2;
    for (int64_t first = 0; first < b->rows; first += half) {
        const size_t r = (size_t)first;
        p.host = (struct fuseln_ln_params){
            .rows = first + half < b->rows ? half : b->rows - first,
            .cols = b->cols,
            .eps = b->eps,
            .x = in->x.at + r * row,
            .dy = in->dy.at + r * row,
            .gamma = in->gamma.at,
            .beta = in->beta.at,
            .mean = statistics ? (char *)at(out, THEIRS, MEAN) + r * acc : in->mean.at + r * acc,
            .rstd = statistics ? (char *)at(out, THEIRS, RSTD) + r * acc : in->rstd.at + r * acc,
            .y = op == FUSELN_OP_FORWARD || op == FUSELN_OP_APPLY ? (char *)at(out, THEIRS, Y) + r * row : NULL,
            .dx = op == FUSELN_OP_DX ? (char *)at(out, THEIRS, DX) + r * row : NULL,
            .dgamma = columns ? at(out, THEIRS, DGAMMA) : NULL,
            .dbeta = columns ? at(out, THEIRS, DBETA) : NULL,
            .out_rows = 1};
        p.out = columns ? at(out, OURS, DGAMMA) : (char *)at(out, OURS, op == FUSELN_OP_DX ? DX : Y) + r * row;
        p.dbeta = at(out, OURS, DBETA);
        p.mean = statistics ? (char *)at(out, OURS, MEAN) + r * acc : NULL;
        p.rstd = statistics ? (char *)at(out, OURS, RSTD) + r * acc : NULL;
        p.first_row = first;
        p.more = first > 0;
        kernel(columns ? "columns" : "rows", columns ? run_fuseln_check_columns : run_fuseln_check_rows, grid,
               FUSELN_CHECK_THREADS, &p);
    }
    kernel("sum", run_fuseln_check_sum, 1, 32, &p);
    assert_true(result.ticket == p.ticket);
    return result;
}

/* What a program would see of one batch: every output of both. */
static void outputs_make(const struct batch *b, const struct truth *truth, struct outputs *out)
{
    struct result ours, theirs;
    for (int o = 0; o < OUTPUT_COUNT; o++) {
        ours.of[o] = doubles(output_count(b, (enum output)o));
        theirs.of[o] = doubles(output_count(b, (enum output)o));
    }
    algorithm_ours.forward(b, &ours);
    algorithm_ours.backward(b, &ours);
    if (b->dtype != FUSELN_DTYPE_F64) {
        algorithm_pytorch.forward(b, &theirs);
        algorithm_pytorch.backward(b, &theirs);
    }
    for (int o = 0; o < OUTPUT_COUNT; o++) {
        const enum fuseln_dtype dtype = output_dtype(b->dtype, (enum output)o);
        const int64_t count = output_count(b, (enum output)o);
        out->of[OURS][o] = tensor_of(dtype, ours.of[o], count);
        out->of[THEIRS][o] = tensor_of(dtype, b->dtype == FUSELN_DTYPE_F64 ? truth->want[o] : theirs.of[o], count);
        free(ours.of[o]);
        free(theirs.of[o]);
    }
}

static struct inputs inputs_make(const struct batch *b)
{
    const enum fuseln_dtype acc = acc_dtype(b->dtype);
    return (struct inputs){.x = tensor_of(b->dtype, b->x, b->rows * b->cols),
                           .dy = tensor_of(b->dtype, b->dy, b->rows * b->cols),
                           .gamma = tensor_of(b->dtype, b->gamma, b->cols),
                           .beta = tensor_of(b->dtype, b->beta, b->cols),
                           .mean = tensor_of(acc, b->mean, b->rows),
                           .rstd = tensor_of(acc, b->rstd, b->rows),
                           .batch = b};
}

static void all_free(struct inputs *in, struct outputs *out)
{
    struct tensor *inputs[] = {&in->x, &in->dy, &in->gamma, &in->beta, &in->mean, &in->rstd};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        tensor_free(inputs[i]);
    for (int who = 0; who < 2; who++)
        for (int o = 0; o < OUTPUT_COUNT; o++)
            tensor_free(&out->of[who][o]);
}

static const enum fuseln_op ops[] = {FUSELN_OP_FORWARD, FUSELN_OP_MOMENTS, FUSELN_OP_APPLY, FUSELN_OP_DX,
                                     FUSELN_OP_DGAMMA};

static double wrong(const struct fuseln_check_result *found)
{
    return found->field[FUSELN_CHECK_OUTSIDE_OURS] + found->field[FUSELN_CHECK_OUTSIDE_THEIRS] +
           found->field[FUSELN_CHECK_NAN];
}

static void right_kernels_are_never_found_wrong(void **state)
{
    (void)state;
    for (int n = 0; n < shapes; n++) {
        const enum fuseln_dtype dtype = (enum fuseln_dtype)(n % FUSELN_DTYPE_COUNT);
        const int which = (int)below(ACTIVATIONS);
        const int64_t cols = n % 3 == 0 ? 1 + below(70) : n % 3 == 1 ? 4 * (1 + below(500)) : 1 + below(5000);
        const int64_t rows = 1 + below(cols < 100 ? 90 : 10);
        struct batch b = batch_make(dtype, which, rows, cols);
        struct truth truth = truth_make(&b);
        struct outputs out;
        struct inputs in = inputs_make(&b);
        outputs_make(&b, &truth, &out);
        for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
            if (ops[i] == FUSELN_OP_APPLY) { /* of the statistics that it would get */
                struct tensor mean = in.mean, rstd = in.rstd;
                in.mean = out.of[OURS][MEAN], in.rstd = out.of[OURS][RSTD];
                memcpy(out.of[THEIRS][Y].at, out.of[OURS][Y].at, out.of[OURS][Y].bytes);
                const struct fuseln_check_result found = compare(&in, &out, ops[i]);
                in.mean = mean, in.rstd = rstd;
                assert_true(found.field[FUSELN_CHECK_ELEMENTS] == (double)(rows * cols));
                if (wrong(&found) == 0)
                    continue;
                fail_msg("apply of %s", distribution_name(which));
            }
            const struct fuseln_check_result found = compare(&in, &out, ops[i]);
            const double elements = ops[i] == FUSELN_OP_FORWARD   ? (double)(rows * cols + 2 * rows)
                                    : ops[i] == FUSELN_OP_MOMENTS ? (double)(2 * rows)
                                    : ops[i] == FUSELN_OP_DX      ? (double)(rows * cols)
                                                                  : (double)(2 * cols);
            assert_true(found.field[FUSELN_CHECK_ELEMENTS] == elements);
            if (wrong(&found) != 0)
                fail_msg("%s %s, %s, %ld x %ld: outside %g and %g, NaN %g, first %g, %g and %g ulp",
                         fuseln_op_name(ops[i]), fuseln_dtype_name(dtype), distribution_name(which), (long)rows,
                         (long)cols, found.field[FUSELN_CHECK_OUTSIDE_OURS], found.field[FUSELN_CHECK_OUTSIDE_THEIRS],
                         found.field[FUSELN_CHECK_NAN], -found.field[FUSELN_CHECK_FIRST],
                         found.field[FUSELN_CHECK_MAX_OURS], found.field[FUSELN_CHECK_MAX_THEIRS]);
        }
        all_free(&in, &out);
        truth_free(&truth);
        batch_free(&b);
    }
}

/* ---- planted mistakes ---- */

enum plant { FOUR_ULP, STALE_TAIL, WRONG_MEAN, A_NAN, PLANTS };
static const char *const plant_names[] = {"4 ulp", "stale tail", "wrong mean", "NaN"};

static void damage(const struct batch *b, void *tensor, enum output output, int64_t rows, int64_t cols,
                   enum plant plant)
{
    const enum fuseln_dtype dtype = output_dtype(b->dtype, output);
    for (int64_t r = 0; r < rows; r++) {
        const int64_t from = r * cols, where = from + (r * 7 + 3) % cols;
        const double v = get(tensor, dtype, where), rstd = b->rstd[output == DGAMMA || output == DBETA ? 0 : r];
        switch (plant) {
        case FOUR_ULP:
            put(tensor, dtype, where, v + 4 * ulp(dtype, v));
            for (int64_t c = from; rows == 1 && c < from + cols; c += 32) /* one in each 32 columns of a sum */
                put(tensor, dtype, c, get(tensor, dtype, c) + 4 * ulp(dtype, get(tensor, dtype, c)));
            break;
        case STALE_TAIL: /* what the row before had there */
            for (int64_t c = cols - 3; c < cols; c++)
                put(tensor, dtype, from + c, get(tensor, dtype, from + c - 3));
            break;
        case WRONG_MEAN: /* by a hundredth of the standard deviation; a gradient lacks what its mean should have been */
            for (int64_t c = 0; c < cols; c++) {
                const double gamma = output == Y ? b->gamma[c] : output == DX ? rstd : 1;
                put(tensor, dtype, from + c, round_to(dtype, get(tensor, dtype, from + c) + 0.01 * gamma));
            }
            break;
        default:
            put(tensor, dtype, where, NAN);
        }
    }
}

static void a_planted_mistake_is_found(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++)
        for (int plant = 0; plant < PLANTS; plant++)
            for (int who = OURS; who <= THEIRS; who++)
                for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
                    const bool columns = ops[i] == FUSELN_OP_DGAMMA;
                    const int64_t cols = 768, rows = columns ? 1 : 48;
                    const enum output output = columns                       ? DGAMMA
                                               : ops[i] == FUSELN_OP_DX      ? DX
                                               : ops[i] == FUSELN_OP_MOMENTS ? MEAN
                                                                             : Y;
                    /* The statistics are sums: 4 ulp of one lie within the bound. A hundredth does not show in bf16
                     * beside a gradient of one row. */
                    if (ops[i] == FUSELN_OP_MOMENTS && (plant == FOUR_ULP || plant == STALE_TAIL))
                        continue;
                    if (who == THEIRS && plant == FOUR_ULP &&
                        acc_dtype((enum fuseln_dtype)dtype) == (enum fuseln_dtype)dtype)
                        continue; /* an original may round more often than ours */
                    struct batch b = batch_make((enum fuseln_dtype)dtype, NORMAL, rows, cols);
                    struct truth truth = truth_make(&b);
                    struct outputs out;
                    struct inputs in = inputs_make(&b);
                    outputs_make(&b, &truth, &out);
                    if (ops[i] == FUSELN_OP_APPLY) {
                        memcpy(in.mean.at, out.of[OURS][MEAN].at, in.mean.bytes);
                        memcpy(in.rstd.at, out.of[OURS][RSTD].at, in.rstd.bytes);
                        memcpy(out.of[THEIRS][Y].at, out.of[OURS][Y].at, out.of[OURS][Y].bytes);
                    }
                    if (ops[i] == FUSELN_OP_MOMENTS)
                        damage(&b, at(&out, who, MEAN), MEAN, 1, rows, (enum plant)plant);
                    else
                        damage(&b, at(&out, who, output), output, columns ? 1 : rows, cols, (enum plant)plant);
                    const struct fuseln_check_result found = compare(&in, &out, ops[i]);
                    const double *field = found.field;
                    const double blamed = field[who == OURS ? FUSELN_CHECK_OUTSIDE_OURS : FUSELN_CHECK_OUTSIDE_THEIRS];
                    const double other = field[who == OURS ? FUSELN_CHECK_OUTSIDE_THEIRS : FUSELN_CHECK_OUTSIDE_OURS];
                    if (!(plant == A_NAN ? field[FUSELN_CHECK_NAN] > 0 : blamed > 0 && other == 0) ||
                        !(field[FUSELN_CHECK_FIRST] > FUSELN_CHECK_NONE))
                        fail_msg("%s in %s of %s %s: outside %g and %g, NaN %g", plant_names[plant],
                                 who == OURS ? "ours" : "the original", fuseln_op_name(ops[i]),
                                 fuseln_dtype_name((enum fuseln_dtype)dtype), field[FUSELN_CHECK_OUTSIDE_OURS],
                                 field[FUSELN_CHECK_OUTSIDE_THEIRS], field[FUSELN_CHECK_NAN]);
                    all_free(&in, &out);
                    truth_free(&truth);
                    batch_free(&b);
                }
}

/* The sums of a row of dx err by more than an element's own roundings, and may: by 24 u here, of 56 u that the bound of
 * 768 columns is; 1000 u are too much. */
static void what_sums_err_by_is_no_mistake_of_elements(void **state)
{
    (void)state;
    static const double shares[] = {24, 1000};
    for (int share = 0; share < 2; share++) {
        struct batch b = batch_make(FUSELN_DTYPE_F32, NORMAL, 8, 768);
        struct truth truth = truth_make(&b);
        struct outputs out;
        struct inputs in = inputs_make(&b);
        outputs_make(&b, &truth, &out);
        for (int64_t r = 0; r < b.rows; r++) {
            double size = 0;
            for (int64_t c = 0; c < b.cols; c++)
                size += fabs(b.dy[r * b.cols + c] * b.gamma[c]) * b.rstd[r] / (double)b.cols;
            for (int64_t i = r * b.cols; i < (r + 1) * b.cols; i++) {
                const double xhat = (b.x[i] - b.mean[r]) * b.rstd[r], off = shares[share] * 0x1p-24 * size * (1 + xhat);
                put(at(&out, THEIRS, DX), b.dtype, i, get(at(&out, THEIRS, DX), b.dtype, i) + off);
            }
        }
        const struct fuseln_check_result found = compare(&in, &out, FUSELN_OP_DX);
        assert_true(found.field[FUSELN_CHECK_OUTSIDE_OURS] == 0);
        assert_true((found.field[FUSELN_CHECK_OUTSIDE_THEIRS] > 0) == (share == 1));
        all_free(&in, &out);
        truth_free(&truth);
        batch_free(&b);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_planted_mistake_is_found),
        cmocka_unit_test(what_sums_err_by_is_no_mistake_of_elements),
        cmocka_unit_test(right_kernels_are_never_found_wrong),
    };
    shapes = argc > 1 ? atoi(argv[1]) : shapes;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
