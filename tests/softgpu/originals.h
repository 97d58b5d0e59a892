/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain C references for the original PyTorch kernels (1.13 to 2.15), chosen by the complete mangled name: what the
 * software device runs when a program launches its own layer-norm kernel. Sums are float64, and each result is rounded
 * once to its type, so the tests measure our kernels against them. Includes nothing from kernels/. Thread-safe;
 * allocates only column sums.
 */
#ifndef SOFTGPU_ORIGINALS_H
#define SOFTGPU_ORIGINALS_H

/* Runs one launch on the calling thread. params[i] points to argument i, as in cuLaunchKernel. Returns 0; -1 if there
 * is no reference of this name; -2 if out of memory. */
int softgpu_original_run(const char *symbol, const unsigned grid[3], void **params);

#endif
