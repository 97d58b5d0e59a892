/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock of driver_objects.h: one for all streams.
 */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "driver_objects.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static double now_us = 1;
static uint64_t noise = 88172645463325252u;

/* 0 to 1. */
static double unit(uint64_t hash)
{
    hash ^= hash >> 33;
    hash *= 0xff51afd7ed558ccdu;
    hash ^= hash >> 33;
    return (double)(hash >> 11) * 0x1p-53;
}

double softgpu_cost_spend(const char *kernel, unsigned grid_x)
{
    const char *seed = getenv("SOFTGPU_COST");
    uint64_t hash = 0xcbf29ce484222325u;
    if (!seed)
        return 0;
    for (; *seed; seed++)
        hash = (hash ^ (unsigned char)*seed) * 0x100000001b3u;
    for (; *kernel; kernel++)
        hash = (hash ^ (unsigned char)*kernel) * 0x100000001b3u;
    hash = (hash ^ grid_x) * 0x100000001b3u;
    pthread_mutex_lock(&lock);
    noise ^= noise << 13, noise ^= noise >> 7, noise ^= noise << 17;
    const double us = 5 * pow(100, unit(hash)) * (0.98 + 0.04 * unit(noise));
    now_us += us;
    pthread_mutex_unlock(&lock);
    return us;
}

double softgpu_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    pthread_mutex_lock(&lock);
    const double ms = now_us / 1000;
    pthread_mutex_unlock(&lock);
    return getenv("SOFTGPU_COST") ? ms : (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}
