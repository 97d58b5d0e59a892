/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file in memory, for a command that takes a path.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FUZZ_PATH = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Returns the file's descriptor, which the caller closes. */
static inline int fuzz_file(const uint8_t *bytes, size_t size, char ret_path[FUZZ_PATH])
{
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        abort();
    snprintf(ret_path, FUZZ_PATH, "/proc/self/fd/%d", fd);
    return fd;
}

#endif
