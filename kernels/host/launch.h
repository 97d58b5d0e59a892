/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What check.c needs of launch.c besides device.h.
 */
#ifndef FUSELN_KERNEL_LAUNCH_H
#define FUSELN_KERNEL_LAUNCH_H

#include "kernels/host/context.h"

/* Launch one kernel of check.cu: the job's plan has that kernel, its grid and block alone. Verdicts as
 * fuseln_kernel_launch. */
enum fuseln_verdict fuseln_kernel_launch_check(const struct fuseln_job *job, struct fuseln_check_params *params);

#endif
