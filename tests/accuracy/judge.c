/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The margins: root mean square and 99.9th percentile of ours against PyTorch's, every element of ours against its
 * bound, growth with an offset. Each judgement is counted; one that fails marks its line of the table and says where.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "accuracy.h"
#include "judge.h"

enum { PERCENTILE_SAMPLES = 10000 }; /* of a width: ten of them lie beyond it; fewer are single extremes */

struct line lines[OUTPUT_COUNT][DISTRIBUTIONS_MAX];
int margins, broken;

__attribute__((format(printf, 3, 4))) static void judge(struct line *line, bool holds, const char *format, ...)
{
    margins++;
    if (holds)
        return;
    broken++;
    char text[64];
    const size_t used = strlen(line->broken);
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (used + strlen(text) + sizeof " ..." <= sizeof line->broken)
        strcpy(line->broken + used, text);
    else if (used && line->broken[used - 1] != '.')
        strcpy(line->broken + used, " ...");
}

/*
 * With few samples chance adds to the margin: three standard deviations of a ratio of two estimates from n normal
 * errors. An estimate of the root mean square has a relative deviation of sqrt(1 / 2n), one of the 99.9th percentile
 * sqrt(.001 n) / (n density) / percentile = 2.7 / sqrt(n).
 */
static double allowed(double margin, double deviation, int64_t few)
{
    return few ? margin * (1 + 3 * sqrt(2) * deviation / sqrt((double)few)) : margin;
}

static double judge_ratio(struct line *line, const char *what, double ours, double theirs, double floor, double margin,
                          int64_t cols)
{
    const double ratio = theirs > 0 ? ours / theirs : INFINITY;
    judge(line, ours <= floor || ours <= margin * theirs,
          cols ? "; %s %.2f of %.2f at %d columns" : "; %s %.2f of %.2f", what, ratio, margin, (int)cols);
    return ours <= floor ? 0 : ratio;
}

void judge_errors(struct line *line, size_t first, int64_t few, int64_t cols)
{
    const struct summary ours = errors_summary(&line->errors[OURS], first);
    const struct summary theirs = errors_summary(&line->errors[PYTORCH], first);
    line->rms_ratio = judge_ratio(line, "rms", ours.rms, theirs.rms, rms_floor,
                                  allowed(cols ? width_margin : rms_margin, sqrt(0.5), few), cols);
    if (!cols || ours.count >= PERCENTILE_SAMPLES)
        line->percentile_ratio = judge_ratio(line, "99.9%", ours.p999, theirs.p999, percentile_floor,
                                             allowed(percentile_margin, 2.7, few), cols);
}

void judge_bound(struct line *line, const double *got, const double *want, const double *bound, int64_t count)
{
    double most = 0;
    for (int64_t i = 0; i < count; i++) {
        const double share = got[i] == want[i] ? 0 : fabs(got[i] - want[i]) / bound[i];
        most = fmax(most, isnan(share) ? INFINITY : share);
    }
    judge(line, most <= 1, "; %.0f%% of the bound", 100 * most);
    line->of_bound = fmax(line->of_bound, most);
}

/* Growth of the error from unit normal rows to rows with an offset. One that shrinks does not degrade. */
static double growth(enum output output, int algorithm, int offset)
{
    const double before = fmax(lines[output][NORMAL].all[algorithm].rms, rms_floor);
    return fmax(lines[output][offset].all[algorithm].rms / before, 1);
}

struct growth judge_growth(enum output output, int offset)
{
    const struct growth g = {growth(output, OURS, offset), growth(output, PYTORCH, offset)};
    judge(&lines[output][offset], g.ours <= rms_margin * g.theirs, "; grows by %.2f, PyTorch's by %.2f", g.ours,
          g.theirs);
    return g;
}
