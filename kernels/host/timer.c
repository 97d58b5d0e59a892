/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long launches take on the device, by two events on their stream; see device.h. Events belong to a context and
 * are kept for it; an entry of the table goes FREE > CLAIMED > RUNNING > CLAIMED > FREE. Whoever changes a state by
 * compare-and-swap has the entry. Lock-free.
 */
#include "kernels/host/context.h"

enum { TIMERS_MAX = 256, QUERIES = 8 };
enum timer_state { EMPTY, FREE, CLAIMED, RUNNING };

struct fuseln_timer {
    _Atomic unsigned state;
    uint64_t context_id;
    CUevent start, stop;
    void *owner;
    int kind;
};
static struct fuseln_timer timers[TIMERS_MAX];

static void release(struct fuseln_timer *timer)
{
    atomic_store_explicit(&timer->state, FREE, memory_order_release);
}

static bool change(struct fuseln_timer *timer, unsigned from, unsigned to)
{
    return atomic_compare_exchange_strong(&timer->state, &from, to);
}

/* RELAXED, as another thread may be capturing. */
static CUresult events_make(const struct fuseln_driver *driver, struct fuseln_timer *timer)
{
    int mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    CUresult result = driver->exchange_capture(&mode);
    if (result != CUDA_SUCCESS)
        return result;
    result = driver->event_create(&timer->start, 0);
    if (result == CUDA_SUCCESS)
        result = driver->event_create(&timer->stop, 0);
    driver->exchange_capture(&mode);
    return result;
}

static struct fuseln_timer *claim(const struct fuseln_driver *driver, uint64_t context_id)
{
    for (size_t i = 0; i < TIMERS_MAX; i++) {
        struct fuseln_timer *timer = &timers[i];
        if (atomic_load_explicit(&timer->state, memory_order_acquire) == FREE && timer->context_id == context_id &&
            change(timer, FREE, CLAIMED))
            return timer;
        if (!change(timer, EMPTY, CLAIMED))
            continue;
        if (events_make(driver, timer) != CUDA_SUCCESS) {
            atomic_store(&timer->state, EMPTY);
            return NULL;
        }
        timer->context_id = context_id;
        return timer;
    }
    return NULL;
}

struct fuseln_timer *fuseln_timer_begin(struct fuseln_context *context, void *stream, void *owner, int kind)
{
    const struct fuseln_driver *driver = fuseln_driver_known();
    struct fuseln_timer *timer = claim(driver, atomic_load_explicit(&context->id, memory_order_relaxed));
    if (!timer)
        return NULL;
    timer->owner = owner;
    timer->kind = kind;
    if (driver->event_record(timer->start, (CUstream)stream) == CUDA_SUCCESS)
        return timer;
    release(timer);
    return NULL;
}

void fuseln_timer_end(struct fuseln_timer *timer, void *stream, bool launched)
{
    const bool recorded =
        launched && fuseln_driver_known()->event_record(timer->stop, (CUstream)stream) == CUDA_SUCCESS;
    atomic_store_explicit(&timer->state, recorded ? RUNNING : FREE, memory_order_release);
}

void *fuseln_timer_collect(struct fuseln_context *context, int *ret_kind, float *ret_us)
{
    const struct fuseln_driver *driver = fuseln_driver_known();
    const uint64_t context_id = atomic_load_explicit(&context->id, memory_order_relaxed);
    void *owner = NULL;
    int mode = CU_STREAM_CAPTURE_MODE_RELAXED, queries = 0;
    if (driver->exchange_capture(&mode) != CUDA_SUCCESS)
        return NULL;
    for (size_t i = 0; i < TIMERS_MAX && !owner && queries < QUERIES; i++) {
        struct fuseln_timer *timer = &timers[i];
        float ms = 0;
        if (atomic_load_explicit(&timer->state, memory_order_acquire) != RUNNING || timer->context_id != context_id ||
            !change(timer, RUNNING, CLAIMED))
            continue;
        queries++;
        if (driver->event_query(timer->stop) != CUDA_SUCCESS) {
            atomic_store_explicit(&timer->state, RUNNING, memory_order_release);
            continue;
        }
        if (driver->event_elapsed(&ms, timer->start, timer->stop) == CUDA_SUCCESS) {
            owner = timer->owner;
            *ret_kind = timer->kind;
            *ret_us = ms * 1000;
        }
        release(timer);
    }
    driver->exchange_capture(&mode);
    return owner;
}

void fuseln_timer_after_fork(void)
{
    for (size_t i = 0; i < TIMERS_MAX; i++)
        atomic_store(&timers[i].state, EMPTY);
}
