/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuseln doctor: is the preload in effect here, and what to do if it is not (doctor.h). This file: the command line,
 * the order of the checks, and how a finding is printed: as a line with its remedy below it, or as JSON.
 */
#include "tools/fuseln/doctor.h"

#include "version.h"

#include <stdlib.h>

static struct {
    json_t *findings; /* NULL: they are printed as lines */
    json_t *said;     /* the texts of all so far, as keys */
    int bad;
} made;

static void print(const char *finding, const char *check, const char *remedy, const char *text)
{
    if (made.findings) {
        json_array_append_new(made.findings,
                              json_pack("{s:s,s:s,s:s,s:o}", "finding", finding, "check", check, "text", text, "remedy",
                                        remedy ? fuseln_text_json(remedy) : json_null()));
        return;
    }
    fuseln_say(stdout, "%-4s %s: %s", finding, check, text);
    if (remedy)
        fuseln_say(stdout, "       %s", remedy);
    fflush(stdout);
}

void doctor_say(enum finding finding, const char *check, const char *remedy, const char *format, ...)
{
    static const char *const names[] = {[OK] = "ok", [NOTE] = "note", [BAD] = "BAD"};
    va_list arguments;
    va_start(arguments, format);
    char *text = fuseln_vtext(format, arguments);
    va_end(arguments);
    if (!json_object_get(made.said, text)) {
        json_object_set_new(made.said, text, json_true());
        made.bad += finding == BAD;
        print(names[finding], check, remedy, text);
    }
    free(text);
}

static int examine(const struct fuseln_given *given)
{
    static struct doctor doctor;
    long long seconds;
    if (!fuseln_command_number(given, "seconds", 86400, &seconds))
        return EXIT_USAGE;
    doctor.program = given->count > 0 ? given->words : NULL;
    doctor.no_run = given->option['n'];
    doctor.seconds = (unsigned)seconds;
    made.said = json_object();
    made.findings = given->option['j'] ? json_array() : NULL;
    doctor_check_library(&doctor);
    doctor_check_driver();
    doctor_check_settings(&doctor);
    doctor_check_preloads(&doctor);
    if (doctor.program) {
        doctor_check_program(&doctor);
        doctor_check_run(&doctor);
    }
    if (made.findings)
        fuseln_say_json(json_pack("{s:{s:s,s:s},s:i,s:o}", "fuseln", "version", FUSELN_VERSION, "commit", FUSELN_COMMIT,
                                  "bad", made.bad, "findings", made.findings));
    return made.bad > 0;
}

static const struct argp_option options[] = {
    {"json", 'j', NULL, 0, "Print the findings as JSON", 0},
    {"no-run", 'n', NULL, 0, "Look at PROGRAM, but do not run it", 0},
    {"seconds", 's', "N", 0, "Stop PROGRAM after N seconds; go by what was seen until then", 0},
    {0}};
const struct fuseln_command fuseln_command_doctor = {
    .name = "doctor",
    .help = "is it in effect here, and what to do if it is not",
    .arguments = "[-- PROGRAM [ARGUMENT...]]",
    .doc = "Says whether libfuseln.so takes effect here, and what to do if it does not: the library, the driver, the "
           "devices and the image of each, the environment, other preloads. With PROGRAM also whether a preload can "
           "get into it; then it is run with fuseln, its output on stderr, and its report is summed up.\v"
           "Each finding is a line: ok, note (worth knowing) or BAD (it keeps fuseln from working), with what to do "
           "under it. Nothing on the system is changed. Exit code: 0; 1 if anything is BAD; 2 for wrong usage.",
    .options = options,
    .runs = true,
    .run = examine,
};
