/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host MODE:LIBRARY...: loads each library (MODE l: RTLD_LOCAL, g: RTLD_GLOBAL, d: RTLD_DEEPBIND, c: runs it and closes
 * it at once, so that the next one is loaded at its address), then runs all that are still loaded, twice.
 */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    void (*run[16])(void);
    int count = 0;

    for (int i = 1; i < argc; i++) {
        int scope = argv[i][0] == 'g' ? RTLD_GLOBAL : argv[i][0] == 'd' ? RTLD_LOCAL | RTLD_DEEPBIND : RTLD_LOCAL;
        void *library = dlopen(argv[i] + 2, RTLD_NOW | scope);
        if (!library)
            return fprintf(stderr, "%s\n", dlerror()), 1;
        *(void **)&run[count] = dlsym(library, "client_run");
        if (argv[i][0] == 'c') {
            run[count]();
            dlclose(library);
        } else {
            count++;
        }
    }
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < count; i++)
            run[i]();
    return 0;
}
