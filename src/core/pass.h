/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One recognised launch on its way through core: what was read of it, what was decided, and what is still to end once
 * the original was launched. Lives on the stack of hooks/launch; filled by core/pipeline.
 */
#ifndef FUSELN_PASS_H
#define FUSELN_PASS_H

#include "base/config.h"
#include "core/decode.h"
#include "core/record.h"
#include "kernels/host/device.h"

struct fuseln_pass {
    const struct fuseln_launch *launch;
    const struct fuseln_config *config;
    enum fuseln_verdict decoded; /* did decoding succeed? */
    struct fuseln_call call;     /* means nothing unless it did */
    /* Set when the launch is decided: */
    const struct fuseln_device *device; /* of the context */
    enum fuseln_verdict located;        /* OK, or why there is no context */
    struct fuseln_job job;              /* context: may be NULL; plan: of kernel[0] NULL where none could be made */
    struct fuseln_plan made;            /* what job.plan points to, where it was made for this launch */
    enum fuseln_verdict verdict;        /* OK: ours was launched; else why the original must be */
    struct fuseln_site *site;           /* NULL: the other boundary counts this launch */
    bool check;                         /* the original, once launched, is to be checked against ours */
    struct fuseln_saved saved;          /* inputs that the original writes over */
    struct fuseln_timer *timer;         /* runs while the original is launched; NULL: it is not timed */
};

#endif
