/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of a target row: which argument of a kernel is what. Rows of ours (pytorch.c, ...) and of the user
 * (FUSELN_TARGETS) are written in them. A row is a list of fields `key = value`, on one line or several, in any order:
 *
 *   args = i32 f32 ptr ...    the type of each argument: ptr i32 u32 i64 f32 f64 bool; acc is f32, of double f64
 *   op = layernorm            or rmsnorm, layernorm.dx, layernorm.dgamma, rmsnorm.dx, rmsnorm.dgamma; of two launches
 *                             layernorm.moments and layernorm.apply
 *   dtype = f16               f32 f16 bf16 f64: of x, y, gamma, beta and what else has elements
 *   x = arg2                  which argument is x; so y gamma beta mean rstd dy dx dgamma dbeta residual bias sum
 *   gamma? = arg3             the same, and it may be null
 *   inplace = y:x, ...        y is where x is, as one argument is both
 *   rows = arg0               or grid.x, grid.x*block.y, grid.x*grid.y*grid.z. With rows_loop = grid.y a grid of fewer
 *                             blocks takes them in turn
 *   cols = arg1
 *   eps = arg2                or a number
 *   gamma_add = arg3          or a number: is added to gamma
 *   rms = arg5                layernorm.dx, layernorm.dgamma: where this is not 0, rmsnorm.dx, rmsnorm.dgamma
 *   xstride = arg4            so ystride, rstride (of the residual): elements from row to row; must be cols
 *   require = arg5 == 0, ...  an integer, or rows, cols, grid.x, grid.y or a product of them, such as rows*cols; `arg6
 *                             null`; `arg7 in 1..4`: else the original is launched
 *   ignore = arg8, ...        arguments that change nothing
 *   round = before-affine     where the original rounds to dtype besides y: before-affine (xhat, and gamma xhat); end
 *                             (nowhere); and of the sum, before it is normalised: sum (x + residual), each-add
 *                             (x + bias, then + residual) or bias-last (x + residual, then + bias)
 *   variance = one-pass       the original computes E[x^2] - E[x]^2
 *   cols_per_block = 32       dgamma: gridDim.x is cols / 32, rounded up
 *   out_rows = grid.y         dgamma: writes gridDim.y rows of partial sums
 *   gdtype = acc              dgamma: they have the type of the statistics; without it dtype
 *
 * Only in a user's file (user_rows.h), where each row begins with its [name]:
 *   symbol = _Z6kernel...     the complete mangled name
 *   build = ID, ...           how the GNU build-ids of the libraries begin that it holds for, at least 8 hex digits;
 *                             without it for all
 *   in = arg2, ...            pointers that the kernel only reads, where the name does not show it
 *
 * Every argument is named exactly once. sdtype, wdtype, ydtype and rdtype (of the statistics, gamma and beta, y, the
 * residual) may be given, and must be what fuseln has kernels for: acc, and three times dtype.
 */
#ifndef FUSELN_WORDS_H
#define FUSELN_WORDS_H

#include "base/target.h"

enum { FUSELN_BUILD_DIGITS = 8, FUSELN_BUILD_DIGITS_MOST = 40 };

/* Characters of a row; not terminated. */
struct fuseln_text {
    const char *at;
    size_t length;
};

/* Why a row is refused. */
struct fuseln_refusal {
    const char *reason;      /* a static string */
    struct fuseln_text what; /* the word that it is about; may be empty */
};

/*
 * Reads the fields into op, rms, dtype and layout of *target. A dtype or rms that the symbol already told stands in
 * *target; `dtype` says that it did. False: *ret_refusal says why, and *target means nothing. Pure; no allocation, no
 * locale.
 */
bool fuseln_words_parse(struct fuseln_text row, const enum fuseln_dtype *dtype, struct fuseln_target *target,
                        struct fuseln_refusal *ret_refusal);

/* The next `key = value` of a row; false at its end, or where none can be read (then *row is not empty). */
bool fuseln_words_field(struct fuseln_text *row, struct fuseln_text *ret_key, struct fuseln_text *ret_value);

/* Takes what comes before the separator, or all, without the spaces around it. False at the end. */
bool fuseln_text_part(struct fuseln_text *rest, char separator, struct fuseln_text *ret_part);

bool fuseln_text_is(struct fuseln_text text, const char *word);

#endif
