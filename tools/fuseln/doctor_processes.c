/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of the program's run. What they have mapped is read from /proc while they run: whether libfuseln.so got
 * into each, and which CUDA libraries it uses (doctor.h). A process that ends between two looks is missed.
 */
#include "tools/fuseln/doctor.h"

#include "hooks/names.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK "run"
enum { CUDA_FILES_MAX = 5 };

/* What was seen of one process. */
struct doctor_process {
    pid_t pid, parent;
    unsigned look;                  /* number of the last look that found it running */
    char executable[PATH_MAX];      /* "": nothing below is known yet */
    bool dynamic, libc, fuseln;     /* a loader, the C library, libfuseln.so are mapped */
    bool whole;                     /* its list of mappings was read to the end */
    bool asked;                     /* LD_PRELOAD in its environment names libfuseln.so */
    char cuda[CUDA_FILES_MAX][512]; /* files of libcuda and of CUDA runtimes that are mapped, then "" */
};

/* ---- looking ---- */

typedef void parse_line(struct doctor_process *process, const char *library, char *line);

/* Hands each line of /proc/PID/NAME, which ends in this character, to parse. */
static void read_proc(struct doctor_process *process, const char *name, int end, parse_line *parse, const char *library)
{
    char path[64], *line = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)process->pid, name);
    FILE *file = fopen(path, "re");
    while (file && getdelim(&line, &size, end, file) > 0)
        parse(process, library, line);
    free(line);
    if (file)
        fclose(file);
}

static void parse_variable(struct doctor_process *process, const char *library, char *line)
{
    process->asked |= !strncmp(line, "LD_PRELOAD=", 11) && strstr(line, library);
}

static bool begins(const char *name, const char *with)
{
    return !strncmp(name, with, strlen(with));
}

static void add_cuda(struct doctor_process *process, const char *path)
{
    for (size_t i = 0; i < CUDA_FILES_MAX; i++) {
        char *file = process->cuda[i];
        if (!*file)
            snprintf(file, sizeof process->cuda[i], "%s", path);
        if (!strcmp(file, path))
            return;
    }
}

static void parse_mapping(struct doctor_process *process, const char *library, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    const char *path = strchr(line, '/'), *name = path ? basename(path) : "";
    process->whole |= strstr(line, "[stack]") != NULL; /* mapped last */
    process->fuseln |= path && !strcmp(path, library);
    process->dynamic |= begins(name, "ld-") || begins(name, "ld.so") || begins(name, "ld64.so");
    process->libc |= begins(name, "libc.so.6") || begins(name, "libc-2");
    if (begins(name, "libcuda.so") || begins(name, "libcudart.so") || begins(name, "libcudart-"))
        add_cuda(process, path);
}

static void parse_parent(struct doctor_process *process, const char *library, char *line)
{
    const char *end = strrchr(line, ')'); /* the name before it may hold anything */
    int parent;
    (void)library;
    if (end && sscanf(end + 1, " %*c %d", &parent) == 1)
        process->parent = parent;
}

static struct doctor_process *find(const struct doctor_processes *processes, pid_t pid)
{
    for (size_t i = 0; i < processes->count; i++)
        if (processes->list[i].pid == pid)
            return &processes->list[i];
    return NULL;
}

/* Does it descend from the root? Then its parent was seen in this look or the last: /proc lists processes by their ids,
 * and a parent mostly has the smaller one. */
static bool descends(const struct doctor_processes *processes, const struct doctor_process *process)
{
    const struct doctor_process *parent = find(processes, process->parent);
    return process->pid == processes->root || (parent && parent->look + 1 >= processes->looks);
}

/* NULL: no memory, so it is left out. */
static struct doctor_process *add(struct doctor_processes *processes, pid_t pid)
{
    if (processes->count % 64 == 0) {
        struct doctor_process *more = realloc(processes->list, (processes->count + 64) * sizeof *more);
        if (!more)
            return NULL;
        processes->list = more;
    }
    struct doctor_process *process = &processes->list[processes->count++];
    *process = (struct doctor_process){.pid = pid};
    return process;
}

/* Before it executes its first program, a process is still this command. In the loader's first moments a new program
 * has a loader and nothing else. Either is left for the next look. */
static bool read_program(struct doctor_process *process, const char *library)
{
    char path[64], own[PATH_MAX];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)process->pid);
    const ssize_t length = readlink(path, process->executable, sizeof process->executable - 1);
    const ssize_t own_length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (length <= 0 || (length == own_length && !memcmp(process->executable, own, (size_t)length)))
        return false;
    read_proc(process, "environ", '\0', parse_variable, library);
    read_proc(process, "maps", '\n', parse_mapping, library);
    return process->whole && (!process->dynamic || process->libc);
}

static void look_at(struct doctor_processes *processes, pid_t pid)
{
    struct doctor_process now = {.pid = pid, .look = processes->looks};
    read_proc(&now, "stat", '\n', parse_parent, NULL);
    if (!descends(processes, &now))
        return;
    struct doctor_process *known = find(processes, pid);
    if (!known && !(known = add(processes, pid)))
        return;
    known->look = now.look;
    if (read_program(&now, processes->library))
        *known = now;
}

void doctor_processes_look(struct doctor_processes *processes)
{
    struct dirent *entry;
    DIR *proc = opendir("/proc");
    processes->looks++;
    while (proc && (entry = readdir(proc))) {
        const pid_t pid = atoi(entry->d_name);
        if (pid > 0)
            look_at(processes, pid);
    }
    if (proc)
        closedir(proc);
}

void doctor_processes_kill(const struct doctor_processes *processes, int signal_number)
{
    for (size_t i = 0; i < processes->count; i++)
        if (processes->list[i].look == processes->looks && processes->list[i].pid != processes->root)
            kill(processes->list[i].pid, signal_number);
    kill(processes->root, signal_number);
}

/* ---- telling ---- */

/* Is it of a release that we hook? A name without a release counts as one. */
static bool is_known_runtime(const char *name)
{
    bool known = !begins(name, "libcudart.so.");
#define X(suffix, node) known |= begins(name, node) && strchr(".", name[sizeof node - 1]);
    FUSELN_CUDART_NODES(X)
#undef X
    return known;
}

void doctor_say_files(struct doctor *doctor, const struct doctor_processes *processes)
{
    for (size_t i = 0; i < processes->count; i++)
        for (size_t j = 0; j < CUDA_FILES_MAX && *processes->list[i].cuda[j]; j++) {
            const char *path = processes->list[i].cuda[j], *name = basename(path);
            if (begins(name, "libcuda.so"))
                doctor_say(doctor, FINDING_OK, CHECK, NULL, "driver library loaded: %s", path);
            else if (is_known_runtime(name))
                doctor_say(doctor, FINDING_OK, CHECK, NULL, "CUDA runtime loaded: %s", path);
            else
                doctor_say(doctor, FINDING_NOTE, CHECK,
                           "its launches are seen at the driver, if at all: get a newer fuseln",
                           "CUDA runtime loaded: %s, of a release that fuseln does not know", path);
        }
}

static bool uses_cuda(const struct doctor_process *process)
{
    return *process->cuda[0];
}

/* Of the processes that the preload reached, or of the others: the last that uses CUDA, else the last. NULL: there is
 * none. */
static const struct doctor_process *pick(const struct doctor_processes *processes, bool reached)
{
    const struct doctor_process *found = NULL;
    for (size_t i = 0; i < processes->count; i++) {
        const struct doctor_process *process = &processes->list[i];
        if (*process->executable && process->fuseln == reached && (!found || uses_cuda(process) || !uses_cuda(found)))
            found = process;
    }
    return found;
}

/* Why the preload did not reach this process. */
static void say_lost(struct doctor *doctor, const struct doctor_process *lost)
{
    const int pid = (int)lost->pid;
    if (!lost->dynamic)
        doctor_say(doctor, FINDING_BAD, CHECK, "link it dynamically: with a shared C library",
                   "%s (process %d) is statically linked: LD_PRELOAD has no effect on it", lost->executable, pid);
    else if (lost->asked)
        doctor_say(
            doctor, FINDING_BAD, CHECK, "fuseln doctor -- that program says more",
            "the loader did not preload libfuseln.so into %s (process %d), though its LD_PRELOAD names it: it is "
            "setuid, has file capabilities, or another C library",
            lost->executable, pid);
    else
        doctor_say(doctor, FINDING_BAD, CHECK,
                   "set LD_PRELOAD behind the wrapper, in front of the program itself (env LD_PRELOAD=... PROGRAM), or "
                   "among the variables that the launcher passes on (mpirun -x, srun --export, ray's runtime_env)",
                   "the preload was dropped on the way: %s (process %d) runs without LD_PRELOAD (a wrapper cleared it: "
                   "env -i, env -u, sudo, a launcher)",
                   lost->executable, pid);
}

void doctor_say_no_report(struct doctor *doctor, const struct doctor_processes *processes)
{
    static const char name_another[] = "name a program that computes on the device";
    const struct doctor_process *lost = pick(processes, false), *reached = pick(processes, true);
    /* A process without the preload explains it, unless only processes with the preload use CUDA. */
    if (lost && (uses_cuda(lost) || !reached || !uses_cuda(reached)))
        say_lost(doctor, lost);
    else if (!reached)
        doctor_say(doctor, FINDING_NOTE, CHECK, name_another,
                   "no kernel launch was seen, and the program ended too soon to look at its processes");
    else if (!uses_cuda(reached))
        doctor_say(doctor, FINDING_NOTE, CHECK, name_another, "libfuseln.so is in %s, but it loads no CUDA library",
                   reached->executable);
    else
        doctor_say(doctor, FINDING_NOTE, CHECK,
                   "did it compute on the device? If it did: a library loaded with RTLD_DEEPBIND, or a static runtime "
                   "that finds the driver by dlvsym, launches out of sight",
                   "libfuseln.so is in %s, which loads CUDA, but no kernel launch was seen", reached->executable);
}
