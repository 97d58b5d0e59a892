/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See decide.h. The order of the reasons is the order in which a user can act on them: what the launch is, what it
 * asks of us, what the user told us, where it runs.
 */
#include "core/decide.h"

#include <string.h>

enum fuseln_verdict fuseln_decide(const struct fuseln_case *given, struct fuseln_plan *ret_plan)
{
    const struct fuseln_launch *launch = given->launch;
    enum fuseln_verdict planned = FUSELN_VERDICT_CONTEXT;

    memset(ret_plan, 0, sizeof(*ret_plan));
    if (given->decoded == FUSELN_VERDICT_OK && given->device)
        planned = fuseln_plan_make(given->call, given->device, ret_plan);

    if (launch->declined != FUSELN_VERDICT_OK)
        return launch->declined;
    if (given->decoded != FUSELN_VERDICT_OK)
        return given->decoded;
    if (fuseln_config_skips(given->config, launch->target, given->call->cols))
        return FUSELN_VERDICT_SKIP;
    if (given->config->mode == FUSELN_MODE_OBSERVE)
        return FUSELN_VERDICT_OBSERVE;
    if (!given->device)
        return given->context;
    /* The runtime makes a device's context current lazily: until then the driver still names another device. */
    if (launch->runtime_device >= 0 && launch->runtime_device != given->device->index)
        return FUSELN_VERDICT_CONTEXT;
    return planned;
}
