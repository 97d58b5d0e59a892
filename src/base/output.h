/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output: a write that raises no signal in the host, a buffered writer (for the report), and a sink that appends lines
 * (for log and trace). No allocation, no stdio streams; errors are -errno.
 */
#ifndef FUSELN_OUTPUT_H
#define FUSELN_OUTPUT_H

#include <pthread.h>

#include "base/file.h"
#include "base/path.h"

/*
 * Writes all of it. If the reader has gone, the result is -EPIPE and no signal. patience_ms: how long to wait for a
 * pipe or terminal that accepts no more, before -EAGAIN; FUSELN_WRITE_FILE: a regular file, written in one piece.
 */
enum { FUSELN_WRITE_FILE = -1, FUSELN_WRITE_LINE = 0, FUSELN_WRITE_REPORT = 1000 };
int fuseln_write(int fd, const char *bytes, size_t size, int patience_ms);

/* A buffered writer. fd -1: what does not fit into the buffer is dropped (error: -ENOSPC). */
struct fuseln_out {
    int fd, patience_ms; /* as in fuseln_write */
    int error;           /* the first error; nothing is written after it */
    char *buffer;
    size_t length, capacity;
};
void fuseln_out_bytes(struct fuseln_out *out, const char *bytes, size_t size);
void fuseln_out_text(struct fuseln_out *out, const char *text);
/* At most 1 KB a call, and no floating point: its decimal point follows the host's locale. */
void fuseln_out_format(struct fuseln_out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Formats a number without the host's locale: six decimals, with an exponent beyond 10^12. "" and false if value is
 * negative, NaN or beyond 10^300. */
enum { FUSELN_REAL_MAX = 32 };
bool fuseln_out_real(char ret_text[FUSELN_REAL_MAX], double value);
/* The same in six characters, such as 0.2500, 123456 or 8.4e15; seven from 10^100 on. Returns ret_text. */
const char *fuseln_out_short(char ret_text[FUSELN_REAL_MAX], double value);
int fuseln_out_flush(struct fuseln_out *out); /* returns the first error */

/*
 * Appends lines to a file, which the first line opens. Before each line the descriptor is checked to still be our file.
 * A line never waits for a reader: while a pipe is full, lines are lost and counted, and the next line that can be
 * written is preceded by one that says how many.
 */
struct fuseln_sink {
    const char *lost_words[2];  /* the text before and after the number of lost lines */
    pthread_mutex_t mutex;      /* held to open the sink; the log also guards its own list with it */
    char path[FUSELN_PATH_MAX]; /* the expanded template; "" before the first line */
    struct fuseln_descriptor descriptor;
    _Atomic int borrowed; /* N + 1 if path stands for descriptor N of the program; else 0 */
    _Atomic uint64_t lost;
};
/* Writes the bytes with one write(2). The path template is one of a setting, or "stderr" or "stdout". Thread-safe.
 * -EAGAIN: the line was lost. */
int fuseln_sink_write(struct fuseln_sink *sink, const char *path_template, const char *bytes, size_t size);
/* In a forked child: the next line expands the template and opens the file anew. Async-signal-safe. */
void fuseln_sink_after_fork(struct fuseln_sink *sink);

#endif
