/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command `fuseln`: one file for each of its words. Each word lists its own options (argp), prints to stdout,
 * reports an error in one line on stderr, and returns the exit code: 0; 1 if it could not do what was asked; 2 for
 * wrong usage or a file of the wrong kind. Single-threaded.
 */
#ifndef FUSELN_COMMAND_H
#define FUSELN_COMMAND_H

#include <argp.h>
#include <jansson.h>
#include <limits.h>
#include <stdarg.h>
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

/* ---- main.c: options, for argp ---- */

/* What was given on the command line. */
struct fuseln_given {
    const char *option[128]; /* by letter: its argument, or "" if it takes none; NULL where it was not given */
    char **words;            /* all that are no options */
    int count;
};

/* A parser that fills in a struct fuseln_given. getopt says in one line what is wrong, and argp_parse returns it. */
error_t fuseln_command_option(int key, char *argument, struct argp_state *state);

/* ---- text.c: all output ---- */

/* Prints one line, whatever its parts hold: characters that would control the terminal, end the line or change the
 * writing direction, and bytes that are not UTF-8, become '?'. */
void fuseln_say(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "fuseln WORD: message" on stderr; returns code. name is argv[0]. */
int fuseln_command_fail(const char *name, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same text in memory that the caller frees; never NULL. */
char *fuseln_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *fuseln_vtext(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));
/* Any bytes as a JSON string. */
json_t *fuseln_text_json(const char *text);
/* Prints a document on stdout and releases it. */
void fuseln_say_json(json_t *document);
/* The value of key; "" or 0 if there is none of this type. */
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

/* From now on, a process that cannot write all of its output to stdout says so and exits with 1. */
void fuseln_say_begin(void);

/* ---- start.c: starting a program with fuseln ---- */

/* The library that came with this command: beside it, or in the lib folder next to its own. False: there is none. */
bool fuseln_command_library(char ret_path[PATH_MAX]);
/* The loader splits LD_PRELOAD at blanks and colons, and expands $LIB and the like. */
bool fuseln_command_can_preload(const char *path);
#define FUSELN_CANNOT_PRELOAD "LD_PRELOAD cannot hold a path with a blank, a colon or a $"
/* Puts it first in LD_PRELOAD, or second behind AddressSanitizer's library, which insists on being first. */
void fuseln_command_set_preload(const char *library);

/* A temporary folder in TMPDIR, or else in /tmp. The path is absolute, as programs change their working folder. False
 * with errno. Removing it removes everything in it. */
bool fuseln_command_folder_make(char ret_path[PATH_MAX]);
void fuseln_command_folder_remove(const char *path);
/* The value of FUSELN_REPORT that makes each process write a report of its own into the folder. The caller frees it. */
char *fuseln_command_report_in(const char *folder);

/* At the start: saves the signal mask and the action of SIGCHLD, which must not be ignored for us to wait for children.
 */
void fuseln_command_signals_begin(void);
/* In a child process, before exec: restores what was saved. */
void fuseln_command_signals_return(void);
/* Ends this process by that signal, without a core file. If that fails, returns the exit code to use instead. */
int fuseln_command_end_by(int signal_number);

#endif
