/* SPDX-License-Identifier: Apache-2.0 */
/*
 * With SOFTGPU_SEED the device delays work: what a call submits joins a list in the order of the calls and runs later,
 * drawn at random from the entries that the rules of streams allow to run next. An entry runs after every earlier entry
 * on the same stream; after earlier ones on the legacy stream if its own stream blocks with that one, and the other way
 * round; and a wait for an event after the event's record. Nothing else orders work, so a program that forgets an order
 * computes wrong numbers under some seed.
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
    unsigned long long number, after; /* after: the number of the event record that it waits for, or 0 */
    CUcontext context;
    unsigned long long stream_id;
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
    return a->stream_id == b->stream_id || a->number == b->after ||
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

static void run_entry(struct entry **at)
{
    struct entry *entry = *at;
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
    for (uint64_t ahead = draw() % AHEAD_MAX; ahead > 0 && first; ahead--)
        run_entry(draw_entry());
}

static struct entry *append(CUstream stream)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return NULL;
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
    if (entry) {
        entry->has_operation = true;
        entry->operation = *operation;
        if (operation->hold)
            result = operation->hold(&entry->operation);
        if (operation->is_copy && !is_on_device(operation->copy.source)) {
            entry->staged = malloc(operation->copy.bytes ? operation->copy.bytes : 1);
            if (entry->staged)
                entry->operation.copy.source = memcpy(entry->staged, operation->copy.source, operation->copy.bytes);
        }
        entry->has_operation = result == CUDA_SUCCESS;
    }
    run_ahead();
    pthread_mutex_unlock(&lock);
    return entry ? result : CUDA_ERROR_OUT_OF_MEMORY;
}

static unsigned long long mark(CUstream stream, unsigned long long after)
{
    unsigned long long number = 0;
    if (!softgpu_order_is_random())
        return 0;
    pthread_mutex_lock(&lock);
    struct entry *entry = append(stream);
    if (entry) {
        entry->after = after;
        number = entry->number;
    }
    pthread_mutex_unlock(&lock);
    return number;
}

unsigned long long softgpu_order_record(CUstream stream)
{
    return mark(stream, 0);
}

void softgpu_order_wait_for(CUstream stream, unsigned long long record)
{
    mark(stream, record);
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
