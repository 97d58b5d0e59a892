/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What checks mean for a site (src/core/verify.c), with kernels that do nothing and results that the test makes; and
 * the numbers of the report, which no locale may change.
 */
#include <locale.h>
#include <math.h>
#include <string.h>

#include "core/user.h"
#include "core/verify.h"
#include "report/report_snapshot.h"

#include "child.h"
#undef TEST
#define TEST(name) TEST_WITH(name, reset, NULL)

static struct {
    enum fuseln_verdict verdict; /* of the next check */
    int slice, started, done;
    double outside, theirs, nan;
    bool odd; /* nothing could be judged by value */
    bool elsewhere, mute,
        changed; /* of a user's row: tensors lie in no allocation; data prove nothing; more was written */
} fake;
static void *owners[64];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
bool fuseln_kernel_check_fits(const struct fuseln_call *call)
{
    (void)call;
    return !fake.elsewhere;
}

struct fuseln_saved fuseln_kernel_check_save(const struct fuseln_check *check, const struct fuseln_call *call)
{
    (void)check, (void)call;
    return (struct fuseln_saved){0};
}
enum fuseln_verdict fuseln_kernel_check(const struct fuseln_check *check, const struct fuseln_call *call)
{
    (void)call;
    fake.slice = check->slice;
    if (fake.verdict == FUSELN_VERDICT_OK)
        owners[fake.started++ % 64] = check->owner;
    return fake.verdict;
}

void *fuseln_check_collect(struct fuseln_check_result *ret_result)
{
    if (fake.done >= fake.started)
        return NULL;
    memset(ret_result, 0, sizeof *ret_result);
    ret_result->field[FUSELN_CHECK_ELEMENTS] = fake.odd ? 0 : 10;
    ret_result->field[FUSELN_CHECK_TELLING] = fake.mute ? 0 : 1;
    ret_result->field[FUSELN_CHECK_CHANGED] = fake.changed ? 1 : 0;
    ret_result->field[FUSELN_CHECK_OUTSIDE_OURS] = fake.outside;
    ret_result->field[FUSELN_CHECK_OUTSIDE_THEIRS] = fake.theirs;
    ret_result->field[FUSELN_CHECK_NAN] = fake.nan;
    ret_result->field[FUSELN_CHECK_MAX] = 3;
    ret_result->field[FUSELN_CHECK_FIRST] = fake.outside + fake.theirs > 0 ? -7.0 : FUSELN_CHECK_NONE;
    return owners[fake.done++ % 64];
}
#pragma GCC diagnostic pop

static struct fuseln_library library = {.name = "lib.so"};
static struct fuseln_target target = {.name = "pytorch/forward/vectorized/f32", .library = &library};
static struct fuseln_site site;

static int reset(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    memset(&site, 0, sizeof site);
    site.key = (struct fuseln_site_key){.target = &target, .cols = 4};
    library.known = false;
    target.user = NULL;
    return 0;
}

/* One launch; as the pipeline does it. */
static enum fuseln_verdict launch(const struct fuseln_config *config)
{
    const struct fuseln_launch launched = {.target = &target};
    struct fuseln_pass pass = {.launch = &launched, .config = config, .site = &site};
    const enum fuseln_verdict verdict = fuseln_verify_begin(&pass);
    if (pass.check)
        fuseln_verify_save(&pass);
    if (pass.check)
        fuseln_verify_start_check(&pass);
    return verdict;
}

static const struct fuseln_config three = {.mode = FUSELN_MODE_REPLACE, .check = 3};

TEST(right_ones_are_replaced_after_the_checks)
{
    for (int i = 0; i < 3; i++) {
        assert_int_equal(launch(&three), FUSELN_VERDICT_CHECK);
        assert_int_equal(fake.slice, i);
    }
    for (int i = 0; i < 5; i++)
        assert_int_equal(launch(&three), FUSELN_VERDICT_OK);
    assert_int_equal(fake.started, 3);
}

TEST(while_results_are_missing_the_original_is_launched)
{
    for (int i = 0; i < 3; i++)
        launch(&three);
    const int started = fake.started, done = fake.done;
    fake.started = done; /* the device is slow */
    for (int i = 0; i < 10; i++)
        assert_int_equal(launch(&three), FUSELN_VERDICT_CHECK);
    fake.started = started;
    assert_int_equal(launch(&three), FUSELN_VERDICT_OK);
}

TEST(a_wrong_one_is_never_replaced)
{
    for (int nan = 0; nan < 2; nan++) {
        reset(state);
        launch(&three);
        *(nan ? &fake.nan : &fake.outside) = 1;
        launch(&three);
        fake.nan = fake.outside = 0; /* the others are right */
        for (int i = 0; i < 5; i++)
            assert_int_equal(launch(&three), FUSELN_VERDICT_FAILED);
        assert_true(atomic_load(&site.checked.failed));
    }
    assert_true(site.checked.field[FUSELN_CHECK_FIRST] == 0);
}

static void fail_once(void)
{
    launch(&three);
    launch(&three);
}

TEST(the_log_says_who_is_wrong_as_far_as_it_is_known)
{
    static const struct {
        double outside, theirs, nan;
        const char *said;
    } rows[] = {{1, 0, 0, ": our kernel is wrong here: "},
                {1, 0, 2, ": our kernel is wrong here: "},
                {0, 1, 0, ": the original computes something else: "},
                {0, 1, 2, ": the original computes something else: "},
                {0, 0, 2, ": one of the two has NaN where the other has none: "}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fake.outside = rows[i].outside, fake.theirs = rows[i].theirs, fake.nan = rows[i].nan;
        folder_make(NULL);
        assert_child(fail_once, NULL);
        folder_remove(NULL);
        assert_non_null(strstr(stderr_text, rows[i].said));
    }
}

/* ---- a user's own row ---- */

static struct fuseln_user_row own;
static const struct fuseln_config none = {.mode = FUSELN_MODE_REPLACE};

static void use_own_row(void)
{
    memset(&own, 0, sizeof own);
    target.user = &own;
    library.known = true; /* the library's other kernels may be known */
}

TEST(a_users_row_is_checked_three_times_whatever_is_set)
{
    use_own_row();
    for (int i = 0; i < 3; i++)
        assert_int_equal(launch(&none), FUSELN_VERDICT_CHECK);
    assert_int_equal(launch(&none), FUSELN_VERDICT_OK);
    assert_int_equal(fake.started, 3);
}

TEST(data_that_would_show_no_mistake_prove_nothing)
{
    fake.mute = true;
    for (int i = 0; i < 9; i++)
        assert_int_equal(launch(&three), FUSELN_VERDICT_CHECK);
    assert_int_equal(atomic_load(&site.checked.compared), 0);
    reset(state);
    use_own_row();
    fake.mute = true;
    for (int i = 0; i < 9; i++)
        assert_int_equal(launch(&none), FUSELN_VERDICT_CHECK);
    assert_true(atomic_load(&site.checked.inconclusive) >= 8);
    assert_int_equal(atomic_load(&site.checked.compared), 0);
}

TEST(checks_that_keep_proving_nothing_become_seldom)
{
    int until = 0;

    fake.mute = true;
    for (int i = 0; i < 1000; i++) {
        launch(&three);
        atomic_fetch_add(&site.passed[FUSELN_VERDICT_CHECK], 1);
    }
    assert_in_range(fake.started, 32, 60);
    fake.mute = false;
    while (launch(&three) != FUSELN_VERDICT_OK && until++ < 1000)
        atomic_fetch_add(&site.passed[FUSELN_VERDICT_CHECK], 1);
    assert_in_range(until, 3, 300);
}

TEST(what_is_written_besides_refuses_a_users_row_for_good)
{
    use_own_row();
    launch(&none);
    fake.changed = true;
    launch(&none); /* the first result comes here */
    fake.changed = false;
    assert_non_null(atomic_load(&own.refused));
    memset(&site.checked, 0, sizeof site.checked); /* as another site of it */
    for (int i = 0; i < 5; i++)
        assert_int_equal(launch(&none), FUSELN_VERDICT_FAILED);
}

TEST(tensors_that_lie_in_no_allocation_are_not_read)
{
    use_own_row();
    fake.elsewhere = true;
    for (int i = 0; i < 5; i++)
        assert_int_equal(launch(&none), FUSELN_VERDICT_CHECK);
    assert_int_equal(fake.started, 0);
    assert_int_equal(atomic_load(&site.checked.unchecked[FUSELN_VERDICT_REQUIRE]), 5);
}

TEST(a_check_that_proves_nothing_is_not_counted)
{
    fake.odd = true;
    for (int i = 0; i < 150; i++)
        assert_int_equal(launch(&three), FUSELN_VERDICT_CHECK);
    assert_int_equal(fake.started, 150);
    fuseln_verify_collect();
    assert_int_equal(atomic_load(&site.checked.inconclusive), 150);
    assert_int_equal(atomic_load(&site.checked.compared), 0);
    assert_int_equal(atomic_load(&site.checked.issued), 0);
    fake.odd = false;
    for (int i = 0; i < 3; i++)
        assert_int_equal(launch(&three), FUSELN_VERDICT_CHECK);
    assert_int_equal(launch(&three), FUSELN_VERDICT_OK);
    fake.started = fake.done = 0;
    reset(state);
    fake.odd = true, fake.outside = 1; /* a wrong pattern is a failure all the same */
    launch(&three);
    assert_int_equal(launch(&three), FUSELN_VERDICT_FAILED);
}

TEST(what_cannot_be_checked_stays_with_the_original)
{
    fake.verdict = FUSELN_VERDICT_ALIAS;
    for (int i = 0; i < 10; i++)
        assert_int_equal(launch(&three), FUSELN_VERDICT_CHECK);
    assert_int_equal(atomic_load(&site.checked.unchecked[FUSELN_VERDICT_ALIAS]), 10);
    assert_int_equal(atomic_load(&site.checked.issued), 0);
}

TEST(known_builds_and_zero_are_replaced_at_once)
{
    const struct fuseln_config zero = {.mode = FUSELN_MODE_REPLACE, .check = 0};
    assert_int_equal(launch(&zero), FUSELN_VERDICT_OK);
    library.known = true;
    assert_int_equal(launch(&three), FUSELN_VERDICT_OK);
    assert_int_equal(fake.started, 0);
}

TEST(verify_replaces_nothing_and_checks_all)
{
    const struct fuseln_config verify = {.mode = FUSELN_MODE_VERIFY, .check = 3};
    library.known = true;
    for (int i = 0; i < 50; i++)
        assert_int_equal(launch(&verify), FUSELN_VERDICT_VERIFY);
    assert_int_equal(fake.slice, -1);
    assert_int_equal(fake.started, 50);
    fuseln_verify_collect();
    assert_int_equal(atomic_load(&site.checked.compared), 50);
    assert_true(site.checked.field[FUSELN_CHECK_ELEMENTS] == 500);
    assert_true(site.checked.field[FUSELN_CHECK_MAX] == 3);
}

TEST(the_site_of_all_others_is_not_replaced_unchecked)
{
    site.key.target = NULL;
    for (int i = 0; i < 5; i++)
        assert_int_equal(launch(&three), FUSELN_VERDICT_CHECK);
    assert_int_equal(fake.started, 0);
    library.known = true; /* but a launch of a known build is replaced there too */
    assert_int_equal(launch(&three), FUSELN_VERDICT_OK);
}

TEST(numbers_are_written_without_the_locale)
{
    static const struct {
        double value;
        const char *text;
    } numbers[] = {{0, "0.0"},
                   {1, "1.0"},
                   {0.25, "0.25"},
                   {1234.5, "1234.5"},
                   {1e-7, "0.0"},
                   {2.0 / 3, "0.666667"},
                   {1e12, "100000000000.0e1"},
                   {1e300, NULL},
                   {1.5e300, ""},
                   {-1, ""},
                   {(double)NAN, ""},
                   {(double)INFINITY, ""}};
    char text[FUSELN_REAL_MAX];
    setlocale(LC_ALL, "de_DE.UTF-8");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const bool is = fuseln_out_real(text, numbers[i].value);
        assert_int_equal(is, !numbers[i].text || numbers[i].text[0]);
        if (numbers[i].text)
            assert_string_equal(text, numbers[i].text);
    }
    static const struct {
        double value;
        const char *text;
    } shorts[] = {{0.25, "0.25"},      {2.0 / 3, "0.6666"},          {123456.7, "123456"},
                  {999999.4, "1.0e6"}, {8388608, "8.4e6"},           {9.96e9, "1.0e10"},
                  {1e300, "1.0e300"},  {4503599627370496, "4.5e15"}, {(double)NAN, ""}};
    for (size_t i = 0; i < sizeof shorts / sizeof *shorts; i++)
        assert_string_equal(fuseln_out_short(text, shorts[i].value), shorts[i].text);
    for (double x = 1e-12; x < 1e150; x *= 7)
        assert_true(fabs(fuseln_report_root(x * x) / x - 1) < 1e-12);
    assert_true(fuseln_report_root(0) == 0);
}

int main(void)
{
    return run_registered_tests();
}
