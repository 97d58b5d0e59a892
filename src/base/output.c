/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See output.h. Each write runs with this thread's signals blocked, and a SIGPIPE or SIGXFSZ that the write raised is
 * removed from the pending signals: a host must not die because our report went into a closed pipe.
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
#include <time.h>
#include <unistd.h>

#include "base/config.h"
#include "base/shield.h"

/* A pipe that polls as ready accepts PIPE_BUF bytes without blocking. Where RLIMIT_NOFILE is 0, poll fails: then nobody
 * can say. */
static int write_all(int fd, const char *bytes, size_t size, int patience_ms)
{
    while (size > 0) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        if (patience_ms >= 0 && poll(&ready, 1, patience_ms) <= 0)
            return -EAGAIN;
        ssize_t written = write(fd, bytes, patience_ms >= 0 && size > PIPE_BUF ? PIPE_BUF : size);
        if (written > 0) {
            bytes += written;
            size -= (size_t)written;
        } else if (written == 0) { /* a broken file system or device, which would take nothing for ever */
            return -EIO;
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
    if (number && !sigismember(&before, number)) { /* one that was pending before is the program's */
        sigemptyset(&raised);
        sigaddset(&raised, number);
        sigtimedwait(&raised, NULL, &(struct timespec){0});
    }
    fuseln_shield_lower(&shield);
    return error;
}

static void out_drain(struct fuseln_out *out)
{
    if (!out->error)
        out->error = out->fd < 0 ? -ENOSPC : fuseln_write(out->fd, out->buffer, out->length, out->patience_ms);
    if (out->fd >= 0)
        out->length = 0;
}

void fuseln_out_bytes(struct fuseln_out *out, const char *bytes, size_t size)
{
    while (size > 0 && !out->error) {
        size_t room = out->capacity - out->length;
        size_t part = size < room ? size : room;
        memcpy(out->buffer + out->length, bytes, part);
        out->length += part;
        bytes += part;
        size -= part;
        if (size > 0)
            out_drain(out);
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

const char *fuseln_out_short(char ret_text[FUSELN_REAL_MAX], double value)
{
    int exponent = 0;
    if (!fuseln_out_real(ret_text, value) || value < 999999) {
        ret_text[6] = '\0';
        return ret_text;
    }
    for (; value >= 9.95; exponent++)
        value /= 10;
    const unsigned tenths = (unsigned)(value * 10 + 0.5);
    snprintf(ret_text, FUSELN_REAL_MAX, "%u.%ue%d", tenths / 10, tenths % 10, exponent);
    return ret_text;
}

int fuseln_out_flush(struct fuseln_out *out)
{
    if (out->length > 0 && out->fd >= 0)
        out_drain(out);
    return out->error;
}

static int sink_get(const struct fuseln_sink *sink)
{
    const int number = atomic_load(&sink->borrowed) - 1;
    if (number == STDOUT_FILENO || number == STDERR_FILENO)
        return fuseln_stream_get(number);
    return fuseln_descriptor_get(&sink->descriptor);
}

static int sink_expand(struct fuseln_sink *sink, const char *path_template)
{
    const char *const folder = fuseln_config_get()->folder;
    struct fuseln_shield shield;
    fuseln_shield_lock(&shield, &sink->mutex);
    const int error = *sink->path ? 0 : fuseln_path_expand(path_template, folder, sink->path, NULL);
    fuseln_shield_unlock(&shield, &sink->mutex);
    return error;
}

/* Publishes a descriptor of the program or a file that we have just opened, unless another thread was first. */
static void sink_publish(struct fuseln_sink *sink, int fd, bool borrowed)
{
    struct fuseln_shield shield;
    fuseln_shield_lock(&shield, &sink->mutex);
    const bool first = sink_get(sink) < 0;
    if (first && borrowed) {
        fuseln_descriptor_borrow(&sink->descriptor, fd);
        atomic_store(&sink->borrowed, fd + 1);
    } else if (first) { /* an earlier descriptor is not closed: its number belongs to somebody else now */
        fuseln_descriptor_own(&sink->descriptor, fd);
    }
    fuseln_shield_unlock(&shield, &sink->mutex);
    if (!first && !borrowed)
        close(fd);
}

/* The descriptor to write a line to. Threads that need it at the same time may each open the file: an open can take
 * long, so no lock is held across it. */
static int sink_open(struct fuseln_sink *sink, const char *path_template)
{
    const int stream = fuseln_stream_number(path_template);
    int fd = stream >= 0 ? fuseln_stream_get(stream) : sink_get(sink);
    if (fd >= 0 || stream >= 0 || atomic_load(&sink->borrowed))
        return fd;
    fd = sink_expand(sink, path_template);
    if (fd < 0)
        return fd;
    const int number = fuseln_file_number(sink->path);
    fd = number >= 0 ? number : fuseln_file_open(sink->path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0666);
    if (fd < 0)
        return fd;
    if (number < 0)
        fcntl(fd, F_SETPIPE_SZ, 1 << 20); /* lets a reader be some thousand lines late; fails on all but a pipe */
    sink_publish(sink, fd, number >= 0);
    return sink_get(sink);
}

static int write_lost(const struct fuseln_sink *sink, int fd, uint64_t lost)
{
    char line[128];
    const int size = snprintf(line, sizeof line, "%s%" PRIu64 "%s\n", sink->lost_words[0], lost, sink->lost_words[1]);
    return fuseln_write(fd, line, (size_t)size, FUSELN_WRITE_LINE);
}

int fuseln_sink_write(struct fuseln_sink *sink, const char *path_template, const char *bytes, size_t size)
{
    struct fuseln_shield shield;
    fuseln_shield_raise(&shield);
    uint64_t lost = 0;
    const int fd = sink_open(sink, path_template);
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

void fuseln_sink_after_fork(struct fuseln_sink *sink)
{
    sink->mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    atomic_store(&sink->lost, 0);
    if (atomic_load(&sink->borrowed))
        return;
    fuseln_descriptor_close(&sink->descriptor);
    sink->path[0] = '\0';
}
