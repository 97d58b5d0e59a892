/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters and the sites: threads that count at the same time and end, more sites than the table holds, threads
 * that make the same sites, rows, fork.
 */
#include "child.h"

#include "base/thread.h"
#include "core/record.h"

enum { THREADS = 8, EACH = 200000 };
static struct fuseln_target target = {.name = "test/target"};
static pthread_barrier_t barrier;

static void *count(void *launches)
{
    for (intptr_t i = 0; i < (intptr_t)launches; i++)
        count_launch();
    return NULL;
}

TEST_IN_CHILD(threads_that_ended_are_counted_exactly, "FUSELN_MODE", "replace")
{
    pthread_t threads[THREADS];
    check(fuseln_record_launches() == 0);
    for (int round = 1; round <= 3; round++) {
        for (intptr_t i = 0; i < THREADS; i++)
            pthread_create(&threads[i], NULL, count, (void *)(EACH + i));
        for (int i = 0; i < 1000; i++)
            fuseln_record_launches(); /* reads while they count and end */
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        check(fuseln_record_launches() == (uint64_t)round * (THREADS * EACH + THREADS * (THREADS - 1) / 2));
    }
    count((void *)5);
    check(fuseln_record_launches() == 3 * (THREADS * EACH + THREADS * (THREADS - 1) / 2) + 5);
}

static void launch_at_thread_exit(void *unused)
{
    (void)unused;
    count((void *)3);
}

/* Runs after the counter was folded in, since the last one registered runs first. */
static void *count_late(void *unused)
{
    fuseln_thread_at_exit(launch_at_thread_exit, NULL);
    count((void *)4);
    return unused;
}

TEST_IN_CHILD(a_launch_in_a_threads_last_destructor_is_counted, "FUSELN_MODE", "replace")
{
    for (int i = 0; i < 10; i++)
        run_thread(count_late, NULL);
    check(fuseln_record_launches() == 70);
}

static struct fuseln_site *site(int64_t cols, bool *ret_new)
{
    return fuseln_site_get(&(struct fuseln_site_key){.target = &target, .cols = cols, .width = 16}, ret_new);
}

static void make_too_many_sites(void)
{
    bool is_new;
    const struct fuseln_site *other = NULL, *at;
    check(fuseln_site_at(0) == NULL);
    for (int64_t cols = 0; cols < 1100; cols++) {
        struct fuseln_site *made = site(cols, &is_new);
        check(is_new == (cols < FUSELN_SITES_MAX));
        fuseln_site_record(made, FUSELN_VERDICT_OK, 7, "k");
        if (cols >= FUSELN_SITES_MAX) {
            check(made->key.target == NULL && (!other || other == made));
            other = made;
        }
    }
    for (int64_t cols = 0; cols < FUSELN_SITES_MAX; cols++) {
        at = fuseln_site_at((size_t)cols);
        check(at == site(cols, &is_new) && !is_new && at->key.cols == cols && at->substituted == 1);
    }
    check(fuseln_site_at(FUSELN_SITES_MAX) == other && other->substituted == 1100 - FUSELN_SITES_MAX);
    check(fuseln_site_at(FUSELN_SITES_MAX + 1) == NULL);
}

/* Twice, because the table is empty again in a forked child. */
TEST_IN_CHILD(sites_beyond_the_table_are_counted_in_other, NULL)
{
    int status;
    count((void *)1);
    make_too_many_sites();
    pid_t pid = fork();
    if (pid == 0) {
        alarm(20); /* a search in a table without a free slot never ends */
        make_too_many_sites();
        exit(0);
    }
    check(waitpid(pid, &status, 0) == pid && status == 0);
}

/* So many that they collide in the table. */
TEST_IN_CHILD(a_site_is_its_whole_key, NULL)
{
    static struct fuseln_target targets[151];
    struct fuseln_site_key keys[750];
    bool is_new;
    for (int i = 0; i < 750; i++) {
        int field = i / 150, value = (i % 150 + 1) * (i % 150 + 1); /* unevenly spaced */
        keys[i] = (struct fuseln_site_key){.target = &targets[field == 0 ? i + 1 : 0],
                                           .cols = field == 1 ? value : 0,
                                           .device = field == 2 ? value : 0,
                                           .nulls = field == 3 ? (unsigned)value : 0,
                                           .width = field == 4 ? (unsigned)value : 0,
                                           .boundary = value % 2 ? FUSELN_BOUNDARY_DRIVER : FUSELN_BOUNDARY_RUNTIME};
    }
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
            check(fuseln_site_get(&keys[i], &is_new) == fuseln_site_at(i));
            check(is_new == (round == 0));
        }
}

static _Atomic int made_new;

static void *make_sites(void *seed)
{
    bool is_new;
    pthread_barrier_wait(&barrier);
    for (int64_t i = 0; i < 20000; i++) {
        struct fuseln_site *mine = site((i * 7 + (intptr_t)seed) % 500, &is_new);
        made_new += is_new;
        fuseln_site_record(mine, i % 4 ? FUSELN_VERDICT_OK : FUSELN_VERDICT_CAPTURE, i + 1, i % 4 ? "k" : NULL);
    }
    return NULL;
}

static void make_sites_in_threads(void)
{
    pthread_barrier_init(&barrier, NULL, THREADS);
    run_threads(THREADS, make_sites);
    uint64_t substituted = 0, captured = 0;
    const struct fuseln_site *at;
    bool seen[500] = {0};
    size_t count = 0;
    for (; (at = fuseln_site_at(count)); count++) {
        check(!seen[at->key.cols] && at->substituted + at->passed[FUSELN_VERDICT_CAPTURE] == THREADS * 40 &&
              at->rows_min >= 1 && at->rows_max <= 20000);
        check(at->rows_first >= at->rows_min && at->rows_first <= at->rows_max && !strcmp(at->kernel, "k"));
        seen[at->key.cols] = true;
        substituted += at->substituted;
        captured += at->passed[FUSELN_VERDICT_CAPTURE];
    }
    check(count == 500 && made_new == 500);
    check(substituted == THREADS * 15000 && captured == THREADS * 5000);
}

TEST(threads_share_their_sites_and_lose_no_launch)
{
    for (int i = 0; i < 10; i++)
        assert_child(make_sites_in_threads, NULL);
}

TEST_IN_CHILD(a_site_records_the_first_fewest_and_most_rows, NULL)
{
    bool is_new;
    struct fuseln_site *mine = site(3, &is_new);
    static const int64_t rows[] = {5, 0, 9, 5};
    for (size_t i = 0; i < 4; i++)
        fuseln_site_record(mine, FUSELN_VERDICT_EMPTY, rows[i], NULL);
    check(mine->rows_first == 5 && mine->rows_min == 0 && mine->rows_max == 9 && mine->kernel == NULL);
    check(mine->substituted == 0 && mine->passed[FUSELN_VERDICT_EMPTY] == 4);
}

static void *fork_while_counting(void *unused)
{
    bool is_new;
    count((void *)100);
    fuseln_site_record(site(1, &is_new), FUSELN_VERDICT_OK, 7, "k");
    pid_t pid = fork();
    if (pid == 0) {
        check(fuseln_record_launches() == 0 && fuseln_site_at(0) == NULL);
        count((void *)3);
        check(fuseln_record_launches() == 3);
        struct fuseln_site *mine = site(1, &is_new);
        check(is_new && mine->substituted == 0);
        run_thread(count, (void *)4);
        check(fuseln_record_launches() == 7);
        exit(5);
    }
    int status;
    waitpid(pid, &status, 0);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 5);
    return unused;
}

static void fork_in_threads(void)
{
    run_threads(THREADS, fork_while_counting);
    check(fuseln_record_launches() == THREADS * 100);
    check(fuseln_site_at(0)->substituted == THREADS);
}

TEST(a_forked_child_counts_from_zero)
{
    if (SANITIZED)
        skip();
    for (int i = 0; i < 10; i++)
        assert_child(fork_in_threads, NULL);
}

int main(void)
{
    return run_registered_tests();
}
