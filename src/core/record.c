/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters and the table of sites (record.h). Threads count in their own thread-local storage, which a list links.
 * The mutex is taken when a thread launches first, when it ends, when a site is made and by the report; a launch at a
 * site that exists takes none.
 */
#include "core/record.h"

#include <string.h>

#include "base/config.h"
#include "base/shield.h"
#include "base/thread.h"
#include "core/registry.h"

struct thread_node {
    struct thread_node *next, **link; /* link: what points at this node; NULL when not in the list */
    struct fuseln_thread_counter *counter;
};

_Thread_local struct fuseln_thread_counter fuseln_thread_counter __attribute__((tls_model("initial-exec")));
static _Thread_local struct thread_node this_thread __attribute__((tls_model("initial-exec")));
static struct thread_node *threads;
static uint64_t ended_launches[FUSELN_BOUNDARY_COUNT]; /* of threads that have ended */
static _Atomic bool launched;

/* Runs once more for a thread that launches after it (another destructor's launch joins again). */
static void thread_end(void *node_address)
{
    struct thread_node *node = node_address;
    struct fuseln_shield before;
    fuseln_shield_lock(&before, &fuseln_core_mutex);
    if (node->link) {
        for (int i = 0; i < FUSELN_BOUNDARY_COUNT; i++)
            ended_launches[i] += node->counter->launches[i];
        *node->link = node->next;
        if (node->next)
            node->next->link = node->link;
        node->link = NULL;
        memset(node->counter->launches, 0, sizeof node->counter->launches);
        node->counter->joined = false;
    }
    fuseln_shield_unlock(&before, &fuseln_core_mutex);
}

bool fuseln_record_join(void)
{
    struct thread_node *node = &this_thread;
    struct fuseln_shield before;
    fuseln_thread_at_exit(thread_end, node);
    fuseln_shield_lock(&before, &fuseln_core_mutex);
    node->counter = &fuseln_thread_counter;
    node->counter->joined = true;
    node->next = threads;
    node->link = &threads;
    if (threads)
        threads->link = &node->next;
    threads = node;
    fuseln_shield_unlock(&before, &fuseln_core_mutex);
    return !atomic_exchange(&launched, true);
}

uint64_t fuseln_record_launches(void)
{
    const unsigned hooked = fuseln_config_get()->hooks;
    struct fuseln_shield before;
    uint64_t sum = 0;
    fuseln_shield_lock(&before, &fuseln_core_mutex);
    for (int i = 0; i < FUSELN_BOUNDARY_COUNT; i++) {
        if (!(hooked & 1u << i))
            continue;
        sum += ended_launches[i];
        for (const struct thread_node *node = threads; node; node = node->next)
            sum += __atomic_load_n(&node->counter->launches[i], __ATOMIC_RELAXED);
    }
    fuseln_shield_unlock(&before, &fuseln_core_mutex);
    return sum;
}

enum { SLOTS = 2 * FUSELN_SITES_MAX };

static struct fuseln_site sites[FUSELN_SITES_MAX];
static _Atomic uint32_t slots[SLOTS]; /* index into sites + 1; 0 empty */
static atomic_size_t site_count;      /* those below it are complete */
static struct fuseln_site other = {.rows_first = -1, .rows_min = INT64_MAX, .rows_max = -1};

static bool key_equal(const struct fuseln_site_key *a, const struct fuseln_site_key *b)
{
    return a->target == b->target && a->cols == b->cols && a->device == b->device && a->nulls == b->nulls &&
           a->width == b->width && a->boundary == b->boundary;
}

static size_t key_slot(const struct fuseln_site_key *key)
{
    uint64_t hash = (uintptr_t)key->target >> 4;
    hash = (hash ^ (uint64_t)key->cols) * 0x9e3779b97f4a7c15u;
    hash ^= (uint64_t)(unsigned)key->device << 40 | (uint64_t)key->nulls << 16 | key->width << 4 | key->boundary;
    hash *= 0x9e3779b97f4a7c15u;
    return (size_t)(hash >> 40) % SLOTS;
}

/* The site of this key, or NULL, and then the slot that it would take. */
static struct fuseln_site *find_site(const struct fuseln_site_key *key, size_t *ret_slot)
{
    for (size_t slot = key_slot(key);; slot = (slot + 1) % SLOTS) {
        const uint32_t entry = atomic_load_explicit(&slots[slot], memory_order_acquire);
        *ret_slot = slot;
        if (!entry || key_equal(&sites[entry - 1].key, key))
            return entry ? &sites[entry - 1] : NULL;
    }
}

static void begin_rows(struct fuseln_site *site)
{
    atomic_store(&site->rows_first, -1);
    atomic_store(&site->rows_min, INT64_MAX);
    atomic_store(&site->rows_max, -1);
}

/* With the mutex held. */
static struct fuseln_site *add_site(const struct fuseln_site_key *key, size_t slot)
{
    const size_t index = atomic_load(&site_count);
    sites[index].key = *key;
    begin_rows(&sites[index]);
    atomic_store(&site_count, index + 1);
    atomic_store_explicit(&slots[slot], (uint32_t)index + 1, memory_order_release);
    return &sites[index];
}

struct fuseln_site *fuseln_site_get(const struct fuseln_site_key *key, bool *ret_new)
{
    struct fuseln_shield before;
    size_t slot;
    struct fuseln_site *site = find_site(key, &slot);
    *ret_new = false;
    if (site || atomic_load(&site_count) == FUSELN_SITES_MAX)
        return site ? site : &other;
    fuseln_shield_lock(&before, &fuseln_core_mutex);
    site = find_site(key, &slot); /* another thread may have been first */
    *ret_new = !site && atomic_load(&site_count) < FUSELN_SITES_MAX;
    if (*ret_new)
        site = add_site(key, slot);
    fuseln_shield_unlock(&before, &fuseln_core_mutex);
    return site ? site : &other;
}

/* The first rows are kept before the others: whoever finds rows between least and most has nothing to add. */
static void site_widen(struct fuseln_site *site, int64_t rows)
{
    int64_t none = -1, least = atomic_load(&site->rows_min), most = atomic_load(&site->rows_max);
    atomic_compare_exchange_strong(&site->rows_first, &none, rows);
    while (rows < least && !atomic_compare_exchange_weak(&site->rows_min, &least, rows))
        ;
    while (rows > most && !atomic_compare_exchange_weak(&site->rows_max, &most, rows))
        ;
}

void fuseln_site_record(struct fuseln_site *site, enum fuseln_verdict verdict, int64_t rows, const char *kernel)
{
    site_widen(site, rows);
    atomic_fetch_add_explicit(verdict == FUSELN_VERDICT_OK ? &site->substituted : &site->passed[verdict], 1,
                              memory_order_relaxed);
    if (kernel)
        atomic_store_explicit(&site->kernel, kernel, memory_order_release);
}

void fuseln_site_fields(const struct fuseln_site *site, double ret_field[FUSELN_CHECK_FIELDS])
{
    struct fuseln_shield before;
    fuseln_shield_lock(&before, &fuseln_core_mutex);
    memcpy(ret_field, site->checked.field, sizeof site->checked.field);
    fuseln_shield_unlock(&before, &fuseln_core_mutex);
}

const struct fuseln_site *fuseln_site_at(size_t index)
{
    const size_t count = atomic_load(&site_count);
    if (index < count)
        return &sites[index];
    return index == count && atomic_load(&other.rows_max) >= 0 ? &other : NULL;
}

void fuseln_record_after_fork(void)
{
    threads = NULL;
    memset(ended_launches, 0, sizeof ended_launches);
    this_thread.link = NULL;
    fuseln_thread_counter = (struct fuseln_thread_counter){0};
    atomic_store(&launched, false);
    memset(sites, 0, atomic_load(&site_count) * sizeof *sites);
    memset(slots, 0, sizeof slots);
    memset(&other, 0, sizeof other);
    begin_rows(&other);
    atomic_store(&site_count, 0);
}
