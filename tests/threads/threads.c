/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threads SECONDS CLIENT OTHER: for that long, threads launch the layer norms of the library CLIENT, each on a stream
 * of its own, end and start again, while OTHER is loaded, used and unloaded over and over, and forked children launch
 * too. Each launch must happen once. Every second check finishes only with the next one, as on a device. Prints one
 * JSON object, and exits with 7, or with 9 if something was wrong. soak.py runs it under the library; races.py linked
 * with the library's sources, under ThreadSanitizer.
 */
#include "layer_norms.h"
#include "stand_in.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SEATS = 6, ROUNDS = 200, CHILD_ROUNDS = 5, CHILD_SECONDS = 60, EXIT_FINE = 7, EXIT_WRONG = 9 };

typedef int launch_function(int which, void *stream);

static const char *other_path;
static launch_function *client_launch;
static atomic_bool over;

/* Counted per thread first, then here with relaxed order: anything stronger would hide races. */
static struct counts {
    atomic_ulong launches, layer_norms, originals, wrong; /* originals: of layer norms */
    atomic_ulong threads, loads, forks, checks;
} counts;
static _Thread_local unsigned originals, ours; /* of the launch under way */
static _Thread_local struct {
    struct fuseln_check_result *result;
    unsigned long long ticket;
} unfinished;

static void add(atomic_ulong *to, unsigned long value)
{
    atomic_fetch_add_explicit(to, value, memory_order_relaxed);
}

static int original(const void *function)
{
    (void)function;
    originals++;
    return 0;
}

static void finish_last(void)
{
    if (!unfinished.result)
        return;
    finish_check(unfinished.result, unfinished.ticket);
    add(&counts.checks, 1);
    unfinished.result = NULL;
}

static void check(const struct fuseln_check_params *params)
{
    finish_last();
    unfinished.result = params->result;
    unfinished.ticket = params->ticket;
    if (params->ticket % 2)
        finish_last();
}

static void launched(const struct stand_in_launch *launch)
{
    if (launch->result != CUDA_SUCCESS)
        return;
    if (strcmp(launch->kernel, "fuseln_check_sum") == 0)
        check(launch->params[0]);
    else if (strncmp(launch->kernel, "fuseln_check_", 13) != 0)
        ours += (unsigned)writes_output(launch->kernel, launch->params[0]);
}

/* Returns the number of wrong launches. */
static unsigned long launch_all(launch_function *launch, void *stream, int rounds)
{
    unsigned long passed = 0, wrong = 0;
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < KERNELS; i++) {
            originals = ours = 0;
            wrong += launch(i, stream) != 0 || originals + ours != 1;
            passed += i < LAYER_NORMS ? originals : 0;
        }
    }
    add(&counts.launches, (unsigned long)rounds * KERNELS);
    add(&counts.layer_norms, (unsigned long)rounds * LAYER_NORMS);
    add(&counts.originals, passed);
    add(&counts.wrong, wrong);
    return wrong;
}

static void *launcher(void *stream)
{
    launch_all(client_launch, stream, ROUNDS);
    finish_last();
    return NULL;
}

/* One thread after another, on the same stream. */
static void *seat(void *stream)
{
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, launcher, stream) != 0)
            abort();
        pthread_join(thread, NULL);
        add(&counts.threads, 1);
    }
    return NULL;
}

static void *loader(void *stream)
{
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        void *library = dlopen(other_path, RTLD_NOW | RTLD_LOCAL);
        if (!library)
            abort();
        launch_all((launch_function *)dlsym(library, "client_launch"), stream, 1);
        finish_last();
        dlclose(library);
        add(&counts.loads, 1);
    }
    return NULL;
}

static void child(void *stream)
{
    alarm(CHILD_SECONDS);     /* ends a child that hangs */
    unfinished.result = NULL; /* the parent's, which is not in this process */
    _exit(launch_all(client_launch, stream, CHILD_ROUNDS) ? EXIT_WRONG : EXIT_FINE);
}

static void *forker(void *stream)
{
    const struct timespec pause = {0, 20000000};
    /* The first launch finds functions by dlopen. In a child forked beside another thread's dlopen glibc's fails an
     * assertion (r_state == RT_CONSISTENT), and CUDA's own runtime would call it there, too. */
    launch_all(client_launch, stream, 1);
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        int status = 0;
        const pid_t pid = fork();
        if (pid == 0)
            child(stream);
        const int ended = pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status);
        if (!ended || WEXITSTATUS(status) != EXIT_FINE) {
            fprintf(stderr, "WRONG: a child ended with status 0x%x\n", (unsigned)status);
            add(&counts.wrong, 1);
        }
        add(&counts.forks, 1);
        launch_all(client_launch, stream, 1);
        nanosleep(&pause, NULL);
    }
    finish_last();
    return NULL;
}

static void *stream_of(int thread)
{
    return (void *)(uintptr_t)(0x1000 + 16 * thread);
}

int main(int argc, char **argv)
{
    pthread_t threads[SEATS + 2];
    void *library = argc == 4 ? dlopen(argv[2], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!library)
        return 2;
    client_launch = (launch_function *)dlsym(library, "client_launch");
    other_path = argv[3];
    stand_in_driver_launched = launched;
    stand_in_runtime_launched = original;
    for (int i = 0; i < SEATS + 2; i++)
        pthread_create(&threads[i], NULL, i < SEATS ? seat : i == SEATS ? loader : forker, stream_of(i));
    sleep((unsigned)atoi(argv[1]));
    atomic_store(&over, true);
    for (int i = 0; i < SEATS + 2; i++)
        pthread_join(threads[i], NULL);
    printf("{\"launches\": %lu, \"layer_norms\": %lu, \"originals\": %lu, \"wrong\": %lu, \"threads\": %lu, "
           "\"loads\": %lu, \"forks\": %lu, \"checks\": %lu}\n",
           counts.launches, counts.layer_norms, counts.originals, counts.wrong, counts.threads, counts.loads,
           counts.forks, counts.checks);
    return counts.wrong ? EXIT_WRONG : EXIT_FINE;
}
