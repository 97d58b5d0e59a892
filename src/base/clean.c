/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clean.h"

#include <stdbool.h>
#include <string.h>

size_t fuseln_utf8_length(const char *text, uint32_t *ret_code_point)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *bytes = (const unsigned char *)text, lead = *bytes;
    const size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    uint32_t code_point = length == 1 ? lead : lead & 0x7fu >> length;
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        code_point = code_point << 6 | (bytes[i] & 0x3f);
    }
    if (code_point < smallest[length] || code_point > 0x10ffff || (code_point >= 0xd800 && code_point < 0xe000))
        return 0;
    *ret_code_point = code_point;
    return length;
}

/* C0, delete and C1; line separators; marks and overrides of the writing direction. */
static bool is_control(uint32_t code_point)
{
    static const uint32_t ranges[][2] = {{0, 0x1f},        {0x7f, 0x9f},     {0x61c, 0x61c},
                                         {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (code_point >= ranges[i][0] && code_point <= ranges[i][1])
            return true;
    return false;
}

void fuseln_clean(char *text)
{
    char *to = text;
    for (size_t length; *text; text += length ? length : 1) {
        uint32_t code_point;
        length = fuseln_utf8_length(text, &code_point);
        if (length && !is_control(code_point)) {
            memmove(to, text, length);
            to += length;
        } else {
            *to++ = '?';
        }
    }
    *to = '\0';
}
