/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two halves of counters.h share: counters.cc finds the memory that an access is to, counters_shared.cc holds
 * the threads' clocks and the state of shared memory. Called while a launch runs, by the thread that accesses.
 */
#ifndef SOFTGPU_COUNTERS_INTERNAL_H
#define SOFTGPU_COUNTERS_INTERNAL_H

#include "counters.h"
#include "executor.h"

enum softgpu_access_kind { SOFTGPU_READ, SOFTGPU_WRITE, SOFTGPU_ASYNC_READ, SOFTGPU_ASYNC_WRITE };

struct softgpu_access {
    enum softgpu_access_kind kind;
    const char *at;
    unsigned bytes, width; /* width: of each access that the device splits it into; divides bytes */
};

void softgpu_check_fail(enum softgpu_check check, const struct softgpu_access *access, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));
void softgpu_traffic_add(struct softgpu_traffic *traffic, unsigned bytes, unsigned width);

void softgpu_shared_launch_begin(void);
void softgpu_shared_access(const struct softgpu_access *access);
/* The executor's events: see struct softgpu_observer. */
void softgpu_shared_block_begin(void);
void softgpu_shared_barrier(void);
void softgpu_shared_warp_sync(unsigned first_thread, unsigned mask);
void softgpu_shared_async_land(const char *shared, unsigned bytes);

#endif
