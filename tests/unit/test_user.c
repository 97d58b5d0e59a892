/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user's file of rows: what is taken, what is refused, with the line and the reason, and what a mangled name tells of
 * its kernel's arguments.
 */
#include "test.h"

#include "hooks/targets/signature.h"
#include "hooks/targets/user_rows.h"

#include <stdio.h>
#include <string.h>

#define NORM "_Z4normILi4EEvPK6__halfS2_S2_PS0_fi"
#define ROW(name, symbol)                                                                            \
    "[" name "]\nsymbol = " symbol "\nargs = ptr ptr ptr ptr f32 i32  op = layernorm  dtype = f16\n" \
    "x = arg0  gamma = arg1  beta = arg2  y = arg3  eps = arg4  cols = arg5  rows = grid.x\n"

static struct fuseln_user_rows rows;
static char text[1 << 17];

static const struct fuseln_user_rows *parsed(const char *file)
{
    memset(&rows, 0, sizeof(rows));
    snprintf(text, sizeof(text), "%s", file);
    fuseln_user_parse(&rows, text, strlen(text));
    return &rows;
}

static void assert_taken(const char *file)
{
    char reason[256];

    parsed(file);
    if (rows.wrong || fuseln_user_refusal(&rows.rows[0], reason))
        fail_msg("%s", rows.wrong ? rows.wrong : reason);
    assert_int_equal(fuseln_user_accepted(&rows), 1);
}

static void assert_refused(const char *file, unsigned line, const char *expected)
{
    char reason[256] = "";
    const struct fuseln_user_row *last = &parsed(file)->rows[rows.count - 1];

    assert_null(rows.wrong);
    assert_true(fuseln_user_refusal(last, reason));
    if (!strstr(reason, expected))
        fail_msg("%s, not %s", reason, expected);
    assert_int_equal(last->line, line);
}

TEST(a_row_is_taken)
{
    assert_taken(
        "# of a closed program\n\n" ROW("mine/norm/f16", NORM) "build = 66f9f14f6c92fbdcae04638e7e58fd5b01fc3379\n");
    const struct fuseln_user_row *row = &rows.rows[0];
    assert_string_equal(row->target.name, "mine/norm/f16");
    assert_int_equal(row->line, 3);
    assert_memory_equal(row->symbol, NORM, row->symbol_length);
    assert_true(row->target.user);
    assert_int_equal(row->target.dtype, FUSELN_DTYPE_F16);
    assert_true(fuseln_user_has_build(row, "66f9f14f6c92fbdcae04638e7e58fd5b01fc3379"));
    assert_false(fuseln_user_has_build(row, "76f9f14f6c92fbdcae04638e7e58fd5b01fc3379"));
    assert_false(fuseln_user_has_build(row, ""));
}

TEST(a_build_is_told_by_how_its_id_begins)
{
    static const char id[] = "66f9f14f6c92fbdcae04638e7e58fd5b01fc3379";

    assert_taken(ROW("mine/a", NORM) "build = 01234567, 66f9f14f");
    assert_true(fuseln_user_has_build(&rows.rows[0], id));
    assert_true(fuseln_user_has_build(&rows.rows[0], "0123456789"));
    assert_false(fuseln_user_has_build(&rows.rows[0], "0123456"));
    assert_taken(ROW("mine/a", NORM) "build = f9f14f6c, 66f9f14f0");
    assert_false(fuseln_user_has_build(&rows.rows[0], id));
    assert_refused(ROW("mine/a", NORM) "build = 66f9f14f, 66f9f14", 5, "66f9f14 is not the beginning of a build-id");
    assert_refused(ROW("mine/a", NORM) "build = 66F9F14F", 5, "is not the beginning");
    assert_refused(ROW("mine/a", NORM) "build = libengine.so", 5, "is not the beginning");
}

TEST(a_file_that_holds_no_rows_is_wrong_as_a_whole)
{
    static char many[300 * 8];

    for (int i = 0; i < 300; i++)
        memcpy(many + 8 * i, "[mine/x]", 8), many[8 * i + 7] = i == 299 ? '\0' : '\n';
    assert_string_equal(parsed("")->wrong, "it has no row, such as [mine/norm/f16]");
    assert_string_equal(parsed("# nothing\n")->wrong, "it has no row, such as [mine/norm/f16]");
    assert_non_null(strstr(parsed("x = arg0\n" ROW("mine/norm", NORM))->wrong, "does not begin with"));
    assert_non_null(strstr(parsed(many)->wrong, "more than 256"));
    assert_int_equal(rows.count, 0);
}

TEST(a_row_is_refused_with_its_line_and_reason)
{
    static const char other[] = "_Z5otherILi4EEvPK6__halfS2_S2_PS0_fi";
    char file[4096];

    assert_refused(ROW("norm", NORM), 1, "norm is not a name");
    assert_refused(ROW("mine/a name", NORM), 1, "is not a name");
    assert_refused(ROW("mine/a-name-of-more-than-forty-characters-is-too-long", NORM), 1, "is not a name");
    assert_refused("[mine/norm\nsymbol = " NORM, 1, "is not a name");
    assert_refused("[mine/norm]\nop = layernorm", 1, "needs symbol");
    assert_refused(ROW("mine/a", NORM) ROW("mine/a", "_Z1fv"), 5, "mine/a is the name of an earlier row");
    assert_refused(ROW("mine/a", NORM) ROW("mine/b", NORM), 6, "has an earlier row");
    assert_refused(ROW("mine/a", NORM) "symbol = _Z1fv", 5, "symbol is said twice");
    assert_refused("[mine/a]\nsymbol = " NORM "\nop = ?", 3, "? is not an operation");
    assert_refused("[[mine/a]\n= 1\n", 1, "is not a name");
    assert_refused(ROW("mine/a", NORM) "in = arg7", 1, "another type than its role");
    assert_refused(ROW("mine/a", NORM) "colour = red", 5, "colour is not a word");
    snprintf(file, sizeof(file), ROW("mine/a", NORM) ROW("mine/%s", "%s"), "b", other);
    parsed(file);
    assert_int_equal(fuseln_user_accepted(&rows), 2); /* a refused row takes no other with it */
}

TEST(a_kernel_of_ours_is_refused)
{
    assert_refused(ROW("mine/a", "_ZN2at6native53_GLOBAL__N__04f68ed5_20_layer_norm_kernel_cu_5f58bc5028vectorized_"
                                 "layer_norm_kernelIffLb0EEEviT0_PKT_S6_S6_PS3_S7_PS4_"),
                   2, "is a kernel that fuseln has a row for");
}

/* FIELDS of a kernel (const half *, const half *, half *, half *, float, int). */
#define SYMBOL "_Z4normPK6__halfS1_PS_S2_fi"
#define FIELDS(more) \
    "[mine/a]\nsymbol = " SYMBOL "\nop = rmsnorm dtype = f16 rows = grid.x cols = arg5 eps = arg4\n" more

TEST(each_pointer_is_accounted_for)
{
    const char *const args = "args = ptr ptr ptr ptr f32 i32 ";
    char file[2048];
#define WITH(more) (snprintf(file, sizeof(file), FIELDS("%s" more), args), file)

    assert_taken(WITH("x = arg0 gamma = arg1 y = arg2 require = arg3 null"));
    assert_taken(WITH("x = arg0 gamma = arg1 y = arg2 require = arg3 == 0"));
    assert_taken(WITH("x = arg0 residual = arg1 y = arg2 sum = arg3"));
    assert_taken(WITH("x = arg0 gamma = arg3 y = arg2 require = arg1 null in = arg3"));
    assert_refused(WITH("x = arg0 gamma = arg1 y = arg2 ignore = arg3"), 1, "cannot be ignored");
    assert_refused(WITH("x = arg0 gamma = arg1 y = arg2 require = arg3 in 0..9"), 1, "cannot be ignored");
    assert_refused(WITH("x = arg0 gamma = arg3 y = arg2 require = arg1 null"), 1, "not const by the kernel's name");
    assert_refused(WITH("x = arg2 gamma = arg1 y = arg0 require = arg3 null"), 1, "an output is const");
    assert_refused(WITH("x = arg0 gamma = arg1 y = arg2 require = arg3 null in = arg2"), 1, "an `in` is an output");
#undef WITH
}

TEST(the_name_tells_count_and_types)
{
    assert_refused(FIELDS("args = ptr ptr ptr ptr f32 u32 x = arg0 gamma = arg1 y = arg2 require = arg3 null"), 1,
                   "another type than in the kernel's name");
    assert_refused(FIELDS("args = ptr ptr ptr ptr f32 i32 i32 x = arg0 gamma = arg1 y = arg2 require = arg3 null "
                          "ignore = arg6"),
                   1, "args has not as many");
}

TEST(a_name_without_types_needs_in)
{
#define C_ROW(more)                                                                                           \
    "[mine/a]\nsymbol = norm_v2\nargs = ptr ptr f32 i32 op = rmsnorm dtype = f32 rows = grid.x cols = arg3\n" \
    "eps = arg2 x = arg0 y = arg1 " more
    assert_refused(C_ROW(""), 1, "belongs into `in`");
    assert_taken(C_ROW("in = arg0"));
    assert_int_equal(rows.rows[0].target.layout.in, 1);
}

static const char *shown(const char *symbol)
{
    static char kinds[FUSELN_ARGS_MAX + 1];
    struct fuseln_parameter parameters[FUSELN_ARGS_MAX];
    const int count = fuseln_signature_read(symbol, strlen(symbol), parameters);

    for (int i = 0; i < count; i++)
        kinds[i] = "?vpc"[parameters[i].kind];
    kinds[count < 0 ? 0 : count] = '\0';
    return count < 0 ? "none" : kinds;
}

TEST(what_a_name_shows)
{
    assert_string_equal(shown(NORM), "cccpvv");
    assert_string_equal(shown(SYMBOL), "ccppvv");
    assert_string_equal(shown("_Z8norm_f32PKfPfi"), "cpv");
    assert_string_equal(shown("_ZN6closed4normEPKfS1_S1_Pfffiii"), "cccpvvvvv"); /* the whole name is no component */
    assert_string_equal(shown("_Z6kernelIfEvPKT_S2_PS0_i"), "ccpv");
    assert_string_equal(shown("_Z6kernelIKfEvPT_"), "c"); /* const by its template argument */
    assert_string_equal(shown("_Z6kernelIPKfPfEvT_T0_"), "cp");
    assert_string_equal(shown("_Z6kernelPKPf"), "p"); /* what it points to is a const pointer, to data that is not */
    assert_string_equal(shown("_ZL6kernelPKf5uint4x"), "c?v");
    assert_string_equal(shown("_ZN2ns6kernelINS_1AEEEvPKNS_1BERS2_"), "none"); /* references are not read */
    assert_string_equal(shown("_ZN2ns6kernelINS_1AEEEvPKNS_1BEPS2_PKT_"), "cpc");
    assert_string_equal(shown("_Z6kernelPKSt4pairIffEPNSt3any1aE"), "cp"); /* std::pair<float, float>, std::any::a */
    assert_string_equal(shown("_Z6kernelPK3boxIfEPS_IiEPS2_"),
                        "cpp"); /* box<float> const *, box<int> *, and the first once more */
    assert_string_equal(shown("_Z6kernelPK3boxILi8EEi"), "cv");
    assert_string_equal(shown("_Z6kernelPK3boxIL_EEi"), "none");
    assert_string_equal(shown("_Z6kernelPKN3box"), "none");
    assert_string_equal(shown("_Z6kernelPKSt"), "none");
#define PARTS_20 "1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a"
    assert_string_equal(shown("_Z6kernelPN" PARTS_20 PARTS_20 PARTS_20 "1a1aEf"), "pv");
    assert_string_equal(shown("_Z6kernelPN" PARTS_20 PARTS_20 PARTS_20 "1a1a1aE1b"), "none"); /* over 64 components */
    assert_string_equal(shown("_Z6kernelPN" PARTS_20 PARTS_20 PARTS_20 "1a1a1a1a1aE"), "none");
    assert_string_equal(shown("_Z1fv"), "");
    assert_string_equal(shown("norm_v2"), "none");
    assert_string_equal(shown("_Z6kernelPKf5"), "none");
    assert_string_equal(shown("_Z99kernel"), "none");
    assert_string_equal(shown("_Z6kernelS9_"), "none");
    assert_string_equal(shown("_Z6kernelPPPPPPPPPPPPPPPPPPPPf"), "none"); /* deeper than any */
}

int main(void)
{
    return run_registered_tests();
}
