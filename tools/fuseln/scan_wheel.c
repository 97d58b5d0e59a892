/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See scan.h. A wheel is a zip archive: each ELF file in it is unpacked, block by block, to a file that has no name any
 * more (so it goes away however this ends), scanned, and closed before the next.
 */
#include "tools/fuseln/scan.h"

#ifdef FUSELN_ARCHIVE

#include <archive.h>
#include <archive_entry.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK_BYTES = 1 << 20 };

/* So much may come out of a wheel: a library is compressed to a third or less, never to a hundredth, and none is of
 * more than 4 GiB, which is as far as its code could reach. A file made to fill the disk is not unpacked further. */
enum { UNPACKED_MIN = 16 << 20, UNPACKED_RATIO = 100 };
static const la_int64_t member_max = (la_int64_t)4 << 30;

static const char *temporary_folder(void)
{
    const char *folder = getenv("TMPDIR");
    return folder && folder[0] ? folder : "/tmp";
}

/* An empty file without a name, or -1 with errno. */
static int open_temporary(void)
{
    char path[PATH_MAX];

    if ((size_t)snprintf(path, sizeof path, "%s/fuseln-scan-XXXXXX", temporary_folder()) >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    const int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

static bool write_at(int fd, const char *bytes, size_t size, off_t offset)
{
    while (size) {
        const ssize_t n = pwrite(fd, bytes, size, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        size -= (size_t)n;
        offset += n;
    }
    return true;
}

struct wheel {
    struct archive *archive;
    const char *path;
    la_int64_t left; /* bytes that may still come out of it; below 0: it is given up */
};

struct member {
    struct wheel *wheel;
    const char *path;
    la_int64_t size; /* as its header says; 0 where it does not */
    int fd;          /* -1 until the first block was seen to be that of an ELF file */
};

/* False: said what is wrong. */
static bool unpack_block(struct scan *scan, struct member *member, const void *block, size_t size, off_t offset)
{
    member->wheel->left -= (la_int64_t)size;
    if (member->wheel->left < 0 || member->size > member_max || offset > member_max - (la_int64_t)size) {
        scan_fail(scan, member->path, "not unpacked to its end: %s",
                  member->wheel->left < 0 ? "what is in the wheel is more than a hundred times its size"
                                          : "it is larger than 4 GiB");
        return false;
    }
    if (member->fd < 0)
        member->fd = open_temporary();
    if (member->fd >= 0 && write_at(member->fd, block, size, offset))
        return true;
    scan_fail(scan, member->path, "cannot unpack it into %s (TMPDIR names another folder): %s", temporary_folder(),
              strerror(errno));
    return false;
}

/* The member's data, to member->fd; stops at once if it is no ELF file. False: said what is wrong. */
static bool unpack(struct scan *scan, struct member *member)
{
    const void *block;
    size_t size;
    la_int64_t offset;
    int result;

    while ((result = archive_read_data_block(member->wheel->archive, &block, &size, &offset)) >= ARCHIVE_WARN &&
           result != ARCHIVE_EOF) {
        if (size == 0)
            continue;
        if (member->fd < 0 && (offset != 0 || size < SELFMAG || memcmp(block, ELFMAG, SELFMAG) != 0))
            return true;
        if (!unpack_block(scan, member, block, size, offset))
            return false;
    }
    if (result == ARCHIVE_EOF)
        return true;
    scan_fail(scan, member->path, "cannot be unpacked: %s", archive_error_string(member->wheel->archive));
    return false;
}

static void scan_member(struct scan *scan, struct wheel *wheel, struct archive_entry *entry)
{
    const char *name = archive_entry_pathname(entry);

    if (archive_entry_filetype(entry) != AE_IFREG)
        return;
    if (!name)
        name = archive_entry_pathname_utf8(entry);
    char *path = fuseln_text("%s:%s", wheel->path, name ? name : "(unnamed)");
    struct member member = {wheel, path, archive_entry_size(entry), -1};
    if (unpack(scan, &member) && member.fd >= 0)
        scan_descriptor(scan, member.fd, path, false);
    if (member.fd >= 0)
        close(member.fd);
    free(path);
}

static la_int64_t unpacked_max(int fd)
{
    struct stat status;
    const la_int64_t size = fstat(fd, &status) == 0 ? status.st_size : 0;
    return size > UNPACKED_MIN / UNPACKED_RATIO ? size * UNPACKED_RATIO : UNPACKED_MIN;
}

void scan_wheel(struct scan *scan, int fd, const char *path)
{
    struct wheel wheel = {archive_read_new(), path, unpacked_max(fd)};
    struct archive_entry *entry;
    int result = ARCHIVE_FATAL;

    if (wheel.archive && archive_read_support_format_zip(wheel.archive) == ARCHIVE_OK &&
        archive_read_open_fd(wheel.archive, fd, BLOCK_BYTES) == ARCHIVE_OK)
        while (wheel.left >= 0 && (result = archive_read_next_header(wheel.archive, &entry)) >= ARCHIVE_WARN &&
               result != ARCHIVE_EOF)
            scan_member(scan, &wheel, entry);
    if (wheel.left >= 0 && result != ARCHIVE_EOF)
        scan_fail(scan, path, "broken wheel: %s",
                  wheel.archive ? archive_error_string(wheel.archive) : "out of memory");
    archive_read_free(wheel.archive);
}

#else

void scan_wheel(struct scan *scan, int fd, const char *path)
{
    (void)fd;
    scan_fail(scan, path,
              "cannot look into a wheel: fuseln was built without libarchive (libarchive-dev); unpack it "
              "and name the folder");
}

#endif
