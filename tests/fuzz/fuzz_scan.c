/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer: one file for `fuseln scan`. First the ELF reader gets exactly its bytes, so that a read beyond them is
 * seen; then the whole command runs on it, printing included, and must take it or refuse it.
 */
#include "fuzz.h"
#include "scan.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char path[FUZZ_PATH], name[] = "fuseln scan", *options[] = {"--symbols", "--json", "--rows"};
    unsigned char *const copy = malloc(size ? size : 1);
    struct scan_elf elf = {0};

    memcpy(copy, bytes, size);
    if (!scan_elf_read(copy, size, true, &elf))
        scan_elf_free(&elf);
    free(copy);
    const int fd = fuzz_file(bytes, size, path);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        const int code = fuseln_command_call(&fuseln_command_scan, 3, (char *[]){name, options[i], path, NULL});
        if (code != 0 && code != EXIT_USAGE)
            abort();
    }
    close(fd);
    return 0;
}
