/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See registry.h. Open addressing with linear probing over a table that stays far from full: one PyTorch registers
 * 24 to 184 host functions that we know, and each adds at most one kernel handle. A slot's target is written before
 * its address is published; a forgotten slot keeps a mark, so that probing goes on past it, while one behind it is
 * taken. Owners may die unseen (a module with its context), so where there is no room the oldest owner makes some.
 */
#include "core/registry.h"

#include "base/shield.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { SLOTS = 1 << FUSELN_SLOT_BITS, SLOTS_USED_MAX = SLOTS / 2 };
enum { TARGETS_MAX = 4096, SYMBOL_BYTES = 1 << 20, OWNERS_MAX = 1024 };

#define FORGOTTEN ((const void *)1)

struct fuseln_slot fuseln_slots[SLOTS];
static size_t slots_used; /* forgotten ones too: they lengthen probes like others */
static struct fuseln_target targets[TARGETS_MAX];
static atomic_size_t target_count;
static char symbols[SYMBOL_BYTES];
static size_t symbol_bytes;
/* The few fat binaries, modules and libraries that hold a kernel we know: unregistering each of the others (476 fat
 * binaries in PyTorch) costs nothing. */
static const void *_Atomic owners[OWNERS_MAX];
static atomic_size_t owner_count; /* places ever taken */
static size_t oldest;             /* the next that makes room */
static atomic_uint left_out;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static struct fuseln_slot *find_slot(const void *address)
{
    for (size_t i = fuseln_registry_first_slot(address);; i = (i + 1) % SLOTS) {
        const void *here = atomic_load_explicit(&fuseln_slots[i].address, memory_order_acquire);
        if (here == address)
            return &fuseln_slots[i];
        if (here == NULL)
            return NULL;
    }
}

const struct fuseln_target *fuseln_registry_probe(const void *address)
{
    struct fuseln_slot *slot = find_slot(address);
    return slot ? fuseln_slot_target(slot, address) : NULL;
}

/* Under the lock. */
static int put(const void *address, const void *fatbin, const struct fuseln_target *target)
{
    struct fuseln_slot *slot = find_slot(address);

    if (!slot) {
        size_t i = fuseln_registry_first_slot(address);
        for (;; i = (i + 1) % SLOTS) {
            const void *here = atomic_load_explicit(&fuseln_slots[i].address, memory_order_relaxed);
            if (here == FORGOTTEN)
                break;
            if (here == NULL) {
                if (slots_used == SLOTS_USED_MAX)
                    return -ENOMEM;
                slots_used++;
                break;
            }
        }
        slot = &fuseln_slots[i];
    }
    atomic_store_explicit(&slot->target, target, memory_order_release); /* who sees it sees who was here before gone */
    atomic_store_explicit(&slot->fatbin, fatbin, memory_order_relaxed);
    atomic_store_explicit(&slot->address, address, memory_order_release);
    return 0;
}

/* Under the lock: the lasting copy of a target, the same one for the same kernel of the same library. */
static const struct fuseln_target *keep(const struct fuseln_target *target)
{
    size_t count = atomic_load_explicit(&target_count, memory_order_relaxed);
    size_t bytes = strlen(target->symbol) + 1;

    for (size_t i = 0; i < count; i++)
        if (targets[i].library == target->library && strcmp(targets[i].symbol, target->symbol) == 0)
            return &targets[i];
    if (count == TARGETS_MAX || bytes > SYMBOL_BYTES - symbol_bytes)
        return NULL;
    targets[count] = *target;
    targets[count].symbol = memcpy(symbols + symbol_bytes, target->symbol, bytes);
    symbol_bytes += bytes;
    atomic_store_explicit(&target_count, count + 1, memory_order_release);
    return &targets[count];
}

/* Under the lock. The marks at the end of a run of slots are not needed: nobody probes past them to anything. */
static void drop(size_t i)
{
    atomic_store_explicit(&fuseln_slots[i].target, NULL, memory_order_relaxed);
    atomic_store_explicit(&fuseln_slots[i].fatbin, NULL, memory_order_relaxed);
    atomic_store_explicit(&fuseln_slots[i].address, FORGOTTEN, memory_order_release);
    if (atomic_load_explicit(&fuseln_slots[(i + 1) % SLOTS].address, memory_order_relaxed))
        return;
    for (; atomic_load_explicit(&fuseln_slots[i].address, memory_order_relaxed) == FORGOTTEN;
         i = (i + SLOTS - 1) % SLOTS) {
        atomic_store_explicit(&fuseln_slots[i].address, NULL, memory_order_release);
        slots_used--;
    }
}

static size_t find_owner(const void *owner)
{
    const size_t count = atomic_load_explicit(&owner_count, memory_order_acquire);
    size_t i = 0;

    while (i < count && atomic_load_explicit(&owners[i], memory_order_relaxed) != owner)
        i++;
    return i < count ? i : OWNERS_MAX;
}

/* Under the lock. */
static void forget(size_t i)
{
    const void *owner = atomic_load_explicit(&owners[i], memory_order_relaxed);

    for (size_t slot = 0; slot < SLOTS; slot++)
        if (owner && atomic_load_explicit(&fuseln_slots[slot].fatbin, memory_order_relaxed) == owner)
            drop(slot);
    atomic_store_explicit(&owners[i], NULL, memory_order_relaxed);
}

static void forget_oldest(void)
{
    forget(oldest);
    oldest = (oldest + 1) % OWNERS_MAX;
    atomic_fetch_add(&left_out, 1);
}

/* Under the lock. A place that is free, or made so. */
static void keep_owner(const void *owner)
{
    if (find_owner(owner) < OWNERS_MAX)
        return;
    size_t i = find_owner(NULL), count = atomic_load_explicit(&owner_count, memory_order_relaxed);
    if (i == OWNERS_MAX && count < OWNERS_MAX) {
        i = count;
        atomic_store_explicit(&owner_count, count + 1, memory_order_release);
    } else if (i == OWNERS_MAX) {
        i = oldest;
        forget_oldest();
    }
    atomic_store_explicit(&owners[i], owner, memory_order_relaxed);
}

/* Under the lock. */
static int put_somehow(const void *address, const void *owner, const struct fuseln_target *target)
{
    int rc = put(address, owner, target);
    for (size_t tries = atomic_load(&owner_count); rc == -ENOMEM && tries > 0; tries--) {
        if (atomic_load_explicit(&owners[oldest], memory_order_relaxed) == owner) {
            oldest = (oldest + 1) % OWNERS_MAX;
            continue;
        }
        forget_oldest();
        rc = put(address, owner, target);
    }
    return rc;
}

int fuseln_registry_add(const void *host_function, const void *fatbin, const struct fuseln_target *target)
{
    struct fuseln_shield before;
    int rc = -ENOMEM;

    fuseln_shield_lock(&before, &mutex);
    const struct fuseln_target *kept = keep(target);
    if (kept) {
        keep_owner(fatbin);
        rc = put_somehow(host_function, fatbin, kept);
    }
    fuseln_shield_unlock(&before, &mutex);
    if (rc)
        fuseln_registry_leave_out();
    return rc;
}

void fuseln_registry_alias(const void *handle, const void *host_function)
{
    const struct fuseln_target *target = fuseln_registry_find(host_function);
    struct fuseln_shield before;

    if (!handle || !target || fuseln_registry_find(handle) == target)
        return;
    fuseln_shield_lock(&before, &mutex);
    const struct fuseln_slot *slot = find_slot(host_function); /* unless it was forgotten meanwhile */
    const int rc = slot ? put_somehow(handle, atomic_load(&slot->fatbin), atomic_load(&slot->target)) : 0;
    fuseln_shield_unlock(&before, &mutex);
    if (rc)
        fuseln_registry_leave_out();
}

void fuseln_registry_learn(const void *handle, const void *owner, const struct fuseln_target *target)
{
    const struct fuseln_target *known = fuseln_registry_find(handle);
    struct fuseln_shield before;

    if (target && !(known && strcmp(known->symbol, target->symbol) == 0))
        fuseln_registry_add(handle, owner, target);
    if (target || !known)
        return;
    fuseln_shield_lock(&before, &mutex);
    struct fuseln_slot *slot = find_slot(handle);
    if (slot)
        drop((size_t)(slot - fuseln_slots));
    fuseln_shield_unlock(&before, &mutex);
}

bool fuseln_registry_forget(const void *fatbin)
{
    struct fuseln_shield before;

    if (!fatbin || find_owner(fatbin) == OWNERS_MAX)
        return false;
    fuseln_shield_lock(&before, &mutex);
    const size_t i = find_owner(fatbin);
    if (i < OWNERS_MAX)
        forget(i);
    fuseln_shield_unlock(&before, &mutex);
    return true;
}

void fuseln_registry_leave_out(void)
{
    atomic_fetch_add(&left_out, 1);
}

unsigned fuseln_registry_left_out(void)
{
    return atomic_load(&left_out);
}

size_t fuseln_registry_targets(void)
{
    return atomic_load_explicit(&target_count, memory_order_acquire);
}

void fuseln_registry_after_fork(void)
{
    mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}
