/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints a table of README.md from the rows that the library itself uses:
 *   tables targets | builds | variables | reasons | pairings
 * tools/readme.sh writes them between README.md's markers, or checks that they stand there.
 */
#include "base/config.h"
#include "hooks/targets/match.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The op field of a row, with which its words begin. */
static int operation_length(const char *words, const char **ret_operation)
{
    *ret_operation = words + strlen("op = ");
    return (int)strcspn(*ret_operation, " ");
}

/* The last of the nested names that a pattern begins with. */
static int function_length(const char *symbol, const char **ret_function)
{
    long length = 0;

    for (const char *at = symbol; *at >= '1' && *at <= '9'; at = *ret_function + length) {
        char *name;
        length = strtol(at, &name, 10);
        *ret_function = name;
    }
    return (int)length;
}

/* Whether row `at` has the target and the function of the given row; each of its template forms is a row. */
static bool is_same(size_t at, const struct fuseln_target_row *row, struct fuseln_target_row *ret_other)
{
    const char *one = "", *other = "";
    const int length = function_length(row->symbol, &one);

    return fuseln_targets_row(at, ret_other) && strcmp(row->name, ret_other->name) == 0 &&
           function_length(ret_other->symbol, &other) == length && strncmp(one, other, (size_t)length) == 0;
}

/* Of all rows from the given one on that are the same, each release once; rows of one release follow each other. */
static void print_releases(size_t at, const struct fuseln_target_row *row)
{
    struct fuseln_target_row other;

    printf("%s", row->versions);
    for (const char *last = row->versions; is_same(++at, row, &other); last = other.versions)
        if (strcmp(other.versions, last) != 0)
            printf(", %s", other.versions);
}

static void print_targets(void)
{
    struct fuseln_target_row row, before;
    const struct fuseln_framework *framework = NULL;

    for (size_t i = 0; fuseln_targets_row(i, &row); i++) {
        const char *name = "", *operation;
        const int length = function_length(row.symbol, &name);
        const int operation_bytes = operation_length(row.words, &operation);
        if (i > 0 && is_same(i - 1, &row, &before))
            continue;
        if (fuseln_targets_framework(i) != framework)
            printf("%s| target | %s | computes | releases |\n|---|---|---|---|\n", framework ? "\n" : "",
                   fuseln_targets_framework(i)->program);
        framework = fuseln_targets_framework(i);
        printf("| `%s` | `%.*s` | %.*s | ", row.name, length, name, operation_bytes, operation);
        print_releases(i, &row);
        puts(" |");
    }
}

static void print_builds(void)
{
    struct fuseln_known_build build;
    const struct fuseln_framework *framework, *last = NULL;

    for (size_t i = 0; (framework = fuseln_targets_build(i, &build)); i++, last = framework) {
        if (framework != last)
            printf("%s| %.*s | CUDA | machine | build-id | device code |\n|---|---|---|---|---|\n", last ? "\n" : "",
                   (int)strcspn(framework->program, ","), framework->program);
        printf("| %s | %s | %s | `%s` | `%s` |\n", build.version, build.cuda, build.machine, build.build_id,
               build.code);
    }
}

static void print_variables(void)
{
    puts("| variable | default | meaning |\n|---|---|---|");
#define X(name, fallback, allowed, text)                                                                   \
    printf("| `FUSELN_%s` | %s%s%s | %s |\n", #name, *fallback ? "`" : "", *fallback ? fallback : "unset", \
           *fallback ? "`" : "", text);
    FUSELN_VARIABLES(X)
#undef X
}

static void print_reasons(void)
{
    puts("| reason | the original is launched because |\n|---|---|");
    for (int verdict = 1; verdict < FUSELN_VERDICT_COUNT; verdict++)
        printf("| `%s` | %s |\n", fuseln_verdict_key((enum fuseln_verdict)verdict),
               fuseln_verdict_text((enum fuseln_verdict)verdict));
}

static void print_pairings(void)
{
    puts("| reason | dX and the gradients of gamma and beta are apart because |\n|---|---|");
    for (int what = FUSELN_PAIRING_PAIRED + 1; what < FUSELN_PAIRING_COUNT; what++)
        printf("| `%s` | %s |\n", fuseln_pairing_key((enum fuseln_pairing)what),
               fuseln_pairing_text((enum fuseln_pairing)what));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } tables[] = {{"targets", print_targets},
                  {"builds", print_builds},
                  {"variables", print_variables},
                  {"reasons", print_reasons},
                  {"pairings", print_pairings}};

    for (size_t i = 0; argc == 2 && i < sizeof(tables) / sizeof(tables[0]); i++) {
        if (strcmp(argv[1], tables[i].name) == 0) {
            tables[i].print();
            return 0;
        }
    }
    fputs("usage: tables targets|builds|variables|reasons|pairings\n", stderr);
    return 2;
}
