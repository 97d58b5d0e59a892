/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded before libfuseln.so by tests/gpu/preload.py. Sends each kernel launch of the program to fuseln, or past it
 * to the CUDA runtime, as fuseln_switch says, so that one process can run and time both. PyTorch's code, allocator,
 * stream and arguments are the same either way; the difference is what LD_PRELOAD itself makes: the function that the
 * name of the launch is bound to. A tail call, so that fuseln sees the same caller as without this.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>

struct dim3 {
    unsigned x, y, z;
};
typedef int launch_function(const void *function, struct dim3 grid, struct dim3 block, void **args, size_t smem_bytes,
                            void *stream);
enum { SYMBOL_NOT_FOUND = 500 };

_Atomic int fuseln_switch;           /* 0: to fuseln, 1: to the runtime */
_Atomic long fuseln_switch_count[2]; /* launches that went each way */

/* This library has no version node, so it serves whichever runtime the program is bound to. */
static launch_function *resolve(const char *name, int way)
{
    static const char *const nodes[] = {"libcudart.so.13", "libcudart.so.12"};
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
        void *runtime = dlopen(nodes[i], RTLD_LAZY | RTLD_NOLOAD);
        void *found = runtime ? dlvsym(way ? runtime : RTLD_NEXT, name, nodes[i]) : NULL;
        if (found)
            return (launch_function *)found;
    }
    return NULL;
}

#define SWITCH(name)                                                                                                   \
    int name(const void *function, struct dim3 grid, struct dim3 block, void **args, size_t smem_bytes, void *stream); \
    int name(const void *function, struct dim3 grid, struct dim3 block, void **args, size_t smem_bytes, void *stream)  \
    {                                                                                                                  \
        static _Atomic(launch_function *) ways[2];                                                                     \
        const int way = atomic_load_explicit(&fuseln_switch, memory_order_relaxed);                                    \
        launch_function *launch = atomic_load_explicit(&ways[way], memory_order_acquire);                              \
        if (!launch) {                                                                                                 \
            launch = resolve(#name, way);                                                                              \
            if (!launch)                                                                                               \
                return SYMBOL_NOT_FOUND;                                                                               \
            atomic_store_explicit(&ways[way], launch, memory_order_release);                                           \
        }                                                                                                              \
        atomic_fetch_add_explicit(&fuseln_switch_count[way], 1, memory_order_relaxed);                                 \
        return launch(function, grid, block, args, smem_bytes, stream);                                                \
    }

SWITCH(cudaLaunchKernel)
SWITCH(__cudaLaunchKernel)
