/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host ROUNDS [FUNCTION FROM UNTIL ERROR]: launches layer norms on the stand-in libraries, while the driver fails calls
 * FROM to UNTIL of one FUNCTION. Each launch must reach the driver once, as the original or as a kernel of ours that
 * writes the program's own output, return the result of whichever it was, and leave errno alone; a kernel refused for
 * what it is must not be tried again. Prints one JSON object, which sweep.py checks further, and exits with 7, or with
 * 9 after a line for each wrong launch.
 */
#include "layer_norms.h"
#include "stand_in.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ERRNO = 4321, ORIGINAL_ERROR = 719, EVERY = 7, EXIT_FINE = 7, EXIT_WRONG = 9, SAID = 10 };

static void *const streams[] = {NULL, (void *)0x1000}; /* the default one, and one with a context of its own */
static const char functions[KERNELS];                  /* the host functions by which the program launches */
static void *handles[KERNELS];
static struct tally {
    unsigned long launches, originals, checks;
    unsigned long last_originals, last_checks; /* in the last quarter of all rounds */
} tallies[KERNELS];

/* Of the launch under way: which kernels ran. Of all: how many were wrong (the first SAID of them are printed). */
static unsigned originals, ours, checks, wrong;
static int original_result;
static unsigned long replaced;

static int original(const void *function)
{
    (void)function;
    originals++;
    return original_result;
}

static int refused_for_good(CUresult result)
{
    return result == CUDA_ERROR_NO_BINARY_FOR_GPU || result == CUDA_ERROR_INVALID_IMAGE ||
           result == CUDA_ERROR_INVALID_PTX || result == CUDA_ERROR_UNSUPPORTED_PTX_VERSION ||
           result == CUDA_ERROR_NOT_SUPPORTED || result == CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
}

static void check_not_tried_again(const char *kernel, CUresult result)
{
    static const char *refused[64];
    static unsigned count;
    for (unsigned i = 0; i < count; i++)
        if (strcmp(refused[i], kernel) == 0 && wrong++ < SAID)
            fprintf(stderr, "WRONG: %s was refused for what it is, and tried again\n", kernel);
    if (refused_for_good(result) && count < sizeof refused / sizeof *refused)
        refused[count++] = kernel;
}

static void launched(const struct stand_in_launch *launch)
{
    check_not_tried_again(launch->kernel, launch->result);
    if (launch->result != CUDA_SUCCESS)
        return;
    if (strcmp(launch->kernel, "fuseln_check_sum") == 0) {
        const struct fuseln_check_params *check = launch->params[0];
        finish_check(check->result, check->ticket);
        checks++;
    } else if (strncmp(launch->kernel, "fuseln_check_", 13) != 0)
        ours += (unsigned)writes_output(launch->kernel, launch->params[0]);
}

/* One of the kernels is launched by the function that takes attributes. */
static int launch_by(int which, void *stream)
{
    const struct kernel *kernel = &kernels[which];
    const struct config config = {.grid = kernel->grid, .block = kernel->block, .stream = stream};
    return strcmp(kernel->what, "moments") == 0
               ? cudaLaunchKernelExC(&config, &functions[which], (void **)kernel->args)
               : cudaLaunchKernel(&functions[which], kernel->grid, kernel->block, (void **)kernel->args, 0, stream);
}

static void launch(int which, long round, int is_last)
{
    const struct kernel *kernel = &kernels[which];
    struct tally *tally = &tallies[which];
    const int if_original = original_result = round % EVERY == EVERY - 1 ? ORIGINAL_ERROR : 0;
    originals = ours = checks = 0;
    errno = ERRNO;
    const int result = launch_by(which, streams[which < FORWARDS]);
    const int error = errno, expected = originals ? if_original : 0;
    tally->launches++;
    tally->originals += originals;
    tally->checks += checks;
    tally->last_originals += is_last ? originals : 0;
    tally->last_checks += is_last ? checks : 0;
    replaced += ours;
    if ((originals + ours != 1 || result != expected || error != ERRNO) && wrong++ < SAID)
        fprintf(stderr, "WRONG: round %ld, %s: %u originals, %u of ours, result %d for %d, errno %d for %d\n", round,
                kernel->what, originals, ours, result, expected, error, ERRNO);
}

static const char *const call_names[] = {
#define X(member, name, params) name,
    FUSELN_DRIVER_FUNCTIONS(X)
#undef X
};

static int set_fault(char **argv)
{
    for (int i = 0; i < STAND_IN_CALLS; i++) {
        if (strcmp(call_names[i], argv[0]) != 0)
            continue;
        stand_in_fault = (struct stand_in_fault){(enum stand_in_call)i, strtoul(argv[1], NULL, 10),
                                                 strtoul(argv[2], NULL, 10), atoi(argv[3])};
        return 1;
    }
    return 0;
}

static void print(const struct stand_in_count *half)
{
    printf("{\"wrong\": %u, \"replaced\": %lu, \"calls\": {", wrong, replaced);
    for (int i = 0; i < STAND_IN_CALLS; i++)
        printf("%s\"%s\": {\"half\": %lu, \"all\": %lu, \"failed_half\": %lu, \"failed\": %lu}", i ? ", " : "",
               call_names[i], half[i].calls, stand_in_counts[i].calls, half[i].failed, stand_in_counts[i].failed);
    printf("}, \"kernels\": {");
    for (int i = 0; i < KERNELS; i++)
        printf("%s\"%s\": {\"launches\": %lu, \"originals\": %lu, \"checks\": %lu, \"last_originals\": %lu, "
               "\"last_checks\": %lu}",
               i ? ", " : "", kernels[i].what, tallies[i].launches, tallies[i].originals, tallies[i].checks,
               tallies[i].last_originals, tallies[i].last_checks);
    printf("}}\n");
}

int main(int argc, char **argv)
{
    const long rounds = argc > 1 ? atol(argv[1]) : 0;
    struct stand_in_count half[STAND_IN_CALLS];

    if (!(argc == 2 || (argc == 6 && set_fault(argv + 2))))
        return 2;
    stand_in_driver_launched = launched;
    stand_in_runtime_launched = original;
    for (int i = 0; i < KERNELS; i++)
        __cudaRegisterFunction(&handles[i], &functions[i], NULL, kernels[i].name, -1, NULL, NULL, NULL, NULL, NULL);
    for (long round = 0; round < rounds; round++) {
        if (round == rounds / 2)
            memcpy(half, stand_in_counts, sizeof half);
        for (int i = 0; i < KERNELS; i++)
            launch(i, round, round >= rounds - rounds / 4);
    }
    print(half);
    return wrong ? EXIT_WRONG : EXIT_FINE;
}
