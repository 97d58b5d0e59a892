/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The accuracy of our kernels beside that of the algorithms that they replace, as a table; exit 1 if a margin is
 * broken.
 *
 *     accuracy --activations FILE [--quick] [--dtype f32|f16|bf16|f64] [--in-place-of-ours naive|two-pass|PyTorch]
 *
 * Errors are measured against float64 over 10,000 rows of each distribution and type, in five widths (--quick: a tenth
 * of the rows). --in-place-of-ours shows that the margins can be broken, and that PyTorch's own algorithm holds them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "margins.h"

static const struct {
    int64_t cols, rows;
} widths[] = {{64, 5000}, {768, 2000}, {777, 1500}, {1024, 1000}, {4096, 500}};

static const struct algorithm *algorithms[ALGORITHM_COUNT] = {&algorithm_ours, &algorithm_pytorch, &algorithm_apex,
                                                              &algorithm_two_pass};
static bool quick;
static FILE *activations;

bool has(int algorithm, enum output output, enum fuseln_dtype dtype)
{
    const struct algorithm *a = algorithms[algorithm];
    return (output <= RSTD ? a->forward : a->backward) && (algorithm == OURS || dtype != FUSELN_DTYPE_F64);
}

static void measure_algorithm(int which, const struct batch *batch, const struct truth *truth, int distribution,
                              struct result *result)
{
    const struct algorithm *a = algorithms[which];
    if (has(which, Y, batch->dtype))
        a->forward(batch, result);
    if (has(which, DX, batch->dtype))
        a->backward(batch, result);
    for (enum output o = 0; o < OUTPUT_COUNT; o++) {
        struct line *line = &lines[o][distribution];
        const int64_t count = output_count(batch, o);
        if (has(which, o, batch->dtype))
            errors_add(&line->errors[which], result->of[o], truth->want[o], truth->unit[o], count);
        if (which == OURS)
            check_bound(line, result->of[o], truth->want[o], truth->bound[o], count);
    }
}

/* One batch through every algorithm, and the margins of this width alone. */
static void measure_batch(struct batch *batch, int distribution)
{
    size_t first[OUTPUT_COUNT];
    struct truth truth = truth_make(batch);
    struct result result;
    for (enum output o = 0; o < OUTPUT_COUNT; o++) {
        first[o] = lines[o][distribution].errors[OURS].count;
        result.of[o] = doubles(output_count(batch, o));
    }
    for (int a = 0; a < ALGORITHM_COUNT; a++)
        measure_algorithm(a, batch, &truth, distribution, &result);
    for (enum output o = 0; o < OUTPUT_COUNT; o++) {
        /* Elements of a row share the errors of its mean, rstd and sums. */
        const int64_t independent = o < DGAMMA ? batch->rows : batch->cols;
        if (batch->dtype != FUSELN_DTYPE_F64)
            check_errors(&lines[o][distribution], first[o], independent, batch->cols);
        free(result.of[o]);
    }
    truth_free(&truth);
    batch_free(batch);
}

static int64_t measure_activations(enum fuseln_dtype dtype)
{
    int64_t taken = 0, rows = 0;
    rewind(activations);
    for (struct batch b; (b = batch_read(dtype, activations)).rows; taken++) {
        if (quick && taken % 10) {
            batch_free(&b);
            continue;
        }
        rows += b.rows;
        measure_batch(&b, ACTIVATIONS);
    }
    if (!rows) {
        fprintf(stderr, "accuracy: the file of activations is empty: make it again with activations.py\n");
        exit(2);
    }
    return rows;
}

static int64_t measure_made(enum fuseln_dtype dtype, int distribution)
{
    int64_t rows = 0;
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        struct batch b = batch_make(dtype, distribution, widths[w].rows / (quick ? 10 : 1), widths[w].cols);
        rows += b.rows;
        measure_batch(&b, distribution);
    }
    return rows;
}

static void measure(enum fuseln_dtype dtype)
{
    memset(lines, 0, sizeof lines);
    for (int d = 0; distribution_name(d); d++) {
        const int64_t rows = d == ACTIVATIONS ? measure_activations(dtype) : measure_made(dtype, d);
        for (enum output o = 0; o < OUTPUT_COUNT; o++) {
            struct line *line = &lines[o][d];
            for (int a = 0; a < ALGORITHM_COUNT; a++)
                if (has(a, o, dtype))
                    line->all[a] = errors_summary(&line->errors[a], 0);
            if (dtype != FUSELN_DTYPE_F64)
                check_errors(line, 0, !quick ? 0 : o < DGAMMA ? rows : (int64_t)line->errors[OURS].count, 0);
            for (int a = 0; a < ALGORITHM_COUNT; a++)
                free(line->errors[a].all);
        }
    }
}

static void run_dtype(enum fuseln_dtype dtype)
{
    measure(dtype);
    for (enum output o = 0; o < OUTPUT_COUNT; o++)
        print_block(dtype, o);
    fflush(stdout);
}

static const struct algorithm *algorithm_by_name(const char *name)
{
    const struct algorithm *all[] = {&algorithm_naive, &algorithm_two_pass, &algorithm_pytorch};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}

int main(int argc, char **argv)
{
    const char *only = NULL, *path = NULL;
    bool usage = false;
    for (int i = 1; i < argc && !usage; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--quick") == 0)
            quick = true;
        else if (value && strcmp(argv[i], "--activations") == 0)
            path = value, i++;
        else if (value && strcmp(argv[i], "--dtype") == 0)
            only = value, i++;
        else if (value && strcmp(argv[i], "--in-place-of-ours") == 0 && algorithm_by_name(value))
            algorithms[OURS] = algorithm_by_name(value), i++;
        else
            usage = true;
    }
    if (usage || !path) {
        fprintf(stderr, "usage: accuracy --activations FILE [--quick] [--dtype f32|f16|bf16|f64] "
                        "[--in-place-of-ours naive|two-pass|PyTorch]\n");
        return 2;
    }
    activations = fopen(path, "rb");
    if (!activations) {
        perror(path);
        return 2;
    }
    print_header();
    for (enum fuseln_dtype dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++)
        if (!only || strcmp(only, fuseln_dtype_name(dtype)) == 0)
            run_dtype(dtype);
    printf("\n%d margins, %d broken\n", margins, broken);
    return broken || !margins;
}
