/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a program with a CUDA runtime inside reaches the driver: it opens libcuda, looks up cuGetProcAddress_v2 by dlsym
 * and all others by that. A call that fails ends the program, with the CUresult or 255.
 */
#ifndef FUSELN_TEST_CLOSED_H
#define FUSELN_TEST_CLOSED_H

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CUDA = 12040 };

typedef int resolver(const char *name, void **ret_function, int version, uint64_t flags, int *ret_status);
typedef int any();

static resolver *ask;

static any *find_version(const char *name, int version, uint64_t flags)
{
    void *function = NULL;
    int status = 0;
    if (ask(name, &function, version, flags, &status) != 0 || !function) {
        fprintf(stderr, "closed: the driver has no %s\n", name);
        exit(255);
    }
    return (any *)function;
}

static any *find(const char *name, uint64_t flags)
{
    return find_version(name, CUDA, flags);
}

static void check(const char *what, int result)
{
    if (result == 0)
        return;
    fprintf(stderr, "closed: %s: error %d\n", what, result);
    exit(result < 255 ? result : 255);
}
#define CALL(name, ...) check(#name, find(#name, 0)(__VA_ARGS__))

static __attribute__((unused)) void *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(255);
    }
    const size_t bytes = (size_t)ftell(file);
    void *data = malloc(bytes);
    rewind(file);
    if (!data || fread(data, 1, bytes, file) != bytes)
        exit(255);
    fclose(file);
    return data;
}

/* As a runtime starts; the device's own context is current then. Returns it. */
static void *start(void)
{
    void *context, *libcuda = dlopen("libcuda.so.1", RTLD_NOW);

    if (!libcuda || !(ask = (resolver *)dlsym(libcuda, "cuGetProcAddress_v2"))) {
        fprintf(stderr, "closed: there is no libcuda.so.1\n");
        exit(255);
    }
    ask = (resolver *)find("cuGetProcAddress", 0);
    find("cuGetExportTable", 0); /* as a runtime would */
    CALL(cuInit, 0);
    CALL(cuDevicePrimaryCtxRetain, &context, 0);
    CALL(cuCtxSetCurrent, context);
    return context;
}

#endif
