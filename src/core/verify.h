/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the checks of launches on the device (kernels/host/check.c) mean for a site: compared and right, it may be
 * replaced; compared and wrong, it never is. In FUSELN_MODE=verify every launch is checked and none is replaced; else
 * the first FUSELN_CHECK launches of each site of a build that is not known. Nothing waits for a result: while it has
 * not come, the original is launched. Thread-safe; valid when zeroed. The mutex is taken where a result has come.
 */
#ifndef FUSELN_VERIFY_H
#define FUSELN_VERIFY_H

#include "core/pass.h"

/* A launch that could be replaced is about to be made at the pass's site. OK: it may be. Else VERIFY, CHECK or FAILED;
 * pass->check then tells whether fuseln_verify_start_check is to be called once the original was launched. */
enum fuseln_verdict fuseln_verify_begin(struct fuseln_pass *pass);
/* Then, before the original: copies what it reads and may write over. */
void fuseln_verify_save(struct fuseln_pass *pass);
/* The original was just launched on the pass's stream: starts the check. */
void fuseln_verify_start_check(const struct fuseln_pass *pass);

/* Add up the results that have come since. Makes no driver call: also called at exit. */
void fuseln_verify_collect(void);

#endif
