/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions behind our exported hooks: for each cudart version node, and for the driver's names, which have no
 * version, the one that the caller would have reached without us. No CUDA library is ever opened, only found again.
 */
#ifndef FUSELN_REAL_H
#define FUSELN_REAL_H

#include "hooks/names.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* What answers every caller of a node, while one does. */
extern _Atomic(void *) fuseln_real_next[FUSELN_NODE_COUNT][FUSELN_REAL_COUNT];
void *fuseln_real_find(enum fuseln_node node, enum fuseln_real which, const void *address);

static inline void *fuseln_real_known(enum fuseln_node node, enum fuseln_real which)
{
    return atomic_load_explicit(&fuseln_real_next[node][which], memory_order_acquire);
}

/*
 * The real function for a caller (an address inside the calling library: __builtin_return_address(0)), or NULL where
 * its scope holds none. Lock-free; a few instructions once known.
 */
static inline void *fuseln_real(enum fuseln_node node, enum fuseln_real which, const void *address)
{
    void *function = fuseln_real_known(node, which);
    return __builtin_expect(function != NULL, 1) ? function : fuseln_real_find(node, which, address);
}

/* Is the library that holds this address a CUDA runtime of a node that we hook (it defines the node)? */
bool fuseln_real_is_runtime(const void *address);
/*
 * A library in front of us looks up one of our names of a runtime without a version, as dlsym(RTLD_NEXT) does, or with
 * caller NULL as dlsym(RTLD_DEFAULT): our function, of the node that the loader's answer belongs to; NULL where that
 * answer lies in front of us, where there is none, or where it is no runtime's that we hook.
 */
void *fuseln_real_hook(const char *name, const void *caller);

/* The library at this address is being unloaded: what was found through it is forgotten. */
void fuseln_real_forget(const void *address);

#endif
