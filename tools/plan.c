/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which kernel runs for my model? Prints what fuseln launches for one shape and each operation (sum: FORWARD of x +
 * bias + residual), as fuseln_plan_make decides: kernels, grid, block, dynamic shared memory, elements per thread,
 * partial rows, scratch. plan [--json] [--sms N] [--smem BYTES] [--cc MAJOR.MINOR] [--offset BYTES] DTYPE COLS [ROWS]
 * --offset: bytes from a 16-byte boundary to the first element of x, dy, y and dx. The defaults are an H100's; no
 * device is needed. tests/budgets reads --json. Exit 0; 2 and one line on standard error for wrong usage.
 */
#include "kernels/host/device.h"
#include "kernels/schedules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct question {
    bool json;
    struct fuseln_device device;
    enum fuseln_dtype dtype;
    int64_t cols, rows;
    uint64_t offset;
};

static bool parse_number(const char *text, int64_t least, int64_t most, int64_t *ret_value)
{
    char *end;
    const long long value = strtoll(text, &end, 10);
    if (end == text || *end || value < least || value > most)
        return false;
    *ret_value = value;
    return true;
}

static bool parse_dtype(const char *text, enum fuseln_dtype *ret_dtype)
{
    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++) {
        if (strcmp(text, fuseln_dtype_name((enum fuseln_dtype)dtype)) == 0) {
            *ret_dtype = (enum fuseln_dtype)dtype;
            return true;
        }
    }
    return false;
}

/* An option and its value; false if either is invalid. */
static bool parse_option(const char *name, const char *value, struct question *question)
{
    int64_t number;
    char rest;
    if (strcmp(name, "--cc") == 0)
        return sscanf(value, "%d.%d%c", &question->device.cc_major, &question->device.cc_minor, &rest) == 2;
    if (!parse_number(value, 0, INT32_MAX, &number))
        return false;
    if (strcmp(name, "--sms") == 0 && number > 0)
        question->device.sm_count = (int)number;
    else if (strcmp(name, "--smem") == 0)
        question->device.smem_optin_bytes = (int)number;
    else if (strcmp(name, "--offset") == 0)
        question->offset = (uint64_t)number;
    else
        return false;
    return true;
}

static bool parse(int argc, char **argv, struct question *question)
{
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--json") == 0)
            question->json = true;
        else if (i + 1 == argc || !parse_option(argv[i], argv[i + 1], question))
            return false;
        else
            i++;
    }
    return (argc - i == 2 || argc - i == 3) && parse_dtype(argv[i], &question->dtype) &&
           parse_number(argv[i + 1], 1, INT64_MAX, &question->cols) &&
           (argc - i == 2 || parse_number(argv[i + 2], 1, INT64_MAX, &question->rows));
}

enum { SUM = FUSELN_OP_COUNT, LAUNCHES }; /* FORWARD of a sum */

/* A call with every pointer set. Only their alignment matters: they are never dereferenced. */
static struct fuseln_call call_of(int launch, const struct question *question)
{
    void *const there = (void *)(uintptr_t)4096, *const rows = (void *)(uintptr_t)(4096 + question->offset);
    return (struct fuseln_call){.op = launch == SUM ? FUSELN_OP_FORWARD : (enum fuseln_op)launch,
                                .dtype = question->dtype,
                                .rows = question->rows,
                                .cols = question->cols,
                                .x = rows,
                                .dy = rows,
                                .gamma = there,
                                .beta = there,
                                .mean = there,
                                .rstd = there,
                                .y = rows,
                                .dx = rows,
                                .dgamma = there,
                                .dbeta = there,
                                .residual = launch == SUM ? rows : NULL,
                                .bias = launch == SUM ? there : NULL,
                                .sum = launch == SUM ? rows : NULL,
                                .out_rows = 1};
}

static const char *launch_name(int launch)
{
    return launch == SUM ? "sum" : fuseln_op_name((enum fuseln_op)launch);
}

static void print_json(const struct fuseln_plan *plan, int launch, bool first)
{
    printf("%s\n \"%s\": {\"width\": %u, \"log_lanes\": %u, \"stages\": %u, \"partial_rows\": %lld, \"parts\": %lld, "
           "\"scratch_bytes\": %zu, \"kernels\": [",
           first ? "{" : ",", launch_name(launch), plan->width, plan->log_lanes, plan->stages,
           (long long)plan->partial_rows, (long long)plan->parts, plan->scratch_bytes);
    for (int i = 0; i < 2 && plan->kernel[i]; i++)
        printf("%s{\"name\": \"%s\", \"grid\": %u, \"block\": %u, \"smem\": %u}", i ? ", " : "",
               fuseln_variant_name(plan->kernel[i]), plan->grid[i], plan->block[i], plan->smem_bytes[i]);
    printf("]}");
}

static void print_text(const struct fuseln_plan *plan, const struct question *question, int launch)
{
    const double elements = (double)question->rows * (double)question->cols;
    for (int i = 0; i < 2 && plan->kernel[i]; i++) {
        printf("%-8s %s: grid %u, block %u, shared memory %u B", i ? "" : launch_name(launch),
               fuseln_variant_name(plan->kernel[i]), plan->grid[i], plan->block[i], plan->smem_bytes[i]);
        if (i == 0)
            printf(", %.1f elements a thread in %u-byte accesses", elements / plan->grid[i] / plan->block[i],
                   plan->width);
        if (i == 0 && plan->partial_rows)
            printf(", %lld partial rows, %zu B of scratch", (long long)plan->partial_rows, plan->scratch_bytes);
        putchar('\n');
    }
}

int main(int argc, char **argv)
{
    struct question question = {.device = {.cc_major = 9, .sm_count = 132, .smem_optin_bytes = 232448}, .rows = 8192};
    if (!parse(argc, argv, &question)) {
        fputs("usage: plan [--json] [--sms N] [--smem BYTES] [--cc MAJOR.MINOR] [--offset BYTES] "
              "f32|f16|bf16|f64 COLS [ROWS]\n",
              stderr);
        return 2;
    }
    question.device.direct_rows = FUSELN_DIRECT_ROWS;
    bool first = true;
    for (int launch = 0; launch < LAUNCHES; launch++) {
        const struct fuseln_call call = call_of(launch, &question);
        struct fuseln_plan plan;
        const enum fuseln_verdict verdict = fuseln_plan_make(&call, &question.device, &plan);
        if (verdict == FUSELN_VERDICT_OK && question.json)
            print_json(&plan, launch, first);
        else if (verdict == FUSELN_VERDICT_OK)
            print_text(&plan, &question, launch);
        else if (!question.json)
            printf("%-8s the original: %s\n", launch_name(launch), fuseln_verdict_text(verdict));
        first = first && verdict != FUSELN_VERDICT_OK;
    }
    if (question.json)
        puts(first ? "{}" : "\n}");
    return 0;
}
