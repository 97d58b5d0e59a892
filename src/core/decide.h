/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a recognised launch may be replaced, and by what. Pure: call + settings + device -> verdict + plan.
 */
#ifndef FUSELN_DECIDE_H
#define FUSELN_DECIDE_H

#include "core/pass.h"

/* Returns OK or the first reason to decline. The pass is complete up to its device; its plan is made wherever one can
 * be, also in observe mode, so that a site always knows its alignment. */
enum fuseln_verdict fuseln_decide(struct fuseln_pass *pass);

#endif
