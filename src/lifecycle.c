/*
 * The life of the process (lifecycle.h). The library is linked without start files, so __dso_handle is ours; in a
 * program that has one (unit tests) theirs is taken.
 */
#include "lifecycle.h"

#include <errno.h>
#include <pthread.h>

#include "kernels.h"
#include "library.h"
#include "log.h"
#include "measure.h"
#include "pairing.h"
#include "path.h"
#include "repeat.h"
#include "report.h"
#include "version.h"

extern void *__dso_handle __attribute__((weak, visibility("hidden")));
void *__dso_handle = &__dso_handle;

/* What C++ compilers emit for thread_local; in libc since 2.18, while pthread_key_create was in libpthread to 2.33. */
int __cxa_thread_atexit_impl(void (*function)(void *), void *argument, void *dso_symbol);

void fuseln_lifecycle_at_thread_exit(void (*function)(void *), void *argument)
{
    __cxa_thread_atexit_impl(function, argument, &__dso_handle);
}

static void after_fork_in_child(void)
{
    int saved = errno;
    fuseln_record_after_fork();
    fuseln_report_after_fork();
    fuseln_trace_after_fork();
    fuseln_log_after_fork();
    fuseln_registry_after_fork();
    fuseln_library_after_fork();
    fuseln_repeat_after_fork();
    fuseln_pairing_after_fork();
    fuseln_measure_after_fork();
    fuseln_kernels_after_fork();
    errno = saved;
}

/* Threads that come at once may each add the handler: it may run twice, but no thread that counts forks without it. */
void fuseln_lifecycle_handle_fork(void)
{
    static _Atomic bool handled; /* stays set in a forked child: handlers are inherited */
    if (atomic_load(&handled))
        return;
    int saved = errno;
    pthread_atfork(fuseln_library_before_fork, fuseln_library_after_fork_in_parent, after_fork_in_child);
    atomic_store(&handled, true);
    errno = saved;
}

static _Atomic bool launched;

void fuseln_lifecycle_left_out(void)
{
    if (atomic_load(&launched) && fuseln_registry_left_out() > 0)
        pr_warn("this process registered more layer-norm kernels than fuseln has room for; some stay with their "
                "originals");
}

void fuseln_lifecycle_first_launch(void)
{
    char executable[256];
    int saved = errno;
    if (fuseln_config_get()->mode == FUSELN_MODE_OFF)
        return;
    atomic_store(&launched, true);
    fuseln_config_warn();
    fuseln_lifecycle_left_out();
    fuseln_report_arm();
    if (fuseln_log_enabled(FUSELN_LOG_INFO)) {
        fuseln_path_executable(executable, sizeof executable);
        pr_info("fuseln " FUSELN_VERSION " sees the first kernel launch of %s", executable);
    }
    errno = saved;
}

/* Other libraries may already be gone: no CUDA call here, no join. */
__attribute__((destructor)) static void at_exit(void)
{
    int saved = errno;
    fuseln_report_write();
    fuseln_trace_end();
    fuseln_log_end();
    errno = saved;
}
