/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threads LIBRARY OTHER: 64 threads make their first launches by LIBRARY (client.c, driver_client.c) at once. Meanwhile
 * the constructor of OTHER, which waits until they have begun, registers and launches with the loader's lock held.
 * Prints "done" to stderr.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { THREADS = 64 };

static void (*run)(void);
static pthread_barrier_t barrier;
atomic_int threads_started;

static void *first(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&barrier);
    atomic_fetch_add(&threads_started, 1);
    run();
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    void *library = argc == 3 ? dlopen(argv[1], RTLD_NOW) : NULL;
    if (!library || !(*(void **)&run = dlsym(library, "client_run")))
        return fprintf(stderr, "%s\n", dlerror()), 1;
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, first, NULL);
    pthread_barrier_wait(&barrier);
    if (!dlopen(argv[2], RTLD_NOW)) /* its constructor waits, then launches */
        return fprintf(stderr, "%s\n", dlerror()), 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    fprintf(stderr, "done\n");
    return 0;
}
