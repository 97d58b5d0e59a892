/*
 * The functions of notice.h for the C of hooks/: by name and by index, in the order of the lists there.
 */
#ifndef FUSELN_NOTICE_NAMES_H
#define FUSELN_NOTICE_NAMES_H

#include "real.h"

/* Static strings; index below FUSELN_NOTICE_RUNTIME or FUSELN_NOTICE_DRIVER. */
const char *fuseln_notice_runtime_name(size_t index);
const char *fuseln_notice_driver_name(size_t index);
/* The index of a noticed driver function, by the name that libcuda exports; FUSELN_NOTICE_DRIVER where it is none. */
size_t fuseln_notice_find(const char *name);
/* Is this function of the runtime noticed, or hooked? */
bool fuseln_notice_is_runtime_call(const char *name);
/* Is this driver function, in any version and form, one that nothing needs to be forgotten for? */
bool fuseln_notice_is_harmless(const char *name);

#ifdef __x86_64__ /* only there are stubs */
/* The function that is given out in place of libcuda's own of this index, and what it jumps to. */
void *fuseln_notice_stub(size_t index);
_Atomic(void *) *fuseln_notice_behind(size_t index);
#endif

#endif
