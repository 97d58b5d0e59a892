/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON writer (json.h). Bytes that are not UTF-8 become U+FFFD. Numbers are formatted without the host's locale.
 */
#include "base/json.h"

#include <inttypes.h>

#include "base/clean.h"

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

static void json_string(struct fuseln_out *out, const char *text)
{
    fuseln_out_text(out, "\"");
    while (*text) {
        uint32_t code_point;
        const size_t length = fuseln_utf8_length(text, &code_point);
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
