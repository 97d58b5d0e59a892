/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor's check of the FUSELN_ variables: those of this environment, as the library itself reads them. The parser
 * is the library's (src/base/config.c, from the archive).
 */
#include "tools/fuseln/doctor.h"

#include "base/config.h"
#include "base/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK "environment"

/* The variable whose complaints say_complaint prints: fuseln_config_complain passes no argument on to it. */
static struct {
    const char *variable; /* and its value, as in the environment */
    bool complained;
} current;

static void say_complaint(const char *text, int length)
{
    const size_t name = strcspn(current.variable, "=");
    if (strncmp(text, current.variable, name) != 0 || !strchr("=: ", text[name]))
        return;
    char *complaint = fuseln_text("%.*s", length, text);
    const bool unknown = strstr(complaint, " is not a variable of fuseln") != NULL;
    const bool bad = strstr(complaint, " is not valid (") || strstr(complaint, " is left out");
    doctor_say(bad ? BAD : NOTE, CHECK, unknown ? "correct its name, or unset it" : "correct it, or unset it", "%s",
               complaint);
    free(complaint);
    current.complained = true;
}

static void say_path(const char *variable, const char *path_template)
{
    char path[FUSELN_PATH_MAX], complaint[FUSELN_COMPLAINT_MAX], remedy[128];
    if (!*path_template || !strcmp(path_template, "stderr") || !strcmp(path_template, "stdout") ||
        fuseln_path_expand(path_template, fuseln_config_get()->folder, path, complaint))
        return;
    const int error = fuseln_write_error(path);
    snprintf(remedy, sizeof remedy, "make the folder, or set %s to a path that this user may write to", variable);
    if (error)
        doctor_say(BAD, CHECK, remedy, "%s: %s cannot be written: %s", variable, path, strerror(error));
}

void doctor_check_settings(const struct doctor *doctor)
{
    const struct fuseln_config *config = fuseln_config_get();
    const char *mode = getenv("FUSELN_MODE");
    bool any = false;
    for (char **entry = environ; *entry; entry++) {
        if (strncmp(*entry, "FUSELN_", 7) != 0 || !strchr(*entry, '='))
            continue;
        current.variable = *entry;
        current.complained = false;
        fuseln_config_complain(say_complaint);
        if (!current.complained)
            doctor_say(OK, CHECK, NULL, "%s", *entry);
        any = true;
    }
    if (!any)
        doctor_say(OK, CHECK, NULL, "no variable of fuseln is set");
    say_path("FUSELN_REPORT", config->report);
    say_path("FUSELN_TRACE", config->trace);
    say_path("FUSELN_LOG", config->log_path);
    if (mode && !strcmp(mode, "off"))
        doctor_say(doctor->program ? BAD : NOTE, CHECK, "unset FUSELN_MODE", "FUSELN_MODE=off switches fuseln off");
    if (mode && !strcmp(mode, "observe"))
        doctor_say(NOTE, CHECK, "unset FUSELN_MODE", "FUSELN_MODE=observe replaces nothing, it counts");
}
