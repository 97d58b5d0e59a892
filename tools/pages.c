/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints what says the same as the rows that the command and the library themselves use:
 *   pages fuseln.1 | libfuseln.7 | bash | zsh     the man pages (man(7) macros) and the shells' completions
 *   pages targets | builds | variables | reasons | pairings     a table of a README, for tools/readme.sh
 */
#include "tools/fuseln/command.h"

#include "base/config.h"
#include "hooks/targets/match.h"

#include <stdlib.h>
#include <string.h>

#include "version.h"

/* ---- man pages ---- */

/* Each ` turns bold on or off; what man(7) would take for its own is escaped. */
static void put(const char *text, size_t length, bool bold)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '`')
            fputs((bold = !bold) ? "\\fB" : "\\fR", stdout);
        else if (text[i] == '\\')
            fputs("\\e", stdout);
        else if (text[i] == '-')
            fputs("\\-", stdout);
        else if (strchr(".'", text[i]) && (i == 0 || text[i - 1] == '\n'))
            printf("\\&%c", text[i]);
        else if (text[i] == '\n' && i + 1 < length && text[i + 1] == '\n')
            fputs("\n.PP", stdout);
        else
            putchar(text[i]);
    }
    puts("\\fR");
}

static void paragraph(const char *text)
{
    put(text, strlen(text), false);
}

/* A term, which begins in bold, and what it means. */
static void entry(const char *term, const char *meaning)
{
    printf(".TP\n\\fB");
    put(term, strlen(term), true);
    put(meaning, strlen(meaning), false);
}

static void heading(const char *page, int section, const char *summary)
{
    char upper[32] = "";
    for (size_t i = 0; page[i] && i < sizeof upper - 1; i++)
        upper[i] = (char)(page[i] >= 'a' && page[i] <= 'z' ? page[i] - 'a' + 'A' : page[i]);
    printf(".TH %s %d \"\" \"fuseln %s\"\n.SH NAME\n%s \\- %s\n", upper, section, FUSELN_VERSION, page, summary);
}

static void print_word(const struct fuseln_command *word)
{
    const char *after = strchr(word->doc, '\v');
    printf(".SS fuseln %s \\fR", word->name);
    paragraph(word->arguments);
    put(word->doc, after ? (size_t)(after - word->doc) : strlen(word->doc), false);
    for (const struct argp_option *option = word->options; option->name; option++) {
        char term[64];
        snprintf(term, sizeof term, "-%c, --%s%s%s", option->key, option->name, option->arg ? "=" : "",
                 option->arg ? option->arg : "");
        entry(term, option->doc);
    }
    if (after) {
        puts(".PP");
        paragraph(after + 1);
    }
}

static void print_command(void)
{
    heading("fuseln", 1, "run layer norms of unmodified CUDA programs on fused kernels");
    puts(".SH SYNOPSIS");
    for (size_t i = 0; fuseln_words[i]; i++) {
        printf("%s.B fuseln %s\n[OPTION...] ", i ? ".br\n" : "", fuseln_words[i]->name);
        paragraph(fuseln_words[i]->arguments);
    }
    puts(".SH DESCRIPTION");
    paragraph("Puts `libfuseln.so` in front of a program, and reads what it reports. What the library does, and the "
              "variables that it follows, are in `libfuseln`(7).");
    puts(".SH WORDS");
    for (size_t i = 0; fuseln_words[i]; i++)
        print_word(fuseln_words[i]);
    puts(".SH SEE ALSO\n.BR libfuseln (7),\n.BR ld.so (8)");
}

static void print_variables(void)
{
    puts(".SH ENVIRONMENT");
    paragraph("A wrong value is reported once, with the values allowed, and the default stays.");
#define X(name, fallback, allowed, text) \
    entry(*fallback ? "FUSELN_" #name "` (default `" fallback "`)" : "FUSELN_" #name "` (unset)", text);
    FUSELN_VARIABLES(X)
#undef X
}

static void print_library(void)
{
    heading("libfuseln", 7, "fused layer-norm kernels for unmodified CUDA programs");
    puts(".SH SYNOPSIS");
    paragraph("`LD_PRELOAD=libfuseln.so` FUSELN_REPORT=report.json PROGRAM");
    puts(".SH DESCRIPTION");
    paragraph("A preload library that recognises the layer-norm and RMS-norm kernels that a program launches, forward "
              "and backward, launches its own fused kernels on the same stream in their place, and reports every "
              "substitution. Whatever it cannot prove to be right, it leaves to the original kernel. A process that "
              "launches no CUDA kernel writes and prints nothing.");
    print_variables();
    puts(".SH REASONS");
    paragraph("Why a launch that was recognised runs the original kernel; the report counts each:");
    for (int verdict = 1; verdict < FUSELN_VERDICT_COUNT; verdict++)
        entry(fuseln_verdict_key((enum fuseln_verdict)verdict), fuseln_verdict_text((enum fuseln_verdict)verdict));
    puts(".PP");
    paragraph("Why dX and the gradients of gamma and beta are computed apart:");
    for (int what = FUSELN_PAIRING_PAIRED + 1; what < FUSELN_PAIRING_COUNT; what++)
        entry(fuseln_pairing_key((enum fuseln_pairing)what), fuseln_pairing_text((enum fuseln_pairing)what));
    puts(".SH TARGETS");
    paragraph("The names of the kernels that are replaced, as reports and FUSELN_SKIP have them:");
    struct fuseln_target_row row;
    const char *last = NULL; /* rows of one name follow each other */
    for (size_t i = 0; fuseln_targets_row(i, &row); i++) {
        if (!last || strcmp(row.name, last) != 0)
            printf("%s%s\n", last ? ".br\n" : ".PP\n", row.name);
        last = row.name;
    }
    puts(".SH SEE ALSO\n.BR fuseln (1),\n.BR ld.so (8)");
}

/* ---- completions ---- */

static void print_bash(void)
{
    puts("# bash completion of fuseln\n"
         "_fuseln()\n{\n"
         "    local word=${COMP_WORDS[1]} i\n"
         "    if [ \"$COMP_CWORD\" -eq 1 ]; then");
    printf("        COMPREPLY=($(compgen -W '--help --version");
    for (size_t i = 0; fuseln_words[i]; i++)
        printf(" %s", fuseln_words[i]->name);
    puts("' -- \"$2\"))\n        return\n    fi\n"
         "    for ((i = 2; i < COMP_CWORD; i++)); do # behind it stands a program with words of its own\n"
         "        [[ $word:${COMP_WORDS[i]} = @(run:[^-]*|*:--) ]] || continue\n"
         "        [ \"${COMP_WORDS[i]}\" != -- ] || ((i++))\n"
         "        declare -F _command_offset >/dev/null && _command_offset \"$i\"\n"
         "        return\n    done\n"
         "    case $word:$2 in");
    for (size_t i = 0; fuseln_words[i]; i++) {
        printf("    %s:-*) COMPREPLY=($(compgen -W '--help", fuseln_words[i]->name);
        for (const struct argp_option *option = fuseln_words[i]->options; option->name; option++)
            printf(" --%s%s", option->name, option->arg ? "=" : "");
        puts("' -- \"$2\")) ;;");
        if (fuseln_words[i]->runs)
            printf("    %s:*) COMPREPLY=($(compgen -c -- \"$2\")) ;;\n", fuseln_words[i]->name);
    }
    puts("    esac\n"
         "    [[ ${COMPREPLY-} != *= ]] || compopt -o nospace\n"
         "}\n"
         "complete -o default -F _fuseln fuseln");
}

/* Quotes, brackets and colons mean something to _arguments and _values. */
static void print_zsh_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\'", stdout);
        else if (strchr("[]:", *text))
            putchar('\\');
        putchar(*text);
    }
}

static void print_zsh(void)
{
    puts("#compdef fuseln\n"
         "local -a words_of_fuseln=(");
    for (size_t i = 0; fuseln_words[i]; i++) {
        printf("    '%s:", fuseln_words[i]->name);
        print_zsh_text(fuseln_words[i]->help);
        puts("'");
    }
    puts(")\n"
         "if ((CURRENT == 2)); then\n"
         "    _describe -t commands word words_of_fuseln\n"
         "    _arguments '--help[print help]' '--version[print the version]'\n"
         "    return\nfi\n"
         "local word=$words[2]\n"
         "shift words\n((CURRENT--))\n"
         "case $word in");
    for (size_t i = 0; fuseln_words[i]; i++) {
        const bool program = strstr(fuseln_words[i]->arguments, "PROGRAM");
        printf("%s)\n    _arguments '--help[print help]'", fuseln_words[i]->name);
        for (const struct argp_option *option = fuseln_words[i]->options; option->name; option++) {
            printf(" \\\n        '(-%c --%s)'{-%c%s,--%s%s}'[", option->key, option->name, option->key,
                   option->arg ? "+" : "", option->name, option->arg ? "=" : "");
            print_zsh_text(option->doc);
            printf("]%s%s%s'", option->arg ? ":" : "", option->arg ? option->arg : "",
                   option->arg && strcmp(option->arg, "FILE") == 0 ? ":_files"
                   : option->arg                                   ? ": "
                                                                   : "");
        }
        puts(program ? " \\\n        '(-)1:program:_command_names -e' '*::arguments:_normal'\n    ;;"
                     : " \\\n        '*:file:_files'\n    ;;");
    }
    puts("esac");
}

/* ---- the tables of the READMEs ---- */

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

static void table_of_targets(void)
{
    struct fuseln_target_row row, before;
    const struct fuseln_framework *framework, *last = NULL;

    for (size_t i = 0; (framework = fuseln_targets_row(i, &row)); i++) {
        const char *name = "", *operation;
        const int length = function_length(row.symbol, &name);
        const int operation_bytes = operation_length(row.words, &operation);
        if (i > 0 && is_same(i - 1, &row, &before))
            continue;
        if (framework != last)
            printf("%s| target | %s | computes | releases |\n|---|---|---|---|\n", last ? "\n" : "",
                   framework->program);
        last = framework;
        printf("| `%s` | `%.*s` | %.*s | ", row.name, length, name, operation_bytes, operation);
        print_releases(i, &row);
        puts(" |");
    }
}

static void table_of_builds(void)
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

static void table_of_variables(void)
{
    puts("| variable | default | meaning |\n|---|---|---|");
#define X(name, fallback, allowed, text)                                                                   \
    printf("| `FUSELN_%s` | %s%s%s | %s |\n", #name, *fallback ? "`" : "", *fallback ? fallback : "unset", \
           *fallback ? "`" : "", text);
    FUSELN_VARIABLES(X)
#undef X
}

static void table_of_reasons(void)
{
    puts("| reason | the original is launched because |\n|---|---|");
    for (int verdict = 1; verdict < FUSELN_VERDICT_COUNT; verdict++)
        printf("| `%s` | %s |\n", fuseln_verdict_key((enum fuseln_verdict)verdict),
               fuseln_verdict_text((enum fuseln_verdict)verdict));
}

static void table_of_pairings(void)
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
    } pages[] = {{"fuseln.1", print_command},
                 {"libfuseln.7", print_library},
                 {"bash", print_bash},
                 {"zsh", print_zsh},
                 {"targets", table_of_targets},
                 {"builds", table_of_builds},
                 {"variables", table_of_variables},
                 {"reasons", table_of_reasons},
                 {"pairings", table_of_pairings}};

    for (size_t i = 0; argc == 2 && i < sizeof pages / sizeof *pages; i++)
        if (strcmp(argv[1], pages[i].name) == 0) {
            pages[i].print();
            return fflush(stdout) != 0;
        }
    fputs("usage: pages", stderr);
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        fprintf(stderr, "%c%s", i ? '|' : ' ', pages[i].name);
    fputc('\n', stderr);
    return 2;
}
