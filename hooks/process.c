/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See process.h. What a thread or a child needs anew each layer resets itself; the order of it all stands here.
 */
#include "hooks/process.h"

#include <errno.h>

#include "base/log.h"
#include "base/path.h"
#include "base/shield.h"
#include "base/thread.h"
#include "core/foreign.h"
#include "core/library.h"
#include "core/measure.h"
#include "core/pairing.h"
#include "core/pipeline.h"
#include "core/registry.h"
#include "core/user.h"
#include "kernels/host/device.h"
#include "report/report.h"
#include "version.h"

static void after_fork_in_child(void)
{
    int saved = errno;
    fuseln_record_after_fork();
    fuseln_report_after_fork();
    fuseln_trace_after_fork();
    fuseln_log_after_fork();
    fuseln_registry_after_fork();
    fuseln_foreign_after_fork();
    fuseln_library_after_fork();
    fuseln_pipeline_after_fork();
    fuseln_pairing_after_fork();
    fuseln_measure_after_fork();
    fuseln_context_after_fork();
    fuseln_scratch_after_fork();
    fuseln_check_after_fork();
    fuseln_timer_after_fork();
    errno = saved;
}

/* Threads that come at once may each add the handler: it may run twice, but no thread that counts forks without it. */
void fuseln_process_handle_fork(void)
{
    static _Atomic bool handled; /* stays set in a forked child: handlers are inherited */
    if (atomic_load(&handled))
        return;
    int saved = errno;
    fuseln_thread_at_fork(fuseln_library_before_fork, fuseln_library_after_fork_in_parent, after_fork_in_child);
    atomic_store(&handled, true);
    errno = saved;
}

static _Atomic bool launched;

void fuseln_process_left_out(void)
{
    if (atomic_load(&launched) && fuseln_registry_left_out() > 0)
        pr_warn("this process registered more layer-norm kernels than fuseln has room for; some stay with their "
                "originals");
    if (atomic_load(&launched))
        fuseln_user_complain();
}

static void warn(const char *text, int length)
{
    pr_warn("%.*s", length, text);
}

void fuseln_process_warn(void)
{
    static atomic_flag done;
    if (!atomic_flag_test_and_set(&done))
        fuseln_config_complain(warn);
}

static void first_launch(void)
{
    char executable[256];
    int saved = errno;
    if (fuseln_config_get()->mode == FUSELN_MODE_OFF)
        return;
    atomic_store(&launched, true);
    fuseln_process_warn();
    fuseln_process_left_out();
    fuseln_report_arm();
    if (fuseln_log_enabled(FUSELN_LOG_INFO)) {
        fuseln_path_executable(executable, sizeof executable);
        pr_info("fuseln " FUSELN_VERSION " sees the first kernel launch of %s", executable);
    }
    errno = saved;
}

/* Under the shield as a whole: a handler that leaves it half done would leave it so for good. */
void fuseln_process_join(void)
{
    struct fuseln_shield before;
    fuseln_shield_raise(&before);
    fuseln_process_handle_fork();
    if (fuseln_record_join())
        first_launch();
    fuseln_shield_lower(&before);
}

/* Other libraries may already be gone: no CUDA call here, no join. */
__attribute__((destructor)) static void at_exit(void)
{
    int saved = errno;
    fuseln_report_write();
    errno = saved;
}
