/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See notice.h and notice.S: which function each stub jumps to. The table is valid when zeroed; lock-free.
 */
#include "hooks/notice.h"

#include "core/pairing.h"
#include "hooks/behind.h"
#include "hooks/real.h"

#ifdef __x86_64__

enum {
#define X(suffix, node, version) +1
    NODES = 0 FUSELN_NOTICE_NODES(X),
#undef X
    EXPORTED = NODES * FUSELN_NOTICE_RUNTIME,
    GIVEN = EXPORTED + FUSELN_NOTICE_DRIVER,
    SLOTS = GIVEN + FUSELN_NOTICE_DRIVER,
    STUB_BYTES = 16
};

extern void fuseln_notice_given(void); /* notice.S: the first of them */
extern _Atomic(void *) fuseln_notice_next[SLOTS] __attribute__((visibility("hidden")));
void *fuseln_notice_call(unsigned slot, const void *caller);

/* What each stub jumps to, where one answer holds for all callers; else NULL. */
_Atomic(void *) fuseln_notice_next[SLOTS];

static const enum fuseln_node nodes[] = {
#define X(suffix, node, version) FUSELN_NODE_##suffix,
    FUSELN_NOTICE_NODES(X)
#undef X
};

/* What a stub does whose function is not known yet, or while sums are pending. NULL: the caller's
 * scope holds no such function. */
void *fuseln_notice_call(unsigned slot, const void *caller)
{
    void *function = atomic_load_explicit(&fuseln_notice_next[slot], memory_order_acquire);

    fuseln_pairing_notice();
    if (function)
        return function;
    const bool runtime = slot < EXPORTED;
    const enum fuseln_node node = runtime ? nodes[slot / FUSELN_NOTICE_RUNTIME] : FUSELN_NODE_DRIVER;
    const unsigned index = runtime ? slot % FUSELN_NOTICE_RUNTIME : slot - EXPORTED;
    const enum fuseln_real which =
        (enum fuseln_real)((runtime ? FUSELN_REAL_CUDART_NOTICED : FUSELN_REAL_DRIVER_NOTICED) + index);
    function = fuseln_real(node, which, caller);
    if (atomic_load_explicit(&fuseln_real_next[node][which], memory_order_acquire))
        atomic_store_explicit(&fuseln_notice_next[slot], function, memory_order_release);
    return function || runtime ? function : fuseln_behind_get(FUSELN_DRIVER_HOOKS + index);
}

void *fuseln_notice_stub(size_t index, void *function)
{
    atomic_store_explicit(&fuseln_notice_next[GIVEN + index], function, memory_order_release);
    return (char *)fuseln_notice_given + index * STUB_BYTES;
}

#endif
