/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a finding of `fuseln doctor` is printed: as a line with its remedy below it, or as an object of the JSON document
 * (doctor.h).
 */
#include "tools/fuseln/doctor.h"

#include "base/clean.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

static void print(const struct doctor *doctor, const char *finding, const char *check, const char *remedy,
                  const char *text)
{
    if (doctor->findings) {
        json_array_append_new(doctor->findings,
                              json_pack("{s:s,s:s,s:s,s:o}", "finding", finding, "check", check, "text", text, "remedy",
                                        remedy ? fuseln_text_json(remedy) : json_null()));
        return;
    }
    fuseln_say(stdout, "%-4s %s: %s", finding, check, text);
    if (remedy)
        fuseln_say(stdout, "       %s", remedy);
    fflush(stdout);
}

void doctor_say(struct doctor *doctor, enum finding finding, const char *check, const char *remedy, const char *format,
                ...)
{
    static const char *const names[] = {"ok", "note", "BAD"};
    char *text;
    va_list arguments;
    va_start(arguments, format);
    const int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        exit(fuseln_command_fail(program_invocation_name, 1, "out of memory"));
    fuseln_clean(text);
    if (!json_object_get(doctor->said, text)) {
        json_object_set_new(doctor->said, text, json_true());
        doctor->bad += finding == FINDING_BAD;
        print(doctor, names[finding], check, remedy, text);
    }
    free(text);
}
