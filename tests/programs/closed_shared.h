/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a program with a shared CUDA runtime has its kernels: it loads libraries (registered.c) that register them, and
 * launches the kernel of each in turn. HOW: fork (in a child, before CUDA starts); reload (after six launches the first
 * library is unloaded and loaded again); capture (the first two launches are captured into a graph, which is launched);
 * failed (before each launch a call of the runtime fails, and its error must still be there after it).
 */
#ifndef FUSELN_TEST_CLOSED_SHARED_H
#define FUSELN_TEST_CLOSED_SHARED_H

#include "closed.h"

#include <sys/wait.h>
#include <unistd.h>

static struct {
    const char *path[4];
    void *handle[4];
    int count, launches;
    const char *how;
} shared = {.how = ""};

static void *of_library(int number, const char *name)
{
    void *symbol = dlsym(shared.handle[number], name);
    if (!symbol)
        exit(255);
    return symbol;
}

static void library_load(int number)
{
    shared.handle[number] = dlopen(shared.path[number], RTLD_NOW | RTLD_LOCAL);
    if (!shared.handle[number]) {
        fprintf(stderr, "closed: %s\n", dlerror());
        exit(255);
    }
}

/* The kernel is its name, as each library has its own. */
static void *kernel_get(char *paths, char *name, const char *how)
{
    shared.how = how;
    for (char *path = strtok(paths, ","); path && shared.count < 4; path = strtok(NULL, ",")) {
        shared.path[shared.count] = path;
        library_load(shared.count++);
    }
    const pid_t child = strcmp(how, "fork") == 0 ? fork() : 0;
    int status;
    if (child) {
        waitpid(child, &status, 0);
        exit(WIFEXITED(status) ? WEXITSTATUS(status) : 255);
    }
    start();
    return name;
}

static void launch_from(int number, const char *name, unsigned grid, void **args)
{
    const unsigned blocks[2] = {grid, 1}, threads[2] = {1, 1};
    const int kernel = ((int (*)(const char *))of_library(number, "registered_find"))(name);
    typedef int launch(int kernel, const unsigned grid[2], const unsigned block[2], size_t smem_bytes, void **args);
    check("launch", ((launch *)of_library(number, "registered_launch"))(kernel, blocks, threads, 0, args));
}

static void launch_captured(int number, const char *name, unsigned grid, void **args)
{
    enum { NON_BLOCKING = 1, GLOBAL = 0 };
    void *graph, *exec, **stream = of_library(number, "registered_stream");
    CALL(cuStreamCreate, stream, NON_BLOCKING);
    CALL(cuStreamBeginCapture, *stream, GLOBAL);
    launch_from(number, name, grid, args);
    CALL(cuStreamEndCapture, *stream, &graph);
    CALL(cuGraphInstantiateWithFlags, &exec, graph, (uint64_t)0);
    CALL(cuGraphLaunch, exec, *stream);
    *stream = NULL;
}

static void launch_with_error(int number, const char *name, unsigned grid, void **args)
{
    enum { INVALID_DEVICE = 101 };
    any *const set_device = (any *)dlsym(RTLD_DEFAULT, "cudaSetDevice"), *const last_error = (any *)dlsym(
                                                                             RTLD_DEFAULT, "cudaGetLastError");
    if (set_device(99) != INVALID_DEVICE)
        exit(255);
    launch_from(number, name, grid, args);
    if (last_error() != INVALID_DEVICE)
        exit(255);
}

static void launch_on(void *name, unsigned grid, void **args)
{
    const int launch = shared.launches++, number = launch % shared.count;
    if (strcmp(shared.how, "reload") == 0 && launch == 6) {
        dlclose(shared.handle[0]);
        library_load(0);
    }
    if (strcmp(shared.how, "capture") == 0 && launch < 2)
        launch_captured(number, name, grid, args);
    else if (strcmp(shared.how, "failed") == 0)
        launch_with_error(number, name, grid, args);
    else
        launch_from(number, name, grid, args);
}

#endif
