/*
 * See notice.h and notice.S: which function stands behind each stub, and what is said of a driver function that is
 * given out. The tables are valid when zeroed; lock-free.
 */
#include "notice_names.h"

#include "dlsym.h"
#include "pairing.h"

#include <string.h>

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

/* What a stub does whose function is not known yet, or while something may have to be forgotten. NULL: the caller's
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
    return function || runtime ? function : fuseln_driver_own(&fuseln_notice_next[GIVEN + index]);
}

_Atomic(void *) *fuseln_notice_behind(size_t index)
{
    return &fuseln_notice_next[GIVEN + index];
}

void *fuseln_notice_stub(size_t index)
{
    return (char *)fuseln_notice_given + index * STUB_BYTES;
}

#endif

/* The names, sorted as in notice.h. */
enum { NAME_BYTES = 56 };
#define TEXT(name) #name,
static const char runtime_names[][NAME_BYTES] = {FUSELN_CUDART_NOTICED(TEXT)},
                  driver_names[][NAME_BYTES] = {FUSELN_DRIVER_NOTICED(TEXT)},
                  harmless_names[][NAME_BYTES] = {FUSELN_DRIVER_HARMLESS(TEXT)};

const char *fuseln_notice_runtime_name(size_t index)
{
    return runtime_names[index];
}

const char *fuseln_notice_driver_name(size_t index)
{
    return driver_names[index];
}

/* Where this name stands among so many, or their number. */
static size_t find(const char (*names)[NAME_BYTES], size_t count, const char *name)
{
    size_t from = 0, to = count;
    while (from < to) {
        const size_t middle = (from + to) / 2;
        const int order = strcmp(name, names[middle]);
        if (order == 0)
            return middle;
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return count;
}

size_t fuseln_notice_find(const char *name)
{
    return find(driver_names, FUSELN_NOTICE_DRIVER, name);
}

bool fuseln_notice_is_runtime_call(const char *name)
{
    static const char hooked_names[][NAME_BYTES] = {
#define X(id, hooked) #hooked,
        FUSELN_CUDART_EXPORTS(X)
#undef X
    };
    for (size_t i = 0; i < sizeof hooked_names / sizeof hooked_names[0]; i++)
        if (strcmp(name, hooked_names[i]) == 0)
            return true;
    return find(runtime_names, FUSELN_NOTICE_RUNTIME, name) < FUSELN_NOTICE_RUNTIME;
}

/* Cut off, at the end of a name of so many bytes: */
static size_t without(const char *name, size_t length, const char *end)
{
    const size_t bytes = strlen(end);
    return length > bytes && memcmp(name + length - bytes, end, bytes) == 0 ? length - bytes : length;
}

bool fuseln_notice_is_harmless(const char *name)
{
    enum { HARMLESS = sizeof harmless_names / sizeof harmless_names[0] };
    char base[NAME_BYTES];
    size_t length = without(name, without(name, strlen(name), "_ptsz"), "_ptds");

    if (length > 3 && memcmp(name + length - 3, "_v", 2) == 0)
        length -= 3;
    if (length >= sizeof base)
        return false;
    memcpy(base, name, length);
    base[length] = '\0';
    return find(harmless_names, HARMLESS, base) < HARMLESS;
}
