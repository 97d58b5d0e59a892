/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to `fuseln doctor`. doctor.c runs the checks one after the other; each prints its findings as it makes them.
 * What may crash or hang (a driver, a broken library) is tried in a child process. Changes nothing on the system; the
 * only files are the reports of the program's run, in a temporary folder that is removed.
 */
#ifndef FUSELN_DOCTOR_H
#define FUSELN_DOCTOR_H

#include "tools/fuseln/command.h"

struct doctor {
    char **program; /* NULL: none was named */
    bool no_run;
    unsigned seconds;          /* the program is stopped after these; 0: it runs to its end */
    char library[PATH_MAX];    /* libfuseln.so; "" if it cannot be used */
    char invoked[PATH_MAX];    /* what becomes the program's argv[0]: its path, or that of a script's interpreter */
    char executable[PATH_MAX]; /* the same, links resolved; "" if it cannot take a preload */
};

enum finding { OK, NOTE, BAD };
/* Prints a finding. remedy is one line of what to do about it, or NULL. What was said before is not said again. */
void doctor_say(enum finding finding, const char *check, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- the checks, in their order: each in doctor_NAME.c ---- */

void doctor_check_library(struct doctor *doctor);
void doctor_check_driver(void);
void doctor_check_settings(const struct doctor *doctor);
void doctor_check_preloads(const struct doctor *doctor);
void doctor_check_program(struct doctor *doctor);
void doctor_check_run(const struct doctor *doctor);

/* ---- doctor_child.c ---- */

/* Zeroed memory that a child process writes into. Never freed. Ends the process if there is none. */
void *doctor_share(size_t size);
/* "was killed by signal 11 (Segmentation fault)" or the like, valid until the next call; NULL if it exited with 0. */
const char *doctor_child_failure(int status);
/* Calls work(argument) in a child process for at most so many seconds; its output is thrown away. NULL if it returned,
 * else how it ended, as doctor_child_failure says. */
const char *doctor_try(void (*work)(void *argument), void *argument, unsigned seconds);

/* ---- doctor_file.c ---- */

struct doctor_file {
    bool script;                /* it begins with #! */
    char interpreter[PATH_MAX]; /* of the script, or of the ELF program; "" if there is none */
};
/* NULL if the file is a script or an ELF file for this machine. Else what is wrong with it: "was not found", "is for
 * another architecture (aarch64)", or for a file of any other kind the text neither. Valid until the next call. */
const char *doctor_file_read(const char *path, const char *neither, struct doctor_file *ret_file);
/* Does the file contain these bytes? */
bool doctor_file_contains(const char *path, const void *bytes, size_t size);
/* The file of a library that this process has loaded; the name may be without a folder. NULL if it is not loaded. To be
 * freed. */
char *doctor_file_loaded(const char *name);

/* ---- doctor_processes.c ---- */

struct doctor_processes {
    pid_t root;          /* the program */
    const char *library; /* libfuseln.so */
    unsigned looks;
    size_t count;
    struct doctor_process *list; /* from malloc */
    json_t *cuda;                /* the files of CUDA libraries that they had mapped, as keys */
};
/* Looks at the root and every descendant of it that runs now, and records what is new. */
void doctor_processes_look(struct doctor_processes *processes);
/* Sends a signal to those that the last look found. */
void doctor_processes_kill(const struct doctor_processes *processes, int signal_number);
/* Which CUDA libraries they had mapped. */
void doctor_say_files(const struct doctor_processes *processes);
/* Why there is no report of any of them. */
void doctor_say_no_report(const struct doctor_processes *processes);

/* ---- doctor_report.c ---- */

/* What the reports in a folder say, added up. False: there is none. */
bool doctor_say_reports(const char *folder);

#endif
