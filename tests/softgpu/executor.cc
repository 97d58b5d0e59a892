/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See executor.h. Fibers are created once and reused by every launch. A lane runs until it returns, reaches a barrier,
 * or waits for other lanes of its warp. One warp runs after another, so a kernel that forgets a barrier reads the 0xFF
 * bytes (NaN) that its block started with.
 * Plain globals on purpose: thread_local would count as the kernel's shared memory.
 */
#include "executor.h"

#include <alloca.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <boost/context/fiber.hpp>
#include <mutex>

#include "executor_memory.h"

namespace
{

enum { STACK_BYTES = SOFTGPU_STACK_BYTES, STACK_GUARD_BYTES = 4096, WARP_LANES = SOFTGPU_WARP_LANES };

enum lane_state { RUNNABLE, AT_BARRIER, AT_WARP_OP, RETURNED, FAILED };

struct warp_wait {
    enum softgpu_warp_op op;
    unsigned mask, bytes;
    int width;
};

struct lane : softgpu_lane_view {
    boost::context::fiber fiber, scheduler;
    enum lane_state state;
    unsigned source;       /* the lane of the warp whose value this one receives */
    struct warp_wait wait; /* valid AT_WARP_OP */
    uint64_t value, result;
};

/* Boost's own stacks need stack_traits, which a shared object cannot take from its static library. */
struct guarded_stack {
    struct lane *owner;
    boost::context::stack_context allocate()
    {
        void *low = mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (low == MAP_FAILED || mprotect(low, STACK_GUARD_BYTES, PROT_NONE) != 0)
            throw std::bad_alloc();
        boost::context::stack_context stack;
        stack.size = STACK_BYTES;
        stack.sp = static_cast<char *>(low) + STACK_BYTES;
        owner->stack_low = static_cast<char *>(low);
        return stack;
    }
    void deallocate(boost::context::stack_context &stack)
    {
        munmap(static_cast<char *>(stack.sp) - stack.size, stack.size);
    }
};

/* Never freed: to destroy a fiber at exit would unwind a kernel that another thread may still be running. */
struct lane *const lanes = new struct lane[SOFTGPU_BLOCK_THREADS_MAX]();
std::mutex launch_lock;
void (*launch_body)(const void *);
const void *launch_argument;
unsigned block_threads;
char error_text[512];

} // namespace

const struct softgpu_lane_view *softgpu_lane_current;
struct softgpu_grid softgpu_grid_current;
const struct softgpu_observer *softgpu_observer;

namespace
{

struct lane *lane_current()
{
    return const_cast<struct lane *>(static_cast<const struct lane *>(softgpu_lane_current));
}

__attribute__((format(printf, 1, 0))) void fail_args(const char *format, va_list args)
{
    const struct softgpu_grid &grid = softgpu_grid_current;
    int length = snprintf(error_text, sizeof error_text, "kernel %s, block (%u,%u,%u): ", grid.kernel,
                          grid.block_index.x, grid.block_index.y, grid.block_index.z);
    if (length < (int)sizeof error_text)
        vsnprintf(error_text + length, sizeof error_text - length, format, args);
}

__attribute__((format(printf, 1, 2))) void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_args(format, args);
    va_end(args);
}

void lane_park(struct lane *self, enum lane_state state)
{
    self->state = state;
    self->scheduler = std::move(self->scheduler).resume();
}

/* Stacks begin at equal offsets in a page; without the padding all lanes would compete for the same cache sets. */
boost::context::fiber lane_main(struct lane *self, boost::context::fiber &&scheduler)
{
    size_t padding = (self->index % 61 + 1) * 192;
    *static_cast<volatile char *>(alloca(padding)) = 0;
    self->scheduler = std::move(scheduler);
    for (;;) {
        launch_body(launch_argument);
        softgpu_async_finish();
        if (softgpu_grid_current.dependent && !self->waited)
            softgpu_lane_fail("thread %u did not wait for the launch before this one", self->index);
        lane_park(self, RETURNED);
    }
    return std::move(self->scheduler);
}

void lane_resume(struct lane *lane)
{
    if (!lane->fiber)
        lane->fiber =
            boost::context::fiber(std::allocator_arg, guarded_stack{lane}, [lane](boost::context::fiber &&scheduler) {
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

/* The lane whose value lane `id` receives: its own beyond the segment, as CUDA defines it. */
unsigned source_lane(enum softgpu_warp_op op, unsigned id, unsigned operand, unsigned width)
{
    unsigned first = id & ~(width - 1), last = first + width - 1;
    unsigned source = op == SOFTGPU_SHFL_IDX ? first + (operand & (width - 1)) : id ^ operand;
    return op == SOFTGPU_SYNCWARP || source > last ? id : source;
}

/* Whether every lane of the mask has arrived at this operation. Lanes mostly arrive in order, so the last is checked
 * first. */
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

/* Runs every lane of the block until each has returned or waits. */
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
    for (unsigned i = 0; i < block_threads; ++i) {
        if (softgpu_grid_current.early)
            lanes[i].fiber = boost::context::fiber(); /* unwinds those that wait */
        lanes[i].state = RUNNABLE;
        lanes[i].waited = false;
    }
    softgpu_async_reset(block_threads);
    if (softgpu_observer)
        softgpu_observer->block_begin();
    while (!*error_text) {
        block_advance();
        unsigned count[FAILED + 1] = {};
        for (unsigned i = 0; i < block_threads; ++i)
            ++count[lanes[i].state];
        if (*error_text || count[RETURNED] == block_threads)
            return;
        if (count[AT_BARRIER] != block_threads)
            return fail_stuck(count);
        if (softgpu_observer)
            softgpu_observer->barrier();
        for (unsigned i = 0; i < block_threads; ++i)
            lanes[i].state = RUNNABLE;
    }
}

void grid_run()
{
    struct softgpu_grid *grid = &softgpu_grid_current;
    struct softgpu_dim3 *at = &grid->block_index;
    for (at->z = 0; at->z < grid->grid_dim.z; ++at->z)
        for (at->y = 0; at->y < grid->grid_dim.y; ++at->y)
            for (at->x = 0; at->x < grid->grid_dim.x; ++at->x) {
                softgpu_shared_memory_fill(grid->smem_bytes);
                block_run();
                if (*error_text)
                    return;
                long overrun = softgpu_shared_memory_overrun(grid->smem_bytes);
                if (overrun >= 0)
                    return fail("wrote at byte %ld of %u bytes of dynamic shared memory", overrun, grid->smem_bytes);
            }
}

} // namespace

void softgpu_lane_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_args(format, args);
    va_end(args);
    for (;;) /* it is only resumed to be unwound, which throws an exception from here */
        lane_park(lane_current(), FAILED);
}

void softgpu_barrier(void)
{
    lane_park(lane_current(), AT_BARRIER);
}

void softgpu_dependency_wait(void)
{
    lane_current()->waited = true;
    while (softgpu_grid_current.early) /* it is only resumed to be unwound */
        lane_park(lane_current(), RETURNED);
}

uint64_t softgpu_shuffle(enum softgpu_warp_op op, unsigned mask, uint64_t value, unsigned bytes, unsigned operand,
                         int width)
{
    struct lane *self = lane_current();
    unsigned id = self->index % WARP_LANES;
    struct lane *warp = self - id;
    if (!(mask >> id & 1))
        softgpu_lane_fail("thread %u is not in the mask 0x%08x of its own shuffle", self->index, mask);
    self->wait = {op, mask, bytes, width};
    self->value = value;
    self->source = source_lane(op, id, operand, (unsigned)width);
    self->state = AT_WARP_OP;
    if (warp_is_complete(warp, &self->wait)) {
        warp_exchange(warp, mask);
        if (softgpu_observer && op == SOFTGPU_SYNCWARP)
            softgpu_observer->warp_sync(warp->index, mask);
    }
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
    if (!softgpu_shared_memory_find()) {
        fail("no thread-local block found for shared memory");
        return error_text;
    }
    softgpu_memory_map.lanes = reinterpret_cast<const char *>(lanes);
    softgpu_memory_map.lanes_bytes = sizeof *lanes * SOFTGPU_BLOCK_THREADS_MAX;
    lanes_set(threads);
    if (softgpu_observer)
        softgpu_observer->launch_begin();
    grid_run();
    if (softgpu_observer)
        softgpu_observer->launch_end();
    if (!*error_text && !grid->early)
        return nullptr;
    for (unsigned i = 0; i < threads; ++i)
        lanes[i].fiber = boost::context::fiber(); /* unwinds stuck lanes; the next launch creates new ones */
    return *error_text ? error_text : nullptr;
}
