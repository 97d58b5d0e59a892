/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The substitution report (FUSELN_REPORT) and the trace (FUSELN_TRACE). Written to a temporary file and renamed;
 * one thread writes, the others go on; no CUDA call, no allocation, errno kept.
 */
#ifndef FUSELN_REPORT_H
#define FUSELN_REPORT_H

#include "base/config.h"
#include "core/record.h"

/* At the first launch of the process: fixes the report's path (%q{} variables, rank), so that the host may change its
 * environment and folder later. */
void fuseln_report_arm(void);
/* After each recognised launch: writes the report at the first substitution and then 1, 2, 4, 8, 16 s later and
 * every FUSELN_REPORT_EVERY s. Cheap when not due (one coarse clock read). */
void fuseln_report_tick_wanted(bool substituted);
static inline void fuseln_report_tick(bool substituted)
{
    if (fuseln_config_get()->report[0])
        fuseln_report_tick_wanted(substituted);
}
/* Write now (exit). Nothing happens in a process that launched no kernel. */
void fuseln_report_write(void);
void fuseln_report_after_fork(void);

/* What the trace says of one substitution besides the site. grid and block are the original's. */
struct fuseln_trace_event {
    const struct fuseln_site *site;
    const void *stream;
    int64_t rows;
    unsigned grid[3], block[3];
    const char *kernel;
};
/* One JSON line, one write(2). Nothing where FUSELN_TRACE is unset. */
void fuseln_trace(const struct fuseln_trace_event *event);
void fuseln_trace_end(void); /* at exit: how many of the last lines nobody read, as a warning */
void fuseln_trace_after_fork(void);

#endif
