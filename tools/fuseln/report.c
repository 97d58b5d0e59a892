/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuseln report FILE...: one table of many reports.
 */
#include "tools/fuseln/command.h"
#include "tools/fuseln/merge.h"

#include <stdlib.h>

struct options {
    bool json;
    long long steps;
    char **files;
    int count;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct options *options = state->input;
    char *end;
    switch (key) {
    case ARGP_KEY_INIT:
        state->err_stream = NULL; /* getopt says in one line what is wrong */
        return 0;
    case 'j':
        options->json = true;
        return 0;
    case 's':
        options->steps = strtoll(argument, &end, 10);
        if (*end || options->steps < 1 || options->steps > 1000000000000)
            exit(fuseln_command_fail(state->name, EXIT_USAGE,
                                     "--steps=%s is not a number of steps (allowed: 1 to 1000000000000)", argument));
        return 0;
    case ARGP_KEY_ARGS:
        options->files = state->argv + state->next;
        options->count = state->argc - state->next;
        return 0;
    case ARGP_KEY_NO_ARGS:
        exit(fuseln_command_fail(state->name, EXIT_USAGE, "no report is named"));
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int fuseln_command_report(int argc, char **argv)
{
    static const struct argp_option accepted[] = {
        {"json", 'j', NULL, 0, "Print JSON instead of a table", 0},
        {"steps", 's', "N", 0, "Steps that the processes made, all together: time saved (--measure) is told for each",
         0},
        {0}};
    static const struct argp argp = {
        .options = accepted,
        .parser = parse,
        .args_doc = "FILE...",
        .doc =
            "Add up reports that fuseln wrote (FUSELN_REPORT=NAME.json): of the ranks of one run, of its restarts, of "
            "its processes; print which layer norms were launched, how many were replaced, and why the others were "
            "not.\v"
            "Where the reports are of several ranks (RANK, OMPI_COMM_WORLD_RANK or SLURM_PROCID was set), sites whose "
            "launches differ between ranks are named. A file that is not a report is named, and the others are still "
            "added up. Exit code: 0; 2 if a file was not a report; 3 if a layer norm was checked and found wrong.",
    };
    struct options options = {0};
    int code = 0;

    if (argp_parse(&argp, argc, argv, 0, NULL, &options))
        return EXIT_USAGE;
    struct fuseln_merged merged = fuseln_merge_new();
    for (int i = 0; i < options.count; i++)
        if (!fuseln_merge_add(&merged, options.files[i]))
            code = fuseln_command_fail(argv[0], EXIT_USAGE, "%s: %s", options.files[i], merged.error);
    fuseln_merge_finish(&merged, options.steps);
    if (options.json)
        fuseln_say_json(json_incref(merged.report));
    else if (json_array_size(json_object_get(merged.report, "files")) > 0)
        fuseln_merge_print(merged.report, stdout);
    if (!code && merged.failed)
        code = EXIT_FAILED_CHECK;
    fuseln_merge_free(&merged);
    return code;
}
