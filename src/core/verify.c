/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See verify.h. A site's results are added up, then `failed` is set if need be, then `compared` is counted: who reads
 * `compared` first knows of every failure among them. A check in which nothing was held against its value makes room
 * for another.
 */
#include "core/verify.h"

#include "base/log.h"
#include "base/output.h"
#include "base/shield.h"
#include "core/registry.h"
#include "core/user.h"

#include <string.h>

enum { USER_CHECKS = 3, PATIENCE = 32, SELDOM = 64 };

/* How many checks come before a launch is replaced. By its own target: the site `other` has none. */
static unsigned checks_first(const struct fuseln_target *target, const struct fuseln_config *config)
{
    if (target->user)
        return config->check > USER_CHECKS ? config->check : USER_CHECKS;
    return target->library && target->library->known ? 0 : config->check;
}

static bool is_refused(const struct fuseln_target *target)
{
    return target->user && fuseln_user_is_refused(target->user);
}

/* Where many checks proved nothing, as of gradients that are zero for long, only one launch in so many is checked. */
static bool is_worth_it(const struct fuseln_site *site)
{
    return atomic_load_explicit(&site->checked.inconclusive, memory_order_relaxed) < PATIENCE ||
           atomic_load_explicit(&site->passed[FUSELN_VERDICT_CHECK], memory_order_relaxed) % SELDOM == 0;
}

enum fuseln_verdict fuseln_verify_begin(struct fuseln_pass *pass)
{
    const struct fuseln_config *config = pass->config;
    struct fuseln_checked *checked = &pass->site->checked;

    if (config->mode == FUSELN_MODE_VERIFY) {
        fuseln_verify_collect(); /* there are so many slots for results, and no more */
        pass->check = true;
        return FUSELN_VERDICT_VERIFY;
    }
    const unsigned first = checks_first(pass->launch->target, config);
    if (!first)
        return FUSELN_VERDICT_OK;
    if (!pass->site->key.target) /* the site `other` is many */
        return FUSELN_VERDICT_CHECK;
    fuseln_verify_collect();
    const uint64_t compared = atomic_load_explicit(&checked->compared, memory_order_acquire);
    if (atomic_load_explicit(&checked->failed, memory_order_relaxed) || is_refused(pass->launch->target))
        return FUSELN_VERDICT_FAILED;
    if (compared >= first)
        return FUSELN_VERDICT_OK;
    pass->check = atomic_load_explicit(&checked->issued, memory_order_relaxed) < first && is_worth_it(pass->site);
    return FUSELN_VERDICT_CHECK;
}

static double distance(double a, double b)
{
    return a < b ? b - a : a - b;
}

/* The value of another real argument that could be eps; of several, the one nearest to it. 0: none. */
static double other_eps(const struct fuseln_pass *pass)
{
    const struct fuseln_layout *layout = &pass->launch->target->layout;
    const double eps = pass->call.eps;
    double nearest = 0;

    for (int i = 0; i < layout->count; i++) {
        double value = 0;
        if (i == layout->eps || layout->role[i] == FUSELN_ROLE_REQUIRE)
            continue;
        if (layout->type[i] == FUSELN_ARG_F64)
            memcpy(&value, pass->launch->args[i], sizeof value);
        else if (layout->type[i] == FUSELN_ARG_F32)
            value = *(const float *)pass->launch->args[i];
        if (value >= FUSELN_EPS_LEAST && value <= FUSELN_EPS_MOST &&
            (nearest == 0 || distance(value, eps) < distance(nearest, eps)))
            nearest = value;
    }
    return nearest;
}

/* The roles of the pointers that the user says are only read. */
static unsigned inputs_of(const struct fuseln_layout *layout)
{
    unsigned roles = 0;

    for (int i = 0; i < layout->pointer_count; i++)
        if (layout->in >> layout->pointers[i].argument & 1)
            roles |= 1u << layout->pointers[i].role;
    return roles;
}

static struct fuseln_check check_of(const struct fuseln_pass *pass, unsigned number)
{
    const struct fuseln_layout *layout = &pass->launch->target->layout;
    const bool user = pass->launch->target->user;
    return (struct fuseln_check){.context = pass->job.context,
                                 .stream = pass->launch->stream,
                                 .slice = pass->config->mode == FUSELN_MODE_VERIFY ? -1 : (int)(number % 3),
                                 .owner = pass->site,
                                 .one_pass = layout->one_pass,
                                 .round_affine = layout->round_affine,
                                 .saved = pass->saved,
                                 .proves = user,
                                 .other_eps = user ? other_eps(pass) : 0,
                                 .inputs = inputs_of(layout)};
}

void fuseln_verify_save(struct fuseln_pass *pass)
{
    const struct fuseln_target *target = pass->launch->target;
    /* No argument says the rows again where the blocks' size counts. */
    const bool unsure = target->user || target->layout.rows_from == FUSELN_ROWS_GRID_X_BLOCK_Y ||
                        target->layout.rows_from == FUSELN_ROWS_GRID;

    if (unsure && !fuseln_kernel_check_fits(&pass->call)) {
        pass->check = false; /* rows or cols may be too many: reading them could end the context */
        atomic_fetch_add_explicit(&pass->site->checked.unchecked[FUSELN_VERDICT_REQUIRE], 1, memory_order_relaxed);
        return;
    }
    const struct fuseln_check check =
        check_of(pass, atomic_load_explicit(&pass->site->checked.issued, memory_order_relaxed));
    pass->saved = fuseln_kernel_check_save(&check, &pass->call);
}

void fuseln_verify_start_check(const struct fuseln_pass *pass)
{
    struct fuseln_checked *checked = &pass->site->checked;
    const bool all = pass->config->mode == FUSELN_MODE_VERIFY;
    const unsigned number = atomic_fetch_add(&checked->issued, 1);
    const struct fuseln_check check = check_of(pass, number);
    enum fuseln_verdict verdict = FUSELN_VERDICT_CHECK;

    if (all || number < checks_first(pass->launch->target, pass->config))
        verdict = fuseln_kernel_check(&check, &pass->call);
    if (verdict == FUSELN_VERDICT_OK)
        return;
    atomic_fetch_sub(&checked->issued, 1);
    if (verdict != FUSELN_VERDICT_CHECK) /* else another thread was first */
        atomic_fetch_add_explicit(&checked->unchecked[verdict], 1, memory_order_relaxed);
}

/* Where only one has NaN, a check does not tell which. */
static const char *who_is_wrong(const double *field)
{
    if (field[FUSELN_CHECK_OUTSIDE_OURS] > 0)
        return "our kernel is wrong here";
    return field[FUSELN_CHECK_OUTSIDE_THEIRS] > 0 ? "the original computes something else"
                                                  : "one of the two has NaN where the other has none";
}

static void say_failed(const struct fuseln_site *site, const struct fuseln_check_result *result)
{
    const struct fuseln_target *target = site->key.target;
    const double *field = result->field;
    const double largest =
        field[FUSELN_CHECK_OUTSIDE_OURS] == 0 ? field[FUSELN_CHECK_MAX_THEIRS] : field[FUSELN_CHECK_MAX_OURS];
    const int64_t first = (int64_t)-field[FUSELN_CHECK_FIRST], cols = site->key.cols > 0 ? site->key.cols : 1;
    char ulp[FUSELN_REAL_MAX];

    pr_warn(
        "%s cols=%lld in %s is not replaced: %s: of %llu values %llu of ours and %llu of the original's lie beyond the "
        "bound, %llu are NaN in one of them; up to %s ulp; first at row %lld, column %lld",
        target ? target->name : "other", (long long)site->key.cols,
        target && target->library ? target->library->name : "?", who_is_wrong(field),
        (unsigned long long)field[FUSELN_CHECK_ELEMENTS], (unsigned long long)field[FUSELN_CHECK_OUTSIDE_OURS],
        (unsigned long long)field[FUSELN_CHECK_OUTSIDE_THEIRS], (unsigned long long)field[FUSELN_CHECK_NAN],
        fuseln_out_short(ulp, largest), (long long)(first / cols), (long long)(first % cols));
}

/* For good: what it writes besides would go stale. */
static void refuse_row(const struct fuseln_target *target)
{
    fuseln_user_refuse(target->user, "the kernel writes to what the row says it only reads, or more rows than the row "
                                     "says");
    fuseln_user_complain();
}

static void add_results(double *to, const double *field)
{
    const double first = 1 - field[FUSELN_CHECK_FIRST];
    struct fuseln_shield before;
    fuseln_shield_lock(&before, &fuseln_core_mutex);
    for (int i = 0; i < FUSELN_CHECK_SUMS; i++)
        to[i] += field[i];
    for (int i = FUSELN_CHECK_SUMS; i < FUSELN_CHECK_FIRST; i++)
        to[i] = field[i] > to[i] ? field[i] : to[i];
    if (field[FUSELN_CHECK_FIRST] > FUSELN_CHECK_NONE &&
        (to[FUSELN_CHECK_FIRST] == 0 || first < to[FUSELN_CHECK_FIRST]))
        to[FUSELN_CHECK_FIRST] = first;
    fuseln_shield_unlock(&before, &fuseln_core_mutex);
}

/* An Inf, a NaN or what is too large in every row; or data that would not show another operation, such as zeros. */
static bool proves_nothing(const double *field)
{
    return field[FUSELN_CHECK_ELEMENTS] == 0 || field[FUSELN_CHECK_TELLING] == 0;
}

static void fold(struct fuseln_site *site, const struct fuseln_check_result *result)
{
    struct fuseln_checked *checked = &site->checked;
    const double *field = result->field;

    add_results(checked->field, field);
    const bool wrong =
        field[FUSELN_CHECK_OUTSIDE_OURS] + field[FUSELN_CHECK_OUTSIDE_THEIRS] + field[FUSELN_CHECK_NAN] > 0;
    if (wrong && !atomic_exchange(&checked->failed, true))
        say_failed(site, result);
    if (field[FUSELN_CHECK_CHANGED] > 0 && site->key.target && site->key.target->user) {
        atomic_store(&checked->failed, true);
        refuse_row(site->key.target);
    }
    if (!wrong && proves_nothing(field)) {
        atomic_fetch_add_explicit(&checked->inconclusive, 1, memory_order_relaxed);
        atomic_fetch_sub(&checked->issued, 1);
        return;
    }
    atomic_fetch_add_explicit(&checked->compared, 1, memory_order_release);
}

void fuseln_verify_collect(void)
{
    struct fuseln_check_result result;
    struct fuseln_site *site;

    while ((site = fuseln_check_collect(&result)))
        fold(site, &result);
}
