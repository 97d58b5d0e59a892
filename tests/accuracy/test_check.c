/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernels that check ours beside an original (kernels/check.cu), on the CPU. Right kernels (ours beside PyTorch's
 * algorithm, for double beside the truth) must never be found wrong, whatever the shape and the values; a planted
 * mistake must be found in every type, in ours and in the original. `test_check N`: N drawn shapes.
 */
#include "check_run.h"

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

static double elements_of(enum fuseln_op op, int64_t rows, int64_t cols)
{
    return (double)(op == FUSELN_OP_FORWARD   ? rows * cols + 2 * rows
                    : op == FUSELN_OP_MOMENTS ? 2 * rows
                    : op == FUSELN_OP_DGAMMA  ? 2 * cols
                                              : rows * cols);
}

TEST(right_kernels_are_never_found_wrong)
{
    for (int n = 0; n < shapes; n++) {
        const enum fuseln_dtype dtype = (enum fuseln_dtype)(n % FUSELN_DTYPE_COUNT);
        const int which = (int)below(ACTIVATIONS);
        const int64_t cols = n % 3 == 0 ? 1 + below(70) : n % 3 == 1 ? 4 * (1 + below(500)) : 1 + below(5000);
        const int64_t rows = 1 + below(cols < 100 ? 90 : 10);
        struct sample s = sample_make(batch_make(dtype, which, rows, cols));
        for (int i = 0; i < OPS; i++) {
            if (ops[i] == FUSELN_OP_APPLY)
                original_apply(&s);
            const struct fuseln_check_result found = sample_check(&s, ops[i]);
            assert_true(found.field[FUSELN_CHECK_ELEMENTS] == elements_of(ops[i], rows, cols));
            if (wrong(&found) != 0)
                fail_check(&s, distribution_name(which), ops[i], &found);
        }
        sample_free(&s);
    }
}

/* ---- planted mistakes ---- */

enum plant { FOUR_ULP, STALE_TAIL, WRONG_MEAN, A_NAN, PLANTS };
static const char *const plant_names[2][PLANTS] = {
    {"4 ulp in ours", "stale tail in ours", "wrong mean in ours", "NaN in ours"},
    {"4 ulp in theirs", "stale tail in theirs", "wrong mean in theirs", "NaN in theirs"}};

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
        case STALE_TAIL: /* what stood three columns before */
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

/* Can the check find it? */
static bool can_be_found(enum plant plant, int who, enum fuseln_op op, enum fuseln_dtype dtype)
{
    if (op == FUSELN_OP_MOMENTS) /* statistics are sums: 4 ulp of one lie within the bound */
        return plant != FOUR_ULP && plant != STALE_TAIL;
    return plant != FOUR_ULP || who == OURS || acc_dtype(dtype) != dtype; /* an original may round more often */
}

static void plant_and_find(enum plant plant, int who, enum fuseln_op op, enum fuseln_dtype dtype)
{
    const bool columns = op == FUSELN_OP_DGAMMA, moments = op == FUSELN_OP_MOMENTS;
    const enum output output = columns ? DGAMMA : op == FUSELN_OP_DX ? DX : moments ? MEAN : Y;
    const int64_t cols = 768, rows = columns ? 1 : 48;
    struct sample s = sample_make(batch_make(dtype, NORMAL, rows, cols));
    if (op == FUSELN_OP_APPLY)
        original_apply(&s);
    damage(&s.b, output_at(&s, who, output), output, columns || moments ? 1 : rows, moments ? rows : cols, plant);
    const struct fuseln_check_result found = sample_check(&s, op);
    const double *field = found.field;
    const double blamed = field[who == OURS ? FUSELN_CHECK_OUTSIDE_OURS : FUSELN_CHECK_OUTSIDE_THEIRS];
    const double other = field[who == OURS ? FUSELN_CHECK_OUTSIDE_THEIRS : FUSELN_CHECK_OUTSIDE_OURS];
    if (!(plant == A_NAN ? field[FUSELN_CHECK_NAN] > 0 : blamed > 0 && other == 0) ||
        !(field[FUSELN_CHECK_FIRST] > FUSELN_CHECK_NONE))
        fail_check(&s, plant_names[who][plant], op, &found);
    sample_free(&s);
}

TEST(a_planted_mistake_is_found)
{
    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++)
        for (int plant = 0; plant < PLANTS; plant++)
            for (int who = OURS; who <= THEIRS; who++)
                for (int i = 0; i < OPS; i++)
                    if (can_be_found((enum plant)plant, who, ops[i], (enum fuseln_dtype)dtype))
                        plant_and_find((enum plant)plant, who, ops[i], (enum fuseln_dtype)dtype);
}

/* The sums of a row of dx may err by more than the roundings of one element: by 24 u here, where the bound for 768
 * columns is 56 u; 1000 u are too much. */
TEST(errors_of_sums_are_no_mistake_of_elements)
{
    static const double shares[] = {24, 1000};
    for (int share = 0; share < 2; share++) {
        struct sample s = sample_make(batch_make(FUSELN_DTYPE_F32, NORMAL, 8, 768));
        const struct batch b = s.b;
        void *theirs = output_at(&s, THEIRS, DX);
        for (int64_t r = 0; r < b.rows; r++) {
            double size = 0;
            for (int64_t c = 0; c < b.cols; c++)
                size += fabs(b.dy[r * b.cols + c] * b.gamma[c]) * b.rstd[r] / (double)b.cols;
            for (int64_t i = r * b.cols; i < (r + 1) * b.cols; i++) {
                const double xhat = (b.x[i] - b.mean[r]) * b.rstd[r], off = shares[share] * 0x1p-24 * size * (1 + xhat);
                put(theirs, b.dtype, i, get(theirs, b.dtype, i) + off);
            }
        }
        const struct fuseln_check_result found = sample_check(&s, FUSELN_OP_DX);
        assert_true(found.field[FUSELN_CHECK_OUTSIDE_OURS] == 0);
        assert_true((found.field[FUSELN_CHECK_OUTSIDE_THEIRS] > 0) == (share == 1));
        sample_free(&s);
    }
}

/* ---- Originals that keep no statistics ---- */

/* y of the forward from float statistics; one_pass: the variance is E[x^2] - E[x]^2, summed by 32 lanes. */
static void original_bare(const struct sample *s)
{
    const struct batch *b = &s->b;
    const float n = (float)b->cols;
    for (int64_t r = 0; r < b->rows; r++) {
        const double *x = b->x + r * b->cols;
        float sums[32] = {0}, squares[32] = {0}, sum = 0, square = 0;
        for (int64_t c = 0; c < b->cols; c++) {
            sums[c % 32] += (float)x[c];
            squares[c % 32] += (float)x[c] * (float)x[c];
        }
        for (int lane = 0; lane < 32; lane++)
            sum += sums[lane], square += squares[lane];
        const float mean = s->one_pass ? sum / n : (float)b->mean[r];
        const float variance = square / n - mean * mean;
        const float rstd = s->one_pass ? 1 / sqrtf(variance + (float)b->eps) : (float)b->rstd[r];
        for (int64_t c = 0; c < b->cols; c++) {
            double v = ((float)x[c] - mean) * rstd;
            v = s->round_affine ? round_to(b->dtype, v) : v;
            v = (float)v * (float)b->gamma[c];
            v = s->round_affine ? round_to(b->dtype, v) : v;
            put(output_at(s, THEIRS, Y), b->dtype, r * b->cols + c, round_to(b->dtype, (float)v + (float)b->beta[c]));
        }
    }
}

TEST(a_right_original_without_statistics_is_never_found_wrong)
{
    double proved = 0, elements = 0;
    for (int n = 0; n < 3 * shapes; n++) {
        const enum fuseln_dtype dtype = (enum fuseln_dtype)(n % FUSELN_DTYPE_F64);
        const int which = (int)below(ACTIVATIONS);
        const int64_t cols = 8 + below(3000), rows = 1 + below(10);
        struct sample s = sample_make(batch_make(dtype, which, rows, cols));
        s.bare = true;
        s.one_pass = n % 2;
        s.round_affine = n / 2 % 2;
        original_bare(&s);
        const struct fuseln_check_result found = sample_check(&s, FUSELN_OP_FORWARD);
        if (wrong(&found) != 0)
            fail_check(&s, distribution_name(which), FUSELN_OP_FORWARD, &found);
        proved += found.field[FUSELN_CHECK_ELEMENTS];
        elements += (double)(rows * cols);
        sample_free(&s);
    }
    assert_true(proved > 0.5 * elements); /* rows whose one-pass variance keeps too few digits prove nothing */
}

TEST(how_an_original_computes_must_be_said)
{
    for (int way = 0; way < 2; way++) {
        struct batch b = batch_make(way ? FUSELN_DTYPE_BF16 : FUSELN_DTYPE_F32, NORMAL, 8, 768);
        for (int64_t i = 0; !way && i < b.rows * b.cols; i++) /* mean / std is 50 */
            b.x[i] = round_to(b.dtype, b.x[i] + 50);
        struct sample s = sample_make(b);
        *(way ? &s.round_affine : &s.one_pass) = s.bare = true;
        original_bare(&s);
        for (int said = 0; said < 2; said++) {
            *(way ? &s.round_affine : &s.one_pass) = said;
            const struct fuseln_check_result found = sample_check(&s, FUSELN_OP_FORWARD);
            if ((found.field[FUSELN_CHECK_OUTSIDE_THEIRS] == 0) != said)
                fail_check(&s, way ? "roundings" : "one pass", FUSELN_OP_FORWARD, &found);
        }
        sample_free(&s);
    }
}

TEST(a_mistake_of_an_original_without_statistics_is_found)
{
    for (int dtype = 0; dtype < FUSELN_DTYPE_F64; dtype++) {
        for (int plant = FOUR_ULP; plant < PLANTS; plant++) {
            for (int who = OURS; who <= THEIRS; who++) {
                struct sample s = sample_make(batch_make((enum fuseln_dtype)dtype, NORMAL, 48, 768));
                s.bare = true;
                original_bare(&s);
                damage(&s.b, output_at(&s, who, Y), Y, 48, 768, (enum plant)plant);
                const struct fuseln_check_result found = sample_check(&s, FUSELN_OP_FORWARD);
                const bool far = who == OURS || plant != FOUR_ULP || dtype != FUSELN_DTYPE_F32;
                if (far && wrong(&found) == 0)
                    fail_check(&s, plant_names[who][plant], FUSELN_OP_FORWARD, &found);
                sample_free(&s);
            }
        }
    }
}

int main(int argc, char **argv)
{
    shapes = argc > 1 ? atoi(argv[1]) : shapes;
    return run_registered_tests();
}
