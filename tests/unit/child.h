/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit tests of what a whole process does: they run a body in a forked child, with an environment, and capture its
 * stderr. A process reads the settings once, so each case needs a process of its own; the test program itself never
 * reads them.
 */
#ifndef FUSELN_TESTS_CHILD_H
#define FUSELN_TESTS_CHILD_H

#define TEST(name) TEST_WITH(name, folder_make, folder_remove)
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hooks/process.h"
#include "kernels/host/device.h"

/* As hooks/launch counts a launch of any kernel. */
static inline void count_launch(void)
{
    if (!fuseln_thread_counter.joined)
        fuseln_process_join();
    fuseln_record_launch(FUSELN_BOUNDARY_RUNTIME);
}

/* Instead of kernels/host/context.c: a device that a report can show, although there is no driver. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
__attribute__((weak)) size_t fuseln_device_reports(struct fuseln_device_report *ret_reports, size_t capacity)
{
    ret_reports[0] = (struct fuseln_device_report){.index = 0,
                                                   .name = "Test \"GPU\"",
                                                   .compute_capability = "9.0",
                                                   .driver_version = 12020,
                                                   .image = "sm_90",
                                                   .compiler = "NVRTC 12.0.140",
                                                   .scratch_bytes = 1234567,
                                                   .scratch_wanted = 48 << 20};
    return capacity ? 1 : 0;
}
__attribute__((weak)) void fuseln_context_after_fork(void) {}
__attribute__((weak)) size_t fuseln_context_index(const struct fuseln_context *context)
{
    (void)context;
    return 0;
}
__attribute__((weak)) const struct fuseln_device *fuseln_context_device(const struct fuseln_context *context)
{
    (void)context;
    return NULL;
}
__attribute__((weak)) struct fuseln_context *fuseln_context_current(void)
{
    return NULL;
}
__attribute__((weak)) enum fuseln_verdict fuseln_context_missing(void)
{
    return FUSELN_VERDICT_CONTEXT;
}
#pragma GCC diagnostic pop

static char folder[64];           /* one for each test */
static char stderr_text[1 << 16]; /* of the last child, or what read_file read */

/* Formatted text, valid until eight more have been made. */
static inline char *format(const char *pattern, ...) __attribute__((format(printf, 1, 2)));
static inline char *format(const char *pattern, ...)
{
    static char texts[8][640];
    static unsigned count;
    char *text = texts[count++ % 8];
    va_list arguments;
    va_start(arguments, pattern);
    vsnprintf(text, sizeof *texts, pattern, arguments);
    va_end(arguments);
    return text;
}

static inline int folder_make(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/fuseln-unit-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static inline int folder_remove(void **state)
{
    (void)state;
    return system(format("chmod -R u+w %s; rm -rf %s", folder, folder));
}

static inline void folder_renew(void)
{
    folder_remove(NULL), folder_make(NULL);
}

static inline char *in_folder(const char *name)
{
    return format("%s/%s", folder, name);
}

static inline void make_file(const char *name)
{
    if (close(open(in_folder(name), O_CREAT, 0600)))
        abort();
}

/* Gives up after 5 s. */
static inline void wait_for_file(const char *name)
{
    for (int i = 0; i < 5000 && access(in_folder(name), F_OK); i++)
        usleep(1000);
}

/* The text of a file, "" if there is none. */
static inline char *read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY);
    size_t length = 0;
    for (ssize_t part; fd >= 0 && (part = read(fd, text + length, size - 1 - length)) > 0;)
        length += (size_t)part;
    if (fd >= 0)
        close(fd);
    text[length] = '\0';
    return text;
}

static pid_t child_pid; /* of the last child */

static inline pid_t child_start(void (*body)(void), const char *const *environment)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid != 0)
        return child_pid = pid;
    for (; environment && *environment; environment += 2)
        setenv(environment[0], environment[1], 1);
    int fd = open(in_folder("stderr"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, STDERR_FILENO);
    close(fd);
    body();
    exit(0);
}

/* The exit status of the child, or 256 + the signal that killed it. Its stderr is in stderr_text then. */
static inline int child_end(pid_t pid)
{
    int status = -1;
    waitpid(pid, &status, 0);
    read_file(in_folder("stderr"), stderr_text, sizeof stderr_text);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* environment: name, value, name, value, ..., NULL */
#define child(body, ...)        child_end(child_start(body, (const char *const[]){__VA_ARGS__, NULL}))
#define assert_child(body, ...) assert_int_equal(child(body, __VA_ARGS__), 0)
/* A test whose body runs in a child with that environment. */
#define TEST_IN_CHILD(name, ...)                \
    static void name##_body(void);              \
    TEST(name)                                  \
    {                                           \
        assert_child(name##_body, __VA_ARGS__); \
    }                                           \
    static void name##_body(void)
#define check(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            _exit(9);                                                       \
        }                                                                   \
    } while (0)

/* When a process with threads forks, the sanitizers' own allocator may stay locked in the child. */
#if defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static inline size_t occurrences(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

#endif
