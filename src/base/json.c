/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON writer (json.h). Bytes that are no UTF-8 become U+FFFD; numbers never pass the host's locale.
 */
#include "base/json.h"

#include <inttypes.h>
#include <string.h>

static void json_string(struct fuseln_out *out, const char *text);

static void json_item(struct fuseln_json *json, const char *key)
{
    fuseln_out_text(json->out, json->comma ? "," : "");
    fuseln_out_text(json->out, json->line ? "\n" : "");
    json->comma = true;
    json->line = false;
    if (key) {
        json_string(json->out, key);
        fuseln_out_text(json->out, ":");
    }
}

/* The length of the UTF-8 sequence at text, 0 if it is none (Unicode 15, table 3-7: no overlong, no surrogate). */
static size_t utf8_length(const unsigned char *text)
{
    size_t length = text[0] < 0x80 ? 1 : text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    if (length < 2)
        return length;
    unsigned char low = text[0] == 0xe0 ? 0xa0 : text[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = text[0] == 0xed ? 0x9f : text[0] == 0xf4 ? 0x8f : 0xbf;
    if (text[0] > 0xf4 || text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

static void json_string(struct fuseln_out *out, const char *text)
{
    fuseln_out_text(out, "\"");
    while (*text) {
        size_t length = utf8_length((const unsigned char *)text);
        if (length == 0)
            fuseln_out_text(out, "\\ufffd");
        else if (*text == '"' || *text == '\\')
            fuseln_out_format(out, "\\%c", *text);
        else if ((unsigned char)*text < 0x20 || *text == 0x7f)
            fuseln_out_format(out, "\\u%04x", (unsigned)*text);
        else
            fuseln_out_bytes(out, text, length);
        text += length ? length : 1;
    }
    fuseln_out_text(out, "\"");
}

void fuseln_json_open(struct fuseln_json *json, const char *key, char bracket)
{
    json_item(json, key);
    fuseln_out_bytes(json->out, &bracket, 1);
    json->comma = false;
}

void fuseln_json_close(struct fuseln_json *json, char bracket)
{
    fuseln_out_bytes(json->out, &bracket, 1);
    json->comma = true;
}

void fuseln_json_string(struct fuseln_json *json, const char *key, const char *value)
{
    json_item(json, key);
    if (value)
        json_string(json->out, value);
    else
        fuseln_out_text(json->out, "null");
}

void fuseln_json_integer(struct fuseln_json *json, const char *key, int64_t value)
{
    json_item(json, key);
    fuseln_out_format(json->out, "%" PRId64, value);
}

void fuseln_json_seconds(struct fuseln_json *json, const char *key, uint64_t micros)
{
    json_item(json, key);
    fuseln_out_format(json->out, "%" PRIu64 ".%06" PRIu64, micros / 1000000, micros % 1000000);
}

void fuseln_json_real(struct fuseln_json *json, const char *key, double value)
{
    char text[FUSELN_REAL_MAX];
    json_item(json, key);
    fuseln_out_text(json->out, fuseln_out_real(text, value) ? text : "null");
}

void fuseln_json_bool(struct fuseln_json *json, const char *key, bool value)
{
    json_item(json, key);
    fuseln_out_text(json->out, value ? "true" : "false");
}

void fuseln_json_line(struct fuseln_json *json)
{
    json->line = true;
}
