/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors in units, kept so that they can be ranked: root of the mean square, 99.9th percentile, maximum.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "accuracy.h"

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

/* Wirth's selection: the value that would stand at `rank` of the sorted array. */
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
