/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor's look at the program: will the loader take a preload into it? A script is followed to its interpreter.
 */
#include "tools/fuseln/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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

/* As execvp does. 0 or -errno. */
static int find_in_path(const char *name, char ret_path[PATH_MAX])
{
    const char *folders = getenv("PATH");
    char path[PATH_MAX];
    int error = -ENOENT;
    if (strchr(name, '/')) {
        snprintf(ret_path, PATH_MAX, "%s", name);
        return is_runnable(name) ? 0 : access(name, F_OK) ? -errno : -EACCES;
    }
    for (const char *folder = folders ? folders : "/bin:/usr/bin"; *name;) {
        const int length = (int)strcspn(folder, ":");
        snprintf(path, sizeof path, "%.*s%s%s", length, folder, length ? "/" : "", name);
        if (is_runnable(path)) {
            snprintf(ret_path, PATH_MAX, "%s", path);
            return 0;
        }
        if (access(path, F_OK) == 0)
            error = -EACCES;
        if (!folder[length])
            break;
        folder += length + 1;
    }
    return error;
}

/* The interpreter on the first line, if it begins with #!. */
static bool read_interpreter(const char *path, char ret_interpreter[PATH_MAX])
{
    char line[256 + 1];
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const ssize_t size = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    if (fd >= 0)
        close(fd);
    if (size < 3 || memcmp(line, "#!", 2))
        return false;
    line[size] = '\0';
    char *word = line + 2 + strspn(line + 2, " \t");
    word[strcspn(word, " \t\r\n")] = '\0';
    snprintf(ret_interpreter, PATH_MAX, "%s", word);
    return *word != '\0';
}

/* What makes the loader distrust the environment (AT_SECURE), or NULL. */
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

static bool say_file(struct doctor *doctor, const char *path)
{
    struct doctor_elf elf;
    const int error = doctor_elf_read(path, &elf);
    const char *secure = secure_because(path);
    if (error == -EACCES) {
        doctor_say(doctor, FINDING_NOTE, CHECK, NULL, "%s may not be read, so only its run can tell", path);
        return true;
    }
    if (error)
        doctor_say(doctor, FINDING_BAD, CHECK, "name the program itself", "%s is neither a program nor a script: %s",
                   path, strerror(-error));
    else if (!elf.same_machine)
        doctor_say(doctor, FINDING_BAD, CHECK, "use a program and a libfuseln.so of the same architecture",
                   "%s is for another architecture (%s): a preload cannot get into it", path, doctor_elf_machine(&elf));
    else if (!elf.interpreter[0])
        doctor_say(doctor, FINDING_BAD, CHECK, "link it dynamically: with a shared C library",
                   "%s is statically linked: LD_PRELOAD has no effect on it", path);
    else if (strstr(elf.interpreter, "/ld-musl"))
        doctor_say(doctor, FINDING_BAD, CHECK, "use an image or a build with glibc (Debian, not Alpine)",
                   "%s uses the C library musl (%s): libfuseln.so needs glibc", path, elf.interpreter);
    else if (access(elf.interpreter, F_OK))
        doctor_say(doctor, FINDING_BAD, CHECK, "install the C library that it was built for",
                   "%s needs the loader %s, which is not there", path, elf.interpreter);
    else if (secure)
        doctor_say(doctor, FINDING_BAD, CHECK, "run a copy without that bit (chmod u-s,g-s; setcap -r)",
                   "%s %s: the loader ignores LD_PRELOAD there", path, secure);
    else
        return true;
    return false;
}

void doctor_check_program(struct doctor *doctor)
{
    static char invoked[PATH_MAX];
    char path[PATH_MAX], next[PATH_MAX];
    const int error = find_in_path(doctor->program[0], path);
    unsigned scripts = 0;
    snprintf(invoked, sizeof invoked, "%s", doctor->program[0]);
    if (error) {
        doctor_say(doctor, FINDING_BAD, CHECK, "check its name and its rights (chmod +x), or give its whole path",
                   "%s: %s", doctor->program[0], error == -ENOENT ? "not found" : strerror(-error));
        return;
    }
    while (read_interpreter(path, next)) {
        if (!is_runnable(next) || ++scripts > SCRIPTS_MAX) {
            doctor_say(doctor, FINDING_BAD, CHECK, "correct its first line", "%s: its interpreter %s cannot be run",
                       path, next);
            return;
        }
        strcpy(path, next);
        strcpy(invoked, next);
    }
    if (!say_file(doctor, path))
        return;
    doctor_say(doctor, FINDING_OK, CHECK, NULL, "%s%s%s can take a preload", scripts ? doctor->program[0] : path,
               scripts ? ", run by " : "", scripts ? path : "");
    if (!realpath(path, doctor->executable))
        snprintf(doctor->executable, sizeof doctor->executable, "%s", path);
    doctor->invoked = strrchr(invoked, '/') ? strrchr(invoked, '/') + 1 : invoked;
}
