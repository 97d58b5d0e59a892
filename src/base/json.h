/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small JSON writer over fuseln_out. Commas come by themselves; strings are always valid UTF-8 JSON, whatever
 * bytes a command line or a path holds. A NULL key stands inside an array; a NULL string is written as null.
 */
#ifndef FUSELN_JSON_H
#define FUSELN_JSON_H

#include "base/output.h"

struct fuseln_json {
    struct fuseln_out *out;
    bool comma; /* something stands before in this object or array */
    bool line;  /* the next item starts a line */
};

void fuseln_json_open(struct fuseln_json *json, const char *key, char bracket); /* '{' or '[' */
void fuseln_json_close(struct fuseln_json *json, char bracket);                 /* '}' or ']' */
void fuseln_json_string(struct fuseln_json *json, const char *key, const char *value);
void fuseln_json_integer(struct fuseln_json *json, const char *key, int64_t value);
void fuseln_json_seconds(struct fuseln_json *json, const char *key, uint64_t micros); /* as seconds, 6 decimals */
/* Not negative; no locale's comma. What is no number, or beyond 10^300, is null. */
void fuseln_json_real(struct fuseln_json *json, const char *key, double value);
void fuseln_json_bool(struct fuseln_json *json, const char *key, bool value);
void fuseln_json_line(struct fuseln_json *json); /* the next item starts a line */

#endif
