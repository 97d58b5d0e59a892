/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser of words.h. Each key is one row of a table; what it sets is checked once more when all are read.
 */
#include "hooks/targets/words.h"

#include <string.h>

enum { NONE = -1, KEYS_MAX = 64 /* there are fewer words */ };

struct parser {
    struct fuseln_target *target;
    struct fuseln_layout *layout;
    struct fuseln_refusal refusal;
    bool has_dtype, has_op, op_is_rms, has_rows, has_eps;
    unsigned named;                    /* bit i: argument i has a role, is required or ignored */
    unsigned roles;                    /* bit r: the row names the pointer of role r */
    struct fuseln_text keys[KEYS_MAX]; /* that were read, each a word of a row */
    int key_count;
};

bool fuseln_text_is(struct fuseln_text text, const char *word)
{
    return strlen(word) == text.length && memcmp(word, text.at, text.length) == 0;
}

static bool refuse(struct parser *parser, const char *reason, struct fuseln_text what)
{
    parser->refusal = (struct fuseln_refusal){reason, what};
    return false;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip(struct fuseln_text *text, size_t n)
{
    text->at += n;
    text->length -= n;
}

static void skip_spaces(struct fuseln_text *text)
{
    while (text->length && is_space(*text->at))
        skip(text, 1);
}

bool fuseln_text_part(struct fuseln_text *rest, char separator, struct fuseln_text *ret_part)
{
    size_t n = 0;

    skip_spaces(rest);
    if (!rest->length)
        return false;
    while (n < rest->length && (separator == ' ' ? !is_space(rest->at[n]) : rest->at[n] != separator))
        n++;
    *ret_part = (struct fuseln_text){rest->at, n};
    skip(rest, n < rest->length ? n + 1 : n);
    while (ret_part->length && is_space(ret_part->at[ret_part->length - 1]))
        ret_part->length--;
    return true;
}

/* Is there `key =`, but not `==`, at the beginning? *ret_key is the key, and what is returned the length of both. */
static size_t key_at(struct fuseln_text text, struct fuseln_text *ret_key)
{
    size_t n = 0;

    while (n < text.length && !is_space(text.at[n]) && text.at[n] != '=')
        n++;
    *ret_key = (struct fuseln_text){text.at, n};
    while (n < text.length && is_space(text.at[n]))
        n++;
    const bool is_key =
        ret_key->length && n < text.length && text.at[n] == '=' && (n + 1 == text.length || text.at[n + 1] != '=');
    return is_key ? n + 1 : 0;
}

bool fuseln_words_field(struct fuseln_text *row, struct fuseln_text *ret_key, struct fuseln_text *ret_value)
{
    struct fuseln_text other;
    size_t n;

    skip_spaces(row);
    if (!(n = key_at(*row, ret_key)))
        return false;
    skip(row, n);
    skip_spaces(row);
    *ret_value = (struct fuseln_text){row->at, 0};
    while (row->length && !key_at(*row, &other)) { /* word by word */
        struct fuseln_text word;
        fuseln_text_part(row, ' ', &word);
        ret_value->length = (size_t)(word.at + word.length - ret_value->at);
        skip_spaces(row);
    }
    return true;
}

/* ---- Values ---- */

static bool parse_integer(struct fuseln_text text, int64_t *ret_value)
{
    const bool negative = text.length && *text.at == '-';

    skip(&text, negative);
    if (!text.length || text.length > 18)
        return false;
    *ret_value = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        *ret_value = *ret_value * 10 + (text.at[i] - '0');
    }
    *ret_value = negative ? -*ret_value : *ret_value;
    return true;
}

/* A number such as 1e-5 or 0.25, rounded once: both parts are exact below 2^53 and 10^22. */
static bool parse_real(struct fuseln_text text, double *ret_value)
{
    struct fuseln_text part, rest = text;
    int64_t digits = 0, exponent = 0;

    if (!fuseln_text_part(&rest, 'e', &part) || (rest.length && !parse_integer(rest, &exponent)))
        return false;
    if (!part.length || (part.length == 1 && *part.at == '.'))
        return false;
    for (size_t i = 0, behind = 0; i < part.length; i++) {
        const char c = part.at[i];
        if ((c == '.') ? behind : c < '0' || c > '9')
            return false;
        if (c == '.') {
            behind = 1;
            continue;
        }
        digits = digits * 10 + (c - '0');
        exponent -= (int64_t)behind;
        if (digits > (int64_t)1 << 53)
            return false;
    }
    if (exponent < -22 || exponent > 22)
        return false;
    double power = 1;
    for (int64_t i = 0; i < (exponent < 0 ? -exponent : exponent); i++)
        power *= 10;
    *ret_value = exponent < 0 ? (double)digits / power : (double)digits * power;
    return true;
}

/* arg0, arg1, ...: the index, NONE if it is something else. */
static int argument_of(struct fuseln_text text)
{
    int64_t index;

    if (text.length < 4 || memcmp(text.at, "arg", 3) != 0)
        return NONE;
    skip(&text, 3);
    return parse_integer(text, &index) && index >= 0 && index < FUSELN_ARGS_MAX ? (int)index : NONE;
}

/* Gives an argument its role. */
static bool name_argument(struct parser *parser, struct fuseln_text value, enum fuseln_role role, int *ret_argument)
{
    const int argument = argument_of(value);

    if (argument == NONE)
        return refuse(parser, "is not an argument, such as arg0", value);
    if (parser->named >> argument & 1)
        return refuse(parser, "is named twice", value);
    parser->named |= 1u << argument;
    parser->layout->role[argument] = (unsigned char)role;
    *ret_argument = argument;
    return true;
}

static bool add_pointer(struct parser *parser, int argument, unsigned role, struct fuseln_text what)
{
    struct fuseln_layout *layout = parser->layout;

    if (parser->roles >> role & 1)
        return refuse(parser, "is said twice", what);
    parser->roles |= 1u << role;
    layout->pointers[layout->pointer_count++] = (struct fuseln_pointer){(unsigned char)argument, (unsigned char)role};
    return true;
}

/* ---- Keys ---- */

static int find_pointer_role(struct fuseln_text word)
{
    static const char *const words[] = {
#define X(id, text) text,
        FUSELN_POINTER_ROLES(X)
#undef X
    };

    for (int i = 0; i < FUSELN_POINTER_ROLES_END; i++)
        if (fuseln_text_is(word, words[i]))
            return i;
    return NONE;
}

static bool set_pointer(struct parser *parser, struct fuseln_text key, struct fuseln_text value)
{
    const bool nullable = key.at[key.length - 1] == '?';
    const int role = find_pointer_role((struct fuseln_text){key.at, key.length - nullable});
    int argument;

    if (role == NONE)
        return refuse(parser, "is not a word of a row", key);
    if (!name_argument(parser, value, (enum fuseln_role)role, &argument))
        return false;
    if (nullable)
        parser->layout->nullable |= 1u << role;
    return add_pointer(parser, argument, (unsigned)role, key);
}

/* y:x: the argument that is x is y, too. */
static bool set_inplace(struct parser *parser, struct fuseln_text value)
{
    struct fuseln_text pair;

    while (fuseln_text_part(&value, ',', &pair)) {
        struct fuseln_text rest = pair, second = {"", 0};
        fuseln_text_part(&rest, ':', &second);
        const int role = find_pointer_role(second), other = find_pointer_role(rest);
        int argument = NONE;
        for (int i = 0; i < FUSELN_ARGS_MAX && argument == NONE; i++)
            if (other != NONE && parser->named >> i & 1 && parser->layout->role[i] == other)
                argument = i;
        if (role == NONE || argument == NONE)
            return refuse(parser, "is not two roles, such as y:x, of which the row names the second before", pair);
        if (!add_pointer(parser, argument, (unsigned)role, second))
            return false;
    }
    return true;
}

static bool set_args(struct parser *parser, struct fuseln_text value)
{
    static const char *const words[] = {
#define X(id, text, bytes) text,
        FUSELN_ARG_TYPES(X)
#undef X
    };
    struct fuseln_layout *layout = parser->layout;
    struct fuseln_text word;

    while (fuseln_text_part(&value, ' ', &word)) {
        unsigned type = 0;
        if (fuseln_text_is(word, "acc"))
            type = parser->target->dtype == FUSELN_DTYPE_F64 ? FUSELN_ARG_F64 : FUSELN_ARG_F32;
        else
            while (type < FUSELN_ARG_TYPE_COUNT && !fuseln_text_is(word, words[type]))
                type++;
        if (type == FUSELN_ARG_TYPE_COUNT)
            return refuse(parser, "is not a type: ptr i32 u32 i64 f32 f64 bool", word);
        if (layout->count == FUSELN_ARGS_MAX)
            return refuse(parser, "is one argument too many (32 are allowed)", word);
        layout->type[layout->count++] = (unsigned char)type;
    }
    return true;
}

static bool set_op(struct parser *parser, struct fuseln_text value)
{
    static const struct {
        const char *word;
        enum fuseln_op op;
        bool rms;
    } ops[] = {
        {"layernorm", FUSELN_OP_FORWARD, false},         {"rmsnorm", FUSELN_OP_FORWARD, true},
        {"layernorm.dx", FUSELN_OP_DX, false},           {"rmsnorm.dx", FUSELN_OP_DX, true},
        {"layernorm.dgamma", FUSELN_OP_DGAMMA, false},   {"rmsnorm.dgamma", FUSELN_OP_DGAMMA, true},
        {"layernorm.moments", FUSELN_OP_MOMENTS, false}, {"layernorm.apply", FUSELN_OP_APPLY, false},
    };

    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (!fuseln_text_is(value, ops[i].word))
            continue;
        parser->target->op = ops[i].op;
        parser->op_is_rms = ops[i].rms;
        parser->target->rms |= ops[i].rms;
        parser->has_op = true;
        return true;
    }
    return refuse(parser, "is not an operation: layernorm, rmsnorm, and of both .dx and .dgamma", value);
}

static bool find_dtype(struct fuseln_text value, enum fuseln_dtype *ret_dtype)
{
    for (int i = 0; i < FUSELN_DTYPE_COUNT; i++) {
        if (!fuseln_text_is(value, fuseln_dtype_name((enum fuseln_dtype)i)))
            continue;
        *ret_dtype = (enum fuseln_dtype)i;
        return true;
    }
    return false;
}

static bool set_dtype(struct parser *parser, struct fuseln_text value)
{
    if (parser->has_dtype || !find_dtype(value, &parser->target->dtype))
        return refuse(parser, "is not f32, f16, bf16 or f64, or the name says it", value);
    parser->has_dtype = true;
    return true;
}

/* The type of the elements decides what other words mean, so it is read first. */
static bool find_dtype_field(struct parser *parser, struct fuseln_text row)
{
    struct fuseln_text key, value;

    while (fuseln_words_field(&row, &key, &value))
        if (fuseln_text_is(key, "dtype") && !set_dtype(parser, value))
            return false;
    return true;
}

static enum fuseln_dtype sums_dtype(const struct parser *parser)
{
    return parser->target->dtype == FUSELN_DTYPE_F64 ? FUSELN_DTYPE_F64 : FUSELN_DTYPE_F32;
}

/* wdtype, ydtype, rdtype and, of the statistics, sdtype. */
static bool check_dtype(struct parser *parser, struct fuseln_text key, struct fuseln_text value)
{
    enum fuseln_dtype said;

    return (find_dtype(value, &said) && said == (*key.at == 's' ? sums_dtype(parser) : parser->target->dtype)) ||
           refuse(parser, "is not a type that our kernels have here", value);
}

static bool set_rounding(struct parser *parser, struct fuseln_text word, enum fuseln_rounding rounding)
{
    enum fuseln_rounding *said = &parser->layout->rounding;

    if (*said && *said != rounding)
        return refuse(parser, "contradicts what the row says before of rounding", word);
    *said = rounding;
    return true;
}

/* Of dgamma and dbeta. */
static bool set_gradient_dtype(struct parser *parser, struct fuseln_text value)
{
    enum fuseln_dtype said = sums_dtype(parser);

    if (!fuseln_text_is(value, "acc") &&
        (!find_dtype(value, &said) || (said != parser->target->dtype && said != sums_dtype(parser))))
        return refuse(parser, "is neither the type of x nor acc", value);
    return said == parser->target->dtype || set_rounding(parser, value, FUSELN_UNROUNDED);
}

static bool set_rows(struct parser *parser, struct fuseln_text value)
{
    struct fuseln_layout *layout = parser->layout;

    parser->has_rows = true;
    if (argument_of(value) != NONE)
        return name_argument(parser, value, FUSELN_ROLE_ROWS, &layout->rows);
    if (fuseln_text_is(value, "grid.x*block.y"))
        layout->rows_from = FUSELN_ROWS_GRID_X_BLOCK_Y;
    else if (fuseln_text_is(value, "grid.x*grid.y*grid.z"))
        layout->rows_from = FUSELN_ROWS_GRID;
    else if (!fuseln_text_is(value, "grid.x"))
        return refuse(parser, "is not an argument, grid.x, grid.x*block.y or grid.x*grid.y*grid.z", value);
    return true;
}

static bool set_eps(struct parser *parser, struct fuseln_text value)
{
    parser->has_eps = true;
    if (argument_of(value) != NONE)
        return name_argument(parser, value, FUSELN_ROLE_EPS, &parser->layout->eps);
    return parse_real(value, &parser->layout->eps_value) ||
           refuse(parser, "is neither an argument nor a number", value);
}

static bool set_gamma_add(struct parser *parser, struct fuseln_text value)
{
    double real;

    if (argument_of(value) != NONE)
        return name_argument(parser, value, FUSELN_ROLE_GAMMA_ADD, &parser->layout->add);
    if (!parse_real(value, &real))
        return refuse(parser, "is neither an argument nor a number", value);
    parser->layout->gamma_add = (float)real;
    return true;
}

static bool add_require(struct parser *parser, struct fuseln_text argument, struct fuseln_require require)
{
    struct fuseln_layout *layout = parser->layout;
    int index;

    if (layout->require_count == FUSELN_REQUIRES_MAX)
        return refuse(parser, "is one too many to require (8 are allowed)", argument);
    if (!name_argument(parser, argument, FUSELN_ROLE_REQUIRE, &index))
        return false;
    require.argument = (unsigned char)index;
    layout->require[layout->require_count++] = require;
    return true;
}

/* rows*cols: a bit for each. */
static bool parse_factors(struct fuseln_text product, unsigned char *ret_factors)
{
    static const char *const words[] = {
#define X(id, word) word,
        FUSELN_FACTORS(X)
#undef X
    };
    struct fuseln_text one;
    unsigned factors = 0;

    if (product.length && product.at[product.length - 1] == '*')
        return false;
    while (fuseln_text_part(&product, '*', &one)) {
        unsigned i = 0;
        while (i < FUSELN_FACTOR_COUNT && !fuseln_text_is(one, words[i]))
            i++;
        if (i == FUSELN_FACTOR_COUNT || factors >> i & 1)
            return false;
        factors |= 1u << i;
    }
    *ret_factors = (unsigned char)factors;
    return factors;
}

static bool parse_required(struct fuseln_text relation, struct fuseln_text value, struct fuseln_require *ret_require)
{
    struct fuseln_text low;

    *ret_require = (struct fuseln_require){0};
    if (fuseln_text_is(relation, "null"))
        return !value.length;
    if (fuseln_text_is(relation, "in")) {
        if (!fuseln_text_part(&value, '.', &low) || !value.length || *value.at != '.')
            return false;
        skip(&value, 1);
        return parse_integer(low, &ret_require->low) && parse_integer(value, &ret_require->high) &&
               ret_require->low <= ret_require->high;
    }
    if (!fuseln_text_is(relation, "=="))
        return false;
    if (parse_factors(value, &ret_require->factors))
        return true;
    return parse_integer(value, &ret_require->low) && parse_integer(value, &ret_require->high);
}

static bool set_require(struct parser *parser, struct fuseln_text value)
{
    struct fuseln_text one;

    while (fuseln_text_part(&value, ',', &one)) {
        struct fuseln_text rest = one, argument = {"", 0}, relation = {"", 0};
        struct fuseln_require require;
        fuseln_text_part(&rest, ' ', &argument);
        fuseln_text_part(&rest, ' ', &relation);
        skip_spaces(&rest);
        if (!parse_required(relation, rest, &require))
            return refuse(parser,
                          "is not `arg0 == 0` (or rows, cols, grid.x, grid.y, or a product of them), `arg0 null` or "
                          "`arg0 in 1..4`",
                          one);
        if (!add_require(parser, argument, require))
            return false;
    }
    return true;
}

static bool set_ignore(struct parser *parser, struct fuseln_text value)
{
    struct fuseln_text one;
    int unused;

    while (fuseln_text_part(&value, ',', &one))
        if (!name_argument(parser, one, FUSELN_ROLE_IGNORE, &unused))
            return false;
    return true;
}

/* Arguments that have a role besides. */
static bool set_in(struct parser *parser, struct fuseln_text value)
{
    struct fuseln_text one;

    while (fuseln_text_part(&value, ',', &one)) {
        const int argument = argument_of(one);
        if (argument == NONE)
            return refuse(parser, "is not an argument, such as arg0", one);
        parser->layout->in |= 1u << argument;
    }
    return true;
}

/* Of the beginning of a build-id. */
static bool is_hex(struct fuseln_text id)
{
    size_t digits = 0;

    while (digits < id.length && memchr("0123456789abcdef", id.at[digits], 16))
        digits++;
    return digits == id.length;
}

static bool check_builds(struct parser *parser, struct fuseln_text value)
{
    struct fuseln_text one;

    while (fuseln_text_part(&value, ',', &one))
        if (one.length < FUSELN_BUILD_DIGITS || one.length > FUSELN_BUILD_DIGITS_MOST || !is_hex(one))
            return refuse(parser, "is not the beginning of a build-id: 8 to 40 hex digits, in small letters", one);
    return true;
}

/* hooks/targets/user_rows.c has read it. */
static bool pass_over(struct parser *parser, struct fuseln_text value)
{
    (void)parser, (void)value;
    return true;
}

static bool set_round(struct parser *parser, struct fuseln_text value)
{
    struct fuseln_text one;

    while (fuseln_text_part(&value, ' ', &one)) {
        const bool bias_last = fuseln_text_is(one, "bias-last");
        if (fuseln_text_is(one, "before-affine"))
            parser->layout->round_affine = true;
        else if (bias_last || fuseln_text_is(one, "sum") || fuseln_text_is(one, "each-add")) {
            if (!set_rounding(parser, one, bias_last ? FUSELN_BIAS_LAST : FUSELN_BIAS_FIRST))
                return false;
        } else if (!fuseln_text_is(one, "end"))
            return refuse(parser, "is not end, before-affine, sum, each-add or bias-last", one);
    }
    return true;
}

static bool set_number(struct parser *parser, struct fuseln_text value, unsigned *ret_number)
{
    int64_t number;

    if (!parse_integer(value, &number) || number < 1 || number > 65536)
        return refuse(parser, "is not a number from 1 to 65536", value);
    *ret_number = (unsigned)number;
    return true;
}

static bool expect_word(struct parser *parser, struct fuseln_text value, const char *word, const char *reason)
{
    return fuseln_text_is(value, word) || refuse(parser, reason, value);
}

static bool set_field(struct parser *parser, struct fuseln_text key, struct fuseln_text value)
{
    struct fuseln_layout *layout = parser->layout;
    static const struct {
        const char *key;
        bool (*set)(struct parser *parser, struct fuseln_text value);
    } keys[] = {{"args", set_args},
                {"op", set_op},
                {"rows", set_rows},
                {"eps", set_eps},
                {"require", set_require},
                {"ignore", set_ignore},
                {"round", set_round},
                {"inplace", set_inplace},
                {"gamma_add", set_gamma_add},
                {"in", set_in},
                {"symbol", pass_over},
                {"build", check_builds},
                {"gdtype", set_gradient_dtype}};

    if (!value.length)
        return refuse(parser, "has no value", key);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (fuseln_text_is(key, keys[i].key))
            return keys[i].set(parser, value);
    if (fuseln_text_is(key, "dtype"))
        return true;
    if (fuseln_text_is(key, "cols"))
        return name_argument(parser, value, FUSELN_ROLE_COLS, &layout->cols);
    if (fuseln_text_is(key, "rms"))
        return name_argument(parser, value, FUSELN_ROLE_RMS, &layout->rms);
    if (fuseln_text_is(key, "cols_per_block"))
        return set_number(parser, value, &layout->cols_per_block);
    if (fuseln_text_is(key, "xstride") || fuseln_text_is(key, "ystride") || fuseln_text_is(key, "rstride"))
        return add_require(parser, value, (struct fuseln_require){.factors = 1u << FUSELN_FACTOR_COLS});
    if (key.length == 6 && memcmp(key.at + 1, "dtype", 5) == 0 && memchr("wyrs", *key.at, 4))
        return check_dtype(parser, key, value);
    if (fuseln_text_is(key, "rows_loop")) {
        layout->rows_from = FUSELN_ROWS_LOOP;
        return expect_word(parser, value, "grid.y", "is not grid.y");
    }
    if (fuseln_text_is(key, "out_rows"))
        return layout->partial = true, expect_word(parser, value, "grid.y", "is not grid.y");
    if (fuseln_text_is(key, "variance"))
        return layout->one_pass = true, expect_word(parser, value, "one-pass", "is not one-pass");
    return key.length ? set_pointer(parser, key, value) : refuse(parser, "has no key", value);
}

/* ---- What a whole row must have ---- */

static bool argument_is(const struct fuseln_layout *layout, int argument, unsigned types)
{
    return argument == NONE || types >> layout->type[argument] & 1;
}

static bool types_fit(const struct fuseln_layout *layout)
{
    const unsigned integers = 1u << FUSELN_ARG_I32 | 1u << FUSELN_ARG_U32 | 1u << FUSELN_ARG_I64,
                   reals = 1u << FUSELN_ARG_F32 | 1u << FUSELN_ARG_F64, pointer = 1u << FUSELN_ARG_PTR,
                   flag = 1u << FUSELN_ARG_BOOL;
    bool fit = argument_is(layout, layout->rows, integers) && argument_is(layout, layout->cols, integers) &&
               argument_is(layout, layout->eps, reals) && argument_is(layout, layout->rms, integers | flag) &&
               argument_is(layout, layout->add, integers | flag | 1u << FUSELN_ARG_F32);

    for (int i = 0; i < layout->pointer_count; i++)
        fit = fit && argument_is(layout, layout->pointers[i].argument, pointer);
    for (int i = 0; i < FUSELN_ARGS_MAX; i++)
        fit = fit && (!(layout->in >> i & 1) || (i < layout->count && argument_is(layout, i, pointer)));
    for (int i = 0; i < layout->require_count; i++)
        fit = fit && argument_is(layout, layout->require[i].argument, integers | pointer | flag);
    return fit;
}

/* What each operation reads or writes at all, and what it cannot do without. */
static bool roles_fit(const struct parser *parser)
{
#define ROLE(id) (1u << FUSELN_ROLE_##id)
    static const struct {
        unsigned needs, may;
    } ops[FUSELN_OP_COUNT] = {
        [FUSELN_OP_FORWARD] = {ROLE(X) | ROLE(Y), ROLE(GAMMA) | ROLE(BETA) | ROLE(MEAN) | ROLE(RSTD) | ROLE(RESIDUAL) |
                                                      ROLE(BIAS) | ROLE(SUM)},
        [FUSELN_OP_MOMENTS] = {ROLE(X) | ROLE(RSTD), ROLE(MEAN)},
        [FUSELN_OP_APPLY] = {ROLE(X) | ROLE(RSTD) | ROLE(Y), ROLE(MEAN) | ROLE(GAMMA) | ROLE(BETA)},
        [FUSELN_OP_DX] = {ROLE(X) | ROLE(DY) | ROLE(RSTD) | ROLE(DX), ROLE(MEAN) | ROLE(GAMMA)},
        [FUSELN_OP_DGAMMA] = {ROLE(X) | ROLE(DY) | ROLE(RSTD), ROLE(MEAN) | ROLE(DGAMMA) | ROLE(DBETA)},
    };
#undef ROLE
    const enum fuseln_op op = parser->target->op;
    const unsigned pointers = parser->roles;
    const unsigned no_mean = 1u << FUSELN_ROLE_MEAN | 1u << FUSELN_ROLE_BETA | 1u << FUSELN_ROLE_DBETA;
    const unsigned gradients = 1u << FUSELN_ROLE_DGAMMA | 1u << FUSELN_ROLE_DBETA;

    if (parser->op_is_rms && pointers & no_mean) /* a name that tells of RMS norm may have them, and leaves them out */
        return false;
    if (op == FUSELN_OP_DGAMMA && !(pointers & gradients))
        return false;

    return !(ops[op].needs & ~pointers) && !(pointers & ~(ops[op].needs | ops[op].may));
}

/* NULL, or which words are of another operation. */
static const char *words_wrong(const struct fuseln_layout *layout, enum fuseln_op op)
{
    const bool unrounded = layout->rounding == FUSELN_UNROUNDED;

    if (op != FUSELN_OP_DGAMMA && (unrounded || layout->partial || layout->cols_per_block))
        return "gdtype, out_rows and cols_per_block are of layernorm.dgamma and rmsnorm.dgamma alone";
    return op != FUSELN_OP_FORWARD && layout->rounding && !unrounded
               ? "only layernorm and rmsnorm have a sum that can be rounded"
               : NULL;
}

/* What the ranges of `require` take besides each other, as one number: a launch's site holds that (core/decode.c). */
static bool ranges_fit(const struct fuseln_layout *layout)
{
    _Static_assert(FUSELN_FLAGS_MAX == 4096, "check_row names it");
    uint64_t values = 1;

    for (int i = 0; i < layout->require_count; i++) {
        const uint64_t range = (uint64_t)layout->require[i].high - (uint64_t)layout->require[i].low;
        if (range >= FUSELN_FLAGS_MAX || (values *= range + 1) > FUSELN_FLAGS_MAX)
            return false;
    }
    return true;
}

static bool check_row(struct parser *parser)
{
    const struct fuseln_layout *layout = parser->layout;
    const struct fuseln_text none = {"", 0};
    const bool forward = parser->target->op == FUSELN_OP_FORWARD || parser->target->op == FUSELN_OP_MOMENTS;

    if (!parser->has_op || !parser->has_dtype || !layout->count || layout->cols == NONE)
        return refuse(parser, "a row needs args, op, dtype and cols", none);
    if (!parser->has_rows)
        return refuse(parser, "a row needs rows: an argument or a part of the grid", none);
    if (parser->has_eps != forward)
        return refuse(parser, forward ? "a forward row needs eps" : "a backward row has no eps", none);
    if (layout->rms != NONE && (forward || parser->target->op == FUSELN_OP_APPLY || parser->target->rms))
        return refuse(parser, "an argument may say `rms` of layernorm.dx and layernorm.dgamma alone", none);
    if (words_wrong(layout, parser->target->op))
        return refuse(parser, words_wrong(layout, parser->target->op), none);
    if (layout->rows_from == FUSELN_ROWS_LOOP && layout->rows == NONE)
        return refuse(parser, "rows_loop needs rows in an argument", none);
    if (!ranges_fit(layout))
        return refuse(parser, "the ranges of require hold more than 4096 values together", none);
    if (parser->named != (layout->count == FUSELN_ARGS_MAX ? ~0u : (1u << layout->count) - 1))
        return refuse(parser, "each of the arguments needs a role, a require or an ignore, and there are no others",
                      none);
    if (!types_fit(layout))
        return refuse(parser, "an argument has another type than its role", none);
    return roles_fit(parser) || refuse(parser, "the pointers are not those of this operation", none);
}

/* RMS norm neither reads nor writes them, whatever its kernel gets. */
static void leave_out(struct fuseln_layout *layout, unsigned roles)
{
    int kept = 0;

    for (int i = 0; i < layout->pointer_count; i++)
        if (!(roles >> layout->pointers[i].role & 1))
            layout->pointers[kept++] = layout->pointers[i];
    layout->pointer_count = (unsigned char)kept;
}

/* What follows from all fields together. */
static void complete(struct fuseln_target *target)
{
    struct fuseln_layout *layout = &target->layout;

    layout->plain = layout->rows_from == FUSELN_ROWS_GRID_X && !layout->require_count && layout->add == NONE &&
                    layout->rms == NONE && layout->gamma_add == 0 && !layout->rounding;
    if (target->rms)
        leave_out(layout, 1u << FUSELN_ROLE_MEAN | 1u << FUSELN_ROLE_BETA | 1u << FUSELN_ROLE_DBETA);
}

/* Was there a field of this key before? Only lists may go on. */
static bool is_said_before(struct parser *parser, struct fuseln_text key)
{
    static const char *const lists[] = {"require", "ignore", "inplace", "in"};

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (fuseln_text_is(key, lists[i]))
            return false;
    for (int i = 0; i < parser->key_count; i++)
        if (parser->keys[i].length == key.length && memcmp(parser->keys[i].at, key.at, key.length) == 0)
            return true;
    if (parser->key_count < KEYS_MAX)
        parser->keys[parser->key_count++] = key;
    return false;
}

static bool parse(struct parser *parser, struct fuseln_text row)
{
    struct fuseln_text key, value;

    if (!find_dtype_field(parser, row))
        return false;
    while (fuseln_words_field(&row, &key, &value)) {
        if (is_said_before(parser, key))
            return refuse(parser, "is said twice", key);
        if (!set_field(parser, key, value))
            return false;
    }
    return row.length ? refuse(parser, "is not a field `key = value`", row) : check_row(parser);
}

bool fuseln_words_parse(struct fuseln_text row, const enum fuseln_dtype *dtype, struct fuseln_target *target,
                        struct fuseln_refusal *ret_refusal)
{
    struct parser parser = {.target = target, .layout = &target->layout, .has_dtype = dtype};

    target->layout = (struct fuseln_layout){.rows = NONE, .cols = NONE, .eps = NONE, .add = NONE, .rms = NONE};
    if (dtype)
        target->dtype = *dtype;
    const bool parsed = parse(&parser, row);
    if (parsed)
        complete(target);
    else
        *ret_refusal = parser.refusal;
    return parsed;
}
