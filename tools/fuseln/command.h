/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command `fuseln`: one file for each of its words. A word prints to stdout, reports an error in one line on
 * stderr, and returns the exit code: 0; 1 if it could not do what was asked; 2 for wrong usage or a file of the wrong
 * kind. Single-threaded.
 */
#ifndef FUSELN_COMMAND_H
#define FUSELN_COMMAND_H

#include <argp.h>
#include <jansson.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

enum { EXIT_USAGE = 2, EXIT_FAILED_CHECK = 3 };

/* ---- words.c: words and options ---- */

/* What was given on the command line. */
struct fuseln_given {
    const char *option[128]; /* by letter: its argument, or "" if it takes none; NULL where it was not given */
    char **words;            /* all that are no options, ended by a NULL */
    int count;
};

struct fuseln_command {
    const char *name, *help;           /* one line of help */
    const char *arguments, *doc;       /* for argp; what follows a \v in doc is printed below the options */
    const struct argp_option *options; /* the letters of their keys are the indices of fuseln_given.option */
    bool runs;                         /* a program, whose options follow it and are not ours */
    const char *missing;               /* said if nothing but options was given; NULL: nothing else is needed */
    int (*run)(const struct fuseln_given *given);
};
extern const struct fuseln_command fuseln_command_run, fuseln_command_report, fuseln_command_scan,
    fuseln_command_doctor;
extern const struct fuseln_command *const fuseln_words[]; /* all of them, ended by a NULL */

/* argv[0] is the whole name, "fuseln run". Returns the exit code. */
int fuseln_command_call(const struct fuseln_command *word, int argc, char **argv);
/* The number that --NAME was given with; 0 if it was not. False: it is not 1 to most, and it has said so. */
bool fuseln_command_number(const struct fuseln_given *given, const char *name, long long most, long long *ret_number);

/* ---- text.c: all output ---- */

/* From now on, a process that cannot write all of its output to stdout says so and exits with 1. */
void fuseln_say_begin(void);
/* Prints one line, whatever its parts hold: characters that would control the terminal, end the line or change the
 * writing direction, and bytes that are not UTF-8, become '?'. */
void fuseln_say(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* How much is done, from 0 to 1, and what is done now: a line on stderr, which must be a terminal. It is drawn at most
 * ten times a second, and goes away before any other output and at the end. */
void fuseln_bar(double share, const char *what);
/* "fuseln WORD: message" on stderr; returns code. */
int fuseln_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same text in memory that the caller frees; never NULL. */
char *fuseln_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *fuseln_vtext(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));
/* Any bytes as a JSON string. */
json_t *fuseln_text_json(const char *text);
/* Why no file can be written there; 0 if one can. A file that is there is replaced, so its folder is asked. */
int fuseln_write_error(const char *path);
/* By its name, as reports are. */
static inline bool fuseln_is_json(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && strcmp(dot, ".json") == 0;
}
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

/* FOREACH_ITEM walks a list and defines item and its index, item_at; FOREACH_MEMBER walks the keys of an object.
 * Neither list nor object may be changed meanwhile. */
#define FOREACH_ITEM(item, list)                                              \
    for (size_t item##_at = 0, item##_once = 1; item##_once; item##_once = 0) \
        for (json_t * item; (item = json_array_get(list, item##_at)) != NULL; item##_at++)
#define FOREACH_MEMBER(key, object)                                                         \
    for (const char *key = json_object_iter_key(json_object_iter((json_t *)(object))); key; \
         key = json_object_iter_key(json_object_iter_next((json_t *)(object), json_object_key_to_iter(key))))

/* ---- html.c: a merged report as one page that needs no other file, no network and no script to be read ---- */

/* These return the exit code: 0, or what to end with; a line on stderr then said why. */

/* Can a page be written there? For before the work that it is to tell about. */
int fuseln_html_check(const char *path);
/* Writes it to a temporary file beside path and renames that. "-" is stdout; a device or a FIFO is written to. If that
 * fails, a page that was there before is unchanged. */
int fuseln_html_write(const json_t *report, const char *path);

/* ---- start.c: starting a program with fuseln ---- */

/* The library that came with this command: beside it, or in the lib folder next to its own. False: there is none. */
bool fuseln_start_library(char ret_path[PATH_MAX]);
/* The loader splits LD_PRELOAD at blanks and colons, and expands $LIB and the like. */
bool fuseln_start_can_preload(const char *path);
#define FUSELN_CANNOT_PRELOAD "LD_PRELOAD cannot hold a path with a blank, a colon or a $"
/* Puts it first in LD_PRELOAD, or second behind AddressSanitizer's library, which insists on being first. */
void fuseln_start_set_preload(const char *library);

/* Makes a temporary folder in TMPDIR, or else in /tmp, and sets FUSELN_REPORT so that each process writes a report of
 * its own into it. False with errno. */
bool fuseln_start_folder(char ret_path[PATH_MAX]);
/* Removes it, with everything in it. */
void fuseln_start_remove(const char *folder);

/* At the start: saves the signal mask and the action of SIGCHLD, which must not be ignored for us to wait for children.
 */
void fuseln_start_signals(void);
/* Runs the program with the signals as they were found; if so wanted, its output goes to stderr. Returns 0, or the
 * errno that says why it does not run. */
int fuseln_start(char **program, bool output_to_stderr, pid_t *ret_child);
/* Ends this process by that signal, without a core file. If that fails, returns the exit code to use instead. */
int fuseln_start_end_by(int signal_number);

#endif
