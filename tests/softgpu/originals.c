/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See originals.h and originals_internal.h: the table of programs, and what their files share.
 */
#include "originals_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double softgpu_load(const void *p, int64_t i, enum dtype dtype)
{
    if (dtype == F64)
        return ((const double *)p)[i];
    if (dtype == F32)
        return ((const float *)p)[i];
    uint32_t bits = ((const uint16_t *)p)[i];
    float value;
    if (dtype == BF16) {
        bits <<= 16;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    uint32_t sign = (bits & 0x8000u) << 16, rest = bits & 0x7fffu;
    if (rest < 0x400u)
        return (sign ? -1.0 : 1.0) * rest * 0x1p-24;
    bits = sign | ((rest << 13) + (rest >= 0x7c00u ? (255u - 31u) << 23 : (127u - 15u) << 23));
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Rounds to nearest even in one step; by way of float it would round twice. */
static uint16_t round_to_half(double value, int exponent_bits, int mantissa_bits)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 48) & 0x8000u;
    uint16_t infinity = (uint16_t)(((1u << exponent_bits) - 1) << mantissa_bits);
    if (isnan(value))
        return sign | infinity | (uint16_t)(1u << (mantissa_bits - 1));
    int bias = (1 << (exponent_bits - 1)) - 1, exponent = (int)(bits >> 52 & 0x7ff) - 1023, shift = 52 - mantissa_bits;
    uint64_t magnitude = bits & ~(1ull << 63);
    if (exponent >= 1 - bias) {
        magnitude -= (uint64_t)(1023 - bias) << 52;
    } else { /* subnormal in the half type */
        magnitude = (magnitude & ((1ull << 52) - 1)) | 1ull << 52;
        shift += 1 - bias - exponent;
        if (shift > 54)
            return sign;
    }
    uint64_t rounded = (magnitude + (1ull << (shift - 1)) - 1 + (magnitude >> shift & 1)) >> shift;
    return sign | (rounded >= infinity ? infinity : (uint16_t)rounded);
}

void softgpu_store(void *p, int64_t i, enum dtype dtype, double value)
{
    if (dtype == F64)
        ((double *)p)[i] = value;
    else if (dtype == F32)
        ((float *)p)[i] = (float)value;
    else
        ((uint16_t *)p)[i] = dtype == F16 ? round_to_half(value, 5, 10) : round_to_half(value, 8, 7);
}

double softgpu_round(double value, enum dtype dtype)
{
    union {
        uint16_t half;
        float single;
        double all;
    } rounded;
    softgpu_store(&rounded, 0, dtype, value);
    return softgpu_load(&rounded, 0, dtype);
}

bool softgpu_skip(const char **s, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(*s, word, n) != 0)
        return false;
    *s += n;
    return true;
}

bool softgpu_take_dtype(const char **s, enum spelling spelling, enum dtype *ret_dtype)
{
    static const struct {
        const char *mangled[2];
        enum dtype dtype;
    } types[] = {{{"f", "f"}, F32},
                 {{"d", "d"}, F64},
                 {{"N3c104HalfE", "6__half"}, F16},
                 {{"N3c108BFloat16E", "13__nv_bfloat16"}, BF16}};
    for (size_t i = 0; i < COUNT(types); i++) {
        *ret_dtype = types[i].dtype;
        if (softgpu_skip(s, types[i].mangled[spelling]))
            return true;
    }
    return false;
}

bool softgpu_signature_is(const char *s, const char *expected)
{
    while (*s && *expected) {
        if (*s != *expected)
            return false;
        if (*s++ == 'S')
            s = strchr(s, '_') ? strchr(s, '_') + 1 : "?";
        expected++;
    }
    return !*s && !*expected;
}

int softgpu_original_run(const struct softgpu_original *launch)
{
    static int (*const programs[])(const struct softgpu_original *launch) = {
#define X(program) softgpu_original_##program,
        SOFTGPU_PROGRAMS(X)
#undef X
    };
    int result = SOFTGPU_ORIGINAL_UNKNOWN;
    for (size_t i = 0; i < COUNT(programs) && result == SOFTGPU_ORIGINAL_UNKNOWN; i++)
        result = programs[i](launch);
    return result;
}
