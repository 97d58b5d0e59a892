/*
 * libFuzzer: `fuseln report` of up to four files, which the input holds with a zero byte between them (JSON has none).
 */
#include "command.h"
#include "fuzz.h"

enum { FILES_MAX = 4, FIRST = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char paths[FILES_MAX][FUZZ_PATH], name[] = "fuseln report", json[] = "--json", steps[] = "--steps=3";
    char *words[FIRST + FILES_MAX + 1] = {name, json};
    int fds[FILES_MAX], count = 0;

    for (size_t at = 0; at <= size && count < FILES_MAX; count++) {
        const uint8_t *end = count < FILES_MAX - 1 && at < size ? memchr(bytes + at, '\0', size - at) : NULL;
        const size_t length = end ? (size_t)(end - bytes) - at : size - at;
        fds[count] = fuzz_file(bytes + at, length, paths[count]);
        words[FIRST + count] = paths[count];
        at += length + 1;
    }
    fuseln_command_report(FIRST + count, words);
    words[1] = steps;
    fuseln_command_report(FIRST + count, words);
    for (int i = 0; i < count; i++)
        close(fds[i]);
    return 0;
}
