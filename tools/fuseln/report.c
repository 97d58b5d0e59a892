/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuseln report FILE...: one table of many reports.
 */
#include "tools/fuseln/command.h"
#include "tools/fuseln/merge.h"

#include <stdlib.h>

int fuseln_command_report(int argc, char **argv)
{
    static const struct argp_option accepted[] = {
        {"json", 'j', NULL, 0, "Print JSON instead of a table", 0},
        {"steps", 's', "N", 0, "Steps that the processes made, all together: time saved (--measure) is told for each",
         0},
        {0}};
    static const struct argp argp = {
        .options = accepted,
        .parser = fuseln_command_option,
        .args_doc = "FILE...",
        .doc =
            "Add up reports that fuseln wrote (FUSELN_REPORT=NAME.json): of the ranks of one run, of its restarts, of "
            "its processes; print which layer norms were launched, how many were replaced, and why the others were "
            "not.\v"
            "Where the reports are of several ranks (RANK, OMPI_COMM_WORLD_RANK or SLURM_PROCID was set), sites whose "
            "launches differ between ranks are named. A file that is not a report is named, and the others are still "
            "added up. Exit code: 0; 2 if a file was not a report; 3 if a layer norm was checked and found wrong.",
    };
    struct fuseln_given given = {0};
    long long steps = 0;
    char *end;
    int code = 0;

    if (argp_parse(&argp, argc, argv, 0, NULL, &given))
        return EXIT_USAGE;
    if (given.option['s']) {
        steps = strtoll(given.option['s'], &end, 10);
        if (*end || steps < 1 || steps > 1000000000000)
            return fuseln_command_fail(argv[0], EXIT_USAGE,
                                       "--steps=%s is not a number of steps (allowed: 1 to 1000000000000)",
                                       given.option['s']);
    }
    if (given.count == 0)
        return fuseln_command_fail(argv[0], EXIT_USAGE, "no report is named");
    struct fuseln_merged merged = fuseln_merge_new();
    for (int i = 0; i < given.count; i++)
        if (!fuseln_merge_add(&merged, given.words[i]))
            code = fuseln_command_fail(argv[0], EXIT_USAGE, "%s: %s", given.words[i], merged.error);
    fuseln_merge_finish(&merged, steps);
    if (given.option['j'])
        fuseln_say_json(json_incref(merged.report));
    else if (json_array_size(json_object_get(merged.report, "files")) > 0)
        fuseln_merge_print(merged.report, stdout);
    if (!code && merged.failed)
        code = EXIT_FAILED_CHECK;
    fuseln_merge_free(&merged);
    return code;
}
