/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmocka, and tests that register themselves: TEST(name) { ... } defines one, and main returns run_registered_tests().
 * They run in the order of their definitions. All files of a program share one list.
 */
#ifndef FUSELN_TESTS_TEST_H
#define FUSELN_TESTS_TEST_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

__attribute__((weak)) struct CMUnitTest registered_tests[32];
__attribute__((weak)) size_t registered_test_count;

static inline void register_test(struct CMUnitTest test)
{
    const char *const left_out = getenv("TEST_LEFT_OUT"); /* tests/aarch64.py */
    if (left_out && strstr(left_out, test.name))
        return;
    if (registered_test_count == sizeof registered_tests / sizeof *registered_tests)
        abort();
    registered_tests[registered_test_count++] = test;
}

static inline int run_registered_tests(void)
{
    return _cmocka_run_group_tests("tests", registered_tests, registered_test_count, NULL, NULL);
}

/* Runs it in a thread and returns what it returns. */
static inline void *run_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    void *result;
    if (pthread_create(&thread, NULL, body, argument) || pthread_join(thread, &result))
        abort();
    return result;
}

/* Runs it in this many threads at once. Each gets its number. */
static inline void run_threads(size_t count, void *(*body)(void *number))
{
    pthread_t threads[64];
    for (uintptr_t i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, body, (void *)i))
            abort();
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

#define TEST_WITH(name, setup, teardown)                                                          \
    static void name(void **state);                                                               \
    __attribute__((constructor)) static void register_##name(void)                                \
    {                                                                                             \
        register_test((struct CMUnitTest)cmocka_unit_test_setup_teardown(name, setup, teardown)); \
    }                                                                                             \
    static void name(__attribute__((unused)) void **state)
#ifndef TEST
#define TEST(name) TEST_WITH(name, NULL, NULL)
#endif

#endif
