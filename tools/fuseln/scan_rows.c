/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuseln scan --rows: a skeleton of a row for FUSELN_TARGETS for each kernel that is a norm by its name and that no row
 * of ours has. What its arguments are comes from the mangled name, how large they are from the cubin: each kernel has a
 * section .nv.info.NAME, in which attribute 0x17 describes a parameter. What they mean only the user knows.
 */
#include "tools/fuseln/scan.h"

#include "hooks/targets/signature.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 4096, NAME_BYTES_MAX = 4096, FORMAT_SIZED = 4, ATTRIBUTE_PARAM = 0x17 };

static struct scan_row *find_row(struct scan_elf *elf, const char *symbol, size_t length)
{
    for (size_t i = 0; i < elf->row_count; i++)
        if (strlen(elf->rows[i].symbol) == length && memcmp(elf->rows[i].symbol, symbol, length) == 0)
            return &elf->rows[i];
    return NULL;
}

/* The row of a kernel of this name, a new one if need be; NULL if it is no norm, or one of ours. */
static struct scan_row *row_of(struct scan_elf *elf, const char *symbol, size_t length)
{
    struct fuseln_target target;
    struct scan_row *row = find_row(elf, symbol, length);

    if (row || length == 0 || length >= NAME_BYTES_MAX || elf->row_count == ROWS_MAX)
        return row;
    char *name = strndup(symbol, length);
    const bool wanted = name && fuseln_targets_norm_maker(name) && !fuseln_targets_match(name, &target);
    void *rows = wanted ? realloc(elf->rows, (elf->row_count + 1) * sizeof *elf->rows) : NULL;
    if (!rows) {
        free(name);
        return NULL;
    }
    elf->rows = rows;
    row = &elf->rows[elf->row_count++];
    *row = (struct scan_row){.symbol = name};
    return row;
}

/* A mangled name with parameters; other strings may look like one. */
void scan_rows_name(struct scan_elf *elf, const char *symbol)
{
    struct fuseln_parameter parameters[FUSELN_ARGS_MAX];
    if (elf->wants_rows && fuseln_signature_read(symbol, strlen(symbol), parameters) > 0)
        row_of(elf, symbol, strlen(symbol));
}

void scan_rows_info(struct scan_elf *elf, struct part name, struct part info)
{
    const char *symbol = (const char *)name.bytes;
    struct scan_row *row = elf->wants_rows ? row_of(elf, symbol, strnlen(symbol, name.size)) : NULL;
    struct {
        uint8_t format, id;
        uint16_t bytes;
        uint32_t word[3];
    } record;

    for (uint64_t at = 0; row && fuseln_part_copy(info, at, &record, 4);) {
        const bool sized = record.format == FORMAT_SIZED;
        if (sized && record.id == ATTRIBUTE_PARAM && fuseln_part_copy(info, at, &record, sizeof record)) {
            const unsigned ordinal = record.word[1] & 0xffff;
            if (ordinal < FUSELN_ARGS_MAX) {
                row->bytes[ordinal] = record.word[2] >> 18;
                row->count = row->count > ordinal ? row->count : ordinal + 1;
            }
        }
        at += 4 + (sized ? record.bytes : 0);
    }
}

/* ---- as text ---- */

static const char *type_word(const struct fuseln_parameter *parameter, unsigned bytes)
{
    static const char *const words[] = {
#define X(id, word, size) word,
        FUSELN_ARG_TYPES(X)
#undef X
    };
    if (parameter->type < FUSELN_ARG_TYPE_COUNT)
        return words[parameter->type];
    return bytes == 1 ? "bool" : "?";
}

static void print_argument(unsigned i, const struct fuseln_parameter *parameter, unsigned bytes)
{
    static const char *const kinds[] = {"of unknown type", "a value", "a pointer", "a pointer to const"};
    const bool by_value = parameter->kind == FUSELN_PARAMETER_UNKNOWN && bytes > 8;

    if (bytes)
        fuseln_say(stdout, "#   arg%u: %u bytes, %s", i, bytes,
                   by_value ? "by value: no row can say it" : kinds[parameter->kind]);
    else
        fuseln_say(stdout, "#   arg%u: %s", i, kinds[parameter->kind]);
}

static void print_row(const struct scan_row *row, size_t number)
{
    struct fuseln_parameter parameters[FUSELN_ARGS_MAX] = {0};
    const int named = fuseln_signature_read(row->symbol, strlen(row->symbol), parameters);
    const unsigned count = row->count ? row->count : named > 0 ? (unsigned)named : 0;
    char args[FUSELN_ARGS_MAX * 6] = "";

    for (unsigned i = 0; named < 0 && i < count; i++)
        parameters[i] = (struct fuseln_parameter){FUSELN_PARAMETER_UNKNOWN, FUSELN_ARG_TYPE_COUNT};
    putchar('\n');
    fuseln_say(stdout, "[mine/norm%zu]", number);
    fuseln_say(stdout, "symbol = %s", row->symbol);
    for (unsigned i = 0; i < count; i++) {
        print_argument(i, &parameters[i], row->bytes[i]);
        snprintf(args + strlen(args), sizeof args - strlen(args), " %s", type_word(&parameters[i], row->bytes[i]));
    }
    fuseln_say(stdout, "args =%s", count ? args : " ?");
    fuseln_say(stdout, "op = ?  dtype = ?  rows = ?  cols = ?  eps = ?");
    fuseln_say(stdout, "x = ?  gamma = ?  beta = ?  y = ?%s", named < 0 ? "  in = ?" : "");
}

void scan_rows_print(const char *path, const struct scan_elf *elf, size_t *number)
{
    if (elf->row_count)
        fuseln_say(stdout, "# %s, build-id %s", path, elf->build_id[0] ? elf->build_id : "none");
    for (size_t i = 0; i < elf->row_count; i++)
        print_row(&elf->rows[i], ++*number);
}

void scan_rows_free(struct scan_elf *elf)
{
    for (size_t i = 0; i < elf->row_count; i++)
        free((char *)(uintptr_t)elf->rows[i].symbol);
    free(elf->rows);
}
