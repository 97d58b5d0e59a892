/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See real.h. RTLD_NEXT answers for every library that binds through the global scope. It does not see a cudart that
 * was loaded RTLD_LOCAL (a Python extension's): then the caller's own dependencies are searched, and the answer holds
 * for that caller's address range alone, since another library may carry another cudart of the same node. From then
 * on this node answers by caller only: a cudart that becomes global later is not what earlier callers had reached.
 * A reference with a version binds to the first definition with that version or with none: other preloads, which
 * nearly always define a name without a version, keep their place behind us. dlvsym does not find those.
 */
#include "hooks/real.h"

#include "base/real_dlsym.h"
#include "core/library.h"
#include "core/pairing.h"
#include "hooks/names.h"
#include "hooks/scope.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CALLERS_MAX = 32 };

struct caller {
    _Atomic uintptr_t begin, end; /* mapped range of the calling library; end 0: free or forgotten */
    atomic_bool local;            /* bound to its own dependencies: no global cudart was there when it was first seen */
    _Atomic(void *) function[FUSELN_REAL_COUNT];
};

_Atomic(void *) fuseln_real_next[FUSELN_NODE_COUNT][FUSELN_REAL_COUNT];
static struct caller callers[FUSELN_NODE_COUNT][CALLERS_MAX];
static atomic_bool by_caller[FUSELN_NODE_COUNT];

static const char *const node_names[] = {
#define X(suffix, node) node,
    FUSELN_CUDART_NODES(X)
#undef X
        [FUSELN_NODE_DRIVER] = NULL,
};

static struct caller *find_caller(enum fuseln_node node, uintptr_t address)
{
    for (size_t i = 0; i < CALLERS_MAX; i++) {
        struct caller *caller = &callers[node][i];
        if (address < atomic_load_explicit(&caller->end, memory_order_acquire) &&
            address >= atomic_load_explicit(&caller->begin, memory_order_relaxed))
            return caller;
    }
    return NULL;
}

/* A place for this caller's answers; NULL when all are taken (then each call looks up again: slow, but right). */
static struct caller *add_caller(enum fuseln_node node, uintptr_t address, bool local)
{
    uintptr_t begin, end;

    if (!fuseln_library_range((const void *)address, &begin, &end))
        return NULL;
    for (size_t i = 0; i < CALLERS_MAX; i++) {
        struct caller *caller = &callers[node][i];
        uintptr_t free_begin = 0;
        if (!atomic_compare_exchange_strong(&caller->begin, &free_begin, begin))
            continue;
        for (size_t k = 0; k < FUSELN_REAL_COUNT; k++)
            atomic_store_explicit(&caller->function[k], NULL, memory_order_relaxed);
        atomic_store_explicit(&caller->local, local, memory_order_relaxed);
        atomic_store_explicit(&caller->end, end, memory_order_release);
        return caller;
    }
    return NULL;
}

/* A handle of the library that holds this address. NULL where there is none. */
static void *open_holder(const void *address)
{
    Dl_info info;
    struct link_map *map = NULL;

    if (!dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) || !map)
        return NULL;
    return dlopen(map->l_name[0] ? map->l_name : NULL, RTLD_LAZY | RTLD_NOLOAD);
}

/* What that library's own definition of the name stands for: the function itself also where it is an IFUNC. */
static void *resolve_in_holder(void *definition, const char *name)
{
    fuseln_library_ask_begin();
    void *handle = definition ? open_holder(definition) : NULL;
    void *function = handle ? fuseln_real_dlsym()(handle, name) : NULL;
    if (handle)
        dlclose(handle);
    fuseln_library_ask_end();
    return function;
}

/* The loader keeps what a library is bound to for as long as that library; whoever is bound to us is not bound to what
 * stands behind us. So this handle is never closed. (RTLD_NODELETE will not do: set while a library is being closed, by
 * a look-up from its destructor, it fails an assertion of glibc's.) */
static void keep_holder(const void *function)
{
    fuseln_library_ask_begin();
    open_holder(function);
    fuseln_library_ask_end();
}

/* What a reference in this scope binds to. Where we call a runtime ourselves nobody else's function will do. */
static void *look_up_in(void *scope, enum fuseln_node node, enum fuseln_real which)
{
    const char *const name = fuseln_real_name(which), *const version = node_names[node];
    void *const exact = version ? dlvsym(scope, name, version) : NULL;

    if (which >= FUSELN_REAL_CUDART_CALLED && which < FUSELN_REAL_CUDART_NOTICED)
        return exact;
    void *any = fuseln_real_dlsym()(scope, name);
    if (!version)
        return any;
    if (any && !fuseln_scope_binds(any, name, version)) /* a runtime of another node */
        any = scope == RTLD_NEXT ? resolve_in_holder(fuseln_scope_between(any, exact, name), name) : NULL;
    if (!any || !exact)
        return any ? any : exact;
    return any == exact ? any : fuseln_scope_first(any, exact, name, version);
}

/* Through the dependencies of the library at this address, as its own references were bound. */
static void *look_up_in_scope_of(const void *address, enum fuseln_node node, enum fuseln_real which)
{
    void *function = NULL;

    fuseln_library_ask_begin();
    void *handle = open_holder(address);
    if (handle) {
        function = look_up_in(handle, node, which);
        dlclose(handle);
    }
    fuseln_library_ask_end();
    return function;
}

static void *look_up(enum fuseln_node node, enum fuseln_real which, const void *address)
{
    struct caller *caller = find_caller(node, (uintptr_t)address);
    bool local = caller && atomic_load(&caller->local);
    void *function = local ? NULL : look_up_in(RTLD_NEXT, node, which);

    if (function)
        keep_holder(function);
    dlerror(); /* the host must not find there what we did not find */
    if (function && !atomic_load(&by_caller[node])) {
        atomic_store_explicit(&fuseln_real_next[node][which], function, memory_order_release);
        return function;
    }
    if (!function) {
        function = look_up_in_scope_of(address, node, which);
        local = true;
        dlerror();
    }
    if (!function)
        return NULL;
    atomic_store(&by_caller[node], true);
    if (!caller)
        caller = add_caller(node, (uintptr_t)address, local);
    if (caller)
        atomic_store_explicit(&caller->function[which], function, memory_order_release);
    return function;
}

/* Pairing relies on seeing all that a runtime's callers do: one that is newer than names.h may offer more. Not asked
 * of a runtime that is only registered with, from constructors. */
static void check_runtime(enum fuseln_node node, enum fuseln_real which, const void *address)
{
    static const int newest[FUSELN_NODE_COUNT] = {
#define X(suffix, name, version) [FUSELN_NODE_##suffix] = version,
        FUSELN_NOTICE_NODES(X)
#undef X
    };
    static atomic_bool checked[FUSELN_NODE_COUNT];
    int version = 0;

    if (node == FUSELN_NODE_DRIVER || which == FUSELN_REAL_REGISTER || which == FUSELN_REAL_UNREGISTER ||
        which == FUSELN_REAL_GET_KERNEL)
        return;
    if (atomic_load(&checked[node]) && !atomic_load(&by_caller[node]))
        return;
    int (*get_version)(int *) = (int (*)(int *))look_up(node, FUSELN_REAL_GET_VERSION, address);
    if (!get_version || get_version(&version) != 0 || version > newest[node])
        fuseln_pairing_unseen(node_names[node]);
    atomic_store(&checked[node], true);
}

void *fuseln_real_find(enum fuseln_node node, enum fuseln_real which, const void *address)
{
    struct caller *caller = find_caller(node, (uintptr_t)address);
    void *function = caller ? atomic_load_explicit(&caller->function[which], memory_order_acquire) : NULL;
    const int saved_errno = errno; /* the loader's look-ups may set it, also in a launch that is not ours */

    if (!function) {
        function = look_up(node, which, address);
        if (function)
            check_runtime(node, which, address);
    }
    errno = saved_errno;
    return function;
}

bool fuseln_real_is_runtime(const void *address)
{
    return fuseln_scope_has_version(address, node_names, FUSELN_NODE_DRIVER);
}

void *fuseln_real_hook(const char *name, const void *caller)
{
    void *const found = fuseln_real_dlsym()(RTLD_NEXT, name);

    if (!found || fuseln_scope_stops_before_us(name, caller))
        return NULL;
    for (int node = 0; node < FUSELN_NODE_DRIVER; node++)
        if (fuseln_scope_binds(found, name, node_names[node]) && dlvsym(RTLD_NEXT, name, node_names[node]))
            return fuseln_scope_ours(name, node_names[node]);
    return NULL;
}

void fuseln_real_forget(const void *address)
{
    for (int node = 0; node < FUSELN_NODE_COUNT; node++) {
        struct caller *caller = find_caller((enum fuseln_node)node, (uintptr_t)address);
        if (caller) {
            atomic_store_explicit(&caller->end, 0, memory_order_release);
            atomic_store_explicit(&caller->begin, 0, memory_order_release);
        }
    }
}
