/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See scope.h. Symbols are found through the GNU hash table, or the older one where there is no other, as the loader
 * does; the version of a symbol is its entry in DT_VERSYM, whose name stands in DT_VERDEF.
 */
#include "hooks/scope.h"

#include "core/library.h"

#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { HIDDEN = 0x8000, INDEX = 0x7fff };

struct object {
    ElfW(Addr) base;
    const ElfW(Dyn) * dynamic; /* NULL: none */
    const char *path;
    uintptr_t begin, end;
};

static struct object object_of(const struct dl_phdr_info *info)
{
    struct object object = {.base = info->dlpi_addr, .path = info->dlpi_name};

    fuseln_library_extent(info, &object.begin, &object.end);
    for (size_t i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            object.dynamic = (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    return object;
}

static bool holds(const struct object *object, const void *address)
{
    return (uintptr_t)address >= object->begin && (uintptr_t)address < object->end;
}

static const ElfW(Dyn) * entry_of(const struct object *object, ElfW(Sxword) tag)
{
    for (const ElfW(Dyn) *entry = object->dynamic; entry && entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == tag)
            return entry;
    return NULL;
}

/* glibc adds the base in place, but not in a dynamic section that cannot be written. The base of what was linked for a
 * high address (old kernels' vDSO) is less than nothing. */
static const void *table_of(const struct object *object, ElfW(Sxword) tag)
{
    const ElfW(Dyn) *entry = entry_of(object, tag);
    if (!entry)
        return NULL;
    const bool added = holds(object, (const void *)entry->d_un.d_ptr);
    return (const void *)(added ? entry->d_un.d_ptr : object->base + entry->d_un.d_ptr);
}

/* "": none */
static const char *soname_of(const struct object *object)
{
    const ElfW(Dyn) *entry = entry_of(object, DT_SONAME);
    const char *strings = table_of(object, DT_STRTAB);
    return entry && strings ? strings + entry->d_un.d_val : "";
}

static const char *version_name(const struct object *object, ElfW(Half) version)
{
    const char *at = table_of(object, DT_VERDEF), *strings = table_of(object, DT_STRTAB);

    for (const ElfW(Verdef) *entry = (const void *)at; at; entry = (const void *)at) {
        if (entry->vd_ndx == (version & INDEX) && !(entry->vd_flags & VER_FLG_BASE))
            return strings + ((const ElfW(Verdaux) *)(at + entry->vd_aux))->vda_name;
        at = entry->vd_next ? at + entry->vd_next : NULL;
    }
    return NULL;
}

/* ---- one library's definitions of a name ---- */

/* Will a definition of this version (VER_NDX_GLOBAL where the library has no versions) do, for who asks for `wanted`?
 */
typedef bool version_test(const struct object *object, ElfW(Half) version, const char *wanted);

static bool is_plain(const struct object *object, ElfW(Half) version, const char *wanted)
{
    (void)object, (void)wanted;
    return version <= VER_NDX_GLOBAL;
}

static bool is_wanted(const struct object *object, ElfW(Half) version, const char *wanted)
{
    const char *name = version_name(object, version);
    return name && strcmp(name, wanted) == 0;
}

/* What a reference to this version binds to. */
static bool binds(const struct object *object, ElfW(Half) version, const char *wanted)
{
    return is_plain(object, version, wanted) || is_wanted(object, version, wanted);
}

/* What a look-up without a version stops at. (A library with several default versions of one name cannot be linked.) */
static bool is_default(const struct object *object, ElfW(Half) version, const char *wanted)
{
    (void)object, (void)wanted;
    return !(version & HIDDEN);
}

/* What a look-up without a version stops at where it is what a reference to this version binds to. */
static bool is_wanted_default(const struct object *object, ElfW(Half) version, const char *wanted)
{
    return is_default(object, version, NULL) && is_wanted(object, version, wanted);
}

static bool is_any(const struct object *object, ElfW(Half) version, const char *wanted)
{
    (void)object, (void)version, (void)wanted;
    return true;
}

struct search {
    const char *name, *wanted;
    version_test *test;
};

/* The address of symbol number i where it is what is searched for; else 0. */
static uintptr_t address_of(const struct object *object, uint32_t i, const struct search *search)
{
    const ElfW(Sym) *symbol = (const ElfW(Sym) *)table_of(object, DT_SYMTAB) + i;
    const ElfW(Half) *versions = table_of(object, DT_VERSYM);
    const bool found = symbol->st_value && /* also a program's own stub of a function that it needs, as for dlsym */
                       strcmp((const char *)table_of(object, DT_STRTAB) + symbol->st_name, search->name) == 0 &&
                       search->test(object, versions ? versions[i] : VER_NDX_GLOBAL, search->wanted);

    return found ? object->base + symbol->st_value : 0;
}

static uintptr_t find_by_gnu_hash(const struct object *object, const uint32_t *table, const struct search *search)
{
    const uint32_t bucket_count = table[0], first = table[1];
    const uint32_t *buckets = table + 4 + table[2] * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
    const uint32_t *hashes = buckets + bucket_count;
    uint32_t hash = 5381;

    for (const char *c = search->name; *c; c++)
        hash = hash * 33 + (unsigned char)*c;
    uint32_t i = bucket_count ? buckets[hash % bucket_count] : 0;
    if (i < first)
        return 0;
    for (uintptr_t found;; i++) {
        if ((hashes[i - first] | 1) == (hash | 1) && (found = address_of(object, i, search)))
            return found;
        if (hashes[i - first] & 1)
            return 0;
    }
}

static uintptr_t find_by_hash(const struct object *object, const uint32_t *table, const struct search *search)
{
    const uint32_t bucket_count = table[0];
    const uint32_t *buckets = table + 2, *next = buckets + bucket_count;
    uint32_t hash = 0;
    uintptr_t found = 0;

    for (const char *c = search->name; *c; c++) {
        hash = (hash << 4) + (unsigned char)*c;
        hash = (hash ^ (hash >> 24 & 0xf0)) & 0x0fffffff;
    }
    for (uint32_t i = bucket_count ? buckets[hash % bucket_count] : 0; i && !found; i = next[i])
        found = address_of(object, i, search);
    return found;
}

static uintptr_t find(const struct object *object, const char *name, version_test *test, const char *wanted)
{
    const struct search search = {name, wanted, test};
    const uint32_t *gnu = table_of(object, DT_GNU_HASH), *old = table_of(object, DT_HASH);

    if (gnu)
        return find_by_gnu_hash(object, gnu, &search);
    return old ? find_by_hash(object, old, &search) : 0;
}

/* ---- all libraries, in the order in which they were loaded ---- */

static bool each(int (*visit)(struct dl_phdr_info *info, size_t size, void *data), void *data)
{
    fuseln_library_ask_begin();
    const bool found = dl_iterate_phdr(visit, data) != 0;
    fuseln_library_ask_end();
    return found;
}

/* An address of ours, and the question that a walk answers. */
static const char us;
struct question {
    const void *address, *other;
    const char *name, *version, *const *versions;
    size_t version_count;
    void (*ask)(struct question *question, const struct object *holder); /* see ask_holder */
    bool passed_us, passed_loader, begun;
    struct fuseln_library_kind kind;
    uintptr_t answer;
};

static int visit_holder(struct dl_phdr_info *info, size_t size, void *data)
{
    struct question *question = data;
    const struct object object = object_of(info);
    (void)size;
    question->passed_us |= holds(&object, &us);
    if (!holds(&object, question->address))
        return 0;
    question->ask(question, &object);
    return 1;
}

/* Asks the library that holds question->address, while the loader keeps it; 0 where none does. */
static uintptr_t ask_holder(struct question *question)
{
    each(visit_holder, question);
    return question->answer;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_called_libcuda(const char *path)
{
    static const char called[] = "libcuda.so";
    return strncmp(file_name(path), called, sizeof called - 1) == 0;
}

static void ask_kind(struct question *question, const struct object *holder)
{
    const char *soname = soname_of(holder);
    question->kind.driver = strcmp(soname, "libcuda.so.1") == 0;
    question->kind.stands_in = is_called_libcuda(soname) || is_called_libcuda(holder->path);
    question->kind.before = !question->passed_us;
}

struct fuseln_library_kind fuseln_scope_kind(const void *address)
{
    struct question question = {.ask = ask_kind, .address = address};
    ask_holder(&question);
    return question.kind;
}

static void ask_versions(struct question *question, const struct object *holder)
{
    const ElfW(Dyn) *defined = entry_of(holder, DT_VERDEFNUM);
    for (unsigned i = 1; defined && i <= defined->d_un.d_val && i <= INDEX; i++) {
        const char *name = version_name(holder, (ElfW(Half))i);
        for (size_t k = 0; name && k < question->version_count; k++)
            question->answer |= strcmp(name, question->versions[k]) == 0;
    }
}

bool fuseln_scope_has_version(const void *address, const char *const versions[], size_t count)
{
    return ask_holder(
        &(struct question){.ask = ask_versions, .address = address, .versions = versions, .version_count = count});
}

static void ask_binds(struct question *question, const struct object *holder)
{
    question->answer =
        find(holder, question->name, binds, question->version) || !find(holder, question->name, is_any, NULL);
}

bool fuseln_scope_binds(const void *function, const char *name, const char *version)
{
    return ask_holder(&(struct question){.ask = ask_binds, .address = function, .name = name, .version = version});
}

static int visit_first(struct dl_phdr_info *info, size_t size, void *data)
{
    struct question *question = data;
    (void)size;
    const struct object object = object_of(info);
    if (!question->answer && holds(&object, question->address))
        question->answer = (uintptr_t)question->address;
    if (!holds(&object, question->other))
        return 0;
    if (!question->answer && !find(&object, question->name, is_wanted_default, question->version))
        question->answer = (uintptr_t)question->other;
    return 1;
}

void *fuseln_scope_first(void *any, void *exact, const char *name, const char *version)
{
    struct question question = {.address = any, .other = exact, .name = name, .version = version};
    each(visit_first, &question);
    return question.answer ? (void *)question.answer : any;
}

static int visit_before_us(struct dl_phdr_info *info, size_t size, void *data)
{
    struct question *question = data;
    (void)size;
    const struct object object = object_of(info);
    if (holds(&object, &us))
        return 1;
    if (question->begun && find(&object, question->name, is_default, NULL))
        question->answer = true;
    question->begun |= holds(&object, question->address);
    return 0;
}

bool fuseln_scope_stops_before_us(const char *name, const void *caller)
{
    struct question question = {.address = caller, .name = name, .begun = !caller};
    return each(visit_before_us, &question) && question.answer;
}

static void ask_ours(struct question *question, const struct object *holder)
{
    question->answer = find(holder, question->name, is_wanted, question->version);
}

void *fuseln_scope_ours(const char *name, const char *version)
{
    return (void *)ask_holder(&(struct question){.ask = ask_ours, .address = &us, .name = name, .version = version});
}

/* ---- the libraries that the program began with ---- */

/* question->other: the dynamic section of a library; is it needed by one in front of it? */
static int visit_needs(struct dl_phdr_info *info, size_t size, void *data)
{
    struct question *question = data;
    (void)size;
    const struct object object = object_of(info);
    const char *strings = table_of(&object, DT_STRTAB);
    if (object.dynamic == question->other)
        return 1;
    for (const ElfW(Dyn) *entry = object.dynamic; strings && entry && entry->d_tag != DT_NULL; entry++)
        question->answer |=
            entry->d_tag == DT_NEEDED && !strcmp(file_name(strings + entry->d_un.d_val), question->name);
    return question->answer != 0;
}

/* Those up to the loader itself; of those behind it, what one in front of them needs. (What was opened later, and was
 * needed by these, was there already.) */
static int visit_between(struct dl_phdr_info *info, size_t size, void *data)
{
    struct question *question = data;
    (void)size;
    const struct object object = object_of(info);
    struct question needed = {.other = object.dynamic, .name = file_name(object.path)};
    const bool is_loader = strncmp(soname_of(&object), "ld-linux", 8) == 0;
    question->passed_loader |= is_loader;
    if (question->passed_loader && !is_loader && (dl_iterate_phdr(visit_needs, &needed), !needed.answer))
        return 1;
    if (holds(&object, question->other))
        return 1;
    if (question->begun)
        question->answer = find(&object, question->name, is_plain, NULL);
    question->begun |= holds(&object, question->address);
    return question->answer != 0;
}

void *fuseln_scope_between(const void *any, const void *exact, const char *name)
{
    struct question question = {.address = any, .other = exact, .name = name};
    each(visit_between, &question);
    return (void *)question.answer;
}
