/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a report (schema 1) holds, and how the values of two reports are added up: tables, for merge.c. And the reader
 * of a report, which validates all of it by these tables.
 */
#ifndef FUSELN_SCHEMA_H
#define FUSELN_SCHEMA_H

#include <jansson.h>
#include <stdint.h>

enum { FUSELN_SCHEMA = 1 };
#define FUSELN_COUNT_LIMIT (INT64_C(1) << 53) /* what every reader of JSON can hold; sums saturate there */

enum fuseln_kind { ANY, TEXT, NUMBER, COUNT, REAL, FLAG, OBJECT, LIST };
enum fuseln_need { MAY, MUST }; /* be there; null is as good as absent */
enum fuseln_how {
    SKIP,     /* not at all, or by a function of its own */
    SAME,     /* the item's identity: items that agree in these become one */
    ADD,      /* the sum of numbers; true if either is; objects member by member; lists joined */
    LEAST,    /* the smaller one */
    MOST,     /* the larger one */
    FIRST,    /* the first one found */
    LAST,     /* the last one found */
    DISTANCE, /* the maximum, and the root of the mean square, over the elements of both */
};

/* The values of these keys. */
struct fuseln_field {
    enum fuseln_kind kind;
    enum fuseln_need need;
    enum fuseln_how how;
    const struct fuseln_field *members; /* of an object, or of a list's items; NULL: counts, or any list */
    const char *keys[8];                /* ended by a NULL */
};

/* Each ends with a field without keys. */
extern const struct fuseln_field fuseln_schema_site[], fuseln_schema_device[], fuseln_schema_totals[],
    fuseln_schema_norm[], fuseln_schema_refused[];

/* For each key of these fields. */
#define FOREACH_KEY(fields, field, key)                                             \
    for (const struct fuseln_field *field = fields; field && *field->keys; field++) \
        for (const char *const *key = field->keys; *key; key++)

/* Reads a report, which the caller releases. Returns NULL, or in one line what is wrong, which the caller frees. */
char *fuseln_schema_read(const char *path, json_t **ret_report);

#endif
