/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `fuseln run` and `fuseln doctor` need to start a program with fuseln: the library, a folder for its reports, and
 * the signals as they would be without us (command.h).
 */
#include "tools/fuseln/command.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REPORT_BYTES_MAX = 1000 }; /* of the folder of a report: FUSELN_REPORT takes 1,023 */

bool fuseln_start_library(char ret_path[PATH_MAX])
{
    static const char *const candidates[] = {"libfuseln.so", FUSELN_LIB_FROM_BIN "/libfuseln.so",
                                             "../lib/libfuseln.so"};
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

bool fuseln_start_can_preload(const char *path)
{
    return !strpbrk(path, " :$");
}

void fuseln_start_set_preload(const char *library)
{
    const char *old = getenv("LD_PRELOAD");
    char *list;
    old = old ? old : "";
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

/* A % in its path would begin a placeholder (base/path.h). */
bool fuseln_start_folder(char ret_path[PATH_MAX])
{
    const char *const candidates[] = {getenv("TMPDIR"), "/tmp"};
    char report[PATH_MAX + 16];
    for (size_t i = 0; i < 2; i++) {
        char *parent = candidates[i] && *candidates[i] ? realpath(candidates[i], NULL) : NULL;
        const int length =
            parent && !strchr(parent, '%') ? snprintf(ret_path, PATH_MAX, "%s/fuseln-XXXXXX", parent) : -1;
        free(parent);
        if (length < 0 || length > REPORT_BYTES_MAX || !mkdtemp(ret_path))
            continue;
        snprintf(report, sizeof report, "%s/%%p.json", ret_path);
        return setenv("FUSELN_REPORT", report, 1) == 0;
    }
    return false;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *position)
{
    (void)status, (void)type, (void)position;
    return remove(path);
}

void fuseln_start_remove(const char *folder)
{
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- signals ---- */

static sigset_t found_mask;
static struct sigaction found_child;

void fuseln_start_signals(void)
{
    sigprocmask(SIG_SETMASK, NULL, &found_mask);
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL}, &found_child);
}

/* In the child. The pipe tells the parent why exec failed; it closes by itself when exec succeeds. */
static void execute(char **program, bool output_to_stderr, int pipe_end)
{
    sigaction(SIGCHLD, &found_child, NULL);
    sigprocmask(SIG_SETMASK, &found_mask, NULL);
    if (output_to_stderr)
        dup2(STDERR_FILENO, STDOUT_FILENO);
    execvp(program[0], program);
    const int error = errno;
    _exit(write(pipe_end, &error, sizeof error) != sizeof error);
}

int fuseln_start(char **program, bool output_to_stderr, pid_t *ret_child)
{
    int ends[2], error = 0;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0)
        execute(program, output_to_stderr, ends[1]);
    if (child < 0)
        error = errno;
    close(ends[1]);
    if (child > 0 && read(ends[0], &error, sizeof error) > 0)
        waitpid(child, NULL, 0);
    close(ends[0]);
    *ret_child = child;
    return error;
}

int fuseln_start_end_by(int signal_number)
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
