/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of a row: what they set, in any order and on any number of lines; and what is refused, with its reason.
 */
#include "test.h"

#include "hooks/targets/words.h"

#include <stdio.h>
#include <string.h>

static bool parse(const char *words, struct fuseln_target *ret_target, struct fuseln_refusal *ret_refusal)
{
    memset(ret_target, 0, sizeof(*ret_target));
    return fuseln_words_parse((struct fuseln_text){words, strlen(words)}, NULL, ret_target, ret_refusal);
}

static struct fuseln_target parsed(const char *words)
{
    struct fuseln_target target;
    struct fuseln_refusal refusal;

    if (!parse(words, &target, &refusal))
        fail_msg("%s\n%.*s %s", words, (int)refusal.what.length, refusal.what.at, refusal.reason);
    return target;
}

#define LN   "dtype = f16\nargs = u32 f32 ptr ptr ptr ptr\nop = layernorm rows = grid.x  cols = arg0 x = arg2\n"
#define FULL LN "eps = arg1 gamma = arg3 beta? = arg4 y = arg5"

TEST(a_row_says_what_its_arguments_are)
{
    const struct fuseln_target target = parsed(FULL);
    const struct fuseln_layout *layout = &target.layout;
    static const unsigned char roles[] = {FUSELN_ROLE_COLS,  FUSELN_ROLE_EPS,  FUSELN_ROLE_X,
                                          FUSELN_ROLE_GAMMA, FUSELN_ROLE_BETA, FUSELN_ROLE_Y};

    assert_int_equal(target.op, FUSELN_OP_FORWARD);
    assert_int_equal(target.dtype, FUSELN_DTYPE_F16);
    assert_false(target.rms);
    assert_int_equal(layout->count, 6);
    assert_memory_equal(layout->role, roles, sizeof(roles));
    assert_int_equal(layout->type[0], FUSELN_ARG_U32);
    assert_int_equal(layout->type[5], FUSELN_ARG_PTR);
    assert_int_equal(layout->pointer_count, 4);
    assert_int_equal(layout->nullable, 1u << FUSELN_ROLE_BETA);
    assert_true(layout->plain);
    assert_false(layout->one_pass || layout->round_affine || layout->rounding);
}

TEST(fields_stand_in_any_order_and_on_any_line)
{
    const struct fuseln_target one = parsed(FULL),
                               other = parsed("y=arg5 beta?=arg4\r\n\tgamma  =  arg3\n\neps = arg1  x = arg2"
                                              " cols = arg0 rows = grid.x op = layernorm\n"
                                              "args = u32  f32 ptr ptr\tptr ptr dtype = f16 ");

    assert_memory_equal(one.layout.role, other.layout.role, sizeof(one.layout.role));
    assert_memory_equal(one.layout.type, other.layout.type, sizeof(one.layout.type));
    assert_int_equal(one.layout.nullable, other.layout.nullable);
}

TEST(a_residual_norm_in_place)
{
    const struct fuseln_target target =
        parsed("args = ptr i64 ptr ptr f32 i32 i32 i64 op = rmsnorm dtype = bf16 rows = grid.x cols = arg6 eps = arg4 "
               "round = sum x = arg0 xstride = arg1 residual = arg2 rstride = arg7 inplace = y:x, sum:residual "
               "gamma = arg3 require = arg5 == grid.x");
    const struct fuseln_pointer expected[] = {{0, FUSELN_ROLE_X},
                                              {2, FUSELN_ROLE_RESIDUAL},
                                              {0, FUSELN_ROLE_Y},
                                              {2, FUSELN_ROLE_SUM},
                                              {3, FUSELN_ROLE_GAMMA}};

    assert_int_equal(target.layout.pointer_count, 5);
    assert_memory_equal(target.layout.pointers, expected, sizeof(expected));
    assert_int_equal(target.layout.role[0], FUSELN_ROLE_X);
    assert_int_equal(target.layout.rounding, FUSELN_BIAS_FIRST);
    assert_int_equal(target.layout.require_count, 3);
    assert_int_equal(target.layout.require[0].factors, 1 << FUSELN_FACTOR_COLS);
    assert_int_equal(target.layout.require[2].factors, 1 << FUSELN_FACTOR_GRID_X);
}

TEST(where_an_original_rounds)
{
    static const struct {
        const char *words;
        int rounding;
        bool round_affine;
    } rows[] = {{" round = end", 0, false},
                {" round = before-affine", 0, true},
                {" round = sum", FUSELN_BIAS_FIRST, false},
                {" round = each-add", FUSELN_BIAS_FIRST, false},
                {" round = bias-last", FUSELN_BIAS_LAST, false},
                {" round = bias-last before-affine", FUSELN_BIAS_LAST, true}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char words[300];
        snprintf(words, sizeof(words), FULL "%s", rows[i].words);
        const struct fuseln_layout layout = parsed(words).layout;
        assert_int_equal(layout.rounding, rows[i].rounding);
        assert_int_equal(layout.round_affine, rows[i].round_affine);
        assert_int_equal(layout.plain, !rows[i].rounding);
    }
}

TEST(rms_norm_leaves_out_what_it_does_not_have)
{
    static const char words[] = "args = ptr ptr ptr ptr ptr i32 op = layernorm.dx rows = grid.x cols = arg5 dy = arg0 "
                                "x = arg1 mean = arg2 rstd = arg3 dx = arg4";
    const enum fuseln_dtype f32 = FUSELN_DTYPE_F32;
    struct fuseln_target target = {.rms = true}; /* as the symbol says */
    struct fuseln_refusal refusal;

    assert_true(fuseln_words_parse((struct fuseln_text){words, strlen(words)}, &f32, &target, &refusal));
    assert_int_equal(target.layout.pointer_count, 4);
    for (int i = 0; i < 4; i++)
        assert_int_not_equal(target.layout.pointers[i].role, FUSELN_ROLE_MEAN);
    assert_int_equal(target.layout.role[2], FUSELN_ROLE_MEAN);
}

TEST(an_argument_may_say_that_it_is_rms_norm)
{
    const struct fuseln_target target =
        parsed("args = ptr ptr ptr ptr ptr i32 bool op = layernorm.dx dtype = f16 rows = "
               "grid.x cols = arg5 dy = arg0 x = arg1 mean = arg2 rstd = arg3 dx = arg4 "
               "rms = arg6");

    assert_int_equal(target.layout.rms, 6);
    assert_false(target.layout.plain || target.rms);
}

TEST(gradients_may_have_the_type_of_their_sums)
{
#define DGAMMA                                                                                                       \
    "args = ptr ptr ptr ptr ptr i32 i32 op = rmsnorm.dgamma rows = arg6 cols = arg5 dy = arg0 x = arg1 rstd = arg2 " \
    "dgamma = arg3 require = arg4 null dtype = "
    assert_int_equal(parsed(DGAMMA "f16").layout.rounding, FUSELN_ROUND_OUTPUTS);
    assert_int_equal(parsed(DGAMMA "f16 gdtype = f16").layout.rounding, FUSELN_ROUND_OUTPUTS);
    assert_int_equal(parsed(DGAMMA "f16 gdtype = acc").layout.rounding, FUSELN_UNROUNDED);
    assert_int_equal(parsed(DGAMMA "bf16 gdtype = f32").layout.rounding, FUSELN_UNROUNDED);
    assert_int_equal(parsed(DGAMMA "f64 gdtype = acc").layout.rounding, FUSELN_ROUND_OUTPUTS);
}

TEST(requires)
{
    const struct fuseln_target target = parsed(
        "args = ptr ptr ptr i32 i32 f32 ptr i32 i64 ptr bool op = rmsnorm dtype = f32 rows = arg3 rows_loop = grid.y "
        "cols = arg4 eps = arg5 y = arg0 x = arg2 gamma = arg1 "
        "require = arg6 null, arg7 == -3, arg8 == rows*cols, arg10 in 0..1  ignore = arg9");
    const struct fuseln_require expected[] = {
        {6, 0, 0, 0}, {7, 0, -3, -3}, {8, 1 << FUSELN_FACTOR_ROWS | 1 << FUSELN_FACTOR_COLS, 0, 0}, {10, 0, 0, 1}};

    assert_int_equal(target.layout.require_count, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(target.layout.require[i].argument, expected[i].argument);
        assert_int_equal(target.layout.require[i].factors, expected[i].factors);
        assert_int_equal(target.layout.require[i].low, expected[i].low);
        assert_int_equal(target.layout.require[i].high, expected[i].high);
    }
    assert_int_equal(target.layout.rows_from, FUSELN_ROWS_LOOP);
    assert_int_equal(target.layout.role[9], FUSELN_ROLE_IGNORE);
    assert_true(target.rms);
    assert_false(target.layout.plain);
}

TEST(numbers_are_rounded_once)
{
    static const struct {
        const char *text;
        double value;
    } rows[] = {{"1e-5", 1e-5}, {"1e-12", 1e-12}, {"0.00001", 0.00001}, {"2.5e-6", 2.5e-6},
                {"0", 0},       {"3", 3},         {"12e2", 12e2}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char words[200];
        snprintf(words, sizeof(words),
                 "args = ptr ptr i32 dtype = f32 op = layernorm rows = grid.x*block.y cols = arg2 "
                 "eps = %s x = arg0 y = arg1",
                 rows[i].text);
        const struct fuseln_target target = parsed(words);
        assert_true(target.layout.eps_value == rows[i].value);
        assert_int_equal(target.layout.eps, -1);
        assert_int_equal(target.layout.rows_from, FUSELN_ROWS_GRID_X_BLOCK_Y);
    }
}

TEST(wrong_rows_are_refused_with_the_word_and_the_reason)
{
    static const struct {
        const char *words, *what, *reason;
    } rows[] = {
        {"", "", "needs args"},
        {"nonsense", "nonsense", "not a field"},
        {LN "eps = arg1 gamma = arg3 beta = arg4", "", "each of the arguments"},
        {FULL " mean = arg6", "", "each of the arguments"},
        {FULL " mean = arg5", "arg5", "named twice"},
        {FULL " y = arg6", "y", "said twice"},
        {FULL " gama = arg6", "gama", "not a word"},
        {FULL " ? = arg6", "?", "not a word"},
        {FULL " mean = arg", "arg", "not an argument"},
        {FULL " mean = arg32", "arg32", "not an argument"},
        {FULL " mean = arg-1", "arg-1", "not an argument"},
        {FULL " dtype = f16", "f16", "the name says it"},
        {FULL " wdtype = f32", "f32", "not a type that our kernels have"},
        {FULL " eps = 1e-5", "eps", "said twice"},
        {FULL " cols = arg6", "cols", "said twice"},
        {FULL " rms = arg6", "", "of layernorm.dx and layernorm.dgamma alone"},
        {FULL " gdtype = acc", "", "of layernorm.dgamma and rmsnorm.dgamma alone"},
        {FULL " round = sum gdtype = acc", "acc", "contradicts"},
        {FULL " gdtype = acc round = sum", "sum", "contradicts"},
        {FULL " round = sum bias-last", "bias-last", "contradicts"},
        {FULL " round = bias-last sum", "sum", "contradicts"},
        {FULL " gdtype = bf16", "bf16", "is neither the type of x nor acc"},
        {FULL " round = up", "up", "not end"},
        {FULL " variance = two-pass", "two-pass", "not one-pass"},
        {FULL " require = arg6 = 0", "require", "has no value"},
        {FULL " require = arg6 == x", "arg6 == x", "is not `arg0 == 0`"},
        {FULL " require = arg6 < 3", "arg6 < 3", "is not `arg0 == 0`"},
        {FULL " require = arg6 == cols*cols", "arg6 == cols*cols", "is not `arg0 == 0`"},
        {FULL " require = arg6 == cols*3", "arg6 == cols*3", "is not `arg0 == 0`"},
        {FULL " require = arg6 in 1-4", "arg6 in 1-4", "is not `arg0 == 0`"},
        {FULL " require = arg6 in", "arg6 in", "is not `arg0 == 0`"},
        {FULL " require = arg6 in 1.4", "arg6 in 1.4", "is not `arg0 == 0`"},
        {FULL " require = arg6 in 4..1", "arg6 in 4..1", "is not `arg0 == 0`"},
        {FULL " require = arg6 in 1..", "arg6 in 1..", "is not `arg0 == 0`"},
        {FULL " require = arg6", "arg6", "is not `arg0 == 0`"},
        {FULL " require = arg6 null, arg5", "arg5", "is not `arg0 == 0`"},
        {FULL " require = arg6 == rows*", "arg6 == rows*", "is not `arg0 == 0`"},
        {FULL " require = arg6 in 0..4096", "", "more than 4096 values"},
        {FULL " inplace = , y:x", "", "not two roles"},
        {FULL " inplace = dx:dy", "dx:dy", "not two roles"},
        {FULL " inplace = dx", "dx", "not two roles"},
        {FULL " inplace = dx:x", "", "not those of this operation"},
        {FULL " rows_loop = grid.y", "", "rows_loop needs"},
        {FULL " rows_loop = grid.z", "grid.z", "not grid.y"},
        {LN "eps = arg3 gamma = arg1 beta? = arg4 y = arg5", "", "another type than its role"},
        {LN "eps = x gamma = arg3 beta? = arg4 y = arg5", "x", "neither an argument nor a number"},
        {LN "eps = 1e-40 gamma = arg3 beta? = arg4 y = arg5", "1e-40", "neither an argument nor a number"},
        {LN "eps = 1.2.3 gamma = arg3 beta? = arg4 y = arg5", "1.2.3", "neither an argument nor a number"},
        {LN "gamma = arg3 beta? = arg4 y = arg5 ignore = arg1", "", "needs eps"},
        {LN "eps = arg1 gamma = arg3 beta? = arg4 dx = arg5", "", "not those of this operation"},
        {"args = ptr float op = layernorm dtype = f16", "float", "not a type"},
        {"op = layernorm.dy", "layernorm.dy", "not an operation"},
        {"dtype = f32 args = i32 f32 ptr ptr ptr ptr op = layernorm.moments rows = grid.x cols = arg0 eps = arg1 x = "
         "arg2 "
         "mean = arg3 rstd = arg4 y = arg5",
         "", "not those of this operation"},
        {"dtype = f32 args = ptr ptr ptr ptr ptr i32 op = rmsnorm.dx rows = grid.x cols = arg5 dy = arg0 x = arg1 mean "
         "= arg2 "
         "rstd = arg3 dx = arg4",
         "", "not those of this operation"},
        {FULL " out_rows = grid.y", "", "of layernorm.dgamma and rmsnorm.dgamma alone"},
        {FULL " cols_per_block = 32", "", "of layernorm.dgamma and rmsnorm.dgamma alone"},
        {DGAMMA "f16 round = sum", "", "only layernorm and rmsnorm have a sum"},
        {DGAMMA "f16 gdtype = acc round = bias-last", "bias-last", "contradicts"},
        {FULL " op = rmsnorm", "op", "said twice"},
        {FULL " rows = grid.x*block.y", "rows", "said twice"},
        {FULL " gamma_add = 1 gamma_add = 1", "gamma_add", "said twice"},
        {FULL " gamma_add = x", "x", "neither an argument nor a number"},
        {FULL " y? = arg6", "y?", "said twice"},
        {FULL " in = x", "x", "not an argument"},
        {FULL " ignore = arg6 , x", "x", "not an argument"},
        {LN "eps = 1ex gamma = arg3 beta? = arg4 y = arg5", "1ex", "neither an argument nor a number"},
        {"dtype = f16 args = ptr ptr f32 i32 op = rmsnorm cols = arg3", "", "needs rows"},
        {"args = i32 i32 i32 i32 i32 i32 i32 i32 i32 require = arg0 == 1, arg1 == 1, arg2 == 1, arg3 == 1, arg4 == 1, "
         "arg5 == 1, arg6 == 1, arg7 == 1, arg8 == 1",
         "arg8", "one too many to require"},
        {FULL " qdtype = f16", "qdtype", "not a word"},
        {LN "eps = . gamma = arg3 beta? = arg4 y = arg5", ".", "neither an argument nor a number"},
        {LN "eps = e5 gamma = arg3 beta? = arg4 y = arg5", "e5", "neither an argument nor a number"},
        {"dtype = f8", "f8", "is not f32"},
        {"rows = grid.y", "grid.y", "is not an argument, grid.x"},
        {"cols_per_block = 0", "0", "not a number from 1"},
        {"cols_per_block = 99999999999999999999", "99999999999999999999", "not a number from 1"},
        {"args = "
         "ptr ptr ptr ptr ptr ptr ptr ptr ptr ptr ptr ptr ptr ptr ptr ptr ptr ptr ptr ptr ptr ptr ptr ptr "
         "ptr ptr ptr ptr ptr ptr ptr ptr i32",
         "i32", "one argument too many"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fuseln_target target;
        struct fuseln_refusal refusal = {"", {"", 0}};
        if (parse(rows[i].words, &target, &refusal))
            fail_msg("not refused: %s", rows[i].words);
        if (!strstr(refusal.reason, rows[i].reason) || !fuseln_text_is(refusal.what, rows[i].what))
            fail_msg("%s\nrefused by: `%.*s` %s", rows[i].words, (int)refusal.what.length, refusal.what.at,
                     refusal.reason);
    }
}

int main(void)
{
    return run_registered_tests();
}
