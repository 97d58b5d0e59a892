/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command `fuseln`: one file for each of its words. Each word parses its own options (argp), prints to stdout, says
 * what is wrong in one line on stderr, and returns the exit code: 0; 1 where what was asked for could not be done; 2
 * for wrong usage or a file that is not what it should be.
 * Single-threaded.
 */
#ifndef FUSELN_COMMAND_H
#define FUSELN_COMMAND_H

#include <argp.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
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

/* ---- text.c: all that is printed ---- */

/* One line, whatever its parts hold: what would command the terminal, end the line, turn the direction of writing or is
 * no UTF-8 is shown as '?'. */
void fuseln_say(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "fuseln WORD: message" on stderr; returns code. name is argv[0]. */
int fuseln_command_fail(const char *name, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same text to keep: to be freed, never NULL. */
char *fuseln_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Of any bytes, as a JSON text. */
json_t *fuseln_text_json(const char *text);
/* A document, which it frees, on stdout. */
void fuseln_say_json(json_t *document);
/* What stands under key; "" and 0 where it is of another type, or nothing. */
static inline const char *fuseln_text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static inline long long fuseln_count_at(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static inline double fuseln_real_at(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* From now on, a process that could not write all to stdout says so and exits with 1. */
void fuseln_say_begin(void);

/* ---- start.c: what starting a program with fuseln takes ---- */

/* The library that this command came with: beside it, or in the lib folder next to its own. False: there is none. */
bool fuseln_command_library(char ret_path[PATH_MAX]);
/* LD_PRELOAD is split at blanks and colons, and the loader puts words of its own in place of $LIB and others. */
bool fuseln_command_can_preload(const char *path);
#define FUSELN_CANNOT_PRELOAD "LD_PRELOAD cannot hold a path with a blank, a colon or a $"
/* Puts it in front of what is preloaded already; behind AddressSanitizer's library, which insists on being first. */
void fuseln_command_set_preload(const char *library);

/* A folder of the command's own, in TMPDIR, or in /tmp where that cannot be. Absolute, as programs change their folder.
 * False with errno. It is removed with all that is in it. */
bool fuseln_command_folder_make(char ret_path[PATH_MAX]);
void fuseln_command_folder_remove(const char *path);
/* FUSELN_REPORT for the reports of all processes in that folder; to be freed. */
char *fuseln_command_report_in(const char *folder);

/* At the start: remembers how signals are blocked and ignored here, and has children waited for even where they are
 * ignored. */
void fuseln_command_signals_begin(void);
/* In a child process: everything as it was found, for another program. */
void fuseln_command_signals_return(void);
/* Ends this process by that signal, without a core file; returns an exit code where that is not possible. */
int fuseln_command_end_by(int signal_number);

#endif
