/*
 * Bytes on their way out: the write that raises no signal in the host, a buffered writer (report), and an append
 * sink (log, trace). Called by log, trace and report. No allocation, no stdio; errors are -errno and never raise.
 */
#ifndef FUSELN_OUTPUT_H
#define FUSELN_OUTPUT_H

#include <stdatomic.h>
#include "fuseln.h"

/* Write all of it; a reader that has gone is -EPIPE and no signal, one that does not read for a second -EAGAIN. */
int fuseln_write(int fd, const char *bytes, size_t size);
/* open(2) with O_CLOEXEC and mode 0666, never one of the descriptors 0, 1, 2 that the host may have closed. */
int fuseln_open(const char *path, int flags);

/* A buffered writer. fd -1: what does not fit into the buffer is dropped (error: -ENOSPC). */
struct fuseln_out {
    int fd, error; /* the first error; nothing is written after it */
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
 * A file that lines are appended to, opened at the first one. Valid when zeroed (static). Before each line the
 * descriptor is checked to be still the file we opened: daemons close every descriptor and reuse their numbers.
 */
struct fuseln_sink {
    _Atomic int fd; /* 0: not open */
    _Atomic uint64_t inode;
};
/* One write(2). path_template is a path template, "stderr" or "stdout". Thread-safe. */
int fuseln_sink_write(struct fuseln_sink *sink, const char *path_template, const char *bytes, size_t size);
void fuseln_sink_after_fork(struct fuseln_sink *sink); /* the next line opens the template anew; async-signal-safe */

#endif
