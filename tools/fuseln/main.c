/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuseln WORD ...: finds the word, reads its options and hands the rest over. See command.h.
 */
#include "tools/fuseln/command.h"

#include "version.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct fuseln_command *const words[] = {&fuseln_command_run, &fuseln_command_report, &fuseln_command_scan,
                                                     &fuseln_command_doctor};
enum { WORDS = sizeof words / sizeof words[0] };

static int print_help(void)
{
    puts("Usage: fuseln WORD [OPTION...] ...\n"
         "Layer norms of unmodified CUDA programs on fused kernels: LD_PRELOAD=libfuseln.so, and what goes with it.\n");
    for (size_t i = 0; i < WORDS; i++)
        printf("  %-8s [OPTION...] %-29s %s\n", words[i]->name, words[i]->arguments, words[i]->help);
    puts("\nfuseln WORD --help tells more. Exit codes: 0; 1 could not be done; 2 wrong usage or input;\n"
         "run: the program's own.");
    return 0;
}

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

int main(int argc, char **argv)
{
    static char name[32] = "fuseln";
    const char *asked = argc > 1 ? argv[1] : "";
    program_invocation_name = name;
    fuseln_say_begin();
    fuseln_start_signals();
    if (strcmp(asked, "--help") == 0 || strcmp(asked, "-h") == 0)
        return print_help();
    if (strcmp(asked, "--version") == 0)
        return puts("fuseln " FUSELN_VERSION " (" FUSELN_COMMIT ")") < 0;
    for (size_t i = 0; i < WORDS; i++)
        if (strcmp(asked, words[i]->name) == 0) {
            snprintf(name, sizeof name, "fuseln %s", words[i]->name);
            argv[1] = name;
            argp_err_exit_status = EXIT_USAGE;
            return fuseln_command_call(words[i], argc - 1, argv + 1);
        }
    return fuseln_fail(EXIT_USAGE, "%s%s: say one of run, report, scan, doctor, or --help",
                       argc > 1 ? "unknown word " : "no word", asked);
}
