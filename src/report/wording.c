/* SPDX-License-Identifier: Apache-2.0 */
#include "report/wording.h"

#include <string.h>

#include "base/fuseln.h"

#define X(id, key, text) {key, text},
const struct fuseln_reason fuseln_passed_reasons[] = {FUSELN_VERDICTS(X)};
const struct fuseln_reason fuseln_unpaired_reasons[] = {FUSELN_PAIRINGS(X)};
#undef X

/* printf's ' flag follows the host's locale. */
const char *fuseln_word_count(char ret_text[FUSELN_COUNT_MAX], uint64_t count)
{
    char *text = ret_text + FUSELN_COUNT_MAX - 1;
    *text = '\0';
    for (unsigned digits = 0; count > 0 || digits == 0; digits++, count /= 10) {
        if (digits > 0 && digits % 3 == 0)
            *--text = ',';
        *--text = (char)('0' + count % 10);
    }
    return text;
}

const char *fuseln_word_checked(bool failed, uint64_t launches, uint64_t inconclusive)
{
    return failed ? "WRONG" : launches ? "right" : inconclusive >= 100 ? "unclear" : "waiting";
}

size_t fuseln_word_line(const char *text)
{
    size_t length = strlen(text);
    if (length <= FUSELN_COLUMNS)
        return length;
    for (length = FUSELN_COLUMNS; length > 0 && text[length] != ' ';)
        length--;
    if (length > 0)
        return length;
    for (length = FUSELN_COLUMNS; length > 1 && (text[length] & 0xc0) == 0x80;)
        length--;
    return length;
}
