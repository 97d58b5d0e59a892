/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library that uses the driver API, whose functions it finds by one WAY (ways.h). It gets a layer-norm kernel and
 * another one by each look-up and launches both by every function, on a stream of its own and on the default one.
 * test_matrix.py knows the order of all these.
 */
#include "launches.h"
#include "ways.h"

#include <stdlib.h>

static int launch_on(void *stream, void *function)
{
    static struct {
        int n;
        float eps;
        void *x, *gamma, *beta, *mean, *rstd, *y;
    } packed = {768, 1e-5f, launch_memory, NULL, NULL, launch_memory, launch_memory, launch_memory};
    void **args = launch_args;
    size_t bytes = sizeof packed;
    void *extra[] = {(void *)1, &packed, (void *)2, &bytes, NULL};
    struct driver_config config = {{5, 1, 1}, {32, 4, 1}, 24, stream, &serialization, 1};
    int sum = find("cuLaunchKernel")(function, 5, 1, 1, 32, 4, 1, 24, stream, args, NULL);

    sum += find("cuLaunchKernel_ptsz")(function, 5, 1, 1, 32, 4, 1, 24, stream, args, NULL);
    sum += find("cuLaunchKernel")(function, 5, 1, 1, 32, 4, 1, 24, stream, NULL, extra);
    bytes -= 8; /* lacks the last one */
    sum += find("cuLaunchKernel")(function, 5, 1, 1, 32, 4, 1, 24, stream, NULL, extra);
    sum += find("cuLaunchKernelEx")(&config, function, args, NULL);
    sum += find("cuLaunchKernelEx_ptsz")(&config, function, args, NULL);
    sum += find("cuLaunchCooperativeKernel")(function, 5, 1, 1, 32, 4, 1, 24, stream, args);
    sum += find("cuLaunchCooperativeKernel_ptsz")(function, 5, 1, 1, 32, 4, 1, 24, stream, args);
    config.attributes = &cluster;
    return sum + find("cuLaunchKernelEx")(&config, function, args, NULL);
}

static void launch_all(void *function)
{
    printf("sum %d\n", launch_on(STREAM, function) + launch_on(NULL, function));
}

void client_run(void);
void client_run(void)
{
    void *module = (void *)0x100, *library = (void *)0x200, *of_library, *handle;
    void *known[4] = {NULL, NULL, (void *)0x1,
                      (void *)0x1}; /* the last two are nobody's, and nobody may ask for them */

    for (int other = 0; other < 2; other++) {
        find("cuModuleGetFunction")(&handle, module, other ? "_Z5otherv" : SYMBOL);
        launch_all(handle);
    }
    find("cuModuleEnumerateFunctions")(known, 4, module);
    for (int other = 0; other < 2; other++)
        launch_all(known[other]);
    find("cuModuleUnload")(module);
    launch_all(known[0]); /* gone: it is nobody's now */
    find("cuModuleGetFunction")(&handle, module, SYMBOL);
    find("cuInit")(0);
    find("cuModuleGetFunction")(&handle, module, "_Z5otherv"); /* that handle again */
    launch_all(handle);
    find("cuModuleUnload")(module);

    for (int other = 0; other < 2; other++) {
        find("cuLibraryGetKernel")(&handle, library, other ? "_Z5otherv" : SYMBOL);
        launch_all(handle);
        find("cuKernelGetFunction")(&handle, handle);
        launch_all(handle);
    }
    find("cuLibraryUnload")(library);
    find("cuLibraryGetModule")(&of_library, library);
    find("cuModuleGetFunction")(&handle, of_library, SYMBOL);
    launch_all(handle);
    find("cuLibraryUnload")(library); /* and its module with it */
    launch_all(handle);
    find("cuLibraryGetKernel")(&handle, library, SYMBOL);
    find("cuLibraryGetKernel")(&known[0], library, "_Z5otherv");
    find("cuLibraryEnumerateKernels")(known, 4, library);
    for (int other = 0; other < 2; other++)
        launch_all(known[other]);
    find("cuLibraryUnload")(library);
}

#ifdef EXIT_AT_LOAD
/* The program ends while the loader is at work. */
__attribute__((constructor)) static void leave(void)
{
    client_run();
    exit(0);
}
#endif
