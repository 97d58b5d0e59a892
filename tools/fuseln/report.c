/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuseln report FILE...: one table of many reports, and one page.
 */
#include "tools/fuseln/command.h"
#include "tools/fuseln/merge.h"

#include <string.h>

/* Prints what is asked for, and writes the page if one is. Returns the exit code. */
static int print(const struct fuseln_given *given, const struct fuseln_merged *merged)
{
    const char *page = given->option['H'];
    const bool any = json_array_size(json_object_get(merged->report, "files")) > 0;
    if (given->option['j'])
        fuseln_say_json(json_incref(merged->report));
    else if (any && !(page && strcmp(page, "-") == 0))
        fuseln_merge_print(merged->report, stdout);
    return any && page ? fuseln_html_write(merged->report, page) : 0;
}

static int report(const struct fuseln_given *given)
{
    const char *page = given->option['H'];
    long long steps;
    if (!fuseln_command_number(given, "steps", 1000000000000, &steps))
        return EXIT_USAGE;
    if (page && given->option['j'] && strcmp(page, "-") == 0)
        return fuseln_fail(EXIT_USAGE, "--html=- and --json would both be on stdout");
    int code = page ? fuseln_html_check(page) : 0;
    if (code)
        return code;
    struct fuseln_merged merged = fuseln_merge_new();
    for (int i = 0; i < given->count; i++)
        if (!fuseln_merge_add(&merged, given->words[i]))
            code = EXIT_USAGE;
    fuseln_merge_finish(&merged, steps);
    const int failed = print(given, &merged);
    if (!code && merged.failed)
        code = EXIT_FAILED_CHECK;
    fuseln_merge_free(&merged);
    return failed ? failed : code;
}

static const struct argp_option options[] = {
    {"json", 'j', NULL, 0, "Print JSON instead of a table", 0},
    {"html", 'H', "FILE", 0, "Also write a page to look at in a browser; - prints it, instead of the table", 0},
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
           "added up. Exit code: 0; 1 if the page cannot be written; 2 if a file was not a report; 3 if a layer norm "
           "was checked and found wrong.",
    .options = options,
    .missing = "no report is named",
    .run = report,
};
