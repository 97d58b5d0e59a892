/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which host function or kernel handle is which foreign kernel: hash table from address to target, static storage.
 * Written under a mutex at registration, read lock-free (release/acquire) at each launch. Valid when zeroed: hooks
 * run before any constructor. Owned here: libraries and targets; both live, at fixed addresses, until the process
 * ends, also when their library is unloaded (reports name them); the same kernel registered again reuses its target.
 */
#ifndef FUSELN_REGISTRY_H
#define FUSELN_REGISTRY_H

#include <stdatomic.h>

#include "base/target.h"

enum { FUSELN_SLOT_BITS = 14 };
struct fuseln_slot {
    const void *_Atomic address;
    const struct fuseln_target *_Atomic target;
    const void *_Atomic fatbin;
};
extern struct fuseln_slot fuseln_slots[1 << FUSELN_SLOT_BITS]; /* open addressing, linear probing */
const struct fuseln_target *fuseln_registry_probe(const void *address);

static inline size_t fuseln_registry_first_slot(const void *address)
{
    return (size_t)((uint64_t)(uintptr_t)address * 0x9e3779b97f4a7c15u >> (64 - FUSELN_SLOT_BITS));
}

/* The target of a slot that held this address; NULL where it was given to another one meanwhile. */
static inline const struct fuseln_target *fuseln_slot_target(const struct fuseln_slot *slot, const void *address)
{
    const struct fuseln_target *target = atomic_load_explicit(&slot->target, memory_order_acquire);
    return atomic_load_explicit(&slot->address, memory_order_relaxed) == address ? target : NULL;
}

/* May this address be in the table? False for nearly all that are not. */
static inline bool fuseln_registry_may_hold(const void *address)
{
    return atomic_load_explicit(&fuseln_slots[fuseln_registry_first_slot(address)].address, memory_order_acquire);
}

/* The target that a host function or kernel handle stands for, or NULL. Lock-free; every launch of the program comes
 * by here, so it mostly ends at the first slot, inline. */
static inline const struct fuseln_target *fuseln_registry_find(const void *address)
{
    const struct fuseln_slot *slot = &fuseln_slots[fuseln_registry_first_slot(address)];
    const void *here = atomic_load_explicit(&slot->address, memory_order_acquire);
    if (__builtin_expect(!here, 1))
        return NULL;
    return here == address ? fuseln_slot_target(slot, address) : fuseln_registry_probe(address);
}

/*
 * Add a host function of a fat binary (handle from __cudaRegisterFatBinary). The target is copied, its symbol too.
 * Room for more than 8,192 addresses or 1,024 owners is made by forgetting the oldest owner, which may be gone. 0, or
 * -ENOMEM when the table of targets is full (the kernel then passes as a foreign one).
 */
int fuseln_registry_add(const void *host_function, const void *fatbin, const struct fuseln_target *target);
/* A kernel handle (cudaKernel_t, CUfunction) is another address of what host_function is; nothing if that one is
 * unknown. */
void fuseln_registry_alias(const void *handle, const void *host_function);
/*
 * What a handle of the driver (CUfunction, CUkernel) is from now on: this target, held by owner (a CUmodule or
 * CUlibrary); NULL, no kernel that we know: handles are reused. A handle that is known as the same kernel keeps the
 * library and the owner that it was known with. As fuseln_registry_add where the table is full.
 */
void fuseln_registry_learn(const void *handle, const void *owner, const struct fuseln_target *target);
/* This fat binary, CUmodule or CUlibrary is being unregistered or unloaded: forget its addresses. False if nothing of
 * it was known. */
bool fuseln_registry_forget(const void *fatbin);
/* How often a kernel that we know, or a whole owner, was left out because a table is full; and one more. */
unsigned fuseln_registry_left_out(void);
void fuseln_registry_leave_out(void);
size_t fuseln_registry_targets(void);  /* how many targets were ever registered */
void fuseln_registry_after_fork(void); /* in the child: the lock is free again */

#endif
