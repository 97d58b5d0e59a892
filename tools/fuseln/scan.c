/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuseln scan FILE...: which known kernels a library, an executable, a cubin, a wheel or a folder holds. See scan.h.
 * A wheel is a zip archive: each ELF file in it is unpacked block by block to a file whose name is removed at once (so
 * that it goes away however this ends), scanned, and closed before the next.
 */
#include "tools/fuseln/scan.h"

#include "base/output.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* On a terminal: how far it has come, so many bytes into this file. */
static void show(const struct scan *scan, const char *path, double inside)
{
    if (scan->bytes > 0)
        fuseln_bar(fmin((scan->bytes_read + inside) / scan->bytes, 1), basename(path));
}

/* Scans an ELF file, and prints it if it holds a kernel or was named. False: it is not an ELF file. */
static bool scan_elf_file(struct scan *scan, struct part file, const char *path, bool named)
{
    struct scan_elf elf;
    const char *wrong = scan_elf_read(file.bytes, file.size, scan->rows, &elf);
    if (!wrong) {
        scan->elf_files++;
        scan->holding += elf.kernel_count > 0;
        scan->kernels += elf.kernel_count;
        if (scan->rows)
            scan_rows_print(path, &elf, &scan->row_count);
        else if (named || elf.kernel_count)
            scan_print_file(scan, path, &elf);
        scan_elf_free(&elf);
    } else if (wrong != fuseln_elf_none && (named || wrong != fuseln_elf_foreign)) {
        scan_fail(scan, path, "%s", wrong);
    }
    return wrong != fuseln_elf_none;
}

/* ---- wheels ---- */

/* Limits against a file made to fill the disk: a library is compressed to about a third, never to a hundredth, and none
 * is larger than 4 GiB, as its code could not reach further. */
enum { UNPACKED_MIN = 16 << 20, UNPACKED_RATIO = 100 };
static const la_int64_t member_max = (la_int64_t)4 << 30;

/* An empty file without a name; -1 with errno. */
static int open_temporary(const char *folder)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/fuseln-scan-XXXXXX", folder) >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    const int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

/* A library inside a wheel. */
struct member {
    struct archive *archive;
    const char *path; /* "WHEEL:NAME" */
    la_int64_t size;  /* as its header says */
    la_int64_t *left; /* bytes that may still come out of the wheel; below 0: too many did */
    int fd;           /* where it is unpacked; -1 before the first block */
};

/* False: failed, and said so. */
static bool unpack_block(struct scan *scan, struct member *member, const void *block, size_t size, la_int64_t end)
{
    const char *tmpdir = getenv("TMPDIR"), *folder = tmpdir && *tmpdir ? tmpdir : "/tmp";
    *member->left -= (la_int64_t)size;
    if (*member->left < 0 || member->size > member_max || end > member_max) {
        scan_fail(scan, member->path, "not unpacked to its end: %s",
                  *member->left < 0 ? "what is in the wheel is more than a hundred times its size"
                                    : "it is larger than 4 GiB");
        return false;
    }
    if (member->fd < 0)
        member->fd = open_temporary(folder);
    const int error = member->fd < 0 ? errno : -fuseln_write(member->fd, block, size, FUSELN_WRITE_FILE);
    if (error)
        scan_fail(scan, member->path, "cannot unpack it into %s (TMPDIR names another folder): %s", folder,
                  strerror(error));
    return !error;
}

/* Unpacks the member if it is an ELF file. False: failed, and said so. */
static bool unpack(struct scan *scan, struct member *member)
{
    const void *block;
    size_t size;
    la_int64_t offset;
    int result;

    while ((result = archive_read_data_block(member->archive, &block, &size, &offset)) >= ARCHIVE_WARN &&
           result != ARCHIVE_EOF) {
        show(scan, member->path, (double)archive_filter_bytes(member->archive, -1));
        if (size == 0)
            continue;
        if (member->fd < 0 && (size < SELFMAG || memcmp(block, ELFMAG, SELFMAG) != 0))
            return true;
        if (!unpack_block(scan, member, block, size, offset + (la_int64_t)size))
            return false;
    }
    if (result != ARCHIVE_EOF)
        scan_fail(scan, member->path, "cannot be unpacked: %s", archive_error_string(member->archive));
    return result == ARCHIVE_EOF;
}

static void scan_member(struct scan *scan, struct archive *archive, struct archive_entry *entry, const char *wheel,
                        la_int64_t *left)
{
    const char *name = archive_entry_pathname(entry);

    if (archive_entry_filetype(entry) != AE_IFREG)
        return;
    if (!name)
        name = archive_entry_pathname_utf8(entry);
    char *path = fuseln_text("%s:%s", wheel, name ? name : "(unnamed)");
    struct member member = {archive, path, archive_entry_size(entry), left, -1};
    struct part file;
    const bool unpacked = unpack(scan, &member) && member.fd >= 0;
    if (unpacked && fuseln_elf_map(member.fd, &file)) {
        scan_elf_file(scan, file, path, false);
        fuseln_elf_unmap(file);
    } else if (unpacked) {
        scan_fail(scan, path, "cannot be mapped: %s", strerror(errno));
    }
    if (member.fd >= 0)
        close(member.fd);
    free(path);
}

static void scan_wheel(struct scan *scan, struct part file, const char *path)
{
    struct archive *archive = archive_read_new();
    struct archive_entry *entry;
    la_int64_t left = file.size > UNPACKED_MIN / UNPACKED_RATIO ? (la_int64_t)file.size * UNPACKED_RATIO : UNPACKED_MIN;
    int result = ARCHIVE_FATAL;

    if (archive && archive_read_support_format_zip(archive) == ARCHIVE_OK &&
        archive_read_open_memory(archive, file.bytes, file.size) == ARCHIVE_OK)
        while (left >= 0 && (result = archive_read_next_header(archive, &entry)) >= ARCHIVE_WARN &&
               result != ARCHIVE_EOF)
            scan_member(scan, archive, entry, path, &left);
    if (left >= 0 && result != ARCHIVE_EOF)
        scan_fail(scan, path, "broken wheel: %s", archive ? archive_error_string(archive) : "out of memory");
    archive_read_free(archive);
}

/* ---- files and folders ---- */

static const char not_ours[] = "neither an ELF file, a wheel nor a folder";

/* Scans a wheel. False: it is none. In a folder only what is called .whl is one, as checkpoints are zip archives too.
 */
static bool scan_zip(struct scan *scan, struct part file, const char *path, bool named)
{
    const char *dot = strrchr(path, '.');

    if (!(named || (dot && strcmp(dot, ".whl") == 0)) || file.size < 4 || memcmp(file.bytes, "PK\3\4", 4) != 0)
        return false;
    scan->many = true;
    scan_wheel(scan, file, path);
    return true;
}

static void scan_file(struct scan *scan, const char *path, bool named)
{
    struct part file;
    /* O_NONBLOCK: should it be a pipe by now, opening it does not wait. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (named ? 0 : O_NOFOLLOW));
    const bool mapped = fd >= 0 && fuseln_elf_map(fd, &file);

    show(scan, path, 0);
    if (!mapped && errno != ENOEXEC)
        scan_fail(scan, path, "%s", strerror(errno));
    else if (!(mapped && (scan_elf_file(scan, file, path, named) || scan_zip(scan, file, path, named))) && named)
        scan_fail(scan, path, "%s", not_ours);
    if (mapped) {
        scan->bytes_read += (double)file.size;
        fuseln_elf_unmap(file);
    }
    if (fd >= 0)
        close(fd);
}

static void scan_entry(struct scan *scan, const FTSENT *entry)
{
    const bool named = entry->fts_level == FTS_ROOTLEVEL;
    const int info = entry->fts_info;
    if (info == FTS_F || (named && info == FTS_SLNONE)) /* a link to nothing: open() says why */
        scan_file(scan, entry->fts_path, named);
    else if (named && info == FTS_DEFAULT)
        scan_fail(scan, entry->fts_path, "%s", not_ours);
    else if (info == FTS_DNR || info == FTS_ERR || info == FTS_NS)
        scan_fail(scan, entry->fts_path, "%s", strerror(entry->fts_errno));
}

static int by_name(const FTSENT **left, const FTSENT **right)
{
    return strcmp((*left)->fts_name, (*right)->fts_name);
}

static FTS *open_tree(char *path)
{
    return fts_open((char *[]){path, NULL}, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
}

static double size_of(char *path)
{
    double bytes = 0;
    FTS *tree = open_tree(path);
    for (FTSENT *entry; tree && (entry = fts_read(tree));)
        bytes += entry->fts_info == FTS_F ? (double)entry->fts_statp->st_size : 0;
    if (tree)
        fts_close(tree);
    return bytes;
}

/* A file, or all that is in a folder or wheel. */
static void scan_named(struct scan *scan, char *path)
{
    const size_t files = scan->elf_files, holding = scan->holding, failures = scan->failures;
    FTS *tree = open_tree(path);

    scan->many = false;
    if (!tree)
        scan_fail(scan, path, "%s", strerror(errno));
    for (FTSENT *entry; tree && (entry = fts_read(tree));) {
        scan->many |= entry->fts_info == FTS_D;
        scan_entry(scan, entry);
    }
    if (tree)
        fts_close(tree);
    if (!scan->rows && scan->many && scan->holding == holding && scan->failures == failures)
        scan_print_nothing(scan, path, scan->elf_files - files);
}

/* Another process truncated the file that we read. What was found before is printed already. */
static void on_bus_error(int signal)
{
    static const char text[] = "fuseln scan: a file became shorter while it was read\n";
    const ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)signal;
    (void)written;
    _exit(EXIT_USAGE);
}

static int run(const struct fuseln_given *given)
{
    struct scan scan = {.json = given->option['j'], .symbols = given->option['s'], .rows = given->option['r']};
    scan.files = scan.json ? json_array() : NULL;
    scan.errors = scan.json ? json_array() : NULL;
    signal(SIGBUS, on_bus_error);
    for (int i = 0; i < given->count && isatty(STDERR_FILENO); i++)
        scan.bytes += size_of(given->words[i]);
    for (int i = 0; i < given->count; i++)
        scan_named(&scan, given->words[i]);
    if (!scan.rows)
        scan_print_end(&scan);
    else if (!scan.row_count)
        fuseln_say(stdout, "# no layer or RMS norm by its name, but those that fuseln has rows for");
    return scan.failures ? EXIT_USAGE : 0;
}

static const struct argp_option options[] = {
    {"symbols", 's', NULL, 0, "Also print the mangled name of each kernel", 0},
    {"json", 'j', NULL, 0, "Print one JSON document instead of text", 0},
    {"rows", 'r', NULL, 0, "Print the beginning of a row for each other norm, for FUSELN_TARGETS", 0},
    {0}};
const struct fuseln_command fuseln_command_scan = {
    .name = "scan",
    .help = "which layer-norm kernels a library, wheel or folder holds",
    .arguments = "FILE...",
    .doc =
        "Print which layer-norm and RMS-norm kernels that fuseln can replace are in each FILE: a shared library, an "
        "executable, a cubin, a wheel, or a folder, with all libraries and wheels below it (symbolic links there "
        "are not followed). Nothing is loaded or run, and no GPU is needed."
        "\vFor each file that holds one: its build-id (\"known\": this project tested this build; \"not tested\": "
        "the names match, but no one tried), how the CUDA runtime is linked (\"shared\": launches are seen at that "
        "library; \"static\": it is inside, and launches are seen at the driver; \"none seen\": another library "
        "launches, or it is opened at run time), and how many kernels match each target. A target's name, its op "
        "and its dtype are words of FUSELN_SKIP.\n\n"
        "Names are read where the CUDA runtime gets them from, uncompressed, and from uncompressed cubins. A "
        "wheel's libraries are unpacked one at a time into TMPDIR (or /tmp): no more than 4 GiB each, and in all no "
        "more than 100 times the wheel's size (but at least 16 MiB).\n\n"
        "--rows prints, instead of all this, a row to be filled in for each kernel that is a layer or RMS norm by its "
        "name and that fuseln has no row for: its symbol, and what the name and the cubin tell of its arguments. "
        "FUSELN_TARGETS reads such rows once they say what the arguments mean.\n\n"
        "Exit code: 0, also where nothing was found; 2 if a FILE is none of these, is broken or cannot be read: one "
        "line on stderr each, and the others are scanned.",
    .options = options,
    .missing = "no FILE: name a library, a wheel or a folder (--help)",
    .run = run,
};
