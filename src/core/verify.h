/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the checks of launches on the device (kernels/host/check.c) mean for a site: compared and right, it may be
 * replaced; compared and wrong, it never is. In FUSELN_MODE=verify every launch is checked and none is replaced; else
 * the first FUSELN_CHECK launches of each site of a build that is not known. Nothing waits for a result: while it has
 * not come, the original is launched. Thread-safe, no locks; valid when zeroed.
 */
#ifndef FUSELN_VERIFY_H
#define FUSELN_VERIFY_H

#include "base/config.h"
#include "core/decode.h"
#include "core/record.h"
#include "kernels/host/device.h"

/* A launch of target that could be replaced is about to be made at this site. OK: it may be. Else VERIFY, CHECK or
 * FAILED; *ret_watch tells whether fuseln_verify_after is to be called once the original was launched. */
enum fuseln_verdict fuseln_verify_before(struct fuseln_site *site, const struct fuseln_target *target,
                                         const struct fuseln_config *config, bool *ret_watch);
void fuseln_verify_after(struct fuseln_site *site, const struct fuseln_call *call, struct fuseln_context *context,
                         void *stream, const struct fuseln_config *config);

/* Add up the results that have come since. Asks nobody: also at exit. */
void fuseln_verify_collect(void);

#endif
