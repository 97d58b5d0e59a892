/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forking LIBRARY: while 8 threads launch by LIBRARY (client.c, driver_client.c) without a pause, the program forks 60
 * times; each child launches too and leaves by exit(). Their output is thrown away; prints "done" to stderr.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8, CHILDREN = 60, LEFT = 5, SECONDS = 20 };

static void (*run)(void);
static atomic_bool stop;
static atomic_int rounds;

static void *launch(void *unused)
{
    (void)unused;
    for (; !atomic_load(&stop); atomic_fetch_add(&rounds, 1))
        run();
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    int status = 0;
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
    if (!library || !(*(void **)&run = dlsym(library, "client_run")) || !freopen("/dev/null", "w", stdout))
        return fprintf(stderr, "%s\n", dlerror()), 1;
    run(); /* the clients look up their functions without a lock */
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, launch, NULL);
    while (atomic_load(&rounds) < THREADS)
        usleep(1000);
    for (int i = 0; i < CHILDREN; i++) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(SECONDS); /* a hang is a failure */
            run();
            exit(LEFT);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != LEFT)
            return fprintf(stderr, "child %d of %d: status %#x\n", i + 1, CHILDREN, (unsigned)status), 1;
    }
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    fprintf(stderr, "done\n");
    return 0;
}
