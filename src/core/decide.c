/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See decide.h. The order of the reasons is the order in which a user can act on them: what the launch is, what it
 * asks of us, what the user told us, where it runs.
 */
#include "core/decide.h"

#include <string.h>

/* Roles whose bit in a call's nulls says that the pointer is null. */
enum { NULLABLE = (1u << FUSELN_POINTER_ROLES_END) - 1 };

enum fuseln_verdict fuseln_decide(struct fuseln_pass *pass)
{
    const struct fuseln_launch *launch = pass->launch;
    enum fuseln_verdict planned = FUSELN_VERDICT_CONTEXT;

    memset(&pass->made, 0, sizeof pass->made);
    pass->job.plan = &pass->made;
    if (pass->decoded == FUSELN_VERDICT_OK && pass->device)
        planned = fuseln_plan_make(&pass->call, pass->device, &pass->made);
    if (planned == FUSELN_VERDICT_OK && pass->call.nulls & NULLABLE & ~launch->target->layout.nullable)
        planned = FUSELN_VERDICT_NULLPTR;

    if (launch->declined != FUSELN_VERDICT_OK)
        return launch->declined;
    if (pass->decoded != FUSELN_VERDICT_OK)
        return pass->decoded;
    if (fuseln_config_skips(pass->config, launch->target, &pass->call))
        return FUSELN_VERDICT_SKIP;
    if (pass->config->mode == FUSELN_MODE_OBSERVE)
        return FUSELN_VERDICT_OBSERVE;
    if (!pass->device)
        return pass->located;
    /* The runtime makes a device's context current lazily: until then the driver still names another device. */
    if (launch->runtime_device >= 0 && launch->runtime_device != pass->device->index)
        return FUSELN_VERDICT_CONTEXT;
    return planned;
}
