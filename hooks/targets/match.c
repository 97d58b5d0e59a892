/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See targets.h. A name is  _ZN2at6native <len> _GLOBAL__N__<8 hex>_20_layer_norm_kernel_cu_<8 hex>[_<digits>] <rest>:
 * len delimits the translation unit with its per-build hash, and rest must equal a row's pattern to the last letter.
 * Patterns are written for float; $T stands for element and accumulator type, $R for an optional rms flag (PyTorch
 * 2.9 on), $U for an unsigned and $B for a bool template argument, and the two substitutions that a class type (c10::
 * Half, BFloat16) adds are counted into every S<n>_. group_norm, Paddle and CTranslate2 reuse these function names:
 * other translation unit, other parameters, no match.
 */
#include "hooks/targets/match.h"

#include "core/decode.h"

#include <stdio.h>
#include <string.h>

/*
 * X(name, OP, pattern, arguments, columns per block of the original's grid.x (0: one block a row), versions)
 * Arguments: role words of registry.h; a pointer unless a type follows the colon (acc: float, double for f64).
 * `partial` is no argument: the original writes gridDim.y rows of partial sums instead of one row of sums.
 */
// clang-format off
#define DGAMMA_ARGS "rows:i64 cols:i64 dy x mean rstd dgamma dbeta"
#define DGAMMA_TAIL "EEvllPKT_S5_PKT0_S8_PS3_S9_"
#define TARGET_ROWS(X) \
    X("forward/vectorized",  FORWARD, "28vectorized_layer_norm_kernelI$T$REEviT0_PKT_S6_S6_PS3_S7_PS4_",       \
      "cols:i32 eps:acc x gamma beta mean rstd y",           0, "1.13 and later")                              \
    X("moments",             MOMENTS, "24RowwiseMomentsCUDAKernelI$T$REEvlT0_PKT_PS3_S7_",                      \
      "cols:i64 eps:acc x mean rstd",                        0, "1.13 to 2.13")                                \
    X("moments/rows",        MOMENTS, "24RowwiseMomentsCUDAKernelI$T$REEvllT0_PKT_PS3_S7_",                     \
      "rows:i64 cols:i64 eps:acc x mean rstd",               0, "2.14 and later")                              \
    X("apply",               APPLY,   "26LayerNormForwardCUDAKernelI$T$REEvlPKT_PKT0_S8_S5_S5_PS3_",            \
      "cols:i64 x mean rstd gamma beta y",                   0, "1.13 to 2.13")                                \
    X("apply/rows",          APPLY,   "26LayerNormForwardCUDAKernelI$T$REEvllPKT_PKT0_S8_S5_S5_PS3_",           \
      "rows:i64 cols:i64 x mean rstd gamma beta y",          0, "2.14 and later")                              \
    X("dx",                  DX,      "28layer_norm_grad_input_kernelI$T$REEvPKT_S5_PKT0_S8_S5_PS3_i",          \
      "dy x mean rstd gamma dx cols:i32",                    0, "1.13 and later")                              \
    X("dx/vectorized",       DX,      "39layer_norm_grad_input_kernel_vectorizedI$T$REEvPKT_S5_PKT0_S8_S5_PS3_i", \
      "dy x mean rstd gamma dx cols:i32",                    0, "2.2 and later")                               \
    X("dgamma/simple",       DGAMMA,  "33GammaBetaBackwardSimpleCUDAKernelI$T" DGAMMA_TAIL,                     \
      DGAMMA_ARGS,                                         256, "1.13 to 2.7")                                 \
    X("dgamma/16x32",        DGAMMA,  "27GammaBetaBackwardCUDAKernelI$T" DGAMMA_TAIL,                           \
      DGAMMA_ARGS,                                          16, "1.13 to 2.7")                                 \
    X("dgamma/32x32",        DGAMMA,  "33GammaBetaBackwardCUDAKernel_32x32I$T" DGAMMA_TAIL,                     \
      DGAMMA_ARGS,                                          32, "2.0 to 2.7")                                  \
    X("dgamma/template",     DGAMMA,  "35GammaBetaBackwardCUDAKernelTemplateI$TLj32E$U$ULb0E$B$R" DGAMMA_TAIL,  \
      DGAMMA_ARGS,                                          32, "2.8 and later")                               \
    X("dgamma/partial",      DGAMMA,  "35GammaBetaBackwardCUDAKernelTemplateI$TLj32E$U$ULb1E$B$R" DGAMMA_TAIL,  \
      DGAMMA_ARGS " partial",                               32, "2.8 and later")

/* Builds whose kernels were tested here. X(build-id of the library, what it is) */
#define KNOWN_BUILDS(X) \
    X("4b4d248841eeece6dc64c71462b5cb1071864cd9", "PyTorch 2.15.0, CUDA 13.2 wheel, libtorch_cuda.so")
// clang-format on

static const struct fuseln_target_row rows[] = {
#define X(name, op, symbol, arguments, cols_per_block, versions) \
    {name, FUSELN_OP_##op, symbol, arguments, cols_per_block, versions},
    TARGET_ROWS(X)
#undef X
};

/* How a dtype stands in a template argument list, with its accumulator, and the substitutions it adds. */
static const struct {
    const char *encoding;
    int substitutions;
    enum fuseln_arg_type acc;
} types[FUSELN_DTYPE_COUNT] = {
    [FUSELN_DTYPE_F32] = {"ff", 0, FUSELN_ARG_F32},
    [FUSELN_DTYPE_F16] = {"N3c104HalfEf", 2, FUSELN_ARG_F32},
    [FUSELN_DTYPE_BF16] = {"N3c108BFloat16Ef", 2, FUSELN_ARG_F32},
    [FUSELN_DTYPE_F64] = {"dd", 0, FUSELN_ARG_F64},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool skip_hex8(const char **at)
{
    for (int i = 0; i < 8; i++, (*at)++)
        if (!is_digit(**at) && !(**at >= 'a' && **at <= 'f'))
            return false;
    return true;
}

static bool skip_text(const char **at, const char *text)
{
    size_t n = strlen(text);

    if (strncmp(*at, text, n) != 0)
        return false;
    *at += n;
    return true;
}

/* What follows the translation unit layer_norm_kernel.cu of at::native, or NULL for any other name. */
static const char *past_translation_unit(const char *symbol)
{
    const char *at = symbol;
    size_t length = 0;

    if (!skip_text(&at, "_ZN2at6native"))
        return NULL;
    while (is_digit(*at) && length < 1000)
        length = length * 10 + (size_t)(*at++ - '0');
    const char *begin = at;
    if (!skip_text(&at, "_GLOBAL__N__") || !skip_hex8(&at) || !skip_text(&at, "_20_layer_norm_kernel_cu_") ||
        !skip_hex8(&at))
        return NULL;
    size_t fixed = (size_t)(at - begin);
    if (length == fixed)
        return at;
    if (length < fixed + 2 || *at++ != '_') /* some nvcc releases add _<digits> */
        return NULL;
    while (at < begin + length && is_digit(*at))
        at++;
    return at == begin + length ? at : NULL;
}

/* One placeholder of a pattern against the name: $R optional bool literal, $B bool, $U unsigned. */
static bool match_literal(char kind, const char **at, bool *rms)
{
    if (kind == 'U') {
        if (!skip_text(at, "Lj") || !is_digit(**at))
            return false;
        while (is_digit(**at))
            (*at)++;
        return skip_text(at, "E");
    }
    bool one = strncmp(*at, "Lb1E", 4) == 0, zero = strncmp(*at, "Lb0E", 4) == 0;
    if (kind == 'R')
        *rms = one;
    else if (!one && !zero)
        return false;
    *at += one || zero ? 4 : 0;
    return true;
}

/* The letter of substitution n + shift in the base-36 sequence 0-9A-Z. */
static char shifted(char seq, int shift)
{
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const char *found = strchr(letters, seq);
    return found && *found && found + shift < letters + 36 ? found[shift] : '\0';
}

static bool match_pattern(const char *pattern, const char *name, enum fuseln_dtype dtype, bool *ret_rms)
{
    bool rms = false;

    while (*pattern) {
        if (pattern[0] == '$' && pattern[1] == 'T') {
            if (!skip_text(&name, types[dtype].encoding))
                return false;
            pattern += 2;
        } else if (pattern[0] == '$') {
            if (!match_literal(pattern[1], &name, &rms))
                return false;
            pattern += 2;
        } else if (pattern[0] == 'S' && pattern[1] && pattern[2] == '_') {
            if (name[0] != 'S' || name[1] != shifted(pattern[1], types[dtype].substitutions) || name[2] != '_')
                return false;
            pattern += 3;
            name += 3;
        } else if (*pattern++ != *name++) {
            return false;
        }
    }
    *ret_rms = rms;
    return *name == '\0';
}

static int find_word(const char *word, size_t length)
{
    static const char *const words[FUSELN_ROLE_COUNT] = {
#define X(id, text) text,
        FUSELN_ROLES(X)
#undef X
    };

    for (int i = 0; i < FUSELN_ROLE_COUNT; i++)
        if (strlen(words[i]) == length && memcmp(words[i], word, length) == 0)
            return i;
    return -1;
}

static enum fuseln_arg_type find_type(const char *word, enum fuseln_dtype dtype)
{
    static const struct {
        const char *word;
        enum fuseln_arg_type type;
    } scalars[] = {{":i32", FUSELN_ARG_I32}, {":i64", FUSELN_ARG_I64}};

    for (size_t i = 0; i < sizeof(scalars) / sizeof(scalars[0]); i++)
        if (strncmp(word, scalars[i].word, 4) == 0)
            return scalars[i].type;
    return strncmp(word, ":acc", 4) == 0 ? types[dtype].acc : FUSELN_ARG_PTR;
}

static bool parse_arguments(const struct fuseln_target_row *row, enum fuseln_dtype dtype,
                            struct fuseln_layout *ret_layout)
{
    struct fuseln_layout layout = {.cols_per_block = row->cols_per_block};

    for (const char *at = row->arguments; *at; at += strspn(at, " ")) {
        size_t word = strcspn(at, ": ");
        if (strncmp(at, "partial", word) == 0) {
            layout.partial = true;
            at += word;
            continue;
        }
        int role = find_word(at, word);
        if (role < 0 || layout.count == FUSELN_ARGS_MAX)
            return false;
        layout.role[layout.count] = (unsigned char)role;
        layout.type[layout.count++] = (unsigned char)find_type(at + word, dtype);
        at += strcspn(at, " ");
    }
    fuseln_decode_prepare(&layout);
    *ret_layout = layout;
    return true;
}

static bool match_row(const struct fuseln_target_row *row, const char *rest, struct fuseln_target *target)
{
    for (int dtype = 0; dtype < FUSELN_DTYPE_COUNT; dtype++) {
        target->op = row->op;
        target->dtype = (enum fuseln_dtype)dtype;
        if (match_pattern(row->symbol, rest, target->dtype, &target->rms) &&
            parse_arguments(row, target->dtype, &target->layout))
            return true;
    }
    return false;
}

bool fuseln_targets_match_row(size_t index, const char *symbol, struct fuseln_target *ret_target)
{
    const char *rest = past_translation_unit(symbol);
    struct fuseln_target target = {.symbol = symbol};

    if (!rest || !match_row(&rows[index], rest, &target))
        return false;
    snprintf(target.name, sizeof(target.name), "pytorch/%s%s/%s", target.rms ? "rms-" : "", rows[index].name,
             fuseln_dtype_name(target.dtype));
    *ret_target = target;
    return true;
}

bool fuseln_targets_match(const char *symbol, struct fuseln_target *ret_target)
{
    if (!past_translation_unit(symbol))
        return false;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (fuseln_targets_match_row(i, symbol, ret_target))
            return true;
    return false;
}

bool fuseln_targets_known_build(const char *build_id)
{
    static const char *const known[] = {
#define X(id, text) id,
        KNOWN_BUILDS(X)
#undef X
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i], build_id) == 0)
            return true;
    return false;
}

bool fuseln_targets_row(size_t index, struct fuseln_target_row *ret_row)
{
    if (index >= sizeof(rows) / sizeof(rows[0]))
        return false;
    *ret_row = rows[index];
    return true;
}
