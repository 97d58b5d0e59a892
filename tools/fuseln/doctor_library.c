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

/* Says what is wrong with it, and returns false; or returns true. */
static bool is_usable(const char *path)
{
    struct loading *loading = doctor_share(sizeof *loading);
    struct doctor_file file;
    const char *wrong = doctor_file_read(path, "is damaged: not an ELF file", &file), *failure;
    loading->path = path;
    if (wrong)
        doctor_say(BAD, CHECK, REMEDY, "%s %s", path, wrong);
    else if (!fuseln_start_can_preload(path))
        doctor_say(BAD, CHECK, "move it to a folder whose name has none", "%s: " FUSELN_CANNOT_PRELOAD, path);
    else if ((failure = doctor_try(load, loading, LOADING_SECONDS)))
        doctor_say(BAD, CHECK, REMEDY, "libfuseln.so does not load: a process with it %s", failure);
    else if (*loading->error)
        doctor_say(BAD, CHECK, REMEDY, "libfuseln.so does not load: %s", loading->error);
    else
        return true;
    return false;
}

void doctor_check_library(struct doctor *doctor)
{
    /* The library exports nothing of its own that tells its build, but its log and its report have both as text. */
    static const char version[] = "fuseln " FUSELN_VERSION, commit[] = FUSELN_COMMIT;
    char path[PATH_MAX];
    if (!fuseln_start_library(path)) {
        doctor_say(BAD, CHECK, REMEDY, "no libfuseln.so beside this command");
        return;
    }
    if (!is_usable(path))
        return;
    strcpy(doctor->library, path);
    if (doctor_file_contains(path, version, sizeof version - 1) && doctor_file_contains(path, commit, sizeof commit))
        doctor_say(OK, CHECK, NULL, "%s loads (%s, commit %s)", path, FUSELN_VERSION, FUSELN_COMMIT);
    else
        doctor_say(NOTE, CHECK, "build or install both at once",
                   "%s loads, but is of another build than this command (%s, commit %s)", path, FUSELN_VERSION,
                   FUSELN_COMMIT);
}
