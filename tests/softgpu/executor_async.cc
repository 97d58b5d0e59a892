/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cp.async: each thread of the block has a queue of copies, which land at the wait that covers them or when the thread
 * ends. Plain globals, as in executor.cc.
 */
#include <string.h>

#include <vector>

#include "executor.h"
#include "executor_memory.h"

namespace
{

struct async_copy {
    char *shared;
    const char *global;
    size_t bytes, zfill;
    uint64_t group; /* the number of the commit that covers it */
};

struct async_queue {
    std::vector<struct async_copy> pending; /* oldest first */
    uint64_t commits;
};

struct async_queue *const queues = new struct async_queue[SOFTGPU_BLOCK_THREADS_MAX]();

/* Performs the copies of the commits before `end`. */
void land(uint64_t end)
{
    std::vector<struct async_copy> &pending = queues[softgpu_lane_current->index].pending;
    size_t count = 0;
    for (const struct async_copy &copy : pending) {
        if (copy.group >= end)
            break;
        memcpy(copy.shared, copy.global, copy.bytes - copy.zfill);
        memset(copy.shared + copy.bytes - copy.zfill, 0, copy.zfill);
        if (softgpu_observer)
            softgpu_observer->async_land(copy.shared, (unsigned)copy.bytes);
        ++count;
    }
    pending.erase(pending.begin(), pending.begin() + (ptrdiff_t)count);
}

} // namespace

void softgpu_async_reset(unsigned threads)
{
    for (unsigned i = 0; i < threads; ++i) {
        queues[i].pending.clear();
        queues[i].commits = 0;
    }
}

void softgpu_async_finish(void)
{
    land(UINT64_MAX);
}

void softgpu_async_copy(void *shared, const void *global, size_t bytes, size_t zfill)
{
    const uintptr_t bits = reinterpret_cast<uintptr_t>(shared) | reinterpret_cast<uintptr_t>(global);
    const char *wrong = (bytes != 4 && bytes != 8 && bytes != 16) || zfill > bytes ? "size or zfill"
                        : bits % bytes                                             ? "alignment"
                        : !softgpu_shared_memory_holds(shared, bytes)              ? "destination (not shared memory)"
                        : softgpu_shared_memory_holds(global, bytes)               ? "source (shared memory)"
                                                                                   : nullptr;
    if (wrong)
        softgpu_lane_fail("thread %u: cp.async of %zu bytes, zfill %zu, from %p to %p: bad %s",
                          softgpu_lane_current->index, bytes, zfill, global, shared, wrong);
    char *to = static_cast<char *>(shared);
    const char *from = static_cast<const char *>(global);
    if (softgpu_observer)
        softgpu_observer->async_copy(to, from, (unsigned)bytes, (unsigned)zfill);
    struct async_queue *queue = &queues[softgpu_lane_current->index];
    queue->pending.push_back({to, from, bytes, zfill, queue->commits});
}

void softgpu_async_commit(void)
{
    ++queues[softgpu_lane_current->index].commits;
}

void softgpu_async_wait(size_t groups)
{
    const uint64_t commits = queues[softgpu_lane_current->index].commits;
    if (commits > groups)
        land(commits - groups);
}
