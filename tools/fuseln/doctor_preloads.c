/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor's check of the other libraries that are preloaded here: LD_PRELOAD and /etc/ld.so.preload. The loader has
 * already tried those of LD_PRELOAD in this very process, so it can be asked what it did with each.
 */
#include "tools/fuseln/doctor.h"

#include <stdlib.h>
#include <string.h>

#define CHECK "preload"

/* The loader only warns and goes on without it. */
static void say_not_loaded(const char *entry, const char *variable)
{
    struct doctor_file file;
    char remedy[128];
    const char *wrong = doctor_file_read(entry, "is no library (not an ELF file)", &file);
    if (!wrong)
        wrong = "is not loaded: the loader refused it";
    snprintf(remedy, sizeof remedy, "take it out of %s, or name the right file", variable);
    doctor_say(BAD, CHECK, remedy, "%s: %s %s", variable, entry, strchr(entry, '/') ? wrong : "was not found");
}

static void say_loaded(const char *entry, const char *variable, bool first)
{
    const char *name = basename(entry);
    if (!strncmp(name, "libfuseln", 9))
        doctor_say(BAD, CHECK, "keep one of the two", "%s holds another fuseln: %s", variable, entry);
    else if (!strncmp(name, "libasan.", 8) || !strncmp(name, "libclang_rt.asan", 16))
        doctor_say(first ? NOTE : BAD, CHECK,
                   "AddressSanitizer must come first: LD_PRELOAD=.../libasan.so:.../libfuseln.so", "%s holds %s",
                   variable, entry);
    else
        doctor_say(NOTE, CHECK, "if something is off, try without it: it may hook the same functions",
                   "another preload, in %s: %s", variable, entry);
}

/* The list as the loader splits it, at any of these separators. */
static void say_list(const struct doctor *doctor, const char *variable, const char *list, const char *separators)
{
    char *words = strdup(list), *rest = words;
    bool any = false;
    for (char *entry; words && (entry = strsep(&rest, separators));) {
        if (!*entry)
            continue;
        char *file = doctor_file_loaded(entry);
        if (!file)
            say_not_loaded(entry, variable);
        else if (!strcmp(file, doctor->library))
            doctor_say(OK, CHECK, NULL, "%s holds %s", variable, entry);
        else
            say_loaded(entry, variable, !any);
        free(file);
        any = true;
    }
    free(words);
    if (!any)
        doctor_say(OK, CHECK, NULL, "no other library is preloaded (%s)", variable);
}

void doctor_check_preloads(const struct doctor *doctor)
{
    char line[4096];
    const char *list = getenv("LD_PRELOAD");
    say_list(doctor, "LD_PRELOAD", list ? list : "", ": ");
    FILE *file = fopen("/etc/ld.so.preload", "re");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "#")] = '\0';
        if (line[strspn(line, " \t\n")])
            say_list(doctor, "/etc/ld.so.preload", line, ": \t\n");
    }
    if (file)
        fclose(file);
}
