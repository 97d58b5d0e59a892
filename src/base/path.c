/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See path.h. An unset variable expands to nothing and an unknown % stays as it is, so that a report is written in any
 * case; the complaint tells the user what was wrong.
 */
#include "base/path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *fuseln_path_rank(void)
{
    /* The launchers' own come before Slurm's, which every rank of an mpirun in a batch script inherits as 0. */
    static const char *const names[] = {"RANK",           "OMPI_COMM_WORLD_RANK", "PMIX_RANK",
                                        "PMI_RANK",       "MV2_COMM_WORLD_RANK",  "PALS_RANKID",
                                        "FLUX_TASK_RANK", "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = secure_getenv(names[i]);
        if (value && *value)
            return value;
    }
    return NULL;
}

void fuseln_path_host(char *ret_host, size_t size)
{
    if (gethostname(ret_host, size))
        snprintf(ret_host, size, "localhost");
    ret_host[size - 1] = '\0';
}

void fuseln_path_executable(char *ret_name, size_t size)
{
    char link[1024]; /* not 4 KB: a launch must work on the smallest stack */
    const ssize_t length = readlink("/proc/self/exe", link, sizeof link);
    const bool whole = length >= 0 && (size_t)length < sizeof link;
    link[whole ? length : 0] = '\0';
    const char *slash = strrchr(link, '/');
    snprintf(ret_name, size, "%s", slash ? slash + 1 : program_invocation_short_name);
}

struct expansion {
    char *path, *complaint;
    size_t length, room; /* of path; length exceeds room if it does not fit */
    char first;
};

static void append(struct expansion *to, const char *text, size_t length)
{
    if (length == 0)
        return;
    if (to->length == 0)
        to->first = *text;
    if (to->path && to->length + length <= to->room)
        memcpy(to->path + to->length, text, length);
    to->length += length;
}

/* Only the first complaint counts. */
static void complain(struct expansion *to, const char *format, int length, const char *what)
{
    if (to->complaint && !*to->complaint)
        snprintf(to->complaint, FUSELN_COMPLAINT_MAX, format, length, what);
}

/* A value is part of a file name and cannot lead into another folder, neither by a slash nor by dots. Only a variable
 * that begins the template may name a folder. */
static void append_value(struct expansion *to, const char *value, const char *what, int what_length)
{
    const size_t length = strlen(value);
    const bool dots = length > 0 && strspn(value, ".") == length;
    if (to->length == 0 && *what == 'q') {
        append(to, value, length);
        return;
    }
    for (size_t i = 0; i < length; i++)
        append(to, value[i] == '/' || dots ? "_" : value + i, 1);
    if (dots || memchr(value, '/', length))
        complain(to, "%%%.*s would lead into another folder, each / or dot of it becomes _", what_length, what);
}

/* Expands %q{NAME}; text starts after the %. Returns how many characters of it were consumed, 0 if it is something
 * else. */
static size_t expand_variable(struct expansion *to, const char *text)
{
    const char *end = strncmp(text, "q{", 2) ? NULL : strchr(text, '}');
    char name[128];
    if (!end || (size_t)(end - text) - 2 >= sizeof name)
        return 0;
    int length = (int)(end - text) - 2;
    snprintf(name, sizeof name, "%.*s", length, text + 2);
    const char *value = secure_getenv(name);
    if (!value)
        complain(to, "the variable %.*s is not set and expands to nothing", length, name);
    append_value(to, value ? value : "", text, length + 3);
    return (size_t)length + 3;
}

/* Expands one escape; text starts after its %. Returns how many characters were consumed. */
static size_t expand_one(struct expansion *to, const char *text)
{
    char value[256] = "";
    switch (*text) {
    case 'p':
        snprintf(value, sizeof value, "%d", (int)getpid());
        break;
    case 'h':
        fuseln_path_host(value, sizeof value);
        break;
    case 'e':
        fuseln_path_executable(value, sizeof value);
        break;
    case 'r':
        snprintf(value, sizeof value, "%s", fuseln_path_rank() ? fuseln_path_rank() : "0");
        break;
    case '%':
        value[0] = '%';
        break;
    default: {
        size_t length = expand_variable(to, text);
        if (length == 0) {
            complain(to, "%%%.*s is not known (known: %%p %%h %%r %%e %%q{NAME} %%%%), it stays as it is", 1, text);
            append(to, "%", 1);
        }
        return length;
    }
    }
    append_value(to, value, text, 1);
    return 1;
}

static void expand(struct expansion *to, const char *path_template)
{
    while (*path_template) {
        const size_t plain = strcspn(path_template, "%");
        append(to, path_template, plain);
        path_template += plain;
        if (*path_template == '%') {
            path_template++;
            path_template += expand_one(to, path_template);
        }
    }
}

/* Measures first, so that a path that is too long changes nothing, and no second path is needed on the stack. */
int fuseln_path_expand(const char *path_template, const char *folder, char ret_path[FUSELN_PATH_MAX],
                       char ret_complaint[FUSELN_COMPLAINT_MAX])
{
    struct expansion measured = {.complaint = ret_complaint}, to = {0};
    if (ret_complaint)
        *ret_complaint = '\0';
    expand(&measured, path_template);
    folder = measured.first == '/' ? "" : folder;
    const size_t before = *folder ? strlen(folder) + 1 : 0;
    if (before + measured.length >= FUSELN_PATH_MAX)
        return -ENAMETOOLONG;
    if (!ret_path)
        return 0;
    if (before)
        snprintf(ret_path, FUSELN_PATH_MAX, "%s/", folder);
    to.path = ret_path + before;
    to.room = measured.length;
    expand(&to, path_template);
    if (to.length > to.room) /* the environment has changed in between */
        return -ENAMETOOLONG;
    to.path[to.length] = '\0';
    return 0;
}
