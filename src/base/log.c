/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log (log.h). A line of warn or error is written once a process: the same trouble at every launch is said once.
 * A log file that cannot be written sends its lines to stderr.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/output.h"
#include "base/path.h"

static char sink_path[FUSELN_PATH_MAX];
static struct fuseln_sink sink = {.path = sink_path, .lost_words = {"fuseln: ", " lines of this log were lost here"}};
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
    const struct fuseln_config *config = fuseln_config_get();
    const char *path = config->log_path;
    int error = fuseln_sink_write(&sink, *path ? path : "stderr", config->folder, line, length);
    if (!error || error == -EAGAIN || !*path)
        return;
    char why[256];
    int size =
        snprintf(why, sizeof why, "fuseln[%d]: FUSELN_LOG=:%.100s cannot be written: %s, the log goes to stderr\n",
                 (int)getpid(), path, strerror(-error));
    if (!already_said(why))
        fuseln_sink_write(&sink, "stderr", "", why, (size_t)size);
    fuseln_sink_write(&sink, "stderr", "", line, length);
}

void fuseln_log_end(void)
{
    char line[128];
    const uint64_t lost = fuseln_sink_lost(&sink);
    if (lost == 0)
        return;
    int size = snprintf(line, sizeof line, "fuseln[%d]: FUSELN_LOG: the last %llu lines were lost, nobody read them\n",
                        (int)getpid(), (unsigned long long)lost);
    const int fd = fuseln_stream_get(STDERR_FILENO);
    if (fd >= 0)
        fuseln_write(fd, line, (size_t)size, FUSELN_WRITE_LINE);
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
    fuseln_clean(line + used); /* one line, and no escape sequence out of a path */
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
