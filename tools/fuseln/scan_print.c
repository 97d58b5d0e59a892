/*
 * See scan.h. Text as files are found; JSON as one document at the end. A table's lines fit 100 columns.
 */
#include "scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *scan_printable(const char *text, bool ascii)
{
    char *copy = strdup(text);

    for (unsigned char *at = (unsigned char *)copy; at && *at; at++)
        if (*at < 0x20 || *at == 0x7f || (ascii && *at > 0x7f))
            *at = '?';
    return copy;
}

/* A path may be no UTF-8, which JSON has no place for. */
static json_t *json_text(const char *text)
{
    char *plain = scan_printable(text, false), *ascii = scan_printable(text, true);
    json_t *json = plain ? json_string(plain) : NULL;

    if (!json && ascii)
        json = json_string(ascii);
    free(plain);
    free(ascii);
    return json;
}

void scan_fail(struct scan *scan, const char *path, const char *format, ...)
{
    char message[1024];
    char *shown = scan_printable(path, false);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    scan->failures++;
    fuseln_command_fail(scan->name, EXIT_USAGE, "%s: %s", shown ? shown : "", message);
    free(shown);
    if (scan->json)
        json_array_append_new(scan->errors,
                              json_pack("{s:o, s:o}", "path", json_text(path), "error", json_text(message)));
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
        json_array_append_new(names, json_text(elf->kernels[first + i].symbol));
    if (names)
        json_object_set_new(group, "symbols", names);
    return group;
}

static json_t *json_others(const struct scan_elf *elf)
{
    json_t *names = json_array();
    for (size_t i = 0; i < elf->others; i++)
        json_array_append_new(names, json_text(elf->kernels[elf->known + i].symbol));
    return names;
}

static void append_file(struct scan *scan, const char *path, const struct scan_elf *elf)
{
    json_t *targets = json_array();
    json_t *file =
        json_pack("{s:o, s:s?, s:b, s:b, s:{s:s, s:s?}, s:I, s:o, s:I}", "path", json_text(path), "build_id",
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

static void print_runtime(const struct scan_elf *elf)
{
    const bool both = elf->runtime_inside && elf->runtime[0];

    if (elf->runtime_itself)
        fputs("this file itself", stdout);
    else
        printf("%s%s%s", both ? "static, and shared" : runtime_link(elf), elf->runtime[0] ? " " : "", elf->runtime);
}

static void print_build_id(const struct scan_elf *elf)
{
    if (elf->build_id[0])
        printf("%s (%s)", elf->build_id, elf->known_build ? "known" : "not tested");
    else
        fputs("none (not tested)", stdout);
}

static void print_symbols(const struct scan_elf *elf, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        char *shown = scan_printable(elf->kernels[i].symbol, true);
        printf("    %s\n", shown ? shown : "");
        free(shown);
    }
}

static void print_table(const struct scan *scan, const struct scan_elf *elf)
{
    printf("  %-52s %-10s %-6s %7s\n", "target", "op", "dtype", "kernels");
    for (size_t i = 0, n; i < elf->known; i += n) {
        const struct fuseln_target *target = &elf->kernels[i].target;
        n = group_at(elf, i);
        printf("  %-52s %-10s %-6s %7zu\n", target->name, fuseln_op_name(target->op), fuseln_dtype_name(target->dtype),
               n);
        if (scan->symbols)
            print_symbols(elf, i, n);
    }
}

static void print_others(const struct scan *scan, const struct scan_elf *elf)
{
    if (elf->others)
        printf("  %zu more of layer_norm_kernel.cu that no target matches\n", elf->others);
    if (scan->symbols)
        print_symbols(elf, elf->known, elf->others);
}

static void print_nothing_in(const struct scan *scan, const char *path, const struct scan_elf *elf)
{
    printf("%s: no known kernel", path);
    if (elf->others)
        printf("; %zu of layer_norm_kernel.cu that no target matches", elf->others);
    if (!elf->cubin) {
        fputs("; CUDA runtime: ", stdout);
        print_runtime(elf);
    }
    fputs("\n", stdout);
    if (scan->symbols)
        print_symbols(elf, 0, elf->others);
}

static void print_block(const struct scan *scan, const char *path, const struct scan_elf *elf)
{
    printf("%s\n  build-id      ", path);
    print_build_id(elf);
    fputs("\n  CUDA runtime  ", stdout);
    if (elf->cubin)
        fputs("none: device code", stdout);
    else
        print_runtime(elf);
    printf("\n  kernels       %zu\n", elf->known);
    print_table(scan, elf);
    print_others(scan, elf);
    fputs("\n", stdout);
}

void scan_print_file(struct scan *scan, const char *path, const struct scan_elf *elf)
{
    char *shown = scan_printable(path, false);

    if (scan->json)
        append_file(scan, path, elf);
    else
        (elf->known ? print_block : print_nothing_in)(scan, shown ? shown : "", elf);
    free(shown);
    fflush(stdout);
}

void scan_print_nothing(struct scan *scan, const char *path, size_t elf_files)
{
    char *shown = scan_printable(path, false);

    if (!scan->json)
        printf("%s: no known kernel in %zu ELF file%s\n", shown ? shown : "", elf_files, elf_files == 1 ? "" : "s");
    free(shown);
}

void scan_print_end(struct scan *scan)
{
    if (!scan->json) {
        printf("%zu ELF file%s scanned: %zu known kernel%s in %zu of them\n", scan->elf_files,
               scan->elf_files == 1 ? "" : "s", scan->kernels, scan->kernels == 1 ? "" : "s", scan->holding);
        return;
    }
    json_t *all = json_pack("{s:o, s:o, s:{s:I, s:I, s:I}}", "files", scan->files, "errors", scan->errors, "summary",
                            "elf_files", (json_int_t)scan->elf_files, "with_known_kernels", (json_int_t)scan->holding,
                            "known_kernels", (json_int_t)scan->kernels);
    json_dumpf(all, stdout, JSON_INDENT(2));
    fputs("\n", stdout);
    json_decref(all);
}
