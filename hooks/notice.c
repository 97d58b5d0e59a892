/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See notice.h and notice.S: which function each stub jumps to. The table is valid when zeroed; lock-free.
 */
#include "hooks/notice.h"

#include "core/pairing.h"
#include "hooks/behind.h"
#include "hooks/real.h"
#include "kernels/host/device.h"

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
/* What the stub of notice.S saved of its call. */
struct saved {
    uintptr_t argument[6]; /* the first, which are in registers */
    const void *caller;
};
void *fuseln_notice_call(unsigned slot, const struct saved *saved);

/* What each stub jumps to, where one answer holds for all callers; else NULL. Those that shape captures have their own
 * table, which notice.S does not know: each call of theirs comes to fuseln_notice_call. */
_Atomic(void *) fuseln_notice_next[SLOTS];
static _Atomic(void *) shaping_next[SLOTS];

static const enum fuseln_node nodes[] = {
#define X(suffix, node, version) FUSELN_NODE_##suffix,
    FUSELN_NOTICE_NODES(X)
#undef X
};

/* The column of names.h; by_default: of a call on a default stream, which is the current context's; shapes: of
 * captures, so each call of it is told to kernels/host. */
enum shape { PLAIN, ORDERS, ENTERS_GRAPH };
static const struct {
    unsigned char reach, by_default, argument, shape;
} reaches[] = {
#define ALL          {FUSELN_REACH_ALL, FUSELN_REACH_ALL, 0, PLAIN},
#define ORDER        {FUSELN_REACH_ALL, FUSELN_REACH_ALL, 0, ORDERS},
#define INTO_GRAPH   {FUSELN_REACH_ALL, FUSELN_REACH_ALL, 0, ENTERS_GRAPH},
#define DEVICE       {FUSELN_REACH_DEVICE, FUSELN_REACH_DEVICE, 0, PLAIN},
#define THREAD       {FUSELN_REACH_THREAD, FUSELN_REACH_THREAD, 0, PLAIN},
#define STREAM(n)    {FUSELN_REACH_STREAM, FUSELN_REACH_DEVICE, n, PLAIN},
#define COPY(n)      {FUSELN_REACH_STREAM, FUSELN_REACH_ALL, n, PLAIN},
#define X(name, ...) __VA_ARGS__ /* reach, which has become several arguments */
    FUSELN_CUDART_NOTICED(X) FUSELN_DRIVER_NOTICED(X)
#undef X
};

static void forget(size_t name, const struct saved *saved)
{
    enum { PER_THREAD = 2 }; /* 0 to 2 are the default streams */
    const uintptr_t stream = saved->argument[reaches[name].argument];
    const unsigned reach = stream > PER_THREAD ? reaches[name].reach : reaches[name].by_default;
    fuseln_pairing_forget((enum fuseln_reach)reach, (void *)stream);
}

static void note_shape(unsigned shape)
{
    if (shape == ORDERS)
        fuseln_scratch_unordered();
    else if (shape == ENTERS_GRAPH)
        fuseln_scratch_into_graph();
}

static _Atomic(void *) *next_of(size_t slot, size_t name)
{
    return &(reaches[name].shape == PLAIN ? fuseln_notice_next : shaping_next)[slot];
}

/* What a stub does whose function is not known yet or shapes captures, or while sums are pending. NULL: the caller's
 * scope holds no such function. */
void *fuseln_notice_call(unsigned slot, const struct saved *saved)
{
    const bool runtime = slot < EXPORTED;
    const enum fuseln_node node = runtime ? nodes[slot / FUSELN_NOTICE_RUNTIME] : FUSELN_NODE_DRIVER;
    const unsigned index = runtime ? slot % FUSELN_NOTICE_RUNTIME : (slot - EXPORTED) % FUSELN_NOTICE_DRIVER;
    const size_t name = runtime ? index : FUSELN_NOTICE_RUNTIME + index;
    const enum fuseln_real which =
        (enum fuseln_real)((runtime ? FUSELN_REAL_CUDART_NOTICED : FUSELN_REAL_DRIVER_NOTICED) + index);
    _Atomic(void *) *next = next_of(slot, name);
    void *function = atomic_load_explicit(next, memory_order_acquire);

    if (fuseln_pairing_any())
        forget(name, saved);
    note_shape(reaches[name].shape);
    if (function)
        return function;
    function = fuseln_real(node, which, saved->caller);
    if (atomic_load_explicit(&fuseln_real_next[node][which], memory_order_acquire))
        atomic_store_explicit(next, function, memory_order_release);
    return function || runtime ? function : fuseln_behind_get(FUSELN_DRIVER_HOOKS + index);
}

void *fuseln_notice_stub(size_t index, void *function)
{
    atomic_store_explicit(next_of(GIVEN + index, FUSELN_NOTICE_RUNTIME + index), function, memory_order_release);
    return (char *)fuseln_notice_given + index * STUB_BYTES;
}
