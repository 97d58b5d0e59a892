/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which host function or kernel handle stands for which target: a hash table from addresses to targets. Written under a
 * mutex at registration, read without a lock at each launch. Valid when zeroed, because hooks run before any
 * constructor. Static storage: a target stays at its address until the process ends, even after its library was
 * unloaded, because reports name it; a kernel that is registered again gets its old target.
 *
 * An owner is what holds a kernel and takes it along when it goes: a fat binary (the handle that
 * __cudaRegisterFatBinary returned), a CUmodule or a CUlibrary.
 */
#ifndef FUSELN_REGISTRY_H
#define FUSELN_REGISTRY_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/target.h"
#include "core/foreign.h"

enum { FUSELN_SLOT_BITS = 14 };
struct fuseln_slot {
    const void *_Atomic address;
    const struct fuseln_target *_Atomic target; /* NULL: a foreign norm */
    struct fuseln_foreign *_Atomic foreign;     /* or NULL */
    const void *owner;                          /* for those that hold the mutex */
};
extern struct fuseln_slot fuseln_slots[1 << FUSELN_SLOT_BITS]; /* open addressing, linear probing */
/* Apart, so that a launch that ends at the first slot needs no more instructions. */
__attribute__((noinline)) const struct fuseln_target *fuseln_registry_probe(const void *address);

static inline size_t fuseln_registry_first_slot(const void *address)
{
    return (size_t)((uint64_t)(uintptr_t)address * 0x9e3779b97f4a7c15u >> (64 - FUSELN_SLOT_BITS));
}

/* The target of a slot that held this address; NULL if the slot has been reused for another. */
static inline const struct fuseln_target *fuseln_slot_target(const struct fuseln_slot *slot, const void *address)
{
    const struct fuseln_target *target = atomic_load_explicit(&slot->target, memory_order_acquire);
    return atomic_load_explicit(&slot->address, memory_order_relaxed) == address ? target : NULL;
}

/* Can this address be in the table? False for nearly all addresses that are not. */
static inline bool fuseln_registry_may_hold(const void *address)
{
    return atomic_load_explicit(&fuseln_slots[fuseln_registry_first_slot(address)].address, memory_order_acquire);
}

/* The target that a host function or kernel handle stands for, or NULL. Lock-free. Inline, because every launch of the
 * program looks here and most end at the first slot. */
static inline const struct fuseln_target *fuseln_registry_find(const void *address)
{
    const struct fuseln_slot *slot = &fuseln_slots[fuseln_registry_first_slot(address)];
    const void *found = atomic_load_explicit(&slot->address, memory_order_acquire);
    if (__builtin_expect(!found, 1))
        return NULL;
    return found == address ? fuseln_slot_target(slot, address) : fuseln_registry_probe(address);
}

/*
 * Adds a host function. The target is copied, with its symbol. One that has a host_function is unproven. If there are
 * already 8,192 addresses or 1,024 owners, the oldest owner, which may be long gone, is evicted. 0, or -ENOMEM if the
 * table of targets is full: the kernel is then treated as a foreign one.
 */
int fuseln_registry_add(const void *host_function, const void *owner, const struct fuseln_target *target);
/* Makes a kernel handle (cudaKernel_t, CUfunction) another address of host_function, which may be a handle, too.
 * Ignored if that is unknown. */
void fuseln_registry_alias(const void *handle, const void *host_function);
/* May arguments of its launches be read? */
static inline bool fuseln_target_is_proven(const struct fuseln_target *target)
{
    return !atomic_load_explicit(&target->unproven, memory_order_relaxed);
}
/* From now on they may, whatever its address. */
void fuseln_registry_prove(const struct fuseln_target *target);
/*
 * Says what a driver handle (CUfunction, CUkernel), which the driver may have reused, stands for from now on: this
 * target, held by owner; or, with target NULL, no kernel that we know. A handle that already stands for the same kernel
 * keeps the library and the owner it had, unless a user's row says what it is. Full tables: as in fuseln_registry_add;
 * the handle then stands for nothing.
 */
void fuseln_registry_learn(const void *handle, const void *owner, const struct fuseln_target *target);
/* Says that a handle which stands for no target is a foreign norm. It evicts nobody: ignored where either table is half
 * full. */
void fuseln_registry_learn_norm(const void *handle, const void *owner, const char *name, const char *maker);
/* The foreign norm that a handle stands for, or NULL. Lock-free. */
struct fuseln_foreign *fuseln_registry_foreign(const void *handle);
/* Removes all addresses of an owner that is being unregistered or unloaded. False if there were none. */
bool fuseln_registry_forget(const void *owner);
/* How many kernels that we know, or whole owners, were left out because a table was full; and counts one more. */
unsigned fuseln_registry_left_out(void);
void fuseln_registry_leave_out(void);
size_t fuseln_registry_targets(void); /* how many targets were ever registered */
void fuseln_registry_after_fork(void);

/* Guards the writes to the tables of registry.c, library.c and record.c, and the results of checks. Held under a
 * shield, and never across a call to the loader, CUDA or anything foreign. */
extern pthread_mutex_t fuseln_core_mutex;

#endif
