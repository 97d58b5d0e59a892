/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device memory for partial sums: slabs of a power of two of bytes, each for one stream of one context for ever. A slab
 * is owned from the launch that fills it until the launch that reads it is issued; work on one stream runs in order,
 * so its next owner on that stream cannot come too early. Slabs are never freed: that would synchronise.
 * Static table, lock-free.
 */
#include "kernels/host/context.h"

#include "base/config.h"

/* PAUSE: how many launches go without a new slab after the device had no memory for one: asking is slow. */
enum { SLABS_MAX = 512, PAUSE = 255 };
enum slab_state { EMPTY, FREE, OWNED };

static struct fuseln_slab slabs[SLABS_MAX];
static atomic_uint slabs_used;

static struct fuseln_slab *slab_find(uint64_t context_id, uint64_t stream_id, size_t bytes)
{
    const unsigned used = atomic_load_explicit(&slabs_used, memory_order_acquire);
    for (struct fuseln_slab *slab = slabs, *const end = slab + used; slab != end; slab++) {
        unsigned state = FREE;
        if (atomic_load_explicit(&slab->state, memory_order_acquire) == FREE && slab->context_id == context_id &&
            slab->stream_id == stream_id && slab->bytes >= bytes &&
            atomic_compare_exchange_strong_explicit(&slab->state, &state, OWNED, memory_order_acquire,
                                                    memory_order_relaxed))
            return slab;
    }
    return NULL;
}

static bool reserve(struct fuseln_device_record *record, size_t bytes, size_t limit)
{
    const size_t before = atomic_fetch_add(&record->scratch_bytes, bytes);
    if (before <= limit && bytes <= limit - before)
        return true;
    atomic_fetch_sub(&record->scratch_bytes, bytes);
    return false;
}

/* RELAXED: this thread or another may be capturing some stream, which a plain allocation would break. */
static bool allocate(size_t bytes, CUdeviceptr *ret_address)
{
    const struct fuseln_driver *driver = fuseln_driver_known();
    int mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    if (driver->exchange_capture(&mode) != CUDA_SUCCESS)
        return false;
    const CUresult result = driver->mem_alloc(ret_address, bytes);
    driver->exchange_capture(&mode);
    return result == CUDA_SUCCESS;
}

/* A free entry of the table, owned; NULL where there is none. */
static struct fuseln_slab *entry_claim(void)
{
    for (unsigned i = 0; i < SLABS_MAX; i++) {
        unsigned state = EMPTY, used = atomic_load(&slabs_used);
        if (atomic_load_explicit(&slabs[i].state, memory_order_relaxed) != EMPTY ||
            !atomic_compare_exchange_strong(&slabs[i].state, &state, OWNED))
            continue;
        while (used <= i && !atomic_compare_exchange_weak(&slabs_used, &used, i + 1))
            ;
        return &slabs[i];
    }
    return NULL;
}

static struct fuseln_slab *slab_make(struct fuseln_context *context, size_t bytes)
{
    struct fuseln_slab *slab = entry_claim();
    if (!slab)
        return NULL;
    if (!allocate(bytes, &slab->address)) {
        atomic_store(&context->scratch_pause, PAUSE);
        atomic_store(&slab->state, EMPTY);
        return NULL;
    }
    slab->bytes = bytes;
    return slab;
}

static struct fuseln_slab *slab_add(struct fuseln_context *context, uint64_t stream_id, size_t bytes, size_t limit)
{
    if (bytes > limit)
        return NULL;
    if (atomic_load(&context->scratch_pause) > 0) {
        atomic_fetch_sub(&context->scratch_pause, 1);
        return NULL;
    }
    struct fuseln_device_record *record = context->record;
    size_t size = 64 << 10;
    while (size < bytes)
        size *= 2;
    if (!reserve(record, size, limit))
        return NULL;
    struct fuseln_slab *slab = slab_make(context, size);
    if (!slab) {
        atomic_fetch_sub(&record->scratch_bytes, size);
        return NULL;
    }
    slab->context_id = atomic_load_explicit(&context->id, memory_order_relaxed);
    slab->stream_id = stream_id;
    return slab;
}

enum fuseln_verdict fuseln_slab_acquire(const struct fuseln_job *job, struct fuseln_slab **ret_slab)
{
    const struct fuseln_driver *driver = fuseln_driver_known();
    CUstream stream = (CUstream)job->stream;
    const size_t bytes = job->plan->scratch_bytes;
    unsigned long long id;

    if (fuseln_driver_capturing(driver, stream))
        return FUSELN_VERDICT_CAPTURE;
    if (driver->stream_get_id(stream, &id) != CUDA_SUCCESS)
        return FUSELN_VERDICT_CONTEXT;
    struct fuseln_slab *slab = slab_find(atomic_load_explicit(&job->context->id, memory_order_relaxed), id, bytes);
    if (!slab)
        slab = slab_add(job->context, id, bytes, fuseln_config_get()->scratch_bytes);
    if (!slab)
        return FUSELN_VERDICT_SCRATCH;
    *ret_slab = slab;
    return FUSELN_VERDICT_OK;
}

void fuseln_slab_release(struct fuseln_slab *slab)
{
    atomic_store_explicit(&slab->state, FREE, memory_order_release);
}

void fuseln_scratch_after_fork(void)
{
    for (unsigned i = 0; i < SLABS_MAX; i++)
        atomic_store(&slabs[i].state, EMPTY);
    atomic_store(&slabs_used, 0);
}
