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

/* What was seen of one process. */
struct doctor_process {
    pid_t pid;
    unsigned look;             /* number of the last look that found it running */
    char executable[PATH_MAX]; /* "": nothing below is known yet */
    bool dynamic, fuseln;      /* a loader, libfuseln.so are mapped */
    bool cuda;                 /* libcuda or a CUDA runtime is */
};

/* ---- looking ---- */

static FILE *open_proc(pid_t pid, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return fopen(path, "re");
}

static bool begins(const char *name, const char *with)
{
    return !strncmp(name, with, strlen(with));
}

static bool is_cuda(const char *name)
{
    return begins(name, "libcuda.so") || begins(name, "libcudart.so") || begins(name, "libcudart-");
}

static void add_cuda(struct doctor_processes *processes, const char *path)
{
    char *text = fuseln_text("%s", path);
    json_object_set_new(processes->cuda, text, json_true());
    free(text);
}

/* Reads which files it has mapped. False: too early. In the loader's first moments a new program has a loader and no C
 * library; the stack comes last. */
static bool read_maps(struct doctor_processes *processes, struct doctor_process *process)
{
    char *line = NULL;
    size_t size = 0;
    bool libc = false, whole = false;
    FILE *maps = open_proc(process->pid, "maps");
    while (maps && getline(&line, &size, maps) > 0) {
        line[strcspn(line, "\n")] = '\0';
        const char *path = strchr(line, '/'), *name = path ? basename(path) : "";
        whole |= strstr(line, "[stack]") != NULL;
        libc |= begins(name, "libc.so.6") || begins(name, "libc-2");
        process->dynamic |= begins(name, "ld-") || begins(name, "ld.so") || begins(name, "ld64.so");
        process->fuseln |= path && !strcmp(path, processes->library);
        process->cuda |= is_cuda(name);
        if (is_cuda(name))
            add_cuda(processes, path);
    }
    free(line);
    if (maps)
        fclose(maps);
    return whole && (libc || !process->dynamic);
}

/* Before it executes its first program, a process is still this command. That is left for the next look. */
static bool read_program(struct doctor_processes *processes, struct doctor_process *process)
{
    char path[64], own[PATH_MAX] = "";
    snprintf(path, sizeof path, "/proc/%d/exe", (int)process->pid);
    return readlink(path, process->executable, sizeof process->executable - 1) > 0 &&
           readlink("/proc/self/exe", own, sizeof own - 1) > 0 && strcmp(own, process->executable) != 0 &&
           read_maps(processes, process);
}

static struct doctor_process *find(const struct doctor_processes *processes, pid_t pid)
{
    for (size_t i = 0; i < processes->count; i++)
        if (processes->list[i].pid == pid)
            return &processes->list[i];
    return NULL;
}

/* 0: it has ended. */
static pid_t parent_of(pid_t pid)
{
    char line[512] = "";
    int parent = 0;
    FILE *stat = open_proc(pid, "stat");
    if (stat && fgets(line, sizeof line, stat)) {
        const char *end = strrchr(line, ')'); /* the name before it may hold anything */
        sscanf(end ? end + 1 : "", " %*c %d", &parent);
    }
    if (stat)
        fclose(stat);
    return parent;
}

/* Does it descend from the root? Then its parent was seen in this look or the last: /proc lists processes by their ids,
 * and a parent mostly has the smaller one. */
static bool descends(const struct doctor_processes *processes, pid_t pid)
{
    const struct doctor_process *parent = find(processes, parent_of(pid));
    return pid == processes->root || (parent && parent->look + 1 >= processes->looks);
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
    processes->list[processes->count] = (struct doctor_process){.pid = pid};
    return &processes->list[processes->count++];
}

static void look_at(struct doctor_processes *processes, pid_t pid)
{
    struct doctor_process now = {.pid = pid, .look = processes->looks}, *known;
    if (!descends(processes, pid) || (!(known = find(processes, pid)) && !(known = add(processes, pid))))
        return;
    known->look = now.look;
    if (read_program(processes, &now))
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

void doctor_say_files(const struct doctor_processes *processes)
{
    FOREACH_MEMBER(path, processes->cuda) {
        const char *name = basename(path);
        if (begins(name, "libcuda.so"))
            doctor_say(OK, CHECK, NULL, "driver library loaded: %s", path);
        else if (is_known_runtime(name))
            doctor_say(OK, CHECK, NULL, "CUDA runtime loaded: %s", path);
        else
            doctor_say(NOTE, CHECK, "its launches are seen at the driver, if at all: get a newer fuseln",
                       "CUDA runtime loaded: %s, of a release that fuseln does not know", path);
    }
}

/* Of the processes that the preload reached, or of the others: the last that uses CUDA, else the last. NULL: there is
 * none. */
static const struct doctor_process *pick(const struct doctor_processes *processes, bool reached)
{
    const struct doctor_process *found = NULL;
    for (size_t i = 0; i < processes->count; i++) {
        const struct doctor_process *process = &processes->list[i];
        if (*process->executable && process->fuseln == reached && (!found || process->cuda || !found->cuda))
            found = process;
    }
    return found;
}

/* Why the preload did not reach this process. */
static void say_lost(const struct doctor_process *lost)
{
    const int pid = (int)lost->pid;
    if (!lost->dynamic)
        doctor_say(BAD, CHECK, "link it dynamically: with a shared C library",
                   "%s (process %d) is statically linked: LD_PRELOAD has no effect on it", lost->executable, pid);
    else
        doctor_say(BAD, CHECK,
                   "set LD_PRELOAD behind the wrapper, in front of the program itself (env LD_PRELOAD=... PROGRAM), or "
                   "among the variables that the launcher passes on (mpirun -x, srun --export, ray's runtime_env); "
                   "fuseln doctor -- that program says whether its loader takes it",
                   "the preload was dropped on the way: %s (process %d) runs without libfuseln.so (a wrapper cleared "
                   "LD_PRELOAD: env -i, env -u, sudo, a launcher; or it is setuid, has file capabilities, or does not "
                   "see this file system)",
                   lost->executable, pid);
}

void doctor_say_no_report(const struct doctor_processes *processes)
{
    static const char name_another[] = "name a program that computes on the device";
    const struct doctor_process *lost = pick(processes, false), *reached = pick(processes, true);
    /* A process without the preload explains it, unless only processes with the preload use CUDA. */
    if (lost && (lost->cuda || !reached || !reached->cuda))
        say_lost(lost);
    else if (!reached)
        doctor_say(NOTE, CHECK, name_another,
                   "no kernel launch was seen, and the program ended too soon to look at its processes");
    else if (!reached->cuda)
        doctor_say(NOTE, CHECK, name_another, "libfuseln.so is in %s, but it loads no CUDA library",
                   reached->executable);
    else
        doctor_say(NOTE, CHECK,
                   "did it compute on the device? If it did: a library loaded with RTLD_DEEPBIND, or a static runtime "
                   "that finds the driver by dlvsym, launches out of sight",
                   "libfuseln.so is in %s, which loads CUDA, but no kernel launch was seen", reached->executable);
}
