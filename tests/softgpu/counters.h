/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts and checks every access of kernels that were compiled with -fsanitize=thread, whose callbacks (__tsan_*) are
 * defined here; libtsan is not linked. Without such kernels nothing is counted and every function here does nothing.
 * Global memory is what was added here, with a name; shared memory is the executor's; a fiber's stack is neither. A
 * failed check is the launch's error (softgpu_execute) and begins with its name in softgpu_check_names. Instrumented
 * code outside a launch is not counted; what it writes counts as filled (softgpu_counters_fill).
 * counters.cc owns global memory, counters_shared.cc shared memory. Thread-safe.
 */
#ifndef SOFTGPU_COUNTERS_H
#define SOFTGPU_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(ENUM, name in the message, what is wrong) */
// clang-format off
#define SOFTGPU_CHECKS(X) \
    X(BOUNDS,          "out-of-bounds",       "memory that no allocation holds")                              \
    X(MISALIGNED,      "misaligned",          "an address that its width does not divide")                    \
    X(GLOBAL_UNSET,    "unset-global-memory", "a read of global memory that nothing wrote")                   \
    X(EARLY,           "early-access",        "global memory before the launch ahead has ended")              \
    X(GLOBAL_CONFLICT, "block-conflict",      "global memory that another block of the same launch wrote")    \
    X(SHARED_UNSET,    "unset-shared-memory", "a read of shared memory that this block did not write")        \
    X(SHARED_RACE,     "shared-memory-race",  "two threads, one writes, no barrier in between")               \
    X(ASYNC_PENDING,   "unwaited-cp.async",   "shared memory that a cp.async has yet to write")
// clang-format on
enum softgpu_check {
#define X(id, name, text) SOFTGPU_CHECK_##id,
    SOFTGPU_CHECKS(X)
#undef X
        SOFTGPU_CHECK_COUNT
};
extern const char *const softgpu_check_names[SOFTGPU_CHECK_COUNT];

enum { SOFTGPU_WIDTHS = 5 }; /* of an access: 1, 2, 4, 8, 16 bytes */

struct softgpu_traffic {
    uint64_t bytes;                    /* requested, summed over threads */
    uint64_t distinct;                 /* bytes accessed at least once: the compulsory traffic; 0 for shared memory */
    uint64_t accesses[SOFTGPU_WIDTHS]; /* by width */
};

struct softgpu_counts {
    struct softgpu_traffic read, written;
};

/* Whether anything is counted. */
bool softgpu_counters_run(void);

/* Global memory. It counts as unwritten until it is filled or a kernel writes it. name is copied. */
void softgpu_counters_add(const char *name, const void *base, size_t bytes);
void softgpu_counters_remove(const void *base);
void softgpu_counters_fill(const void *at, size_t bytes);

/* The last launch's: for one allocation (by its base), for all of global memory, for shared memory. */
struct softgpu_counts softgpu_counters_of(const void *base);
struct softgpu_counts softgpu_counters_global(void);
struct softgpu_counts softgpu_counters_shared(void);

#ifdef __cplusplus
}
#endif

#endif
