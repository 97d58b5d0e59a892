/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one write(2) per line, prefix "fuseln[pid]: ", level and destination from FUSELN_LOG. A line is formatted on
 * the stack. Thread-safe; no allocation; preserves errno.
 */
#ifndef FUSELN_LOG_H
#define FUSELN_LOG_H

#include "base/config.h"

bool fuseln_log_enabled(enum fuseln_log_level level);
void fuseln_log(enum fuseln_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fuseln_log_after_fork(void); /* async-signal-safe */

#define pr_warn(...)  fuseln_log(FUSELN_LOG_WARN, __VA_ARGS__)
#define pr_info(...)  (fuseln_log_enabled(FUSELN_LOG_INFO) ? fuseln_log(FUSELN_LOG_INFO, __VA_ARGS__) : (void)0)
#define pr_debug(...) (fuseln_log_enabled(FUSELN_LOG_DEBUG) ? fuseln_log(FUSELN_LOG_DEBUG, __VA_ARGS__) : (void)0)

#endif
