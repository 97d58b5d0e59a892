/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuseln WORD ...: finds the word and hands the rest over. See command.h.
 */
#include "tools/fuseln/command.h"

#include "version.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct word {
    const char *name, *arguments, *help;
    int (*run)(int argc, char **argv);
} words[] = {
#define X(word, arguments, help) {#word, arguments, help, fuseln_command_##word},
    FUSELN_WORDS(X)
#undef X
};

static void print_help(void)
{
    puts("Usage: fuseln WORD [OPTION...] ...\n"
         "Layer norms of unmodified CUDA programs on fused kernels: LD_PRELOAD=libfuseln.so, and what goes with it.\n");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        printf("  %-8s %-46s %s\n", words[i].name, words[i].arguments, words[i].help);
    puts("\nfuseln WORD --help tells more. Exit codes: 0; 1 could not be done; 2 wrong usage or input;\n"
         "run: the program's own.");
}

error_t fuseln_command_option(int key, char *argument, struct argp_state *state)
{
    struct fuseln_given *given = state->input;
    if (key == ARGP_KEY_INIT) {
        state->err_stream = NULL;
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

int main(int argc, char **argv)
{
    static char name[32] = "fuseln";
    program_invocation_name = name;
    fuseln_say_begin();
    fuseln_command_signals_begin();
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_help();
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("fuseln " FUSELN_VERSION " (" FUSELN_COMMIT ")");
        return 0;
    }
    for (size_t i = 0; argc > 1 && i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(argv[1], words[i].name) != 0)
            continue;
        snprintf(name, sizeof name, "fuseln %s", words[i].name);
        argv[1] = name;
        argp_err_exit_status = EXIT_USAGE;
        return words[i].run(argc - 1, argv + 1);
    }
    return fuseln_command_fail("fuseln", EXIT_USAGE, "%s%s: say one of run, report, scan, doctor, or --help",
                               argc > 1 ? "unknown word " : "no word", argc > 1 ? argv[1] : "");
}
