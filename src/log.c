/*
 * The log (log.h). A line of warn or error is written once a process: the same trouble at every launch is said once.
 * A log file that cannot be written sends its lines to stderr.
 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lifecycle.h"
#include "output.h"

static struct fuseln_sink sink;
/* Hashes of the lines said; when it is full, lines may repeat. */
static _Atomic uint64_t said[128];

bool fuseln_log_enabled(enum fuseln_log_level level)
{
    return level <= fuseln_config_get()->log_level;
}

static bool already_said(const char *line)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (; *line; line++)
        hash = (hash ^ (unsigned char)*line) * 0x100000001b3u;
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        uint64_t none = 0;
        if (atomic_compare_exchange_strong(&said[i], &none, hash | 1))
            return false;
        if (none == (hash | 1))
            return true;
    }
    return false;
}

static void write_line(const char *line, size_t length)
{
    const char *path = fuseln_config_get()->log_path;
    int error = fuseln_sink_write(&sink, *path ? path : "stderr", line, length);
    if (!error || !*path)
        return;
    char why[256];
    int size =
        snprintf(why, sizeof why, "fuseln[%d]: FUSELN_LOG=:%.100s cannot be written: %s, the log goes to stderr\n",
                 (int)getpid(), path, strerror(-error));
    if (!already_said(why))
        fuseln_write(STDERR_FILENO, why, (size_t)size);
    fuseln_write(STDERR_FILENO, line, length);
}

void fuseln_log(enum fuseln_log_level level, const char *format, ...)
{
    if (!fuseln_log_enabled(level))
        return;
    int saved = errno;
    char line[2048];
    size_t used = (size_t)snprintf(line, sizeof line, "fuseln[%d]: ", (int)getpid());
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line + used, sizeof line - used - 1, format, arguments);
    va_end(arguments);
    for (char *c = line + used; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?'; /* one line, and no escape sequence out of a path */
    if (length >= 0 && (level > FUSELN_LOG_WARN || !already_said(line))) {
        used = strlen(line);
        line[used++] = '\n';
        write_line(line, used);
    }
    errno = saved;
}

void fuseln_log_after_fork(void)
{
    fuseln_sink_after_fork(&sink);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        atomic_store(&said[i], 0);
}
