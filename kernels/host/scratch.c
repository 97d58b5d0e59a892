/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device memory for partial sums: slabs of few sizes. A slab is owned from the launch that fills it until
 * the launch that reads it is issued. Outside of stream capture it is one stream's for ever: work on one stream runs in
 * order, so its next owner there cannot come too early. In capture it is one captured stream's, and all pairs of that
 * stream take it in turn. The graph and its copies replay with it, so the graph holds it by a user object; once they
 * and their launches are gone, the driver calls the destructor, and any stream or capture of the context may have it.
 * Slabs are never freed: that would synchronise. Static table, lock-free.
 */
#include "kernels/host/context.h"

#include "base/config.h"

/* PAUSE: how many launches go without a new slab after the device or the table had no room for one: asking is slow. */
enum { SLABS_MAX = 512, PAUSE = 255 };
/* REFUSED: FUSELN_SCRATCH has no room for it; it has no memory, and is there to be counted. */
enum slab_state { EMPTY, FREE, OWNED, REFUSED };

static struct fuseln_slab slabs[SLABS_MAX];
static atomic_uint slabs_used;
static atomic_ullong capture_order;
static atomic_bool captures_into_graphs;

/* Who wants a slab, and how large. */
struct want {
    struct fuseln_context *context;
    uint64_t context_id, stream_id, capture_id, order;
    CUgraph graph; /* NULL: not in capture */
    size_t bytes;
};

#define GET(slab, member)        atomic_load_explicit(&(slab)->member, memory_order_relaxed)
#define SET(slab, member, value) atomic_store_explicit(&(slab)->member, value, memory_order_relaxed)

/* capture_id first, which is set last: one that belongs to no capture never becomes another's. */
static inline bool is_of(const struct fuseln_slab *slab, const struct want *want)
{
    return atomic_load_explicit(&slab->capture_id, memory_order_acquire) == want->capture_id &&
           GET(slab, stream_id) == want->stream_id && GET(slab, context_id) == want->context_id &&
           GET(slab, order) == want->order;
}

static inline bool is_orphan(const struct fuseln_slab *slab, const struct want *want)
{
    return atomic_load_explicit(&slab->orphaned, memory_order_acquire) && GET(slab, context_id) == want->context_id;
}

static inline bool change(struct fuseln_slab *slab, unsigned from, unsigned to)
{
    return atomic_load_explicit(&slab->state, memory_order_relaxed) == from &&
           atomic_compare_exchange_strong_explicit(&slab->state, &from, to, memory_order_acq_rel, memory_order_relaxed);
}

typedef bool slab_is(const struct fuseln_slab *slab, const struct want *want);

/* Of a slab that was this one before it was owned. That of a capture may have become another's meanwhile. */
static __attribute__((noinline)) bool is_still(const struct fuseln_slab *slab, const struct want *want, slab_is *is)
{
    return is(slab, want) && GET(slab, bytes) >= want->bytes;
}

/* A slab of this kind, now owned. */
static inline struct fuseln_slab *slab_find(const struct want *want, slab_is *is)
{
    const unsigned used = atomic_load_explicit(&slabs_used, memory_order_acquire);
    for (struct fuseln_slab *slab = slabs, *const end = slab + used; slab != end; slab++) {
        if (!is(slab, want) || GET(slab, bytes) < want->bytes || !change(slab, FREE, OWNED))
            continue;
        if ((is == is_of && !want->graph) || is_still(slab, want, is))
            return slab;
        fuseln_slab_release(slab);
    }
    return NULL;
}

/* A free entry of the table, owned; NULL where there is none. */
static struct fuseln_slab *entry_claim(void)
{
    for (unsigned i = 0; i < SLABS_MAX; i++) {
        unsigned used = atomic_load(&slabs_used);
        if (!change(&slabs[i], EMPTY, OWNED))
            continue;
        while (used <= i && !atomic_compare_exchange_weak(&slabs_used, &used, i + 1))
            ;
        return &slabs[i];
    }
    return NULL;
}

/* The user object's destructor. It runs on a thread of the driver's, at any time, so it does no more than this. */
static void orphan(void *slab)
{
    atomic_store_explicit(&((struct fuseln_slab *)slab)->orphaned, true, memory_order_release);
}

/* Makes an owned slab the stream's or, as long as its graph lives, the captured graph's. false: it is an orphan, or
 * will be one. */
static bool slab_give(struct fuseln_slab *slab, const struct want *want)
{
    const struct fuseln_driver *driver = fuseln_driver_known();
    CUuserObject object;
    SET(slab, context_id, want->context_id);
    SET(slab, stream_id, want->stream_id);
    SET(slab, order, want->order);
    SET(slab, orphaned, false);
    atomic_store_explicit(&slab->capture_id, want->capture_id, memory_order_release);
    if (!want->graph)
        return true;
    if (driver->object_create(&object, slab, orphan, 1, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC) != CUDA_SUCCESS) {
        orphan(slab);
    } else {
        if (driver->graph_retain(want->graph, object, 1, CU_GRAPH_USER_OBJECT_MOVE) == CUDA_SUCCESS)
            return true;
        driver->object_release(object, 1);
    }
    SET(slab, capture_id, UINT64_MAX);
    return false;
}

/* What FUSELN_SCRATCH would have to be. */
static void want_more(struct fuseln_device_record *record)
{
    const size_t both = atomic_load(&record->scratch_bytes) + atomic_load(&record->scratch_refused);
    size_t wanted = atomic_load(&record->scratch_wanted);
    while (wanted < both && !atomic_compare_exchange_weak(&record->scratch_wanted, &wanted, both))
        ;
}

/* Counts what was refused, once for each stream or capture, as long as its graph lives. */
static void note_refused(const struct want *want, size_t size)
{
    struct fuseln_device_record *record = want->context->record;
    for (unsigned i = 0; i < SLABS_MAX; i++) {
        struct fuseln_slab *slab = &slabs[i];
        if (is_of(slab, want) && GET(slab, bytes) >= size && atomic_load(&slab->state) == REFUSED)
            return;
        if (atomic_load(&slab->orphaned) && change(slab, REFUSED, OWNED)) {
            atomic_fetch_sub(&slab->record->scratch_refused, GET(slab, bytes));
            atomic_store(&slab->state, EMPTY);
        }
    }
    struct fuseln_slab *slab = entry_claim();
    if (!slab)
        return;
    slab->record = record;
    SET(slab, bytes, size);
    slab_give(slab, want);
    atomic_fetch_add(&record->scratch_refused, size);
    want_more(record);
    atomic_store_explicit(&slab->state, REFUSED, memory_order_release);
}

static bool reserve(const struct want *want, size_t bytes)
{
    struct fuseln_device_record *record = want->context->record;
    const size_t limit = fuseln_config_get()->scratch_bytes;
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

/* A new slab, owned by the caller and by nobody else yet. */
static struct fuseln_slab *slab_make(const struct want *want, size_t size)
{
    struct fuseln_slab *slab = entry_claim();
    if (!slab || !allocate(size, &slab->address)) {
        atomic_store(&want->context->scratch_pause, PAUSE);
        if (slab)
            atomic_store(&slab->state, EMPTY);
        return NULL;
    }
    slab->record = want->context->record;
    SET(slab, bytes, size);
    return slab;
}

static struct fuseln_slab *slab_add(const struct want *want, bool for_kernel)
{
    size_t step = 64 << 10; /* few sizes, so that others can have it, and at most an eighth too large */
    while (step * 16 < want->bytes)
        step *= 2;
    const size_t size = (want->bytes + step - 1) / step * step;
    if (atomic_load(&want->context->scratch_pause) > 0) {
        atomic_fetch_sub(&want->context->scratch_pause, 1);
        return NULL;
    }
    if (!reserve(want, size)) {
        if (for_kernel) /* a check goes on with fewer rows */
            note_refused(want, size);
        return NULL;
    }
    struct fuseln_slab *slab = slab_make(want, size);
    if (!slab)
        atomic_fetch_sub(&want->context->record->scratch_bytes, size);
    return slab;
}

static bool is_known(const struct fuseln_job *job, const struct fuseln_variant *variant)
{
    return variant && atomic_load(fuseln_function_slot(job->context, variant)) > FUSELN_SLOT_IMAGE;
}

/* In capture: which one, and into which graph. Only DX has a slab there, if a pair can be launched at all. */
static __attribute__((noinline)) enum fuseln_verdict find_capture(const struct fuseln_job *job, struct want *want)
{
    const struct fuseln_driver *driver = fuseln_driver_known();
    const struct fuseln_plan *plan = job->plan;
    const bool complete =
        driver->capture_info && driver->object_create && driver->object_release && driver->graph_retain;
    int status;
    if (!complete || atomic_load(&captures_into_graphs) || !is_known(job, plan->reduction) ||
        !is_known(job, plan->kernel[0]))
        return FUSELN_VERDICT_CAPTURE;
    want->order = atomic_load(&capture_order);
    if (driver->capture_info((CUstream)job->stream, &status, &want->capture_id, &want->graph, NULL, NULL) !=
            CUDA_SUCCESS ||
        status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
        return FUSELN_VERDICT_CAPTURE;
    return FUSELN_VERDICT_OK;
}

/* One that the stream or capture does not have yet. */
static __attribute__((noinline)) enum fuseln_verdict slab_get(const struct want *want, bool for_kernel,
                                                              struct fuseln_slab **ret_slab)
{
    struct fuseln_slab *slab = slab_find(want, is_orphan);
    if (!slab)
        slab = slab_add(want, for_kernel);
    if (!slab)
        return FUSELN_VERDICT_SCRATCH;
    if (!slab_give(slab, want)) {
        fuseln_slab_release(slab);
        return FUSELN_VERDICT_CAPTURE;
    }
    *ret_slab = slab;
    return FUSELN_VERDICT_OK;
}

enum fuseln_verdict fuseln_slab_acquire(const struct fuseln_job *job, struct fuseln_slab **ret_slab)
{
    struct want want = {.context = job->context,
                        .context_id = atomic_load_explicit(&job->context->id, memory_order_relaxed),
                        .bytes = job->plan->scratch_bytes};
    unsigned long long id;

    if (fuseln_kernel_capturing(job->stream) && find_capture(job, &want) != FUSELN_VERDICT_OK)
        return FUSELN_VERDICT_CAPTURE;
    if (fuseln_kernel_stream(job->stream, &id) != FUSELN_VERDICT_OK)
        return FUSELN_VERDICT_CONTEXT;
    want.stream_id = id;
    struct fuseln_slab *slab = slab_find(&want, is_of);
    if (!slab)
        return slab_get(&want, job->plan->kernel[0], ret_slab);
    *ret_slab = slab;
    return FUSELN_VERDICT_OK;
}

void fuseln_slab_release(struct fuseln_slab *slab)
{
    atomic_store_explicit(&slab->state, FREE, memory_order_release);
}

void fuseln_scratch_unordered(void)
{
    atomic_fetch_add(&capture_order, 1);
}

void fuseln_scratch_into_graph(void)
{
    atomic_store(&captures_into_graphs, true);
}

void fuseln_scratch_after_fork(void)
{
    for (unsigned i = 0; i < SLABS_MAX; i++)
        atomic_store(&slabs[i].state, EMPTY);
    atomic_store(&slabs_used, 0);
}
