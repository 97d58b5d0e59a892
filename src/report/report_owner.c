/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which process does a report file belong to? We decide by what we wrote into it, never by a file's times or by the
 * clocks of two machines.
 *
 * Each report carries the id of its process (128 random bits, the boot id, the pid namespace, the pid, and the
 * process's start in ticks) and the tick at which it was written. A process keeps its last report open and locked
 * (flock). A file at the report's path
 *   - is ours if it has our random bits, or the rest of our id: then this process wrote it before it execed itself;
 *   - is abandoned, the report of an earlier run, if it was there when we first inspected the path, was not locked
 *     then and is not now, and was not written by a process of this boot after ours started;
 *   - belongs to another process otherwise: ours goes to NAME.PID.EXT, or else to NAME.PID-RANDOM.EXT.
 * If nothing is there, we publish without replacing a file that may appear at the same moment. We lock a file before we
 * replace it, so that of two processes that find the same abandoned report only one does. Without locks (some network
 * file systems) the ids alone decide. A forked child is a process of its own that inspected the path when its parent
 * did.
 */
#include "report/report_owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* How much of a report's head and tail may hold its id; the length of the boot id that we use. */
enum { HEAD = 1024, TAIL = 160, BOOT = 18 };

static struct {
    pid_t pid; /* of the process that made the id */
    char id[FUSELN_OWNER_ID];
    uint64_t start_ticks;
    struct fuseln_descriptor published, next; /* our last report, and the one that is to replace it; both locked */
} self;

static uint64_t start_ticks(void)
{
    char text[1024];
    fuseln_file_read("/proc/self/stat", text, sizeof text);
    const char *field = strrchr(text, ')'); /* the name in parentheses may hold anything */
    for (int i = 2; field && i < 22; i++)
        if ((field = strchr(field, ' ')))
            field++;
    return field ? strtoull(field, NULL, 10) : 0;
}

void fuseln_owner_random(char ret_text[FUSELN_OWNER_RANDOM + 1])
{
    uint64_t words[2];
    if (getrandom(words, sizeof words, GRND_NONBLOCK) != sizeof words) { /* the best we have */
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        words[0] = (uint64_t)now.tv_sec * 1000000007 + (uint64_t)now.tv_nsec;
        words[1] = (uint64_t)getpid() << 40 ^ (uintptr_t)&now ^ self.start_ticks << 8;
    }
    snprintf(ret_text, FUSELN_OWNER_RANDOM + 1, "%016llx%016llx", (unsigned long long)words[0],
             (unsigned long long)words[1]);
}

/* RANDOM.BOOT-NAMESPACE-PID-START, or only RANDOM if /proc does not tell the rest. */
void fuseln_owner_begin(void)
{
    char boot[BOOT + 1], random[FUSELN_OWNER_RANDOM + 1];
    struct stat space;
    self.start_ticks = start_ticks();
    fuseln_owner_random(random);
    const size_t length = fuseln_file_read("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
    if (length < BOOT || !self.start_ticks || fuseln_file_stat(AT_FDCWD, "/proc/self/ns/pid", 0, &space))
        snprintf(self.id, sizeof self.id, "%s", random);
    else
        snprintf(self.id, sizeof self.id, "%s.%s-%llx-%d-%llu", random, boot, (unsigned long long)space.st_ino,
                 (int)getpid(), (unsigned long long)self.start_ticks);
    self.pid = getpid();
}

const char *fuseln_owner_id(void)
{
    return self.id;
}

bool fuseln_owner_is_self(void)
{
    return self.pid == getpid();
}

void fuseln_owner_after_fork(void)
{
    fuseln_descriptor_close(&self.published); /* the parent still has its lock: ours was a copy of its descriptor */
    fuseln_descriptor_close(&self.next);
    self.pid = 0;
    self.id[0] = '\0';
}

/* Since boot, like the kernel's account of a process's start. */
static uint64_t now_us(void)
{
    /* The system call, because a preload library that shifts the time of day overrides the function. */
    struct timespec now;
    if (syscall(SYS_clock_gettime, CLOCK_BOOTTIME, &now))
        return 0;
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t fuseln_owner_ticks(void)
{
    return now_us() / (1000000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

uint64_t fuseln_owner_age_us(void)
{
    const uint64_t now = now_us(), start = self.start_ticks * (1000000 / (uint64_t)sysconf(_SC_CLK_TCK));
    return start && now > start ? now - start : 0;
}

/* Reads the id that follows mark, and the ticks that follow words after it. */
static void parse_id(const char *text, const char *mark, const char *words, struct fuseln_owner_seen *ret_seen)
{
    const char *at = strstr(text, mark);
    if (!at)
        return;
    at += strlen(mark);
    const size_t length = strspn(at, "0123456789abcdef.-");
    if (length < FUSELN_OWNER_RANDOM || length >= FUSELN_OWNER_ID)
        return;
    memcpy(ret_seen->id, at, length);
    ret_seen->id[length] = '\0';
    if (!strncmp(at + length, words, strlen(words)))
        ret_seen->ticks = strtoull(at + length + strlen(words), NULL, 10);
}

/* The id is at the head of a JSON report, before any text that the program chose, and at the end of a text report. */
static void read_id(int fd, struct fuseln_owner_seen *ret_seen)
{
    char text[HEAD + 1];
    const off_t size = ret_seen->info.st_size;
    ssize_t length = pread(fd, text, HEAD, 0);
    text[length < 0 ? 0 : length] = '\0';
    if (*text == '{') {
        parse_id(text, "\"process\":{\"id\":\"", "\",\"written_ticks\":", ret_seen);
        return;
    }
    length = pread(fd, text, TAIL, size > TAIL ? size - TAIL : 0);
    text[length < 0 ? 0 : length] = '\0';
    parse_id(text, "\nid ", " at ", ret_seen);
}

/* Opens the regular file at path and reads its id; -1 if it cannot be opened. Locks on a network file system need it
 * open for writing. */
static int open_seen(const char *path, struct fuseln_owner_seen *ret_seen)
{
    const int flags = O_NONBLOCK | O_NOFOLLOW;
    int fd = fuseln_file_open(path, O_RDWR | flags, 0);
    if (fd < 0)
        fd = fuseln_file_open(path, O_RDONLY | flags, 0);
    if (fd < 0)
        return -1;
    if (fuseln_file_stat(fd, "", AT_EMPTY_PATH, &ret_seen->info) || !S_ISREG(ret_seen->info.st_mode)) {
        close(fd);
        return -1;
    }
    read_id(fd, ret_seen);
    return fd;
}

/* True if it is locked now, or the file system has no locks. */
static bool lock(int fd, int how)
{
    return !flock(fd, how | LOCK_NB) || errno != EWOULDBLOCK;
}

void fuseln_owner_inspect(const char *path, struct fuseln_owner_seen *ret_seen)
{
    *ret_seen = (struct fuseln_owner_seen){.inspected = true};
    ret_seen->exists = !fuseln_file_stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &ret_seen->info);
    if (!ret_seen->exists || !S_ISREG(ret_seen->info.st_mode))
        return;
    const int fd = open_seen(path, ret_seen);
    if (fd < 0)
        return;
    ret_seen->locked = !lock(fd, LOCK_SH); /* shared: others may be inspecting it, too */
    close(fd);
}

static bool is_own_id(const char *id)
{
    const char *rest = strchr(id, '.'), *own_rest = strchr(self.id, '.');
    return *id && (!strncmp(id, self.id, FUSELN_OWNER_RANDOM) || (rest && own_rest && !strcmp(rest, own_rest)));
}

/* Did a process write it that ran at the same time as ours and has ended since? */
static bool is_contemporary(const struct fuseln_owner_seen *seen)
{
    const char *rest = strchr(seen->id, '.'), *own_rest = strchr(self.id, '.');
    return rest && own_rest && !strncmp(rest, own_rest, 1 + BOOT) && seen->ticks > self.start_ticks;
}

static bool is_abandoned(const struct fuseln_owner_seen *now, const struct fuseln_owner_seen *seen)
{
    return seen->exists && !seen->locked && !strcmp(now->id, seen->id) && !is_contemporary(now) &&
           (*now->id || fuseln_file_equal(&now->info, &seen->info));
}

/* May the file at path be replaced? *ret_lock, if it is not -1, holds its lock: close it after replacing the file. */
static bool may_replace(const char *path, const struct fuseln_owner_seen *seen, int *ret_lock)
{
    struct fuseln_owner_seen now = {.inspected = true};
    struct stat published, again;
    *ret_lock = -1;
    if (fuseln_file_stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &now.info))
        return false;
    const int own = fuseln_descriptor_get(&self.published);
    if (own >= 0 && !fuseln_file_stat(own, "", AT_EMPTY_PATH, &published) && fuseln_file_equal(&published, &now.info))
        return true;
    if (S_ISLNK(now.info.st_mode)) /* a planted one, which we did not follow */
        return is_abandoned(&now, seen);
    if (!S_ISREG(now.info.st_mode))
        return false;
    *ret_lock = open_seen(path, &now);
    if (is_own_id(now.id))
        return true;
    return is_abandoned(&now, seen) && (*ret_lock < 0 || lock(*ret_lock, LOCK_EX)) &&
           !fuseln_file_stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &again) && fuseln_file_equal(&again, &now.info);
}

/* Never replaces a file, unless the file system offers no way to avoid it. */
static int publish_new(const char *temporary, const char *path)
{
    if (!renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE))
        return 0;
    if (errno != EEXIST && !link(temporary, path)) {
        unlink(temporary);
        return 0;
    }
    if (errno == EEXIST)
        return -EEXIST;
    return rename(temporary, path) ? -errno : 0;
}

void fuseln_owner_hold(int fd)
{
    fuseln_descriptor_own(&self.next, fd);
    flock(fd, LOCK_EX | LOCK_NB); /* nobody else can have it open */
}

void fuseln_owner_release(void)
{
    fuseln_descriptor_close(&self.next);
}

int fuseln_owner_publish(const char *temporary, const char *path, const struct fuseln_owner_seen *seen)
{
    struct stat info;
    int old = -1;
    int error = fuseln_file_stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &info);
    if (error == -ENOENT)
        error = publish_new(temporary, path);
    else if (!error)
        error = !may_replace(path, seen, &old) ? -EEXIST : rename(temporary, path) ? -errno : 0;
    if (old >= 0)
        close(old);
    if (error)
        return error;
    fuseln_descriptor_close(&self.published);
    fuseln_descriptor_move(&self.published, &self.next);
    return 0;
}
