/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library, program or script that was given by its name (doctor.h): is it for this machine, and what runs it?
 */
#include "tools/fuseln/doctor.h"

#include "tools/fuseln/elf_file.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* False with errno. O_NONBLOCK: a FIFO does not hold us up. */
static bool map(const char *path, struct part *ret_file)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    const bool mapped = fuseln_elf_map(fd, ret_file);
    close(fd);
    return mapped;
}

/* The path on the first line, if it begins with #!. */
static bool read_script(struct part file, char ret_interpreter[PATH_MAX])
{
    char line[256 + 1] = ""; /* the kernel reads no more */
    fuseln_part_copy(file, 0, line, file.size < 256 ? file.size : 256);
    if (strncmp(line, "#!", 2) != 0)
        return false;
    char *path = line + 2 + strspn(line + 2, " \t");
    path[strcspn(path, " \t\r\n")] = '\0';
    strcpy(ret_interpreter, path);
    return *path != '\0';
}

/* The loader that the program headers name; ret_path is all zeros before. False: the file is cut off. */
static bool read_interpreter(struct part file, const Elf64_Ehdr *head, char ret_path[PATH_MAX])
{
    Elf64_Phdr segment;
    for (unsigned i = 0; i < head->e_phnum; i++) {
        if (!fuseln_elf_segment(file, head, i, &segment))
            return false;
        if (segment.p_type == PT_INTERP)
            return segment.p_filesz < PATH_MAX && fuseln_part_copy(file, segment.p_offset, ret_path, segment.p_filesz);
    }
    return true;
}

/* This command's own header, as the linker placed it. */
extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

static const char *read_elf(struct part file, const char *neither, char ret_interpreter[PATH_MAX])
{
    Elf64_Ehdr head;
    const char *wrong = fuseln_elf_head(file, &head);
    if (wrong == fuseln_elf_foreign)
        return "is for another architecture (not 64-bit little-endian)";
    if (wrong)
        return neither;
    if (head.e_machine == EM_AARCH64 && __ehdr_start.e_machine != EM_AARCH64)
        return "is for another architecture (aarch64)";
    if (head.e_machine == EM_X86_64 && __ehdr_start.e_machine != EM_X86_64)
        return "is for another architecture (x86-64)";
    if (head.e_machine != __ehdr_start.e_machine)
        return "is for another architecture";
    return read_interpreter(file, &head, ret_interpreter) ? NULL : neither;
}

const char *doctor_file_read(const char *path, const char *neither, struct doctor_file *ret_file)
{
    static char unreadable[80];
    struct part file;
    *ret_file = (struct doctor_file){0};
    if (!map(path, &file)) {
        snprintf(unreadable, sizeof unreadable, "cannot be read: %s", strerror(errno));
        return errno == ENOENT ? "was not found" : errno == ENOEXEC ? neither : unreadable;
    }
    ret_file->script = read_script(file, ret_file->interpreter);
    const char *wrong = ret_file->script ? NULL : read_elf(file, neither, ret_file->interpreter);
    fuseln_elf_unmap(file);
    return wrong;
}

bool doctor_file_contains(const char *path, const void *bytes, size_t size)
{
    struct part file;
    if (!map(path, &file))
        return false;
    const bool found = memmem(file.bytes, file.size, bytes, size) != NULL;
    fuseln_elf_unmap(file);
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
