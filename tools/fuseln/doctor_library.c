/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor's first check: libfuseln.so beside the command is there, is for this machine, loads, and is of the same
 * build as the command.
 */
#include "tools/fuseln/doctor.h"

#include "version.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK  "library"
#define REMEDY "install fuseln anew: the command, and libfuseln.so beside it or in ../lib"

struct loading {
    const char *path;
    int output; /* a file in memory, for what the loader says */
};

/* Not by dlopen: its thread-local storage must be there from the start. This command is started with it instead, to
 * print its version; the loader says on stderr what it could not preload. */
static void start_with_it(void *shared)
{
    const struct loading *loading = shared;
    if (setenv("LD_PRELOAD", loading->path, 1) == 0 && dup2(loading->output, STDERR_FILENO) >= 0)
        execl("/proc/self/exe", "fuseln", "--version", (char *)NULL);
    _exit(127);
}

/* The reason in "ERROR: ld.so: object '...' from LD_PRELOAD cannot be preloaded (REASON): ignored." */
static void shorten(char *text)
{
    char *reason = strstr(text, "cannot be preloaded (");
    if (reason)
        memmove(text, reason + 21, strlen(reason + 21) + 1);
    char *end = strstr(text, "): ignored");
    text[end ? (size_t)(end - text) : strcspn(text, "\n")] = '\0';
}

/* "" if it loads. */
static void try_to_load(const char *path, char *ret_error, size_t size)
{
    struct loading loading = {path, memfd_create("loader", MFD_CLOEXEC)};
    const char *end = doctor_apart(start_with_it, &loading, 20);
    const ssize_t length = pread(loading.output, ret_error, size - 1, 0);
    ret_error[length > 0 ? length : 0] = '\0';
    shorten(ret_error);
    if (end && !*ret_error)
        snprintf(ret_error, size, "%s", end);
    close(loading.output);
}

/* The library exports nothing of its own that would tell its build, but its log and its report hold both as text. */
static bool holds_version(const char *path)
{
    static const char version[] = "fuseln " FUSELN_VERSION, commit[] = FUSELN_COMMIT;
    struct stat file;
    bool found = false;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (fstat(fd, &file) == 0 && file.st_size > 0) {
        const size_t size = (size_t)file.st_size;
        void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes != MAP_FAILED) {
            found = memmem(bytes, size, version, sizeof version - 1) && memmem(bytes, size, commit, sizeof commit);
            munmap(bytes, size);
        }
    }
    close(fd);
    return found;
}

static bool is_good(struct doctor *doctor, const char *path)
{
    struct doctor_elf elf;
    char failure[1024];
    const int error = doctor_elf_read(path, &elf);
    if (error) {
        doctor_say(doctor, FINDING_BAD, CHECK, REMEDY, "%s %s%s", path,
                   error == -ENOEXEC ? "is damaged: not an ELF file" : "cannot be read: ",
                   error == -ENOEXEC ? "" : strerror(-error));
        return false;
    }
    if (!elf.same_machine) {
        doctor_say(doctor, FINDING_BAD, CHECK, REMEDY, "%s is for another architecture (%s)", path,
                   doctor_elf_machine(&elf));
        return false;
    }
    if (!fuseln_command_can_preload(path)) {
        doctor_say(doctor, FINDING_BAD, CHECK, "move it to a folder whose name has none", "%s: " FUSELN_CANNOT_PRELOAD,
                   path);
        return false;
    }
    try_to_load(path, failure, sizeof failure);
    if (*failure) {
        doctor_say(doctor, FINDING_BAD, CHECK, REMEDY, "%s does not load: %s", path, failure);
        return false;
    }
    return true;
}

void doctor_check_library(struct doctor *doctor)
{
    char path[PATH_MAX];
    if (!fuseln_command_library(path)) {
        doctor_say(doctor, FINDING_BAD, CHECK, REMEDY, "no libfuseln.so beside this command");
        return;
    }
    if (!is_good(doctor, path))
        return;
    snprintf(doctor->library, sizeof doctor->library, "%s", path);
    if (holds_version(path))
        doctor_say(doctor, FINDING_OK, CHECK, NULL, "%s loads (%s, commit %s)", path, FUSELN_VERSION, FUSELN_COMMIT);
    else
        doctor_say(doctor, FINDING_NOTE, CHECK, "build or install both at once",
                   "%s loads, but is of another build than this command (%s, commit %s)", path, FUSELN_VERSION,
                   FUSELN_COMMIT);
}
