/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor's check of the FUSELN_ variables: those of this environment, as the library itself reads them. The parser
 * is the library's (src/base/config.c, from the archive).
 */
#include "tools/fuseln/doctor.h"

#include "base/config.h"
#include "base/path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK "environment"

static char complaints[32][1024];
static size_t complaint_count;

static void collect(const char *text, int length)
{
    if (complaint_count < sizeof complaints / sizeof complaints[0])
        snprintf(complaints[complaint_count++], sizeof complaints[0], "%.*s", length, text);
}

/* Does the complaint, which begins with a variable's name, speak of this one? */
static bool speaks_of(const char *complaint, const char *name, size_t length)
{
    return !strncmp(complaint, name, length) && strchr("=: ", complaint[length]);
}

static void say_complaint(struct doctor *doctor, const char *complaint)
{
    const bool unknown = strstr(complaint, " is not a variable of fuseln") != NULL;
    const bool bad = strstr(complaint, " is not valid (") || strstr(complaint, "\" is not known (");
    doctor_say(doctor, bad ? FINDING_BAD : FINDING_NOTE, CHECK,
               unknown ? "correct its name, or unset it" : "correct it, or unset it", "%s", complaint);
}

static void say_variable(struct doctor *doctor, const char *entry)
{
    const size_t length = strcspn(entry, "=");
    bool complained = false;
    for (size_t i = 0; i < complaint_count; i++)
        if (speaks_of(complaints[i], entry, length)) {
            say_complaint(doctor, complaints[i]);
            complained = true;
        }
    if (!complained)
        doctor_say(doctor, FINDING_OK, CHECK, NULL, "%s", entry);
}

/* Can a file be made at the template's path? "" and words are no paths; special files are left to their owners. */
static void say_place(struct doctor *doctor, const char *name, const char *path_template)
{
    char path[FUSELN_PATH_MAX], complaint[FUSELN_COMPLAINT_MAX], remedy[128];
    struct stat file;
    if (!*path_template || !strcmp(path_template, "stderr") || !strcmp(path_template, "stdout") ||
        fuseln_path_expand(path_template, fuseln_config_get()->folder, path, complaint))
        return;
    if (stat(path, &file) == 0) {
        if (!S_ISDIR(file.st_mode) && (!S_ISREG(file.st_mode) || access(path, W_OK) == 0))
            return;
        errno = S_ISDIR(file.st_mode) ? EISDIR : errno;
    } else {
        char folder[FUSELN_PATH_MAX];
        strcpy(folder, path);
        char *slash = strrchr(folder, '/');
        strcpy(slash ? slash + (slash == folder) : folder, slash ? "" : ".");
        if (access(folder, W_OK | X_OK) == 0 && (stat(folder, &file) || S_ISDIR(file.st_mode)))
            return;
    }
    snprintf(remedy, sizeof remedy, "make the folder, or name a place in %s that this user may write to", name);
    doctor_say(doctor, FINDING_BAD, CHECK, remedy, "%s: %s cannot be written: %s", name, path, strerror(errno));
}

void doctor_check_settings(struct doctor *doctor)
{
    const struct fuseln_config *config = fuseln_config_get();
    const char *mode = getenv("FUSELN_MODE");
    bool any = false;
    fuseln_config_complain(collect);
    for (char **entry = environ; *entry; entry++)
        if (!strncmp(*entry, "FUSELN_", 7) && strchr(*entry, '=')) {
            say_variable(doctor, *entry);
            any = true;
        }
    if (!any)
        doctor_say(doctor, FINDING_OK, CHECK, NULL, "no variable of fuseln is set");
    say_place(doctor, "FUSELN_REPORT", config->report);
    say_place(doctor, "FUSELN_TRACE", config->trace);
    say_place(doctor, "FUSELN_LOG", config->log_path);
    if (mode && !strcmp(mode, "off"))
        doctor_say(doctor, doctor->program ? FINDING_BAD : FINDING_NOTE, CHECK, "unset FUSELN_MODE",
                   "FUSELN_MODE=off switches fuseln off");
    if (mode && !strcmp(mode, "observe"))
        doctor_say(doctor, FINDING_NOTE, CHECK, "unset FUSELN_MODE", "FUSELN_MODE=observe replaces nothing, it counts");
}
