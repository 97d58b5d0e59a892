/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What check.c needs of launch.c and context.c besides kernels.h.
 */
#ifndef FUSELN_CHECK_H
#define FUSELN_CHECK_H

#include "kernels/host/context.h"

/* Launch one kernel of check.cu: plan has that kernel, its grid and block alone. Verdicts as fuseln_kernel_launch. */
enum fuseln_verdict fuseln_kernel_launch_check(struct fuseln_context *context, const struct fuseln_plan *plan,
                                               void *stream, struct fuseln_check_params *params);
/* The variant of this name; one that is in the table. */
const struct fuseln_variant *fuseln_variant_named(const char *name);

#endif
