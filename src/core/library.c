/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See library.h. An entry is found again by its name and build-id, so a library that is unloaded and loaded again
 * keeps its entry (targets and sites point at it); only the range of addresses is forgotten in between.
 */
#include "core/library.h"

#include "base/shield.h"

#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LIBRARIES_MAX = 1024, BUILD_ID_BYTES_MAX = 20, PAUSE_NS = 50000, PAUSES_MAX = 2000 };

struct entry {
    struct fuseln_library library;
    _Atomic uintptr_t begin, end; /* where it is mapped; 0, 0 while it is not */
};

static struct entry entries[LIBRARIES_MAX];
static atomic_size_t entry_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Threads of ours that ask the loader, and forks under way. A child inherits the loader's locks as they are: one that
 * another thread held stays held for good. So the one waits for the other, but never for longer than 2,000 pauses,
 * a fifth of a second with the usual timer slack: who waits may itself be in the other's way. */
static atomic_int asking, forking;

static void pause_while(atomic_int *count)
{
    const struct timespec pause = {0, PAUSE_NS};
    const int saved_errno = errno;
    for (int i = 0; i < PAUSES_MAX && atomic_load(count) > 0; i++)
        syscall(SYS_nanosleep, &pause, NULL); /* nanosleep() is a cancellation point; dlsym and launches are not */
    errno = saved_errno;
}

void fuseln_library_ask_begin(void)
{
    atomic_fetch_add(&asking, 1);
    if (atomic_load(&forking) == 0)
        return;
    atomic_fetch_sub(&asking, 1);
    pause_while(&forking);
    atomic_fetch_add(&asking, 1);
}

void fuseln_library_ask_end(void)
{
    atomic_fetch_sub(&asking, 1);
}

static bool ask(int (*visit)(struct dl_phdr_info *info, size_t size, void *data), void *data)
{
    fuseln_library_ask_begin();
    const bool found = dl_iterate_phdr(visit, data) != 0;
    fuseln_library_ask_end();
    return found;
}

struct search {
    uintptr_t address;
    uintptr_t begin, end;
    struct fuseln_library library;
};

static void read_build_id(const ElfW(Nhdr) * note, size_t bytes, char *ret_hex)
{
    const char *at = (const char *)note, *end = at + bytes;

    while (at + sizeof(*note) <= end) {
        ElfW(Nhdr) head;
        memcpy(&head, at, sizeof(head));
        const char *name = at + sizeof(head);
        size_t name_bytes = (head.n_namesz + 3u) & ~3u, desc_bytes = (head.n_descsz + 3u) & ~3u;
        if (name_bytes > (size_t)(end - name) || desc_bytes > (size_t)(end - name) - name_bytes)
            return;
        const unsigned char *desc = (const unsigned char *)name + name_bytes;
        if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 && memcmp(name, "GNU", 4) == 0) {
            size_t n = head.n_descsz < BUILD_ID_BYTES_MAX ? head.n_descsz : BUILD_ID_BYTES_MAX;
            for (size_t i = 0; i < n; i++) {
                ret_hex[2 * i] = "0123456789abcdef"[desc[i] >> 4];
                ret_hex[2 * i + 1] = "0123456789abcdef"[desc[i] & 15];
            }
            ret_hex[2 * n] = '\0';
            return;
        }
        at = (const char *)desc + desc_bytes;
    }
}

static bool holds_address(const struct dl_phdr_info *info, struct search *search)
{
    bool inside = false;

    search->begin = UINTPTR_MAX;
    search->end = 0;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + ph->p_vaddr, end = begin + ph->p_memsz;
        if (ph->p_type != PT_LOAD)
            continue;
        inside |= search->address >= begin && search->address < end;
        search->begin = begin < search->begin ? begin : search->begin;
        search->end = end > search->end ? end : search->end;
    }
    return inside;
}

static int visit_range(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    return holds_address(info, data);
}

bool fuseln_library_range(const void *address, uintptr_t *ret_begin, uintptr_t *ret_end)
{
    struct search search = {.address = (uintptr_t)address};

    if (!ask(visit_range, &search))
        return false;
    *ret_begin = search.begin;
    *ret_end = search.end;
    return true;
}

static int visit_object(struct dl_phdr_info *info, size_t size, void *data)
{
    struct search *search = data;
    const char *slash = strrchr(info->dlpi_name, '/');
    const char *name = slash ? slash + 1 : info->dlpi_name;

    (void)size;
    if (!holds_address(info, search))
        return 0;
    /* The loader gives the main program an empty name. */
    strncpy(search->library.name, name[0] ? name : "(program)", sizeof(search->library.name) - 1);
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        if (ph->p_type == PT_NOTE && search->library.build_id[0] == '\0')
            read_build_id((const void *)(info->dlpi_addr + ph->p_vaddr), ph->p_memsz, search->library.build_id);
    }
    return 1;
}

/* Under the lock. */
static struct entry *entry_of(const struct fuseln_library *library)
{
    size_t count = atomic_load_explicit(&entry_count, memory_order_relaxed);

    for (size_t i = 0; i < count; i++)
        if (strcmp(entries[i].library.name, library->name) == 0 &&
            strcmp(entries[i].library.build_id, library->build_id) == 0)
            return &entries[i];
    if (count == LIBRARIES_MAX)
        return NULL;
    entries[count].library = *library;
    atomic_store_explicit(&entry_count, count + 1, memory_order_release);
    return &entries[count];
}

const struct fuseln_library *fuseln_library_of(const void *address, bool (*is_known)(const char *build_id))
{
    struct search search = {.address = (uintptr_t)address};
    size_t count = atomic_load_explicit(&entry_count, memory_order_acquire);

    for (size_t i = 0; i < count; i++)
        if (search.address >= atomic_load(&entries[i].begin) && search.address < atomic_load(&entries[i].end))
            return &entries[i].library;
    if (!ask(visit_object, &search))
        return NULL;
    search.library.known = search.library.build_id[0] && is_known(search.library.build_id);

    struct fuseln_shield before;
    fuseln_shield_lock(&before, &lock);
    struct entry *entry = entry_of(&search.library);
    if (entry) {
        atomic_store(&entry->begin, search.begin);
        atomic_store(&entry->end, search.end);
    }
    fuseln_shield_unlock(&before, &lock);
    return entry ? &entry->library : NULL;
}

void fuseln_library_forget(const void *address)
{
    uintptr_t at = (uintptr_t)address;
    size_t count = atomic_load_explicit(&entry_count, memory_order_acquire);

    for (size_t i = 0; i < count; i++) {
        if (at >= atomic_load(&entries[i].begin) && at < atomic_load(&entries[i].end)) {
            atomic_store(&entries[i].end, 0);
            atomic_store(&entries[i].begin, 0);
        }
    }
}

void fuseln_library_before_fork(void)
{
    atomic_fetch_add(&forking, 1);
    pause_while(&asking);
}

void fuseln_library_after_fork_in_parent(void)
{
    atomic_fetch_sub(&forking, 1);
}

void fuseln_library_after_fork(void)
{
    atomic_store(&asking, 0);
    atomic_store(&forking, 0);
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}
