/*
 * Bytes on their way out (output.h). SIGPIPE and SIGXFSZ are blocked in this thread around each write and, when the
 * write raised one, taken from the pending ones: a host must not die of a report that goes into a closed pipe.
 */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "path.h"

static int write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, bytes, size);
        if (written >= 0) {
            bytes += written;
            size -= (size_t)written;
        } else if (errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            if (poll(&ready, 1, 1000) == 0)
                return -EAGAIN;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

int fuseln_write(int fd, const char *bytes, size_t size)
{
    sigset_t ours, old, pending;
    sigemptyset(&ours);
    sigaddset(&ours, SIGPIPE);
    sigaddset(&ours, SIGXFSZ);
    sigpending(&pending);
    /* Not pthread_sigmask: that was in libpthread before 2.32. On Linux this is the thread's mask all the same. */
    sigprocmask(SIG_BLOCK, &ours, &old);
    int error = write_all(fd, bytes, size);
    int raised = error == -EPIPE ? SIGPIPE : error == -EFBIG ? SIGXFSZ : 0;
    if (raised && !sigismember(&pending, raised))
        sigtimedwait(&ours, NULL, &(struct timespec){0});
    sigprocmask(SIG_SETMASK, &old, NULL);
    return error;
}

int fuseln_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0)
        return -errno;
    if (fd > 2)
        return fd;
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int error = errno;
    close(fd);
    return higher < 0 ? -error : higher;
}

static void out_empty(struct fuseln_out *out)
{
    if (!out->error)
        out->error = out->fd < 0 ? -ENOSPC : fuseln_write(out->fd, out->buffer, out->used);
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

static uint64_t inode_of(int fd)
{
    struct statx info;
    return statx(fd, "", AT_EMPTY_PATH, STATX_INO, &info) ? 0 : info.stx_ino;
}

/* Two threads may open at once: both get the same file, one descriptor stays. */
static int sink_open(struct fuseln_sink *sink, const char *path_template)
{
    char path[FUSELN_PATH_MAX];
    int error = fuseln_path_expand(path_template, path, NULL);
    if (error)
        return error;
    int fd = fuseln_open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK);
    if (fd < 0)
        return fd;
    int none = 0;
    atomic_store(&sink->inode, inode_of(fd));
    if (atomic_compare_exchange_strong(&sink->fd, &none, fd))
        return fd;
    close(fd);
    return none;
}

int fuseln_sink_write(struct fuseln_sink *sink, const char *path_template, const char *bytes, size_t size)
{
    if (!strcmp(path_template, "stderr") || !strcmp(path_template, "stdout"))
        return fuseln_write(path_template[3] == 'e' ? STDERR_FILENO : STDOUT_FILENO, bytes, size);
    int fd = atomic_load(&sink->fd);
    if (fd > 0 && inode_of(fd) != atomic_load(&sink->inode)) {
        atomic_compare_exchange_strong(&sink->fd, &fd, 0); /* not closed: the number is someone else's now */
        fd = 0;
    }
    if (fd == 0)
        fd = sink_open(sink, path_template);
    return fd < 0 ? fd : fuseln_write(fd, bytes, size);
}

void fuseln_sink_after_fork(struct fuseln_sink *sink)
{
    int fd = atomic_exchange(&sink->fd, 0);
    if (fd > 0 && inode_of(fd) == atomic_load(&sink->inode))
        close(fd);
}
