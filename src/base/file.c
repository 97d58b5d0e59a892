/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See file.h. The look at a file is the plain system call: glibc's fstat is younger than 2.28, and old seccomp profiles
 * answer statx with EPERM.
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

int fuseln_file_look(int folder, const char *path, int flags, struct stat *ret_info)
{
    return syscall(SYS_newfstatat, folder, path, ret_info, flags) ? -errno : 0;
}

static int descriptor_look(int fd, struct stat *ret_info)
{
    return fuseln_file_look(fd, "", AT_EMPTY_PATH, ret_info);
}

int fuseln_file_open(const char *path, int flags, mode_t mode)
{
    int fd = open(path, flags | O_CLOEXEC | O_NOCTTY, mode);
    if (fd < 0)
        return -errno;
    if (fd > 2)
        return fd;
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int error = errno;
    close(fd);
    return higher < 0 ? -error : higher;
}

static bool is_writable(int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY;
}

/* The number of a file that was deleted is given to the next one at once (ext4, XFS), and so is a descriptor's. But
 * what the host opens itself has no signal set for input and output; ours has this one, which nothing ever sends. */
enum { MARK = SIGWINCH };

static bool is_as_noted(const struct fuseln_descriptor *descriptor, int fd)
{
    struct stat info;
    return fd > 0 && !descriptor_look(fd, &info) && info.st_dev == atomic_load(&descriptor->device) &&
           info.st_ino == atomic_load(&descriptor->inode) &&
           (!atomic_load(&descriptor->marked) || fcntl(fd, F_GETSIG) == MARK);
}

int fuseln_descriptor_own(struct fuseln_descriptor *descriptor, int fd)
{
    const bool marked = !fcntl(fd, F_SETSIG, MARK) && fcntl(fd, F_GETSIG) == MARK;
    const int before = fuseln_descriptor_note(descriptor, fd);
    atomic_store(&descriptor->marked, marked);
    return before;
}

void fuseln_descriptor_move(struct fuseln_descriptor *to, struct fuseln_descriptor *from)
{
    atomic_store(&to->device, atomic_load(&from->device));
    atomic_store(&to->inode, atomic_load(&from->inode));
    atomic_store(&to->marked, atomic_load(&from->marked));
    atomic_store(&to->fd, atomic_exchange(&from->fd, 0));
}

int fuseln_descriptor_note(struct fuseln_descriptor *descriptor, int fd)
{
    struct stat info = {0};
    descriptor_look(fd, &info);
    atomic_store(&descriptor->device, info.st_dev);
    atomic_store(&descriptor->inode, info.st_ino);
    atomic_store(&descriptor->marked, false);
    return atomic_exchange(&descriptor->fd, fd);
}

int fuseln_descriptor_get(const struct fuseln_descriptor *descriptor)
{
    const int fd = atomic_load(&descriptor->fd);
    return is_as_noted(descriptor, fd) && is_writable(fd) ? fd : -EBADF;
}

void fuseln_descriptor_drop(struct fuseln_descriptor *descriptor)
{
    const int fd = fuseln_descriptor_get(descriptor);
    atomic_store(&descriptor->fd, 0);
    if (fd >= 0)
        close(fd);
}

static struct fuseln_descriptor streams[3];
static _Atomic bool looked;

void fuseln_stream_look(void)
{
    struct stat info;
    if (atomic_exchange(&looked, true))
        return;
    for (int number = STDOUT_FILENO; number <= STDERR_FILENO; number++) {
        /* A file that an exec would close did not come with this program. */
        const bool inherited = !(fcntl(number, F_GETFD) & FD_CLOEXEC);
        if (!descriptor_look(number, &info) && (inherited || !S_ISREG(info.st_mode)))
            fuseln_descriptor_note(&streams[number], number);
    }
}

/* It was handed down, then, and is back where a program had something else there for a while (a test that captures). */
static bool is_the_parents(int number, const struct stat *info)
{
    char name[48];
    struct stat other;
    snprintf(name, sizeof name, "/proc/%d/fd/%d", (int)getppid(), number);
    return !fuseln_file_look(AT_FDCWD, name, 0, &other) && fuseln_file_equal(info, &other);
}

static bool is_stream_by_kind(int number, const struct stat *info)
{
    struct stat other;
    const int other_number = STDOUT_FILENO + STDERR_FILENO - number;
    if (fcntl(number, F_GETFD) & FD_CLOEXEC)
        return false;
    if (S_ISCHR(info->st_mode))
        return info->st_rdev == makedev(1, 3) || isatty(number); /* /dev/null; not a GPU's device file */
    if (S_ISREG(info->st_mode) && fcntl(number, F_GETFL) & O_APPEND)
        return true;
    if (!descriptor_look(other_number, &other) && fuseln_file_equal(info, &other) && is_writable(other_number))
        return true;
    return is_the_parents(number, info);
}

int fuseln_stream_get(int number)
{
    struct stat info;
    fuseln_stream_look();
    if (descriptor_look(number, &info) || !is_writable(number))
        return -EBADF;
    return is_as_noted(&streams[number], number) || is_stream_by_kind(number, &info) ? number : -EBADF;
}

enum { NAME_BYTES = 256 }; /* no longer name stands for a descriptor */

static bool is_descriptor_folder(const char *path)
{
    struct stat wanted, info;
    if (!strcmp(path, "/dev/fd") || !strcmp(path, "/proc/self/fd"))
        return true;
    /* Held open while the two are compared: a number of an inode in /proc lives as long as it is in use. */
    const int fd = fuseln_file_open("/proc/self/fd", O_PATH | O_DIRECTORY, 0);
    const bool same = fd >= 0 && !descriptor_look(fd, &wanted) && !fuseln_file_look(AT_FDCWD, path, 0, &info) &&
                      fuseln_file_equal(&wanted, &info);
    if (fd >= 0)
        close(fd);
    return same;
}

/* The number that this very name says, without following it. */
static int number_of(char *path)
{
    static const char *const names[] = {"/dev/stdin", "/dev/stdout", "/dev/stderr"};
    for (int number = 0; number < 3; number++)
        if (!strcmp(path, names[number]))
            return number;
    char *slash = strrchr(path, '/');
    const size_t digits = slash ? strspn(slash + 1, "0123456789") : 0;
    if (digits == 0 || digits > 9 || slash[1 + digits])
        return -1;
    *slash = '\0';
    const bool named = is_descriptor_folder(path);
    *slash = '/';
    return named ? atoi(slash + 1) : -1;
}

int fuseln_file_number(const char *path)
{
    char at[NAME_BYTES], target[NAME_BYTES];
    if (strlen(path) >= sizeof at)
        return -1;
    strcpy(at, path);
    for (int links = 0; links < 8; links++) {
        const int number = number_of(at);
        const ssize_t length = number < 0 ? readlink(at, target, sizeof target - 1) : -1;
        if (length < 0)
            return number;
        const char *slash = strrchr(at, '/');
        const size_t folder = *target != '/' && slash ? (size_t)(slash + 1 - at) : 0;
        if (folder + (size_t)length >= sizeof at)
            return -1;
        memcpy(at + folder, target, (size_t)length);
        at[folder + (size_t)length] = '\0';
    }
    return -1;
}

bool fuseln_file_is_planted(char *path, const struct stat *info)
{
    struct stat folder;
    char *slash = strrchr(path, '/');
    if (!slash || info->st_uid == geteuid())
        return false;
    const char first = slash[1];
    slash[1] = '\0';
    const int error = fuseln_file_look(AT_FDCWD, path, 0, &folder);
    slash[1] = first;
    return error || ((folder.st_mode & S_ISVTX) && (folder.st_mode & S_IWOTH) && folder.st_uid != info->st_uid);
}

/* On procfs a link is not what its text says: it stands for a file that some process has open. */
static bool is_open_file(char *path)
{
    struct statfs system;
    char *slash = strrchr(path, '/');
    const char first = slash ? slash[1] : '\0';
    if (!slash)
        return false;
    slash[1] = '\0';
    const bool known = !statfs(path, &system);
    slash[1] = first;
    return known && system.f_type == PROC_SUPER_MAGIC;
}

/* The text of the link at path in its place. 0; 1 where there is none that is to be followed; -errno. */
static int follow(char path[], size_t size, bool *ret_open_file)
{
    static char target[4096];
    struct stat info;
    int fd = fuseln_file_open(path, O_PATH | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd == -ENOENT ? 1 : fd;
    int error = descriptor_look(fd, &info);
    ssize_t length = error || !S_ISLNK(info.st_mode) ? 0 : readlinkat(fd, "", target, sizeof target);
    error = length < 0 ? -errno : error;
    close(fd);
    if (error || length == 0 || fuseln_file_is_planted(path, &info))
        return error ? error : 1;
    if ((*ret_open_file = is_open_file(path)))
        return 1;
    const char *slash = strrchr(path, '/');
    const size_t folder = *target != '/' && slash ? (size_t)(slash + 1 - path) : 0;
    if (folder + (size_t)length >= size || length == sizeof target)
        return -ENAMETOOLONG;
    memcpy(path + folder, target, (size_t)length);
    path[folder + (size_t)length] = '\0';
    return 0;
}

int fuseln_file_resolve(char path[], size_t size, bool *ret_open_file)
{
    enum { LINKS_MAX = 40 }; /* as the kernel has it */
    int error = 0;
    *ret_open_file = false;
    for (int links = 0; !error; links++)
        error = links > LINKS_MAX ? -ELOOP : follow(path, size, ret_open_file);
    return error < 0 ? error : 0;
}
