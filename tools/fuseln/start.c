/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `fuseln run` and `fuseln doctor` need to start a program with fuseln: the library, a folder for its reports, and
 * the signals as they would be without us (command.h).
 */
#include "tools/fuseln/command.h"

#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

bool fuseln_command_library(char ret_path[PATH_MAX])
{
    static const char *const candidates[] = {"libfuseln.so", "../lib/libfuseln.so", "../lib64/libfuseln.so"};
    char own[PATH_MAX], path[PATH_MAX + 32], *slash;
    const ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (length <= 0)
        return false;
    own[length] = '\0';
    slash = strrchr(own, '/');
    slash[1] = '\0';
    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
        snprintf(path, sizeof path, "%s%s", own, candidates[i]);
        if (realpath(path, ret_path))
            return true;
    }
    return false;
}

bool fuseln_command_can_preload(const char *path)
{
    return !strpbrk(path, " :$");
}

static bool holds(const char *list, const char *path)
{
    const size_t length = strlen(path);
    for (const char *at = list; (at = strstr(at, path)); at += length)
        if ((at == list || strchr(": ", at[-1])) && strchr(": ", at[length]))
            return true;
    return false;
}

void fuseln_command_set_preload(const char *library)
{
    const char *old = getenv("LD_PRELOAD");
    char *list;
    old = old ? old : "";
    if (holds(old, library))
        return;
    const size_t first = strcspn(old, ": ");
    const char *asan = strstr(old, "asan");
    const int size = asan && (size_t)(asan - old) < first
                         ? asprintf(&list, "%.*s:%s%s", (int)first, old, library, old + first)
                         : asprintf(&list, "%s%s%s", library, *old ? ":" : "", old);
    if (size < 0)
        return;
    setenv("LD_PRELOAD", list, 1);
    free(list);
}

/* ---- a folder for reports ---- */

bool fuseln_command_folder_make(char ret_path[PATH_MAX])
{
    const char *const candidates[] = {getenv("TMPDIR"), "/tmp"};
    for (size_t i = 0; i < 2; i++) {
        char *parent = candidates[i] && *candidates[i] ? realpath(candidates[i], NULL) : NULL;
        const int length = parent ? snprintf(ret_path, PATH_MAX, "%s/fuseln-XXXXXX", parent) : PATH_MAX;
        free(parent);
        if (length < PATH_MAX / 2 && mkdtemp(ret_path)) /* names of reports are appended to it */
            return true;
    }
    return false;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *position)
{
    (void)status, (void)type, (void)position;
    return remove(path);
}

void fuseln_command_folder_remove(const char *path)
{
    nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

char *fuseln_command_report_in(const char *folder)
{
    static const char name[] = "/%p.json";
    char *template = malloc(2 * strlen(folder) + sizeof name), *to = template;
    for (; template && *folder; folder++) {
        if (*folder == '%')
            *to++ = '%';
        *to++ = *folder;
    }
    return template ? strcpy(to, name), template : NULL;
}

/* ---- signals ---- */

static sigset_t found_mask;
static struct sigaction found_child;

void fuseln_command_signals_begin(void)
{
    sigprocmask(SIG_SETMASK, NULL, &found_mask);
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL}, &found_child);
}

void fuseln_command_signals_return(void)
{
    sigaction(SIGCHLD, &found_child, NULL);
    sigprocmask(SIG_SETMASK, &found_mask, NULL);
}

int fuseln_command_end_by(int signal_number)
{
    sigset_t only;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* the program has left its own */
    sigemptyset(&only);
    sigaddset(&only, signal_number);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    return 128 + signal_number;
}
