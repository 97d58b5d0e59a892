/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pending partial sums: who consumes them, what invalidates them, who owns their memory when. Streams, contexts and
 * slabs are stand-ins. Streams are numbers; 99 has no id. Stream 2 is each thread's own.
 */
#define TEST(name) TEST_WITH(name, set_up, tear_down)
#include "test.h"

#include "core/pairing.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>

static void *stream_of(uintptr_t number)
{
    return (void *)number;
}

struct fuseln_slab {
    atomic_uint state; /* how often it is owned */
};
struct fuseln_context {
    int device;
};
enum { SLABS = 64, TABLE = 16 };
static struct fuseln_slab slabs[SLABS];
static atomic_bool no_memory, in_capture, no_id;
static struct fuseln_context contexts[3] = {{0}, {1}, {0}};
static _Thread_local struct fuseln_context *current = &contexts[0];

enum fuseln_verdict fuseln_kernel_stream(void *stream, unsigned long long *ret_id)
{
    assert_int_equal((uintptr_t)stream, 2);
    *ret_id = (uintptr_t)&current;
    return atomic_load(&no_id) ? FUSELN_VERDICT_CONTEXT : FUSELN_VERDICT_OK;
}

struct fuseln_context *fuseln_context_current(void)
{
    errno = EIO; /* as a driver may */
    return current;
}

const struct fuseln_device *fuseln_context_device(const struct fuseln_context *context)
{
    static const struct fuseln_device devices[2];
    return &devices[context->device];
}

enum fuseln_verdict fuseln_slab_acquire(const struct fuseln_job *job, struct fuseln_slab **ret_slab)
{
    if (atomic_load(&in_capture))
        return FUSELN_VERDICT_CAPTURE;
    if (job->stream == stream_of(99))
        return FUSELN_VERDICT_CONTEXT;
    for (size_t i = 0; i < SLABS && !atomic_load(&no_memory); i++) {
        unsigned none = 0;
        if (atomic_compare_exchange_strong(&slabs[i].state, &none, 1)) {
            *ret_slab = &slabs[i];
            return FUSELN_VERDICT_OK;
        }
    }
    return FUSELN_VERDICT_SCRATCH;
}

static atomic_int released_wrongly;
void fuseln_slab_release(struct fuseln_slab *slab)
{
    if (atomic_fetch_sub(&slab->state, 1) != 1)
        atomic_fetch_add(&released_wrongly, 1);
}

static struct fuseln_config config = {.scratch_bytes = 1 << 25};
_Atomic(const struct fuseln_config *) fuseln_config_published = &config;
const struct fuseln_config *fuseln_config_read(void)
{
    return &config;
}

_Thread_local struct fuseln_thread_counter fuseln_thread_counter __attribute__((tls_model("initial-exec")));
bool fuseln_log_enabled(enum fuseln_log_level level)
{
    return level < FUSELN_LOG_INFO;
}
void fuseln_log(enum fuseln_log_level level, const char *format, ...)
{
    (void)level, (void)format;
}

static const struct fuseln_library library, other_library;
static const struct fuseln_target dx = {.op = FUSELN_OP_DX, .library = &library},
                                  dgamma = {.op = FUSELN_OP_DGAMMA, .library = &library},
                                  forward = {.op = FUSELN_OP_FORWARD, .library = &library};
static const struct fuseln_plan plan = {.x_bytes = 64 * 32 * 4, .rstd_bytes = 64 * 4, .scratch_bytes = 4096};
static struct fuseln_site site;

#define AT(n) ((void *)((uintptr_t)(n) << 32))
static const struct fuseln_call gradient = {
    .op = FUSELN_OP_DX, .rows = 64, .cols = 32, .x = AT(1), .dy = AT(2), .mean = AT(3), .rstd = AT(4), .dx = AT(5)};

static struct fuseln_call call_of(enum fuseln_op op)
{
    struct fuseln_call call = gradient;
    call.op = op;
    return call;
}

static bool original; /* DGAMMA is refused */

/* A launch of this thread, as the pipeline sees it; call NULL: it could not be decoded. */
static struct fuseln_pass pass_of(const struct fuseln_launch *launch, const struct fuseln_call *call)
{
    return (struct fuseln_pass){.launch = launch,
                                .config = &config,
                                .decoded = call ? FUSELN_VERDICT_OK : FUSELN_VERDICT_GEOMETRY,
                                .call = call ? *call : (struct fuseln_call){0},
                                .job = {.context = current, .plan = &plan, .stream = launch->stream},
                                .site = &site};
}

/* As hooks/launch makes it. */
static void foreign_launch(void *stream)
{
    if (fuseln_pairing_any())
        fuseln_pairing_foreign_launch(stream);
}

/* DX on this stream. The slab of its sums, or NULL. */
static struct fuseln_slab *make(const struct fuseln_call *call, uintptr_t stream)
{
    const struct fuseln_launch launch = {.target = &dx, .stream = stream_of(stream)};
    struct fuseln_pass pass = pass_of(&launch, call);
    if (fuseln_pairing_any())
        assert_null(fuseln_pairing_claim(&pass).slab);
    struct fuseln_pending *pending = fuseln_pairing_reserve(&pass);
    if (pending)
        fuseln_pairing_commit(pending, true);
    return pass.job.sums;
}

/* The same, whatever the site has learned. */
static void make_anew(uintptr_t stream)
{
    atomic_store(&site.alone, 0);
    assert_non_null(make(&gradient, stream));
}

/* The launch of the other half, whose original is launched if that is so: the slab that it finds, released. */
static struct fuseln_slab *use(const struct fuseln_target *target, const struct fuseln_call *call, uintptr_t stream)
{
    const struct fuseln_launch launch = {.target = target, .stream = stream_of(stream)};
    const struct fuseln_pass pass = pass_of(&launch, call);
    struct fuseln_sums sums = {NULL, NULL};
    if (fuseln_pairing_any())
        sums = fuseln_pairing_claim(&pass);
    if (sums.site)
        fuseln_pairing_consume(&sums, !original);
    return sums.slab;
}

static struct fuseln_slab *use_dgamma(uintptr_t stream)
{
    const struct fuseln_call call = call_of(FUSELN_OP_DGAMMA);
    return use(&dgamma, &call, stream);
}

static int set_up(void **state)
{
    (void)state;
    fuseln_pairing_after_fork();
    memset(&site, 0, sizeof site);
    memset(slabs, 0, sizeof slabs);
    atomic_store(&released_wrongly, 0);
    atomic_store(&no_memory, false);
    atomic_store(&in_capture, false);
    config = (struct fuseln_config){.scratch_bytes = 1 << 25};
    current = &contexts[0];
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fuseln_pairing_forget(FUSELN_REACH_ALL, NULL);
    for (size_t i = 0; i < SLABS; i++)
        assert_int_equal(slabs[i].state, 0);
    assert_int_equal(released_wrongly, 0);
    assert_in_range(fuseln_pairing_count, 0, TABLE); /* those of other threads are still followed */
    return 0;
}

TEST(the_partner_gets_the_sums_once)
{
    for (int i = 0; i < 100; i++) {
        struct fuseln_slab *slab = make(&gradient, 5);
        assert_non_null(slab);
        assert_true(fuseln_pairing_any());
        assert_int_equal(slab->state, 1);
        assert_ptr_equal(use_dgamma(5), slab);
        assert_int_equal(slab->state, 0);
        assert_null(use_dgamma(5));
    }
    assert_int_equal(site.sums[FUSELN_PAIRING_PAIRED], 100);
}

TEST(only_the_partner_gets_them)
{
    struct fuseln_call calls[8];
    for (size_t i = 0; i < 8; i++)
        calls[i] = call_of(FUSELN_OP_DGAMMA);
    calls[0].x = AT(9);
    calls[1].dy = AT(9);
    calls[2].mean = AT(9);
    calls[3].rstd = AT(9);
    calls[4].rows = 63;
    calls[5].cols = 31;
    calls[6].dtype = FUSELN_DTYPE_BF16;
    calls[7].rms = true;
    calls[7].mean = NULL;
    for (size_t i = 0; i < 8; i++) {
        make_anew(5);
        assert_null(use(&dgamma, &calls[i], 5));
        assert_false(fuseln_pairing_any());
    }
    const struct fuseln_target stranger = {.op = FUSELN_OP_DGAMMA, .library = &other_library};
    const struct fuseln_call call = call_of(FUSELN_OP_DGAMMA), other = call_of(FUSELN_OP_FORWARD);
    make_anew(5);
    assert_null(use(&stranger, &call, 5));
    make_anew(5);
    assert_null(use(&forward, &other, 5));
    make_anew(5);
    assert_null(use_dgamma(6)); /* another stream */
    make_anew(5);
    current = &contexts[1];
    assert_null(use_dgamma(5)); /* another context */
    current = &contexts[0];
    make_anew(5);
    assert_null(use(&dgamma, NULL, 5)); /* could not be decoded */
    assert_null(use_dgamma(5));
    assert_int_equal(site.sums[FUSELN_PAIRING_LAUNCH], 13);
}

TEST(a_noticed_call_invalidates)
{
    assert_non_null(make(&gradient, 5));
    fuseln_pairing_notice();
    assert_null(use_dgamma(5));
    assert_int_equal(site.sums[FUSELN_PAIRING_CALL], 1);
}

/* A launch or a noticed call in another thread; after it, does DGAMMA still find its sums? */
struct elsewhere {
    uintptr_t stream;
    struct fuseln_context *context;
    bool use, call;
    enum fuseln_reach reach;
    struct fuseln_slab *found;
};

static void *launch_elsewhere(void *argument)
{
    struct elsewhere *elsewhere = argument;
    current = elsewhere->context;
    if (elsewhere->use)
        elsewhere->found = use_dgamma(elsewhere->stream);
    else if (elsewhere->call) {
        errno = 0;
        fuseln_pairing_forget(elsewhere->reach, stream_of(elsewhere->stream));
        assert_int_equal(errno, 0);
    } else
        foreign_launch(stream_of(elsewhere->stream));
    return NULL;
}

static bool survives(uintptr_t dx_stream, struct elsewhere elsewhere)
{
    make_anew(dx_stream);
    run_thread(launch_elsewhere, &elsewhere);
    return use_dgamma(dx_stream) != NULL;
}

TEST(other_launches_invalidate_what_they_could_change)
{
    struct fuseln_context *const here = &contexts[0], *const there = &contexts[1];
    assert_true(survives(5, (struct elsewhere){.stream = 6, .context = here}));
    assert_false(survives(5, (struct elsewhere){.stream = 5, .context = here})); /* the same stream */
    assert_false(survives(5, (struct elsewhere){.stream = 0, .context = here})); /* the legacy stream waits for all */
    assert_false(survives(5, (struct elsewhere){.stream = 1, .context = here})); /* its other name */
    assert_false(survives(0, (struct elsewhere){.stream = 6, .context = here})); /* and they wait for it */
    no_id = true;                                                                /* which one is not known */
    assert_false(survives(5, (struct elsewhere){.stream = 2, .context = here}));
    no_id = false;
    assert_false(survives(5, (struct elsewhere){.stream = 6, .context = NULL}));
    assert_true(survives(5, (struct elsewhere){.stream = 0, .context = there})); /* another context's legacy stream */
    assert_true(survives(0, (struct elsewhere){.stream = 6, .context = there}));
    assert_true(survives(2, (struct elsewhere){.stream = 6, .context = here}));
    assert_true(survives(2, (struct elsewhere){.stream = 2, .context = here})); /* its own */
    make_anew(5);
    errno = 0;
    foreign_launch(stream_of(6)); /* by its own thread, wherever it is */
    assert_int_equal(errno, 0);
    assert_null(use_dgamma(5));
    make_anew(5);
    current = there;
    foreign_launch(stream_of(6));
    current = here;
    assert_null(use_dgamma(5));
}

TEST(noticed_calls_of_others_invalidate_what_they_can_wait_for)
{
    struct fuseln_context *const here = &contexts[0], *const there = &contexts[1], *const beside = &contexts[2];
    const struct {
        enum fuseln_reach reach;
        uintptr_t dx_stream, stream;
        struct fuseln_context *context;
        bool survives;
    } cases[] = {
        {FUSELN_REACH_ALL, 5, 6, there, false},
        {FUSELN_REACH_DEVICE, 5, 6, here, false},
        {FUSELN_REACH_DEVICE, 5, 6, beside, false}, /* of the same device */
        {FUSELN_REACH_DEVICE, 5, 6, NULL, false},   /* not known */
        {FUSELN_REACH_DEVICE, 5, 6, there, true},
        {FUSELN_REACH_STREAM, 5, 5, here, false},
        {FUSELN_REACH_STREAM, 5, 5, there, false}, /* a stream of another context than the current one */
        {FUSELN_REACH_STREAM, 5, 6, here, true},
        {FUSELN_REACH_STREAM, 0, 6, here, false}, /* the legacy stream orders it */
        {FUSELN_REACH_STREAM, 0, 6, there, false},
        {FUSELN_REACH_STREAM, 2, 6, here, true},
        {FUSELN_REACH_THREAD, 5, 5, here, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct elsewhere elsewhere = {
            .stream = cases[i].stream, .context = cases[i].context, .call = true, .reach = cases[i].reach};
        assert_int_equal(survives(cases[i].dx_stream, elsewhere), cases[i].survives);
        make_anew(5); /* by its own thread, wherever it is */
        current = there;
        fuseln_pairing_forget(cases[i].reach, stream_of(6));
        current = here;
        assert_null(use_dgamma(5));
    }
}

TEST(the_partner_may_come_from_another_thread)
{
    struct elsewhere elsewhere = {.stream = 5, .context = &contexts[0], .use = true};
    struct fuseln_slab *slab = make(&gradient, 5);
    run_thread(launch_elsewhere, &elsewhere);
    assert_ptr_equal(elsewhere.found, slab);
    assert_non_null(slab);
}

TEST(the_legacy_stream_has_two_names)
{
    assert_non_null(make(&gradient, 0));
    assert_non_null(use_dgamma(1));
    assert_non_null(make(&gradient, 1));
    assert_non_null(use_dgamma(0));
}

TEST(not_on_a_stream_of_its_own)
{
    for (int unknown = 0; unknown < 2; unknown++) {
        struct elsewhere elsewhere = {.stream = 2, .context = &contexts[0], .use = true};
        site.alone = 0;
        no_id = unknown;
        assert_non_null(make(&gradient, 2));
        run_thread(launch_elsewhere, &elsewhere);
        no_id = false;
        assert_null(elsewhere.found);
        fuseln_pairing_notice();
    }
}

TEST(memory_stays_owned_until_dx_is_launched)
{
    const struct fuseln_launch launch = {.target = &dx, .stream = stream_of(5)};
    for (int launched = 0; launched < 2; launched++) {
        struct fuseln_pass pass = pass_of(&launch, &gradient);
        struct fuseln_pending *pending = fuseln_pairing_reserve(&pass);
        struct fuseln_slab *const slab = pass.job.sums;
        assert_non_null(slab);
        assert_null(use_dgamma(6)); /* nobody finds it before */
        fuseln_pairing_notice();
        assert_int_equal(slab->state, 1);
        fuseln_pairing_commit(pending, launched);
        assert_int_equal(slab->state, 0);
        assert_null(use_dgamma(5));
        site.alone = 0;
    }
    struct elsewhere elsewhere = {.stream = 5, .context = &contexts[0], .use = true};
    struct fuseln_pass pass = pass_of(&launch, &gradient);
    struct fuseln_pending *pending = fuseln_pairing_reserve(&pass);
    run_thread(launch_elsewhere, &elsewhere);
    assert_null(elsewhere.found); /* its partner neither */
    fuseln_pairing_commit(pending, true);
    assert_int_equal(pass.job.sums->state, 0);
    pending = fuseln_pairing_reserve(&pass);
    fuseln_pairing_commit(pending, false); /* DX was refused */
    assert_int_equal(pass.job.sums->state, 0);
    assert_null(use_dgamma(5));
    assert_int_equal(site.sums[FUSELN_PAIRING_FAILED], 1);
    assert_int_equal(site.sums[FUSELN_PAIRING_LAUNCH], 3);
}

TEST(a_site_learns_and_resumes)
{
    for (int i = 0; i < FUSELN_PAIRING_TRIES; i++) {
        assert_non_null(make(&gradient, 5));
        fuseln_pairing_notice();
    }
    for (int i = 0; i < 50; i++) {
        assert_null(make(&gradient, 5)); /* makes none */
        fuseln_pairing_notice();
    }
    assert_null(make(&gradient, 5));
    assert_null(use_dgamma(5)); /* it came, and found none */
    assert_non_null(make(&gradient, 5));
    assert_non_null(use_dgamma(5));
    assert_int_equal(site.sums[FUSELN_PAIRING_ALONE], 51);
    assert_int_equal(site.sums[FUSELN_PAIRING_CALL], 3);
    assert_int_equal(site.sums[FUSELN_PAIRING_PAIRED], 1);
    original = true;
    for (int i = 0; i < 10; i++) {
        assert_true((make(&gradient, 5) != NULL) == (i < FUSELN_PAIRING_TRIES));
        use_dgamma(5);
    }
    original = false;
    assert_null(make(&gradient, 5));
    use_dgamma(5);
    assert_non_null(make(&gradient, 5));
    assert_non_null(use_dgamma(5));
}

/* A backward through norms of one size, half of them frozen: they are one site. */
TEST(frozen_norms_cost_the_others_one_pair_a_step)
{
    enum { STEPS = 10, TRAINED = 24 };
    for (int i = 0; i < STEPS * 2 * TRAINED; i++) {
        make(&gradient, 5);
        if (i / TRAINED % 2 == 0)
            use_dgamma(5);
    }
    assert_int_equal(site.sums[FUSELN_PAIRING_PAIRED], STEPS * (TRAINED - 1) + 1);
    assert_int_equal(site.sums[FUSELN_PAIRING_LAUNCH], STEPS * FUSELN_PAIRING_TRIES);
}

TEST(a_site_learns_nothing_from_other_threads)
{
    struct elsewhere call = {.context = current, .call = true}, legacy = {.context = current},
                     same = {.context = current, .stream = 5};
    for (int i = 0; i < 10; i++) {
        assert_non_null(make(&gradient, 5));
        run_thread(launch_elsewhere, i % 2 ? &call : &legacy);
        assert_null(use_dgamma(5)); /* it came */
    }
    for (int i = 0; i < 10; i++) { /* it did not: this thread went on */
        assert_true((make(&gradient, 5) != NULL) == (i < FUSELN_PAIRING_TRIES));
        run_thread(launch_elsewhere, &call);
    }
    make_anew(5);
    use_dgamma(5);
    for (int i = 0; i < 10; i++) { /* its stream went on */
        assert_true((make(&gradient, 5) != NULL) == (i < FUSELN_PAIRING_TRIES));
        run_thread(launch_elsewhere, &same);
    }
}

TEST(what_must_not_pair_does_not)
{
    struct fuseln_call call = gradient;
    const size_t bytes = 64 * 32 * 4;
    const void *const overlapping[] = {call.x, (const char *)call.dy + bytes - 4, (const char *)call.x - bytes + 4,
                                       call.mean, call.rstd};
    for (size_t i = 0; i < 5; i++) {
        call.dx = (void *)(uintptr_t)overlapping[i];
        assert_null(make(&call, 5));
    }
    assert_int_equal(site.sums[FUSELN_PAIRING_OVERLAP], 5);
    call.dx = (char *)(uintptr_t)call.x + bytes; /* side by side */
    assert_non_null(make(&call, 5));
    fuseln_pairing_notice();
    in_capture = true;
    assert_null(make(&gradient, 5));
    in_capture = false;
    no_memory = true;
    assert_null(make(&gradient, 5));
    no_memory = false;
    config.pairs = FUSELN_PAIRING_SKIPPED;
    assert_null(make(&gradient, 5));
    config.pairs = FUSELN_PAIRING_UNSEEN;
    assert_null(make(&gradient, 5));
    config.pairs = FUSELN_PAIRING_PAIRED;
    assert_null(make(&gradient, 99));
    assert_int_equal(site.sums[FUSELN_PAIRING_CAPTURED], 1);
    assert_int_equal(site.sums[FUSELN_PAIRING_NOSCRATCH], 1);
    assert_int_equal(site.sums[FUSELN_PAIRING_SKIPPED], 1);
    assert_int_equal(site.sums[FUSELN_PAIRING_UNSEEN], 1);
    assert_int_equal(site.sums[FUSELN_PAIRING_FAILED], 1);
    assert_false(fuseln_pairing_any());
}

enum { MANY = 40 };
static pthread_barrier_t all_made;
static atomic_int made;

static void *make_elsewhere(void *number)
{
    current = &contexts[0];
    made += make(&gradient, (uintptr_t)number + 5) != NULL;
    pthread_barrier_wait(&all_made); /* alive, so that no other is taken for this thread */
    return NULL;
}

TEST(more_than_the_table_holds_run_alone)
{
    pthread_barrier_init(&all_made, NULL, MANY);
    run_threads(MANY, make_elsewhere);
    assert_int_equal(made, TABLE);
    assert_int_equal(site.sums[FUSELN_PAIRING_FULL], MANY - TABLE);
    fuseln_pairing_notice();
    assert_int_equal(fuseln_pairing_count, TABLE);
    assert_non_null(make(&gradient, 100)); /* what is followed without sums gives way */
}

enum { THREADS = 8, ROUNDS = 20000 };
static atomic_uint pairs_made;

/* Each thread is a little autograd on a stream of its own, except two that share one; one thread only disturbs. */
static void *storm(void *argument)
{
    const uintptr_t number = (uintptr_t)argument, stream = number < 2 ? 5 : number + 5;
    unsigned random = (unsigned)number * 2654435761u + 1;
    struct fuseln_call call = gradient, partner;
    call.x = AT(100 + number);
    partner = call;
    partner.op = FUSELN_OP_DGAMMA;
    current = &contexts[0];
    for (int i = 0; i < ROUNDS; i++) {
        random = random * 1664525u + 1013904223u;
        if (number == THREADS - 1) {
            if (random >> 28 == 0)
                fuseln_pairing_notice();
            continue;
        }
        struct fuseln_slab *slab = make(&call, stream);
        if (random >> 29 == 0)
            foreign_launch(stream_of(random >> 30 ? stream : 0));
        struct fuseln_slab *found = use(&dgamma, &partner, stream);
        if (found && found != slab)
            atomic_fetch_add(&released_wrongly, 1);
        if (found)
            atomic_fetch_add(&pairs_made, 1);
        atomic_store(&site.alone, 0);
    }
    return NULL;
}

TEST(threads_never_share_memory)
{
    atomic_store(&pairs_made, 0);
    run_threads(THREADS, storm);
    assert_true(pairs_made > 0);
    assert_int_equal(site.sums[FUSELN_PAIRING_PAIRED], pairs_made);
}

/* Last: it cannot be taken back. */
TEST(an_unknown_function_switches_pairing_off)
{
    fuseln_pairing_unseen("cuMemcpyOfTomorrow");
    assert_null(make(&gradient, 5));
    assert_int_equal(site.sums[FUSELN_PAIRING_UNSEEN], 1);
}

int main(void)
{
    return run_registered_tests();
}
