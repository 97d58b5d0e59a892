/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain C references of the original PyTorch kernels (1.13 to 2.15), chosen by their complete mangled name: what the
 * software device runs when a program's own layer-norm kernel is launched. Sums are float64 and each result is
 * rounded once to its type, so they are the yardstick for both the originals and ours. Includes nothing of kernels/.
 * Thread-safe; allocates only column sums.
 */
#ifndef SOFTGPU_ORIGINALS_H
#define SOFTGPU_ORIGINALS_H

/* Run one launch on the calling thread. params[i] points to the i-th argument, as in cuLaunchKernel.
 * 0; -1: no reference of this name; -2: out of memory. */
int softgpu_original_run(const char *symbol, const unsigned grid[3], const unsigned block[3], unsigned smem,
                         void **params);

#endif
