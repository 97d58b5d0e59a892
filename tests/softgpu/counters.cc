/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Global memory of counters.h, and the callbacks. Each byte of an allocation has a shadow byte that records what was
 * done to it, and the number of the block that wrote it last. One lock, which a launch holds, and so does whoever adds,
 * removes or fills memory. Plain globals, as in executor.cc.
 */
#include "counters.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <map>
#include <mutex>
#include <string>

#include "counters_internal.h"

namespace
{

enum : unsigned char { WRITTEN = 1, READ_NOW = 2, WRITTEN_NOW = 4 }; /* NOW: in this launch */

struct allocation {
    std::string name;
    const char *base;
    size_t bytes, touched_low, touched_high; /* touched: by the last launch */
    unsigned char *shadow;
    uint32_t *writer; /* the block; valid where WRITTEN_NOW */
    struct softgpu_counts counts;
};

enum { RECENT = 64 }; /* allocations found recently, by page */

std::mutex *const lock = new std::mutex; /* never destroyed: a launch may run at exit */
std::map<const char *, struct allocation> *const allocations = new std::map<const char *, struct allocation>;
struct allocation *recent[RECENT];
uint32_t block_number;
pthread_t launch_thread; /* 0: none */

bool holds(const struct allocation *a, const char *at)
{
    return a && at >= a->base && at < a->base + a->bytes;
}

/* The last allocation that begins at or below the address. */
struct allocation *allocation_below(const char *at)
{
    auto next = allocations->upper_bound(at);
    return next == allocations->begin() ? nullptr : &std::prev(next)->second;
}

struct allocation *allocation_search(const char *at)
{
    struct allocation *found = allocation_below(at);
    return holds(found, at) ? found : nullptr;
}

struct allocation *allocation_find(const char *at)
{
    struct allocation **slot = &recent[(uintptr_t)at / 4096 % RECENT];
    if (!holds(*slot, at))
        *slot = allocation_search(at);
    return *slot;
}

void launch_begin()
{
    lock->lock();
    launch_thread = pthread_self();
    for (auto &entry : *allocations) {
        struct allocation *a = &entry.second;
        for (size_t i = a->touched_low; i < a->touched_high; ++i)
            a->shadow[i] &= WRITTEN;
        a->touched_low = a->bytes;
        a->touched_high = 0;
        a->counts = {};
    }
    block_number = 0;
    softgpu_shared_launch_begin();
}

void launch_end()
{
    launch_thread = 0;
    lock->unlock();
}

void block_begin()
{
    ++block_number;
    softgpu_shared_block_begin();
}

inline __attribute__((always_inline)) void global_read(struct allocation *a, const struct softgpu_access *access)
{
    const size_t at = (size_t)(access->at - a->base);
    unsigned char *shadow = a->shadow + at, all = WRITTEN, other = 0;
    unsigned fresh = 0;
    for (unsigned i = 0; i < access->bytes; ++i) {
        all &= shadow[i];
        other |= shadow[i] & WRITTEN_NOW;
        fresh += !(shadow[i] & READ_NOW);
        shadow[i] |= READ_NOW;
    }
    if (!all)
        softgpu_check_fail(SOFTGPU_CHECK_GLOBAL_UNSET, access, "nothing wrote it");
    for (unsigned i = 0; other && i < access->bytes; ++i)
        if (shadow[i] & WRITTEN_NOW && a->writer[at + i] != block_number)
            softgpu_check_fail(SOFTGPU_CHECK_GLOBAL_CONFLICT, access, "block number %u wrote it in this launch",
                               a->writer[at + i] - 1);
    a->counts.read.distinct += fresh;
    softgpu_traffic_add(&a->counts.read, access->bytes, access->width);
}

inline __attribute__((always_inline)) void global_write(struct allocation *a, const struct softgpu_access *access)
{
    const size_t at = (size_t)(access->at - a->base);
    unsigned char *shadow = a->shadow + at;
    uint32_t *writer = a->writer + at;
    unsigned fresh = 0;
    for (unsigned i = 0; i < access->bytes; ++i) {
        if (shadow[i] & WRITTEN_NOW && writer[i] != block_number)
            softgpu_check_fail(SOFTGPU_CHECK_GLOBAL_CONFLICT, access, "block number %u wrote it in this launch",
                               writer[i] - 1);
        fresh += !(shadow[i] & WRITTEN_NOW);
        shadow[i] |= WRITTEN | WRITTEN_NOW;
        writer[i] = block_number;
    }
    a->counts.written.distinct += fresh;
    softgpu_traffic_add(&a->counts.written, access->bytes, access->width);
}

/* What a kernel's code reads of the host's memory: its constants, and threadIdx in the executor's lanes. */
bool is_host_state(const char *at)
{
    const struct softgpu_memory_map *map = &softgpu_memory_map;
    return (size_t)(at - map->image) < map->image_bytes || (size_t)(at - map->lanes) < map->lanes_bytes;
}

inline __attribute__((always_inline)) void check_access(const struct softgpu_access *access)
{
    const bool read = access->kind == SOFTGPU_READ || access->kind == SOFTGPU_ASYNC_READ;
    if ((size_t)(access->at - softgpu_lane_current->stack_low) < SOFTGPU_STACK_BYTES)
        return;
    const bool shared = (size_t)(access->at - softgpu_memory_map.shared) < softgpu_memory_map.shared_bytes;
    struct allocation *a = shared ? nullptr : allocation_find(access->at);
    if (!shared && !a && read && is_host_state(access->at))
        return;
    if ((uintptr_t)access->at % access->width)
        softgpu_check_fail(SOFTGPU_CHECK_MISALIGNED, access, "%u bytes an access", access->width);
    if (shared)
        return softgpu_shared_access(access);
    if (!a || access->at + access->bytes > a->base + a->bytes)
        softgpu_check_fail(SOFTGPU_CHECK_BOUNDS, access, "no allocation holds that");
    if (softgpu_grid_current.dependent && !softgpu_lane_current->waited)
        softgpu_check_fail(SOFTGPU_CHECK_EARLY, access, "before this thread waited for the launch ahead of its own");
    const size_t at = (size_t)(access->at - a->base), end = at + access->bytes;
    a->touched_low = at < a->touched_low ? at : a->touched_low;
    a->touched_high = end > a->touched_high ? end : a->touched_high;
    read ? global_read(a, access) : global_write(a, access);
}

inline __attribute__((always_inline)) void record_access(enum softgpu_access_kind kind, const void *at, unsigned bytes,
                                                         unsigned width)
{
    const struct softgpu_access access = {kind, static_cast<const char *>(at), bytes, width};
    if (launch_thread == pthread_self())
        check_access(&access);
    else if (kind == SOFTGPU_WRITE)
        softgpu_counters_fill(at, bytes);
}

void async_copy(const char *shared, const char *global, unsigned bytes, unsigned zfill)
{
    if (bytes > zfill) /* the device reads what zfill leaves, but counts an access of the whole width */
        record_access(SOFTGPU_ASYNC_READ, global, bytes - zfill, bytes);
    record_access(SOFTGPU_ASYNC_WRITE, shared, bytes, bytes);
}

const struct softgpu_observer observer = {launch_begin,
                                          launch_end,
                                          block_begin,
                                          softgpu_shared_barrier,
                                          softgpu_shared_warp_sync,
                                          async_copy,
                                          softgpu_shared_async_land};

} // namespace

const char *const softgpu_check_names[] = {
#define X(id, name, text) name,
    SOFTGPU_CHECKS(X)
#undef X
};

void softgpu_check_fail(enum softgpu_check check, const struct softgpu_access *access, const char *format, ...)
{
    static const char *const verbs[] = {"reads", "writes", "reads by cp.async", "writes by cp.async"};
    const struct softgpu_memory_map *map = &softgpu_memory_map;
    const struct allocation *a = allocation_below(access->at);
    const long shared = (long)(access->at - map->shared) - (long)map->smem_offset;
    const struct softgpu_dim3 *thread = &softgpu_lane_current->thread;
    char where[128], why[256];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    if ((size_t)(access->at - map->shared) >= map->shared_bytes)
        snprintf(where, sizeof where, "byte %td of %s", a ? access->at - a->base : 0,
                 a ? a->name.c_str() : "no allocation");
    else if (shared >= 0 && shared < SOFTGPU_SMEM_BYTES_MAX)
        snprintf(where, sizeof where, "byte %ld of dynamic shared memory", shared);
    else
        snprintf(where, sizeof where, "byte %td of static shared memory", access->at - map->shared);
    softgpu_lane_fail("%s: thread (%u,%u,%u) %s %u bytes at %s (%p): %s", softgpu_check_names[check], thread->x,
                      thread->y, thread->z, verbs[access->kind], access->bytes, where, (const void *)access->at, why);
}

void softgpu_traffic_add(struct softgpu_traffic *traffic, unsigned bytes, unsigned width)
{
    traffic->bytes += bytes;
    traffic->accesses[__builtin_ctz(width)] += bytes > width ? bytes / width : 1;
}

bool softgpu_counters_run(void)
{
    return softgpu_observer != nullptr;
}

void softgpu_counters_add(const char *name, const void *base, size_t bytes)
{
    if (!softgpu_observer)
        return;
    std::lock_guard<std::mutex> hold(*lock);
    const char *at = static_cast<const char *>(base);
    (*allocations)[at] = {name,
                          at,
                          bytes,
                          bytes,
                          0,
                          static_cast<unsigned char *>(calloc(bytes, 1)),
                          static_cast<uint32_t *>(calloc(bytes, sizeof(uint32_t))),
                          {}};
}

void softgpu_counters_remove(const void *base)
{
    std::lock_guard<std::mutex> hold(*lock);
    auto found = allocations->find(static_cast<const char *>(base));
    if (found == allocations->end())
        return;
    free(found->second.shadow);
    free(found->second.writer);
    memset(recent, 0, sizeof recent);
    allocations->erase(found);
}

void softgpu_counters_fill(const void *at, size_t bytes)
{
    if (!softgpu_observer)
        return;
    std::lock_guard<std::mutex> hold(*lock);
    const char *from = static_cast<const char *>(at);
    struct allocation *a = allocation_search(from);
    if (!a)
        return;
    const size_t offset = (size_t)(from - a->base), room = a->bytes - offset;
    for (size_t i = 0; i < (bytes < room ? bytes : room); ++i)
        a->shadow[offset + i] |= WRITTEN;
}

struct softgpu_counts softgpu_counters_of(const void *base)
{
    std::lock_guard<std::mutex> hold(*lock);
    auto found = allocations->find(static_cast<const char *>(base));
    return found == allocations->end() ? softgpu_counts() : found->second.counts;
}

struct softgpu_counts softgpu_counters_global(void)
{
    std::lock_guard<std::mutex> hold(*lock);
    struct softgpu_counts sum = {};
    for (const auto &entry : *allocations) {
        const struct softgpu_traffic *from[] = {&entry.second.counts.read, &entry.second.counts.written};
        struct softgpu_traffic *to[] = {&sum.read, &sum.written};
        for (int i = 0; i < 2; ++i) {
            to[i]->bytes += from[i]->bytes;
            to[i]->distinct += from[i]->distinct;
            for (int w = 0; w < SOFTGPU_WIDTHS; ++w)
                to[i]->accesses[w] += from[i]->accesses[w];
        }
    }
    return sum;
}

/* The callbacks that g++ 12 emits. An access whose type promises less alignment than its size counts as single bytes,
 * as on the device. */
#define CALLBACKS(bytes)                                    \
    extern "C" void __tsan_read##bytes(void *at)            \
    {                                                       \
        record_access(SOFTGPU_READ, at, bytes, bytes);      \
    }                                                       \
    extern "C" void __tsan_write##bytes(void *at)           \
    {                                                       \
        record_access(SOFTGPU_WRITE, at, bytes, bytes);     \
    }                                                       \
    extern "C" void __tsan_unaligned_read##bytes(void *at)  \
    {                                                       \
        record_access(SOFTGPU_READ, at, bytes, 1);          \
    }                                                       \
    extern "C" void __tsan_unaligned_write##bytes(void *at) \
    {                                                       \
        record_access(SOFTGPU_WRITE, at, bytes, 1);         \
    }
extern "C" {
void __tsan_init(void) /* each instrumented object calls it when it is loaded */
{
    softgpu_observer = &observer;
}
void __tsan_func_entry(void *) {}
void __tsan_func_exit(void) {}
void __tsan_vptr_update(void **, void *) {}
}
CALLBACKS(1)
CALLBACKS(2)
CALLBACKS(4)
CALLBACKS(8)
CALLBACKS(16)
extern "C" void __tsan_read_range(void *at, unsigned long bytes)
{
    record_access(SOFTGPU_READ, at, (unsigned)bytes, 1);
}
extern "C" void __tsan_write_range(void *at, unsigned long bytes)
{
    record_access(SOFTGPU_WRITE, at, (unsigned)bytes, 1);
}
