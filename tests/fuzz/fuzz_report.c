/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer: `fuseln report` of up to four files, which the input holds separated by zero bytes (JSON has none).
 * Changed bytes seldom make a valid report, so most inputs are reports with changed values. The command must take them,
 * refuse some, or say that a check failed.
 */
#include "command.h"
#include "fuzz.h"

#include <jansson.h>

enum { FILES_MAX = 4, FIRST = 2, SLOTS_MAX = 4096 };

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t max_size, unsigned seed);

/* A value of a report, and the object or array that holds it. */
struct slot {
    json_t *parent;
    const char *key; /* NULL: an element of an array, at index */
    size_t index;
};

static size_t collect(json_t *parent, struct slot *slots, size_t count)
{
    FOREACH_MEMBER(key, parent) {
        if (count < SLOTS_MAX)
            slots[count++] = (struct slot){parent, key, 0};
        count = collect(json_object_get(parent, key), slots, count);
    }
    FOREACH_ITEM(value, parent) {
        if (count < SLOTS_MAX)
            slots[count++] = (struct slot){parent, NULL, value_at};
        count = collect(value, slots, count);
    }
    return count;
}

static json_t *text(void)
{
    static const char *const parts[] = {"a", "\xc3\xa9", "\x1b[2J", "\n", "\xf0\x9f\x98\x80", "%s", "/", "\xc2\x9b"};
    char made[1024];
    size_t length = 0;
    const char *part = parts[(size_t)rand() % (sizeof parts / sizeof *parts)];
    for (size_t wanted = (size_t)rand() % 200; length + strlen(part) <= wanted; length += strlen(part))
        memcpy(made + length, part, strlen(part));
    return json_stringn(made, length);
}

static json_t *other_value(const struct slot *slots, size_t count)
{
    static const json_int_t integers[] = {0, 1, -1, 63, 1 << 20, INT64_C(1) << 53, INT64_MAX, INT64_MIN};
    const struct slot *from = &slots[(size_t)rand() % count];
    switch (rand() % 8) {
    case 0:
        return json_null();
    case 1:
        return json_real(rand() % 2 ? 1e308 : -0.5);
    case 2:
        return rand() % 2 ? json_array() : json_object();
    case 3:
        return json_integer(integers[(size_t)rand() % (sizeof integers / sizeof *integers)]);
    case 4:
    case 5:
        return text();
    default:
        return json_deep_copy(from->key ? json_object_get(from->parent, from->key)
                                        : json_array_get(from->parent, from->index));
    }
}

/* Replaces one value, removes it, or adds it again under another name. */
static void change(json_t *report)
{
    static struct slot slots[SLOTS_MAX];
    const size_t count = collect(report, slots, 0);
    if (!count)
        return;
    const struct slot *slot = &slots[(size_t)rand() % count];
    json_t *value = other_value(slots, count);
    const int how = rand() % 10;
    if (how > 1 && slot->key)
        json_object_set_new(slot->parent, slot->key, value);
    else if (how > 1)
        json_array_set_new(slot->parent, slot->index, value);
    else if (slot->key && how)
        json_object_set_new(slot->parent, "more", value);
    else if (how)
        json_array_append_new(slot->parent, value);
    else {
        json_decref(value);
        if (slot->key)
            json_object_del(slot->parent, slot->key);
        else
            json_array_remove(slot->parent, slot->index);
    }
}

/* Changes the first file; the others stay as they are. */
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t max_size, unsigned seed)
{
    const uint8_t *end = memchr(bytes, '\0', size);
    const size_t length = end ? (size_t)(end - bytes) : size;
    json_t *report = seed % 8 ? json_loadb((const char *)bytes, length, 0, NULL) : NULL;
    if (!report)
        return LLVMFuzzerMutate(bytes, size, max_size);
    srand(seed);
    for (int changes = 1 + rand() % 3; changes > 0; changes--)
        change(report);
    char *made = malloc(max_size);
    const size_t made_length = json_dumpb(report, made, max_size, JSON_COMPACT), rest = size - length;
    json_decref(report);
    if (made_length && made_length + rest <= max_size) {
        memmove(bytes + made_length, bytes + length, rest);
        memcpy(bytes, made, made_length);
        size = made_length + rest;
    }
    free(made);
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char paths[FILES_MAX][FUZZ_PATH], name[] = "fuseln report", *options[] = {"--json", "--steps=3", "--html=-"};
    char *words[FIRST + FILES_MAX + 1] = {name};
    int fds[FILES_MAX], count = 0;

    for (size_t at = 0; at <= size && count < FILES_MAX; count++) {
        const uint8_t *end = count < FILES_MAX - 1 && at < size ? memchr(bytes + at, '\0', size - at) : NULL;
        const size_t length = end ? (size_t)(end - bytes) - at : size - at;
        fds[count] = fuzz_file(bytes + at, length, paths[count]);
        words[FIRST + count] = paths[count];
        at += length + 1;
    }
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        words[1] = options[i];
        const int code = fuseln_command_call(&fuseln_command_report, FIRST + count, words);
        if (code != 0 && code != EXIT_USAGE && code != EXIT_FAILED_CHECK)
            abort();
    }
    for (int i = 0; i < count; i++)
        close(fds[i]);
    return 0;
}
