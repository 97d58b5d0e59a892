/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library, program or script that was given by its name (doctor.h): is it for this machine, and what runs it?
 */
#include "tools/fuseln/doctor.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct mapping {
    char *bytes;
    size_t size;
};

/* False with errno: ENOEXEC for what cannot be mapped, as a folder or an empty file. O_NONBLOCK: a FIFO does not hold
 * us up. */
static bool map(const char *path, struct mapping *ret_mapping)
{
    struct stat file = {0};
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    fstat(fd, &file);
    void *bytes = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (bytes != MAP_FAILED)
        *ret_mapping = (struct mapping){bytes, (size_t)file.st_size};
    else
        errno = ENOEXEC;
    return bytes != MAP_FAILED;
}

/* The path on the first line, if it begins with #!. */
static bool read_script(const struct mapping *mapping, char ret_interpreter[PATH_MAX])
{
    char line[256 + 1] = ""; /* the kernel reads no more */
    memcpy(line, mapping->bytes, mapping->size < 256 ? mapping->size : 256);
    if (strncmp(line, "#!", 2) != 0)
        return false;
    char *path = line + 2 + strspn(line + 2, " \t");
    path[strcspn(path, " \t\r\n")] = '\0';
    strcpy(ret_interpreter, path);
    return *path != '\0';
}

/* Copied, as nothing in a broken file is aligned. False: it ends before. */
static bool copy_at(const struct mapping *mapping, size_t offset, void *ret_value, size_t size)
{
    if (offset > mapping->size || size > mapping->size - offset)
        return false;
    memcpy(ret_value, mapping->bytes + offset, size);
    return true;
}

/* The loader that the program headers name; ret_path is all zeros before. False: the file is cut off. */
static bool read_interpreter(const struct mapping *mapping, const ElfW(Ehdr) * header, char ret_path[PATH_MAX])
{
    ElfW(Phdr) segment;
    for (unsigned i = 0; i < header->e_phnum; i++) {
        if (!copy_at(mapping, header->e_phoff + (size_t)i * header->e_phentsize, &segment, sizeof segment))
            return false;
        if (segment.p_type == PT_INTERP)
            return segment.p_filesz < PATH_MAX && copy_at(mapping, segment.p_offset, ret_path, segment.p_filesz);
    }
    return true;
}

static const char *machine_name(const ElfW(Ehdr) * header)
{
    static const struct {
        int machine;
        const char *name;
    } names[] = {{EM_X86_64, "x86-64"}, {EM_AARCH64, "aarch64"}, {EM_386, "x86"},     {EM_ARM, "arm"},
                 {EM_PPC64, "ppc64"},   {EM_S390, "s390"},       {EM_RISCV, "riscv"}, {EM_LOONGARCH, "loongarch"}};
    static char number[24];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].machine == header->e_machine)
            return names[i].name;
    snprintf(number, sizeof number, "machine %d", header->e_machine);
    return number;
}

/* This command's own header, as the linker placed it. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

static const char *read_elf(const struct mapping *mapping, const char *neither, char ret_interpreter[PATH_MAX])
{
    static char foreign[80];
    ElfW(Ehdr) header;
    if (!copy_at(mapping, 0, &header, sizeof header) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        return neither;
    /* e_machine and e_ident have the same offsets in 32 and 64 bits. */
    if (header.e_machine != __ehdr_start.e_machine || memcmp(header.e_ident, __ehdr_start.e_ident, EI_VERSION) != 0) {
        snprintf(foreign, sizeof foreign, "is for another architecture (%s%s)",
                 header.e_ident[EI_CLASS] == ELFCLASS32 ? "32-bit " : "", machine_name(&header));
        return foreign;
    }
    return read_interpreter(mapping, &header, ret_interpreter) ? NULL : neither;
}

const char *doctor_file_read(const char *path, const char *neither, struct doctor_file *ret_file)
{
    static char unreadable[80];
    struct mapping mapping;
    *ret_file = (struct doctor_file){0};
    if (!map(path, &mapping)) {
        snprintf(unreadable, sizeof unreadable, "cannot be read: %s", strerror(errno));
        return errno == ENOENT ? "was not found" : errno == ENOEXEC ? neither : unreadable;
    }
    ret_file->script = read_script(&mapping, ret_file->interpreter);
    const char *wrong = ret_file->script ? NULL : read_elf(&mapping, neither, ret_file->interpreter);
    munmap(mapping.bytes, mapping.size);
    return wrong;
}

bool doctor_file_contains(const char *path, const void *bytes, size_t size)
{
    struct mapping mapping;
    if (!map(path, &mapping))
        return false;
    const bool found = memmem(mapping.bytes, mapping.size, bytes, size) != NULL;
    munmap(mapping.bytes, mapping.size);
    return found;
}

char *doctor_file_loaded(const char *name)
{
    struct link_map *map;
    void *library = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
    if (!library)
        return NULL;
    char *path = dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 ? realpath(map->l_name, NULL) : NULL;
    dlclose(library);
    return path ? path : strdup(name);
}
