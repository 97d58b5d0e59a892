/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See library.h. A library is found again by its name and build-id: one that is unloaded and loaded again gets its old
 * entry, which targets and sites point at. Only its range of addresses is forgotten in between.
 */
#include "core/library.h"

#include "base/shield.h"
#include "core/registry.h"

#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LIBRARIES_MAX = 1024, BUILD_ID_BYTES_MAX = 20 };

/* Guarded by fuseln_core_mutex. */
static struct entry {
    struct fuseln_library library;
    uintptr_t begin, end; /* where it is mapped; 0, 0 while it is not */
} entries[LIBRARIES_MAX];
static size_t entry_count;

/* How many of our threads are asking the loader, and how many forks are under way. A child inherits the loader's locks
 * as they are, so one that another thread holds during the fork would stay locked in it for ever. */
static atomic_int asking, forking;

/* Bounded, because the one that waits may itself be in the other's way: 2,000 pauses last about a fifth of a second. */
static void wait_while(atomic_int *count)
{
    const struct timespec pause = {.tv_nsec = 50000};
    const int saved_errno = errno;
    for (int i = 0; i < 2000 && atomic_load(count) > 0; i++)
        syscall(SYS_nanosleep, &pause, NULL); /* nanosleep() is a cancellation point; dlsym and launches are not */
    errno = saved_errno;
}

void fuseln_library_ask_begin(void)
{
    atomic_fetch_add(&asking, 1);
    if (atomic_load(&forking) == 0)
        return;
    atomic_fetch_sub(&asking, 1);
    wait_while(&forking);
    atomic_fetch_add(&asking, 1);
}

void fuseln_library_ask_end(void)
{
    atomic_fetch_sub(&asking, 1);
}

void fuseln_library_before_fork(void)
{
    atomic_fetch_add(&forking, 1);
    wait_while(&asking);
}

void fuseln_library_after_fork_in_parent(void)
{
    atomic_fetch_sub(&forking, 1);
}

void fuseln_library_after_fork(void)
{
    atomic_store(&asking, 0);
    atomic_store(&forking, 0);
}

struct search {
    uintptr_t address;
    uintptr_t begin, end;
    struct fuseln_library library;
};

void fuseln_library_build_id(const void *notes, size_t bytes, char ret_hex[41])
{
    const unsigned char *const all = notes;
    ElfW(Nhdr) head;

    for (size_t at = 0; at + sizeof head <= bytes;) {
        memcpy(&head, all + at, sizeof head);
        const size_t name = at + sizeof head, desc = name + ((head.n_namesz + 3ul) & ~3ul);
        if (desc > bytes || head.n_descsz > bytes - desc)
            return;
        if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 && memcmp(all + name, "GNU", 4) == 0) {
            for (size_t i = 0; i < head.n_descsz && i < BUILD_ID_BYTES_MAX; i++)
                snprintf(ret_hex + 2 * i, 3, "%02x", all[desc + i]);
            return;
        }
        at = desc + ((head.n_descsz + 3ul) & ~3ul);
    }
}

/* Does the loader map all of this part? A tool that moved sections may have left it behind. */
static bool is_loaded(const struct dl_phdr_info *info, const ElfW(Phdr) * part)
{
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        if (ph->p_type == PT_LOAD && part->p_vaddr >= ph->p_vaddr && part->p_memsz <= ph->p_memsz &&
            part->p_vaddr - ph->p_vaddr <= ph->p_memsz - part->p_memsz)
            return true;
    }
    return false;
}

void fuseln_library_extent(const struct dl_phdr_info *info, uintptr_t *ret_begin, uintptr_t *ret_end)
{
    *ret_begin = UINTPTR_MAX;
    *ret_end = 0;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        const uintptr_t begin = info->dlpi_addr + ph->p_vaddr, end = begin + ph->p_memsz;
        if (ph->p_type != PT_LOAD)
            continue;
        *ret_begin = begin < *ret_begin ? begin : *ret_begin;
        *ret_end = end > *ret_end ? end : *ret_end;
    }
}

static int visit_object(struct dl_phdr_info *info, size_t size, void *data)
{
    struct search *search = data;
    const char *slash = strrchr(info->dlpi_name, '/');
    const char *name = slash ? slash + 1 : info->dlpi_name;
    (void)size;
    fuseln_library_extent(info, &search->begin, &search->end);
    if (search->address < search->begin || search->address >= search->end)
        return 0;
    /* The main program has an empty name. */
    snprintf(search->library.name, sizeof search->library.name, "%s", *name ? name : "(program)");
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        if (ph->p_type == PT_NOTE && is_loaded(info, ph) && search->library.build_id[0] == '\0')
            fuseln_library_build_id((const char *)info->dlpi_addr + ph->p_vaddr, ph->p_memsz, search->library.build_id);
    }
    return 1;
}

static bool find_object(struct search *search)
{
    fuseln_library_ask_begin();
    const bool found = dl_iterate_phdr(visit_object, search) != 0;
    fuseln_library_ask_end();
    return found;
}

bool fuseln_library_range(const void *address, uintptr_t *ret_begin, uintptr_t *ret_end)
{
    struct search search = {.address = (uintptr_t)address};
    if (!find_object(&search))
        return false;
    *ret_begin = search.begin;
    *ret_end = search.end;
    return true;
}

/* The entry mapped at this address. Called with the mutex held. */
static struct entry *find_mapped(uintptr_t address)
{
    for (size_t i = 0; i < entry_count; i++)
        if (address >= entries[i].begin && address < entries[i].end)
            return &entries[i];
    return NULL;
}

/* The entry of this library, a new one if need be; NULL if there is no room. Called with the mutex held. */
static struct entry *entry_of(const struct fuseln_library *library)
{
    for (size_t i = 0; i < entry_count; i++)
        if (strcmp(entries[i].library.name, library->name) == 0 &&
            strcmp(entries[i].library.build_id, library->build_id) == 0)
            return &entries[i];
    if (entry_count == LIBRARIES_MAX)
        return NULL;
    entries[entry_count].library = *library;
    return &entries[entry_count++];
}

const struct fuseln_library *fuseln_library_of(const void *address, bool (*is_known)(const char *build_id))
{
    struct search search = {.address = (uintptr_t)address};
    struct fuseln_shield before;
    fuseln_shield_lock(&before, &fuseln_core_mutex);
    struct entry *entry = find_mapped(search.address);
    fuseln_shield_unlock(&before, &fuseln_core_mutex);
    if (entry)
        return &entry->library;
    if (!find_object(&search))
        return NULL;
    search.library.known = search.library.build_id[0] && is_known(search.library.build_id);
    fuseln_shield_lock(&before, &fuseln_core_mutex);
    entry = entry_of(&search.library);
    if (entry) {
        entry->begin = search.begin;
        entry->end = search.end;
    }
    fuseln_shield_unlock(&before, &fuseln_core_mutex);
    return entry ? &entry->library : NULL;
}

void fuseln_library_forget(const void *address)
{
    struct fuseln_shield before;
    struct entry *entry;
    fuseln_shield_lock(&before, &fuseln_core_mutex);
    while ((entry = find_mapped((uintptr_t)address)))
        entry->begin = entry->end = 0;
    fuseln_shield_unlock(&before, &fuseln_core_mutex);
}
