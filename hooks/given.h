/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which function a program gets that asks for one of the driver's: by dlsym (dlsym.c), by cuGetProcAddress (driver.c)
 * or by cudaGetDriverEntryPoint (cudart.c). Static CUDA runtimes, Triton and users of NVRTC reach libcuda so.
 * Lock-free; errno is kept.
 */
#ifndef FUSELN_GIVEN_H
#define FUSELN_GIVEN_H

#include "hooks/behind.h"

/* Our functions, in the order of FUSELN_DRIVER_EXPORTS; defined by driver.c. */
typedef void fuseln_driver_function(void);
extern fuseln_driver_function *const fuseln_driver_functions[FUSELN_DRIVER_HOOKS];

/*
 * The real dlsym found `function` for this name through a library's handle: what the caller (an address inside the
 * calling library) gets. One of ours only where the function is libcuda's own and one that we hook or notice, the
 * driver boundary is on (FUSELN_HOOKS) and the caller is neither a CUDA runtime whose own functions we hook (a launch
 * is seen once) nor the driver itself or what stands in for it. A function of libcuda's that nobody knew when this was
 * built is given out as it is, and switches pairing off.
 */
void *fuseln_given_for_dlsym(void *handle, const char *name, void *function, const void *caller);
/* The same of cuGetProcAddress and cudaGetDriverEntryPoint, which returned rc: what they found for the caller is
 * replaced in *ret_function. Returns rc. */
int fuseln_given_after(int rc, const char *name, void **ret_function, const void *caller);

/*
 * The driver itself, or what stands in for it, looks up one of its names by RTLD_NEXT or RTLD_DEFAULT, and would find
 * ours: true, and in *ret_function what it finds without us (NULL: nothing). False where the real look-up does not
 * reach us, for other names and for all other callers.
 */
bool fuseln_given_without_us(void *handle, const char *name, const void *caller, void **ret_function);

#endif
