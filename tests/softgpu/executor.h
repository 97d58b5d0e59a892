/*
 * Runs one kernel on the CPU: a fiber per thread of a block, blocks one after another, on the calling thread.
 * The driver stand-in calls softgpu_execute; kernels compiled with cuda_cpu.h call the rest. One launch at a time:
 * softgpu_execute holds a lock, so it may be called from any thread.
 * A barrier or shuffle that can never complete, and a write beyond the dynamic shared memory, is an error that names
 * kernel and block, never a hang. Shared memory holds 0xFF bytes (NaN) when a block starts: every thread_local of
 * this shared object counts as shared memory, so nothing else in it may be thread_local.
 */
#ifndef SOFTGPU_EXECUTOR_H
#define SOFTGPU_EXECUTOR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SOFTGPU_BLOCK_THREADS_MAX = 1024, SOFTGPU_SMEM_BYTES_MAX = 232448 };

struct softgpu_dim3 {
    unsigned x, y, z;
};

/* One launch. */
struct softgpu_grid {
    const char *kernel; /* for messages */
    struct softgpu_dim3 grid_dim, block_dim;
    struct softgpu_dim3 block_index; /* set by the executor */
    unsigned smem_bytes;             /* dynamic shared memory */
};

/* Returns NULL, or what went wrong (valid until the next launch); then blocks are missing from the result. */
const char *softgpu_execute(const struct softgpu_grid *grid, void (*body)(const void *argument), const void *argument);

/* For cuda_cpu.h only. */
enum softgpu_warp_op { SOFTGPU_SYNCWARP, SOFTGPU_SHFL_IDX, SOFTGPU_SHFL_XOR, SOFTGPU_SHFL_DOWN };
struct softgpu_lane_view {
    struct softgpu_dim3 thread;
};
extern const struct softgpu_lane_view *softgpu_lane_current;
extern struct softgpu_grid softgpu_grid_current;
void softgpu_barrier(void);
uint64_t softgpu_shuffle(enum softgpu_warp_op op, unsigned mask, uint64_t value, unsigned bytes, unsigned operand,
                         int width);

#ifdef __cplusplus
}
#endif

#endif
