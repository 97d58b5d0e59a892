/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one sink, one write(2) per line, prefix "fuseln[pid]: ". Formats into a stack buffer, never allocates,
 * keeps errno. Level and destination from FUSELN_LOG. src/ returns verdicts; hooks and the life cycle log.
 */
#ifndef FUSELN_LOG_H
#define FUSELN_LOG_H

#include "base/config.h"

bool fuseln_log_enabled(enum fuseln_log_level level);
void fuseln_log(enum fuseln_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fuseln_log_end(void);        /* at exit: how many of the last lines nobody read, on stderr */
void fuseln_log_after_fork(void); /* the child opens its own file; async-signal-safe */

#define pr_error(...) fuseln_log(FUSELN_LOG_ERROR, __VA_ARGS__)
#define pr_warn(...)  fuseln_log(FUSELN_LOG_WARN, __VA_ARGS__)
#define pr_info(...)  (fuseln_log_enabled(FUSELN_LOG_INFO) ? fuseln_log(FUSELN_LOG_INFO, __VA_ARGS__) : (void)0)
#define pr_debug(...) (fuseln_log_enabled(FUSELN_LOG_DEBUG) ? fuseln_log(FUSELN_LOG_DEBUG, __VA_ARGS__) : (void)0)

#endif
