/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a kernel on the CPU: a fiber for each thread of a block, one block after another, on the calling thread.
 * The stand-in driver calls softgpu_execute; kernels compiled with cuda_cpu.h call the rest. Any thread may call
 * softgpu_execute; a lock lets one launch run at a time.
 * A barrier or shuffle that can never complete, or a write beyond the dynamic shared memory, is an error that names
 * kernel and block, never a hang. Shared memory holds 0xFF bytes (NaN) when a block starts. Every thread_local of this
 * shared object counts as shared memory, so nothing else in it may be thread_local.
 */
#ifndef SOFTGPU_EXECUTOR_H
#define SOFTGPU_EXECUTOR_H

#include <stdbool.h>
#include <stddef.h>
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
    /* Launched with programmatic serialisation: each thread must wait for the launch before this one, until then it
     * must access no global memory (counters.h). */
    bool dependent;
    bool early; /* that launch has not run: threads run only until they wait */
};

/* Returns NULL, or what went wrong (valid until the next launch); then some blocks did not run. */
const char *softgpu_execute(const struct softgpu_grid *grid, void (*body)(const void *argument), const void *argument);

/* For cuda_cpu.h only. */
enum softgpu_warp_op { SOFTGPU_SYNCWARP, SOFTGPU_SHFL_IDX, SOFTGPU_SHFL_XOR };
struct softgpu_lane_view {
    struct softgpu_dim3 thread;
    unsigned index;        /* in the block */
    const char *stack_low; /* of its fiber */
    bool waited;           /* for the launch before */
};
enum { SOFTGPU_WARP_LANES = 32, SOFTGPU_STACK_BYTES = 256 * 1024 };
extern const struct softgpu_lane_view *softgpu_lane_current;
extern struct softgpu_grid softgpu_grid_current;
void softgpu_barrier(void);
void softgpu_dependency_wait(void);
uint64_t softgpu_shuffle(enum softgpu_warp_op op, unsigned mask, uint64_t value, unsigned bytes, unsigned operand,
                         int width);
/* cp.async of the current lane; `groups`: how many of its newest commits may stay pending. */
void softgpu_async_copy(void *shared, const void *global, size_t bytes, size_t zfill);
void softgpu_async_commit(void);
void softgpu_async_wait(size_t groups);

/* Told about each launch (counters.h), while it runs; by the lane where there is one. */
struct softgpu_observer {
    void (*launch_begin)(void);
    void (*launch_end)(void);
    void (*block_begin)(void);
    void (*barrier)(void); /* all threads of the block pass it */
    void (*warp_sync)(unsigned first_thread, unsigned mask);
    void (*async_copy)(const char *shared, const char *global, unsigned bytes, unsigned zfill);
    void (*async_land)(const char *shared, unsigned bytes);
};
extern const struct softgpu_observer *softgpu_observer; /* NULL: none */

/* The parts of the host's memory that kernels access: shared memory (the static ones of all kernels, and the dynamic
 * one at smem_offset); and, only to read, this shared object and the executor's lanes. */
struct softgpu_memory_map {
    const char *shared, *image, *lanes;
    size_t shared_bytes, smem_offset, image_bytes, lanes_bytes;
};
extern struct softgpu_memory_map softgpu_memory_map; /* valid from the first launch_begin on */

/* Ends the current lane's launch with this message, which follows the names of kernel and block. */
void softgpu_lane_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#ifdef __cplusplus
}
#endif

#endif
