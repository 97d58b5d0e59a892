/* SPDX-License-Identifier: Apache-2.0 */
/*
 * With SOFTGPU_SEED the device delays work: what a call submits joins a list in the order of the calls and runs later,
 * drawn at random from the entries that the rules of streams allow to run next. An entry runs after every earlier entry
 * on the same stream; after earlier ones on the legacy stream if its own stream blocks with that one, and the other way
 * round; a wait for an event after the event's record; and of a launch with programmatic serialisation what does not
 * wait for the one ahead runs before that one. A launch of a graph is an entry for each node, after those that it
 * depends on, between two marks on the stream. Nothing else orders work, so a program that forgets an order computes
 * wrong numbers under some seed.
 *
 * One lock; entries run in whichever thread waits or submits, with the lock held.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "device_memory.h"
#include "driver_objects.h"

enum { AHEAD_MAX = 4 }; /* fewer entries than this run at each submission */

struct entry {
    struct entry *next;
    unsigned long long number, from, to; /* it comes after the entries from ... to: of a wait, the event's record */
    unsigned long long *after;           /* of a graph's node: and after these */
    size_t after_count;
    CUcontext context;
    unsigned long long stream_id; /* 0: a graph's node, on no stream */
    bool legacy, blocking, has_operation;
    struct softgpu_operation operation;
    void *staged; /* what a copy from the host reads, as it was at submission */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *first, **last = &first;
static unsigned long long numbers;
static uint64_t random_state;

static uint64_t draw(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

bool softgpu_order_is_random(void)
{
    static int is_random = -1; /* the same in every thread */
    if (is_random < 0) {
        const char *seed = getenv("SOFTGPU_SEED");
        random_state = (seed ? strtoull(seed, NULL, 10) + 1 : 1) * 0x9e3779b97f4a7c15u;
        is_random = seed && *seed;
    }
    return is_random;
}

static struct entry entry_of(CUstream stream, unsigned long long number)
{
    return (struct entry){.number = number,
                          .context = stream->context,
                          .stream_id = stream->object.id,
                          .legacy = stream == stream->context->legacy,
                          .blocking = !(stream->flags & CU_STREAM_NON_BLOCKING)};
}

static bool goes_before(const struct entry *a, const struct entry *b)
{
    for (size_t i = 0; i < b->after_count; ++i)
        if (a->number == b->after[i])
            return true;
    return (a->stream_id && a->stream_id == b->stream_id) || (a->number >= b->from && a->number <= b->to) ||
           (a->context == b->context && ((a->legacy && b->blocking) || (b->legacy && a->blocking)));
}

/* Draws one of the entries that may run next; NULL where the list is empty. */
static struct entry **draw_entry(void)
{
    struct entry **drawn = NULL;
    uint64_t count = 0;
    for (struct entry **at = &first; *at; at = &(*at)->next) {
        bool ready = true;
        for (struct entry *before = first; before != *at && ready; before = before->next)
            ready = !goes_before(before, *at);
        if (ready && draw() % ++count == 0)
            drawn = at;
    }
    return drawn;
}

/* A launch with programmatic serialisation may start while what is ahead of it on its stream still runs: here, just
 * before that does. */
static void start_dependent(const struct entry *ahead)
{
    const struct entry *entry = ahead->next;
    while (entry && entry->stream_id != ahead->stream_id)
        entry = entry->next;
    if (entry && entry->has_operation && entry->operation.run_early)
        entry->operation.run_early(&entry->operation);
}

static void run_entry(struct entry **at)
{
    struct entry *entry = *at;
    start_dependent(entry);
    *at = entry->next;
    if (last == &entry->next)
        last = at;
    if (entry->has_operation) {
        const CUresult result = entry->operation.run(&entry->operation);
        if (result != CUDA_SUCCESS)
            entry->context->error = result;
        if (entry->operation.hold)
            free(entry->operation.launch.params);
        free(entry->staged);
    }
    free(entry->after);
    free(entry);
}

/* Runs entries until the stream's next one could run; NULL: until none is left. */
static void run_before(CUstream stream)
{
    const struct entry next = stream ? entry_of(stream, ~0ull) : (struct entry){0};
    for (struct entry *entry = first; entry;) {
        if (stream && !goes_before(entry, &next)) {
            entry = entry->next;
            continue;
        }
        run_entry(draw_entry());
        entry = first;
    }
}

void softgpu_order_wait(CUstream stream)
{
    if (!softgpu_order_is_random())
        return;
    pthread_mutex_lock(&lock);
    run_before(stream);
    pthread_mutex_unlock(&lock);
}

static void run_ahead(void)
{
    if (draw() % 4 == 0)
        softgpu_destructors_run();
    for (uint64_t ahead = draw() % AHEAD_MAX; ahead > 0 && first; ahead--)
        run_entry(draw_entry());
}

static struct entry *append(CUstream stream)
{
    struct entry *entry = softgpu_realloc(NULL, sizeof *entry);
    *entry = entry_of(stream, ++numbers);
    *last = entry;
    last = &entry->next;
    return entry;
}

/* A copy that reads or writes the host's memory cannot do so later. */
static bool is_on_device(const void *address)
{
    void *base;
    size_t bytes;
    return softgpu_memory_find(address, &base, &bytes);
}

CUresult softgpu_order_submit(CUstream stream, const struct softgpu_operation *operation)
{
    CUresult result = CUDA_SUCCESS;
    pthread_mutex_lock(&lock);
    const bool to_host = operation->is_copy && !is_on_device(operation->copy.target);
    if (to_host) { /* pageable memory has the values when the call returns */
        run_before(stream);
        result = operation->run(operation);
        pthread_mutex_unlock(&lock);
        return result;
    }
    struct entry *entry = append(stream);
    entry->operation = *operation;
    if (operation->hold)
        result = operation->hold(&entry->operation);
    if (operation->is_copy && !is_on_device(operation->copy.source)) {
        entry->staged = softgpu_realloc(NULL, operation->copy.bytes);
        entry->operation.copy.source = memcpy(entry->staged, operation->copy.source, operation->copy.bytes);
    }
    entry->has_operation = result == CUDA_SUCCESS;
    run_ahead();
    pthread_mutex_unlock(&lock);
    return result;
}

static CUresult graph_done(const struct softgpu_operation *operation)
{
    softgpu_graph_drop(operation->graph);
    return CUDA_SUCCESS;
}

/* A node's entry, after the mark at which its graph begins, from which the numbers of all nodes follow. */
static void append_node(CUstream stream, const struct CUgraphNode_st *node, unsigned long long begin)
{
    struct entry *entry = append(stream);
    entry->after = softgpu_realloc(NULL, node->after_count * sizeof *entry->after);
    entry->stream_id = 0;
    entry->legacy = entry->blocking = false;
    entry->from = entry->to = begin;
    for (size_t i = 0; i < node->after_count; ++i)
        entry->after[entry->after_count++] = begin + 1 + node->after[i];
    entry->operation = node->operation;
    entry->operation.hold = NULL; /* what it holds is the graph's */
    entry->operation.stream_id = stream->object.id;
    entry->has_operation = node->operation.run;
}

CUresult softgpu_order_graph(CUstream stream, CUgraphExec exec)
{
    pthread_mutex_lock(&lock);
    struct entry *begin = append(stream);
    const unsigned long long number = begin->number;
    begin->from = begin->to = exec->last_launch;
    for (size_t i = 0; i < exec->graph->count; ++i)
        append_node(stream, exec->graph->nodes[i], number);
    struct entry *end = append(stream);
    __atomic_add_fetch(&exec->graph->holders, 1, __ATOMIC_ACQ_REL);
    end->from = number;
    end->to = end->number - 1;
    end->has_operation = true;
    end->operation = (struct softgpu_operation){.run = graph_done, .graph = exec->graph};
    exec->last_launch = end->number;
    run_ahead();
    pthread_mutex_unlock(&lock);
    return CUDA_SUCCESS;
}

unsigned long long softgpu_order_mark(CUstream stream, unsigned long long after)
{
    if (!softgpu_order_is_random())
        return 0;
    pthread_mutex_lock(&lock);
    struct entry *entry = append(stream);
    entry->from = entry->to = after;
    const unsigned long long number = entry->number;
    pthread_mutex_unlock(&lock);
    return number;
}

static bool is_waiting(unsigned long long record)
{
    for (const struct entry *entry = first; entry; entry = entry->next)
        if (entry->number == record)
            return true;
    return false;
}

void softgpu_order_reach(unsigned long long record)
{
    if (!softgpu_order_is_random())
        return;
    pthread_mutex_lock(&lock);
    while (is_waiting(record))
        run_entry(draw_entry());
    pthread_mutex_unlock(&lock);
}

bool softgpu_order_has_reached(unsigned long long record)
{
    if (!softgpu_order_is_random())
        return true;
    pthread_mutex_lock(&lock);
    run_ahead();
    const bool reached = !is_waiting(record);
    pthread_mutex_unlock(&lock);
    return reached;
}
