/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry: addresses that are found, removed and reused; handles; full tables; look-ups while another thread
 * registers. And library.c: this program's own name and build-id.
 */
#include "test.h"

#include "core/foreign.h"
#include "core/library.h"
#include "core/registry.h"

#include <errno.h>
#include <gnu/libc-version.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static struct fuseln_library library = {.name = "libtest.so"};
static char addresses[8192][16];
static char fatbins[128];

static int add(size_t address, size_t fatbin, const char *symbol)
{
    const struct fuseln_target target = {.symbol = symbol, .library = &library, .rms = true};
    return fuseln_registry_add(addresses[address], &fatbins[fatbin], &target);
}

/* First, as in a process without any kernel that we know. */
TEST(a_foreign_norm_is_no_target_and_goes_with_its_module)
{
    fuseln_registry_learn_norm(addresses[10], &fatbins[101], "RMSNorm", "quack");
    fuseln_registry_alias(addresses[11], addresses[10]); /* the CUfunction of a CUkernel */
    assert_null(fuseln_registry_find(addresses[10]));
    assert_true(fuseln_registry_may_hold(addresses[10])); /* so it takes the longer way, where it is counted */
    assert_non_null(fuseln_registry_foreign(addresses[10]));
    assert_ptr_equal(fuseln_registry_foreign(addresses[11]), fuseln_registry_foreign(addresses[10]));
    fuseln_registry_learn(addresses[11], &fatbins[101], NULL);
    assert_null(fuseln_registry_foreign(addresses[11]));
    assert_true(fuseln_registry_forget(&fatbins[101]));
    assert_null(fuseln_registry_foreign(addresses[10]));
}

TEST(what_was_registered_is_found)
{
    char symbol[] = "one";

    assert_null(fuseln_registry_find(addresses[0]));
    assert_int_equal(add(0, 0, symbol), 0);
    symbol[0] = '?'; /* the registry has its own copy */
    assert_string_equal(fuseln_registry_find(addresses[0])->symbol, "one");
    assert_true(fuseln_registry_find(addresses[0])->rms);
    assert_ptr_equal(fuseln_registry_find(addresses[0])->library, &library);
    assert_null(fuseln_registry_find(addresses[1]));
    assert_null(fuseln_registry_find(NULL));
    assert_null(fuseln_registry_find((void *)1));
}

TEST(a_handle_is_another_address_of_its_function)
{
    fuseln_registry_alias(addresses[2], addresses[0]);
    assert_ptr_equal(fuseln_registry_find(addresses[2]), fuseln_registry_find(addresses[0]));
    fuseln_registry_alias(addresses[3], addresses[1]); /* of a function nobody registered */
    assert_null(fuseln_registry_find(addresses[3]));
    fuseln_registry_alias(NULL, addresses[0]);
}

TEST(what_is_unregistered_is_forgotten_with_its_handles)
{
    const struct fuseln_target *before = fuseln_registry_find(addresses[0]);

    assert_int_equal(add(4, 1, "two"), 0);
    assert_false(fuseln_registry_forget(&fatbins[9]));
    assert_true(fuseln_registry_forget(&fatbins[0]));
    assert_null(fuseln_registry_find(addresses[0]));
    assert_null(fuseln_registry_find(addresses[2]));
    assert_non_null(fuseln_registry_find(addresses[4]));
    assert_null(fuseln_registry_find((void *)1)); /* a tombstone is not an address */
    assert_false(fuseln_registry_forget(&fatbins[0]));
    assert_int_equal(add(0, 0, "one"), 0); /* loaded again: the same target, so its sites go on */
    assert_ptr_equal(fuseln_registry_find(addresses[0]), before);
}

TEST(a_handle_stands_for_what_was_looked_up_last)
{
    static struct fuseln_library elsewhere = {.name = "libother.so"};
    const struct fuseln_target five = {.symbol = "five", .library = &library},
                               same = {.symbol = "five", .library = &elsewhere},
                               six = {.symbol = "six", .library = &library};
    fuseln_registry_learn(addresses[5], &fatbins[100], &five);
    fuseln_registry_learn(addresses[6], &fatbins[100], NULL); /* never known: nothing to forget */
    assert_string_equal(fuseln_registry_find(addresses[5])->symbol, "five");
    fuseln_registry_learn(addresses[5], &fatbins[101], &same); /* the same kernel stays the first library's */
    assert_ptr_equal(fuseln_registry_find(addresses[5])->library, &library);
    fuseln_registry_learn(addresses[5], &fatbins[101], &six); /* the handle is reused */
    assert_string_equal(fuseln_registry_find(addresses[5])->symbol, "six");
    fuseln_registry_alias(addresses[5], addresses[4]); /* and by what the runtime says */
    assert_string_equal(fuseln_registry_find(addresses[5])->symbol, "two");
    fuseln_registry_learn(addresses[5], &fatbins[101], NULL);
    assert_null(fuseln_registry_find(addresses[5]));
    fuseln_registry_learn(addresses[5], &fatbins[101], &five);
    assert_true(fuseln_registry_forget(&fatbins[101]));
    assert_null(fuseln_registry_find(addresses[5]));
    assert_true(fuseln_registry_forget(&fatbins[100]));
}

TEST(a_row_is_unproven_until_it_is_proven)
{
    const struct fuseln_target target = {
        .symbol = "own", .library = &library, .owner = &fatbins[60], .host_function = addresses[40]};

    assert_int_equal(fuseln_registry_add(addresses[40], &fatbins[60], &target), 0);
    fuseln_registry_alias(addresses[41], addresses[40]);
    for (size_t i = 40; i < 42; i++) {
        assert_string_equal(fuseln_registry_find(addresses[i])->symbol, "own");
        assert_false(fuseln_target_is_proven(fuseln_registry_find(addresses[i])));
    }
    assert_null(fuseln_registry_find(addresses[42]));
    assert_true(fuseln_target_is_proven(fuseln_registry_find(addresses[0]))); /* one of ours */
    fuseln_registry_prove(fuseln_registry_find(addresses[41]));
    fuseln_registry_alias(addresses[42], addresses[40]);
    for (size_t i = 40; i < 43; i++)
        assert_true(fuseln_target_is_proven(fuseln_registry_find(addresses[i])));
    assert_true(fuseln_registry_forget(&fatbins[60]));
    assert_null(fuseln_registry_find(addresses[40]));
    assert_int_equal(fuseln_registry_add(addresses[40], &fatbins[60], &target), 0); /* loaded again: another module */
    assert_false(fuseln_target_is_proven(fuseln_registry_find(addresses[40])));
    assert_int_equal(add(40, 60, "ours"), 0);
    assert_true(fuseln_target_is_proven(fuseln_registry_find(addresses[40])));
    assert_true(fuseln_registry_forget(&fatbins[60]));
}

TEST(loading_and_unloading_for_ever_takes_no_room)
{
    size_t targets = fuseln_registry_targets();

    for (size_t i = 0; i < 20000; i++) {
        assert_int_equal(add(100 + i % 50, 2 + i % 60, "again"), 0);
        assert_true(fuseln_registry_forget(&fatbins[2 + i % 60]));
    }
    assert_int_equal(fuseln_registry_targets(), targets + 1);
}

TEST(new_addresses_for_ever_take_no_room)
{
    const struct fuseln_target target = {.symbol = "again", .library = &library};
    const unsigned left_out = fuseln_registry_left_out();

    for (uintptr_t i = 1; i < 200000; i++) {
        assert_int_equal(fuseln_registry_add((void *)(i * 4096), &fatbins[7], &target), 0);
        if (i > 100)
            fuseln_registry_learn((void *)((i - 100) * 4096), NULL, NULL);
        assert_non_null(fuseln_registry_find((void *)(i * 4096)));
        assert_true(i < 50 || fuseln_registry_find((void *)((i - 49) * 4096)));
    }
    assert_int_equal(fuseln_registry_left_out(), left_out);
    fuseln_registry_forget(&fatbins[7]);
}

#ifdef __x86_64__
/* Two addresses whose probes start at the same slot. Between any two instructions of a look-up of the first, it is
 * removed and the second, a target or a foreign norm, takes its slot. */
static char neighbours[1 << 16];
static size_t second;
static volatile sig_atomic_t steps, swap_at;
static bool norm;

static void put_neighbour(size_t which, const char *symbol)
{
    const struct fuseln_target target = {.symbol = symbol, .library = &library};
    assert_int_equal(fuseln_registry_add(&neighbours[which], &neighbours[which], &target), 0);
}

static void step(int number)
{
    (void)number;
    if (++steps != swap_at)
        return;
    fuseln_registry_forget(&neighbours[0]);
    if (norm)
        fuseln_registry_learn_norm(&neighbours[second], &neighbours[second], "RMSNorm", "quack");
    else
        put_neighbour(second, "second");
}

static const char *symbol_of(const void *address)
{
    const struct fuseln_target *target = fuseln_registry_find(address);
    return target ? target->symbol : NULL;
}

static const char *norm_of(const void *address)
{
    const struct fuseln_foreign *foreign = fuseln_registry_foreign(address);
    return foreign ? foreign->name : NULL;
}

static void assert_look_ups_find_their_own(const char *look_up(const void *))
{
    unsigned swapped = 0;

    signal(SIGTRAP, step);
    for (swap_at = 1; swapped + 1 >= (unsigned)swap_at && swap_at < 1000; swap_at++) {
        put_neighbour(0, "first");
        steps = 0;
        __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
        const char *found = look_up(&neighbours[0]);
        __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
        swapped += steps >= swap_at;
        assert_true(!found || strcmp(found, "first") == 0);
        fuseln_registry_forget(&neighbours[0]);
        fuseln_registry_forget(&neighbours[second]);
    }
    signal(SIGTRAP, SIG_DFL);
    assert_true(swapped > 5);
}

TEST(a_look_up_never_finds_the_next_address_in_its_slot)
{
    while (fuseln_registry_first_slot(&neighbours[++second]) != fuseln_registry_first_slot(&neighbours[0]))
        assert_true(second + 1 < sizeof neighbours);
    assert_look_ups_find_their_own(symbol_of);
    norm = true;
    assert_look_ups_find_their_own(norm_of);
}
#endif

/* Like modules that vanish with their context, which nobody tells us: their handles are at new addresses each time. */
TEST(owners_that_vanish_unseen_are_evicted)
{
    enum { OWNERS = 5000, HANDLES = 8 };
    const struct fuseln_target target = {.symbol = "of a module", .library = &library};
    const unsigned left_out = fuseln_registry_left_out();

    for (uintptr_t owner = 0; owner < OWNERS; owner++) {
        for (uintptr_t i = 0; i < HANDLES; i++)
            fuseln_registry_learn((void *)(1ul << 30 | (owner * HANDLES + i) << 4), (void *)(2ul << 30 | owner << 4),
                                  &target);
        for (uintptr_t i = 0; i < HANDLES; i++)
            assert_non_null(fuseln_registry_find((void *)(1ul << 30 | (owner * HANDLES + i) << 4)));
    }
    assert_true(fuseln_registry_left_out() >= left_out + OWNERS - 1024);
    assert_null(fuseln_registry_find((void *)(1 << 30)));
    for (uintptr_t owner = 0; owner < OWNERS; owner++)
        fuseln_registry_forget((void *)(2ul << 30 | owner << 4));
}

/* A program that loads and unloads a module for ever. */
TEST(rows_of_users_leave_room_for_ours)
{
    static char own; /* any row */
    struct fuseln_target target = {.symbol = "own", .library = &library, .user = (struct fuseln_user_row *)&own};
    int rc = 0;

    for (uintptr_t i = 1; i <= 5000; i++) {
        target.owner = (void *)(5ul << 30 | i << 4);
        rc |= fuseln_registry_add((void *)(6ul << 30 | i << 4), target.owner, &target);
        fuseln_registry_forget(target.owner);
    }
    assert_int_equal(rc, -ENOMEM);
    assert_int_equal(add(0, 0, "ours"), 0);
    assert_string_equal(fuseln_registry_find(addresses[0])->symbol, "ours");
    fuseln_registry_forget(&fatbins[0]);
}

static void learn_norm(uintptr_t number)
{
    char name[64];
    snprintf(name, sizeof name, "triton_red_fused_native_layer_norm_%ju", (uintmax_t)number);
    fuseln_registry_learn_norm((void *)(3ul << 30 | number << 4), (void *)(4ul << 30 | number << 4), name, "inductor");
}

/* As torch.compile loads them, a module each, and as contexts take them along unseen. */
TEST(foreign_norms_evict_nobody)
{
    const unsigned left_out = fuseln_registry_left_out();
    const struct fuseln_target target = {.symbol = "one", .library = &library};

    assert_int_equal(add(0, 0, "one"), 0);
    for (uintptr_t i = 0; i < 3000; i++)
        learn_norm(i);
    assert_string_equal(fuseln_registry_find(addresses[0])->symbol, "one");
    assert_int_equal(fuseln_registry_left_out(), left_out);
    for (uintptr_t i = 0; i < FUSELN_FOREIGN_MAX - 1; i++) /* after the one of the first test */
        assert_ptr_equal(fuseln_registry_foreign((void *)(3ul << 30 | i << 4)), fuseln_foreign_at(i + 1));
    assert_string_equal(fuseln_foreign_at(FUSELN_FOREIGN_MAX - 1)->name, "triton_red_fused_native_layer_norm_254");
    const struct fuseln_foreign *more = fuseln_registry_foreign((void *)(3ul << 30 | FUSELN_FOREIGN_MAX << 4));
    assert_ptr_equal(more, fuseln_foreign_at(FUSELN_FOREIGN_MAX)); /* names beyond share it */
    assert_string_equal(more->maker, "other");
    assert_null(fuseln_foreign_at(FUSELN_FOREIGN_MAX + 1));
    atomic_store(&fuseln_registry_foreign((void *)(3ul << 30))->launches, 5);
    fuseln_foreign_after_fork();
    assert_int_equal(atomic_load(&fuseln_foreign_at(1)->launches), 0);
    assert_null(fuseln_registry_foreign((void *)(3ul << 30 | 2999 << 4))); /* no room: launched as any other kernel */
    fuseln_registry_learn((void *)(3ul << 30), &fatbins[100], &target);    /* the handle is reused */
    assert_null(fuseln_registry_foreign((void *)(3ul << 30)));
    fuseln_registry_alias((void *)(3ul << 30), (void *)(3ul << 30 | 1 << 4)); /* reused again, and there is no room */
    assert_null(fuseln_registry_find((void *)(3ul << 30)));
    for (uintptr_t i = 0; i < 3000; i++)
        fuseln_registry_forget((void *)(4ul << 30 | i << 4));
    assert_null(fuseln_registry_foreign((void *)(3ul << 30 | 1 << 4)));
    assert_true(fuseln_registry_forget(&fatbins[100]));
}

TEST(a_full_table_says_so_and_keeps_what_it_has)
{
    char symbol[32];
    size_t i = 1000;
    int rc = 0;

    const unsigned left_out = fuseln_registry_left_out();
    for (; i < 8000 && rc == 0; i++) {
        snprintf(symbol, sizeof(symbol), "symbol %zu", i);
        rc = add(i, 5, symbol);
    }
    assert_int_equal(rc, -ENOMEM);
    assert_true(i > 1500);
    assert_int_equal(fuseln_registry_left_out(), left_out + 1);
    assert_string_equal(fuseln_registry_find(addresses[1000])->symbol, "symbol 1000");
    assert_null(fuseln_registry_find(addresses[7999]));
    /* A handle that is reused for a kernel without room does not stay what it was. */
    fuseln_registry_learn(addresses[1000], &fatbins[5], &(struct fuseln_target){.symbol = "new", .library = &library});
    assert_null(fuseln_registry_find(addresses[1000]));
}

static bool known_by_length(const char *build_id)
{
    return strlen(build_id) == 40;
}

TEST(a_library_is_known_by_name_and_build_id)
{
    const struct fuseln_library *self = fuseln_library_of((const void *)known_by_length, known_by_length);
    const struct fuseln_library *libc = fuseln_library_of((const void *)gnu_get_libc_version, known_by_length);

    assert_non_null(self);
    assert_string_equal(self->name, "(program)");
    assert_int_equal(strlen(self->build_id), 40);
    assert_true(self->known);
    assert_string_equal(libc->name, "libc.so.6");
    assert_ptr_not_equal(self, libc);
    assert_null(fuseln_library_of((const void *)16, known_by_length));
    fuseln_library_forget((const void *)gnu_get_libc_version);
    assert_ptr_equal(fuseln_library_of((const void *)gnu_get_libc_version, known_by_length), libc);
}

static void *ask_when_cancelled(void *unused)
{
    (void)unused;
    pthread_cancel(pthread_self());
    fuseln_library_ask_begin();
    fuseln_library_ask_end();
    return &library;
}

TEST(a_thread_is_not_cancelled_while_it_waits_for_a_fork)
{
    fuseln_library_before_fork();
    void *result = run_thread(ask_when_cancelled, NULL);
    fuseln_library_after_fork_in_parent();
    assert_ptr_equal(result, &library);
}

int main(void)
{
    return run_registered_tests();
}
