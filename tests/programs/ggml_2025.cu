/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names and parameters of ggml's norms in 2025, of which no wheel has PTX: compiled for their PTX alone. What they
 * compute on the software device is in tests/softgpu/originals_ggml.c.
 */

#define STRIDED                                                                                    \
    const float *x, float *dst, const int ncols, const long stride_row, const long stride_channel, \
        const long stride_sample, const float eps
#define MUL                                                                                                   \
    const float *mul, const long mul_stride_row, const long mul_stride_channel, const long mul_stride_sample, \
        const int mul_ncols, const int mul_nrows, const int mul_nchannels, const int mul_nsamples

template <int block_size>
static __global__ void norm_f32(STRIDED)
{
}

template <int block_size>
static __global__ void l2_norm_f32(STRIDED)
{
}

/* Early in the year. */
template <int block_size>
static __global__ void rms_norm_f32(STRIDED)
{
}

/* In July. */
template <int block_size, bool do_multiply>
static __global__ void rms_norm_f32(STRIDED, MUL)
{
}

template __global__ void norm_f32<32>(STRIDED);
template __global__ void norm_f32<1024>(STRIDED);
template __global__ void l2_norm_f32<32>(STRIDED);
template __global__ void l2_norm_f32<1024>(STRIDED);
template __global__ void rms_norm_f32<32>(STRIDED);
template __global__ void rms_norm_f32<1024>(STRIDED);
template __global__ void rms_norm_f32<32, false>(STRIDED, MUL);
template __global__ void rms_norm_f32<1024, false>(STRIDED, MUL);
template __global__ void rms_norm_f32<32, true>(STRIDED, MUL);
template __global__ void rms_norm_f32<1024, true>(STRIDED, MUL);
