/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs ours beside an original that was just launched, into memory of ours, and has the device check both outputs
 * (check.cu). The device writes the result to memory of the host, which is read once its ticket stands there: nothing
 * waits, the driver is not asked, and the result can still be read at exit. That memory is ours (mmap), registered with
 * the driver: a context that is destroyed takes the registration along, but no page that is read here.
 * Per context one region of slots; a slot is ISSUED from the launch until its result is collected. Lock-free, as every
 * launch of FUSELN_MODE=verify comes by here.
 */
#include "kernels/host/context.h"

#include "base/config.h"
#include "base/shield.h"
#include "base/target.h"

#include <string.h>
#include <sys/mman.h>

enum { SLOTS = 256 };
enum slot_state { FREE, ISSUED, CLAIMED };

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
/* By the index of their contexts. */
static struct {
    _Atomic(struct fuseln_check_region *) region;
    _Atomic CUdeviceptr device; /* where the device sees it */
    atomic_int pause;
} regions[FUSELN_CONTEXTS_MAX];
static atomic_uint waiting;
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

/* NULL where it cannot be had now. */
static struct fuseln_check_region *region_add(size_t index)
{
    CUdeviceptr device = 0;
    if (atomic_load(&regions[index].pause) > 0) {
        atomic_fetch_sub(&regions[index].pause, 1);
        return NULL;
    }
    struct fuseln_check_region *region = region_make(fuseln_driver_known(), &device);
    if (!region) {
        atomic_store(&regions[index].pause, PAUSE);
        return NULL;
    }
    atomic_store(&regions[index].device, device);
    atomic_store_explicit(&regions[index].region, region, memory_order_release);
    return region;
}

/* One thread at a time makes a region; who comes meanwhile goes without a check. */
static enum fuseln_verdict region_get(size_t index, struct fuseln_check_region **ret_region)
{
    struct fuseln_shield before;
    *ret_region = atomic_load_explicit(&regions[index].region, memory_order_acquire);
    if (*ret_region)
        return FUSELN_VERDICT_OK;
    fuseln_shield_raise(&before);
    const bool first = !atomic_flag_test_and_set(&making);
    if (first) {
        *ret_region = atomic_load_explicit(&regions[index].region, memory_order_acquire);
        if (!*ret_region)
            *ret_region = region_add(index);
        atomic_flag_clear(&making);
    }
    fuseln_shield_lower(&before);
    return *ret_region ? FUSELN_VERDICT_OK : first ? FUSELN_VERDICT_REFUSED : FUSELN_VERDICT_BUSY;
}

static enum fuseln_verdict slot_claim(struct fuseln_check_region *region, void *owner, size_t *ret_slot)
{
    for (size_t i = 0; i < SLOTS; i++) {
        unsigned state = FREE;
        if (!atomic_compare_exchange_strong(&region->slots[i].state, &state, CLAIMED))
            continue;
        atomic_store_explicit(&region->slots[i].owner, owner, memory_order_relaxed);
        atomic_store_explicit(&region->slots[i].ticket, atomic_fetch_add(&tickets, 1) + 1, memory_order_relaxed);
        *ret_slot = i;
        return FUSELN_VERDICT_OK;
    }
    return FUSELN_VERDICT_BUSY;
}

static void slot_end(struct fuseln_check_region *region, size_t slot, bool issued)
{
    if (issued)
        atomic_fetch_add(&waiting, 1);
    atomic_store_explicit(&region->slots[slot].state, issued ? ISSUED : FREE, memory_order_release);
}

/* Has the device answered the check that this slot is claimed for? */
static bool is_answered(struct fuseln_check_region *region, size_t slot)
{
    return __atomic_load_n(&region->results[slot].ticket, __ATOMIC_ACQUIRE) ==
           atomic_load_explicit(&region->slots[slot].ticket, memory_order_relaxed);
}

/* Asked again once the slot is ours: another thread may have collected it in between, and a third have claimed it. */
static bool slot_collect(struct fuseln_check_region *region, size_t slot)
{
    unsigned state = ISSUED;
    if (atomic_load_explicit(&region->slots[slot].state, memory_order_acquire) != ISSUED ||
        !is_answered(region, slot) || !atomic_compare_exchange_strong(&region->slots[slot].state, &state, CLAIMED))
        return false;
    if (is_answered(region, slot))
        return true;
    atomic_store_explicit(&region->slots[slot].state, ISSUED, memory_order_release);
    return false;
}

void *fuseln_check_collect(struct fuseln_check_result *ret_result)
{
    if (!atomic_load_explicit(&waiting, memory_order_relaxed))
        return NULL;
    for (size_t r = 0; r < FUSELN_CONTEXTS_MAX; r++) {
        struct fuseln_check_region *region = atomic_load_explicit(&regions[r].region, memory_order_acquire);
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

/* Roles, by the shape of their tensors: [cols], [out_rows][cols], [rows]; all others are [rows][cols]. OUTPUTS are
 * written, as are the statistics by an operation that makes them. */
enum {
    COLUMNS = 1u << FUSELN_ROLE_GAMMA | 1u << FUSELN_ROLE_BETA | 1u << FUSELN_ROLE_BIAS,
    GRADIENTS = 1u << FUSELN_ROLE_DGAMMA | 1u << FUSELN_ROLE_DBETA,
    STATISTICS = 1u << FUSELN_ROLE_MEAN | 1u << FUSELN_ROLE_RSTD,
    OUTPUTS = 1u << FUSELN_ROLE_Y | 1u << FUSELN_ROLE_SUM | 1u << FUSELN_ROLE_DX | GRADIENTS,
};

static void *pointer_of(const struct fuseln_call *call, int role)
{
    void *pointer;
    memcpy(&pointer, (const char *)call + offsetof(struct fuseln_call, x) + (size_t)role * sizeof pointer,
           sizeof pointer);
    return pointer;
}

static void set_pointer(struct fuseln_call *call, int role, void *pointer)
{
    memcpy((char *)call + offsetof(struct fuseln_call, x) + (size_t)role * sizeof pointer, &pointer, sizeof pointer);
}

static size_t row_bytes(const struct fuseln_call *call, int role)
{
    const enum fuseln_dtype dtype = GRADIENTS >> role & 1 ? fuseln_gradient_dtype(call) : call->dtype;
    return STATISTICS >> role & 1 ? fuseln_acc_bytes(dtype) : (size_t)call->cols * fuseln_dtype_bytes(dtype);
}

static size_t bytes_of(const struct fuseln_call *call, int role)
{
    const int64_t rows = COLUMNS >> role & 1 ? 1 : GRADIENTS >> role & 1 ? call->out_rows : call->rows;
    return (size_t)rows * row_bytes(call, role);
}

static bool apart(const void *out, size_t out_bytes, const void *in, size_t in_bytes)
{
    const uintptr_t a = (uintptr_t)out, b = (uintptr_t)in;
    return !out || !in || a + out_bytes <= b || b + in_bytes <= a;
}

/* Do all outputs lie off all inputs? Ours runs after the original, which must not have changed what it reads. */
static bool reads_unchanged(const struct fuseln_call *call)
{
    const unsigned outputs = OUTPUTS | (makes_statistics(call) ? STATISTICS : 0);
    for (int out = 0; out < FUSELN_POINTER_ROLES_END; out++)
        for (int in = 0; in < FUSELN_POINTER_ROLES_END; in++)
            if (outputs >> out & ~outputs >> in & 1 &&
                !apart(pointer_of(call, out), bytes_of(call, out), pointer_of(call, in), bytes_of(call, in)))
                return false;
    return true;
}

/* A check under way. */
struct run {
    const struct fuseln_check *check;
    struct fuseln_call ours; /* with our own outputs */
    struct fuseln_check_params params;
    struct fuseln_slab *slab;
    size_t used;  /* bytes of the slab */
    int64_t rows; /* of a slice; the last may have fewer */
};

enum { OUTPUT_ALIGN = 256 };
#define ANYWHERE ((void *)OUTPUT_ALIGN)

static CUdeviceptr slab_address(const struct run *run)
{
    return run->slab ? run->slab->address : 0;
}

/* Room for an output, as aligned as the host's. NULL stays NULL. */
static void *reserve_output(struct run *run, const void *theirs, size_t bytes)
{
    const size_t phase = (uintptr_t)theirs % 16;
    if (!theirs)
        return NULL;
    void *ours = (void *)(uintptr_t)(slab_address(run) + run->used + phase);
    run->used += (bytes + phase + OUTPUT_ALIGN - 1) / OUTPUT_ALIGN * OUTPUT_ALIGN;
    return ours;
}

static bool is_columns(const struct fuseln_call *call)
{
    return call->op == FUSELN_OP_DGAMMA;
}

/* The outputs' places in the slab for a check of `rows` rows, and how much of it that takes; without a slab only the
 * latter means something. What an operation does not write is NULL. */
static size_t outputs(struct run *run, const struct fuseln_call *call, int64_t rows)
{
    const size_t row = (size_t)call->cols * fuseln_dtype_bytes(call->dtype), acc = fuseln_acc_bytes(call->dtype);
    struct fuseln_call *ours = &run->ours;
    run->used = 0;
    ours->y = reserve_output(run, call->y, row * (size_t)rows);
    ours->sum = reserve_output(run, call->sum, row * (size_t)rows);
    ours->dx = reserve_output(run, call->dx, row * (size_t)rows);
    ours->dgamma = reserve_output(run, call->dgamma, row_bytes(call, FUSELN_ROLE_DGAMMA));
    ours->dbeta = reserve_output(run, call->dbeta, row_bytes(call, FUSELN_ROLE_DBETA));
    if (makes_statistics(call)) { /* also where the host wants none: ours tell what y was computed with */
        ours->mean = reserve_output(run, call->rms ? NULL : ANYWHERE, acc * (size_t)rows);
        ours->rstd = reserve_output(run, ANYWHERE, acc * (size_t)rows);
    }
    run->params.records = (void *)(uintptr_t)(slab_address(run) + run->used);
    return run->used + (size_t)run->params.record_count * FUSELN_CHECK_FIELDS * sizeof(double);
}

static enum fuseln_verdict get_slab(const struct fuseln_check *check, size_t bytes, struct fuseln_slab **ret_slab)
{
    const struct fuseln_plan plan = {.scratch_bytes = bytes};
    return fuseln_slab_acquire(&(struct fuseln_job){check->context, &plan, check->stream, NULL}, ret_slab);
}

/* Sets run->slab and run->rows: all rows if they fit; of what the device may hold for us a quarter, or less where that
 * is not free. */
static enum fuseln_verdict slab_acquire(struct run *run, const struct fuseln_call *call)
{
    int64_t rows = call->rows;
    while (rows > 1 && !is_columns(call) && outputs(run, call, rows) > fuseln_config_get()->scratch_bytes / 4)
        rows = (rows + 1) / 2;
    for (;; rows = (rows + 1) / 2) {
        const enum fuseln_verdict verdict = get_slab(run->check, outputs(run, call, rows), &run->slab);
        run->rows = rows;
        if (verdict != FUSELN_VERDICT_SCRATCH || rows == 1 || is_columns(call))
            return verdict;
    }
}

/* The part of a tensor that begins with this row. */
static void *row_of(const void *tensor, int64_t row, size_t bytes)
{
    return tensor ? (char *)(uintptr_t)tensor + (size_t)row * bytes : NULL;
}

static struct fuseln_call slice_of(const struct fuseln_call *call, int64_t first, int64_t rows)
{
    struct fuseln_call slice = *call;
    slice.rows = rows;
    for (int role = 0; role < FUSELN_POINTER_ROLES_END; role++)
        if (!((COLUMNS | GRADIENTS) >> role & 1))
            set_pointer(&slice, role, row_of(pointer_of(call, role), first, row_bytes(call, role)));
    return slice;
}

static enum fuseln_verdict launch_check(struct run *run, const char *kernel, unsigned grid, unsigned block)
{
    const struct fuseln_plan plan = {.kernel = {fuseln_variant_named(kernel)}, .grid = {grid}, .block = {block}};
    const struct fuseln_job job = {.context = run->check->context, .plan = &plan, .stream = run->check->stream};
    return fuseln_kernel_launch_check(&job, &run->params);
}

static enum fuseln_verdict launch_ours(struct run *run, const struct fuseln_call *theirs)
{
    const struct fuseln_check *check = run->check;
    struct fuseln_call *ours = &run->ours;
    struct fuseln_plan plan;
    const struct fuseln_job job = {check->context, &plan, check->stream, NULL};
    *ours = *theirs;
    ours->out_rows = 1;
    outputs(run, theirs, run->rows);
    const enum fuseln_verdict verdict = fuseln_plan_make(ours, fuseln_context_device(check->context), &plan);
    if (verdict != FUSELN_VERDICT_OK)
        return verdict;
    const int64_t longest = ours->rows / (plan.parts ? plan.parts : 32) + 64;
    run->params.chain = (double)longest;
    return fuseln_kernel_launch(&job, ours);
}

static void params_set(struct run *run, const struct fuseln_call *theirs, int64_t first)
{
    struct fuseln_check_params *params = &run->params;
    const struct fuseln_call *ours = &run->ours;
    const bool statistics = makes_statistics(theirs);
    memset(&params->host, 0, sizeof params->host);
    memcpy(&params->host, &theirs->params, offsetof(struct fuseln_ln_params, partials));
    params->host.y = theirs->op == FUSELN_OP_FORWARD || theirs->op == FUSELN_OP_APPLY ? theirs->y : NULL;
    params->host.dx = theirs->op == FUSELN_OP_DX ? theirs->dx : NULL;
    params->out = is_columns(theirs) ? ours->dgamma : theirs->op == FUSELN_OP_DX ? ours->dx : ours->y;
    params->dbeta = ours->dbeta;
    params->sum = ours->sum;
    params->mean = statistics ? ours->mean : NULL;
    params->rstd = statistics ? ours->rstd : NULL;
    params->first_row = first;
    params->dtype = (int)theirs->dtype;
    params->gradient_dtype = (int)fuseln_gradient_dtype(theirs);
    params->rms = theirs->rms;
    params->one_pass = run->check->one_pass;
    params->round_affine = run->check->round_affine;
}

/* Where one slice begins: the first rows, the last ones, or those in the middle. */
static int64_t slice_begin(const struct fuseln_call *call, int64_t rows, int slice)
{
    const int64_t last = call->rows - rows;
    return slice % 3 == 0 ? 0 : slice % 3 == 1 ? last : last / 2;
}

/* ---- inputs that must not change, and where they lie ---- */

/* The call with no pointers but those of these roles. */
static struct fuseln_call inputs_of(const struct fuseln_call *call, unsigned roles)
{
    struct fuseln_call inputs = *call;
    for (int role = 0; role < FUSELN_POINTER_ROLES_END; role++)
        if (!(roles >> role & 1))
            set_pointer(&inputs, role, NULL);
    return inputs;
}

/* Do so many bytes lie in one allocation of the driver's? */
static bool is_allocated(const void *pointer, size_t wanted)
{
    const struct fuseln_driver *driver = fuseln_driver_known();
    const CUdeviceptr at = (CUdeviceptr)(uintptr_t)pointer;
    CUdeviceptr base;
    size_t bytes;

    return driver->mem_get_range && driver->mem_get_range(&base, &bytes, at) == CUDA_SUCCESS && at >= base &&
           at - base <= bytes && wanted <= bytes - (at - base);
}

bool fuseln_kernel_check_fits(const struct fuseln_call *call)
{
    bool fits = true;

    for (int role = 0; fits && role < FUSELN_POINTER_ROLES_END; role++)
        fits = !pointer_of(call, role) || is_allocated(pointer_of(call, role), bytes_of(call, role));
    return fits;
}

/* The row behind the last one that the call says is written: an original that writes it has more rows than the user's
 * row says. NULL where there is none. */
static void *row_behind(const struct fuseln_call *call)
{
    const size_t row = (size_t)call->cols * fuseln_dtype_bytes(call->dtype);
    void *const out = call->y ? call->y : call->dx;

    void *const behind = row_of(out, call->rows, row);
    bool free = out && is_allocated(out, ((size_t)call->rows + 1) * row);

    for (int role = 0; free && role < FUSELN_POINTER_ROLES_END; role++) /* the original may write that, too */
        free = pointer_of(call, role) == out || apart(behind, row, pointer_of(call, role), bytes_of(call, role));
    return free ? behind : NULL;
}

static unsigned grid_of(const struct fuseln_check *check)
{
    return 2 * (unsigned)fuseln_context_device(check->context)->sm_count;
}

static enum fuseln_verdict launch_hash(const struct run *of, const struct fuseln_call *call,
                                       const struct fuseln_slab *hashes, bool after)
{
    struct run run = *of;
    run.params.host = inputs_of(call, run.check->inputs).params;
    run.params.host.y = row_behind(call);
    run.params.dtype = (int)call->dtype;
    run.params.hashes = (void *)(uintptr_t)hashes->address;
    run.params.hash_count = (int)grid_of(run.check) * (FUSELN_CHECK_THREADS / 32);
    run.params.more = after;
    return launch_check(&run, "fuseln_check_hash", grid_of(run.check), FUSELN_CHECK_THREADS);
}

/* NULL where they cannot be made now. */
static struct fuseln_slab *hashes_make(const struct fuseln_check *check, const struct fuseln_call *call)
{
    const struct run run = {.check = check};
    const size_t bytes = grid_of(check) * (FUSELN_CHECK_THREADS / 32) * 2 * sizeof(unsigned long long);
    struct fuseln_slab *hashes;

    if (fuseln_kernel_capturing(check->stream) || get_slab(check, bytes, &hashes) != FUSELN_VERDICT_OK)
        return NULL;
    if (launch_hash(&run, call, hashes, false) == FUSELN_VERDICT_OK)
        return hashes;
    fuseln_slab_release(hashes);
    return NULL;
}

static enum fuseln_verdict check_slices(struct run *run, const struct fuseln_call *call)
{
    const unsigned grid = (unsigned)run->params.record_count / (FUSELN_CHECK_THREADS / 32);
    const bool columns = is_columns(call), all = run->check->slice < 0 || run->check->saved.slab || columns;
    enum fuseln_verdict verdict = FUSELN_VERDICT_OK;
    int64_t at = all ? 0 : slice_begin(call, run->rows, run->check->slice);
    do {
        const struct fuseln_call theirs = slice_of(call, at, at + run->rows < call->rows ? run->rows : call->rows - at);
        verdict = launch_ours(run, &theirs);
        params_set(run, &theirs, run->check->saved.first + at);
        if (verdict == FUSELN_VERDICT_OK)
            verdict =
                launch_check(run, columns ? "fuseln_check_columns" : "fuseln_check_rows", grid, FUSELN_CHECK_THREADS);
        run->params.more = true;
        at += run->rows;
    } while (all && verdict == FUSELN_VERDICT_OK && at < call->rows && !columns);
    if (run->check->proves) {
        run->params.hashes = (void *)(uintptr_t)run->check->saved.hashes->address;
        run->params.hash_count = (int)grid_of(run->check) * (FUSELN_CHECK_THREADS / 32);
    }
    return verdict == FUSELN_VERDICT_OK ? launch_check(run, "fuseln_check_sum", 1, 32) : verdict;
}

/* In a slot that is claimed: all kernels of the check. */
static enum fuseln_verdict check_issue(const struct fuseln_check *check, const struct fuseln_call *call,
                                       const struct fuseln_check_region *region, size_t slot)
{
    const int64_t sms = fuseln_context_device(check->context)->sm_count, warps = FUSELN_CHECK_THREADS / 32;
    const int64_t wanted = is_columns(call) ? (call->cols + 31) / 32 : (call->rows + warps - 1) / warps;
    CUdeviceptr device = atomic_load(&regions[fuseln_context_index(check->context)].device);
    struct run run = {.check = check};
    run.params.proves = check->proves;
    run.params.other_eps = check->other_eps;
    run.params.record_count = (int)((wanted < 2 * sms ? wanted : 2 * sms) * warps);
    run.params.ticket = region->slots[slot].ticket;
    run.params.result = (struct fuseln_check_result *)(uintptr_t)device + slot;
    enum fuseln_verdict verdict = slab_acquire(&run, call);
    if (verdict != FUSELN_VERDICT_OK)
        return verdict;
    verdict = check_slices(&run, call);
    fuseln_slab_release(run.slab);
    return verdict;
}

/* Where the copies stand in their slab, and how much of it they take. */
static size_t copies(const struct fuseln_saved *saved, const struct fuseln_call *call, void **ret_x,
                     void **ret_residual)
{
    const size_t bytes = (size_t)saved->rows * (size_t)call->cols * fuseln_dtype_bytes(call->dtype);
    struct run run = {.slab = saved->slab};
    *ret_x = reserve_output(&run, call->x, bytes);
    *ret_residual = reserve_output(&run, call->residual, bytes);
    return run.used;
}

/* As many rows as leave room for our outputs. */
static int64_t rows_to_save(struct run *run, const struct fuseln_call *call)
{
    struct fuseln_saved saved = {.rows = call->rows};
    void *unused[2];
    while (saved.rows > 1 && copies(&saved, call, &unused[0], &unused[1]) + outputs(run, call, saved.rows) >
                                 fuseln_config_get()->scratch_bytes / 4)
        saved.rows = (saved.rows + 1) / 2;
    return saved.rows;
}

static bool copy(const struct fuseln_check *check, const struct fuseln_call *call, int role, void *to)
{
    const struct fuseln_job job = {.context = check->context, .stream = check->stream};
    return !to || fuseln_kernel_copy(&job, to, pointer_of(call, role), bytes_of(call, role)) == FUSELN_VERDICT_OK;
}

struct fuseln_saved fuseln_kernel_check_save(const struct fuseln_check *check, const struct fuseln_call *call)
{
    struct run run = {.check = check};
    struct fuseln_saved saved = {.hashes = check->proves ? hashes_make(check, call) : NULL};
    if (call->op != FUSELN_OP_FORWARD || reads_unchanged(call) || fuseln_kernel_capturing(check->stream))
        return saved;
    saved.rows = rows_to_save(&run, call);
    saved.first = slice_begin(call, saved.rows, check->slice < 0 ? 0 : check->slice);
    const struct fuseln_call slice = slice_of(call, saved.first, saved.rows);
    void *x, *residual;
    if (get_slab(check, copies(&saved, &slice, &x, &residual), &saved.slab) != FUSELN_VERDICT_OK)
        return saved;
    copies(&saved, &slice, &x, &residual);
    if (!copy(check, &slice, FUSELN_ROLE_X, x) || !copy(check, &slice, FUSELN_ROLE_RESIDUAL, residual)) {
        fuseln_slab_release(saved.slab);
        saved.slab = NULL;
    }
    return saved;
}

/* The part of the launch whose inputs were saved, which reads them where they are. */
static struct fuseln_call saved_part(const struct fuseln_saved *saved, const struct fuseln_call *call)
{
    struct fuseln_call part = slice_of(call, saved->first, saved->rows);
    void *x, *residual;
    copies(saved, &part, &x, &residual);
    part.x = x;
    part.residual = residual;
    return part;
}

enum fuseln_verdict fuseln_kernel_check(const struct fuseln_check *check, const struct fuseln_call *call)
{
    const struct fuseln_call part = check->saved.slab ? saved_part(&check->saved, call) : *call;
    struct fuseln_check_region *region;
    size_t slot;
    if (!reads_unchanged(&part))
        return FUSELN_VERDICT_ALIAS;
    if (fuseln_kernel_capturing(check->stream))
        return FUSELN_VERDICT_CAPTURE;
    if (check->proves && !check->saved.hashes)
        return FUSELN_VERDICT_SCRATCH;
    enum fuseln_verdict verdict = region_get(fuseln_context_index(check->context), &region);
    if (verdict == FUSELN_VERDICT_OK)
        verdict = slot_claim(region, check->owner, &slot);
    if (verdict != FUSELN_VERDICT_OK)
        return verdict;
    if (check->proves)
        verdict = launch_hash(&(struct run){.check = check}, call, check->saved.hashes, true);
    if (verdict == FUSELN_VERDICT_OK)
        verdict = check_issue(check, &part, region, slot);
    slot_end(region, slot, verdict == FUSELN_VERDICT_OK);
    return verdict;
}

void fuseln_check_after_fork(void)
{
    memset(regions, 0, sizeof regions); /* they are not in this process */
    atomic_store(&waiting, 0);
    atomic_flag_clear(&making); /* by a thread that is not here */
}
