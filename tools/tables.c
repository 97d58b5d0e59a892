/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints a table of README.md from the rows that the library itself uses:
 *   tables targets | builds | variables | reasons | pairings
 * tools/readme.sh writes them between README.md's markers, or checks that they stand there.
 */
#include "base/config.h"
#include "hooks/targets/match.h"

#include <stdio.h>
#include <string.h>

static void print_targets(void)
{
    struct fuseln_target_row row;

    puts("| target | replaces (at::native, layer_norm_kernel.cu) | computes | PyTorch wheels |\n|---|---|---|---|");
    for (size_t i = 0; fuseln_targets_row(i, &row); i++) {
        const char *name = row.symbol + strspn(row.symbol, "0123456789");
        printf("| `%s` | `%.*s` | %s | %s |\n", row.name, (int)(strstr(name, "I$T") - name), name,
               fuseln_op_name(row.op), row.versions);
    }
}

static void print_builds(void)
{
    struct fuseln_known_build build;

    puts("| PyTorch | CUDA | machine | build-id | device code |\n|---|---|---|---|---|");
    for (size_t i = 0; fuseln_targets_build(i, &build); i++)
        printf("| %s | %s | %s | `%s` | `%s` |\n", build.version, build.cuda, build.machine, build.build_id,
               build.code);
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
