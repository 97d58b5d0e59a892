/*
 * The command `fuseln`: one file for each of its words. Each word parses its own options (argp), prints to stdout, says
 * what is wrong in one line on stderr, and returns the exit code: 0; 1 where what was asked for could not be done; 2
 * for wrong usage or a file that is not what it should be.
 * Single-threaded.
 */
#ifndef FUSELN_COMMAND_H
#define FUSELN_COMMAND_H

#include <argp.h>
#include <stdio.h>

/* X(word, arguments, one line of help) */
#define FUSELN_WORDS(X)                                                                          \
    X(run, "[OPTION...] [--] PROGRAM [ARGUMENT...]", "run a program with fuseln in front of it") \
    X(report, "[OPTION...] FILE...", "merge reports of ranks and restarts, and print one table") \
    X(scan, "[OPTION...] FILE...", "which layer-norm kernels a library, wheel or folder holds")  \
    X(doctor, "[OPTION...] [-- PROGRAM [ARGUMENT...]]", "is it in effect here, and what to do if it is not")

/* argv[0] is the whole name, "fuseln run". */
#define X(word, arguments, help) int fuseln_command_##word(int argc, char **argv);
FUSELN_WORDS(X)
#undef X

enum { EXIT_USAGE = 2, EXIT_FAILED_CHECK = 3 };

/* "fuseln WORD: message" on stderr; returns code. name is argv[0]. */
int fuseln_command_fail(const char *name, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* For argp's err_stream, in ARGP_KEY_INIT: stderr without the hint to try --help, so that wrong usage is one line. */
FILE *fuseln_command_errors(void);

/* The library that this command came with: beside it, or in the lib folder next to its own. False: there is none. */
int fuseln_command_library(char *ret_path, size_t size);

/* A folder of the command's own, in TMPDIR or /tmp; false with errno, and the name that was tried. It is removed with
 * all that is in it. */
int fuseln_command_folder_make(char *ret_path, size_t size);
void fuseln_command_folder_remove(const char *path);

#endif
