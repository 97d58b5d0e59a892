/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Norms whose names nobody knows, as a closed binary has them, for tests of a user's own rows. What they compute on the
 * software device is in tests/softgpu/originals_closed.c.
 */

static __device__ void rms(const float *x, const float *gamma, float *y, float eps, int cols)
{
    float squares = 0;
    for (int i = 0; i < cols; i++)
        squares += x[i] * x[i];
    const float rstd = rsqrtf(squares / cols + eps);
    for (int i = 0; i < cols; i++)
        y[i] = x[i] * rstd * gamma[i];
}

namespace closed
{

/* scale and capacity are read by nobody. */
__global__ void norm(const float *x, const float *gamma, const float *beta, float *y, float scale, float eps, int rows,
                     int cols, int capacity)
{
    const long long from = static_cast<long long>(blockIdx.x) * cols;
    float mean = 0, m2 = 0;
    if (blockIdx.x >= rows)
        return;
    for (int i = 0; i < cols; i++)
        mean += x[from + i] / cols;
    for (int i = 0; i < cols; i++)
        m2 += (x[from + i] - mean) * (x[from + i] - mean);
    for (int i = 0; i < cols; i++)
        y[from + i] = (x[from + i] - mean) * rsqrtf(m2 / cols + eps) * gamma[i] + beta[i];
}

/* The sum replaces the residual, and its norm x. */
__global__ void add_norm(float *x, float *residual, const float *gamma, float eps, int cols)
{
    const long long from = static_cast<long long>(blockIdx.x) * cols;
    for (int i = 0; i < cols; i++)
        residual[from + i] += x[from + i];
    rms(residual + from, gamma, x + from, eps, cols);
}

/* Also stores the largest y of each row. */
__global__ void norm_peak(const float *x, const float *gamma, float *y, float *peak, float eps, int cols)
{
    const long long from = static_cast<long long>(blockIdx.x) * cols;
    rms(x + from, gamma, y + from, eps, cols);
    peak[blockIdx.x] = y[from];
    for (int i = 1; i < cols; i++)
        peak[blockIdx.x] = fmaxf(peak[blockIdx.x], y[from + i]);
}

/* Two rows a block. */
__global__ void two_rows(const float *x, const float *gamma, float *y, float eps, int cols)
{
    for (long long row = 2 * blockIdx.x; row < 2 * blockIdx.x + 2; row++)
        rms(x + row * cols, gamma, y + row * cols, eps, cols);
}

} // namespace closed

extern "C" __global__ void closed_rms_v2(float *x, float *gamma, float *y, float eps, int cols)
{
    const long long from = static_cast<long long>(blockIdx.x) * cols;
    rms(x + from, gamma, y + from, eps, cols);
}

/* Uses x for what it needs later. */
extern "C" __global__ void closed_rms_v3(float *x, float *gamma, float *y, float eps, int cols)
{
    const long long from = static_cast<long long>(blockIdx.x) * cols;
    rms(x + from, gamma, y + from, eps, cols);
    x[from] = y[from];
}
