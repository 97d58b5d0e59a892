/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FUSELN_MODE=measure: at each site, for each power of two of rows, ours and the original are launched in turn, each
 * between two events on the host's stream, until FUSELN_MEASURE_PAIRS of both were timed; then the one whose median is
 * smaller stays. Nothing waits for an event. In stream capture, and while there are not enough samples, ours is
 * launched. dX and the gradients of gamma and beta are measured apart, and so not paired in this mode.
 * Static storage, valid when zeroed; thread-safe, no locks.
 */
#ifndef FUSELN_MEASURE_H
#define FUSELN_MEASURE_H

#include "core/pass.h"

enum { FUSELN_MEASURE_PAIRS = 20, FUSELN_MEASURES_MAX = 2048 };

/* A launch that could be replaced is about to be made. OK: ours is to be launched; MEASURE: it is the original's turn;
 * SLOWER: the original was measured to be faster. The first two may be timed: then pass->timer runs, and the launch
 * must be followed by fuseln_timer_end. */
enum fuseln_verdict fuseln_measure_begin(struct fuseln_pass *pass);
/* Ours was launched: it counts as saved where ours is known to be the faster one. */
void fuseln_measure_count(struct fuseln_site *site, int64_t rows);

/* What was measured of one site and power of two of rows. */
struct fuseln_measure_view {
    const struct fuseln_site *site;
    int64_t rows_from, rows_to;
    unsigned pairs;              /* of samples; fewer than FUSELN_MEASURE_PAIRS: not decided, ours is launched */
    bool decided, ours;          /* ours stays */
    double ours_us, original_us; /* medians; valid when decided */
    double bytes;                /* that a launch must read and write, of the last one */
    uint64_t launches;           /* of ours, since it was decided for them */
};
/* The index-th of all; false past the end. */
bool fuseln_measure_at(size_t index, struct fuseln_measure_view *ret_view);

void fuseln_measure_after_fork(void);

#endif
