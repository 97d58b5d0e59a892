/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stubs of hooks/notice.S: what is given out in place of a noticed function of libcuda's. Lock-free; thread-safe.
 */
#ifndef FUSELN_NOTICE_H
#define FUSELN_NOTICE_H

#include "hooks/names.h"

#include <stdatomic.h>

#ifdef __x86_64__ /* only there are stubs */
/* The function that is given out in place of libcuda's own of this index, and what it jumps to. */
void *fuseln_notice_stub(size_t index);
_Atomic(void *) *fuseln_notice_behind(size_t index);
#endif

#endif
