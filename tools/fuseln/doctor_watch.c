/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the processes of the program's run have mapped, looked up in /proc while they run: whether libfuseln.so got into
 * each, and which CUDA libraries it uses. A process that lives for less than a look is missed.
 */
#include "tools/fuseln/doctor.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* All of a /proc file, ended by a NUL; NULL if it cannot be read. To be freed. */
static char *read_proc(pid_t pid, const char *name, size_t *ret_size)
{
    char path[64], *text = NULL;
    size_t used = 0, room = 0;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (ssize_t size = fd >= 0; size > 0; used += (size_t)(size > 0 ? size : 0)) {
        if (used == 0 || used + 1 >= room) {
            char *more = realloc(text, (room = 2 * room + 16384));
            if (!more)
                break;
            text = more;
        }
        size = read(fd, text + used, room - used - 1);
    }
    if (fd >= 0)
        close(fd);
    if (text)
        text[used] = '\0';
    *ret_size = used;
    return text;
}

static bool is_named(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    return slash && !strncmp(slash + 1, name, strlen(name));
}

static void note_runtime(struct doctor_process *process, const char *path)
{
    for (size_t i = 0; i < RUNTIMES_MAX; i++) {
        if (!process->runtimes[i][0])
            snprintf(process->runtimes[i], sizeof process->runtimes[i], "%s", path);
        if (!strcmp(process->runtimes[i], path))
            return;
    }
}

static void note_mapping(struct doctor_process *process, const char *path, const char *library)
{
    process->fuseln |= !strcmp(path, library);
    process->dynamic |= is_named(path, "ld-") || is_named(path, "ld.so") || is_named(path, "ld64.so");
    process->libc |= is_named(path, "libc.so.6") || is_named(path, "libc-2");
    if (is_named(path, "libcuda.so"))
        snprintf(process->driver, sizeof process->driver, "%s", path);
    if (is_named(path, "libcudart.so") || is_named(path, "libcudart-"))
        note_runtime(process, path);
}

/* False: there is nothing, or less than all (the process ended meanwhile: the stack, mapped last, is missing). */
static bool read_maps(struct doctor_process *process, const char *library)
{
    size_t size;
    bool whole = false;
    char *maps = read_proc(process->pid, "maps", &size), *rest = maps;
    for (char *line; maps && (line = strsep(&rest, "\n"));) {
        const char *path = strchr(line, '/');
        whole |= strstr(line, "[stack]") != NULL;
        if (path)
            note_mapping(process, path, library);
    }
    free(maps);
    return whole;
}

static bool reads_asked(pid_t pid, const char *library)
{
    size_t size;
    bool asked = false;
    char *variables = read_proc(pid, "environ", &size);
    for (char *entry = variables; variables && entry < variables + size; entry += strlen(entry) + 1)
        asked |= !strncmp(entry, "LD_PRELOAD=", 11) && strstr(entry, library);
    free(variables);
    return asked;
}

static struct doctor_process *record_of(struct doctor_processes *processes, pid_t pid)
{
    for (size_t i = 0; i < processes->count; i++)
        if (processes->list[i].pid == pid)
            return &processes->list[i];
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
 * has a loader and nothing else: it is looked at again. */
static void look_at(struct doctor_processes *processes, pid_t pid, const char *library)
{
    struct doctor_process now = {.pid = pid, .running = true};
    char link[64], own[PATH_MAX];
    snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
    const ssize_t length = readlink(link, now.executable, sizeof now.executable - 1);
    const ssize_t own_length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (length <= 0 || (length == own_length && !memcmp(now.executable, own, (size_t)length)))
        return;
    now.executable[length] = '\0';
    now.asked = reads_asked(pid, library);
    if (!read_maps(&now, library) || (now.dynamic && !now.libc))
        return;
    struct doctor_process *process = record_of(processes, pid);
    if (process)
        *process = now;
}

struct family {
    struct {
        pid_t pid, parent;
    } * list;
    size_t count;
};

static pid_t parent_of(pid_t pid)
{
    size_t size;
    char *text = read_proc(pid, "stat", &size);
    const char *end = text ? strrchr(text, ')') : NULL; /* the name before it may hold anything */
    int parent = 0;
    if (!end || sscanf(end + 1, " %*c %d", &parent) != 1)
        parent = 0;
    free(text);
    return parent;
}

static struct family read_family(void)
{
    struct family family = {0};
    struct dirent *entry;
    DIR *proc = opendir("/proc");
    while (proc && (entry = readdir(proc))) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        if (family.count % 256 == 0) {
            void *more = realloc(family.list, (family.count + 256) * sizeof *family.list);
            if (!more)
                break;
            family.list = more;
        }
        const pid_t pid = atoi(entry->d_name);
        family.list[family.count].parent = parent_of(pid);
        family.list[family.count++].pid = pid;
    }
    if (proc)
        closedir(proc);
    return family;
}

static bool descends(const struct family *family, pid_t pid, pid_t root)
{
    for (unsigned depth = 0; depth < 64 && pid > 1 && pid != root; depth++) {
        pid_t parent = 0;
        for (size_t i = 0; i < family->count && !parent; i++)
            parent = family->list[i].pid == pid ? family->list[i].parent : 0;
        pid = parent;
    }
    return pid == root;
}

void doctor_watch(struct doctor_processes *processes, pid_t root, const char *library)
{
    const struct family family = read_family();
    for (size_t i = 0; i < processes->count; i++)
        processes->list[i].running = false;
    for (size_t i = 0; i < family.count; i++)
        if (descends(&family, family.list[i].pid, root))
            look_at(processes, family.list[i].pid, library);
    free(family.list);
}
