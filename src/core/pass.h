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
    enum fuseln_verdict decoded, located; /* did decoding, and finding the context, succeed? */
    struct fuseln_call call;              /* means nothing unless decoded is OK */
    const struct fuseln_device *device;   /* of the context; set when the launch is decided */
    struct fuseln_job job;   /* context: NULL unless located is OK; plan: of kernel[0] NULL where none could be made */
    struct fuseln_plan made; /* what job.plan points to, where it was made for this launch */
    enum fuseln_verdict verdict; /* OK: ours was launched; else why the original must be */
    struct fuseln_site *site;    /* NULL: the other boundary counts this launch */
    const char *kernel;          /* the name of ours, where it was launched; else NULL */
    bool check;                  /* the original, once launched, is to be checked against ours */
    struct fuseln_timer *timer;  /* runs while the original is launched; NULL: it is not timed */
};

#endif
