/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No signal handler of the host runs while a mutex of ours is held: it could call exit(), which takes our mutexes, or
 * leave by siglongjmp. Here each lock of a mutex raises a signal, which must be delivered only after the unlock.
 */
#include "test.h"

#include <dlfcn.h>
#include <signal.h>

#include "base/log.h"
#include "core/library.h"
#include "core/record.h"
#include "core/registry.h"
#include "hooks/process.h"

static volatile int held, delivered, delivered_while_held;
static volatile bool raising;

static void on_signal(int signal)
{
    (void)signal;
    delivered++;
    delivered_while_held += held > 0;
}

/* These replace the C library's for everything that is linked into this program. */
int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    int (*lock)(pthread_mutex_t *);
    *(void **)&lock = dlsym(RTLD_NEXT, "pthread_mutex_lock");
    const int rc = lock(mutex);
    if (raising) {
        held++;
        raise(SIGUSR1);
    }
    return rc;
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    int (*unlock)(pthread_mutex_t *);
    *(void **)&unlock = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
    held -= raising;
    return unlock(mutex);
}

static bool is_known(const char *build_id)
{
    (void)build_id;
    return false;
}

static void *launch(void *unused)
{
    fuseln_process_join();
    return unused;
}

static void begin(void)
{
    delivered = 0;
    raising = true;
}

static void end(void)
{
    raising = false;
    assert_int_equal(held, 0);
    assert_int_equal(delivered_while_held, 0);
    assert_true(delivered > 0);
}

#define LOCKS(call) (begin(), (void)(call), end())

TEST(no_handler_runs_while_a_mutex_is_held)
{
    static const struct fuseln_target target = {.symbol = "kernel"};
    static const char function, handle, owner;
    signal(SIGUSR1, on_signal);
    LOCKS(run_thread(launch, NULL)); /* this thread's first launch; its end takes the mutex, too */
    LOCKS(fuseln_record_launches());
    LOCKS(fuseln_library_of((const void *)is_known, is_known));
    LOCKS(fuseln_registry_add(&function, &owner, &target));
    LOCKS(fuseln_registry_alias(&handle, &function));
    LOCKS(fuseln_registry_learn(&handle, NULL, NULL));
    LOCKS(fuseln_registry_forget(&owner));
    LOCKS(fuseln_log(FUSELN_LOG_WARN, "a warning of this test"));
}

int main(void)
{
    return run_registered_tests();
}
