/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The substitution report (FUSELN_REPORT) and the trace (FUSELN_TRACE). Thread-safe: one thread writes the report,
 * others that find it due go on. No allocation; preserves errno.
 */
#ifndef FUSELN_REPORT_H
#define FUSELN_REPORT_H

#include "core/pass.h"

/* At the first launch of the process: resolves the report's path (%q{} variables, rank), so that the host can change
 * its environment and working directory afterwards. */
void fuseln_report_arm(void);
/* After each recognised launch: writes the report at the first substitution, 1, 2, 4, 8 and 16 s after it, and then
 * every FUSELN_REPORT_EVERY s. Cheap when the report is not due (one coarse clock read). */
void fuseln_report_tick(bool substituted);
/* Writes the last report, at exit; nothing in a process that launched no kernel. */
void fuseln_report_write(void);
void fuseln_report_after_fork(void);

/* Where FUSELN_TRACE is set: one JSON line for a launch that was replaced. grid and block are the original's. */
void fuseln_trace(const struct fuseln_pass *pass);
void fuseln_trace_after_fork(void);

#endif
