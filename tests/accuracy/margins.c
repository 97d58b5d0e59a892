/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors in ulp, held so that they can be ranked, and the margins: root mean square and 99.9th percentile of ours
 * against PyTorch's, each element of ours against its bound, and growth with an offset. Each margin is counted; one
 * that is broken marks its line of the table and says where.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "margins.h"

enum { PERCENTILE_SAMPLES = 10000 }; /* least number for a width: then ten lie beyond it */

struct line lines[OUTPUT_COUNT][DISTRIBUTIONS_MAX];
int margins, broken;

void errors_add(struct errors *errors, const double *got, const double *want, const double *unit, int64_t count)
{
    while (errors->count + (size_t)count > errors->room) {
        errors->room = 2 * errors->room + (size_t)count;
        errors->all = realloc(errors->all, errors->room * sizeof *errors->all);
        if (!errors->all) {
            fprintf(stderr, "accuracy: out of memory\n");
            exit(2);
        }
    }
    for (int64_t i = 0; i < count; i++) {
        const double error = fabs(got[i] - want[i]) / unit[i];
        errors->all[errors->count++] = isnan(error) ? INFINITY : (float)error; /* a NaN must never look small */
    }
}

/* Wirth's selection: the value at `rank` of the sorted array. */
static float select_rank(float *v, ptrdiff_t count, ptrdiff_t rank)
{
    for (ptrdiff_t low = 0, high = count - 1; low < high;) {
        const float pivot = v[rank];
        ptrdiff_t i = low, j = high;
        do {
            while (v[i] < pivot)
                i++;
            while (pivot < v[j])
                j--;
            if (i <= j) {
                const float swap = v[i];
                v[i++] = v[j];
                v[j--] = swap;
            }
        } while (i <= j);
        if (j < rank)
            low = i;
        if (rank < i)
            high = j;
    }
    return v[rank];
}

struct summary errors_summary(struct errors *errors, size_t first)
{
    float *v = errors->all + first;
    struct summary s = {0, 0, 0, errors->count - first};
    for (size_t i = 0; i < s.count; i++) {
        s.rms += (double)v[i] * (double)v[i];
        s.max = fmax(s.max, (double)v[i]);
    }
    s.rms = sqrt(s.rms / (double)s.count);
    s.p999 = (double)select_rank(v, (ptrdiff_t)s.count, (ptrdiff_t)(s.count - 1 - s.count / 1000));
    return s;
}

__attribute__((format(printf, 3, 4))) static void count_margin(struct line *line, bool holds, const char *format, ...)
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
 * Few samples widen the margin by three standard deviations of a ratio of two estimates from n normal errors. The
 * relative deviation of an estimated root mean square is sqrt(1 / 2n), that of a 99.9th percentile is
 * sqrt(.001 n) / (n density) / percentile = 2.7 / sqrt(n).
 */
static double allowed(double margin, double deviation, int64_t few)
{
    return few ? margin * (1 + 3 * sqrt(2) * deviation / sqrt((double)few)) : margin;
}

static double check_ratio(struct line *line, const char *what, double ours, double theirs, double floor, double margin,
                          int64_t cols)
{
    const double ratio = theirs > 0 ? ours / theirs : INFINITY;
    count_margin(line, ours <= floor || ours <= margin * theirs,
                 cols ? "; %s %.2f of %.2f at %d columns" : "; %s %.2f of %.2f", what, ratio, margin, (int)cols);
    return ours <= floor ? 0 : ratio;
}

void check_errors(struct line *line, size_t first, int64_t few, int64_t cols)
{
    const struct summary ours = errors_summary(&line->errors[OURS], first);
    const struct summary theirs = errors_summary(&line->errors[PYTORCH], first);
    line->rms_ratio = check_ratio(line, "rms", ours.rms, theirs.rms, rms_floor,
                                  allowed(cols ? width_margin : rms_margin, sqrt(0.5), few), cols);
    if (!cols || ours.count >= PERCENTILE_SAMPLES)
        line->percentile_ratio = check_ratio(line, "99.9%", ours.p999, theirs.p999, percentile_floor,
                                             allowed(percentile_margin, 2.7, few), cols);
}

void check_bound(struct line *line, const double *got, const double *want, const double *bound, int64_t count)
{
    double most = 0;
    for (int64_t i = 0; i < count; i++) {
        const double share = got[i] == want[i] ? 0 : fabs(got[i] - want[i]) / bound[i];
        most = fmax(most, isnan(share) ? INFINITY : share);
    }
    count_margin(line, most <= 1, "; %.0f%% of the bound", 100 * most);
    line->of_bound = fmax(line->of_bound, most);
}

/* Growth of the error from unit normal rows to rows with an offset; an error that shrinks counts as 1. */
static double growth(enum output output, int algorithm, int offset)
{
    const double before = fmax(lines[output][NORMAL].all[algorithm].rms, rms_floor);
    return fmax(lines[output][offset].all[algorithm].rms / before, 1);
}

struct growth check_growth(enum output output, int offset)
{
    const struct growth g = {growth(output, OURS, offset), growth(output, PYTORCH, offset)};
    count_margin(&lines[output][offset], g.ours <= rms_margin * g.theirs, "; grows by %.2f, PyTorch's by %.2f", g.ours,
                 g.theirs);
    return g;
}
