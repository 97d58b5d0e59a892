/*
 * fuseln WORD ...: finds the word and hands the rest over. See command.h.
 */
#include "command.h"

#include "version.h"

#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct word {
    const char *name, *arguments, *help;
    int (*run)(int argc, char **argv);
} words[] = {
#define X(word, arguments, help) {#word, arguments, help, fuseln_command_##word},
    FUSELN_WORDS(X)
#undef X
};

int fuseln_command_fail(const char *name, int code, const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "%s: ", name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return code;
}

static ssize_t write_error(void *unused, const char *text, size_t size)
{
    const char *hint = memmem(text, size, "Try `", 5);
    (void)unused;
    fwrite(text, 1, hint ? (size_t)(hint - text) : size, stderr);
    return (ssize_t)size;
}

FILE *fuseln_command_errors(void)
{
    FILE *errors = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_error});
    if (errors)
        setvbuf(errors, NULL, _IOLBF, BUFSIZ);
    return errors ? errors : stderr;
}

int fuseln_command_library(char *ret_path, size_t size)
{
    static const char *const places[] = {"libfuseln.so", "../lib/libfuseln.so", "../lib64/libfuseln.so"};
    char own[PATH_MAX], path[PATH_MAX + 32], *slash;
    const ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (length <= 0)
        return 0;
    own[length] = '\0';
    slash = strrchr(own, '/');
    slash[1] = '\0';
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(path, sizeof path, "%s%s", own, places[i]);
        char *found = realpath(path, NULL);
        const int fits = found && strlen(found) < size;
        if (fits)
            strcpy(ret_path, found);
        free(found);
        if (fits)
            return 1;
    }
    return 0;
}

int fuseln_command_folder_make(char *ret_path, size_t size)
{
    const char *temporary = getenv("TMPDIR");
    snprintf(ret_path, size, "%s/fuseln-XXXXXX", temporary && *temporary ? temporary : "/tmp");
    return mkdtemp(ret_path) != NULL;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)type, (void)place;
    return remove(path);
}

void fuseln_command_folder_remove(const char *path)
{
    nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void print_help(void)
{
    puts("Usage: fuseln WORD [OPTION...] ...\n"
         "Layer norms of unmodified CUDA programs on fused kernels: LD_PRELOAD=libfuseln.so, and what goes with it.\n");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        printf("  %-8s %-46s %s\n", words[i].name, words[i].arguments, words[i].help);
    puts("\nfuseln WORD --help tells more. Exit codes: 0; 1 could not be done; 2 wrong usage or input;\n"
         "run: the program's own.");
}

int main(int argc, char **argv)
{
    static char name[32];
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_help();
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("fuseln " FUSELN_VERSION " (" FUSELN_COMMIT ")");
        return 0;
    }
    for (size_t i = 0; argc > 1 && i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(argv[1], words[i].name) != 0)
            continue;
        snprintf(name, sizeof name, "fuseln %s", words[i].name);
        argv[1] = name;
        program_invocation_name = name;
        argp_err_exit_status = EXIT_USAGE;
        return words[i].run(argc - 1, argv + 1);
    }
    return fuseln_command_fail("fuseln", EXIT_USAGE, "%s%s: say one of run, report, scan, doctor, or --help",
                               argc > 1 ? "unknown word " : "no word", argc > 1 ? argv[1] : "");
}
