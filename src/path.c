/*
 * Path templates (path.h). An unset variable gives no text and an unknown % stays, so that a report is written in
 * any case; what was wrong is handed back as one line for the user.
 */
#include "path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

const char *fuseln_path_rank(void)
{
    static const char *const names[] = {"RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID"};
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
    char link[FUSELN_PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", link, sizeof link - 1);
    link[length < 0 ? 0 : length] = '\0';
    const char *slash = strrchr(link, '/');
    snprintf(ret_name, size, "%s", slash ? slash + 1 : program_invocation_short_name);
}

struct expansion {
    char *path, *complaint;
    size_t used;
    bool too_long;
};

static void append(struct expansion *to, const char *text, size_t length)
{
    if (to->used + length >= FUSELN_PATH_MAX) {
        to->too_long = true;
        return;
    }
    memcpy(to->path + to->used, text, length);
    to->used += length;
}

static void complain(struct expansion *to, const char *format, int length, const char *what)
{
    if (to->complaint && !*to->complaint)
        snprintf(to->complaint, FUSELN_COMPLAINT_MAX, format, length, what);
}

/* %q{NAME}; text stands behind the %. Returns how much of it was read, 0 if it is not that. */
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
        complain(to, "the variable %.*s is not set, nothing stands in its place", length, name);
    append(to, value ? value : "", value ? strlen(value) : 0);
    return (size_t)length + 3;
}

/* What stands behind a %. Returns how much of it was read. */
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
    append(to, value, strlen(value));
    return 1;
}

int fuseln_path_expand(const char *path_template, char ret_path[FUSELN_PATH_MAX],
                       char ret_complaint[FUSELN_COMPLAINT_MAX])
{
    char path[FUSELN_PATH_MAX];
    struct expansion to = {.path = path, .complaint = ret_complaint};
    if (ret_complaint)
        *ret_complaint = '\0';
    for (const char *text = path_template; *text;) {
        size_t plain = strcspn(text, "%");
        append(&to, text, plain);
        text += plain;
        if (*text == '%') {
            text++;
            text += expand_one(&to, text);
        }
    }
    path[to.used] = '\0';
    const char *folder = path[0] == '/' ? "" : fuseln_config_get()->folder;
    if (to.too_long || strlen(folder) + 1 + to.used >= FUSELN_PATH_MAX)
        return -ENAMETOOLONG;
    snprintf(ret_path, FUSELN_PATH_MAX, "%s%s%.*s", folder, *folder ? "/" : "", (int)to.used, path);
    return 0;
}
