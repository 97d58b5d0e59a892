/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuseln WORD ...: finds the word and hands the rest over. See command.h.
 */
#include "tools/fuseln/command.h"

#include "version.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int print_help(void)
{
    puts("Usage: fuseln WORD [OPTION...] ...\n"
         "Layer norms of unmodified CUDA programs on fused kernels: LD_PRELOAD=libfuseln.so, and what goes with it.\n");
    for (size_t i = 0; fuseln_words[i]; i++)
        printf("  %-8s [OPTION...] %-29s %s\n", fuseln_words[i]->name, fuseln_words[i]->arguments,
               fuseln_words[i]->help);
    puts("\nfuseln WORD --help tells more. Exit codes: 0; 1 could not be done; 2 wrong usage or input;\n"
         "run: the program's own.");
    return 0;
}

static int fail_word(const char *what, const char *asked)
{
    char words[128], *end = words;
    for (size_t i = 0; fuseln_words[i]; i++)
        end = stpcpy(stpcpy(end, fuseln_words[i]->name), ", ");
    return fuseln_fail(EXIT_USAGE, "%s%s: say one of %sor --help", what, asked, words);
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
    for (size_t i = 0; fuseln_words[i]; i++)
        if (strcmp(asked, fuseln_words[i]->name) == 0) {
            snprintf(name, sizeof name, "fuseln %s", fuseln_words[i]->name);
            argv[1] = name;
            argp_err_exit_status = EXIT_USAGE;
            return fuseln_command_call(fuseln_words[i], argc - 1, argv + 1);
        }
    return fail_word(argc > 1 ? "unknown word " : "no word", asked);
}
