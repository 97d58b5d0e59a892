/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files by what they are and not by their names and numbers: a host closes descriptors and uses their numbers again,
 * and in a folder where everybody may write, names are laid out by others. Called by output and report. Thread-safe; no
 * allocation; errors are -errno. A file is told by device and inode together.
 */
#ifndef FUSELN_FILE_H
#define FUSELN_FILE_H

#include <stdatomic.h>
#include <sys/stat.h>

#include "base/fuseln.h"

/* fstatat(2). Only -ENOENT means that nothing is there. */
int fuseln_file_look(int folder, const char *path, int flags, struct stat *ret_info);
static inline bool fuseln_file_equal(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* open(2) with O_CLOEXEC, never one of the descriptors 0, 1, 2 that the host may have closed. */
int fuseln_file_open(const char *path, int flags, mode_t mode);

/* A descriptor, and what it was when it was noted. Valid when zeroed: none. */
struct fuseln_descriptor {
    _Atomic int fd; /* 0: none */
    _Atomic uint64_t device, inode;
    atomic_bool marked;
};
/* One of the host's. Returns what was noted before. */
int fuseln_descriptor_note(struct fuseln_descriptor *descriptor, int fd);
/* The same of one that we opened just now: it is told from any that the host will have in its place. */
int fuseln_descriptor_own(struct fuseln_descriptor *descriptor, int fd);
void fuseln_descriptor_move(struct fuseln_descriptor *to, struct fuseln_descriptor *from);
/* The descriptor, where it is still the file that was noted and may be written to; else -EBADF. */
int fuseln_descriptor_get(const struct fuseln_descriptor *descriptor);
/* Closes it where it is still ours, and forgets it. Async-signal-safe. */
void fuseln_descriptor_drop(struct fuseln_descriptor *descriptor);

/* Remember what stdout and stderr are; the first call counts. */
void fuseln_stream_look(void);
/*
 * The descriptor of stdout (1) or stderr (2), or -EBADF where that number is no longer a stream but data of the
 * program's. What it was at the first look is one. What was put there later is one where the program can only have
 * meant it so: a terminal or /dev/null, a regular file in append mode, the same file as the other of the two, or as the
 * parent's of that number; but nothing that an exec would close. A file that is not in append mode, a pipe or a socket
 * may be data.
 */
int fuseln_stream_get(int number);

/* The number N where path stands for an open descriptor of this process (/dev/stderr, /dev/stdout, /dev/fd/N,
 * /proc/self/fd/N, or a link to one), else -1. */
int fuseln_file_number(const char *path);

/*
 * What path leads to, in its place: each symbolic link is followed, also where it dangles, but not a planted one, which
 * stays. So does one that stands for a file that some process has open (/proc/1/fd/1): true in *ret_open_file, and the
 * file can only be written to by that name. -errno where the system does not say what is there; not for -ENOENT. One
 * caller at a time.
 */
int fuseln_file_resolve(char path[], size_t size, bool *ret_open_file);
/* Is it a link or a FIFO that someone else laid into a folder in which everybody may? (What fs.protected_symlinks and
 * fs.protected_fifos are for, which are off in many containers and do not cover each way of opening.) */
bool fuseln_file_is_planted(char *path, const struct stat *info);

#endif
