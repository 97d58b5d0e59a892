/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor's first check: libfuseln.so beside the command is there, is for this machine, loads, and is of the same
 * build as the command.
 */
#include "tools/fuseln/doctor.h"

#include "version.h"

#include <dlfcn.h>
#include <string.h>

enum { LOADING_SECONDS = 20 };
#define CHECK  "library"
#define REMEDY "install fuseln anew: the command, and libfuseln.so beside it or in ../lib"

struct loading {
    const char *path;
    char error[1024]; /* "": it loads */
};

/* In a child process: a file that is cut off crashes the loader. */
static void load(void *argument)
{
    struct loading *loading = argument;
    if (!dlopen(loading->path, RTLD_NOW | RTLD_LOCAL))
        snprintf(loading->error, sizeof loading->error, "%s", dlerror());
}

/* If it does not, says why. */
static bool loads(struct doctor *doctor, const char *path)
{
    struct loading *loading = doctor_share(sizeof *loading);
    loading->path = path;
    const char *failure = doctor_try(load, loading, LOADING_SECONDS);
    if (!failure && !*loading->error)
        return true;
    doctor_say(doctor, FINDING_BAD, CHECK, REMEDY, "libfuseln.so does not load: %s%s",
               failure ? "a process with it " : "", failure ? failure : loading->error);
    return false;
}

static bool can_preload(struct doctor *doctor, const char *path)
{
    struct doctor_file file;
    const char *wrong = doctor_file_read(path, "is damaged: not an ELF file", &file);
    if (wrong)
        doctor_say(doctor, FINDING_BAD, CHECK, REMEDY, "%s %s", path, wrong);
    else if (!fuseln_command_can_preload(path))
        doctor_say(doctor, FINDING_BAD, CHECK, "move it to a folder whose name has none", "%s: " FUSELN_CANNOT_PRELOAD,
                   path);
    else
        return true;
    return false;
}

void doctor_check_library(struct doctor *doctor)
{
    /* The library exports nothing of its own that tells its build, but its log and its report have both as text. */
    static const char version[] = "fuseln " FUSELN_VERSION, commit[] = FUSELN_COMMIT;
    char path[PATH_MAX];
    if (!fuseln_command_library(path)) {
        doctor_say(doctor, FINDING_BAD, CHECK, REMEDY, "no libfuseln.so beside this command");
        return;
    }
    if (!can_preload(doctor, path) || !loads(doctor, path))
        return;
    strcpy(doctor->library, path);
    if (doctor_file_contains(path, version, sizeof version - 1) && doctor_file_contains(path, commit, sizeof commit))
        doctor_say(doctor, FINDING_OK, CHECK, NULL, "%s loads (%s, commit %s)", path, FUSELN_VERSION, FUSELN_COMMIT);
    else
        doctor_say(doctor, FINDING_NOTE, CHECK, "build or install both at once",
                   "%s loads, but is of another build than this command (%s, commit %s)", path, FUSELN_VERSION,
                   FUSELN_COMMIT);
}
