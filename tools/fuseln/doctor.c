/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuseln doctor: is the preload in effect here, and what to do if it is not (doctor.h). This file: the command line,
 * and the order of the checks.
 */
#include "tools/fuseln/doctor.h"

#include "version.h"

#include <stdlib.h>

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct doctor *doctor = state->input;
    char *end;
    switch (key) {
    case ARGP_KEY_INIT:
        state->err_stream = NULL; /* getopt says in one line what is wrong */
        return 0;
    case 'j':
        doctor->findings = json_array();
        return 0;
    case 'n':
        doctor->no_run = true;
        return 0;
    case 's':
        doctor->seconds = (unsigned)strtoul(argument, &end, 10);
        if (*argument < '0' || *argument > '9' || *end || doctor->seconds < 1 || doctor->seconds > 86400)
            exit(fuseln_command_fail(state->name, EXIT_USAGE, "--seconds takes 1 to 86400, not %s", argument));
        return 0;
    case ARGP_KEY_ARG:
        doctor->program = &state->argv[state->next - 1];
        state->next = state->argc;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int fuseln_command_doctor(int argc, char **argv)
{
    static const struct argp_option accepted[] = {
        {"json", 'j', NULL, 0, "Print the findings as JSON", 0},
        {"no-run", 'n', NULL, 0, "Look at PROGRAM, but do not run it", 0},
        {"seconds", 's', "N", 0, "Stop PROGRAM after N seconds; go by what was seen until then", 0},
        {0}};
    static const struct argp argp = {
        .options = accepted,
        .parser = parse,
        .args_doc = "[-- PROGRAM [ARGUMENT...]]",
        .doc =
            "Says whether libfuseln.so takes effect here, and what to do if it does not: the library, the driver, the "
            "devices and the image of each, the environment, other preloads. With PROGRAM also whether a preload can "
            "get into it; then it is run with fuseln, its output on stderr, and its report is summed up.\v"
            "Each finding is a line: ok, note (worth knowing) or BAD (it keeps fuseln from working), with what to do "
            "under it. Nothing on the system is changed. Exit code: 0; 1 if anything is BAD; 2 for wrong usage.",
    };
    static struct doctor doctor;
    doctor.said = json_object();
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &doctor))
        return EXIT_USAGE;
    doctor_check_library(&doctor);
    doctor_check_driver(&doctor);
    doctor_check_settings(&doctor);
    doctor_check_preloads(&doctor);
    if (doctor.program) {
        doctor_check_program(&doctor);
        doctor_check_run(&doctor);
    }
    if (doctor.findings)
        fuseln_say_json(json_pack("{s:{s:s,s:s},s:i,s:o}", "fuseln", "version", FUSELN_VERSION, "commit", FUSELN_COMMIT,
                                  "bad", (int)doctor.bad, "findings", doctor.findings));
    return doctor.bad > 0;
}
