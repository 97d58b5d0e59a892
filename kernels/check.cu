/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a kernel of the host compute what its name says, and does ours compute the same? Both outputs of one launch are
 * checked against the formula in float64, each within its own bound:
 *   rows:    the outputs of FORWARD, MOMENTS, APPLY and DX, a warp to a row;
 *   columns: those of DGAMMA, 32 columns a block;
 *   sum:     adds up what the warps found, into memory that the host reads.
 * The bounds, where u is the unit roundoff of the sums' type, n the columns, and a rounding errs by at most u times
 * the value that it rounds:
 *   mean, rstd: sums in any order whose longest chain has n / 32 + 16 additions (a warp or more to a row), with three
 *            roundings a step (Welford). The mean errs by 3 chain u avg|x|; the variance by the square of that plus
 *            3 chain u (var + std rms(x)) (Chan, Golub, LeVeque: the condition of a variance); rstd accordingly.
 *   y:       from the statistics written with it: x - mean, times rstd, times gamma, plus beta. The original may have
 *            computed with unrounded statistics. Of an original that writes none, y is checked against the true ones,
 *            and may also err by what they may: |gamma| (|x - mean| drstd + rstd dmean). Where its variance is
 *            E[x^2] - E[x]^2, that errs by the chain's error of E[x^2] and of the mean's square; a variance of which
 *            too little is left proves nothing. An original may round xhat and gamma xhat to the type of y, too.
 *   sum:     the float sum, rounded where the call says so; y and the statistics are those of that sum.
 *   dx:      from mean and rstd. An error of a row's two sums shifts all of its elements by the same multiple of 1 and
 *            of xhat: those multiples are fitted, checked against the bound of the sums, and subtracted. The roundings
 *            of each element are left. The fit's own noise is their average (Hoeffding: more than 8 / sqrt(n) of their
 *            root mean square once in 10^13 rows).
 *   dgamma, dbeta: two roundings of xhat and one for each addition on the longest chain, u sum|terms| each; k nonzero
 *            terms make at most k additions.
 * For double, u is doubled: the reference errs as much. A last rounding to a shorter type adds half an ulp. Errors are
 * counted in ulp of the type at the element's largest term, or at the row's average one.
 * What an Inf or a NaN reaches is checked by pattern only. Our value must be finite, NaN, Inf or -Inf as the formula's
 * is, or as the original's is. The original's value, and every statistic and sum, must be finite where the formula's
 * is: whether an Inf turns into a NaN depends on the order of additions. Where everything is finite but float sums
 * might overflow or underflow, nothing is checked, as either kernel may get an Inf or a NaN on the way.
 */
#include "kernels/chunk.cuh"

enum { OURS, THEIRS };
enum { BLOCK_WARPS = FUSELN_CHECK_THREADS / 32 };
#define TINY 0x1p-125 /* times u it is half the smallest float */

static __device__ __forceinline__ double load(const void *base, long long i, int dtype)
{
    if (dtype == FUSELN_CHECK_F32)
        return static_cast<const float *>(base)[i];
    if (dtype == FUSELN_CHECK_F16)
        return __half2float(static_cast<const __half *>(base)[i]);
    if (dtype == FUSELN_CHECK_BF16)
        return __bfloat162float(static_cast<const __nv_bfloat16 *>(base)[i]);
    return static_cast<const double *>(base)[i];
}

/* The type of x, and of mean and rstd. */
struct number_type {
    int dtype, acc;
    double u;   /* of acc */
    double max; /* larger values become Inf */

    __device__ __forceinline__ explicit number_type(int of)
        : dtype(of), acc(of == FUSELN_CHECK_F64 ? FUSELN_CHECK_F64 : FUSELN_CHECK_F32),
          u(of == FUSELN_CHECK_F64 ? 0x1p-52 : 0x1p-24), max(of == FUSELN_CHECK_F16   ? 65536.0
                                                             : of == FUSELN_CHECK_F64 ? 0x1.fffffffffffffp+1023
                                                                                      : 0x1p128)
    {
    }
    /* One ulp of `in` (dtype or acc) at this magnitude. */
    __device__ __forceinline__ double ulp(double magnitude, int in) const
    {
        const int digits = in == FUSELN_CHECK_F16 ? 10 : in == FUSELN_CHECK_BF16 ? 7 : in == FUSELN_CHECK_F32 ? 23 : 52;
        const int least = in == FUSELN_CHECK_F16 ? -14 : in == FUSELN_CHECK_F64 ? -970 : -126;
        const int exponent = (__double2hiint(magnitude) >> 20 & 0x7ff) - 1023;
        return __hiloint2double(((exponent < least ? least : exponent) - digits + 1023) << 20, 0);
    }
    /* 1 / ulp. */
    __device__ __forceinline__ double inverse(double power) const
    {
        return __hiloint2double((2 * 1023 << 20) - __double2hiint(power), 0);
    }
    /* The largest error of the last rounding, to dtype, of a value that already errs by `error`. */
    __device__ __forceinline__ double rounding(double magnitude, double error) const
    {
        return dtype == acc ? 0.0 : 0.5 * ulp(magnitude + error, dtype);
    }
    __device__ __forceinline__ double limited(double v) const
    {
        return v > max ? max : v < -max ? -max : v;
    }
};

static __device__ __forceinline__ double sum_warp(double v)
{
#pragma unroll 1
    for (int distance = 16; distance > 0; distance /= 2)
        v += __shfl_xor_sync(0xffffffffu, v, distance);
    return v;
}

static __device__ __forceinline__ float rounded(float v, int dtype)
{
    return dtype == FUSELN_CHECK_F16    ? __half2float(__float2half_rn(v))
           : dtype == FUSELN_CHECK_BF16 ? __bfloat162float(__float2bfloat16_rn(v))
                                        : v;
}

/* An element of what is normalised: of x, or of its sum with bias and residual as both kernels add it up. Of double
 * there are no sums. stored: as `sum` has it. */
static __device__ __forceinline__ double input(const fuseln_check_params &p, const number_type &type, long long from,
                                               long long i, bool stored = false)
{
    const double x = load(p.host.x, from + i, type.dtype);
    if (!p.host.bias && !p.host.residual)
        return x;
    const float bias = p.host.bias ? static_cast<float>(load(p.host.bias, i, type.dtype)) : -0.0f;
    const float residual = p.host.residual ? static_cast<float>(load(p.host.residual, from + i, type.dtype)) : -0.0f;
    const bool each = p.host.rounding, bias_last = p.host.rounding == FUSELN_BIAS_LAST;
    float v = static_cast<float>(x) + (bias_last ? residual : bias);
    if (each)
        v = rounded(v, type.dtype);
    v += bias_last ? bias : residual;
    return each || stored ? rounded(v, type.dtype) : v;
}

/* How an element is checked: by value; by its pattern; loosely, finite or not; or not at all. */
enum check_mode { VALUE, PATTERN, LOOSE, UNCHECKED };

/* What an element of ours and of theirs should be, how far it may be off, and the ulp that errors are counted in. */
struct expectation {
    double truth[2], bound[2], unit;
    check_mode mode;
    bool counts; /* as one of ELEMENTS */
    bool tells;  /* the operation shows in it: an original that left it out would lie beyond the bound */
};

static __device__ __forceinline__ bool is_finite(double v)
{
    return fabs(v) <= 0x1.fffffffffffffp+1023;
}
static __device__ __forceinline__ double size_if_finite(double v)
{
    return is_finite(v) ? fabs(v) : 0.0;
}
/* size: the sum of the magnitudes of a sum's finite terms. */
static __device__ __forceinline__ check_mode mode_of(double size, double sum)
{
    return !(size < 0x1p60) ? UNCHECKED : is_finite(sum) ? VALUE : PATTERN;
}
/* A variance that no float can hold leaves an rstd of Inf or one near zero. */
static __device__ __forceinline__ check_mode mode_by_rstd(double size, double sum, double rstd)
{
    const check_mode mode = mode_of(size, sum);
    return rstd >= 0x1p60 || (mode == VALUE && !(rstd > 0x1p-60)) ? UNCHECKED : mode;
}

/* Are both finite, both NaN, both Inf or both -Inf? */
static __device__ __forceinline__ bool same_pattern(double a, double b)
{
    return is_finite(a) ? is_finite(b) : a != a ? b != b : a == b;
}

struct tally {
    double field[FUSELN_CHECK_FIELDS];

    __device__ __forceinline__ tally()
    {
#pragma unroll
        for (int i = 0; i < FUSELN_CHECK_FIELDS; i++)
            field[i] = i < FUSELN_CHECK_SUMS ? 0.0 : FUSELN_CHECK_NONE;
    }
    static __device__ __forceinline__ double both(int i, double a, double b)
    {
        return i < FUSELN_CHECK_SUMS ? a + b : b > a ? b : a;
    }
    __device__ __forceinline__ void add(int i, double v)
    {
        field[i] = both(i, field[i], v);
    }
    __device__ __forceinline__ void outside(bool ours, bool theirs, double index)
    {
        add(FUSELN_CHECK_OUTSIDE_OURS, ours ? 1 : 0);
        add(FUSELN_CHECK_OUTSIDE_THEIRS, theirs ? 1 : 0);
        add(FUSELN_CHECK_FIRST, ours || theirs ? -index : FUSELN_CHECK_NONE);
    }
    /* One element of ours, and the same of theirs. */
    __device__ __forceinline__ void check(const number_type &type, double ours, double theirs,
                                          const expectation &expect, double index)
    {
        bool wrong = false, they_wrong = false;
        if (expect.mode == PATTERN) {
            wrong = !same_pattern(ours, expect.truth[OURS]) && !same_pattern(ours, theirs);
            they_wrong = is_finite(theirs) != is_finite(expect.truth[THEIRS]);
        } else if (expect.mode == LOOSE) { /* if finite, then the true value */
            wrong = is_finite(ours) && ours != expect.truth[OURS];
            they_wrong = is_finite(theirs) && theirs != expect.truth[THEIRS];
        } else if (expect.mode == VALUE && ours == ours && theirs == theirs) {
            ours = type.limited(ours);
            theirs = type.limited(theirs);
            const double per = type.inverse(expect.unit), apart = fabs(ours - theirs) * per;
            const double error_ours = fabs(ours - type.limited(expect.truth[OURS]));
            const double error_theirs = fabs(theirs - type.limited(expect.truth[THEIRS]));
            const double far_ours = error_ours * per, far_theirs = error_theirs * per;
            wrong = !(error_ours <= expect.bound[OURS]);
            they_wrong = !(error_theirs <= expect.bound[THEIRS]);
            add(FUSELN_CHECK_ELEMENTS, expect.counts ? 1 : 0);
            add(FUSELN_CHECK_SQUARES, apart * apart);
            add(FUSELN_CHECK_SQUARES_OURS, far_ours * far_ours);
            add(FUSELN_CHECK_SQUARES_THEIRS, far_theirs * far_theirs);
            add(FUSELN_CHECK_MAX, apart);
            add(FUSELN_CHECK_MAX_OURS, far_ours);
            add(FUSELN_CHECK_MAX_THEIRS, far_theirs);
        } else if (expect.mode == VALUE && (ours == ours || theirs == theirs)) {
            add(FUSELN_CHECK_NAN, 1);
            add(FUSELN_CHECK_FIRST, -index);
        }
        outside(wrong, they_wrong, index);
    }
    /* Field i over all lanes of the warp. The loop selects the field: registers cannot be indexed at run time. */
    __device__ __forceinline__ double gather(int i) const
    {
        double v = 0;
#pragma unroll
        for (int k = 0; k < FUSELN_CHECK_FIELDS; k++)
            v = k == i ? field[k] : v;
#pragma unroll 1
        for (int distance = 16; distance > 0; distance /= 2)
            v = both(i, v, __shfl_xor_sync(0xffffffffu, v, distance));
        return v;
    }
    /* more: `record` already holds what earlier slices of the launch found. */
    __device__ __forceinline__ void store(double *record, bool more) const
    {
#pragma unroll 1
        for (int i = 0; i < FUSELN_CHECK_FIELDS; i++) {
            const double v = gather(i);
            if (threadIdx.x % 32 == 0)
                record[i] = more ? both(i, v, record[i]) : v;
        }
    }
};

struct statistics {
    double mean, rstd;
};
static __device__ __forceinline__ statistics load_statistics(const void *mean, const void *rstd, long long row,
                                                             const number_type &type)
{
    return {mean ? load(mean, row, type.acc) : 0.0, load(rstd, row, type.acc)};
}

/* The errors of a dx row's sums, as multiples of 1 and of xhat, and the noise of fitting them. */
struct fit {
    double constant, slope, noise, noise_slope;
};

/* What the check of a row's elements needs to know of the row. */
struct row_facts {
    statistics stats[2]; /* ours, theirs */
    check_mode mode;
    /* FORWARD, MOMENTS: the true statistics, and the interval of rstd. */
    double mean, mean_bound, rstd, low, high;
    double size;                   /* average of |x|; DX: of |rstd gamma dy| */
    double mean_error, rstd_error; /* of theirs, where it writes no statistics */
    /* DX: what the sums subtract, first + second * xhat; the fitted errors of ours and theirs. */
    double first, second;
    fit fits[2];
};

static __device__ __forceinline__ void statistics_facts(const fuseln_check_params &p, const number_type &type,
                                                        long long from, row_facts &row)
{
    const long long cols = p.host.cols;
    const double n = static_cast<double>(cols), chain = 3 * (n / 32 + 16) * type.u;
    double sum = 0, size = 0, squares = 0;
#pragma unroll 1
    for (int pass = 0; pass < 2; pass++) {
#pragma unroll 1
        for (long long i = threadIdx.x % 32; i < cols; i += 32) {
            const double d = input(p, type, from, i) - sum;
            if (pass) {
                squares += d * d;
            } else {
                row.mean += d;
                size += size_if_finite(d);
            }
        }
        if (!pass) {
            row.mean = sum_warp(row.mean) / n;
            sum = p.rms ? 0.0 : row.mean;
        }
    }
    const double variance = sum_warp(squares) / n, whole = variance + p.host.eps;
    const double spread = sqrt(variance + sum * sum);
    row.size = sum_warp(size) / n;
    row.mean_bound = chain * row.size + 0x1p-126; /* products of denormals lose their low digits */
    const double slack =
        chain * (variance + sqrt(variance) * spread) + row.mean_bound * row.mean_bound + type.u * whole;
    row.rstd = rsqrt(whole);
    row.low = rsqrt(whole + slack) * (1 - 8 * type.u);
    row.high = whole > slack ? rsqrt(whole - slack) * (1 + 8 * type.u) : type.max;
    row.mode = mode_of(row.size, row.mean);
    if (row.mode == VALUE && !(n * spread * spread < 0x1p120 && whole > 0x1p-100))
        row.mode = UNCHECKED;
    if (p.host.rstd && (p.rms || p.host.mean))
        return;
    const double lost =
        p.one_pass && !p.rms ? chain * spread * spread + 2 * fabs(row.mean) * row.mean_bound + slack : slack;
    row.stats[THEIRS].mean = p.rms ? 0.0 : row.mean;
    row.stats[THEIRS].rstd = row.rstd;
    row.mean_error = p.rms ? 0.0 : row.mean_bound;
    row.rstd_error = (whole > lost ? rsqrt(whole - lost) : type.max) * (1 + 8 * type.u) - row.rstd;
    if (row.mode == VALUE && !(row.rstd_error < row.rstd / 16))
        row.mode = UNCHECKED;
}

/* One element of dx, in float64. */
struct gradient {
    double g, xhat, second, truth; /* rstd gamma dy; xhat; what the second sum subtracts; dx */
    double tiny;                   /* intermediate floats err by at least u times this */
};
static __device__ __forceinline__ gradient gradient_of(const fuseln_check_params &p, const number_type &type,
                                                       long long from, long long i, const row_facts &row)
{
    const double gamma = p.host.gamma ? load(p.host.gamma, i, type.dtype) : 1.0;
    gradient e;
    e.tiny = 8 * TINY * (1 + row.stats[OURS].rstd) * (1 + fabs(gamma));
    e.xhat = (load(p.host.x, from + i, type.dtype) - row.stats[OURS].mean) * row.stats[OURS].rstd;
    e.g = row.stats[OURS].rstd * (gamma * load(p.host.dy, from + i, type.dtype));
    e.second = e.xhat * row.second;
    e.truth = e.g - row.first - e.second;
    return e;
}
static __device__ __forceinline__ double gradient_bound(const number_type &type, const gradient &e, double first,
                                                        bool ours)
{
    const double error = type.u * (ours ? fabs(e.g) + fabs(e.g - first) + fabs(e.truth) + 2 * fabs(e.second) + e.tiny
                                        : 7 * fabs(e.g) + 5 * fabs(first) + 8 * fabs(e.second) + e.tiny);
    return error + type.rounding(fabs(e.truth), error);
}

/* Three passes: the row's sums, then their errors in ours and in theirs. */
static __device__ __forceinline__ void gradient_facts(const fuseln_check_params &p, const number_type &type,
                                                      long long from, row_facts &row, tally &found, double index)
{
    const long long cols = p.host.cols;
    const double n = static_cast<double>(cols), reach = (n / 32 + 32) * type.u, share = n > 64 ? 8 * rsqrt(n) : 1.0,
                 inverse_n = 1 / n;
    double xhats = 0, squares = 0, size2 = 0;
    fit ours = {};
#pragma unroll 1
    for (int pass = 0; pass < 3; pass++) {
        double sums[6] = {};
#pragma unroll 1
        for (long long i = threadIdx.x % 32; i < cols; i += 32) {
            const gradient e = gradient_of(p, type, from, i, row);
            double d = e.g;
            if (pass) {
                const double bound = gradient_bound(type, e, row.first, pass == 1);
                const double v = load(pass == 1 ? p.out : p.host.dx, from + i, type.dtype);
                d = type.limited(v) - type.limited(e.truth);
                sums[2] += bound * bound;
                sums[3] += bound * bound * e.xhat * e.xhat;
            } else {
                sums[2] += size_if_finite(d);
                sums[3] += size_if_finite(d * e.xhat);
                sums[4] += e.xhat;
                sums[5] += size_if_finite(e.xhat * e.xhat);
            }
            sums[0] += d;
            sums[1] += d * e.xhat;
        }
#pragma unroll
        for (int i = 0; i < 6; i++)
            sums[i] = sum_warp(sums[i]) * inverse_n;
        const double any = sums[0] + sums[1] + sums[4];
        if (p.rms)
            sums[0] = sums[4] = 0;
        if (!pass) {
            row.first = sums[0];
            row.second = sums[1];
            row.size = sums[2];
            size2 = sums[3];
            xhats = sums[4];
            squares = sums[5];
            row.mode = mode_by_rstd(row.size + size2 + squares, any, row.stats[OURS].rstd);
            if (row.mode != VALUE)
                return;
            continue;
        }
        const double determinant = squares - xhats * xhats;
        const bool solvable = determinant > 1e-9 * squares;
        const double inverse = solvable ? 1 / determinant : 0.0;
        const double slope = (sums[1] - xhats * sums[0]) * inverse, constant = sums[0] - xhats * slope;
        const double noise = share * sqrt(sums[2]) * (solvable ? squares * inverse : 1.0);
        const double noise_slope = share * sqrt(sums[3]) * inverse;
        if (threadIdx.x % 32 == 0 && !(fabs(constant) <= reach * (row.size + fabs(row.second * xhats)) + noise &&
                                       fabs(slope) <= reach * size2 + noise_slope))
            found.outside(pass == 1, pass == 2, index);
        if (pass == 1) { /* pass 2 computes theirs */
            ours = {constant, slope, noise, noise_slope};
        } else {
            row.fits[OURS] = ours;
            row.fits[THEIRS] = {constant, slope, noise, noise_slope};
        }
    }
}

static __device__ __forceinline__ void expect_gradient(const fuseln_check_params &p, const number_type &type,
                                                       long long from, long long i, const row_facts &row,
                                                       expectation &expect)
{
    const gradient e = gradient_of(p, type, from, i, row);
    double largest = fabs(e.g) > fabs(e.second) ? fabs(e.g) : fabs(e.second);
    largest = largest > row.size ? largest : row.size;
    largest = largest > fabs(e.truth) ? largest : fabs(e.truth);
    expect.unit = type.ulp(largest, type.dtype);
#pragma unroll
    for (int who = OURS; who <= THEIRS; who++) {
        expect.truth[who] = e.truth + row.fits[who].constant + row.fits[who].slope * e.xhat;
        expect.bound[who] = gradient_bound(type, e, row.first, who == OURS) + row.fits[who].noise +
                            row.fits[who].noise_slope * fabs(e.xhat);
    }
    expect.tells = fabs(e.truth) > 2 * expect.bound[THEIRS];
}

static __device__ __forceinline__ void expect_output(const fuseln_check_params &p, const number_type &type,
                                                     long long from, long long i, const row_facts &row,
                                                     expectation &expect)
{
    const double x = input(p, type, from, i);
    const double gamma = (p.host.gamma ? load(p.host.gamma, i, type.dtype) : 1.0) + p.host.gamma_add;
    const double beta = p.host.beta && !p.rms ? load(p.host.beta, i, type.dtype) : 0.0;
    const double added = p.host.gamma_add != 0 ? 1.0 : 0.0;               /* one more rounding */
    double largest = fabs(beta) > fabs(gamma) ? fabs(beta) : fabs(gamma); /* the root mean square of xhat is 1 */
#pragma unroll
    for (int who = OURS; who <= THEIRS; who++) {
        const statistics &s = row.stats[who];
        const double scaled = gamma * ((x - s.mean) * s.rstd), truth = scaled + beta;
        const double size = size_if_finite(x) + size_if_finite(s.mean) + size_if_finite(gamma) + size_if_finite(beta);
        /* Theirs may have computed with unrounded statistics. */
        const double least = (2 + added) * fabs(scaled) + fabs(truth),
                     more = 2 * fabs(scaled) + fabs(gamma * s.mean * s.rstd);
        double bound = type.u * ((who == OURS ? least : least + more) + TINY * (1 + fabs(gamma)) * (1 + s.rstd));
        if (who == THEIRS)
            bound += fabs(gamma) * (fabs(x - s.mean) * row.rstd_error + (s.rstd + row.rstd_error) * row.mean_error);
        if (who == THEIRS && p.round_affine) {
            const double first = fabs(gamma) * type.rounding(fabs((x - s.mean) * s.rstd), bound);
            bound += first + type.rounding(fabs(scaled), bound + first);
        }
        expect.truth[who] = truth;
        expect.bound[who] = bound + type.rounding(fabs(truth), bound);
        expect.tells = fabs(scaled) > 2 * expect.bound[who];
        largest = largest > fabs(scaled) ? largest : fabs(scaled);
        const check_mode own = mode_by_rstd(size, truth, s.rstd);
        if (expect.mode == VALUE || own == UNCHECKED)
            expect.mode = own;
    }
    largest = largest > fabs(expect.truth[THEIRS]) ? largest : fabs(expect.truth[THEIRS]);
    expect.unit = type.ulp(largest, type.dtype);
}

/* The sum that is stored has one value. */
static __device__ __forceinline__ void expect_sum(const number_type &type, double stored, expectation &expect)
{
    expect.unit = type.ulp(fabs(stored), type.dtype);
    expect.mode = mode_of(fabs(stored), stored);
    expect.counts = false; /* y does, which it says nothing of */
#pragma unroll
    for (int who = OURS; who <= THEIRS; who++) {
        expect.truth[who] = stored;
        expect.bound[who] = type.u * TINY; /* an original may turn denormals into zeros */
    }
}

static __device__ __forceinline__ void expect_statistic(const number_type &type, bool rstd, const row_facts &row,
                                                        expectation &expect)
{
    expect.unit = type.ulp(rstd ? row.rstd : row.size, type.acc);
    expect.mode = row.mode == PATTERN ? LOOSE : row.mode;
#pragma unroll
    for (int who = OURS; who <= THEIRS; who++) {
        expect.truth[who] = rstd ? row.rstd : row.mean;
        expect.bound[who] = !rstd                            ? row.mean_bound
                            : row.stats[who].rstd > row.rstd ? row.high - row.rstd
                                                             : row.rstd - row.low;
    }
}

/* What a user's row could have wrong without an error in y, while the data are such: gamma is 1 or beta 0 everywhere,
 * so that nobody sees whether they are applied; two inputs are equal; or another argument could be eps. A bit for each.
 */
enum { GAMMA = 1, BETA = 2, BIAS = 4, RESIDUAL = 8, DY = 16, EPS = 32, TELLS = 64 };

static __device__ __forceinline__ int telling_needed(const fuseln_check_params &p)
{
    return (p.host.gamma ? GAMMA : 0) | (p.host.beta && !p.rms ? BETA : 0) | (p.host.bias ? BIAS : 0) |
           (p.host.residual ? RESIDUAL : 0) | (p.host.dy ? DY : 0) | (p.other_eps > 0 ? EPS : 0);
}
static __device__ __forceinline__ int telling(const fuseln_check_params &p, const number_type &type, long long from,
                                              long long i, const row_facts &row, double bound)
{
    const double x = load(p.host.x, from + i, type.dtype);
    const double gamma = (p.host.gamma ? load(p.host.gamma, i, type.dtype) : 1.0) + p.host.gamma_add;
    const double xhat = (input(p, type, from, i) - row.mean) * row.rstd, scaled = gamma * xhat;
    const double variance = 1 / (row.rstd * row.rstd) - p.host.eps;
    const double other = rsqrt(variance + p.other_eps) / row.rstd - 1; /* how much y would be off */
    int bits = fabs(scaled - xhat) > 2 * bound ? GAMMA : 0;
    if (p.host.beta)
        bits |= load(p.host.beta, i, type.dtype) != 0 ? BETA : 0;
    if (p.host.bias)
        bits |= load(p.host.bias, i, type.dtype) != 0 ? BIAS : 0;
    if (p.host.residual)
        bits |= load(p.host.residual, from + i, type.dtype) != x ? RESIDUAL : 0;
    if (p.host.dy)
        bits |= load(p.host.dy, from + i, type.dtype) != x ? DY : 0;
    return bits | (fabs(scaled * other) > 2 * bound ? EPS : 0);
}
/* Do the lanes of the warp have all bits together? */
static __device__ __forceinline__ bool told(int needed, int bits)
{
#pragma unroll 1
    for (int distance = 16; distance > 0; distance /= 2)
        bits |= __shfl_xor_sync(0xffffffffu, bits, distance);
    return (bits & needed) == needed;
}

static __device__ __forceinline__ void check_row(const fuseln_check_params &p, const number_type &type, long long at,
                                                 tally &found)
{
    const long long cols = p.host.cols, from = at * cols;
    const double index = (p.first_row + at) * static_cast<double>(cols);
    const void *mean = p.rms ? nullptr : p.host.mean;
    row_facts row = {};
    if (p.host.rstd)
        row.stats[THEIRS] = row.stats[OURS] = load_statistics(mean, p.host.rstd, at, type);
    row.mode = VALUE;
    if (p.rstd) {
        row.stats[OURS] = load_statistics(p.rms ? nullptr : p.mean, p.rstd, at, type);
        statistics_facts(p, type, from, row);
    } else if (p.host.dx) {
        gradient_facts(p, type, from, row, found, index);
    }
    /* After the elements come those of the sum, then rstd and mean, where they are outputs. */
    const void *theirs_out = p.host.dx ? p.host.dx : p.host.y;
    const bool has_rstd = p.rstd && p.host.rstd, has_mean = p.rstd && mean;
    const long long elements = theirs_out ? cols : 0, outputs = elements + (p.host.sum ? cols : 0),
                    all = outputs + has_rstd + has_mean;
    int bits = 0;
#pragma unroll 1
    for (long long i = threadIdx.x % 32; i < all; i += 32) {
        const bool rstd = has_rstd && i == outputs;
        expectation expect;
        double ours, theirs;
        expect.mode = row.mode;
        expect.counts = true;
        expect.tells = false;
        if (i < elements) {
            ours = load(p.out, from + i, type.dtype);
            theirs = load(theirs_out, from + i, type.dtype);
            if (p.host.dx)
                expect_gradient(p, type, from, i, row, expect);
            else
                expect_output(p, type, from, i, row, expect);
            bits |= p.proves && expect.mode == VALUE ? telling(p, type, from, i, row, expect.bound[THEIRS]) : 0;
            bits |= expect.tells && expect.mode == VALUE ? TELLS : 0;
        } else if (i < outputs) {
            ours = load(p.sum, from + i - cols, type.dtype);
            theirs = load(p.host.sum, from + i - cols, type.dtype);
            expect_sum(type, input(p, type, from, i - cols, true), expect);
        } else {
            ours = rstd ? row.stats[OURS].rstd : row.stats[OURS].mean;
            theirs = rstd ? row.stats[THEIRS].rstd : row.stats[THEIRS].mean;
            expect_statistic(type, rstd, row, expect);
            if (rstd && !elements) /* the variance shows beside eps */
                bits |= expect.mode == VALUE && rsqrt(p.host.eps) - row.rstd > 2 * expect.bound[THEIRS] ? TELLS : 0;
        }
        found.check(type, ours, theirs, expect, index + (i < outputs ? i % cols : 0));
    }
    if (told(TELLS | (p.proves ? telling_needed(p) : 0), bits) && threadIdx.x % 32 == 0)
        found.add(FUSELN_CHECK_TELLING, 1);
}

extern "C" __global__ void __launch_bounds__(FUSELN_CHECK_THREADS, 1)
    fuseln_check_rows(const struct fuseln_check_params p)
{
    const number_type type(p.dtype);
    const long long warp = static_cast<long long>(blockIdx.x) * BLOCK_WARPS + threadIdx.x / 32;
    tally found;
#pragma unroll 1
    for (long long row = warp; row < p.host.rows; row += static_cast<long long>(gridDim.x) * BLOCK_WARPS)
        check_row(p, type, row, found);
    found.store(p.records + warp * FUSELN_CHECK_FIELDS, p.more);
}

/* A sum over the elements, each mixed with its place, so that the order of additions is free. */
static __device__ __forceinline__ unsigned long long hash(const void *base, long long count, int dtype,
                                                          long long thread, long long threads)
{
    unsigned long long sum = 0;
#pragma unroll 1
    for (long long i = thread; base && i < count; i += threads) {
        unsigned long long v = dtype == FUSELN_CHECK_F32   ? static_cast<const unsigned *>(base)[i]
                               : dtype == FUSELN_CHECK_F64 ? static_cast<const unsigned long long *>(base)[i]
                                                           : static_cast<const unsigned short *>(base)[i];
        v = (v + 1) * 0x9e3779b97f4a7c15ull + static_cast<unsigned long long>(i) * 0xbf58476d1ce4e5b9ull;
        sum += (v ^ v >> 29) * 0x94d049bb133111ebull;
    }
    return sum;
}

/* Of the inputs that the call still has, and of the row at y; before the original, and after it (more). */
extern "C" __global__ void __launch_bounds__(FUSELN_CHECK_THREADS, 1)
    fuseln_check_hash(const struct fuseln_check_params p)
{
    const number_type type(p.dtype);
    const long long threads = static_cast<long long>(gridDim.x) * FUSELN_CHECK_THREADS,
                    thread = static_cast<long long>(blockIdx.x) * FUSELN_CHECK_THREADS + threadIdx.x,
                    all = p.host.rows * p.host.cols;
    unsigned long long sum = hash(p.host.x, all, p.dtype, thread, threads);
    sum = sum * 3 + hash(p.host.y, p.host.cols, p.dtype, thread, threads);
    sum = sum * 3 + hash(p.host.dy, all, p.dtype, thread, threads);
    sum = sum * 3 + hash(p.host.residual, all, p.dtype, thread, threads);
    sum = sum * 3 + hash(p.host.gamma, p.host.cols, p.dtype, thread, threads);
    sum = sum * 3 + hash(p.host.beta, p.host.cols, p.dtype, thread, threads);
    sum = sum * 3 + hash(p.host.bias, p.host.cols, p.dtype, thread, threads);
    sum = sum * 3 + hash(p.host.mean, p.host.rows, type.acc, thread, threads);
    sum = sum * 3 + hash(p.host.rstd, p.host.rows, type.acc, thread, threads);
#pragma unroll 1
    for (int distance = 16; distance > 0; distance /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    if (threadIdx.x % 32 == 0)
        p.hashes[thread / 32 + (p.more ? p.hash_count : 0)] = sum;
}

/* Checks dgamma or dbeta, of this type, of one column. sum: of its terms; size: of the magnitudes of the finite ones;
 * terms: how many are not zero. Returns whether it was checked by value: a dbeta counts only if its dgamma was. */
static __device__ __forceinline__ bool check_column(const fuseln_check_params &p, const number_type &type,
                                                    long long col, const void *mine, const void *theirs, double sum,
                                                    double size, double terms, bool counts, tally &found)
{
    const double rows = static_cast<double>(p.host.rows),
                 longest = rows / 8 + 512; /* up to PyTorch 2.7: 511 in one thread */
    const double chain[] = {type.dtype == FUSELN_CHECK_F64 ? longest : p.chain, longest};
    double value = 0, roundings = 0;
    expectation expect;
#pragma unroll 1
    for (long long r = 0; r < p.host.out_rows; r++) { /* the program adds them up itself */
        const double v = load(theirs, r * p.host.cols + col, type.dtype);
        value += v;
        roundings += r ? type.rounding(fabs(v), 0) + type.u * fabs(v) : 0.0;
    }
#pragma unroll
    for (int who = OURS; who <= THEIRS; who++) {
        const double bound = type.u * size * (2 + (terms < chain[who] ? terms : chain[who])) + 0x1p-146;
        expect.truth[who] = sum;
        expect.bound[who] = bound + type.rounding(fabs(sum), bound) + (who == OURS ? 0.0 : roundings);
    }
    const double usual = size * rsqrt(rows); /* size of a sum whose terms have random signs */
    expect.unit = type.ulp(fabs(sum) > usual ? fabs(sum) : usual, type.dtype);
    expect.mode = mode_of(size, sum) == PATTERN ? LOOSE : mode_of(size, sum);
    expect.counts = counts;
    found.check(type, load(mine, col, type.dtype), value, expect, static_cast<double>(col));
    found.add(FUSELN_CHECK_TELLING, expect.mode == VALUE && fabs(sum) > 2 * expect.bound[THEIRS] ? 1 : 0);
    return expect.mode == VALUE;
}

extern "C" __global__ void __launch_bounds__(FUSELN_CHECK_THREADS, 1)
    fuseln_check_columns(const struct fuseln_check_params p)
{
    __shared__ double parts[BLOCK_WARPS][32];
    const number_type type(p.dtype), gradient_type(p.gradient_dtype);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const long long cols = p.host.cols;
    tally found;
#pragma unroll 1
    for (long long first = static_cast<long long>(blockIdx.x) * 32; first < cols;
         first += static_cast<long long>(gridDim.x) * 32) {
        const long long col = first + lane;
        double sums[6] = {}; /* sum, size and terms of dgamma, then of dbeta */
#pragma unroll 1
        for (long long row = warp; col < cols && row < p.host.rows; row += BLOCK_WARPS) {
            const statistics s = load_statistics(p.rms ? nullptr : p.host.mean, p.host.rstd, row, type);
            const double dy = load(p.host.dy, row * cols + col, type.dtype);
            const double term = dy * ((load(p.host.x, row * cols + col, type.dtype) - s.mean) * s.rstd);
            sums[0] += term;
            sums[1] += size_if_finite(term) + TINY * (1 + size_if_finite(s.rstd));
            sums[2] += term != 0 ? 1 : 0;
            sums[3] += dy;
            sums[4] += size_if_finite(dy);
            sums[5] += dy != 0 ? 1 : 0;
        }
#pragma unroll
        for (int i = 0; i < 6; i++) {
            __syncthreads();
            parts[warp][lane] = sums[i];
            __syncthreads();
            sums[i] = 0;
#pragma unroll 1
            for (int w = 0; w < BLOCK_WARPS; w++)
                sums[i] += parts[w][lane];
        }
        bool counts = true;
#pragma unroll 1
        for (int beta = 0; beta < 2 && warp == 0 && col < cols; beta++) {
            const void *theirs = beta ? p.rms ? nullptr : p.host.dbeta : p.host.dgamma;
            if (theirs)
                counts = check_column(p, gradient_type, col, beta ? p.dbeta : p.out, theirs, beta ? sums[3] : sums[0],
                                      beta ? sums[4] : sums[1], beta ? sums[5] : sums[2], counts, found);
        }
    }
    found.store(p.records + (static_cast<long long>(blockIdx.x) * BLOCK_WARPS + warp) * FUSELN_CHECK_FIELDS, false);
}

/* One warp. The ticket is written last: a reader that sees it sees all fields. */
extern "C" __global__ void __launch_bounds__(32) fuseln_check_sum(const struct fuseln_check_params p)
{
    tally found;
#pragma unroll 1
    for (int r = threadIdx.x; r < p.record_count; r += 32)
#pragma unroll
        for (int i = 0; i < FUSELN_CHECK_FIELDS; i++)
            found.add(i, p.records[static_cast<long long>(r) * FUSELN_CHECK_FIELDS + i]);
#pragma unroll 1
    for (int r = threadIdx.x; r < p.hash_count; r += 32)
        found.add(FUSELN_CHECK_CHANGED, p.hashes[r] != p.hashes[p.hash_count + r] ? 1 : 0);
    found.store(p.result->field, false);
    if (threadIdx.x)
        return;
    __threadfence_system();
    *const_cast<volatile unsigned long long *>(&p.result->ticket) = p.ticket;
}
