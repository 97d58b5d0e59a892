/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user's row is proven by: the driver's word on the kernel's parameters, asked by the handle that the runtime
 * tells after a launch; and what is left of CUDA's last error, of stream capture and of the row where that fails.
 */
#include "../../hooks/proof.c"

#define TEST(name) TEST_WITH(name, reset, NULL)
#include "test.h"

#include <string.h>

static int reset(void **state);

/* ---- A runtime and a driver ---- */

static int last_error, asked;
static bool fails, in_capture, has_context, exchange_fails;
static int capture_mode, mode_while_asked;

static int peek_error(void)
{
    return last_error;
}
static int take_error(void)
{
    const int error = last_error;
    last_error = 0;
    return error;
}

static char function[1], host_function[1];

static int get_function(void **ret_function, const void *symbol)
{
    asked++;
    mode_while_asked = capture_mode;
    assert_ptr_equal(symbol, host_function);
    if (fails)
        return last_error = 98;
    *ret_function = function;
    return 0;
}

static void *const everything[FUSELN_REAL_COUNT] = {[FUSELN_REAL_PEEK_ERROR] = peek_error,
                                                    [FUSELN_REAL_TAKE_ERROR] = take_error,
                                                    [FUSELN_REAL_GET_FUNCTION] = get_function};
static enum fuseln_real missing;
_Atomic(void *) fuseln_real_next[FUSELN_NODE_COUNT][FUSELN_REAL_COUNT];
void *fuseln_real_find(enum fuseln_node node, enum fuseln_real which, const void *address)
{
    (void)node, (void)address;
    return which == missing ? NULL : everything[which];
}

_Atomic(fuseln_param_function *) fuseln_behind_param[2];
void fuseln_behind_complete(void) {}

/* (pointer, float, int), at 0, 8 and 12. */
static int parameters(const void *handle, size_t index, size_t *ret_offset, size_t *ret_bytes)
{
    assert_ptr_equal(handle, function);
    if (index >= 3)
        return CUDA_ERROR_INVALID_VALUE;
    *ret_offset = index ? 4 + 4 * index : 0;
    *ret_bytes = index ? 4 : 8;
    return 0;
}
static int no_parameters(const void *handle, size_t index, size_t *ret_offset, size_t *ret_bytes)
{
    (void)handle, (void)index, (void)ret_offset, (void)ret_bytes;
    return CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult exchange(int *mode)
{
    const int before = capture_mode;
    if (exchange_fails)
        return 999;
    capture_mode = *mode;
    *mode = before;
    return CUDA_SUCCESS;
}
static const struct fuseln_driver driver = {.exchange_capture = exchange};
_Atomic(const struct fuseln_driver *) fuseln_driver_published = &driver;

struct fuseln_context *fuseln_context_current(void)
{
    return has_context ? (struct fuseln_context *)function : NULL;
}
enum fuseln_verdict fuseln_context_missing(void)
{
    return FUSELN_VERDICT_CONTEXT;
}
bool fuseln_kernel_capturing(void *stream)
{
    (void)stream;
    return in_capture;
}

/* ---- One launch ---- */

static struct fuseln_user_row own;

/* Of a kernel with a row of these arguments: p(ointer), f(loat), i(nteger), l(ong). */
static enum fuseln_verdict launched(const char *types)
{
    fuseln_registry_forget(&own); /* the row is another one each time */
    struct fuseln_target target = {.symbol = "own", .user = &own, .owner = &own, .host_function = host_function};
    for (; *types; types++)
        target.layout.type[target.layout.count++] = *types == 'p'   ? FUSELN_ARG_PTR
                                                    : *types == 'f' ? FUSELN_ARG_F32
                                                    : *types == 'l' ? FUSELN_ARG_I64
                                                                    : FUSELN_ARG_I32;
    assert_int_equal(fuseln_registry_add(host_function, &own, &target), 0);
    asked = 0;
    const enum fuseln_verdict verdict =
        fuseln_proof_of_launched(fuseln_registry_find(host_function), NULL, FUSELN_NODE_13, NULL);
    assert_int_equal(capture_mode, 0); /* as found */
    assert_int_equal(fuseln_target_is_proven(fuseln_registry_find(host_function)), verdict == FUSELN_VERDICT_OK);
    return verdict;
}

static int reset(void **state)
{
    (void)state;
    memset(&own, 0, sizeof own);
    last_error = 0;
    missing = FUSELN_REAL_COUNT;
    fails = in_capture = exchange_fails = false;
    has_context = true;
    atomic_store(&fuseln_behind_param[false], parameters);
    return 0;
}

static void assert_refused(const char *types, const char *expected)
{
    char reason[256] = "";

    assert_int_equal(launched(types), FUSELN_VERDICT_FAILED);
    assert_true(fuseln_user_refusal(&own, reason));
    assert_non_null(strstr(reason, expected));
    assert_int_equal(last_error, 0);
    assert_int_equal(launched(types), FUSELN_VERDICT_FAILED);
    assert_int_equal(asked, 0); /* for good */
}

TEST(the_drivers_word_proves_a_row)
{
    assert_int_equal(launched("pfi"), FUSELN_VERDICT_OK);
    assert_int_equal(mode_while_asked, CU_STREAM_CAPTURE_MODE_RELAXED);
    assert_false(fuseln_user_is_refused(&own));
}

TEST(a_row_of_other_arguments_is_refused)
{
    assert_refused("pf", "fewer arguments");
    reset(NULL);
    assert_refused("pfii", "more arguments");
    reset(NULL);
    assert_refused("pfl", "another size");
    reset(NULL);
    assert_refused("ppi", "another size");
}

TEST(where_nobody_tells_the_row_is_refused)
{
    atomic_store(&fuseln_behind_param[false], NULL);
    assert_refused("pfi", "CUDA 12.4 and later");
    reset(NULL);
    atomic_store(&fuseln_behind_param[false], no_parameters);
    assert_refused("pfi", "the driver does not tell the parameters of this kernel");
    for (int which = FUSELN_REAL_GET_FUNCTION; which <= FUSELN_REAL_TAKE_ERROR; which++) {
        reset(NULL);
        missing = (enum fuseln_real)which;
        assert_refused("pfi", "the CUDA runtime does not tell");
    }
}

TEST(an_error_of_ours_does_not_stay)
{
    fails = true;
    assert_refused("pfi", "the CUDA runtime does not tell");
}

TEST(an_error_of_the_hosts_stays_and_the_next_launch_asks)
{
    last_error = 719;
    assert_int_equal(launched("pfi"), FUSELN_VERDICT_CHECK);
    assert_int_equal(last_error, 719);
    assert_int_equal(asked, 0);
    last_error = 0;
    assert_int_equal(launched("pfi"), FUSELN_VERDICT_OK);
}

TEST(in_capture_and_without_a_context_nothing_is_asked)
{
    in_capture = true;
    assert_int_equal(launched("pfi"), FUSELN_VERDICT_CAPTURE);
    in_capture = has_context = false;
    assert_int_equal(launched("pfi"), FUSELN_VERDICT_CONTEXT);
    assert_int_equal(asked, 0);
    has_context = exchange_fails = true; /* the calls of ours could break another thread's capture */
    assert_int_equal(launched("pfi"), FUSELN_VERDICT_CONTEXT);
    assert_int_equal(asked, 0);
    assert_false(fuseln_user_is_refused(&own));
}

int main(void)
{
    return run_registered_tests();
}
