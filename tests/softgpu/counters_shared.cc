/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared memory of counters.h. Two accesses of one byte by different threads, one of them a write, need a barrier in
 * between or, within a warp, __syncwarp. A shuffle is not enough: CUDA says that it orders no memory.
 * Barriers are counted in epochs; lanes of a warp carry vector clocks, which __syncwarp joins over its mask.
 * A cell remembers its last two readers since the last barrier: enough to see that one of them is not the writer.
 */
#include <string.h>

#include <vector>

#include "counters_internal.h"

namespace
{

enum { LANES = SOFTGPU_WARP_LANES, WARPS = SOFTGPU_BLOCK_THREADS_MAX / LANES };
enum { CELL_BYTES = 2 }; /* no kernel of ours shares single bytes: two that did would look like a race */

/* Who accessed a cell last, and when. */
struct stamp {
    uint32_t epoch;                   /* 0: nobody */
    uint32_t thread : 10, clock : 22; /* the thread's own time: calls of __syncwarp in this block */
};

struct cell {
    struct stamp written, read[2]; /* [1]: by another thread than [0] */
    uint32_t pending;              /* 1 + the thread whose cp.async has yet to land; 0: none */
};

struct softgpu_counts shared_counts;
std::vector<struct cell> *const cells = new std::vector<struct cell>;
uint32_t epoch, block_epoch;          /* barriers and blocks so far, now and at the start of this block */
size_t pending_cells;                 /* written by copies that have yet to land */
uint32_t clocks[WARPS][LANES][LANES]; /* [warp][lane][other]: the time of other that lane knows of; [i][i]: its own */

struct stamp stamp_now()
{
    const unsigned thread = softgpu_lane_current->index, lane = thread % LANES;
    return {epoch, thread, clocks[thread / LANES][lane][lane]};
}

bool is_ordered(const struct stamp &before)
{
    const unsigned self = softgpu_lane_current->index;
    if (before.epoch != epoch || before.thread == self)
        return true;
    return before.thread / LANES == self / LANES &&
           clocks[self / LANES][self % LANES][before.thread % LANES] >= before.clock;
}

void order_check(const struct softgpu_access *access, const struct stamp &before, const char *what)
{
    if (!is_ordered(before))
        softgpu_check_fail(SOFTGPU_CHECK_SHARED_RACE, access, "%s by thread %u with no barrier in between", what,
                           before.thread);
}

void cell_access(struct cell *cell, const struct softgpu_access *access, const struct stamp &now)
{
    const bool read = access->kind == SOFTGPU_READ;
    if (cell->pending)
        softgpu_check_fail(SOFTGPU_CHECK_ASYNC_PENDING, access, "a cp.async of thread %u has not been waited for",
                           cell->pending - 1);
    if (read && cell->written.epoch < block_epoch)
        softgpu_check_fail(SOFTGPU_CHECK_SHARED_UNSET, access, "nothing wrote it in this block");
    order_check(access, cell->written, "written");
    if (read) {
        if (cell->read[0].thread != now.thread)
            cell->read[1] = cell->read[0];
        cell->read[0] = now;
        return;
    }
    order_check(access, cell->read[0], "read");
    order_check(access, cell->read[1], "read");
    if (access->kind != SOFTGPU_ASYNC_WRITE) {
        cell->written = now;
        return;
    }
    cell->pending = now.thread + 1;
    ++pending_cells;
}

} // namespace

void softgpu_shared_launch_begin(void)
{
    if (pending_cells) /* left by a launch that failed */
        cells->clear();
    pending_cells = 0;
    cells->resize(softgpu_memory_map.shared_bytes / CELL_BYTES + 1);
    shared_counts = {};
}

void softgpu_shared_block_begin(void)
{
    block_epoch = ++epoch;
    const struct softgpu_dim3 dim = softgpu_grid_current.block_dim;
    memset(clocks, 0, (dim.x * dim.y * dim.z + LANES - 1) / LANES * sizeof clocks[0]);
    for (unsigned warp = 0; warp < WARPS; ++warp)
        for (unsigned lane = 0; lane < LANES; ++lane)
            clocks[warp][lane][lane] = 1;
}

void softgpu_shared_barrier(void)
{
    ++epoch;
}

void softgpu_shared_warp_sync(unsigned first_thread, unsigned mask)
{
    uint32_t(*warp)[LANES] = clocks[first_thread / LANES], joined[LANES] = {};
    for (unsigned lane = 0; lane < LANES; ++lane)
        for (unsigned other = 0; mask >> lane & 1 && other < LANES; ++other)
            joined[other] = warp[lane][other] > joined[other] ? warp[lane][other] : joined[other];
    for (unsigned lane = 0; lane < LANES; ++lane)
        if (mask >> lane & 1) {
            memcpy(warp[lane], joined, sizeof joined);
            ++warp[lane][lane];
        }
}

void softgpu_shared_access(const struct softgpu_access *access)
{
    const struct softgpu_memory_map *map = &softgpu_memory_map;
    const size_t at = (size_t)(access->at - map->shared), smem_end = map->smem_offset + SOFTGPU_SMEM_BYTES_MAX;
    const unsigned smem_bytes = softgpu_grid_current.smem_bytes;
    if (access->at + access->bytes > map->shared + map->shared_bytes ||
        (at >= map->smem_offset && at < smem_end && at + access->bytes > map->smem_offset + smem_bytes))
        softgpu_check_fail(SOFTGPU_CHECK_BOUNDS, access, "a launch with %u bytes of dynamic shared memory", smem_bytes);
    const struct stamp now = stamp_now();
    struct cell *cell = &(*cells)[at / CELL_BYTES];
    for (unsigned i = 0; i < access->bytes; i += CELL_BYTES)
        cell_access(cell++, access, now);
    softgpu_traffic_add(access->kind == SOFTGPU_READ ? &shared_counts.read : &shared_counts.written, access->bytes,
                        access->width);
}

/* To other threads, the copy writes when it lands. */
void softgpu_shared_async_land(const char *shared, unsigned bytes)
{
    const struct stamp now = stamp_now();
    struct cell *cell = &(*cells)[(size_t)(shared - softgpu_memory_map.shared) / CELL_BYTES];
    for (unsigned i = 0; i < bytes; i += CELL_BYTES, ++cell) {
        cell->pending = 0;
        cell->written = now;
        --pending_cells;
    }
}

struct softgpu_counts softgpu_counters_shared(void)
{
    return shared_counts;
}
