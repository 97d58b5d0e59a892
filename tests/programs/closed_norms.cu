/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Norms whose names nobody knows, as a closed binary has them, for tests of a user's own rows: compiled for their PTX
 * alone. What they compute on the software device is in tests/softgpu/originals_closed.c.
 */

namespace closed
{

/* scale and capacity are read by nobody. */
__global__ void norm(const float *x, const float *gamma, const float *beta, float *y, float scale, float eps, int rows,
                     int cols, int capacity)
{
}

/* The sum replaces the residual, and its norm x. */
__global__ void add_norm(float *x, float *residual, const float *gamma, float eps, int cols) {}

/* Also stores the largest y of each row. */
__global__ void norm_peak(const float *x, const float *gamma, float *y, float *peak, float eps, int cols) {}

/* Two rows a block. */
__global__ void two_rows(const float *x, const float *gamma, float *y, float eps, int cols) {}

} // namespace closed

extern "C" __global__ void closed_rms_v2(float *x, float *gamma, float *y, float eps, int cols) {}

/* Uses x for what it needs later. */
extern "C" __global__ void closed_rms_v3(float *x, float *gamma, float *y, float eps, int cols) {}
