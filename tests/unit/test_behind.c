/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcuda's own functions, as they are looked up: a thread that comes in the middle of another's look-ups finds them
 * all.
 */
#include <dlfcn.h>

static char loaded[1];
static void *open_libcuda(const char *name, int mode)
{
    (void)name, (void)mode;
    return loaded;
}
#define dlopen          open_libcuda
#define dlclose(handle) (void)(handle)
#include "../../hooks/behind.c"

#include "test.h"

static size_t interrupted_at, look_ups; /* counted without those of the other thread */
static bool interrupted;

static bool is_complete(void)
{
    fuseln_behind_complete();
    bool all = true;
    for (size_t i = 0; i < FUSELN_DRIVER_GIVEN; i++)
        all = all && fuseln_behind_get(i);
    for (int i = 0; i < 2; i++)
        all = all && atomic_load(&fuseln_behind_name[i]) && atomic_load(&fuseln_behind_param[i]) &&
              atomic_load(&fuseln_behind_count[i]);
    return all;
}

/* As another thread would, before this look-up. */
static void *look_up(void *handle, const char *name)
{
    (void)handle;
    if (!interrupted && ++look_ups == interrupted_at) {
        interrupted = true;
        assert_true(is_complete());
        interrupted = false;
    }
    return (void *)(uintptr_t)name;
}
fuseln_dlsym_function *fuseln_next_dlsym(void)
{
    return look_up;
}
const char *fuseln_real_name(enum fuseln_real which)
{
    (void)which;
    return "cuOne";
}
struct fuseln_library_kind fuseln_scope_kind(const void *address)
{
    (void)address;
    return (struct fuseln_library_kind){.driver = true};
}

static void forget_all(void)
{
    complete = false;
    memset(fuseln_behind, 0, sizeof fuseln_behind);
    memset(fuseln_behind_name, 0, sizeof fuseln_behind_name);
    memset(fuseln_behind_param, 0, sizeof fuseln_behind_param);
    memset(fuseln_behind_count, 0, sizeof fuseln_behind_count);
}

TEST(a_thread_that_comes_in_the_middle_finds_them_all)
{
    for (interrupted_at = 1; look_ups + 1 >= interrupted_at; interrupted_at++) {
        forget_all();
        look_ups = 0;
        assert_true(is_complete());
    }
    assert_true(interrupted_at > FUSELN_DRIVER_GIVEN);
}

int main(void)
{
    return run_registered_tests();
}
