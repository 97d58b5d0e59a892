/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to a recognised launch: find (the hook did) > decode > decide > launch > record, without allocation or
 * lock; for one like an earlier one of the same thread, all but deciding (repeat.h).
 */
#ifndef FUSELN_PIPELINE_H
#define FUSELN_PIPELINE_H

#include "core/decode.h"

enum fuseln_course {
    FUSELN_ORIGINAL, /* nothing was launched (or nothing that the original does not overwrite): launch the original */
    FUSELN_REPLACED, /* our kernel was launched on the same stream, the original must not be */
    FUSELN_WATCHED,  /* launch the original, and if it was launched call fuseln_pipeline_after, with the same launch */
};

/*
 * Try to replace one launch. Where the original is launched the reason is counted, unless the launch's boundary is not
 * hooked (FUSELN_HOOKS). Called by every launch hook for a recognised kernel; thread-safe; errno is kept.
 */
enum fuseln_course fuseln_pipeline_run(const struct fuseln_launch *launch);
void fuseln_pipeline_after(const struct fuseln_launch *launch);

#endif
