/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the doctor reads of a file's ELF header (doctor.h).
 */
#include "tools/fuseln/doctor.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool read_header(int fd, ElfW(Ehdr) * ret_header)
{
    return pread(fd, ret_header, sizeof *ret_header, 0) == (ssize_t)sizeof *ret_header &&
           !memcmp(ret_header->e_ident, ELFMAG, SELFMAG);
}

static bool read_own_header(ElfW(Ehdr) * ret_header)
{
    const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    const bool good = fd >= 0 && read_header(fd, ret_header);
    if (fd >= 0)
        close(fd);
    return good;
}

/* e_machine and e_ident lie alike in 32 and 64 bits. */
static bool is_same_machine(const ElfW(Ehdr) * header)
{
    ElfW(Ehdr) own;
    return !read_own_header(&own) ||
           (own.e_machine == header->e_machine && own.e_ident[EI_CLASS] == header->e_ident[EI_CLASS] &&
            own.e_ident[EI_DATA] == header->e_ident[EI_DATA]);
}

static int read_interpreter(int fd, const ElfW(Ehdr) * header, char ret_path[PATH_MAX])
{
    for (unsigned i = 0; i < header->e_phnum; i++) {
        ElfW(Phdr) segment;
        const off_t offset = (off_t)(header->e_phoff + (size_t)i * header->e_phentsize);
        if (pread(fd, &segment, sizeof segment, offset) != (ssize_t)sizeof segment)
            return -ENOEXEC;
        if (segment.p_type != PT_INTERP)
            continue;
        if (segment.p_filesz >= PATH_MAX ||
            pread(fd, ret_path, segment.p_filesz, (off_t)segment.p_offset) != (ssize_t)segment.p_filesz)
            return -ENOEXEC;
        ret_path[segment.p_filesz] = '\0';
    }
    return 0;
}

int doctor_elf_read(const char *path, struct doctor_elf *ret_elf)
{
    ElfW(Ehdr) header;
    struct doctor_elf elf = {0};
    int error = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (read_header(fd, &header)) {
        elf.machine = header.e_machine;
        elf.bits = header.e_ident[EI_CLASS] == ELFCLASS32 ? 32 : 64;
        elf.same_machine = is_same_machine(&header);
        if (elf.same_machine)
            error = read_interpreter(fd, &header, elf.interpreter);
    } else {
        error = -ENOEXEC;
    }
    close(fd);
    if (!error)
        *ret_elf = elf;
    return error;
}

const char *doctor_elf_machine(const struct doctor_elf *elf)
{
    static const struct {
        int machine;
        const char *name;
    } names[] = {{EM_X86_64, "x86-64"}, {EM_AARCH64, "aarch64"}, {EM_386, "x86"},     {EM_ARM, "arm"},
                 {EM_PPC64, "ppc64"},   {EM_S390, "s390"},       {EM_RISCV, "riscv"}, {EM_LOONGARCH, "loongarch"}};
    static char text[40];
    snprintf(text, sizeof text, "%smachine %d", elf->bits == 32 ? "32-bit " : "", elf->machine);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].machine == elf->machine)
            snprintf(text, sizeof text, "%s%s", elf->bits == 32 ? "32-bit " : "", names[i].name);
    return text;
}
