/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command's output (command.h). Anybody may have made the reports, files and variables whose text we print, and the
 * terminal is the user's: whatever a line is made of, it is one line that does not control the terminal or change the
 * order in which it is read.
 */
#include "tools/fuseln/command.h"

#include "base/clean.h"

#include <errno.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

char *fuseln_vtext(const char *format, va_list arguments)
{
    char *text;
    if (vasprintf(&text, format, arguments) < 0) {
        fputs("fuseln: out of memory\n", stderr);
        exit(1);
    }
    fuseln_clean(text);
    return text;
}

char *fuseln_text(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = fuseln_vtext(format, arguments);
    va_end(arguments);
    return text;
}

json_t *fuseln_text_json(const char *text)
{
    char *cleaned = fuseln_text("%s", text);
    json_t *json = json_string(cleaned);
    free(cleaned);
    return json;
}

int fuseln_write_error(const char *path)
{
    char target[PATH_MAX];
    struct stat file;
    if (stat(path, &file) != 0) {
        if (errno != ENOENT || !*path)
            return errno;
        strcpy(target, path);
    } else if (!S_ISREG(file.st_mode)) {
        return S_ISDIR(file.st_mode) ? EISDIR : access(path, W_OK) ? errno : 0;
    } else if (!realpath(path, target)) {
        return errno;
    }
    return access(dirname(target), W_OK | X_OK) ? errno : 0;
}

static bool bar_is_shown;

static void erase_bar(void)
{
    if (bar_is_shown)
        fputs("\r\033[K", stderr);
    bar_is_shown = false;
}

void fuseln_bar(double share, const char *what)
{
    static long long drawn_ms;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const long long now_ms = now.tv_sec * 1000LL + now.tv_nsec / 1000000;
    if (now_ms < drawn_ms + 100)
        return;
    char *line =
        fuseln_text("[%-24.*s] %3.0f %%  %.44s", (int)(24 * share), "########################", 100 * share, what);
    fflush(stdout); /* what was said before the bar stands above it */
    fprintf(stderr, "\r%s\033[K", line);
    free(line);
    drawn_ms = now_ms;
    bar_is_shown = true;
}

void fuseln_say(FILE *out, const char *format, ...)
{
    erase_bar();
    va_list arguments;
    va_start(arguments, format);
    char *line = fuseln_vtext(format, arguments);
    va_end(arguments);
    fprintf(out, "%s\n", line);
    free(line);
}

int fuseln_fail(int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *message = fuseln_vtext(format, arguments);
    va_end(arguments);
    fflush(stdout);
    fuseln_say(stderr, "%s: %s", program_invocation_name, message);
    free(message);
    return code;
}

/* jansson escapes every control character but one, delete. */
static int write_json(const char *text, size_t size, void *unused)
{
    (void)unused;
    for (size_t i = 0; i < size; i++)
        if ((text[i] == 0x7f ? fputs("\\u007f", stdout) : putchar(text[i])) == EOF)
            return -1;
    return 0;
}

void fuseln_say_json(json_t *document)
{
    if (!document)
        exit(fuseln_fail(1, "out of memory"));
    erase_bar();
    json_dump_callback(document, write_json, NULL, JSON_INDENT(1) | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(document);
}

/* Runs at every exit, that of --help too. */
static void check_output(void)
{
    erase_bar();
    const int failed = fflush(stdout), error = errno;
    if (!failed && !ferror(stdout))
        return;
    fuseln_fail(1, "cannot write: %s", failed ? strerror(error) : "output was lost");
    _exit(1);
}

void fuseln_say_begin(void)
{
    atexit(check_output);
}
