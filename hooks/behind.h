/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands behind the functions that we give out in place of libcuda's own: libcuda's own. Lock-free; valid when
 * zeroed.
 */
#ifndef FUSELN_BEHIND_H
#define FUSELN_BEHIND_H

#include "hooks/names.h"

#include <stdatomic.h>

/* The functions that are given out, by index from FUSELN_REAL_CU_FIRST on: the hooked ones, then the noticed ones. */
enum {
#define X(id, name) +1
    FUSELN_DRIVER_HOOKS = 0 FUSELN_DRIVER_EXPORTS(X),
#undef X
    FUSELN_DRIVER_GIVEN = FUSELN_DRIVER_HOOKS + FUSELN_NOTICE_DRIVER
};

extern _Atomic(void *) fuseln_behind[FUSELN_DRIVER_GIVEN]; /* NULL while not known */
/* By whether the handle is a CUkernel; NULL while not known: cuFuncGetName and cuKernelGetName, and of CUDA 12.4 and
 * later cuFuncGetParamInfo and cuKernelGetParamInfo, cuModuleGetFunctionCount and cuLibraryGetKernelCount. */
typedef int fuseln_name_function(const char **ret_name, void *handle);
typedef int fuseln_param_function(const void *handle, size_t index, size_t *ret_offset, size_t *ret_bytes);
typedef int fuseln_count_function(unsigned *ret_count, void *owner);
extern _Atomic(fuseln_name_function *) fuseln_behind_name[2];
extern _Atomic(fuseln_param_function *) fuseln_behind_param[2];
extern _Atomic(fuseln_count_function *) fuseln_behind_count[2];

/* Look all of them up through a handle that reaches libcuda. A driver may lack some. */
void fuseln_behind_fill(void *handle);
/* The same where none is known yet, through libcuda as it is loaded: for programs that are linked to it. errno kept. */
void fuseln_behind_complete(void);
/* What stands behind one of them, looked up now if it is not known; NULL where libcuda is not loaded or lacks it. */
void *fuseln_behind_get(size_t index);

#endif
