/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain C references for the original kernels of other programs, chosen by the complete mangled name: what the software
 * device runs when a program launches a layer norm of its own. Each result is rounded where the original rounds, and
 * nowhere else, so the tests measure our kernels against them. Includes nothing from kernels/. Thread-safe; allocates
 * at most a few rows.
 */
#ifndef SOFTGPU_ORIGINALS_H
#define SOFTGPU_ORIGINALS_H

/* One launch. params[i] points to argument i, as in cuLaunchKernel. */
struct softgpu_original {
    const char *symbol;
    unsigned grid[3], block[3];
    void **params;
};

/* What became of it: 0, or one of these. */
enum { SOFTGPU_ORIGINAL_UNKNOWN = -1, SOFTGPU_ORIGINAL_NO_MEMORY = -2 };

/* Runs it on the calling thread. */
int softgpu_original_run(const struct softgpu_original *launch);

#endif
