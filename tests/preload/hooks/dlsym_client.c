/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library that asks dlsym for everything in NAMES (a file, one a line) in every way, three times, and prints what it
 * got: the library and the offset in it, or the message of dlerror. It does so in its constructor, in a signal handler,
 * in a thread and in client_run. Its ompt_start_tool, which is a hook of LLVM's OpenMP, looks for the next function of
 * that name.
 */
#include "../../../src/base/glibc.h"
#include "../../object_of.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static void say(const char *way, const char *name, void *found)
{
    const char *error = dlerror();
    Dl_info info;
    if (found && dladdr(found, &info) && info.dli_fname)
        printf("%s %s: %s+%#tx\n", way, name, object_of(found), (char *)found - (char *)info.dli_fbase);
    else
        printf("%s %s: %s %s\n", way, name, found ? "unknown" : "null", error ? error : "-");
}

static void ask_all(const char *when)
{
    static const char *const libraries[] = {"libc.so.6", "libm.so.6", "libcuda.so.1", NULL};
    char name[256];
    FILE *names = fopen(getenv("NAMES"), "r");
    printf("== %s\n", when);
    while (names && fscanf(names, "%255s", name) == 1) {
        for (int again = 0; again < 3; again++) {
            say("default", name, dlsym(RTLD_DEFAULT, name));
            say("next", name, dlsym(RTLD_NEXT, name));
        }
        for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
            void *handle = dlopen(libraries[i], RTLD_NOW | RTLD_NOLOAD);
            errno = 77;
            for (int again = 0; handle && again < 3; again++)
                say(libraries[i] ? libraries[i] : "program", name, dlsym(handle, name));
            if (errno != 77)
                printf("errno %d\n", errno);
            if (handle)
                dlclose(handle);
        }
        say("version", name, dlvsym(RTLD_DEFAULT, name, FUSELN_GLIBC_BASE));
    }
    if (names)
        fclose(names);
}

void *ompt_start_tool(unsigned version, const char *runtime);
void *ompt_start_tool(unsigned version, const char *runtime)
{
    void *(*next)(unsigned, const char *) = (void *(*)(unsigned, const char *))dlsym(RTLD_NEXT, "ompt_start_tool");
    return next ? next(version, runtime) : NULL;
}

static void on_signal(int number)
{
    (void)number;
    ask_all("signal");
}

static void *in_thread(void *unused)
{
    (void)unused;
    ask_all("thread");
    return NULL;
}

static __attribute__((constructor)) void at_load(void)
{
    ask_all("constructor");
}

void client_run(void);
void client_run(void)
{
    pthread_t thread;
    ask_all("run");
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    pthread_create(&thread, NULL, in_thread, NULL);
    pthread_join(thread, NULL);
    printf("ompt %p\n", ompt_start_tool(0, ""));
}
