/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes on their way out: the write that raises no signal in the host, a buffered writer (report), and an append
 * sink (log, trace). Called by log, trace and report. No allocation, no stdio; errors are -errno and never raise.
 */
#ifndef FUSELN_OUTPUT_H
#define FUSELN_OUTPUT_H

#include "base/file.h"

/*
 * Write all of it, as nothing that could break off: a reader that has gone is -EPIPE and no signal. patience_ms: how
 * long a pipe or a terminal that takes no more is waited for before it is -EAGAIN; FUSELN_WRITE_FILE: it is a regular
 * file, written in one piece.
 */
enum { FUSELN_WRITE_FILE = -1, FUSELN_WRITE_LINE = 0, FUSELN_WRITE_REPORT = 1000 };
int fuseln_write(int fd, const char *bytes, size_t size, int patience_ms);

/* A buffered writer. fd -1: what does not fit into the buffer is dropped (error: -ENOSPC). */
struct fuseln_out {
    int fd, patience_ms; /* fuseln_write */
    int error;           /* the first error; nothing is written after it */
    char *buffer;
    size_t used, size;
};
void fuseln_out_bytes(struct fuseln_out *out, const char *bytes, size_t size);
void fuseln_out_text(struct fuseln_out *out, const char *text);
/* At most 1 KB of output a call. No floating point: its decimal sign follows the host's locale. */
void fuseln_out_format(struct fuseln_out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A number that is not negative, without the locale's help: six decimals, or an exponent beyond 10^12. False, and "",
 * where value is no number or beyond 10^300. */
enum { FUSELN_REAL_MAX = 32 };
bool fuseln_out_real(char ret_text[FUSELN_REAL_MAX], double value);
int fuseln_out_flush(struct fuseln_out *out); /* returns the first error */

/*
 * Where lines are appended, opened at the first one. Before each line the descriptor is checked to be still the file we
 * opened. A line never waits for a reader: one that finds a pipe full is lost, and counted, and so are all after it
 * until it takes lines again; how many they were is then said in the line before. Valid with the first two set
 * (static).
 */
struct fuseln_sink {
    char *path;                /* FUSELN_PATH_MAX bytes, zeroed: "" until it was expanded; under opening */
    const char *lost_words[2]; /* what stands before and behind the number of lines lost */
    struct fuseln_descriptor descriptor;
    _Atomic int borrowed; /* N + 1 where path stands for descriptor N of the program; else 0 */
    _Atomic bool opening;
    _Atomic uint64_t lost;
};
/* One write(2). path_template is a path template, which starts in folder, "stderr" or "stdout". Thread-safe. -EAGAIN:
 * the line was lost. */
int fuseln_sink_write(struct fuseln_sink *sink, const char *path_template, const char *folder, const char *bytes,
                      size_t size);
uint64_t fuseln_sink_lost(const struct fuseln_sink *sink); /* lines since the last that was written */
void fuseln_sink_after_fork(struct fuseln_sink *sink); /* the next line opens the template anew; async-signal-safe */

#endif
