/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes on their way out (output.h). Signals are blocked in this thread around each write, and a SIGPIPE or SIGXFSZ
 * that the write raised is taken from the pending ones: a host must not die of a report that goes into a closed pipe.
 */
#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/path.h"
#include "base/shield.h"

/* A pipe that says it is ready takes PIPE_BUF bytes at once. */
static int write_all(int fd, const char *bytes, size_t size, int patience_ms)
{
    while (size > 0) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        if (patience_ms >= 0 && poll(&ready, 1, patience_ms) == 0)
            return -EAGAIN;
        ssize_t written = write(fd, bytes, patience_ms >= 0 && size > PIPE_BUF ? PIPE_BUF : size);
        if (written >= 0) {
            bytes += written;
            size -= (size_t)written;
        } else if (errno == EAGAIN && patience_ms <= 0) {
            return -EAGAIN;
        } else if (errno != EINTR && errno != EAGAIN) {
            return -errno;
        }
    }
    return 0;
}

int fuseln_write(int fd, const char *bytes, size_t size, int patience_ms)
{
    struct fuseln_shield shield;
    sigset_t before, raised;
    fuseln_shield_raise(&shield);
    sigpending(&before);
    const int error = write_all(fd, bytes, size, patience_ms);
    const int number = error == -EPIPE ? SIGPIPE : error == -EFBIG ? SIGXFSZ : 0;
    if (number && !sigismember(&before, number)) { /* what waited before is the program's */
        sigemptyset(&raised);
        sigaddset(&raised, number);
        sigtimedwait(&raised, NULL, &(struct timespec){0});
    }
    fuseln_shield_lower(&shield);
    return error;
}

static void out_empty(struct fuseln_out *out)
{
    if (!out->error)
        out->error = out->fd < 0 ? -ENOSPC : fuseln_write(out->fd, out->buffer, out->used, out->patience_ms);
    if (out->fd >= 0)
        out->used = 0;
}

void fuseln_out_bytes(struct fuseln_out *out, const char *bytes, size_t size)
{
    while (size > 0 && !out->error) {
        size_t room = out->size - out->used;
        size_t part = size < room ? size : room;
        memcpy(out->buffer + out->used, bytes, part);
        out->used += part;
        bytes += part;
        size -= part;
        if (size > 0)
            out_empty(out);
    }
}

void fuseln_out_text(struct fuseln_out *out, const char *text)
{
    fuseln_out_bytes(out, text, strlen(text));
}

void fuseln_out_format(struct fuseln_out *out, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fuseln_out_text(out, text);
}

bool fuseln_out_real(char ret_text[FUSELN_REAL_MAX], double value)
{
    int exponent = 0;
    *ret_text = '\0';
    if (!(value >= 0 && value <= 1e300))
        return false;
    for (; value >= 1e12; exponent++)
        value /= 10;
    const uint64_t micros = (uint64_t)(value * 1e6 + 0.5);
    int length = snprintf(ret_text, FUSELN_REAL_MAX, "%" PRIu64 ".%06" PRIu64, micros / 1000000, micros % 1000000);
    while (ret_text[length - 1] == '0' && ret_text[length - 2] != '.')
        ret_text[--length] = '\0';
    if (exponent)
        snprintf(ret_text + length, FUSELN_REAL_MAX - (size_t)length, "e%d", exponent);
    return true;
}

int fuseln_out_flush(struct fuseln_out *out)
{
    if (out->used > 0 && out->fd >= 0)
        out_empty(out);
    return out->error;
}

static int sink_open(struct fuseln_sink *sink, const char *path_template, const char *folder)
{
    int fd = *sink->path ? 0 : fuseln_path_expand(path_template, folder, sink->path, NULL);
    if (fd < 0)
        return fd;
    const int number = fuseln_file_number(sink->path);
    fd = number >= 0 ? number : fuseln_file_open(sink->path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0666);
    if (fd < 0)
        return fd;
    if (number < 0)
        fcntl(fd, F_SETPIPE_SZ, 1 << 20); /* a reader may be some thousand lines late; fails for what is no pipe */
    (number < 0 ? fuseln_descriptor_own : fuseln_descriptor_note)(&sink->descriptor, fd);
    atomic_store(&sink->borrowed, number + 1);
    return fd;
}

static int sink_get(const struct fuseln_sink *sink, const char *path_template)
{
    const int number = !strcmp(path_template, "stderr")   ? STDERR_FILENO
                       : !strcmp(path_template, "stdout") ? STDOUT_FILENO
                                                          : atomic_load(&sink->borrowed) - 1;
    if (number == STDOUT_FILENO || number == STDERR_FILENO)
        return fuseln_stream_get(number);
    return fuseln_descriptor_get(&sink->descriptor);
}

/* The descriptor to write a line to. One thread opens it; the line of another meanwhile waits for it, a tenth of a
 * second or so at most. */
static int sink_get_open(struct fuseln_sink *sink, const char *path_template, const char *folder)
{
    const bool stream = !strcmp(path_template, "stderr") || !strcmp(path_template, "stdout");
    for (int tries = 0; tries < 1000; tries++) {
        int fd = sink_get(sink, path_template);
        if (fd >= 0 || stream || atomic_load(&sink->borrowed))
            return fd;
        if (!atomic_exchange(&sink->opening, true)) {
            fd = sink_get(sink, path_template);
            if (fd < 0 && !atomic_load(&sink->borrowed)) /* not closed: its number is someone else's now */
                fd = sink_open(sink, path_template, folder);
            atomic_store(&sink->opening, false);
            return fd;
        }
        syscall(SYS_nanosleep, &(struct timespec){.tv_nsec = 50000}, NULL);
    }
    return -EAGAIN;
}

static int write_lost(const struct fuseln_sink *sink, int fd, uint64_t lost)
{
    char line[128];
    const int size = snprintf(line, sizeof line, "%s%" PRIu64 "%s\n", sink->lost_words[0], lost, sink->lost_words[1]);
    return fuseln_write(fd, line, (size_t)size, FUSELN_WRITE_LINE);
}

int fuseln_sink_write(struct fuseln_sink *sink, const char *path_template, const char *folder, const char *bytes,
                      size_t size)
{
    struct fuseln_shield shield;
    fuseln_shield_raise(&shield);
    uint64_t lost = 0;
    const int fd = sink_get_open(sink, path_template, folder);
    int error = fd < 0 ? fd : 0;
    if (!error && atomic_load(&sink->lost) > 0 && (lost = atomic_exchange(&sink->lost, 0)) > 0) {
        error = write_lost(sink, fd, lost);
        lost = error ? lost : 0;
    }
    if (!error)
        error = fuseln_write(fd, bytes, size, FUSELN_WRITE_LINE);
    if (error == -EAGAIN)
        atomic_fetch_add(&sink->lost, lost + 1);
    fuseln_shield_lower(&shield);
    return error;
}

uint64_t fuseln_sink_lost(const struct fuseln_sink *sink)
{
    return atomic_load(&sink->lost);
}

void fuseln_sink_after_fork(struct fuseln_sink *sink)
{
    atomic_store(&sink->opening, false);
    atomic_store(&sink->lost, 0);
    if (atomic_load(&sink->borrowed))
        return;
    fuseln_descriptor_drop(&sink->descriptor);
    sink->path[0] = '\0';
}
