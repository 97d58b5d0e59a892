/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See file.h.
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

/* The plain system call: glibc's fstat is younger than 2.28, and old seccomp profiles answer statx with EPERM. */
int fuseln_file_stat(int folder, const char *path, int flags, struct stat *ret_info)
{
    return syscall(SYS_newfstatat, folder, path, ret_info, flags) ? -errno : 0;
}

static int descriptor_stat(int fd, struct stat *ret_info)
{
    return fuseln_file_stat(fd, "", AT_EMPTY_PATH, ret_info);
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

size_t fuseln_file_read(const char *path, char *ret_text, size_t size)
{
    const int fd = fuseln_file_open(path, O_RDONLY, 0);
    const ssize_t length = fd < 0 ? 0 : read(fd, ret_text, size - 1);
    if (fd >= 0)
        close(fd);
    ret_text[length < 0 ? 0 : length] = '\0';
    return length < 0 ? 0 : (size_t)length;
}

static bool is_writable(int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY;
}

/* The inode number of a deleted file is reused at once (ext4, XFS), and so is the number of a closed descriptor. So we
 * mark our descriptors: this signal is set for their input and output, and never sent. The host's have none. */
enum { MARK = SIGWINCH };

static bool is_recorded(const struct fuseln_descriptor *descriptor, int fd)
{
    struct stat info;
    return fd > 0 && !descriptor_stat(fd, &info) && info.st_dev == atomic_load(&descriptor->device) &&
           info.st_ino == atomic_load(&descriptor->inode) &&
           (!atomic_load(&descriptor->marked) || fcntl(fd, F_GETSIG) == MARK);
}

void fuseln_descriptor_borrow(struct fuseln_descriptor *descriptor, int fd)
{
    struct stat info = {0};
    descriptor_stat(fd, &info);
    atomic_store(&descriptor->device, info.st_dev);
    atomic_store(&descriptor->inode, info.st_ino);
    atomic_store(&descriptor->marked, false);
    atomic_store(&descriptor->fd, fd);
}

void fuseln_descriptor_own(struct fuseln_descriptor *descriptor, int fd)
{
    const bool marked = !fcntl(fd, F_SETSIG, MARK) && fcntl(fd, F_GETSIG) == MARK;
    fuseln_descriptor_borrow(descriptor, fd);
    atomic_store(&descriptor->marked, marked);
}

void fuseln_descriptor_move(struct fuseln_descriptor *to, struct fuseln_descriptor *from)
{
    atomic_store(&to->device, atomic_load(&from->device));
    atomic_store(&to->inode, atomic_load(&from->inode));
    atomic_store(&to->marked, atomic_load(&from->marked));
    atomic_store(&to->fd, atomic_exchange(&from->fd, 0));
}

int fuseln_descriptor_get(const struct fuseln_descriptor *descriptor)
{
    const int fd = atomic_load(&descriptor->fd);
    return is_recorded(descriptor, fd) && is_writable(fd) ? fd : -EBADF;
}

void fuseln_descriptor_close(struct fuseln_descriptor *descriptor)
{
    const int fd = fuseln_descriptor_get(descriptor);
    atomic_store(&descriptor->fd, 0);
    if (fd >= 0)
        close(fd);
}

static struct fuseln_descriptor streams[3];

void fuseln_stream_record(void)
{
    static _Atomic bool recorded;
    struct stat info;
    if (atomic_exchange(&recorded, true))
        return;
    for (int number = STDOUT_FILENO; number <= STDERR_FILENO; number++) {
        /* A regular file that exec would close was opened by this program: it is data. */
        const bool inherited = !(fcntl(number, F_GETFD) & FD_CLOEXEC);
        if (!descriptor_stat(number, &info) && (inherited || !S_ISREG(info.st_mode)))
            fuseln_descriptor_borrow(&streams[number], number);
    }
}

int fuseln_stream_number(const char *name)
{
    return !strcmp(name, "stdout") ? STDOUT_FILENO : !strcmp(name, "stderr") ? STDERR_FILENO : -1;
}

/* If so, the program inherited it, replaced it for a while (a test that captures output) and has restored it. */
static bool is_the_parents(int number, const struct stat *info)
{
    char name[48];
    struct stat other;
    snprintf(name, sizeof name, "/proc/%d/fd/%d", (int)getppid(), number);
    return !fuseln_file_stat(AT_FDCWD, name, 0, &other) && fuseln_file_equal(info, &other);
}

static bool is_stream_by_kind(int number, const struct stat *info)
{
    struct stat other;
    const int other_number = STDOUT_FILENO + STDERR_FILENO - number;
    if (fcntl(number, F_GETFD) & FD_CLOEXEC)
        return false;
    if (S_ISCHR(info->st_mode))
        return info->st_rdev == makedev(1, 3) || isatty(number); /* /dev/null; not the device file of a GPU */
    if (S_ISREG(info->st_mode) && fcntl(number, F_GETFL) & O_APPEND)
        return true;
    if (!descriptor_stat(other_number, &other) && fuseln_file_equal(info, &other) && is_writable(other_number))
        return true;
    return is_the_parents(number, info);
}

int fuseln_stream_get(int number)
{
    struct stat info;
    fuseln_stream_record();
    if (descriptor_stat(number, &info) || !is_writable(number))
        return -EBADF;
    return is_recorded(&streams[number], number) || is_stream_by_kind(number, &info) ? number : -EBADF;
}

static bool is_descriptor_folder(const char *path)
{
    struct stat own, info;
    if (!strcmp(path, "/dev/fd") || !strcmp(path, "/proc/self/fd"))
        return true;
    /* Open while we look: an inode number in /proc stays valid only as long as the inode is open. */
    const int fd = fuseln_file_open("/proc/self/fd", O_PATH | O_DIRECTORY, 0);
    const bool same = fd >= 0 && !descriptor_stat(fd, &own) && !fuseln_file_stat(AT_FDCWD, path, 0, &info) &&
                      fuseln_file_equal(&own, &info);
    if (fd >= 0)
        close(fd);
    return same;
}

/* The number that path itself says; no link is followed. */
static int written_number(char *path)
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
    const bool is_descriptor = is_descriptor_folder(path);
    *slash = '/';
    return is_descriptor ? atoi(slash + 1) : -1;
}

/* Path becomes the target of the link that it names: the target starts in the link's folder unless it is absolute.
 * False if it does not fit. */
static bool replace_link(char path[], size_t size, const char *target, size_t length)
{
    const char *slash = strrchr(path, '/');
    const size_t folder = *target != '/' && slash ? (size_t)(slash + 1 - path) : 0;
    if (folder + length >= size)
        return false;
    memcpy(path + folder, target, length);
    path[folder + length] = '\0';
    return true;
}

int fuseln_file_number(const char *path)
{
    char at[256], target[256]; /* a longer path names no descriptor */
    if (strlen(path) >= sizeof at)
        return -1;
    strcpy(at, path);
    for (int links = 0; links < 8; links++) {
        const int number = written_number(at);
        const ssize_t length = number < 0 ? readlink(at, target, sizeof target) : -1; /* all 256: cut off */
        if (length < 0)
            return number;
        if (!replace_link(at, sizeof at, target, (size_t)length))
            return -1;
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
    const int error = fuseln_file_stat(AT_FDCWD, path, 0, &folder);
    slash[1] = first;
    return error || ((folder.st_mode & S_ISVTX) && (folder.st_mode & S_IWOTH) && folder.st_uid != info->st_uid);
}

/* A link on procfs stands for a file that some process has open; its text is not a path to that file. */
static bool is_on_procfs(int fd)
{
    struct statfs system;
    return !fstatfs(fd, &system) && system.f_type == PROC_SUPER_MAGIC;
}

/* Follows the link at path. 0; 1 if there is no link to follow; -errno. */
static int follow(char path[], size_t size, bool *ret_open_file)
{
    static char target[4096];
    struct stat info;
    const int fd = fuseln_file_open(path, O_PATH | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd == -ENOENT ? 1 : fd;
    int error = descriptor_stat(fd, &info);
    const bool is_link = !error && S_ISLNK(info.st_mode);
    const ssize_t length = is_link ? readlinkat(fd, "", target, sizeof target) : 0;
    error = length < 0 ? -errno : error;
    const bool on_procfs = is_link && is_on_procfs(fd);
    close(fd);
    if (error || length == 0 || fuseln_file_is_planted(path, &info))
        return error ? error : 1;
    *ret_open_file = on_procfs;
    if (on_procfs)
        return 1;
    return length < (ssize_t)sizeof target && replace_link(path, size, target, (size_t)length) ? 0 : -ENAMETOOLONG;
}

int fuseln_file_resolve(char path[], size_t size, bool *ret_open_file)
{
    enum { LINKS_MAX = 40 }; /* the kernel's limit */
    int error = 0;
    *ret_open_file = false;
    for (int links = 0; !error; links++)
        error = links > LINKS_MAX ? -ELOOP : follow(path, size, ret_open_file);
    return error < 0 ? error : 0;
}
