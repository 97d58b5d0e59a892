/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slots that a check's result comes to (kernels/host/check.c): what a thread may do between another's look at a
 * slot and its claiming it is done here, each time, in that very moment. A result is never another check's.
 */
#define TEST(name) TEST_WITH(name, set_up, tear_down)
#include "test.h"

#include <stdatomic.h>
#include <stdlib.h>

static void (*in_between)(void);

/* The other thread comes once, then. */
static void meanwhile(void)
{
    void (*const now)(void) = in_between;
    in_between = NULL;
    if (now)
        now();
}

#undef atomic_compare_exchange_strong
#define atomic_compare_exchange_strong(at, expected, wanted) \
    (meanwhile(), __atomic_compare_exchange_n(at, expected, wanted, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
#include "../../kernels/host/check.c"

static struct fuseln_check_region *region;
static char first, second;
static size_t slot;

static void begin(void *owner)
{
    assert_int_equal(slot_claim(region, owner, &slot), FUSELN_VERDICT_OK);
    slot_end(region, slot, true);
}

static void answer(double outside)
{
    region->results[slot].field[FUSELN_CHECK_OUTSIDE_OURS] = outside;
    region->results[slot].ticket = region->slots[slot].ticket;
}

static int set_up(void **state)
{
    (void)state;
    region = calloc(1, sizeof *region);
    atomic_store(&regions[0].region, region);
    begin(&first);
    answer(1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fuseln_check_after_fork();
    free(region);
    return 0;
}

static void collect_first(void)
{
    struct fuseln_check_result result;
    assert_ptr_equal(fuseln_check_collect(&result), &first);
    assert_true(result.field[FUSELN_CHECK_OUTSIDE_OURS] == 1);
}

static void collect_and_begin_another(void)
{
    collect_first();
    begin(&second);
}

static void another_is_answered_too(void)
{
    collect_and_begin_another();
    answer(2);
}

TEST(one_that_began_in_the_same_place_is_not_answered_yet)
{
    struct fuseln_check_result result;
    in_between = collect_and_begin_another;
    assert_null(fuseln_check_collect(&result));
    assert_null(fuseln_check_collect(&result));
    answer(2);
    assert_ptr_equal(fuseln_check_collect(&result), &second);
    assert_true(result.field[FUSELN_CHECK_OUTSIDE_OURS] == 2);
    assert_null(fuseln_check_collect(&result));
}

TEST(one_that_is_answered_meanwhile_is_collected_with_its_own_result)
{
    struct fuseln_check_result result;
    in_between = another_is_answered_too;
    assert_ptr_equal(fuseln_check_collect(&result), &second);
    assert_true(result.field[FUSELN_CHECK_OUTSIDE_OURS] == 2);
    assert_null(fuseln_check_collect(&result));
}

TEST(what_another_thread_collected_is_gone)
{
    struct fuseln_check_result result;
    in_between = collect_first;
    assert_null(fuseln_check_collect(&result));
}

int main(void)
{
    return run_registered_tests();
}
