/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See log.h. A process logs the same warning or error only once, however many launches cause it. If the log file cannot
 * be written, its lines go to stderr.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/output.h"
#include "base/shield.h"

static struct fuseln_sink sink = {.lost_words = {"fuseln: ", " lines of this log were lost here"},
                                  .mutex = PTHREAD_MUTEX_INITIALIZER};
/* Hashes of the warnings and errors so far, guarded by the sink's mutex. Once the table is full, lines may repeat. */
static uint64_t logged[128];
static size_t logged_count;

bool fuseln_log_enabled(enum fuseln_log_level level)
{
    return level <= fuseln_config_get()->log_level;
}

static uint64_t hash_line(const char *line)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (; *line; line++)
        hash = (hash ^ (unsigned char)*line) * 0x100000001b3u;
    return hash;
}

static bool is_repeated(const char *line)
{
    const uint64_t hash = hash_line(line);
    struct fuseln_shield shield;
    bool found = false;
    fuseln_shield_lock(&shield, &sink.mutex);
    for (size_t i = 0; i < logged_count && !found; i++)
        found = logged[i] == hash;
    if (!found && logged_count < sizeof logged / sizeof *logged)
        logged[logged_count++] = hash;
    fuseln_shield_unlock(&shield, &sink.mutex);
    return found;
}

static void write_line(const char *line, size_t length)
{
    const char *path = fuseln_config_get()->log_path;
    int error = fuseln_sink_write(&sink, *path ? path : "stderr", line, length);
    if (!error || error == -EAGAIN || !*path)
        return;
    char why[512]; /* in the host's language */
    snprintf(why, sizeof why - 1, "fuseln[%d]: FUSELN_LOG=:%.100s cannot be written: %s, the log goes to stderr",
             (int)getpid(), path, strerror(-error));
    fuseln_clean(why);
    if (!is_repeated(why)) {
        strcat(why, "\n");
        fuseln_sink_write(&sink, "stderr", why, strlen(why));
    }
    fuseln_sink_write(&sink, "stderr", line, length);
}

void fuseln_log(enum fuseln_log_level level, const char *format, ...)
{
    if (!fuseln_log_enabled(level))
        return;
    int saved = errno;
    char line[2048];
    const size_t prefix = (size_t)snprintf(line, sizeof line, "fuseln[%d]: ", (int)getpid());
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line + prefix, sizeof line - prefix - 1, format, arguments);
    va_end(arguments);
    fuseln_clean(line + prefix); /* one line, and no escape sequence from a path */
    if (length >= 0 && (level > FUSELN_LOG_WARN || !is_repeated(line))) {
        const size_t end = strlen(line);
        line[end] = '\n';
        write_line(line, end + 1);
    }
    errno = saved;
}

void fuseln_log_after_fork(void)
{
    fuseln_sink_after_fork(&sink);
    logged_count = 0;
}
