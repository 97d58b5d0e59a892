/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to `fuseln doctor`: a list of checks, run one after the other; each says its findings as it makes them.
 * What may crash or hang (a driver, a broken library) is tried in a child process. Changes nothing on the system; the
 * only files are the reports of the program's run, in a temporary folder that is removed.
 */
#ifndef FUSELN_DOCTOR_H
#define FUSELN_DOCTOR_H

#include "tools/fuseln/command.h"

#include <stddef.h>
#include <sys/types.h>

enum finding { FINDING_OK, FINDING_NOTE, FINDING_BAD };

struct doctor {
    const char *name; /* "fuseln doctor" */
    char **program;   /* NULL: none was given */
    bool no_run;
    unsigned seconds; /* the program is stopped after these; 0: it takes its time */
    json_t *findings; /* NULL: findings are printed as lines */
    unsigned bad;
    char library[PATH_MAX];    /* libfuseln.so; "" if it cannot be used */
    char executable[PATH_MAX]; /* what is executed: the program, or the interpreter of a script; "" if it cannot be */
    const char *invoked;       /* base name of what becomes its argv[0] */
};

/* One finding; remedy is one line of what to do about it, NULL for none. */
void doctor_say(struct doctor *doctor, enum finding finding, const char *check, const char *remedy, const char *format,
                ...) __attribute__((format(printf, 5, 6)));

/* The checks, in their order. */
void doctor_check_library(struct doctor *doctor);
void doctor_check_driver(struct doctor *doctor);
void doctor_check_settings(struct doctor *doctor);
void doctor_check_preloads(struct doctor *doctor);
void doctor_check_program(struct doctor *doctor);
void doctor_run(struct doctor *doctor);

/* Calls work(shared) in a child process, with its output thrown away, for at most so many seconds. NULL: it returned.
 * Else how it ended: "it was killed by signal 11 (...)". shared is from doctor_share. */
const char *doctor_apart(void (*work)(void *shared), void *shared, unsigned seconds);
/* Zeroed memory that a child process writes into; never freed. Ends the process if there is none. */
void *doctor_share(size_t size);

struct doctor_elf {
    bool same_machine;          /* as this command's own file */
    int machine, bits;          /* e_machine; 32 or 64 */
    char interpreter[PATH_MAX]; /* of the program headers; "" if there is none (only read if same_machine) */
};
/* 0; -ENOEXEC where it is no ELF file or is cut off; -errno. */
int doctor_elf_read(const char *path, struct doctor_elf *ret_elf);
/* "x86-64", "aarch64", ... or "machine 123", with "32-bit " before it; valid until the next call. */
const char *doctor_elf_machine(const struct doctor_elf *elf);

struct doctor_image {
    const char *name, *compiler;
    int arch;
    bool ptx;
};
/* The image that a device of this compute capability gets (kernels/host/image.c, launch.c): false where there is none.
 * The rule stands here once more because kernels/host/image.c brings 16 MB of images with it; a test compares the two.
 */
bool doctor_image_find(int cc_major, int cc_minor, struct doctor_image *ret_image);

enum { RUNTIMES_MAX = 4 };
/* What was seen of one process of the program's run, while it ran. */
struct doctor_process {
    pid_t pid;
    char executable[PATH_MAX];
    bool dynamic, libc, fuseln;       /* mapped: a loader, the C library, libfuseln.so */
    bool asked;                       /* LD_PRELOAD of its environment names libfuseln.so */
    bool running;                     /* at the last look */
    char driver[512];                 /* the file of libcuda that it has mapped; "" none */
    char runtimes[RUNTIMES_MAX][512]; /* those of libcudart: a wheel's own may stand beside another, unused */
};
struct doctor_processes {
    size_t count;
    struct doctor_process *list; /* from malloc */
};
/* Looks at every descendant of root that runs now, and adds it or what is new of it. */
void doctor_watch(struct doctor_processes *processes, pid_t root, const char *library);

/* The reports in a folder, one of each process, as an array. */
json_t *doctor_reports_read(const char *folder);
/* Says what the reports say, summed over processes. processes is what was seen of the run. */
void doctor_say_reports(struct doctor *doctor, const json_t *reports, const struct doctor_processes *processes);
/* Says why there is no report. */
void doctor_say_silence(struct doctor *doctor, const struct doctor_processes *processes);

#endif
