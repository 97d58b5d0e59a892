/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files told apart by device and inode, not by name or descriptor number: a host closes descriptors and reuses their
 * numbers, and in a folder that everybody may write to, others choose the names. Called by output, config and report.
 * Thread-safe except fuseln_file_resolve; no allocation; errors are -errno.
 */
#ifndef FUSELN_FILE_H
#define FUSELN_FILE_H

#include <stdatomic.h>
#include <sys/stat.h>

#include "base/fuseln.h"

/* fstatat(2). Only -ENOENT means that nothing is there. */
int fuseln_file_stat(int folder, const char *path, int flags, struct stat *ret_info);
static inline bool fuseln_file_equal(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* open(2) with O_CLOEXEC. Never returns 0, 1 or 2, which the host may have closed. */
int fuseln_file_open(const char *path, int flags, mode_t mode);
/* Reads up to size - 1 bytes and ends them by NUL; returns how many they are, 0 if the file cannot be read. */
size_t fuseln_file_read(const char *path, char *ret_text, size_t size);

/* A descriptor, and which file it was when we recorded it. Zeroed: none. */
struct fuseln_descriptor {
    _Atomic int fd; /* 0: none */
    _Atomic uint64_t device, inode;
    atomic_bool marked;
};
/* Records a descriptor of the host. */
void fuseln_descriptor_borrow(struct fuseln_descriptor *descriptor, int fd);
/* Records a descriptor that we have just opened, and marks it: whatever the host opens later under the same number is
 * not mistaken for it. */
void fuseln_descriptor_own(struct fuseln_descriptor *descriptor, int fd);
void fuseln_descriptor_move(struct fuseln_descriptor *to, struct fuseln_descriptor *from);
/* The descriptor if it is still the recorded file and may be written to, else -EBADF. */
int fuseln_descriptor_get(const struct fuseln_descriptor *descriptor);
/* Closes the descriptor if it is still ours, and clears the record. Async-signal-safe. */
void fuseln_descriptor_close(struct fuseln_descriptor *descriptor);

/* Records what stdout and stderr are. Only the first call counts. */
void fuseln_stream_record(void);
/* The number that "stdout" or "stderr" means; -1 for any other name. */
int fuseln_stream_number(const char *name);
/*
 * The descriptor of stdout (1) or stderr (2), or -EBADF if that number no longer is a stream but data of the program.
 * It is a stream if it is still what was recorded. Something else that the program put there is one only if the program
 * can have meant nothing else: a terminal or /dev/null, a regular file in append mode, the same file as the other of
 * the two or as that number in the parent process; but never a descriptor that exec would close. Any other regular
 * file, pipe or socket may be data.
 */
int fuseln_stream_get(int number);

/* The descriptor of this process that path stands for (/dev/stderr, /dev/stdout, /dev/fd/N, /proc/self/fd/N, or a link
 * to one), else -1. */
int fuseln_file_number(const char *path);

/*
 * Replaces path by what it leads to. Follows every symbolic link, dangling ones too, except a planted one (see below)
 * and one that stands for a file that some process has open (/proc/1/fd/1): *ret_open_file is then true, and the file
 * can be written to by that name only. Returns 0 even if nothing is there; -errno if the system does not tell. One
 * caller at a time.
 */
int fuseln_file_resolve(char path[], size_t size, bool *ret_open_file);
/* Did someone else put this link or FIFO into a folder that everybody may write to? (fs.protected_symlinks and
 * fs.protected_fifos guard against it, but many containers turn them off, and they do not cover every way of opening.)
 * path is restored before return. */
bool fuseln_file_is_planted(char *path, const struct stat *info);

#endif
