/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer: a file of a user's own rows, which is read inside the program that fuseln is loaded into.
 */
#include "fuzz.h"
#include "hooks/targets/user_rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuseln_user_rows *const rows = calloc(1, sizeof *rows);
    char *const text = malloc(size + 1); /* user_rows.c maps one byte more than it reads */
    char reason[256];

    memcpy(text, bytes, size);
    text[size] = 0;
    fuseln_user_parse(rows, text, size);
    for (size_t i = 0; i < rows->count; i++)
        fuseln_user_refusal(&rows->rows[i], reason);
    free(text);
    free(rows);
    return 0;
}
