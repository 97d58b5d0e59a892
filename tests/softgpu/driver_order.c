/* SPDX-License-Identifier: Apache-2.0 */
/*
 * With SOFTGPU_SEED the device delays work: what a call submits waits in one list, in the order of the calls, and is
 * carried out later, drawn at random among what the rules of streams let go first. An entry comes after every entry
 * before it that is on its stream, that is on the legacy stream while its own stream blocks with it, or the other way
 * round; and one that waits for an event, after that event's record. Nothing else orders work, so a program that
 * forgets an order has wrong numbers under some seed.
 *
 * One lock; entries run in whichever thread waits or submits, with the lock held.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "device_memory.h"
#include "driver_objects.h"

enum { AHEAD_MAX = 4 }; /* of the entries, so many at most are carried out at each submission */

struct entry {
    struct entry *next;
    unsigned long long number, after; /* this entry's; that of an event's record which it waits for, or 0 */
    CUcontext context;
    unsigned long long stream_id;
    bool legacy, blocking, work; /* work: has an operation */
    struct softgpu_operation operation;
    void *staged; /* a copy of what a copy from the host reads */
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

bool softgpu_order_is_drawn(void)
{
    static int drawn = -1; /* the same in every thread */
    if (drawn < 0) {
        const char *seed = getenv("SOFTGPU_SEED");
        random_state = (seed ? strtoull(seed, NULL, 10) + 1 : 1) * 0x9e3779b97f4a7c15u;
        drawn = seed && *seed;
    }
    return drawn;
}

static bool goes_before(const struct entry *a, const struct entry *b)
{
    return a->stream_id == b->stream_id || a->number == b->after ||
           (a->context == b->context && ((a->legacy && b->blocking) || (b->legacy && a->blocking)));
}

/* The chosen one of the entries that nothing before them holds up; NULL where the list is empty. */
static struct entry **choose(void)
{
    struct entry **chosen = NULL;
    uint64_t count = 0;
    for (struct entry **at = &first; *at; at = &(*at)->next) {
        bool ready = true;
        for (struct entry *before = first; before != *at && ready; before = before->next)
            ready = !goes_before(before, *at);
        if (ready && draw() % ++count == 0)
            chosen = at;
    }
    return chosen;
}

static void carry_out(struct entry **at)
{
    struct entry *entry = *at;
    *at = entry->next;
    if (last == &entry->next)
        last = at;
    if (entry->work) {
        const CUresult result = entry->operation.run(&entry->operation);
        if (result != CUDA_SUCCESS)
            entry->context->error = result;
        if (entry->operation.hold)
            free(entry->operation.launch.params);
        free(entry->staged);
    }
    free(entry);
}

/* Until nothing that the stream's next entry would come after is left; NULL: until nothing is. */
static void carry_out_before(CUstream stream)
{
    struct entry next = {.number = ~0ull};
    if (stream)
        next = (struct entry){.number = ~0ull,
                              .context = stream->context,
                              .stream_id = stream->object.id,
                              .legacy = stream == stream->context->legacy,
                              .blocking = !(stream->flags & 1)};
    for (struct entry *held = first; held;) {
        if (stream && !goes_before(held, &next)) {
            held = held->next;
            continue;
        }
        carry_out(choose());
        held = first;
    }
}

void softgpu_order_wait(CUstream stream)
{
    if (!softgpu_order_is_drawn())
        return;
    pthread_mutex_lock(&lock);
    carry_out_before(stream);
    pthread_mutex_unlock(&lock);
}

static struct entry *append(CUstream stream)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return NULL;
    *entry = (struct entry){.number = ++numbers,
                            .context = stream->context,
                            .stream_id = stream->object.id,
                            .legacy = stream == stream->context->legacy,
                            .blocking = !(stream->flags & 1)};
    *last = entry;
    last = &entry->next;
    return entry;
}

/* Which memory a copy reads and writes decides what it may do later. */
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
    const bool to_host = operation->copies && !is_on_device(operation->copy.target);
    if (to_host) { /* pageable memory: it is there when the call returns */
        carry_out_before(stream);
        result = operation->run(operation);
        pthread_mutex_unlock(&lock);
        return result;
    }
    struct entry *entry = append(stream);
    if (entry) {
        entry->work = true;
        entry->operation = *operation;
        if (operation->hold)
            result = operation->hold(&entry->operation);
        if (operation->copies && !is_on_device(operation->copy.source)) {
            entry->staged = malloc(operation->copy.bytes ? operation->copy.bytes : 1);
            if (entry->staged)
                entry->operation.copy.source = memcpy(entry->staged, operation->copy.source, operation->copy.bytes);
        }
        entry->work = result == CUDA_SUCCESS;
    }
    for (uint64_t ahead = draw() % AHEAD_MAX; ahead > 0 && first; ahead--)
        carry_out(choose());
    pthread_mutex_unlock(&lock);
    return entry ? result : CUDA_ERROR_OUT_OF_MEMORY;
}

static unsigned long long mark(CUstream stream, unsigned long long after)
{
    unsigned long long number = 0;
    if (!softgpu_order_is_drawn())
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

static bool is_left(unsigned long long record)
{
    for (const struct entry *entry = first; entry; entry = entry->next)
        if (entry->number == record)
            return true;
    return false;
}

void softgpu_order_reach(unsigned long long record)
{
    if (!softgpu_order_is_drawn())
        return;
    pthread_mutex_lock(&lock);
    while (is_left(record))
        carry_out(choose());
    pthread_mutex_unlock(&lock);
}

bool softgpu_order_has_reached(unsigned long long record)
{
    if (!softgpu_order_is_drawn())
        return true;
    pthread_mutex_lock(&lock);
    for (uint64_t ahead = draw() % AHEAD_MAX; ahead > 0 && first; ahead--)
        carry_out(choose());
    const bool left = is_left(record);
    pthread_mutex_unlock(&lock);
    return !left;
}
