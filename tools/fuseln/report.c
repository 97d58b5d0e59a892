/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuseln report FILE...: one table of many reports.
 */
#include "tools/fuseln/command.h"
#include "tools/fuseln/merge.h"

static int report(const struct fuseln_given *given)
{
    long long steps;
    int code = 0;
    if (!fuseln_command_number(given, "steps", 1000000000000, &steps))
        return EXIT_USAGE;
    struct fuseln_merged merged = fuseln_merge_new();
    for (int i = 0; i < given->count; i++)
        if (!fuseln_merge_add(&merged, given->words[i]))
            code = EXIT_USAGE;
    fuseln_merge_finish(&merged, steps);
    if (given->option['j'])
        fuseln_say_json(json_incref(merged.report));
    else if (json_array_size(json_object_get(merged.report, "files")) > 0)
        fuseln_merge_print(merged.report, stdout);
    if (!code && merged.failed)
        code = EXIT_FAILED_CHECK;
    fuseln_merge_free(&merged);
    return code;
}

static const struct argp_option options[] = {
    {"json", 'j', NULL, 0, "Print JSON instead of a table", 0},
    {"steps", 's', "N", 0, "Steps that the processes made, all together: time saved (--measure) is told for each", 0},
    {0}};
const struct fuseln_command fuseln_command_report = {
    .name = "report",
    .help = "merge reports of ranks and restarts, and print one table",
    .arguments = "FILE...",
    .doc = "Add up reports that fuseln wrote (FUSELN_REPORT=NAME.json): of the ranks of one run, of its restarts, of "
           "its processes; print which layer norms were launched, how many were replaced, and why the others were "
           "not.\v"
           "Where the reports are of several ranks (RANK, OMPI_COMM_WORLD_RANK or SLURM_PROCID was set), sites whose "
           "launches differ between ranks are named. A file that is not a report is named, and the others are still "
           "added up. Exit code: 0; 2 if a file was not a report; 3 if a layer norm was checked and found wrong.",
    .options = options,
    .missing = "no report is named",
    .run = report,
};
