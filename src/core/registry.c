/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See registry.h. The hash table stays far from full: one PyTorch registers 24 to 184 host functions that we know, and
 * each adds at most one kernel handle. A slot's target is written before its address is published. A removed slot
 * becomes a tombstone, so that probing goes on past it, and can be taken again. Owners may vanish unseen (a module with
 * its context), so when a table is full the oldest owner is evicted.
 */
#include "core/registry.h"

#include "base/shield.h"

#include <errno.h>
#include <string.h>

enum { SLOTS = 1 << FUSELN_SLOT_BITS, SLOTS_TAKEN_MAX = SLOTS / 2 };
enum { TARGETS_MAX = 4096, SYMBOL_BYTES = 1 << 20, OWNERS_MAX = 1024 };

#define TOMBSTONE ((const void *)1)
#define GONE      ((const void *)1) /* the owner of a target whose module was unloaded */

pthread_mutex_t fuseln_core_mutex = PTHREAD_MUTEX_INITIALIZER;
struct fuseln_slot fuseln_slots[SLOTS];
_Static_assert(sizeof(struct fuseln_slot) == 32, "a launch finds its slot by a shift");
static size_t slots_taken; /* tombstones too: they lengthen probes like others */
static struct fuseln_target targets[TARGETS_MAX];
static atomic_size_t target_count;
static char symbols[SYMBOL_BYTES];
static size_t symbol_bytes;
/* The few owners that hold a kernel we know. Unregistering any other (476 fat binaries in PyTorch) searches no slots.
 */
static const void *owners[OWNERS_MAX];
static size_t oldest; /* the owner to evict next */
static atomic_uint left_out;
static atomic_bool used; /* something was ever put into the table */

static struct fuseln_slot *find_slot(const void *address)
{
    for (size_t i = fuseln_registry_first_slot(address);; i = (i + 1) % SLOTS) {
        const void *found = atomic_load_explicit(&fuseln_slots[i].address, memory_order_acquire);
        if (found == address)
            return &fuseln_slots[i];
        if (found == NULL)
            return NULL;
    }
}

const struct fuseln_target *fuseln_registry_probe(const void *address)
{
    const struct fuseln_slot *slot = find_slot(address);
    return slot ? fuseln_slot_target(slot, address) : NULL;
}

/* All functions from here to the interface are called with the mutex held. */
static struct fuseln_slot *take_slot(const void *address)
{
    for (size_t i = fuseln_registry_first_slot(address);; i = (i + 1) % SLOTS) {
        const void *found = atomic_load_explicit(&fuseln_slots[i].address, memory_order_relaxed);
        if (found && found != TOMBSTONE)
            continue;
        if (!found && slots_taken == SLOTS_TAKEN_MAX)
            return NULL;
        slots_taken += !found;
        return &fuseln_slots[i];
    }
}

/* The address stands for one of these two; the other is NULL. */
static int insert(const void *address, const void *owner, const struct fuseln_target *target,
                  struct fuseln_foreign *foreign)
{
    struct fuseln_slot *slot = find_slot(address);
    if (!slot)
        slot = take_slot(address);
    if (!slot)
        return -ENOMEM;
    /* Release: a launch that sees one of these also sees that the address before it was removed. */
    atomic_store_explicit(&slot->target, target, memory_order_release);
    atomic_store_explicit(&slot->foreign, foreign, memory_order_release);
    slot->owner = owner;
    atomic_store(&used, true);
    atomic_store_explicit(&slot->address, address, memory_order_release);
    return 0;
}

/* Tombstones at the end of a run of slots become free: nothing lies behind them. */
static void remove_slot(struct fuseln_slot *slot)
{
    size_t i = (size_t)(slot - fuseln_slots);
    atomic_store_explicit(&slot->target, NULL, memory_order_relaxed);
    atomic_store_explicit(&slot->foreign, NULL, memory_order_relaxed);
    slot->owner = NULL;
    atomic_store_explicit(&slot->address, TOMBSTONE, memory_order_release);
    if (atomic_load_explicit(&fuseln_slots[(i + 1) % SLOTS].address, memory_order_relaxed))
        return;
    for (; atomic_load_explicit(&fuseln_slots[i].address, memory_order_relaxed) == TOMBSTONE;
         i = (i + SLOTS - 1) % SLOTS) {
        atomic_store_explicit(&fuseln_slots[i].address, NULL, memory_order_release);
        slots_taken--;
    }
}

/* Our copy of a target, the same one for the same kernel of the same library; NULL if there is no room. What a user's
 * row calls by one name may be another kernel in another module: each is checked on its own. */
static const struct fuseln_target *copy_target(const struct fuseln_target *target)
{
    const size_t count = atomic_load(&target_count), bytes = strlen(target->symbol) + 1;
    for (size_t i = 0; i < count; i++)
        if (targets[i].library == target->library && targets[i].owner == target->owner &&
            strcmp(targets[i].symbol, target->symbol) == 0)
            return &targets[i];
    /* Half of the table is not for users' rows, as each module that is loaded makes new targets of them. */
    const size_t share = target->user ? 2 : 1;
    if (count >= TARGETS_MAX / share || bytes > SYMBOL_BYTES / share || symbol_bytes > SYMBOL_BYTES / share - bytes)
        return NULL;
    targets[count] = *target;
    atomic_store(&targets[count].unproven, target->host_function != NULL);
    targets[count].symbol = memcpy(symbols + symbol_bytes, target->symbol, bytes);
    symbol_bytes += bytes;
    atomic_store(&target_count, count + 1);
    return &targets[count];
}

static size_t find_owner(const void *owner)
{
    size_t i = 0;
    while (i < OWNERS_MAX && owners[i] != owner)
        i++;
    return i;
}

static void remove_owner(size_t i)
{
    for (size_t slot = 0; slot < SLOTS; slot++)
        if (owners[i] && fuseln_slots[slot].owner == owners[i])
            remove_slot(&fuseln_slots[slot]);
    for (size_t t = 0; owners[i] && t < atomic_load(&target_count); t++)
        if (targets[t].owner == owners[i]) /* the address may be another module's soon */
            targets[t].owner = GONE;
    owners[i] = NULL;
}

static void evict_oldest(void)
{
    atomic_fetch_add(&left_out, owners[oldest] != NULL);
    remove_owner(oldest);
    oldest = (oldest + 1) % OWNERS_MAX;
}

static void add_owner(const void *owner)
{
    if (find_owner(owner) < OWNERS_MAX)
        return;
    size_t i = find_owner(NULL);
    if (i == OWNERS_MAX) {
        i = oldest;
        evict_oldest();
    }
    owners[i] = owner;
}

static int insert_or_evict(const void *address, const void *owner, const struct fuseln_target *target,
                           struct fuseln_foreign *foreign)
{
    int rc = insert(address, owner, target, foreign);
    for (int tries = 0; rc == -ENOMEM && tries < OWNERS_MAX; tries++) {
        if (owners[oldest] == owner) {
            oldest = (oldest + 1) % OWNERS_MAX;
            continue;
        }
        evict_oldest();
        rc = insert(address, owner, target, foreign);
    }
    return rc;
}

int fuseln_registry_add(const void *host_function, const void *owner, const struct fuseln_target *target)
{
    struct fuseln_shield before;
    int rc = -ENOMEM;
    fuseln_shield_lock(&before, &fuseln_core_mutex);
    const struct fuseln_target *copy = copy_target(target);
    if (copy) {
        add_owner(owner);
        rc = insert_or_evict(host_function, owner, copy, NULL);
    }
    fuseln_shield_unlock(&before, &fuseln_core_mutex);
    if (rc)
        fuseln_registry_leave_out();
    return rc;
}

/* Half of both tables is for kernels that we know. Called with the mutex held. */
static bool has_room_for_norms(void)
{
    return find_owner(NULL) < OWNERS_MAX / 2 && slots_taken < SLOTS_TAKEN_MAX / 2;
}

void fuseln_registry_learn_norm(const void *handle, const void *owner, const char *name, const char *maker)
{
    struct fuseln_shield before;
    fuseln_shield_lock(&before, &fuseln_core_mutex);
    if (has_room_for_norms()) {
        add_owner(owner);
        insert(handle, owner, NULL, fuseln_foreign_get(name, maker));
    }
    fuseln_shield_unlock(&before, &fuseln_core_mutex);
}

struct fuseln_foreign *fuseln_registry_foreign(const void *handle)
{
    const struct fuseln_slot *slot = find_slot(handle);
    struct fuseln_foreign *foreign = slot ? atomic_load_explicit(&slot->foreign, memory_order_acquire) : NULL;
    /* As fuseln_slot_target. */
    return foreign && atomic_load_explicit(&slot->address, memory_order_relaxed) == handle ? foreign : NULL;
}

void fuseln_registry_prove(const struct fuseln_target *target)
{
    atomic_store(&targets[target - targets].unproven, false);
}

void fuseln_registry_alias(const void *handle, const void *host_function)
{
    const struct fuseln_target *known = fuseln_registry_find(host_function);
    struct fuseln_shield before;
    if (!handle || (known && fuseln_registry_find(handle) == known) || !find_slot(host_function))
        return;
    fuseln_shield_lock(&before, &fuseln_core_mutex);
    const struct fuseln_slot *slot = find_slot(host_function); /* NULL if it was removed in between */
    const struct fuseln_target *target = slot ? atomic_load(&slot->target) : NULL;
    struct fuseln_foreign *foreign = slot ? atomic_load(&slot->foreign) : NULL;
    const bool fits = target || (foreign && has_room_for_norms());
    struct fuseln_slot *const stale = fits ? NULL : find_slot(handle); /* from before the driver reused the handle */
    const int rc = fits ? insert_or_evict(handle, slot->owner, target, foreign) : 0;
    if (stale)
        remove_slot(stale);
    fuseln_shield_unlock(&before, &fuseln_core_mutex);
    if (rc)
        fuseln_registry_leave_out();
}

void fuseln_registry_learn(const void *handle, const void *owner, const struct fuseln_target *target)
{
    const struct fuseln_target *known = fuseln_registry_find(handle);
    struct fuseln_shield before;
    if (target && !target->user && known && strcmp(known->symbol, target->symbol) == 0)
        return;
    if ((target && fuseln_registry_add(handle, owner, target) == 0) || !find_slot(handle))
        return;
    fuseln_shield_lock(&before, &fuseln_core_mutex);
    struct fuseln_slot *slot = find_slot(handle);
    if (slot)
        remove_slot(slot);
    fuseln_shield_unlock(&before, &fuseln_core_mutex);
}

bool fuseln_registry_forget(const void *owner)
{
    struct fuseln_shield before;
    if (!owner || !atomic_load(&used)) /* a process without layer norms takes no lock */
        return false;
    fuseln_shield_lock(&before, &fuseln_core_mutex);
    const size_t i = find_owner(owner);
    if (i < OWNERS_MAX)
        remove_owner(i);
    fuseln_shield_unlock(&before, &fuseln_core_mutex);
    return i < OWNERS_MAX;
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
    return atomic_load(&target_count);
}

void fuseln_registry_after_fork(void)
{
    fuseln_core_mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}
