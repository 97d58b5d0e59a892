/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose report is it? Told by what we wrote ourselves, never by the time of a file or by clocks of two machines.
 *
 * Each report carries the id of its process: 128 random bits, the boot's id, the pid namespace, the pid, and the start
 * of the process in ticks; and beside it the tick at which it was written. The process keeps the file that it wrote
 * last open, and locked (flock). What stands at a path
 *   - is ours where its random bits are ours, or all the rest of the id is: this process before it execed itself;
 *   - is nobody's any more where it was there when we first looked at the path, was not locked then, is not locked now,
 *     and was not written since this process began, if it is of this boot: the report of an earlier run;
 *   - else is another process's: ours goes to NAME.PID.EXT, then to NAME.PID-RANDOM.EXT.
 * Where nothing is, ours is placed without replacing what may come in the same moment; what is replaced is locked
 * first, so that two that find the same old report do not both replace it. Without locks (some network file systems)
 * the ids alone decide. A forked child is a process of its own, which looked first when its parent did.
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

enum { HEAD = 1024, TAIL = 160, BOOT = 18 };

static struct {
    pid_t pid; /* that made the id */
    char id[FUSELN_OWNER_ID];
    uint64_t start_ticks;
    struct fuseln_descriptor kept, next; /* our last report, locked; the one that is to take its place */
} self;

static size_t read_text(const char *path, char *ret_text, size_t size)
{
    const int fd = fuseln_file_open(path, O_RDONLY, 0);
    const ssize_t length = fd < 0 ? 0 : read(fd, ret_text, size - 1);
    if (fd >= 0)
        close(fd);
    ret_text[length < 0 ? 0 : length] = '\0';
    return length < 0 ? 0 : (size_t)length;
}

static uint64_t start_ticks(void)
{
    char text[1024];
    read_text("/proc/self/stat", text, sizeof text);
    const char *field = strrchr(text, ')'); /* the name in brackets may hold anything */
    for (int i = 2; field && i < 22; i++)
        if ((field = strchr(field, ' ')))
            field++;
    return field ? strtoull(field, NULL, 10) : 0;
}

void fuseln_owner_random(char ret_text[FUSELN_OWNER_RANDOM + 1])
{
    uint64_t words[2];
    if (getrandom(words, sizeof words, GRND_NONBLOCK) != sizeof words) { /* the best that is left */
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        words[0] = (uint64_t)now.tv_sec * 1000000007 + (uint64_t)now.tv_nsec;
        words[1] = (uint64_t)getpid() << 40 ^ (uintptr_t)&now ^ self.start_ticks << 8;
    }
    snprintf(ret_text, FUSELN_OWNER_RANDOM + 1, "%016llx%016llx", (unsigned long long)words[0],
             (unsigned long long)words[1]);
}

/* RANDOM.BOOT-NAMESPACE-PID-START, or RANDOM alone where /proc does not say the rest. */
void fuseln_owner_begin(void)
{
    char boot[64], random[FUSELN_OWNER_RANDOM + 1];
    struct stat space;
    if (self.pid == getpid())
        return;
    self.start_ticks = start_ticks();
    fuseln_owner_random(random);
    boot[read_text("/proc/sys/kernel/random/boot_id", boot, sizeof boot) < BOOT ? 0 : BOOT] = '\0';
    if (!*boot || !self.start_ticks || fuseln_file_stat(AT_FDCWD, "/proc/self/ns/pid", 0, &space))
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
    fuseln_descriptor_close(&self.kept); /* the lock stays the parent's: closing one of several does not undo it */
    fuseln_descriptor_close(&self.next);
    self.pid = 0;
    self.id[0] = '\0';
}

/* Since boot, which is also what the start of a process is told from. */
static uint64_t now_us(void)
{
    /* Not by the function: a preload library that shifts the time of day answers that. */
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

/* The id behind mark, and the ticks behind the words that follow it. */
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

/* At the head of a JSON report, before anything that the program chose; at the end of a text. */
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

/* A descriptor of the regular file at path, *ret_seen what it is; -1 where it cannot be opened. For a network file
 * system's locks it must be open for writing. */
static int open_there(const char *path, struct fuseln_owner_seen *ret_seen)
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

static bool lock(int fd, int how)
{
    return !flock(fd, how | LOCK_NB) || errno != EWOULDBLOCK;
}

void fuseln_owner_look(const char *path, struct fuseln_owner_seen *ret_seen)
{
    *ret_seen = (struct fuseln_owner_seen){.looked = true};
    ret_seen->there = !fuseln_file_stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &ret_seen->info);
    if (!ret_seen->there || !S_ISREG(ret_seen->info.st_mode))
        return;
    const int fd = open_there(path, ret_seen);
    if (fd < 0)
        return;
    ret_seen->locked = !lock(fd, LOCK_SH); /* not at odds with others who look */
    close(fd);
}

static bool is_own_id(const char *id)
{
    const char *rest = strchr(id, '.'), *own_rest = strchr(self.id, '.');
    return *id && (!strncmp(id, self.id, FUSELN_OWNER_RANDOM) || (rest && own_rest && !strcmp(rest, own_rest)));
}

/* Of a process that has ended since, but was there beside this one. */
static bool is_of_a_neighbour(const struct fuseln_owner_seen *seen)
{
    const char *rest = strchr(seen->id, '.'), *own_rest = strchr(self.id, '.');
    return rest && own_rest && !strncmp(rest, own_rest, 1 + BOOT) && seen->ticks > self.start_ticks;
}

static bool is_as_seen(const struct fuseln_owner_seen *now, const struct fuseln_owner_seen *seen)
{
    return seen->there && !seen->locked && !strcmp(now->id, seen->id) && !is_of_a_neighbour(now) &&
           (*now->id || fuseln_file_equal(&now->info, &seen->info));
}

/* May the file at path be replaced? *ret_lock is open until it was. */
static bool may_replace(const char *path, const struct fuseln_owner_seen *seen, int *ret_lock)
{
    struct fuseln_owner_seen now = {.looked = true};
    struct stat kept, again;
    *ret_lock = -1;
    if (fuseln_file_stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &now.info))
        return false;
    const int own = fuseln_descriptor_get(&self.kept);
    if (own >= 0 && !fuseln_file_stat(own, "", AT_EMPTY_PATH, &kept) && fuseln_file_equal(&kept, &now.info))
        return true;
    if (S_ISLNK(now.info.st_mode)) /* one that is not followed */
        return is_as_seen(&now, seen);
    if (!S_ISREG(now.info.st_mode))
        return false;
    *ret_lock = open_there(path, &now);
    if (is_own_id(now.id))
        return true;
    return is_as_seen(&now, seen) && (*ret_lock < 0 || lock(*ret_lock, LOCK_EX)) &&
           !fuseln_file_stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &again) && fuseln_file_equal(&again, &now.info);
}

/* Never over a file that is there, as far as the file system knows a way. */
static int place_new(const char *temporary, const char *path)
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

void fuseln_owner_take(int fd)
{
    fuseln_descriptor_own(&self.next, fd);
    flock(fd, LOCK_EX | LOCK_NB); /* nobody else knows it */
}

void fuseln_owner_drop(void)
{
    fuseln_descriptor_close(&self.next);
}

int fuseln_owner_place(const char *temporary, const char *path, const struct fuseln_owner_seen *seen)
{
    struct stat info;
    int old = -1;
    int error = fuseln_file_stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &info);
    if (error == -ENOENT)
        error = place_new(temporary, path);
    else if (!error)
        error = !may_replace(path, seen, &old) ? -EEXIST : rename(temporary, path) ? -errno : 0;
    if (old >= 0)
        close(old);
    if (error)
        return error;
    fuseln_descriptor_close(&self.kept);
    fuseln_descriptor_move(&self.kept, &self.next);
    return 0;
}
