/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is what a launch of the host wrote what its name stands for, and what we would write in its place? Both outputs are
 * held against the formula in float64, each with its own bound:
 *   rows:    outputs of FORWARD, MOMENTS, APPLY and DX, a warp to a row;
 *   columns: those of DGAMMA, 32 columns a block;
 *   sum:     adds up what the warps found, into memory that the host reads.
 * u is the unit roundoff of the sums' type, n the columns; each rounding costs at most u times what it rounds.
 *   mean, rstd: sums in any order whose longest chain has n / 32 + 16 additions (a warp or more to a row), three
 *            roundings a step (Welford): |mean| errs by 3 chain u avg|x|, the variance by 3 chain u (var + std rms(x))
 *            and the square of the mean's error (Chan, Golub, LeVeque: the condition of a variance), rstd accordingly.
 *   y:       given the statistics that were written with it: x - mean, times rstd, times gamma, plus beta; the original
 *            may have had them unrounded.
 *   dx:      given mean and rstd. What the two sums of a row err by is the same multiple of 1 and of xhat for all its
 *            elements: that multiple is fitted, held against the bound of the sums, and taken off. What is left is the
 *            roundings of each element; the fit's own noise is theirs averaged (Hoeffding: beyond 8 / sqrt(n) of their
 *            root mean square once in 10^13 rows).
 *   dgamma, dbeta: two roundings of xhat and one for each addition on the longest chain, u sum|terms| each; k terms
 *            other than zero are k additions at most.
 * For double the reference errs as much: u is doubled. A last rounding to a shorter type adds half an ulp. Errors are
 * told in ulp of the type at the largest term, or at the row's average one.
 * Of what follows from an Inf or a NaN only the pattern is judged: a value must be finite, NaN, Inf or -Inf as the
 * formula has it, or as the original wrote it; the original, and all statistics and sums, finite where it is: in which
 * order an Inf is added decides whether NaN comes of it. Where all is finite and float sums could overflow or vanish
 * nothing is judged, as either may have an Inf or a NaN on the way.
 */
#include "kernels/chunk.cuh"

enum { OURS, THEIRS };
enum { BLOCK_WARPS = FUSELN_CHECK_THREADS / 32 };
#define TINY 0x1p-125 /* u times it is half of the least float */

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
    double max; /* beyond it, Inf */

    __device__ __forceinline__ explicit number_type(int of)
        : dtype(of), acc(of == FUSELN_CHECK_F64 ? FUSELN_CHECK_F64 : FUSELN_CHECK_F32),
          u(of == FUSELN_CHECK_F64 ? 0x1p-52 : 0x1p-24), max(of == FUSELN_CHECK_F16   ? 65536.0
                                                             : of == FUSELN_CHECK_F64 ? 0x1.fffffffffffffp+1023
                                                                                      : 0x1p128)
    {
    }
    /* Of a magnitude, in dtype or acc. */
    __device__ __forceinline__ double ulp(double magnitude, int in) const
    {
        const int digits = in == FUSELN_CHECK_F16 ? 10 : in == FUSELN_CHECK_BF16 ? 7 : in == FUSELN_CHECK_F32 ? 23 : 52;
        const int least = in == FUSELN_CHECK_F16 ? -14 : in == FUSELN_CHECK_F64 ? -970 : -126;
        const int exponent = (__double2hiint(magnitude) >> 20 & 0x7ff) - 1023;
        return __hiloint2double(((exponent < least ? least : exponent) - digits + 1023) << 20, 0);
    }
    /* Of an ulp. */
    __device__ __forceinline__ double inverse(double power) const
    {
        return __hiloint2double((2 * 1023 << 20) - __double2hiint(power), 0);
    }
    /* What the last rounding may add to a value that is known up to `error`. */
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

/* How something is judged: by value, by its pattern (LOOSE: finite or not), or not at all. */
enum manner { VALUE, PATTERN, LOOSE, UNJUDGED };

/* What an element is held against: its true value given what else was written, how far it may lie from it, an ulp. */
struct judgement {
    double truth[2], bound[2], unit;
    manner by;
    bool counts; /* among the elements */
};

static __device__ __forceinline__ bool is_finite(double v)
{
    return fabs(v) <= 0x1.fffffffffffffp+1023;
}
static __device__ __forceinline__ double size_if_finite(double v)
{
    return is_finite(v) ? fabs(v) : 0.0;
}
/* Of the sizes of what is finite in a sum, and what it comes to. */
static __device__ __forceinline__ manner manner_of(double size, double sum)
{
    return !(size < 0x1p60) ? UNJUDGED : is_finite(sum) ? VALUE : PATTERN;
}
/* An rstd of Inf, or one that vanishes, is what becomes of a variance beyond a float. */
static __device__ __forceinline__ manner manner_by_rstd(double size, double sum, double rstd)
{
    const manner by = manner_of(size, sum);
    return rstd >= 0x1p60 || (by == VALUE && !(rstd > 0x1p-60)) ? UNJUDGED : by;
}

/* Finite, NaN, Inf and -Inf alike? */
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
    /* The same element of both. */
    __device__ __forceinline__ void judge(const number_type &type, double ours, double theirs, const judgement &by,
                                          double index)
    {
        bool wrong = false, they_wrong = false;
        if (by.by == PATTERN) {
            wrong = !same_pattern(ours, by.truth[OURS]) && !same_pattern(ours, theirs);
            they_wrong = is_finite(theirs) != is_finite(by.truth[THEIRS]);
        } else if (by.by == LOOSE) { /* no finite value but the true one */
            wrong = is_finite(ours) && ours != by.truth[OURS];
            they_wrong = is_finite(theirs) && theirs != by.truth[THEIRS];
        } else if (by.by == VALUE && ours == ours && theirs == theirs) {
            ours = type.limited(ours);
            theirs = type.limited(theirs);
            const double per = type.inverse(by.unit), apart = fabs(ours - theirs) * per;
            const double error_ours = fabs(ours - type.limited(by.truth[OURS]));
            const double error_theirs = fabs(theirs - type.limited(by.truth[THEIRS]));
            const double far_ours = error_ours * per, far_theirs = error_theirs * per;
            wrong = !(error_ours <= by.bound[OURS]);
            they_wrong = !(error_theirs <= by.bound[THEIRS]);
            add(FUSELN_CHECK_ELEMENTS, by.counts ? 1 : 0);
            add(FUSELN_CHECK_SQUARES, apart * apart);
            add(FUSELN_CHECK_SQUARES_OURS, far_ours * far_ours);
            add(FUSELN_CHECK_SQUARES_THEIRS, far_theirs * far_theirs);
            add(FUSELN_CHECK_MAX, apart);
            add(FUSELN_CHECK_MAX_OURS, far_ours);
            add(FUSELN_CHECK_MAX_THEIRS, far_theirs);
        } else if (by.by == VALUE && (ours == ours || theirs == theirs)) {
            add(FUSELN_CHECK_NAN, 1);
            add(FUSELN_CHECK_FIRST, -index);
        }
        outside(wrong, they_wrong, index);
    }
    /* Field i of all lanes of the warp. One text for all fields: no index into registers that is known only when it
     * runs. */
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
    /* What the slices of one launch found before this one stands there. */
    __device__ __forceinline__ void keep(double *record, bool more) const
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

/* What the sums of a row of dx err by, as multiples of 1 and of xhat, and the noise of finding them. */
struct fit {
    double constant, slope, noise, noise_slope;
};

/* What a row's sums tell of its elements. */
struct row_facts {
    statistics given[2]; /* ours, theirs */
    manner by;
    /* FORWARD, MOMENTS: the true statistics, and between what rstd may lie. */
    double mean, mean_bound, rstd, low, high;
    double size; /* average of |x|; DX: of |rstd gamma dy| */
    /* DX: what the sums take off, constant and times xhat; their errors as fitted, and the noise of that. */
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
            const double d = load(p.host.x, from + i, type.dtype) - sum;
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
    row.mean_bound = chain * row.size + 0x1p-126; /* denormals lose their low digits in each product */
    const double slack =
        chain * (variance + sqrt(variance) * spread) + row.mean_bound * row.mean_bound + type.u * whole;
    row.rstd = rsqrt(whole);
    row.low = rsqrt(whole + slack) * (1 - 8 * type.u);
    row.high = whole > slack ? rsqrt(whole - slack) * (1 + 8 * type.u) : type.max;
    row.by = manner_of(row.size, row.mean);
    if (row.by == VALUE && !(n * spread * spread < 0x1p120 && whole > 0x1p-100))
        row.by = UNJUDGED;
}

/* One element of dx, in float64. */
struct gradient {
    double g, xhat, second, truth; /* rstd gamma dy; xhat; what the second sum takes off; dx */
    double tiny;                   /* what rounds to a float on the way errs by u times this at least */
};
static __device__ __forceinline__ gradient gradient_of(const fuseln_check_params &p, const number_type &type,
                                                       long long from, long long i, const row_facts &row)
{
    const double gamma = p.host.gamma ? load(p.host.gamma, i, type.dtype) : 1.0;
    gradient e;
    e.tiny = 8 * TINY * (1 + row.given[OURS].rstd) * (1 + fabs(gamma));
    e.xhat = (load(p.host.x, from + i, type.dtype) - row.given[OURS].mean) * row.given[OURS].rstd;
    e.g = row.given[OURS].rstd * (gamma * load(p.host.dy, from + i, type.dtype));
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

/* Three passes: the sums, and for ours and theirs what they err by. */
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
            row.by = manner_by_rstd(row.size + size2 + squares, any, row.given[OURS].rstd);
            if (row.by != VALUE)
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
        if (pass == 1) { /* the second time they are theirs */
            ours = {constant, slope, noise, noise_slope};
        } else {
            row.fits[OURS] = ours;
            row.fits[THEIRS] = {constant, slope, noise, noise_slope};
        }
    }
}

static __device__ __forceinline__ void judge_gradient(const fuseln_check_params &p, const number_type &type,
                                                      long long from, long long i, const row_facts &row, judgement &by)
{
    const gradient e = gradient_of(p, type, from, i, row);
    double largest = fabs(e.g) > fabs(e.second) ? fabs(e.g) : fabs(e.second);
    largest = largest > row.size ? largest : row.size;
    largest = largest > fabs(e.truth) ? largest : fabs(e.truth);
    by.unit = type.ulp(largest, type.dtype);
#pragma unroll
    for (int who = OURS; who <= THEIRS; who++) {
        by.truth[who] = e.truth + row.fits[who].constant + row.fits[who].slope * e.xhat;
        by.bound[who] = gradient_bound(type, e, row.first, who == OURS) + row.fits[who].noise +
                        row.fits[who].noise_slope * fabs(e.xhat);
    }
}

static __device__ __forceinline__ void judge_output(const fuseln_check_params &p, const number_type &type,
                                                    long long from, long long i, const row_facts &row, judgement &by)
{
    const double x = load(p.host.x, from + i, type.dtype);
    const double gamma = p.host.gamma ? load(p.host.gamma, i, type.dtype) : 1.0;
    const double beta = p.host.beta && !p.rms ? load(p.host.beta, i, type.dtype) : 0.0;
    double largest = fabs(beta) > fabs(gamma) ? fabs(beta) : fabs(gamma); /* xhat is 1 on the average */
#pragma unroll
    for (int who = OURS; who <= THEIRS; who++) {
        const statistics &s = row.given[who];
        const double scaled = gamma * ((x - s.mean) * s.rstd), truth = scaled + beta;
        const double size = size_if_finite(x) + size_if_finite(s.mean) + size_if_finite(gamma) + size_if_finite(beta);
        /* Theirs may have had the statistics unrounded. */
        const double least = 2 * fabs(scaled) + fabs(truth), more = 2 * fabs(scaled) + fabs(gamma * s.mean * s.rstd);
        const double bound = type.u * ((who == OURS ? least : least + more) + TINY * (1 + fabs(gamma)) * (1 + s.rstd));
        by.truth[who] = truth;
        by.bound[who] = bound + type.rounding(fabs(truth), bound);
        largest = largest > fabs(scaled) ? largest : fabs(scaled);
        const manner own = manner_by_rstd(size, truth, s.rstd);
        if (by.by == VALUE || own == UNJUDGED)
            by.by = own;
    }
    largest = largest > fabs(by.truth[THEIRS]) ? largest : fabs(by.truth[THEIRS]);
    by.unit = type.ulp(largest, type.dtype);
}

static __device__ __forceinline__ void judge_statistic(const number_type &type, bool rstd, const row_facts &row,
                                                       judgement &by)
{
    by.unit = type.ulp(rstd ? row.rstd : row.size, type.acc);
    by.by = row.by == PATTERN ? LOOSE : row.by;
#pragma unroll
    for (int who = OURS; who <= THEIRS; who++) {
        by.truth[who] = rstd ? row.rstd : row.mean;
        by.bound[who] = !rstd                            ? row.mean_bound
                        : row.given[who].rstd > row.rstd ? row.high - row.rstd
                                                         : row.rstd - row.low;
    }
}

static __device__ __forceinline__ void check_row(const fuseln_check_params &p, const number_type &type, long long at,
                                                 tally &found)
{
    const long long cols = p.host.cols, from = at * cols;
    const double index = (p.first_row + at) * static_cast<double>(cols);
    const void *mean = p.rms ? nullptr : p.host.mean;
    row_facts row = {};
    row.given[THEIRS] = row.given[OURS] = load_statistics(mean, p.host.rstd, at, type);
    row.by = VALUE;
    if (p.rstd) {
        row.given[OURS] = load_statistics(p.rms ? nullptr : p.mean, p.rstd, at, type);
        statistics_facts(p, type, from, row);
    } else if (p.host.dx) {
        gradient_facts(p, type, from, row, found, index);
    }
    /* Behind the elements come rstd and mean, where they are outputs. */
    const void *theirs_out = p.host.dx ? p.host.dx : p.host.y;
    const long long elements = theirs_out ? cols : 0, all = elements + (p.rstd ? p.rms ? 1 : 2 : 0);
#pragma unroll 1
    for (long long i = threadIdx.x % 32; i < all; i += 32) {
        const bool rstd = i == elements;
        judgement by;
        double ours, theirs;
        by.by = row.by;
        by.counts = true;
        if (i < elements) {
            ours = load(p.out, from + i, type.dtype);
            theirs = load(theirs_out, from + i, type.dtype);
            if (p.host.dx)
                judge_gradient(p, type, from, i, row, by);
            else
                judge_output(p, type, from, i, row, by);
        } else {
            ours = rstd ? row.given[OURS].rstd : row.given[OURS].mean;
            theirs = rstd ? row.given[THEIRS].rstd : row.given[THEIRS].mean;
            judge_statistic(type, rstd, row, by);
        }
        found.judge(type, ours, theirs, by, index + (i < elements ? i : 0));
    }
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
    found.keep(p.records + warp * FUSELN_CHECK_FIELDS, p.more);
}

/* One gradient of a column from what its threads added up: the sum of its terms, of the sizes of those that are finite,
 * and how many are not zero. Is it judged by value? A dbeta counts where its dgamma is. */
static __device__ __forceinline__ bool check_column(const fuseln_check_params &p, const number_type &type,
                                                    long long col, const void *mine, const void *theirs, double sum,
                                                    double size, double terms, bool counts, tally &found)
{
    const double rows = static_cast<double>(p.host.rows),
                 longest = rows / 8 + 512; /* PyTorch to 2.7: 511 in one thread */
    const double chain[] = {type.dtype == FUSELN_CHECK_F64 ? longest : p.chain, longest};
    double value = 0, roundings = 0;
    judgement by;
#pragma unroll 1
    for (long long r = 0; r < p.host.out_rows; r++) { /* the host adds up several */
        const double v = load(theirs, r * p.host.cols + col, type.dtype);
        value += v;
        roundings += r ? type.rounding(fabs(v), 0) + type.u * fabs(v) : 0.0;
    }
#pragma unroll
    for (int who = OURS; who <= THEIRS; who++) {
        const double bound = type.u * size * (2 + (terms < chain[who] ? terms : chain[who])) + 0x1p-146;
        by.truth[who] = sum;
        by.bound[who] = bound + type.rounding(fabs(sum), bound) + (who == OURS ? 0.0 : roundings);
    }
    const double usual = size * rsqrt(rows); /* of a sum whose terms have any sign */
    by.unit = type.ulp(fabs(sum) > usual ? fabs(sum) : usual, type.dtype);
    by.by = manner_of(size, sum) == PATTERN ? LOOSE : manner_of(size, sum);
    by.counts = counts;
    found.judge(type, load(mine, col, type.dtype), value, by, static_cast<double>(col));
    return by.by == VALUE;
}

extern "C" __global__ void __launch_bounds__(FUSELN_CHECK_THREADS, 1)
    fuseln_check_columns(const struct fuseln_check_params p)
{
    __shared__ double parts[BLOCK_WARPS][32];
    const number_type type(p.dtype);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const long long cols = p.host.cols;
    tally found;
#pragma unroll 1
    for (long long first = static_cast<long long>(blockIdx.x) * 32; first < cols;
         first += static_cast<long long>(gridDim.x) * 32) {
        const long long col = first + lane;
        double sums[6] = {}; /* of dgamma: sum, sizes, terms; of dbeta */
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
                counts = check_column(p, type, col, beta ? p.dbeta : p.out, theirs, beta ? sums[3] : sums[0],
                                      beta ? sums[4] : sums[1], beta ? sums[5] : sums[2], counts, found);
        }
    }
    found.keep(p.records + (static_cast<long long>(blockIdx.x) * BLOCK_WARPS + warp) * FUSELN_CHECK_FIELDS, false);
}

/* One warp. The ticket comes last: who reads it reads the rest. */
extern "C" __global__ void __launch_bounds__(32) fuseln_check_sum(const struct fuseln_check_params p)
{
    tally found;
#pragma unroll 1
    for (int r = threadIdx.x; r < p.record_count; r += 32)
#pragma unroll
        for (int i = 0; i < FUSELN_CHECK_FIELDS; i++)
            found.add(i, p.records[static_cast<long long>(r) * FUSELN_CHECK_FIELDS + i]);
    found.keep(p.result->field, false);
    if (threadIdx.x)
        return;
    __threadfence_system();
    *const_cast<volatile unsigned long long *>(&p.result->ticket) = p.ticket;
}
