/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor's shared memory: every thread_local of this shared object, including the dynamic part (fuseln_smem); and
 * the copies of cp.async that have yet to land in it.
 * For executor.cc, which holds its launch lock meanwhile. softgpu_memory_map of executor.h is filled here.
 */
#ifndef SOFTGPU_EXECUTOR_MEMORY_H
#define SOFTGPU_EXECUTOR_MEMORY_H

#include <stddef.h>

/* Fills softgpu_memory_map, except for the lanes, for the calling thread; false if no thread-local block is found. */
bool softgpu_shared_memory_find(void);
bool softgpu_shared_memory_holds(const void *address, size_t bytes);
/* Fills static shared memory, the dynamic part that was requested and the guard behind it with 0xFF bytes. */
void softgpu_shared_memory_fill(unsigned smem_bytes);
/* The first byte behind the dynamic shared memory that a kernel wrote; -1 if there is none. */
long softgpu_shared_memory_overrun(unsigned smem_bytes);

/* Drops pending copies as a block starts; performs those of the current thread as it returns. */
void softgpu_async_reset(unsigned threads);
void softgpu_async_finish(void);

#endif
