/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a recognised launch: decode > claim its partial sums > decide > verify or measure > launch > record.
 * No allocation, no lock. Called by hooks/launch alone; thread-safe.
 */
#ifndef FUSELN_PIPELINE_H
#define FUSELN_PIPELINE_H

#include "core/pass.h"

/* Try to replace one launch; ret_pass->verdict tells the outcome. Unless it is OK nothing was launched (or nothing that
 * the original does not overwrite), and the caller launches the original. The reason is counted, unless the launch's
 * boundary is not hooked (FUSELN_HOOKS). */
void fuseln_pipeline_run(const struct fuseln_launch *launch, struct fuseln_pass *ret_pass);

/* After the original of a pass that is not OK: launched, or refused (launched false). Starts the check, or ends the
 * measurement, that the pass decided on. */
void fuseln_pipeline_end(const struct fuseln_pass *pass, bool launched);

void fuseln_pipeline_after_fork(void); /* in the child, in its one thread: nothing was decided. Async-signal-safe */

#endif
