/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In place of hooks/dlsym.c: dlsym is not hooked, as on other machines than x86-64. ThreadSanitizer itself calls it,
 * before what it instruments may run.
 */
#include "hooks/dlsym.h"

fuseln_dlsym_function *fuseln_dlsym_real(void)
{
    return fuseln_next_dlsym();
}
