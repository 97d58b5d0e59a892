/*
 * The executor of executor.h. Fibers are made once and then loop over the threads they are given; a lane runs until
 * it returns, meets a barrier, or waits for other lanes of its warp. Lanes of a warp go on together, warp after warp,
 * so a kernel that forgets a barrier reads the 0xFF bytes (NaN) that its block started with.
 * Plain globals on purpose: thread_local would count as the kernel's shared memory.
 */
#include "executor.h"

#include <alloca.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <boost/context/fiber.hpp>
#include <mutex>

#include <vector_types.h>

namespace
{

enum { STACK_BYTES = 256 * 1024, STACK_GUARD_BYTES = 4096, SMEM_GUARD_BYTES = 1024, WARP_LANES = 32 };

enum lane_state { RUNNABLE, AT_BARRIER, AT_WARP_OP, RETURNED, FAILED };

struct warp_wait {
    enum softgpu_warp_op op;
    unsigned mask, bytes;
    int width;
};

struct lane : softgpu_lane_view {
    boost::context::fiber fiber, scheduler;
    enum lane_state state;
    unsigned index;        /* in the block */
    unsigned source;       /* lane of the warp whose value this one receives */
    struct warp_wait wait; /* valid AT_WARP_OP */
    uint64_t value, result;
};

/* Boost's own stacks ask stack_traits, which its static library cannot lend to a shared object. */
struct guarded_stack {
    boost::context::stack_context allocate()
    {
        void *low = mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (low == MAP_FAILED || mprotect(low, STACK_GUARD_BYTES, PROT_NONE) != 0)
            throw std::bad_alloc();
        boost::context::stack_context stack;
        stack.size = STACK_BYTES;
        stack.sp = static_cast<char *>(low) + STACK_BYTES;
        return stack;
    }
    void deallocate(boost::context::stack_context &stack)
    {
        munmap(static_cast<char *>(stack.sp) - stack.size, stack.size);
    }
};

struct tls_block {
    size_t smem_offset, bytes; /* of this shared object's thread-local block */
};

/* Never freed: destroying a fiber at exit would unwind a kernel that another thread may still be in. */
struct lane *const lanes = new struct lane[SOFTGPU_BLOCK_THREADS_MAX]();
std::mutex launch_lock;
void (*launch_body)(const void *);
const void *launch_argument;
unsigned block_threads;
char error_text[512];

} // namespace

const struct softgpu_lane_view *softgpu_lane_current;
struct softgpu_grid softgpu_grid_current;
extern thread_local uint4 fuseln_smem[];
alignas(128) thread_local uint4 fuseln_smem[(SOFTGPU_SMEM_BYTES_MAX + SMEM_GUARD_BYTES) / sizeof(uint4)];

namespace
{

struct lane *lane_current()
{
    return const_cast<struct lane *>(static_cast<const struct lane *>(softgpu_lane_current));
}

__attribute__((format(printf, 1, 2))) void fail(const char *format, ...)
{
    const struct softgpu_grid &grid = softgpu_grid_current;
    int used = snprintf(error_text, sizeof error_text, "kernel %s, block (%u,%u,%u): ", grid.kernel, grid.block_index.x,
                        grid.block_index.y, grid.block_index.z);
    if (used >= (int)sizeof error_text)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(error_text + used, sizeof error_text - used, format, args);
    va_end(args);
}

void lane_park(struct lane *self, enum lane_state state)
{
    self->state = state;
    self->scheduler = std::move(self->scheduler).resume();
}

/* Stacks lie at equal offsets of a page; without the padding all lanes would fight for the same cache sets. */
boost::context::fiber lane_main(struct lane *self, boost::context::fiber &&scheduler)
{
    size_t padding = (self->index % 61 + 1) * 192;
    *static_cast<volatile char *>(alloca(padding)) = 0;
    self->scheduler = std::move(scheduler);
    for (;;) {
        launch_body(launch_argument);
        lane_park(self, RETURNED);
    }
    return std::move(self->scheduler);
}

void lane_resume(struct lane *lane)
{
    if (!lane->fiber)
        lane->fiber =
            boost::context::fiber(std::allocator_arg, guarded_stack(), [lane](boost::context::fiber &&scheduler) {
                return lane_main(lane, std::move(scheduler));
            });
    softgpu_lane_current = lane;
    lane->fiber = std::move(lane->fiber).resume();
}

void lanes_set(unsigned threads)
{
    const struct softgpu_dim3 dim = softgpu_grid_current.block_dim;
    for (unsigned i = 0; i < threads; ++i) {
        lanes[i].index = i;
        lanes[i].thread = {i % dim.x, i / dim.x % dim.y, i / dim.x / dim.y};
    }
    block_threads = threads;
}

/* Which lane's value lane `id` receives; its own where CUDA says so (beyond the segment). */
unsigned source_lane(enum softgpu_warp_op op, unsigned id, unsigned operand, unsigned width)
{
    unsigned first = id & ~(width - 1), last = first + width - 1;
    unsigned source = op == SOFTGPU_SHFL_IDX   ? first + (operand & (width - 1))
                      : op == SOFTGPU_SHFL_XOR ? id ^ operand
                                               : id + operand;
    return op == SOFTGPU_SYNCWARP || source > last ? id : source;
}

/* Whether every lane of the mask has arrived at this same operation. Lanes mostly arrive in order: look at the last
 * one first. */
bool warp_is_complete(const struct lane *warp, const struct warp_wait *wait)
{
    for (unsigned id = WARP_LANES; id-- > 0;) {
        if (!(wait->mask >> id & 1))
            continue;
        const struct lane *lane = &warp[id];
        if (lane->index >= block_threads || lane->state != AT_WARP_OP || memcmp(&lane->wait, wait, sizeof *wait) != 0)
            return false;
    }
    return true;
}

void warp_exchange(struct lane *warp, unsigned mask)
{
    for (unsigned id = 0; id < WARP_LANES; ++id) {
        if (!(mask >> id & 1))
            continue;
        struct lane *lane = &warp[id];
        if (!(mask >> lane->source & 1))
            fail("thread %u reads lane %u by a shuffle that its mask 0x%08x leaves out", lane->index, lane->source,
                 mask);
        lane->result = warp[lane->source].value;
        lane->state = RUNNABLE;
    }
}

/* Runs every lane of the block until none can go on alone. */
void block_advance()
{
    for (unsigned first = 0; first < block_threads; first += WARP_LANES) {
        unsigned end = first + WARP_LANES < block_threads ? first + WARP_LANES : block_threads;
        for (bool progress = true; progress && !*error_text;) {
            progress = false;
            for (unsigned i = first; i < end && !*error_text; ++i) {
                if (lanes[i].state != RUNNABLE)
                    continue;
                progress = true;
                lane_resume(&lanes[i]);
            }
        }
    }
}

void fail_stuck(const unsigned *count)
{
    unsigned shown = 0;
    const char *where = "a barrier";
    for (unsigned i = 0; i < block_threads; ++i)
        if (lanes[i].state == AT_WARP_OP) {
            where = lanes[i].wait.op == SOFTGPU_SYNCWARP ? "__syncwarp" : "a shuffle";
            shown = i;
            break;
        } else if (lanes[i].state == AT_BARRIER) {
            shown = i;
        }
    fail("threads diverge: %u wait at __syncthreads, %u at a shuffle or __syncwarp, %u have returned; thread %u waits "
         "at %s, mask 0x%08x",
         count[AT_BARRIER], count[AT_WARP_OP], count[RETURNED], shown, where,
         lanes[shown].state == AT_WARP_OP ? lanes[shown].wait.mask : 0xffffffffu);
}

void block_run()
{
    for (unsigned i = 0; i < block_threads; ++i)
        lanes[i].state = RUNNABLE;
    while (!*error_text) {
        block_advance();
        unsigned count[FAILED + 1] = {};
        for (unsigned i = 0; i < block_threads; ++i)
            ++count[lanes[i].state];
        if (*error_text || count[RETURNED] == block_threads)
            return;
        if (count[AT_BARRIER] != block_threads)
            return fail_stuck(count);
        for (unsigned i = 0; i < block_threads; ++i)
            lanes[i].state = RUNNABLE;
    }
}

int tls_find(struct dl_phdr_info *info, size_t, void *data)
{
    struct tls_block *ret_block = static_cast<struct tls_block *>(data);
    const char *smem = reinterpret_cast<const char *>(fuseln_smem);
    const char *start = static_cast<const char *>(info->dlpi_tls_data);
    for (int i = 0; start && i < info->dlpi_phnum; ++i) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_TLS || smem < start || smem >= start + header->p_memsz)
            continue;
        *ret_block = {(size_t)(smem - start), header->p_memsz};
        return 1;
    }
    return 0;
}

/* Fills static shared memory, the dynamic part that was asked for, and a guard behind it. */
void shared_memory_fill(const struct tls_block *block, unsigned smem_bytes)
{
    char *smem = reinterpret_cast<char *>(fuseln_smem);
    size_t smem_end = block->smem_offset + sizeof fuseln_smem;
    memset(smem - block->smem_offset, 0xff, block->smem_offset);
    memset(smem, 0xff, smem_bytes + SMEM_GUARD_BYTES);
    memset(smem + sizeof fuseln_smem, 0xff, block->bytes - smem_end);
}

void shared_memory_check(unsigned smem_bytes)
{
    const unsigned char *guard = reinterpret_cast<const unsigned char *>(fuseln_smem) + smem_bytes;
    for (unsigned i = 0; i < SMEM_GUARD_BYTES; ++i)
        if (guard[i] != 0xff)
            return fail("wrote at byte %u of %u bytes of dynamic shared memory", smem_bytes + i, smem_bytes);
}

void grid_run()
{
    static struct tls_block tls; /* the same in every thread */
    struct softgpu_grid *grid = &softgpu_grid_current;
    struct softgpu_dim3 *at = &grid->block_index;
    if (!tls.bytes && !dl_iterate_phdr(tls_find, &tls))
        return fail("no thread-local block found for shared memory");
    for (at->z = 0; at->z < grid->grid_dim.z; ++at->z)
        for (at->y = 0; at->y < grid->grid_dim.y; ++at->y)
            for (at->x = 0; at->x < grid->grid_dim.x; ++at->x) {
                shared_memory_fill(&tls, grid->smem_bytes);
                block_run();
                if (!*error_text)
                    shared_memory_check(grid->smem_bytes);
                if (*error_text)
                    return;
            }
}

} // namespace

void softgpu_barrier(void)
{
    lane_park(lane_current(), AT_BARRIER);
}

uint64_t softgpu_shuffle(enum softgpu_warp_op op, unsigned mask, uint64_t value, unsigned bytes, unsigned operand,
                         int width)
{
    struct lane *self = lane_current();
    unsigned id = self->index % WARP_LANES;
    struct lane *warp = self - id;
    if (!(mask >> id & 1)) {
        fail("thread %u is not in the mask 0x%08x of its own shuffle", self->index, mask);
        lane_park(self, FAILED);
    }
    self->wait = {op, mask, bytes, width};
    self->value = value;
    self->source = source_lane(op, id, operand, (unsigned)width);
    self->state = AT_WARP_OP;
    if (warp_is_complete(warp, &self->wait))
        warp_exchange(warp, mask);
    if (self->state != RUNNABLE || *error_text)
        lane_park(self, self->state);
    return self->result;
}

const char *softgpu_execute(const struct softgpu_grid *grid, void (*body)(const void *argument), const void *argument)
{
    unsigned threads = grid->block_dim.x * grid->block_dim.y * grid->block_dim.z;
    std::lock_guard<std::mutex> hold(launch_lock);
    softgpu_grid_current = *grid;
    launch_body = body;
    launch_argument = argument;
    *error_text = 0;
    if (threads == 0 || threads > SOFTGPU_BLOCK_THREADS_MAX || grid->smem_bytes > SOFTGPU_SMEM_BYTES_MAX) {
        fail("%u threads and %u bytes of shared memory are beyond the executor", threads, grid->smem_bytes);
        return error_text;
    }
    lanes_set(threads);
    grid_run();
    if (!*error_text)
        return nullptr;
    for (unsigned i = 0; i < threads; ++i)
        lanes[i].fiber = boost::context::fiber(); /* stuck lanes unwind; the next launch gets new ones */
    return error_text;
}
