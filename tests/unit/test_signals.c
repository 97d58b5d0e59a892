/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No signal handler of the host runs while a mutex of ours is held: it could call exit(), which takes our mutexes, or
 * leave by siglongjmp. Here each lock of a mutex raises a signal, which must be delivered only after the unlock.
 */
#include "test.h"

#include <dlfcn.h>
#include <signal.h>
#include <unistd.h>

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
    fuseln_process_launch(
        FUSELN_BOUNDARY_RUNTIME); /* this thread's first; the end of the thread takes the mutex, too */
    return unused;
}

static void join_and_end(void)
{
    run_thread(launch, NULL);
}

static void count(void)
{
    fuseln_record_launches();
}

static void find_library(void)
{
    fuseln_library_of((const void *)is_known, is_known);
}

static const struct fuseln_target target = {.symbol = "kernel"};
static const char function, handle, owner;

static void add(void)
{
    fuseln_registry_add(&function, &owner, &target);
}

static void alias(void)
{
    fuseln_registry_alias(&handle, &function);
}

static void learn(void)
{
    fuseln_registry_learn(&handle, NULL, NULL);
}

static void forget(void)
{
    fuseln_registry_forget(&owner);
}

static void warn(void)
{
    pr_warn("a warning of this test");
}

TEST(no_handler_runs_while_a_mutex_is_held)
{
    static void (*const functions[])(void) = {join_and_end, count, find_library, add, alias, learn, forget, warn};
    signal(SIGUSR1, on_signal);
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        delivered = 0;
        raising = true;
        functions[i]();
        raising = false;
        assert_int_equal(held, 0);
        assert_int_equal(delivered_while_held, 0);
        assert_true(delivered > 0);
    }
}

int main(void)
{
    return run_registered_tests();
}
