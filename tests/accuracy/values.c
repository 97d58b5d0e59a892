/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The numbers of an element type: rounding a double to it and the distance between its neighbours.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accuracy.h"

/* Bits of the fraction, exponent of the smallest normal number, largest number. */
static const struct {
    int fraction, lowest;
    double largest;
} formats[] = {
    [FUSELN_DTYPE_F32] = {23, -126, 0x1.fffffep127},
    [FUSELN_DTYPE_F16] = {10, -14, 65504},
    [FUSELN_DTYPE_BF16] = {7, -126, 0x1.fep127},
    [FUSELN_DTYPE_F64] = {52, -1022, 0x1.fffffffffffffp1023},
};

double ulp(enum fuseln_dtype dtype, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const int lowest = formats[dtype].lowest, biased = (int)(bits >> 52 & 0x7ff), exponent = biased - 1023;
    const int power = (exponent < lowest ? lowest : exponent) - formats[dtype].fraction;
    if (power < -1022)
        return ldexp(1, power);
    bits = (uint64_t)(power + 1023) << 52;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double round_to(enum fuseln_dtype dtype, double value)
{
    if (dtype == FUSELN_DTYPE_F64 || value == 0 || !isfinite(value))
        return value;
    if (dtype == FUSELN_DTYPE_F32)
        return (float)value;
    const double step = ulp(dtype, value), rounded = nearbyint(value / step) * step;
    return fabs(rounded) > formats[dtype].largest ? copysign(INFINITY, value) : rounded;
}

enum fuseln_dtype output_dtype(enum fuseln_dtype dtype, enum output output)
{
    const int statistic = output == MEAN || output == RSTD;
    return statistic && dtype != FUSELN_DTYPE_F64 ? FUSELN_DTYPE_F32 : dtype;
}

int64_t output_count(const struct batch *batch, enum output output)
{
    switch (output) {
    case MEAN:
    case RSTD:
        return batch->rows;
    case DGAMMA:
    case DBETA:
        return batch->cols;
    default:
        return batch->rows * batch->cols;
    }
}

double *doubles(int64_t count)
{
    double *memory = calloc((size_t)count, sizeof *memory);
    if (!memory) {
        fprintf(stderr, "accuracy: out of memory\n");
        exit(2);
    }
    return memory;
}
