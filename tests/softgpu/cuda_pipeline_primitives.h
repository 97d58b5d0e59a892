/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cp.async on the CPU, in place of CUDA's header of this name (this folder comes before the system's includes).
 * A copy lands as late as CUDA allows: at its thread's wait that covers it, else when the thread ends; until then the
 * shared memory holds its old bytes. Sizes, alignment and zfill are as CUDA demands; anything else is an error by name.
 */
#ifndef FUSELN_CUDA_CPU_PIPELINE_PRIMITIVES_H
#define FUSELN_CUDA_CPU_PIPELINE_PRIMITIVES_H

#include <stddef.h>

#include "executor.h"

inline void __pipeline_memcpy_async(void *shared, const void *global, size_t size, size_t zfill = 0)
{
    softgpu_async_copy(shared, global, size, zfill);
}
inline void __pipeline_commit()
{
    softgpu_async_commit();
}
inline void __pipeline_wait_prior(size_t groups)
{
    softgpu_async_wait(groups);
}

#endif
