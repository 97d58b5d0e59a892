/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the report goes. A regular file is written beside its path and renamed over it, so that it is complete at every
 * moment; report_owner.c says which file may be replaced. Anything else (a FIFO, a device, a descriptor of the program)
 * gets the report once, at exit. A file that is still being written has no name (O_TMPFILE), so that a process that is
 * killed leaves nothing behind; on a file system without such files it is called .fuseln-RANDOM.tmp.
 */
#include "report/report_snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/config.h"
#include "base/log.h"
#include "base/path.h"
#include "report/report_owner.h"

/* REPORT_MODE: for the owner alone, because the report holds the command line with any tokens in it. */
enum { CANDIDATES = 3, LONGER = FUSELN_PATH_MAX + 64, REPORT_MODE = 0600 };

static struct {
    int state; /* 0 until it is resolved; then 1, or -errno if there is no path */
    char path[FUSELN_PATH_MAX], temporary[LONGER], candidate_path[LONGER];
    bool json;      /* decided by the name that the user wrote, even if it is a link */
    bool nameless;  /* O_TMPFILE works there */
    bool open_file; /* path stands for a file that another process has open */
    int number;     /* the descriptor of the program that path stands for, or -1 */
    struct fuseln_descriptor descriptor;
    int candidate; /* 0: path; 1: path with the pid; 2: with random digits, too */
    struct fuseln_owner_seen seen[CANDIDATES];
} destination;
static char buffer[1 << 16];

static const char *candidate_path(void)
{
    const char *path = destination.path, *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    const bool random = destination.candidate > 1;
    if (destination.candidate == 0)
        return path;
    if (!dot || (slash && dot < slash + 2))
        dot = path + strlen(path);
    snprintf(destination.candidate_path, LONGER, "%.*s.%d%s%.*s%s", (int)(dot - path), path, (int)getpid(),
             random ? "-" : "", random ? 8 : 0, fuseln_owner_id(), dot);
    return destination.candidate_path;
}

static int resolve(void)
{
    const char *where = fuseln_config_get()->report;
    const size_t length = strlen(where);
    char *path = destination.candidate_path;
    int error = fuseln_path_expand(where, fuseln_config_get()->folder, path, NULL);
    if (error)
        return error;
    destination.json = length >= 5 && !strcmp(where + length - 5, ".json");
    destination.number = fuseln_file_number(path);
    if (destination.number >= 0) {
        fuseln_descriptor_borrow(&destination.descriptor, destination.number);
        return 0;
    }
    error = fuseln_file_resolve(path, FUSELN_PATH_MAX, &destination.open_file);
    if (!error && strcmp(destination.path, path)) { /* equal in a forked child, whose parent has inspected it */
        strcpy(destination.path, path);
        fuseln_owner_inspect(path, &destination.seen[0]);
    }
    return error;
}

void fuseln_report_file_arm(void)
{
    if (destination.state)
        return;
    fuseln_owner_begin();
    destination.number = -1;
    destination.nameless = true;
    const int error = fuseln_stream_number(fuseln_config_get()->report) >= 0 ? 0 : resolve();
    destination.state = error ? error : 1;
}

void fuseln_report_file_after_fork(void)
{
    fuseln_owner_after_fork();
    destination.state = 0;
    destination.candidate = 0;
    for (int i = 1; i < CANDIDATES; i++)
        destination.seen[i].inspected = false;
}

bool fuseln_report_file_is_inherited(void)
{
    return destination.state != 0 && !fuseln_owner_is_self();
}

static int write_to(int fd, const struct fuseln_snapshot *snapshot, bool json, bool file)
{
    struct fuseln_out out = {.fd = fd, .buffer = buffer, .capacity = sizeof buffer};
    if (fd < 0)
        return fd;
    out.patience_ms = file ? FUSELN_WRITE_FILE : FUSELN_WRITE_REPORT;
    (json ? fuseln_report_json : fuseln_report_text)(snapshot, &out);
    if (file && !json)
        fuseln_out_format(&out, "id %s at %llu\n", snapshot->id, (unsigned long long)snapshot->ticks);
    return fuseln_out_flush(&out);
}

/* Sets the temporary path to this name in the report's folder. */
static void name_temporary(const char *name)
{
    const char *slash = strrchr(destination.path, '/');
    snprintf(destination.temporary, LONGER, "%.*s%s", (int)(slash ? slash + 1 - destination.path : 0), destination.path,
             name);
}

static void name_temporary_randomly(void)
{
    char random[FUSELN_OWNER_RANDOM + 1], name[64];
    fuseln_owner_random(random);
    snprintf(name, sizeof name, ".fuseln-%s.tmp", random);
    name_temporary(name);
}

static int open_temporary(void)
{
    if (destination.nameless) {
        name_temporary(".");
        const int fd = fuseln_file_open(destination.temporary, O_WRONLY | O_TMPFILE, REPORT_MODE);
        if (fd >= 0)
            return fd;
        destination.nameless = false;
    }
    name_temporary_randomly();
    return fuseln_file_open(destination.temporary, O_WRONLY | O_CREAT | O_EXCL, REPORT_MODE);
}

static int link_temporary(int fd)
{
    char name[32];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    name_temporary_randomly();
    return linkat(AT_FDCWD, name, AT_FDCWD, destination.temporary, AT_SYMLINK_FOLLOW) ? -errno : 0;
}

/* A network file system may report a failed write only when a descriptor is closed. */
static int settle(int fd)
{
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return copy >= 0 && close(copy) ? -errno : 0;
}

/* -EAGAIN: the nameless file could not be given a name, as there is no /proc. The next one has a name from the start.
 */
static int write_temporary_once(const struct fuseln_snapshot *snapshot)
{
    const int fd = open_temporary();
    if (fd < 0)
        return fd;
    fuseln_owner_hold(fd);
    int error = write_to(fd, snapshot, destination.json, true);
    if (!error)
        error = settle(fd);
    if (error && !destination.nameless)
        unlink(destination.temporary);
    if (!error && destination.nameless && link_temporary(fd)) {
        destination.nameless = false;
        error = -EAGAIN;
    }
    if (error)
        fuseln_owner_release();
    return error;
}

/* Writes the report to a temporary file, and holds it. */
static int write_temporary(const struct fuseln_snapshot *snapshot)
{
    const int error = write_temporary_once(snapshot);
    return error == -EAGAIN ? write_temporary_once(snapshot) : error;
}

/* Renames the temporary file to the first candidate that is free or ours. */
static int publish_temporary(void)
{
    const int before = destination.candidate;
    int error = -EEXIST;
    const char *path = destination.path;
    for (; destination.candidate < CANDIDATES; destination.candidate++) {
        struct fuseln_owner_seen *seen = &destination.seen[destination.candidate];
        path = candidate_path();
        if (!seen->inspected)
            fuseln_owner_inspect(path, seen);
        error = fuseln_owner_publish(destination.temporary, path, seen);
        if (error != -EEXIST)
            break;
    }
    if (error) {
        destination.candidate = before;
        unlink(destination.temporary);
        fuseln_owner_release();
    } else if (destination.candidate > before) {
        pr_warn("another process wrote %.900s; the report of this one goes to %.900s", destination.path, path);
    }
    return error;
}

/* A FIFO, a device, a file that another process has open, or a folder (whose error is then EISDIR). */
static int write_special(const struct fuseln_snapshot *snapshot)
{
    struct stat info;
    const int fd = fuseln_file_open(destination.path, O_WRONLY | O_APPEND | O_NONBLOCK, 0);
    if (fd < 0)
        return fd;
    int error = fuseln_file_stat(fd, "", AT_EMPTY_PATH, &info);
    if (!error && ((S_ISREG(info.st_mode) && !destination.open_file) ||
                   (S_ISFIFO(info.st_mode) && fuseln_file_is_planted(destination.path, &info))))
        error = -EACCES;
    if (!error)
        error = write_to(fd, snapshot, destination.json, false);
    close(fd);
    return error;
}

static int write_descriptor(int number, const struct fuseln_snapshot *snapshot, bool json)
{
    const bool stream = number == STDOUT_FILENO || number == STDERR_FILENO;
    return write_to(stream ? fuseln_stream_get(number) : fuseln_descriptor_get(&destination.descriptor), snapshot, json,
                    false);
}

static int write_report(const struct fuseln_snapshot *snapshot)
{
    const int stream = fuseln_stream_number(fuseln_config_get()->report);
    struct stat info;
    if (destination.state < 0)
        return destination.state;
    if (stream >= 0)
        return snapshot->final ? write_descriptor(stream, snapshot, false) : 0;
    if (destination.number >= 0)
        return snapshot->final ? write_descriptor(destination.number, snapshot, destination.json) : 0;
    if (destination.open_file)
        return snapshot->final ? write_special(snapshot) : 0;
    int error = fuseln_file_stat(AT_FDCWD, destination.path, AT_SYMLINK_NOFOLLOW, &info);
    if (error && error != -ENOENT)
        return error;
    if (!error && !S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode))
        return snapshot->final || S_ISDIR(info.st_mode) ? write_special(snapshot) : 0;
    error = write_temporary(snapshot);
    return error ? error : publish_temporary();
}

int fuseln_report_file_write(const struct fuseln_snapshot *snapshot)
{
    const char *where = fuseln_config_get()->report;
    const int error = write_report(snapshot);
    if (error) {
        pr_warn("FUSELN_REPORT: %.1000s cannot be written: %s; if this persists, the report goes to stderr at exit",
                *destination.path ? destination.path : where, strerror(-error));
        if (snapshot->final)
            write_descriptor(STDERR_FILENO, snapshot, false);
    }
    return error;
}
