/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See device_memory.h. A list of blocks under one lock; each block is [guard][bytes, rounded up][guard]. The rounding
 * belongs to the guard, so that the first byte behind the allocation is guarded. Adopted memory has no guards.
 */
#include "device_memory.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counters.h"
#include "driver_objects.h"

enum { GUARD_BYTES = 1024, ALIGNMENT = 512 };

struct block {
    struct block *next;
    unsigned char *base; /* the program's address */
    size_t bytes;
    bool adopted;
    bool damaged; /* reported once */
};

static pthread_mutex_t block_lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *blocks;
static size_t used_bytes;

static size_t tail_bytes(size_t bytes)
{
    return GUARD_BYTES + (ALIGNMENT - bytes % ALIGNMENT) % ALIGNMENT;
}

static size_t total_bytes(void)
{
    const char *text = getenv("SOFTGPU_MEMORY");
    return text ? strtoull(text, NULL, 0) : (size_t)16 << 30;
}

/* The first changed byte of a guard, relative to start; -1 if none changed. */
static long guard_damage(const unsigned char *start, size_t bytes)
{
    for (size_t i = 0; i < bytes; ++i)
        if (start[i] != 0xff)
            return (long)i;
    return -1;
}

static void block_check(struct block *block, const char *after)
{
    if (block->adopted || block->damaged)
        return;
    long before = guard_damage(block->base - GUARD_BYTES, GUARD_BYTES);
    long behind = guard_damage(block->base + block->bytes, tail_bytes(block->bytes));
    if (before < 0 && behind < 0)
        return;
    block->damaged = true;
    if (before >= 0)
        softgpu_error("guard zone damaged: byte %ld before an allocation of %zu bytes at %p, seen %s",
                      GUARD_BYTES - before, block->bytes, (void *)block->base, after);
    if (behind >= 0)
        softgpu_error("guard zone damaged: byte %ld behind an allocation of %zu bytes at %p, seen %s", behind,
                      block->bytes, (void *)block->base, after);
}

/* Operators that run on the CPU (cpu_ops/) write memory unseen, so under them no memory counts as unset. */
static void counters_add(const void *base, size_t bytes)
{
    const char *cpu_ops = getenv("SOFTGPU_CPU_OPS");
    char name[64];
    snprintf(name, sizeof name, "an allocation of %zu bytes", bytes);
    softgpu_counters_add(name, base, bytes);
    if (cpu_ops && *cpu_ops)
        softgpu_counters_fill(base, bytes);
}

/* Puts a block on the list; returns its base. */
static unsigned char *block_add(unsigned char *base, size_t bytes, bool adopted)
{
    struct block *block = softgpu_realloc(NULL, sizeof *block);
    *block = (struct block){.next = blocks, .base = base, .bytes = bytes, .adopted = adopted};
    blocks = block;
    counters_add(base, bytes);
    return base;
}

void *softgpu_memory_allocate(size_t bytes)
{
    size_t all = GUARD_BYTES + bytes + tail_bytes(bytes);
    void *memory = NULL;
    if (all < bytes || !softgpu_memory_reserve(bytes))
        return NULL;
    if (posix_memalign(&memory, ALIGNMENT, all) != 0) {
        softgpu_memory_unreserve(bytes);
        return NULL;
    }
    memset(memory, 0xff, all);
    pthread_mutex_lock(&block_lock);
    unsigned char *base = block_add((unsigned char *)memory + GUARD_BYTES, bytes, false);
    pthread_mutex_unlock(&block_lock);
    return base;
}

/* Takes the block that begins here off the list; NULL if there is none. */
static struct block *block_take(const void *base, bool adopted)
{
    struct block **link = &blocks;
    while (*link && !((*link)->base == base && (*link)->adopted == adopted))
        link = &(*link)->next;
    struct block *block = *link;
    if (block) {
        *link = block->next;
        softgpu_counters_remove(base);
    }
    return block;
}

bool softgpu_memory_free(void *address)
{
    pthread_mutex_lock(&block_lock);
    struct block *block = block_take(address, false);
    if (block) {
        block_check(block, "when it was freed");
        used_bytes -= block->bytes;
        memset(block->base, 0xff, block->bytes);
        free(block->base - GUARD_BYTES);
    }
    pthread_mutex_unlock(&block_lock);
    free(block);
    return block != NULL;
}

bool softgpu_memory_reserve(size_t bytes)
{
    pthread_mutex_lock(&block_lock);
    const bool fits = bytes <= total_bytes() - used_bytes;
    used_bytes += fits ? bytes : 0;
    pthread_mutex_unlock(&block_lock);
    return fits;
}

void softgpu_memory_unreserve(size_t bytes)
{
    pthread_mutex_lock(&block_lock);
    used_bytes -= bytes;
    pthread_mutex_unlock(&block_lock);
}

void softgpu_memory_adopt(void *base, size_t bytes)
{
    pthread_mutex_lock(&block_lock);
    block_add(base, bytes, true);
    softgpu_counters_fill(base, bytes);
    pthread_mutex_unlock(&block_lock);
}

void softgpu_memory_disown(void *base)
{
    pthread_mutex_lock(&block_lock);
    free(block_take(base, true));
    pthread_mutex_unlock(&block_lock);
}

bool softgpu_memory_find(const void *address, void **ret_base, size_t *ret_bytes)
{
    const unsigned char *byte = address;
    pthread_mutex_lock(&block_lock);
    struct block *block = blocks;
    while (block && !(byte >= block->base && byte < block->base + block->bytes))
        block = block->next;
    if (block) {
        *ret_base = block->base;
        *ret_bytes = block->bytes;
    }
    pthread_mutex_unlock(&block_lock);
    return block != NULL;
}

void softgpu_memory_check(const char *after)
{
    pthread_mutex_lock(&block_lock);
    for (struct block *block = blocks; block; block = block->next)
        block_check(block, after);
    pthread_mutex_unlock(&block_lock);
}

void softgpu_memory_totals(size_t *ret_free_bytes, size_t *ret_total_bytes)
{
    pthread_mutex_lock(&block_lock);
    *ret_total_bytes = total_bytes();
    *ret_free_bytes = *ret_total_bytes - used_bytes;
    pthread_mutex_unlock(&block_lock);
}
