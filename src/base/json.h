/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small JSON writer on top of fuseln_out. It writes the commas itself, and every string as valid UTF-8, whatever
 * bytes a command line or a path holds. Pass a NULL key inside an array. A NULL string is written as null.
 */
#ifndef FUSELN_JSON_H
#define FUSELN_JSON_H

#include "base/output.h"

struct fuseln_json {
    struct fuseln_out *out;
    bool comma; /* this object or array already has an item */
    bool line;  /* start a new line before the next item */
};

void fuseln_json_open(struct fuseln_json *json, const char *key, char bracket); /* '{' or '[' */
void fuseln_json_close(struct fuseln_json *json, char bracket);                 /* '}' or ']' */
void fuseln_json_string(struct fuseln_json *json, const char *key, const char *value);
void fuseln_json_integer(struct fuseln_json *json, const char *key, int64_t value);
void fuseln_json_seconds(struct fuseln_json *json, const char *key, uint64_t micros); /* in seconds, six decimals */
/* Takes no negative value. NaN, and anything beyond 10^300, is written as null. */
void fuseln_json_real(struct fuseln_json *json, const char *key, double value);
void fuseln_json_bool(struct fuseln_json *json, const char *key, bool value);
void fuseln_json_line(struct fuseln_json *json); /* start a new line before the next item */

#endif
