/*
 * Where the report goes. A regular file is written beside itself and renamed over, so that it is complete at every
 * moment; where another process wrote since this one started, ours goes to NAME.PID.EXT. What is no regular file (a
 * FIFO, a device, stderr) gets the report once, at exit.
 */
#include "report_snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "log.h"
#include "path.h"

enum { CANDIDATES = 3 }; /* names that the report may take */

struct file_id {
    uint64_t inode;
    int64_t written_ns;
};

static struct place {
    int state; /* 0, or armed: 1, or too long a path: -ENAMETOOLONG */
    char path[FUSELN_PATH_MAX], temporary[FUSELN_PATH_MAX + 128];
    bool json;          /* by the name that the user gave, also where it is a link */
    int candidate;      /* 0: path, 1: with the pid, 2: with host and pid */
    struct file_id own; /* the file that we wrote last */
    int64_t start_ns;   /* when this process, or the one that it was forked from, began */
} place;
static char buffer[1 << 16];

int64_t fuseln_report_process_start(void)
{
    char text[1024];
    struct timespec wall, boot;
    int fd = fuseln_file_open("/proc/self/stat", O_RDONLY, 0666);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[size < 0 ? 0 : size] = '\0';
    const char *field = strrchr(text, ')'); /* the name in brackets may hold anything */
    for (int i = 2; field && i < 22; i++)
        if ((field = strchr(field, ' ')))
            field++;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    int64_t now_ns = wall.tv_sec * INT64_C(1000000000) + wall.tv_nsec;
    if (!field)
        return now_ns;
    /* Rounded up to a tick: a file that an earlier process left just before we began is not one of a rival. */
    int64_t tick_ns = INT64_C(1000000000) / sysconf(_SC_CLK_TCK);
    return now_ns - (boot.tv_sec * INT64_C(1000000000) + boot.tv_nsec) + (strtoll(field, NULL, 10) + 1) * tick_ns;
}

/* The mode of a file, 0 if there is none; *ret_id what identifies its content. */
static unsigned file_look(const char *path, struct file_id *ret_id)
{
    struct statx info;
    *ret_id = (struct file_id){0};
    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &info))
        return 0;
    ret_id->inode = info.stx_ino;
    ret_id->written_ns = info.stx_mtime.tv_sec * INT64_C(1000000000) + info.stx_mtime.tv_nsec;
    return info.stx_mode;
}

static bool same_file(const struct file_id *a, const struct file_id *b)
{
    return a->inode == b->inode && a->written_ns == b->written_ns;
}

static void candidate_path(int candidate, char ret_path[FUSELN_PATH_MAX + 128])
{
    char host[72] = "";
    const char *slash = strrchr(place.path, '/'), *dot = strrchr(place.path, '.');
    if (!dot || (slash && dot < slash + 2))
        dot = place.path + strlen(place.path);
    if (candidate == 2)
        fuseln_path_host(host, sizeof host);
    if (candidate == 0)
        snprintf(ret_path, FUSELN_PATH_MAX + 128, "%s", place.path);
    else
        snprintf(ret_path, FUSELN_PATH_MAX + 128, "%.*s.%s%s%d%s", (int)(dot - place.path), place.path, host,
                 *host ? "-" : "", (int)getpid(), dot);
}

void fuseln_report_file_arm(void)
{
    char path[FUSELN_PATH_MAX], host[72];
    if (place.state)
        return;
    place.state = fuseln_path_expand(fuseln_config_get()->report, path, NULL);
    if (place.state)
        return;
    place.state = 1;
    if (!place.start_ns)
        place.start_ns = fuseln_report_process_start();
    /* A symbolic link stays one: what it points to is replaced. In /dev and /proc it stands for an open file. */
    struct file_id id;
    bool link = S_ISLNK(file_look(path, &id)) && strncmp(path, "/dev/", 5) && strncmp(path, "/proc/", 6);
    if (!link || !realpath(path, place.path))
        memcpy(place.path, path, sizeof path);
    size_t length = strlen(path);
    place.json = length >= 5 && !strcmp(path + length - 5, ".json");
    fuseln_path_host(host, sizeof host);
    const char *slash = strrchr(place.path, '/');
    snprintf(place.temporary, sizeof place.temporary, "%.*s.fuseln-%s-%d.tmp",
             (int)(slash ? slash + 1 - place.path : 0), place.path, host, (int)getpid());
}

void fuseln_report_file_after_fork(void)
{
    place.state = 0;
    place.candidate = 0;
    place.own = (struct file_id){0};
    /* All that the parent ever wrote is a rival's: its start was rounded up, and file times lag by up to a tick. */
    place.start_ns -= 20000000;
}

static int write_to(int fd, const struct fuseln_snapshot *snapshot, bool json)
{
    struct fuseln_out out = {.fd = fd, .patience_ms = FUSELN_WRITE_REPORT, .buffer = buffer, .size = sizeof buffer};
    (json ? fuseln_report_json : fuseln_report_text)(snapshot, &out);
    return fuseln_out_flush(&out);
}

static int write_temporary(const struct fuseln_snapshot *snapshot)
{
    int flags = O_WRONLY | O_CREAT | O_EXCL, fd = fuseln_file_open(place.temporary, flags, 0666);
    if (fd == -EEXIST && !unlink(place.temporary)) /* of a process that was killed and had our pid */
        fd = fuseln_file_open(place.temporary, flags, 0666);
    if (fd < 0)
        return fd;
    int error = write_to(fd, snapshot, place.json);
    if (close(fd) && !error)
        error = -errno;
    return error;
}

/* Processes that share the folder look and rename one after the other. A folder that cannot be locked (NFS), or is
 * locked for longer than 0.1 s, does not hold the report up. */
static int folder_lock(void)
{
    char folder[FUSELN_PATH_MAX];
    const char *slash = strrchr(place.path, '/');
    snprintf(folder, sizeof folder, "%.*s", (int)(slash ? slash + 1 - place.path : 0), place.path);
    int fd = fuseln_file_open(folder, O_RDONLY | O_DIRECTORY, 0666);
    for (int tries = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK && tries < 100; tries++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return fd;
}

static void folder_unlock(int fd)
{
    if (fd < 0)
        return;
    flock(fd, LOCK_UN); /* close alone would leave it to a child that another thread forked just now */
    close(fd);
}

/* Nothing is there, or what we wrote, or what was there before this process began. */
static bool is_ours_to_write(const char *path)
{
    struct file_id there;
    unsigned mode = file_look(path, &there);
    return !mode || (S_ISREG(mode) && (there.written_ns <= place.start_ns || same_file(&there, &place.own)));
}

static int place_temporary(void)
{
    char path[FUSELN_PATH_MAX + 128];
    int lock = folder_lock(), error = -EEXIST, candidate = place.candidate;
    for (; candidate < CANDIDATES; candidate++) {
        candidate_path(candidate, path);
        if (!is_ours_to_write(path))
            continue;
        error = rename(place.temporary, path) ? -errno : 0;
        file_look(path, &place.own);
        break;
    }
    folder_unlock(lock);
    if (!error && candidate > place.candidate) {
        pr_warn("another process wrote %.900s since this one started; the report of this one goes to %.900s",
                place.path, path);
        place.candidate = candidate;
    }
    return error;
}

/* FIFO, device, /dev/stderr, or a folder (which says EISDIR). */
static int write_in_place(const struct fuseln_snapshot *snapshot)
{
    int fd = fuseln_file_open(place.path, O_WRONLY | O_APPEND | O_NONBLOCK, 0666);
    if (fd < 0)
        return fd;
    int error = write_to(fd, snapshot, place.json);
    close(fd);
    return error;
}

static int write_file(const struct fuseln_snapshot *snapshot)
{
    struct file_id id;
    unsigned mode = file_look(place.path, &id);
    if (place.state < 0)
        return place.state;
    if (mode && !S_ISREG(mode))
        return snapshot->final || S_ISDIR(mode) ? write_in_place(snapshot) : 0;
    int error = write_temporary(snapshot);
    if (!error)
        error = place_temporary();
    if (error)
        unlink(place.temporary);
    return error;
}

int fuseln_report_file_write(const struct fuseln_snapshot *snapshot)
{
    const char *where = fuseln_config_get()->report;
    if (!strcmp(where, "stderr") || !strcmp(where, "stdout")) {
        int fd = where[3] == 'e' ? STDERR_FILENO : STDOUT_FILENO;
        return snapshot->final ? write_to(fd, snapshot, false) : 0;
    }
    int error = write_file(snapshot);
    if (error) {
        pr_warn("FUSELN_REPORT: %.1000s cannot be written: %s; if that stays so, the report goes to stderr at exit",
                place.state < 0 ? where : place.path, strerror(-error));
        if (snapshot->final)
            write_to(STDERR_FILENO, snapshot, false);
    }
    return error;
}
