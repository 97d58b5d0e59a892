/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs ours beside an original that was just launched, into memory of ours, and has both outputs judged (check.cu).
 * The result comes to memory of the host that the device writes: it is read when its ticket stands there, so nothing
 * waits, nothing is asked of the driver for it, and at exit it can still be read. That memory is ours (mmap), known to
 * the driver by registration: a context that is destroyed takes its registration along, and no page that is read here.
 * Per context one region of slots; a slot is TAKEN from the launch until its result is collected. Lock-free.
 */
#include "kernels/host/check.h"

#include "base/shield.h"

#include <string.h>
#include <sys/mman.h>

enum { SLOTS = 256 };
enum slot_state { FREE, TAKEN, COLLECTED };

struct fuseln_check_region {
    struct fuseln_check_result results[SLOTS]; /* the device writes here, nobody else */
    struct {
        _Atomic unsigned state;
        _Atomic unsigned long long ticket;
        _Atomic(void *) owner;
    } slots[SLOTS];
};
enum { REGISTERED = sizeof(struct fuseln_check_result) * SLOTS, PAGE = 4096 };

_Static_assert((int)FUSELN_CHECK_F32 == FUSELN_DTYPE_F32 && (int)FUSELN_CHECK_F16 == FUSELN_DTYPE_F16 &&
                   (int)FUSELN_CHECK_BF16 == FUSELN_DTYPE_BF16 && (int)FUSELN_CHECK_F64 == FUSELN_DTYPE_F64,
               "one numbering of the types");

enum { PAUSE = 255 }; /* launches that go without a check after a region could not be had */
static _Atomic(struct fuseln_check_region *) regions[FUSELN_CONTEXTS_MAX];
static atomic_uint region_count, waiting;
static _Atomic unsigned long long tickets;
static atomic_flag making = ATOMIC_FLAG_INIT;

static struct fuseln_check_region *region_make(const struct fuseln_driver *driver, CUdeviceptr *ret_device)
{
    void *memory =
        mmap(NULL, sizeof(struct fuseln_check_region), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, sizeof(struct fuseln_check_region),
            MADV_DONTFORK); /* a child's write would part it from the device */
    CUresult result = driver->exchange_capture(&mode);
    if (result == CUDA_SUCCESS) {
        const size_t bytes = (REGISTERED + PAGE - 1) / PAGE * PAGE;
        result = driver->host_register(memory, bytes, CU_HOST_REGISTER_PORTABLE | CU_HOST_REGISTER_DEVICEMAP);
        if (result == CUDA_SUCCESS)
            result = driver->host_get_device(ret_device, memory, 0);
        driver->exchange_capture(&mode);
    }
    if (result == CUDA_SUCCESS)
        return memory;
    munmap(memory, sizeof(struct fuseln_check_region)); /* never pinned, or unpinned with its pages */
    return NULL;
}

/* Of this context, made now unless another thread was first; NULL where it cannot be had now. */
static struct fuseln_check_region *region_get(struct fuseln_context *context)
{
    struct fuseln_check_region *region = atomic_load_explicit(&context->check_region, memory_order_acquire);
    CUdeviceptr device = 0;
    if (region)
        return region;
    if (atomic_load(&context->check_pause) > 0) {
        atomic_fetch_sub(&context->check_pause, 1);
        return NULL;
    }
    region = region_make(fuseln_driver_get(), &device);
    if (!region) {
        atomic_store(&context->check_pause, PAUSE);
        return NULL;
    }
    atomic_store(&context->check_device, device);
    const unsigned index = atomic_fetch_add(&region_count, 1);
    if (index < FUSELN_CONTEXTS_MAX)
        atomic_store_explicit(&regions[index], region, memory_order_release);
    atomic_store_explicit(&context->check_region, region, memory_order_release);
    return region;
}

/* One thread at a time makes a region; who comes meanwhile goes without a check. */
static enum fuseln_verdict slot_take(struct fuseln_context *context, void *owner,
                                     struct fuseln_check_region **ret_region, size_t *ret_slot)
{
    struct fuseln_check_region *region = atomic_load_explicit(&context->check_region, memory_order_acquire);
    if (!region) {
        struct fuseln_shield before;
        fuseln_shield_raise(&before);
        const bool first = !atomic_flag_test_and_set(&making);
        if (first) {
            region = region_get(context);
            atomic_flag_clear(&making);
        }
        fuseln_shield_lower(&before);
        if (!region)
            return first ? FUSELN_VERDICT_REFUSED : FUSELN_VERDICT_BUSY;
    }
    for (size_t i = 0; i < SLOTS; i++) {
        unsigned state = FREE;
        if (!atomic_compare_exchange_strong(&region->slots[i].state, &state, COLLECTED))
            continue;
        atomic_store_explicit(&region->slots[i].owner, owner, memory_order_relaxed);
        atomic_store_explicit(&region->slots[i].ticket, atomic_fetch_add(&tickets, 1) + 1, memory_order_relaxed);
        *ret_region = region;
        *ret_slot = i;
        return FUSELN_VERDICT_OK;
    }
    return FUSELN_VERDICT_BUSY;
}

static void slot_end(struct fuseln_check_region *region, size_t slot, bool issued)
{
    if (issued)
        atomic_fetch_add(&waiting, 1);
    atomic_store_explicit(&region->slots[slot].state, issued ? TAKEN : FREE, memory_order_release);
}

/* Has the device answered the check that this slot is taken for? */
static bool is_answered(struct fuseln_check_region *region, size_t slot)
{
    return __atomic_load_n(&region->results[slot].ticket, __ATOMIC_ACQUIRE) ==
           atomic_load_explicit(&region->slots[slot].ticket, memory_order_relaxed);
}

/* Asked again once the slot is ours: another thread may have collected it in between, and a third have taken it. */
static bool slot_collect(struct fuseln_check_region *region, size_t slot)
{
    unsigned state = TAKEN;
    if (atomic_load_explicit(&region->slots[slot].state, memory_order_acquire) != TAKEN || !is_answered(region, slot) ||
        !atomic_compare_exchange_strong(&region->slots[slot].state, &state, COLLECTED))
        return false;
    if (is_answered(region, slot))
        return true;
    atomic_store_explicit(&region->slots[slot].state, TAKEN, memory_order_release);
    return false;
}

void *fuseln_check_collect(struct fuseln_check_result *ret_result)
{
    if (!atomic_load_explicit(&waiting, memory_order_relaxed))
        return NULL;
    const unsigned count = atomic_load(&region_count);
    for (unsigned r = 0; r < count && r < FUSELN_CONTEXTS_MAX; r++) {
        struct fuseln_check_region *region = atomic_load_explicit(&regions[r], memory_order_acquire);
        for (size_t i = 0; region && i < SLOTS; i++) {
            if (!slot_collect(region, i))
                continue;
            void *owner = atomic_load_explicit(&region->slots[i].owner, memory_order_relaxed);
            memcpy(ret_result, &region->results[i], sizeof *ret_result);
            atomic_fetch_sub(&waiting, 1);
            atomic_store_explicit(&region->slots[i].state, FREE, memory_order_release);
            return owner;
        }
    }
    return NULL;
}

/* ---- one check ---- */

static bool makes_statistics(const struct fuseln_call *call)
{
    return call->op == FUSELN_OP_FORWARD || call->op == FUSELN_OP_MOMENTS;
}

static bool apart(const void *out, size_t out_bytes, const void *in, size_t in_bytes)
{
    const uintptr_t a = (uintptr_t)out, b = (uintptr_t)in;
    return !out || !in || a + out_bytes <= b || b + in_bytes <= a;
}

/* Do all outputs lie off all inputs? Ours runs after the original, which must not have changed what it reads. */
static bool reads_unchanged(const struct fuseln_call *call)
{
    const size_t row = (size_t)call->cols * fuseln_dtype_bytes(call->dtype), tensor = (size_t)call->rows * row,
                 statistics = (size_t)call->rows * fuseln_acc_bytes(call->dtype);
    const bool written = makes_statistics(call);
    const size_t gradients = (size_t)call->out_rows * row;
    const struct {
        const void *at;
        size_t bytes;
    } outs[] = {{call->y, tensor},
                {call->dx, tensor},
                {call->dgamma, gradients},
                {call->dbeta, gradients},
                {written ? call->mean : NULL, statistics},
                {written ? call->rstd : NULL, statistics}},
      ins[] = {{call->x, tensor},
               {call->dy, tensor},
               {call->gamma, row},
               {call->beta, row},
               {written ? NULL : call->mean, statistics},
               {written ? NULL : call->rstd, statistics}};
    bool unchanged = true;
    for (size_t o = 0; o < sizeof outs / sizeof *outs; o++)
        for (size_t i = 0; i < sizeof ins / sizeof *ins; i++)
            unchanged = unchanged && apart(outs[o].at, outs[o].bytes, ins[i].at, ins[i].bytes);
    return unchanged;
}

/* A check under way. */
struct check {
    struct fuseln_context *context;
    void *stream;
    size_t limit;
    struct fuseln_call ours; /* with our own outputs */
    struct fuseln_check_params params;
    const struct fuseln_slab *slab;
    size_t used;  /* bytes of the slab */
    int64_t rows; /* of a slice; the last may have fewer */
    struct fuseln_plan judge;
};

enum { PLACE = 256 }; /* bytes between outputs, at least */

static CUdeviceptr slab_address(const struct check *check)
{
    return check->slab ? check->slab->address : 0;
}

/* Room for an output, as aligned as the host's. NULL stays NULL. */
static void *place(struct check *check, const void *theirs, size_t bytes)
{
    const size_t phase = (uintptr_t)theirs % 16;
    if (!theirs)
        return NULL;
    void *ours = (void *)(uintptr_t)(slab_address(check) + check->used + phase);
    check->used += (bytes + phase + PLACE - 1) / PLACE * PLACE;
    return ours;
}

static bool is_columns(const struct fuseln_call *call)
{
    return call->op == FUSELN_OP_DGAMMA;
}

/* The outputs' places in the slab for a check of `rows` rows, and how much of it that takes; without a slab only the
 * latter means something. What an operation does not write is NULL. */
static size_t outputs(struct check *check, const struct fuseln_call *call, int64_t rows)
{
    const size_t row = (size_t)call->cols * fuseln_dtype_bytes(call->dtype), acc = fuseln_acc_bytes(call->dtype);
    struct fuseln_call *ours = &check->ours;
    check->used = 0;
    ours->y = place(check, call->y, row * (size_t)rows);
    ours->dx = place(check, call->dx, row * (size_t)rows);
    ours->dgamma = place(check, call->dgamma, row);
    ours->dbeta = place(check, call->dbeta, row);
    if (makes_statistics(call)) {
        ours->mean = place(check, call->mean, acc * (size_t)rows);
        ours->rstd = place(check, call->rstd, acc * (size_t)rows);
    }
    check->params.records = (void *)(uintptr_t)(slab_address(check) + check->used);
    return check->used + (size_t)check->params.record_count * FUSELN_CHECK_FIELDS * sizeof(double);
}

/* Rows that fit, all of them if they do: of what the device may hold for us a quarter, or less where that is taken. */
static int64_t slab_find(struct check *check, const struct fuseln_call *call, unsigned long long stream_id,
                         struct fuseln_slab **ret_slab)
{
    int64_t rows = call->rows;
    while (rows > 1 && !is_columns(call) && outputs(check, call, rows) > check->limit / 4)
        rows = (rows + 1) / 2;
    for (;; rows = (rows + 1) / 2) {
        *ret_slab = fuseln_slab_take(check->context, stream_id, outputs(check, call, rows), check->limit);
        if (*ret_slab || rows == 1 || is_columns(call))
            return rows;
    }
}

/* The part of a tensor that begins with this row. */
static void *row_of(const void *tensor, int64_t row, size_t row_bytes)
{
    return tensor ? (char *)(uintptr_t)tensor + (size_t)row * row_bytes : NULL;
}

static struct fuseln_call slice_of(const struct fuseln_call *call, int64_t first, int64_t rows)
{
    const size_t bytes = (size_t)call->cols * fuseln_dtype_bytes(call->dtype), acc = fuseln_acc_bytes(call->dtype);
    struct fuseln_call slice = *call;
    slice.rows = rows;
    slice.x = row_of(call->x, first, bytes);
    slice.dy = row_of(call->dy, first, bytes);
    slice.y = row_of(call->y, first, bytes);
    slice.dx = row_of(call->dx, first, bytes);
    slice.mean = row_of(call->mean, first, acc);
    slice.rstd = row_of(call->rstd, first, acc);
    return slice;
}

static enum fuseln_verdict judge(struct check *check, const char *kernel, unsigned grid, unsigned block)
{
    check->judge = (struct fuseln_plan){.kernel = {fuseln_variant_named(kernel)}, .grid = {grid}, .block = {block}};
    return fuseln_kernel_launch_check(check->context, &check->judge, check->stream, &check->params);
}

static enum fuseln_verdict run_ours(struct check *check, const struct fuseln_call *theirs)
{
    const struct fuseln_device *device = fuseln_context_device(check->context);
    struct fuseln_call *ours = &check->ours;
    struct fuseln_plan plan;
    *ours = *theirs;
    ours->out_rows = 1;
    outputs(check, theirs, check->rows);
    enum fuseln_verdict verdict = fuseln_plan_make(ours, device, &plan);
    if (verdict != FUSELN_VERDICT_OK)
        return verdict;
    const int64_t longest = ours->rows / (plan.parts ? plan.parts : 32) + 64;
    check->params.chain = (double)longest;
    return fuseln_kernel_launch(check->context, ours, &plan, check->stream, check->limit, NULL);
}

static void params_set(struct check *check, const struct fuseln_call *theirs, int64_t first)
{
    struct fuseln_check_params *params = &check->params;
    const struct fuseln_call *ours = &check->ours;
    const bool statistics = makes_statistics(theirs);
    memset(&params->host, 0, sizeof params->host);
    memcpy(&params->host, &theirs->params, offsetof(struct fuseln_ln_params, partials));
    params->host.y = theirs->op == FUSELN_OP_FORWARD || theirs->op == FUSELN_OP_APPLY ? theirs->y : NULL;
    params->host.dx = theirs->op == FUSELN_OP_DX ? theirs->dx : NULL;
    params->out = is_columns(theirs) ? ours->dgamma : theirs->op == FUSELN_OP_DX ? ours->dx : ours->y;
    params->dbeta = ours->dbeta;
    params->mean = statistics ? ours->mean : NULL;
    params->rstd = statistics ? ours->rstd : NULL;
    params->first_row = first;
    params->dtype = (int)theirs->dtype;
    params->rms = theirs->rms;
}

static enum fuseln_verdict compare(struct check *check, const struct fuseln_call *call, int64_t rows, int slice)
{
    const unsigned grid = (unsigned)check->params.record_count / (FUSELN_CHECK_THREADS / 32);
    const bool all = slice < 0 || is_columns(call);
    const int64_t last = call->rows - rows;
    enum fuseln_verdict verdict = FUSELN_VERDICT_OK;
    /* One slice: the first rows, the last ones, those in the middle. */
    int64_t at = all ? 0 : slice % 3 == 0 ? 0 : slice % 3 == 1 ? last : last / 2;
    do {
        const struct fuseln_call theirs = slice_of(call, at, at + rows < call->rows ? rows : call->rows - at);
        verdict = run_ours(check, &theirs);
        params_set(check, &theirs, at);
        if (verdict == FUSELN_VERDICT_OK)
            verdict = judge(check, is_columns(call) ? "fuseln_check_columns" : "fuseln_check_rows", grid,
                            FUSELN_CHECK_THREADS);
        check->params.more = true;
        at += rows;
    } while (all && verdict == FUSELN_VERDICT_OK && at < call->rows && !is_columns(call));
    return verdict == FUSELN_VERDICT_OK ? judge(check, "fuseln_check_sum", 1, 32) : verdict;
}

enum fuseln_verdict fuseln_kernel_check(struct fuseln_context *context, const struct fuseln_call *call, void *stream,
                                        size_t scratch_limit, int slice, void *owner)
{
    struct check check = {.context = context, .stream = stream, .limit = scratch_limit};
    const int64_t sms = fuseln_context_device(context)->sm_count, warps = FUSELN_CHECK_THREADS / 32;
    const int64_t wanted = is_columns(call) ? (call->cols + 31) / 32 : (call->rows + warps - 1) / warps;
    unsigned long long stream_id;
    struct fuseln_check_region *region;
    struct fuseln_slab *slab;
    size_t slot;
    if (!reads_unchanged(call))
        return FUSELN_VERDICT_ALIAS;
    if (fuseln_kernel_capturing(stream))
        return FUSELN_VERDICT_CAPTURE;
    if (fuseln_kernel_stream(stream, &stream_id) != FUSELN_VERDICT_OK)
        return FUSELN_VERDICT_CONTEXT;
    enum fuseln_verdict verdict = slot_take(context, owner, &region, &slot);
    if (verdict != FUSELN_VERDICT_OK)
        return verdict;
    check.params.record_count = (int)((wanted < 2 * sms ? wanted : 2 * sms) * warps);
    check.params.ticket = region->slots[slot].ticket;
    check.params.result = (struct fuseln_check_result *)(uintptr_t)atomic_load(&context->check_device) + slot;
    const int64_t rows = slab_find(&check, call, stream_id, &slab);
    if (slab) {
        check.slab = slab;
        check.rows = rows;
        verdict = compare(&check, call, rows, slice);
        fuseln_slab_give(slab);
    }
    slot_end(region, slot, slab && verdict == FUSELN_VERDICT_OK);
    return slab ? verdict : FUSELN_VERDICT_SCRATCH;
}

void fuseln_check_after_fork(void)
{
    memset(regions, 0, sizeof regions); /* they are not in this process */
    atomic_store(&region_count, 0);
    atomic_store(&waiting, 0);
    atomic_flag_clear(&making); /* by a thread that is not here */
}
