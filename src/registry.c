/*
 * See registry.h. Open addressing with linear probing over a table that stays far from full: one PyTorch registers
 * 24 to 184 host functions that we know, and each adds at most one kernel handle. A slot's target is written before
 * its address is published; a forgotten slot keeps a mark, so that probing goes on past it.
 */
#include "registry.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { SLOTS = 1 << FUSELN_SLOT_BITS, SLOTS_USED_MAX = SLOTS / 2 };
enum { TARGETS_MAX = 1024, SYMBOL_BYTES = 256 * 1024, FATBINS_MAX = 64 };

#define FORGOTTEN ((const void *)1)

struct fuseln_slot fuseln_slots[SLOTS];
static size_t slots_used; /* forgotten ones too: they lengthen probes like others */
static struct fuseln_target targets[TARGETS_MAX];
static atomic_size_t target_count;
static char symbols[SYMBOL_BYTES];
static size_t symbol_bytes;
/* The few fat binaries that hold a kernel we know: unregistering each of the others (476 in PyTorch) costs nothing. */
static const void *_Atomic fatbins[FATBINS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

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
    return slot ? atomic_load_explicit(&slot->target, memory_order_relaxed) : NULL;
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
    atomic_store_explicit(&slot->target, target, memory_order_relaxed);
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

/* Index of a fat binary in fatbins, FATBINS_MAX if it is not there. fatbin NULL finds a free place. */
static size_t find_fatbin(const void *fatbin)
{
    size_t i = 0;

    while (i < FATBINS_MAX && atomic_load_explicit(&fatbins[i], memory_order_relaxed) != fatbin)
        i++;
    return i;
}

/* Under the lock. False when the list is full. */
static bool keep_fatbin(const void *fatbin)
{
    if (find_fatbin(fatbin) < FATBINS_MAX)
        return true;
    size_t i = find_fatbin(NULL);
    if (i == FATBINS_MAX)
        return false;
    atomic_store_explicit(&fatbins[i], fatbin, memory_order_relaxed);
    return true;
}

int fuseln_registry_add(const void *host_function, const void *fatbin, const struct fuseln_target *target)
{
    pthread_mutex_lock(&lock);
    const struct fuseln_target *kept = keep(target);
    int rc = kept && keep_fatbin(fatbin) ? put(host_function, fatbin, kept) : -ENOMEM;
    pthread_mutex_unlock(&lock);
    return rc;
}

void fuseln_registry_alias(const void *handle, const void *host_function)
{
    const struct fuseln_target *target = fuseln_registry_find(host_function);
    struct fuseln_slot *slot = handle && target ? find_slot(host_function) : NULL;

    if (!slot || fuseln_registry_find(handle) == target)
        return;
    pthread_mutex_lock(&lock);
    put(handle, atomic_load(&slot->fatbin), atomic_load(&slot->target));
    pthread_mutex_unlock(&lock);
}

/* Under the lock. */
static void drop(struct fuseln_slot *slot)
{
    atomic_store_explicit(&slot->target, NULL, memory_order_relaxed);
    atomic_store_explicit(&slot->fatbin, NULL, memory_order_relaxed);
    atomic_store_explicit(&slot->address, FORGOTTEN, memory_order_release);
}

void fuseln_registry_learn(const void *handle, const void *owner, const struct fuseln_target *target)
{
    const struct fuseln_target *known = fuseln_registry_find(handle);

    if (target && !(known && strcmp(known->symbol, target->symbol) == 0))
        fuseln_registry_add(handle, owner, target);
    if (target || !known)
        return;
    pthread_mutex_lock(&lock);
    struct fuseln_slot *slot = find_slot(handle);
    if (slot)
        drop(slot);
    pthread_mutex_unlock(&lock);
}

bool fuseln_registry_forget(const void *fatbin)
{
    if (!fatbin || find_fatbin(fatbin) == FATBINS_MAX)
        return false;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < SLOTS; i++) {
        if (atomic_load_explicit(&fuseln_slots[i].fatbin, memory_order_relaxed) == fatbin)
            drop(&fuseln_slots[i]);
    }
    size_t i = find_fatbin(fatbin);
    if (i < FATBINS_MAX)
        atomic_store_explicit(&fatbins[i], NULL, memory_order_relaxed);
    pthread_mutex_unlock(&lock);
    return true;
}

size_t fuseln_registry_targets(void)
{
    return atomic_load_explicit(&target_count, memory_order_acquire);
}

void fuseln_registry_after_fork(void)
{
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}
