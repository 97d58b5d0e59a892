/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuseln scan FILE...: which known kernels a library, an executable, a cubin, a wheel or a folder holds. See scan.h.
 */
#include "tools/fuseln/scan.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPTION_SYMBOLS = 's', OPTION_JSON = 'j' };

static const struct argp_option options[] = {
    {"symbols", OPTION_SYMBOLS, NULL, 0, "also print the mangled name of each kernel", 0},
    {"json", OPTION_JSON, NULL, 0, "print one JSON document instead of text", 0},
    {0},
};

static const char documentation[] =
    "Print which layer-norm and RMS-norm kernels that fuseln can replace are in each FILE: a shared library, an "
    "executable, a cubin, a wheel, or a folder, with all libraries and wheels below it (symbolic links there are not "
    "followed). Nothing is loaded or run, and no GPU is needed."
    "\vFor each file that holds one: its build-id (\"known\": this project tested this build; \"not tested\": the "
    "names match, but no one tried), how the CUDA runtime is linked (\"shared\": launches are seen at that library; "
    "\"static\": it is inside, and launches are seen at the driver; \"none seen\": another library launches, or it is "
    "opened at run time), and how many kernels match each target. A target's name, its op and its dtype are words of "
    "FUSELN_SKIP.\n\n"
    "Names are read where the CUDA runtime gets them from, uncompressed, and from uncompressed cubins. A wheel's "
    "libraries are unpacked one at a time into TMPDIR (or /tmp): no more than 4 GiB each, and in all no more than 100 "
    "times the wheel's size (but 16 MiB).\n\n"
    "Exit code: 0, also where nothing was found; 2 if a FILE is none of these, is broken or cannot be read, in one "
    "line each, after all the others.";

static bool has_magic(int fd, const char *magic, size_t size)
{
    char bytes[8];
    return pread(fd, bytes, size, 0) == (ssize_t)size && memcmp(bytes, magic, size) == 0;
}

bool scan_descriptor(struct scan *scan, int fd, const char *path, bool named)
{
    struct stat status;
    struct scan_elf elf;

    if (!has_magic(fd, ELFMAG, SELFMAG) || fstat(fd, &status))
        return false;
    void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) {
        scan_fail(scan, path, "cannot be mapped: %s", strerror(errno));
        return true;
    }
    const char *wrong = scan_elf_read(bytes, (size_t)status.st_size, &elf);
    scan->elf_files += !wrong;
    if (wrong) {
        if (named || wrong != scan_foreign)
            scan_fail(scan, path, "%s", wrong);
    } else {
        scan->holding += elf.known > 0;
        scan->kernels += elf.known;
        if (named || elf.known || elf.others)
            scan_print_file(scan, path, &elf);
        scan_elf_free(&elf);
    }
    munmap(bytes, (size_t)status.st_size);
    return true;
}

static bool is_named_wheel(const char *path)
{
    const size_t length = strlen(path);
    return length > 4 && strcmp(path + length - 4, ".whl") == 0;
}

/* A regular file: ELF, or zip (in a folder: a wheel by name, as checkpoints are zip archives too). False: neither. */
static bool scan_open_file(struct scan *scan, int fd, const char *path, bool named)
{
    const struct scan before = *scan;

    if (scan_descriptor(scan, fd, path, named))
        return true;
    if (!has_magic(fd, "PK\3\4", 4) || !(named || is_named_wheel(path)))
        return false;
    scan_wheel(scan, fd, path);
    if (named && scan->holding == before.holding && scan->failures == before.failures)
        scan_print_nothing(scan, path, scan->elf_files - before.elf_files);
    return true;
}

static void scan_file(struct scan *scan, const char *path, bool named)
{
    struct stat status;
    /* O_NONBLOCK: whatever it has become since it was looked at, opening it does not wait. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (named ? 0 : O_NOFOLLOW));

    if (fd < 0) {
        scan_fail(scan, path, "%s", strerror(errno));
        return;
    }
    if (!(fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && scan_open_file(scan, fd, path, named)) && named)
        scan_fail(scan, path, "neither an ELF file, a wheel nor a folder");
    close(fd);
}

static int by_name(const FTSENT **left, const FTSENT **right)
{
    return strcmp((*left)->fts_name, (*right)->fts_name);
}

static void scan_folder(struct scan *scan, char *path)
{
    const struct scan before = *scan;
    char *paths[] = {path, NULL};
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
    FTSENT *entry;

    if (!tree) {
        scan_fail(scan, path, "%s", strerror(errno));
        return;
    }
    while ((entry = fts_read(tree))) {
        if (entry->fts_info == FTS_F)
            scan_file(scan, entry->fts_path, false);
        else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
            scan_fail(scan, entry->fts_path, "%s", strerror(entry->fts_errno));
    }
    fts_close(tree);
    if (scan->holding == before.holding && scan->failures == before.failures)
        scan_print_nothing(scan, path, scan->elf_files - before.elf_files);
}

static void scan_named(struct scan *scan, char *path)
{
    struct stat status;

    if (stat(path, &status))
        scan_fail(scan, path, "%s", strerror(errno));
    else if (S_ISDIR(status.st_mode))
        scan_folder(scan, path);
    else if (S_ISREG(status.st_mode))
        scan_file(scan, path, true);
    else
        scan_fail(scan, path, "neither an ELF file, a wheel nor a folder");
}

/* Another process cut off the file that is being read: what was found before is printed already. */
static void on_bus_error(int signal)
{
    static const char text[] = "fuseln scan: a file became shorter while it was read\n";
    const ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)signal;
    (void)written;
    _exit(EXIT_USAGE);
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct scan *scan = state->input;
    (void)argument;

    switch (key) {
    case ARGP_KEY_INIT:
        state->err_stream = NULL; /* getopt has said in one line what is wrong */
        return 0;
    case OPTION_SYMBOLS:
        scan->symbols = true;
        return 0;
    case OPTION_JSON:
        scan->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int fuseln_command_scan(int argc, char **argv)
{
    static const struct argp argp = {options, parse_option, "FILE...", documentation, NULL, NULL, NULL};
    struct scan scan = {.name = argv[0]};
    int first = argc;

    if (argp_parse(&argp, argc, argv, 0, &first, &scan))
        return EXIT_USAGE;
    if (first == argc)
        return fuseln_command_fail(argv[0], EXIT_USAGE, "no FILE: name a library, a wheel or a folder (--help)");
    scan.files = scan.json ? json_array() : NULL;
    scan.errors = scan.json ? json_array() : NULL;
    signal(SIGBUS, on_bus_error);
    for (int i = first; i < argc; i++)
        scan_named(&scan, argv[i]);
    scan_print_end(&scan);
    return scan.failures ? EXIT_USAGE : 0;
}
