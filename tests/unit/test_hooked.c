/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a launch through hooks/launch.c: one that comes back from its original is not counted again and not looked
 * up, but invalidates what is pending; errno is the host's, or the original's.
 */
#include "../../hooks/launch.c"

#include "test.h"

_Thread_local struct fuseln_thread_counter fuseln_thread_counter __attribute__((tls_model("initial-exec")));
atomic_uint fuseln_pairing_count;
static void *invalidated; /* the stream of the last launch that pending sums were told of */

void fuseln_pairing_foreign_launch(void *stream)
{
    invalidated = stream;
}
static enum fuseln_verdict verdict; /* of the pipeline */
static struct fuseln_launch piped;  /* the last one that came to it */
void fuseln_pipeline_run(const struct fuseln_launch *launch, struct fuseln_pass *ret_pass)
{
    static const struct fuseln_config config;
    piped = *launch;
    errno = EIO; /* as a driver may leave it */
    *ret_pass = (struct fuseln_pass){.config = &config, .verdict = verdict};
}
void fuseln_pipeline_end(const struct fuseln_pass *pass, bool launched)
{
    (void)pass, (void)launched;
    errno = EIO;
}
static enum fuseln_verdict proof; /* of a user's row */
enum fuseln_verdict fuseln_proof_of_launched(const struct fuseln_target *target, void *stream, enum fuseln_node node,
                                             const void *caller)
{
    (void)target, (void)stream, (void)node, (void)caller;
    errno = EIO;
    return proof;
}
void fuseln_process_join(void)
{
    fuseln_thread_counter.joined = true;
}
void *fuseln_real_find(enum fuseln_node node, enum fuseln_real which, const void *address)
{
    (void)node, (void)which, (void)address;
    errno = EIO;
    return NULL;
}
void fuseln_report_tick(bool substituted)
{
    (void)substituted;
}
void fuseln_trace(const struct fuseln_pass *pass)
{
    (void)pass;
}

static void *const OUTER = (void *)0x10, *const INNER = (void *)0x20;

static int original_inner(const struct fuseln_hooked *hooked)
{
    assert_ptr_equal(fuseln_thread_counter.launching, hooked->function);
    return 7;
}

static const void *inner_function;
static int original_outer(const struct fuseln_hooked *hooked)
{
    (void)hooked;
    assert_ptr_equal(invalidated, OUTER);
    struct fuseln_hooked inner = {.launch = {.stream = INNER, .boundary = FUSELN_BOUNDARY_DRIVER},
                                  .function = inner_function,
                                  .original = original_inner};
    return fuseln_launch(&inner);
}

/* How many launches are counted of one that makes another, of this function, inside its original. */
static int launches_with(const void *function)
{
    struct fuseln_hooked outer = {.launch = {.stream = OUTER, .boundary = FUSELN_BOUNDARY_DRIVER},
                                  .function = &invalidated,
                                  .original = original_outer};
    const uint64_t before = fuseln_thread_counter.launches[FUSELN_BOUNDARY_DRIVER];
    inner_function = function;
    atomic_store(&fuseln_pairing_count, 1);
    assert_int_equal(fuseln_launch(&outer), 7);
    assert_ptr_equal(invalidated, INNER);
    assert_null(fuseln_thread_counter.launching);
    return (int)(fuseln_thread_counter.launches[FUSELN_BOUNDARY_DRIVER] - before);
}

TEST(a_launch_that_comes_back_is_one_and_invalidates_what_is_pending)
{
    assert_int_equal(launches_with(&invalidated), 1);
    assert_int_equal(launches_with(&inner_function), 2); /* a launch of another function, as a callback may make it */
}

/* A profiler's wrapper that launches a kernel of its own before it comes back. */
static int original_with_marker(const struct fuseln_hooked *hooked)
{
    struct fuseln_hooked marker = {
        .launch = {.boundary = FUSELN_BOUNDARY_DRIVER}, .function = OUTER, .original = original_inner};
    struct fuseln_hooked back = {
        .launch = {.boundary = FUSELN_BOUNDARY_DRIVER}, .function = hooked->function, .original = original_inner};
    return fuseln_launch(&marker) + fuseln_launch(&back);
}

TEST(a_launch_that_comes_back_after_another_is_one)
{
    struct fuseln_hooked outer = {
        .launch = {.boundary = FUSELN_BOUNDARY_DRIVER}, .function = &invalidated, .original = original_with_marker};
    const uint64_t before = fuseln_thread_counter.launches[FUSELN_BOUNDARY_DRIVER];
    assert_int_equal(fuseln_launch(&outer), 14);
    assert_int_equal(fuseln_thread_counter.launches[FUSELN_BOUNDARY_DRIVER] - before, 2);
    assert_null(fuseln_thread_counter.launching);
}

static jmp_buf away;
static int original_jumps(const struct fuseln_hooked *hooked)
{
    (void)hooked;
    longjmp(away, 1);
}

TEST(a_jump_out_of_the_original_leaves_one_launch_uncounted)
{
    struct fuseln_hooked jumps = {
        .launch = {.boundary = FUSELN_BOUNDARY_DRIVER}, .function = &invalidated, .original = original_jumps};
    if (!setjmp(away))
        fuseln_launch(&jumps);
    jumps.original = original_inner;
    const uint64_t before = fuseln_thread_counter.launches[FUSELN_BOUNDARY_DRIVER];
    for (int i = 0; i < 3; i++)
        assert_int_equal(fuseln_launch(&jumps), 7);
    assert_int_equal(fuseln_thread_counter.launches[FUSELN_BOUNDARY_DRIVER] - before, 2);
}

static int original_fails(const struct fuseln_hooked *hooked)
{
    (void)hooked;
    assert_int_equal(errno, 77);
    errno = 78;
    return 1;
}

TEST(errno_is_the_hosts_or_the_originals)
{
    static const struct fuseln_target target = {.name = "target"};
    struct fuseln_hooked hooked = {
        .launch = {.boundary = FUSELN_BOUNDARY_RUNTIME}, .function = &target, .original = original_fails};
    assert_int_equal(fuseln_registry_add(&target, &target, &(struct fuseln_target){.symbol = "_Z1k"}), 0);
    errno = 77;
    verdict = FUSELN_VERDICT_OK;
    assert_int_equal(fuseln_launch(&hooked), 0);
    assert_int_equal(errno, 77);
    verdict = FUSELN_VERDICT_SKIP;
    assert_int_equal(fuseln_launch(&hooked), 1);
    assert_int_equal(errno, 78);
}

static int original_fails_quietly(const struct fuseln_hooked *hooked)
{
    (void)hooked;
    return 9;
}

TEST(a_foreign_norm_is_counted_and_not_replaced)
{
    static const char function, module;
    struct fuseln_hooked hooked = {.launch = {.boundary = FUSELN_BOUNDARY_DRIVER, .stream = INNER},
                                   .function = &function,
                                   .original = original_fails_quietly};
    fuseln_registry_learn_norm(&function, &module, "RMSNorm", "quack");
    verdict = FUSELN_VERDICT_OK; /* the pipeline would replace it */
    atomic_store(&fuseln_pairing_count, 1);
    assert_int_equal(fuseln_launch(&hooked), 9);
    assert_ptr_equal(invalidated, INNER);
    assert_int_equal(atomic_load(&fuseln_foreign_at(0)->launches), 1);
}

static int original_succeeds(const struct fuseln_hooked *hooked)
{
    (void)hooked;
    return 0;
}

/* What the pipeline is told of a launch with one attribute. */
static enum fuseln_verdict declined(int attribute, enum fuseln_verdict before)
{
    static const char function;
    const struct fuseln_attribute attributes[] = {{.id = attribute}};
    const struct fuseln_launch_config config = {.attributes = attributes, .attribute_count = 1};
    struct fuseln_hooked hooked = {.launch = {.boundary = FUSELN_BOUNDARY_DRIVER, .declined = before},
                                   .function = &function,
                                   .original = original_succeeds};

    assert_int_equal(fuseln_registry_add(&function, &function, &(struct fuseln_target){.symbol = "_Z1k"}), 0);
    assert_int_equal(fuseln_launch_ex(&hooked, &config, false), 0);
    return piped.declined;
}

TEST(an_attribute_declines_a_launch_that_nothing_else_did)
{
    enum { CLUSTER_DIMENSION = 4, PROGRAMMATIC_SERIALIZATION = 6 };
    assert_int_equal(declined(CLUSTER_DIMENSION, FUSELN_VERDICT_OK), FUSELN_VERDICT_ATTRIBUTE);
    assert_int_equal(declined(PROGRAMMATIC_SERIALIZATION, FUSELN_VERDICT_OK), FUSELN_VERDICT_OK);
    assert_int_equal(declined(CLUSTER_DIMENSION, FUSELN_VERDICT_CHECK), FUSELN_VERDICT_CHECK);
    assert_int_equal(declined(PROGRAMMATIC_SERIALIZATION, FUSELN_VERDICT_CHECK), FUSELN_VERDICT_CHECK);
}

/* What the pipeline is told of one launch of a row that is not proven. */
static const struct fuseln_launch *told(enum fuseln_boundary boundary, int (*original)(const struct fuseln_hooked *))
{
    static const char function, module;
    static void *args[1];
    const struct fuseln_target target = {.symbol = "own", .host_function = &function};
    struct fuseln_hooked hooked = {
        .launch = {.boundary = boundary, .args = args}, .function = &function, .args = args, .original = original};

    assert_int_equal(fuseln_registry_add(&function, &module, &target), 0);
    piped = (struct fuseln_launch){0};
    errno = 77;
    assert_int_equal(fuseln_launch(&hooked), original == original_succeeds ? 0 : 9);
    assert_int_equal(errno, 77);
    assert_ptr_equal(piped.args, piped.declined == FUSELN_VERDICT_CHECK ? args : NULL);
    return &piped;
}

TEST(of_a_row_that_is_not_proven_the_original_is_launched_and_no_argument_read)
{
    verdict = FUSELN_VERDICT_CHECK;
    proof = FUSELN_VERDICT_CAPTURE;
    assert_int_equal(told(FUSELN_BOUNDARY_RUNTIME, original_succeeds)->declined, FUSELN_VERDICT_CAPTURE);
    assert_null(told(FUSELN_BOUNDARY_RUNTIME, original_fails_quietly)->target); /* nobody is asked then */
    assert_null(told(FUSELN_BOUNDARY_DRIVER, original_succeeds)->target);       /* by its handle: nobody can be */
    proof = FUSELN_VERDICT_FAILED;
    assert_null(told(FUSELN_BOUNDARY_RUNTIME, original_succeeds)->target);
    proof = FUSELN_VERDICT_OK;
    assert_int_equal(told(FUSELN_BOUNDARY_RUNTIME, original_succeeds)->declined, FUSELN_VERDICT_CHECK);
}

int main(void)
{
    return run_registered_tests();
}
