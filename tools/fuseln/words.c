/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of the command, and how each reads its options. See command.h.
 */
#include "tools/fuseln/command.h"

#include <stdlib.h>

const struct fuseln_command *const fuseln_words[] = {&fuseln_command_run, &fuseln_command_report, &fuseln_command_scan,
                                                     &fuseln_command_doctor, NULL};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct fuseln_given *given = state->input;
    if (key == ARGP_KEY_INIT) {
        state->err_stream = NULL; /* getopt says in one line what is wrong */
    } else if (key == ARGP_KEY_ARGS) {
        given->words = state->argv + state->next;
        given->count = state->argc - state->next;
    } else if (key > 0 && (size_t)key < sizeof given->option / sizeof *given->option) {
        given->option[key] = argument ? argument : "";
    } else {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int fuseln_command_call(const struct fuseln_command *word, int argc, char **argv)
{
    const struct argp argp = {.options = word->options, .parser = parse, .args_doc = word->arguments, .doc = word->doc};
    struct fuseln_given given = {0};
    if (argp_parse(&argp, argc, argv, word->runs ? ARGP_IN_ORDER : 0, NULL, &given))
        return EXIT_USAGE;
    if (given.count == 0 && word->missing)
        return fuseln_fail(EXIT_USAGE, "%s", word->missing);
    return word->run(&given);
}

bool fuseln_command_number(const struct fuseln_given *given, const char *name, long long most, long long *ret_number)
{
    const char *text = given->option[(int)*name];
    char *end;
    *ret_number = text ? strtoll(text, &end, 10) : 0;
    if (!text || (*text >= '0' && *text <= '9' && !*end && *ret_number >= 1 && *ret_number <= most))
        return true;
    fuseln_fail(EXIT_USAGE, "--%s=%s is not valid (allowed: 1 to %lld)", name, text, most);
    return false;
}
