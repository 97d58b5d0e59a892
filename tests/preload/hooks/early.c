/* SPDX-License-Identifier: Apache-2.0 */
/* A program that calls dlsym before any library's constructor has run. */
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

static void *found[3];

static void early(int argc, char **argv, char **environment)
{
    (void)argc, (void)argv, (void)environment;
    found[0] = dlsym(RTLD_DEFAULT, "write");
    found[1] = dlsym(RTLD_NEXT, "write");
    found[2] = dlsym(dlopen(NULL, RTLD_NOW), "cuNoSuchFunction");
}
__attribute__((section(".preinit_array"), used)) static void (*const hook)(int, char **, char **) = early;

int main(void)
{
    return printf("%d %d %d\n", found[0] != NULL, found[1] == found[0], found[2] != NULL) < 0;
}
