/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bits of the forward, kept: a hash of y, mean and rstd for widths that reach every schedule, every number of
 * chunks in it, and a last chunk that a lane, or part of one, does not have. The unaligned kernels must give the same
 * hashes. tests/data/forward_hashes.txt was written by this program; a change that means to change the bits writes it
 * anew, and says so:
 *     test_hashes                 compares
 *     test_hashes --print         prints what the file should say
 */
#include <inttypes.h>

#include "layer.h"

/* Chunks a lane has in rows of so many lanes. */
static const struct {
    int lanes, least, most;
} held[] = {{8, 1, 2}, {16, 2, 2}, {32, 2, 4}, {32, 5, 8}, {64, 5, 8}, {128, 5, 8}, {256, 5, 8}};
/* Columns of real models, and bytes of rows that are not held in registers. */
static const int real_cols[] = {77,   96,   640,  768,  1000, 1001, 1152, 1280,  1408,  1600,
                                2560, 3072, 5120, 6144, 7168, 8192, 9216, 12288, 14336, 14848};
static const int long_bytes[] = {32784, 49152, 80000, 116224, 116240, 196610};

enum { WIDTHS = 300 };
#define COUNT(list) (sizeof(list) / sizeof *(list))

static size_t list_widths(enum fuseln_dtype dtype, int64_t (*cols)[WIDTHS])
{
    const int size = (int)fuseln_dtype_bytes(dtype);
    size_t n = 0;
    for (size_t h = 0; h < COUNT(held); h++)
        for (int chunks = held[h].least; chunks <= held[h].most; chunks++) {
            const int all = held[h].lanes * 16, before = (chunks - 1) * all;
            const int ends[] = {size, 16, 16 + size, all / 4, all / 2, all / 4 * 3, all - 16, all - size, all};
            for (size_t e = 0; e < COUNT(ends); e++)
                (*cols)[n++] = (before + ends[e]) / size;
        }
    for (size_t i = 0; i < COUNT(real_cols); i++)
        if (real_cols[i] * size <= 32 << 10)
            (*cols)[n++] = real_cols[i];
    for (size_t i = 0; i < COUNT(long_bytes); i++)
        (*cols)[n++] = long_bytes[i] / size;
    return n;
}

/* Values of row `row`: each kind of row that a branch of the statistics could treat apart. */
enum { ORDINARY, AROUND_ZERO, MINUS_ZERO, AN_INF, A_NAN, TINY, HUGE_SUM, CONSTANT, KINDS };
static uint64_t random_state;
static double drawn(void)
{
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    return (double)(random_state >> 40) * 0x1p-24 - 0.5;
}
static double value(int kind, enum fuseln_dtype dtype, int64_t i, int64_t cols)
{
    const double v = drawn(), least = dtype == FUSELN_DTYPE_F32    ? 0x1p-149
                                      : dtype == FUSELN_DTYPE_BF16 ? 0x1p-133
                                                                   : 0x1p-24;
    switch (kind) {
    case ORDINARY:
        return 3 + v * 4;
    case MINUS_ZERO:
        return -0.0;
    case AN_INF:
        return i == cols / 3 ? INFINITY : v;
    case A_NAN:
        return i == cols - 1 ? NAN : v;
    case TINY: /* sums that round to -0 */
        return i % 8 < 2 ? -0.0 : -least;
    case HUGE_SUM:
        return dtype == FUSELN_DTYPE_F16 ? 60000 : 2e38 + v * 1e37;
    case CONSTANT:
        return 1000.5;
    default:
        return v * 4;
    }
}

static struct layer make(enum fuseln_dtype dtype, int64_t cols, size_t off)
{
    struct layer l = layer_make(dtype, KINDS, cols, off, false, true);
    random_state = 88172645463325252u + (uint64_t)cols;
    for (int64_t i = 0; i < cols * KINDS; i++)
        put(l.x.at, dtype, i, value((int)(i / cols), dtype, i % cols, cols));
    for (int64_t i = 0; i < cols; i++)
        put(l.gamma.at, dtype, i, 1 + drawn()), put(l.beta.at, dtype, i, drawn());
    return l;
}

/* FNV-1a, a value a step; the sign and payload of a NaN are the processor's. */
static uint64_t hash(uint64_t h, const char *at, enum fuseln_dtype dtype, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const bool nan = isnan(get(at, dtype, i));
        const size_t size = fuseln_dtype_bytes(dtype);
        uint64_t bits = 0;
        memcpy(&bits, at + (size_t)i * size, size);
        h = (h ^ (nan ? ~UINT64_C(0) : bits)) * UINT64_C(1099511628211);
    }
    return h;
}

/* LN and RMS norm, with and without gamma and beta. */
static uint64_t form_hash(struct layer *l, int form, enum fuseln_op op)
{
    l->rms = form >= 4;
    l->call.rms = l->rms;
    l->call.gamma = form % 2 ? NULL : l->gamma.at;
    l->call.beta = l->rms || form / 2 ? NULL : l->beta.at;
    memset(l->mean.at, 0, l->mean.bytes);
    run_op(l, op);
    uint64_t h = UINT64_C(14695981039346656037);
    if (op == FUSELN_OP_FORWARD)
        h = hash(h, l->y.at, l->dtype, l->rows * l->cols);
    h = hash(h, l->mean.at, acc_dtype(l->dtype), l->rows);
    return hash(h, l->rstd.at, acc_dtype(l->dtype), l->rows);
}

/* Of two forms and, in turn, one of the others; the unaligned kernel runs one of the three. */
static uint64_t width_hash(enum fuseln_dtype dtype, int64_t cols, size_t turn)
{
    static const int others[] = {1, 2, 3, 5};
    const int forms[] = {0, 4, others[turn % 4]};
    struct layer aligned = make(dtype, cols, 0), unaligned = make(dtype, cols, 1);
    uint64_t all = form_hash(&aligned, turn % 2 ? 4 : 0, FUSELN_OP_MOMENTS);
    for (size_t i = 0; i < COUNT(forms); i++) {
        const uint64_t h = form_hash(&aligned, forms[i], FUSELN_OP_FORWARD);
        all = all * UINT64_C(1099511628211) ^ h;
        if (i == turn % COUNT(forms))
            assert_int_equal(form_hash(&unaligned, forms[i], FUSELN_OP_FORWARD), h);
    }
    layer_free(&aligned), layer_free(&unaligned);
    return all;
}

static const char *const names[] = {"f32", "f16", "bf16"};

static void for_each_width(void (*each)(enum fuseln_dtype dtype, int64_t cols, size_t turn, FILE *file), FILE *file)
{
    for (int dtype = 0; dtype < FUSELN_DTYPE_F64; dtype++) {
        int64_t cols[WIDTHS];
        const size_t n = list_widths((enum fuseln_dtype)dtype, &cols);
        for (size_t i = 0; i < n; i++)
            each((enum fuseln_dtype)dtype, cols[i], i, file);
    }
}
static void compare(enum fuseln_dtype dtype, int64_t cols, size_t turn, FILE *file)
{
    char name[8];
    int64_t kept_cols;
    uint64_t kept;
    assert_int_equal(fscanf(file, "%7s %" SCNd64 " %" SCNx64, name, &kept_cols, &kept), 3);
    assert_string_equal(name, names[dtype]);
    assert_int_equal(cols, kept_cols);
    const uint64_t h = width_hash(dtype, cols, turn);
    if (h != kept)
        fail_msg("%s, %" PRId64 " columns: the hash is %016" PRIx64 ", kept was %016" PRIx64, name, cols, h, kept);
}
static void print(enum fuseln_dtype dtype, int64_t cols, size_t turn, FILE *file)
{
    fprintf(file, "%s %" PRId64 " %016" PRIx64 "\n", names[dtype], cols, width_hash(dtype, cols, turn));
}

TEST(the_forward_has_the_bits_that_were_kept)
{
    FILE *file = fopen(FUSELN_TEST_DATA "/forward_hashes.txt", "r");
    assert_non_null(file);
    for_each_width(compare, file);
    assert_int_equal(fscanf(file, "%*s"), EOF);
    fclose(file);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--print") == 0) {
        for_each_width(print, stdout);
        return 0;
    }
    return run_registered_tests();
}
