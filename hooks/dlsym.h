/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the dlsym hook (dlsym.c) and the driver boundary (driver.c) meet: programs that reach libcuda by dlopen, dlsym
 * and cuGetProcAddress (static CUDA runtimes, Triton, users of NVRTC) are given driver.c's functions.
 */
#ifndef FUSELN_DLSYM_H
#define FUSELN_DLSYM_H

#include "base/real_dlsym.h"

#include <stdbool.h>

/* The dlsym that the host would have reached without us. Lock-free; never NULL on glibc. */
fuseln_dlsym_function *fuseln_dlsym_real(void);

/*
 * The real dlsym found `function` for this name through a library's handle: what the caller (an address inside the
 * calling library) gets. One of ours only where the function is libcuda's own and one that we hook, the driver
 * boundary is on (FUSELN_HOOKS) and the caller is neither a CUDA runtime whose own functions we hook (a launch is seen
 * once) nor the driver itself or what stands in for it.
 * A function of libcuda's that nobody knew when this was built is given out as it is, and switches pairing off.
 */
void *fuseln_driver_hook(void *handle, const char *name, void *function, const void *caller);
/* The same of a function that cuGetProcAddress or cudaGetDriverEntryPoint found. */
void *fuseln_driver_given(const char *name, void *function, const void *caller);

/*
 * What stands behind one of our functions that is given out, for a caller whose scope holds nothing behind our exported
 * one: it bound to ours all the same, through the library that loaded it, or was given ours by a driver that is not
 * bound to its own symbols. NULL where libcuda is not loaded.
 */
void *fuseln_driver_own(_Atomic(void *) *behind_one);

/*
 * The driver itself, or what stands in for it, looks up one of its names by RTLD_NEXT or RTLD_DEFAULT, and would find
 * ours: true, and in *ret_function what it finds without us (NULL: nothing). False where the real look-up does not
 * reach us, for other names and for all other callers.
 */
bool fuseln_driver_without_us(void *handle, const char *name, const void *caller, void **ret_function);

#endif
