/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table as a person reads it: a block for each output and type, a line for each distribution.
 */
#include <math.h>
#include <stdio.h>

#include "margins.h"

static const char *const output_names[] = {"y", "mean", "rstd", "dX", "dgamma", "dbeta"};

void print_header(void)
{
    printf("Errors against float64 in ulp of the output's type, taken at max(|value|, root mean square of its row's\n"
           "outputs; mean: of its row's inputs): an element near zero is a difference of numbers of its row's size\n"
           "and inherits their rounding. Backward kernels get the true mean and rstd, rounded once.\n"
           "\n"
           "ours/PyTorch: all widths together (64, 768, 777, 1024, 4096), at most %.2f (rms) and %.2f (99.9%%). No\n"
           "width may be worse than %.2f in either, with what chance adds in fewer rows. \"-\": ours is below %.3f\n"
           "and %.1f, the errors of exact arithmetic that is rounded once. of bound: largest error of ours as a share\n"
           "of its derived bound. X: a margin is broken, and where.\n"
           "\n"
           "Offset 1e4 rounds to constant rows in bf16 and to steps of 8 in f16; huge 1e4 is clipped at 65504 in f16;\n"
           "activations have no width of 4096. f64 is checked against its bound alone, in long double.\n",
           rms_margin, percentile_margin, width_margin, rms_floor, percentile_floor);
}

/* Five characters, three digits or more. */
static void print_number(double v)
{
    if (!isfinite(v) || v >= 99999.5)
        printf(isfinite(v) ? " %5.0e" : " %5.0f", v);
    else
        printf(" %5.*f", v < 9.9995 ? 3 : v < 99.995 ? 2 : v < 999.95 ? 1 : 0, v);
}

static void print_ratio(double ratio)
{
    if (ratio == 0)
        printf("     -");
    else if (ratio < 99.995)
        printf(" %5.2f", ratio);
    else
        print_number(ratio);
}

static void print_line(const struct line *line, enum fuseln_dtype dtype, enum output output, const char *name)
{
    printf("%-11s", name);
    for (int a = 0; a < ALGORITHM_COUNT; a++) {
        const double numbers[] = {line->all[a].rms, line->all[a].p999, line->all[a].max};
        for (int i = 0; i < 3; i++)
            if (has(a, output, dtype))
                print_number(numbers[i]);
            else
                printf("     -");
        printf(" ");
    }
    print_ratio(line->rms_ratio);
    print_ratio(line->percentile_ratio);
    printf(line->of_bound < 9.995 ? " %3.0f%%\n" : " %4.0e\n", (line->of_bound < 9.995 ? 100 : 1) * line->of_bound);
    if (*line->broken)
        printf("  X %s\n", line->broken + 2);
}

void print_block(enum fuseln_dtype dtype, enum output output)
{
    struct growth growths[DISTRIBUTIONS_MAX];
    const bool grows = output < DGAMMA && dtype != FUSELN_DTYPE_F64;
    for (int d = OFFSET_1E2; d <= OFFSET_1E4 && grows; d++)
        growths[d] = check_growth(output, d);
    printf(
        "\n%-6s %-4s  ours               PyTorch            apex               two-pass            ours/PyTorch   of\n",
        output_names[output], fuseln_dtype_name(dtype));
    printf("%-11s", "");
    for (int a = 0; a < ALGORITHM_COUNT; a++)
        printf("   rms 99.9%%   max ");
    printf("   rms 99.9%% bound\n");
    for (int d = 0; distribution_name(d); d++)
        print_line(&lines[output][d], dtype, output, distribution_name(d));
    for (int d = OFFSET_1E2; d <= OFFSET_1E4 && grows; d++)
        printf("%s: rms of ours %.2f times that of normal, PyTorch's %.2f\n", distribution_name(d), growths[d].ours,
               growths[d].theirs);
}
