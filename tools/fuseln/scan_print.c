/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See scan.h. Each file is described as JSON, which the text is printed from: text file by file, JSON as one document
 * at the end. A table's lines fit 100 columns.
 */
#include "tools/fuseln/scan.h"

#include <stdlib.h>
#include <string.h>

void scan_fail(struct scan *scan, const char *path, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *message = fuseln_vtext(format, arguments);
    va_end(arguments);
    scan->failures++;
    fuseln_fail(EXIT_USAGE, "%s: %s", path, message);
    if (scan->json)
        json_array_append_new(
            scan->errors, json_pack("{s:o, s:o}", "path", fuseln_text_json(path), "error", fuseln_text_json(message)));
    free(message);
}

static const char *runtime_link(const struct scan_elf *elf)
{
    if (elf->runtime_itself)
        return "itself";
    if (elf->runtime_inside && elf->runtime[0])
        return "static and shared";
    if (elf->runtime_inside)
        return "static";
    return elf->runtime[0] ? "shared" : "none seen";
}

/* One object for each target of the kernels, which are sorted by target. */
static json_t *targets_of(const struct scan_elf *elf, bool symbols)
{
    json_t *targets = json_array(), *group = NULL;
    for (size_t i = 0; i < elf->kernel_count; i++) {
        const struct fuseln_target *target = &elf->kernels[i].target;
        if (!group || strcmp(fuseln_text_at(group, "target"), target->name) != 0) {
            group = json_pack("{s:s, s:s, s:s, s:b, s:i, s:o*}", "target", target->name, "op",
                              fuseln_op_name(target->op), "dtype", fuseln_dtype_name(target->dtype), "rms", target->rms,
                              "count", 0, "symbols", symbols ? json_array() : NULL);
            json_array_append_new(targets, group);
        }
        json_integer_set(json_object_get(group, "count"), fuseln_count_at(group, "count") + 1);
        if (symbols)
            json_array_append_new(json_object_get(group, "symbols"), fuseln_text_json(elf->kernels[i].symbol));
    }
    return targets;
}

static json_t *describe(const struct scan *scan, const char *path, const struct scan_elf *elf)
{
    return json_pack("{s:o, s:s?, s:b, s:b, s:{s:s, s:s?}, s:I, s:o}", "path", fuseln_text_json(path), "build_id",
                     elf->build_id[0] ? elf->build_id : NULL, "known_build", elf->known_build, "cubin", elf->cubin,
                     "cuda_runtime", "link", runtime_link(elf), "library", elf->runtime[0] ? elf->runtime : NULL,
                     "kernels", (json_int_t)elf->kernel_count, "targets", targets_of(elf, scan->symbols));
}

/* ---- as text ---- */

#define TARGET_ROW "  %-52s %-10s %-6s %7s"

static void print_targets(const json_t *targets)
{
    char count[24];
    fuseln_say(stdout, TARGET_ROW, "target", "op", "dtype", "kernels");
    FOREACH_ITEM(target, targets) {
        snprintf(count, sizeof count, "%lld", fuseln_count_at(target, "count"));
        fuseln_say(stdout, TARGET_ROW, fuseln_text_at(target, "target"), fuseln_text_at(target, "op"),
                   fuseln_text_at(target, "dtype"), count);
        FOREACH_ITEM(symbol, json_object_get(target, "symbols"))
            fuseln_say(stdout, "    %s", json_string_value(symbol));
    }
}

static void print_block(const json_t *file, const char *runtime)
{
    const char *build_id = fuseln_text_at(file, "build_id");
    fuseln_say(stdout, "%s", fuseln_text_at(file, "path"));
    fuseln_say(stdout, "  build-id      %s (%s)", *build_id ? build_id : "none",
               json_is_true(json_object_get(file, "known_build")) ? "known" : "not tested");
    fuseln_say(stdout, "  CUDA runtime  %s", runtime);
    fuseln_say(stdout, "  kernels       %lld", fuseln_count_at(file, "kernels"));
    print_targets(json_object_get(file, "targets"));
    putchar('\n');
}

static void print_text(const json_t *file)
{
    const json_t *runtime = json_object_get(file, "cuda_runtime");
    const char *link = fuseln_text_at(runtime, "link"), *library = fuseln_text_at(runtime, "library");
    char *words = json_is_true(json_object_get(file, "cubin"))
                      ? fuseln_text("none: device code")
                      : fuseln_text("%s%s%s%s", strcmp(link, "itself") == 0 ? "this file " : "", link,
                                    *library ? " " : "", library);
    if (fuseln_count_at(file, "kernels") > 0)
        print_block(file, words);
    else
        fuseln_say(stdout, "%s: no known kernel; CUDA runtime: %s", fuseln_text_at(file, "path"), words);
    fflush(stdout);
    free(words);
}

void scan_print_file(struct scan *scan, const char *path, const struct scan_elf *elf)
{
    json_t *file = describe(scan, path, elf);
    if (scan->json) {
        json_array_append_new(scan->files, file);
        return;
    }
    print_text(file);
    json_decref(file);
}

void scan_print_nothing(struct scan *scan, const char *path, size_t elf_files)
{
    if (!scan->json)
        fuseln_say(stdout, "%s: no known kernel in %zu ELF file%s", path, elf_files, elf_files == 1 ? "" : "s");
}

void scan_print_end(struct scan *scan)
{
    if (!scan->json) {
        fuseln_say(stdout, "%zu ELF file%s scanned: %zu known kernel%s in %zu of them", scan->elf_files,
                   scan->elf_files == 1 ? "" : "s", scan->kernels, scan->kernels == 1 ? "" : "s", scan->holding);
        return;
    }
    fuseln_say_json(json_pack("{s:o, s:o, s:{s:I, s:I, s:I}}", "files", scan->files, "errors", scan->errors, "summary",
                              "elf_files", (json_int_t)scan->elf_files, "with_known_kernels", (json_int_t)scan->holding,
                              "known_kernels", (json_int_t)scan->kernels));
}
