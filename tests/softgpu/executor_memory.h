/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor's shared memory: every thread_local of this shared object, the dynamic part (fuseln_smem) among them;
 * and the copies of cp.async that have yet to land in it.
 * For executor.cc, which holds the launch lock meanwhile; softgpu_memory_map of executor.h is filled here.
 */
#ifndef SOFTGPU_EXECUTOR_MEMORY_H
#define SOFTGPU_EXECUTOR_MEMORY_H

#include <stddef.h>

/* Fills softgpu_memory_map for the calling thread, but for the lanes; false if no thread-local block is found. */
bool softgpu_shared_memory_find(void);
bool softgpu_shared_memory_holds(const void *address, size_t bytes);
/* 0xFF bytes: static shared memory, the dynamic part that was asked for, and a guard behind it. */
void softgpu_shared_memory_fill(unsigned smem_bytes);
/* The first byte behind the dynamic shared memory that was written; -1 if none was. */
long softgpu_shared_memory_overrun(unsigned smem_bytes);

/* A block starts: no copy is pending. The current thread returns: its copies land. */
void softgpu_async_reset(unsigned threads);
void softgpu_async_finish(void);

#endif
