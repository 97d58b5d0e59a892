/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor's look at the program: will the loader take a preload into it? A script is followed to its interpreter.
 */
#include "tools/fuseln/doctor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CHECK "program"
enum { SCRIPTS_MAX = 5 };

static bool is_runnable(const char *path)
{
    struct stat file;
    return access(path, X_OK) == 0 && stat(path, &file) == 0 && S_ISREG(file.st_mode);
}

/* As execvp does: the first file of that name in PATH that can be run. 0, EACCES if there are only others, or ENOENT.
 */
static int find_in_path(const char *name, char ret_path[PATH_MAX])
{
    const char *path = getenv("PATH");
    char *folders = strdup(strchr(name, '/') ? "" : path ? path : "/bin:/usr/bin"), *rest = folders;
    int error = ENOENT;
    for (char *folder; error && (folder = strsep(&rest, ":"));) {
        snprintf(ret_path, PATH_MAX, "%s%s%s", folder, *folder ? "/" : "", name);
        if (is_runnable(ret_path))
            error = 0;
        else if (access(ret_path, F_OK) == 0)
            error = EACCES;
    }
    free(folders);
    return error;
}

/* What makes the loader distrust the environment (AT_SECURE), or NULL. Root gains nothing from file capabilities, and
 * no one gains anything on a file system that is mounted nosuid. */
static const char *secure_because(const char *path)
{
    struct stat file;
    struct statvfs mount;
    if (stat(path, &file) || (statvfs(path, &mount) == 0 && mount.f_flag & ST_NOSUID))
        return NULL;
    if (file.st_mode & S_ISUID && file.st_uid != getuid())
        return "is setuid";
    if ((file.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && file.st_gid != getgid())
        return "is setgid";
    if (getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0)
        return "has file capabilities";
    return NULL;
}

/* Follows scripts from doctor->invoked to the file that the system will execute. False if there is none; it has said
 * why. */
static bool follow_scripts(struct doctor *doctor, struct doctor_file *ret_file)
{
    char *path = doctor->invoked;
    for (unsigned scripts = 0; access(path, R_OK) == 0; scripts++) {
        const char *wrong = doctor_file_read(path, "is neither a program nor a script", ret_file);
        if (wrong)
            doctor_say(BAD, CHECK, "name the program itself, of the architecture of libfuseln.so", "%s %s", path,
                       wrong);
        if (wrong || !ret_file->script)
            return !wrong;
        if (scripts == SCRIPTS_MAX || !is_runnable(ret_file->interpreter)) {
            doctor_say(BAD, CHECK, "correct its first line", "%s: its interpreter %s cannot be run", path,
                       ret_file->interpreter);
            return false;
        }
        doctor_say(OK, CHECK, NULL, "%s is a script, run by %s", path, ret_file->interpreter);
        strcpy(path, ret_file->interpreter);
    }
    return true;
}

static bool takes_preload(const char *path, const char *loader)
{
    const char *secure = secure_because(path);
    if (access(path, R_OK)) {
        doctor_say(NOTE, CHECK, NULL, "%s may not be read, so only its run can tell", path);
        return true;
    }
    if (!*loader)
        doctor_say(BAD, CHECK, "link it dynamically: with a shared C library",
                   "%s is statically linked: LD_PRELOAD has no effect on it", path);
    else if (strstr(loader, "/ld-musl"))
        doctor_say(BAD, CHECK, "use an image or a build with glibc (Debian, not Alpine)",
                   "%s uses the C library musl (%s): libfuseln.so needs glibc", path, loader);
    else if (access(loader, F_OK))
        doctor_say(BAD, CHECK, "install the C library that it was built for",
                   "%s needs the loader %s, which is not there", path, loader);
    else if (secure)
        doctor_say(BAD, CHECK, "run a copy without that bit (chmod u-s,g-s; setcap -r)",
                   "%s %s: the loader ignores LD_PRELOAD there", path, secure);
    else
        return true;
    return false;
}

void doctor_check_program(struct doctor *doctor)
{
    struct doctor_file file = {0};
    const int error = find_in_path(doctor->program[0], doctor->invoked);
    if (error)
        doctor_say(BAD, CHECK, "check its name and its rights (chmod +x), or give its whole path", "%s: %s",
                   doctor->program[0], error == ENOENT ? "not found" : strerror(error));
    if (error || !follow_scripts(doctor, &file) || !takes_preload(doctor->invoked, file.interpreter))
        return;
    doctor_say(OK, CHECK, NULL, "%s can take a preload", doctor->invoked);
    if (!realpath(doctor->invoked, doctor->executable))
        strcpy(doctor->executable, doctor->invoked);
}
