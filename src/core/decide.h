/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a recognised launch may be replaced, and by what. Pure: call + settings + device -> verdict + plan.
 */
#ifndef FUSELN_DECIDE_H
#define FUSELN_DECIDE_H

#include "base/config.h"
#include "core/decode.h"
#include "kernels/host/device.h"

/* Everything that decide looks at. decoded and context are the verdicts of those steps; device NULL unless OK. */
struct fuseln_case {
    const struct fuseln_launch *launch;
    const struct fuseln_call *call; /* valid if decoded is OK */
    enum fuseln_verdict decoded, context;
    const struct fuseln_device *device;
    const struct fuseln_config *config;
};

/* Returns OK or the first reason to decline; *ret_plan is valid whenever a plan could be made (kernel[0] not NULL),
 * also in observe mode, so that a site always knows its alignment. */
enum fuseln_verdict fuseln_decide(const struct fuseln_case *given, struct fuseln_plan *ret_plan);

#endif
