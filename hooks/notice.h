/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stubs of hooks/notice.S that are given out in place of libcuda's noticed functions.
 */
#ifndef FUSELN_NOTICE_H
#define FUSELN_NOTICE_H

#include <stddef.h>

/* The stub for the function of this index in FUSELN_DRIVER_NOTICED, which jumps on to libcuda's own: function.
 * Lock-free. */
void *fuseln_notice_stub(size_t index, void *function);

#endif
