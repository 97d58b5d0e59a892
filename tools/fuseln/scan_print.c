/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See scan.h. Text as files are found; JSON as one document at the end. A table's lines fit 100 columns.
 */
#include "tools/fuseln/scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void scan_fail(struct scan *scan, const char *path, const char *format, ...)
{
    char *message;
    va_list arguments;

    va_start(arguments, format);
    const int length = vasprintf(&message, format, arguments);
    va_end(arguments);
    scan->failures++;
    if (length < 0)
        return;
    fuseln_command_fail(scan->name, EXIT_USAGE, "%s: %s", path, message);
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

/* How many kernels from here on belong to the same target. */
static size_t group_at(const struct scan_elf *elf, size_t first)
{
    size_t end = first;
    while (end < elf->known && strcmp(elf->kernels[end].target.name, elf->kernels[first].target.name) == 0)
        end++;
    return end - first;
}

/* ---- JSON ------------------------------------------------------------------------------------------------------- */

static json_t *json_group(const struct scan_elf *elf, size_t first, size_t count, bool symbols)
{
    const struct fuseln_target *target = &elf->kernels[first].target;
    json_t *group =
        json_pack("{s:s, s:s, s:s, s:b, s:I}", "target", target->name, "op", fuseln_op_name(target->op), "dtype",
                  fuseln_dtype_name(target->dtype), "rms", target->rms, "count", (json_int_t)count);
    json_t *names = symbols ? json_array() : NULL;

    for (size_t i = 0; names && i < count; i++)
        json_array_append_new(names, fuseln_text_json(elf->kernels[first + i].symbol));
    if (names)
        json_object_set_new(group, "symbols", names);
    return group;
}

static json_t *json_others(const struct scan_elf *elf)
{
    json_t *names = json_array();
    for (size_t i = 0; i < elf->others; i++)
        json_array_append_new(names, fuseln_text_json(elf->kernels[elf->known + i].symbol));
    return names;
}

static void append_file(struct scan *scan, const char *path, const struct scan_elf *elf)
{
    json_t *targets = json_array();
    json_t *file =
        json_pack("{s:o, s:s?, s:b, s:b, s:{s:s, s:s?}, s:I, s:o, s:I}", "path", fuseln_text_json(path), "build_id",
                  elf->build_id[0] ? elf->build_id : NULL, "known_build", elf->known_build, "cubin", elf->cubin,
                  "cuda_runtime", "link", runtime_link(elf), "library", elf->runtime[0] ? elf->runtime : NULL,
                  "kernels", (json_int_t)elf->known, "targets", targets, "unmatched", (json_int_t)elf->others);

    for (size_t i = 0, n; i < elf->known; i += n) {
        n = group_at(elf, i);
        json_array_append_new(targets, json_group(elf, i, n, scan->symbols));
    }
    if (scan->symbols)
        json_object_set_new(file, "unmatched_symbols", json_others(elf));
    json_array_append_new(scan->files, file);
}

/* ---- text ------------------------------------------------------------------------------------------------------- */

/* Of at most RUNTIME_MAX bytes. */
enum { RUNTIME_MAX = sizeof((struct scan_elf *)0)->runtime + 32 };
static const char *runtime_text(const struct scan_elf *elf, char ret_text[RUNTIME_MAX])
{
    const bool both = elf->runtime_inside && elf->runtime[0];

    if (elf->cubin)
        return "none: device code";
    if (elf->runtime_itself)
        return "this file itself";
    snprintf(ret_text, RUNTIME_MAX, "%s%s%s", both ? "static, and shared" : runtime_link(elf),
             elf->runtime[0] ? " " : "", elf->runtime);
    return ret_text;
}

static void print_symbols(const struct scan_elf *elf, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        fuseln_say(stdout, "    %s", elf->kernels[i].symbol);
}

static void print_table(const struct scan *scan, const struct scan_elf *elf)
{
    fuseln_say(stdout, "  %-52s %-10s %-6s %7s", "target", "op", "dtype", "kernels");
    for (size_t i = 0, n; i < elf->known; i += n) {
        const struct fuseln_target *target = &elf->kernels[i].target;
        n = group_at(elf, i);
        fuseln_say(stdout, "  %-52s %-10s %-6s %7zu", target->name, fuseln_op_name(target->op),
                   fuseln_dtype_name(target->dtype), n);
        if (scan->symbols)
            print_symbols(elf, i, n);
    }
}

static void print_nothing_in(const char *path, const struct scan_elf *elf)
{
    char runtime[RUNTIME_MAX], others[80] = "";
    if (elf->others)
        snprintf(others, sizeof others, "; %zu of layer_norm_kernel.cu that no target matches", elf->others);
    fuseln_say(stdout, "%s: no known kernel%s%s%s", path, others,
               elf->cubin ? "" : "; CUDA runtime: ", elf->cubin ? "" : runtime_text(elf, runtime));
}

static void print_block(const struct scan *scan, const char *path, const struct scan_elf *elf)
{
    char runtime[RUNTIME_MAX];
    fuseln_say(stdout, "%s", path);
    fuseln_say(stdout, "  build-id      %s (%s)", elf->build_id[0] ? elf->build_id : "none",
               elf->known_build ? "known" : "not tested");
    fuseln_say(stdout, "  CUDA runtime  %s", runtime_text(elf, runtime));
    fuseln_say(stdout, "  kernels       %zu", elf->known);
    print_table(scan, elf);
    if (elf->others)
        fuseln_say(stdout, "  %zu more of layer_norm_kernel.cu that no target matches", elf->others);
}

void scan_print_file(struct scan *scan, const char *path, const struct scan_elf *elf)
{
    if (scan->json) {
        append_file(scan, path, elf);
        return;
    }
    if (elf->known)
        print_block(scan, path, elf);
    else
        print_nothing_in(path, elf);
    if (scan->symbols)
        print_symbols(elf, elf->known, elf->others);
    if (elf->known)
        putchar('\n');
    fflush(stdout);
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
