/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the report goes. A regular file is written beside itself and renamed over, so that it is complete at every
 * moment; whose file that is, report_owner.c says. What is no regular file (a FIFO, a device, a descriptor of the
 * program's) gets the report once, at exit. The file that is not complete yet has no name (O_TMPFILE), so that a
 * process which is killed leaves nothing; where the file system knows no such files it is .fuseln-RANDOM.tmp, made anew
 * each time and taken away by nobody else.
 */
#include "report/report_snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/config.h"
#include "base/log.h"
#include "base/path.h"
#include "report/report_owner.h"

/* CANDIDATES: names that the report may take. REPORT_MODE: it holds the command line, tokens and all. */
enum { CANDIDATES = 3, LONGER = FUSELN_PATH_MAX + 64, REPORT_MODE = 0600 };

static struct place {
    int state; /* 0, or armed: 1, or why there is no path: -errno */
    char path[FUSELN_PATH_MAX], temporary[LONGER], candidate_path[LONGER];
    bool json;      /* by the name that the user gave, also where it is a link */
    bool unnamed;   /* files without a name can be had there */
    int number;     /* path stands for this descriptor of the program's; else -1 */
    bool open_file; /* path stands for a file that another process has open */
    struct fuseln_descriptor descriptor;
    int candidate; /* 0: path, 1: with the pid, 2: with more */
    struct fuseln_owner_seen seen[CANDIDATES];
} place;
static char buffer[1 << 16];

static bool is_stream(const char *where)
{
    return !strcmp(where, "stderr") || !strcmp(where, "stdout");
}

static const char *candidate_path(void)
{
    const char *slash = strrchr(place.path, '/'), *dot = strrchr(place.path, '.');
    if (place.candidate == 0)
        return place.path;
    if (!dot || (slash && dot < slash + 2))
        dot = place.path + strlen(place.path);
    snprintf(place.candidate_path, LONGER, "%.*s.%d%s%.*s%s", (int)(dot - place.path), place.path, (int)getpid(),
             place.candidate > 1 ? "-" : "", place.candidate > 1 ? 8 : 0, fuseln_owner_id(), dot);
    return place.candidate_path;
}

static int arm_path(void)
{
    const char *where = fuseln_config_get()->report;
    const size_t length = strlen(where);
    int error = fuseln_path_expand(where, fuseln_config_get()->folder, place.candidate_path, NULL);
    if (error)
        return error;
    place.json = length >= 5 && !strcmp(where + length - 5, ".json");
    place.number = fuseln_file_number(place.candidate_path);
    if (place.number >= 0) {
        fuseln_descriptor_borrow(&place.descriptor, place.number);
        return 0;
    }
    error = fuseln_file_resolve(place.candidate_path, FUSELN_PATH_MAX, &place.open_file);
    if (!error && strcmp(place.path, place.candidate_path)) { /* the parent of a forked child looked at it already */
        strcpy(place.path, place.candidate_path);
        fuseln_owner_look(place.path, &place.seen[0]);
    }
    return error;
}

void fuseln_report_file_arm(void)
{
    if (place.state)
        return;
    fuseln_owner_begin();
    place.number = -1;
    place.unnamed = true;
    const int error = is_stream(fuseln_config_get()->report) ? 0 : arm_path();
    place.state = error ? error : 1;
}

void fuseln_report_file_after_fork(void)
{
    fuseln_owner_after_fork();
    place.state = 0;
    place.candidate = 0;
    for (int i = 1; i < CANDIDATES; i++)
        place.seen[i].looked = false;
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

/* A name beside the report that nobody else has. */
static void make_temporary(void)
{
    char random[FUSELN_OWNER_RANDOM + 1];
    const char *slash = strrchr(place.path, '/');
    fuseln_owner_random(random);
    snprintf(place.temporary, LONGER, "%.*s.fuseln-%s.tmp", (int)(slash ? slash + 1 - place.path : 0), place.path,
             random);
}

static int open_temporary(void)
{
    const char *slash = strrchr(place.path, '/');
    int fd = -EOPNOTSUPP;
    if (place.unnamed) {
        snprintf(place.temporary, LONGER, "%.*s.", (int)(slash ? slash + 1 - place.path : 0), place.path);
        fd = fuseln_file_open(place.temporary, O_WRONLY | O_TMPFILE, REPORT_MODE);
        place.unnamed = fd >= 0;
    }
    for (int tries = 0; !place.unnamed && tries < 8 && (fd == -EEXIST || tries == 0); tries++) {
        make_temporary();
        fd = fuseln_file_open(place.temporary, O_WRONLY | O_CREAT | O_EXCL, REPORT_MODE);
    }
    return fd;
}

static int name_temporary(int fd)
{
    char name[32];
    int error = 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    for (int tries = 0; tries < 8 && (error == -EEXIST || tries == 0); tries++) {
        make_temporary();
        error = linkat(AT_FDCWD, name, AT_FDCWD, place.temporary, AT_SYMLINK_FOLLOW) ? -errno : 0;
    }
    return error;
}

/* What a network file system has not said yet of the writes, it says when a descriptor is closed. */
static int settle(int fd)
{
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return copy >= 0 && close(copy) ? -errno : 0;
}

/* -EAGAIN: a file without a name could not be given one (no /proc); next time it has one from the start. */
static int write_temporary_once(const struct fuseln_snapshot *snapshot)
{
    const int fd = open_temporary();
    if (fd < 0)
        return fd;
    fuseln_owner_take(fd);
    int error = write_to(fd, snapshot, place.json, true);
    if (!error)
        error = settle(fd);
    if (error && !place.unnamed)
        unlink(place.temporary);
    if (!error && place.unnamed && name_temporary(fd)) {
        place.unnamed = false;
        error = -EAGAIN;
    }
    if (error)
        fuseln_owner_drop();
    return error;
}

static int write_temporary(const struct fuseln_snapshot *snapshot)
{
    const int error = write_temporary_once(snapshot);
    return error == -EAGAIN ? write_temporary_once(snapshot) : error;
}

static int place_temporary(void)
{
    const int before = place.candidate;
    int error = -EEXIST;
    const char *path = place.path;
    for (; place.candidate < CANDIDATES; place.candidate++) {
        struct fuseln_owner_seen *seen = &place.seen[place.candidate];
        path = candidate_path();
        if (!seen->looked)
            fuseln_owner_look(path, seen);
        error = fuseln_owner_place(place.temporary, path, seen);
        if (error != -EEXIST)
            break;
    }
    if (error) {
        place.candidate = before;
        unlink(place.temporary);
        fuseln_owner_drop();
    } else if (place.candidate > before) {
        pr_warn("another process wrote %.900s; the report of this one goes to %.900s", place.path, path);
    }
    return error;
}

/* FIFO, device, a file that is open elsewhere, or a folder (which says EISDIR). */
static int write_in_place(const struct fuseln_snapshot *snapshot)
{
    struct stat info;
    const int fd = fuseln_file_open(place.path, O_WRONLY | O_APPEND | O_NONBLOCK, 0);
    if (fd < 0)
        return fd;
    int error = fuseln_file_stat(fd, "", AT_EMPTY_PATH, &info);
    if (!error && ((S_ISREG(info.st_mode) && !place.open_file) ||
                   (S_ISFIFO(info.st_mode) && fuseln_file_is_planted(place.path, &info))))
        error = -EACCES;
    if (!error)
        error = write_to(fd, snapshot, place.json, false);
    close(fd);
    return error;
}

static int write_descriptor(int number, const struct fuseln_snapshot *snapshot, bool json)
{
    const bool stream = number == STDOUT_FILENO || number == STDERR_FILENO;
    return write_to(stream ? fuseln_stream_get(number) : fuseln_descriptor_get(&place.descriptor), snapshot, json,
                    false);
}

static int write_file(const struct fuseln_snapshot *snapshot)
{
    const char *where = fuseln_config_get()->report;
    struct stat info;
    if (place.state < 0)
        return place.state;
    if (is_stream(where))
        return snapshot->final ? write_descriptor(where[3] == 'e' ? STDERR_FILENO : STDOUT_FILENO, snapshot, false) : 0;
    if (place.number >= 0)
        return snapshot->final ? write_descriptor(place.number, snapshot, place.json) : 0;
    if (place.open_file)
        return snapshot->final ? write_in_place(snapshot) : 0;
    int error = fuseln_file_stat(AT_FDCWD, place.path, AT_SYMLINK_NOFOLLOW, &info);
    if (error && error != -ENOENT)
        return error;
    if (!error && !S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode))
        return snapshot->final || S_ISDIR(info.st_mode) ? write_in_place(snapshot) : 0;
    error = write_temporary(snapshot);
    return error ? error : place_temporary();
}

int fuseln_report_file_write(const struct fuseln_snapshot *snapshot)
{
    const char *where = fuseln_config_get()->report;
    const int error = write_file(snapshot);
    if (error) {
        pr_warn("FUSELN_REPORT: %.1000s cannot be written: %s; if that stays so, the report goes to stderr at exit",
                *place.path ? place.path : where, strerror(-error));
        if (snapshot->final)
            write_descriptor(STDERR_FILENO, snapshot, false);
    }
    return error;
}

bool fuseln_report_file_is_inherited(void)
{
    return place.state != 0 && !fuseln_owner_is_self();
}
