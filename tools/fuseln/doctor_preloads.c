/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor's check of the other libraries that are preloaded here: LD_PRELOAD and /etc/ld.so.preload. The loader has
 * already tried those of LD_PRELOAD in this very process, so what it did with each can be asked of it.
 */
#include "tools/fuseln/doctor.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK "preload"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The file that the loader has for this entry, which may be a name without a folder; NULL: it is not loaded. To be
 * freed. */
static char *loaded_file(const char *entry)
{
    struct link_map *map;
    void *library = dlopen(entry, RTLD_LAZY | RTLD_NOLOAD);
    if (!library)
        return NULL;
    char *path = dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 ? realpath(map->l_name, NULL) : NULL;
    dlclose(library);
    return path ? path : strdup(entry);
}

static void say_not_loaded(struct doctor *doctor, const char *entry, const char *variable)
{
    struct doctor_elf elf;
    char remedy[128];
    const int error = strchr(entry, '/') ? doctor_elf_read(entry, &elf) : -ENOENT;
    snprintf(remedy, sizeof remedy, "take it out of %s, or name the right file", variable);
    if (error == -ENOENT)
        doctor_say(doctor, FINDING_BAD, CHECK, remedy, "%s: %s was not found", variable, entry);
    else if (error == -ENOEXEC)
        doctor_say(doctor, FINDING_BAD, CHECK, remedy, "%s: %s is no library (not an ELF file)", variable, entry);
    else if (error)
        doctor_say(doctor, FINDING_BAD, CHECK, remedy, "%s: %s: %s", variable, entry, strerror(-error));
    else if (!elf.same_machine)
        doctor_say(doctor, FINDING_BAD, CHECK, remedy, "%s: %s is for another architecture (%s)", variable, entry,
                   doctor_elf_machine(&elf));
    else
        doctor_say(doctor, FINDING_BAD, CHECK, remedy, "%s: %s is not loaded: the loader refused it", variable, entry);
}

static void say_loaded(struct doctor *doctor, const char *entry, const char *variable, const char *file, bool first)
{
    const char *name = base_name(entry);
    const bool sanitizer = !strncmp(name, "libasan.", 8) || !strncmp(name, "libclang_rt.asan", 16);
    if (!strcmp(file, doctor->library))
        doctor_say(doctor, FINDING_OK, CHECK, NULL, "%s holds %s", variable, entry);
    else if (!strncmp(name, "libfuseln", 9))
        doctor_say(doctor, FINDING_BAD, CHECK, "keep one of the two", "%s holds another fuseln: %s", variable, entry);
    else if (sanitizer)
        doctor_say(doctor, first ? FINDING_NOTE : FINDING_BAD, CHECK,
                   "AddressSanitizer must come first: LD_PRELOAD=.../libasan.so:.../libfuseln.so", "%s holds %s",
                   variable, entry);
    else
        doctor_say(doctor, FINDING_NOTE, CHECK, "if something is off, try without it: it may hook the same functions",
                   "another preload, in %s: %s", variable, entry);
}

static void say_list(struct doctor *doctor, const char *variable, const char *list, const char *separators)
{
    char *words = strdup(list), *rest = words;
    unsigned count = 0;
    for (char *entry; words && (entry = strsep(&rest, separators));) {
        if (!*entry)
            continue;
        char *file = loaded_file(entry);
        if (file)
            say_loaded(doctor, entry, variable, file, count == 0);
        else
            say_not_loaded(doctor, entry, variable);
        free(file);
        count++;
    }
    free(words);
    if (count == 0)
        doctor_say(doctor, FINDING_OK, CHECK, NULL, "no other library is preloaded (%s)", variable);
}

void doctor_check_preloads(struct doctor *doctor)
{
    char text[4096];
    const char *list = getenv("LD_PRELOAD");
    say_list(doctor, "LD_PRELOAD", list ? list : "", ": ");
    FILE *file = fopen("/etc/ld.so.preload", "re");
    if (!file)
        return;
    while (fgets(text, sizeof text, file)) {
        text[strcspn(text, "#")] = '\0';
        if (text[strspn(text, " \t\n")])
            say_list(doctor, "/etc/ld.so.preload", text, ": \t\n");
    }
    fclose(file);
}
