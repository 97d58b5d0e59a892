/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See report.h: when the report is written, and the consistent copy that is written. Sites are read before the count of
 * all launches, and a site's launches are the sum of its outcomes, so the totals of a report always add up.
 */
#include "report/report.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/config.h"
#include "base/log.h"
#include "base/path.h"
#include "base/shield.h"
#include "core/foreign.h"
#include "core/registry.h"
#include "core/verify.h"
#include "report/report_owner.h"
#include "report/report_snapshot.h"

static _Atomic bool writing;   /* by one thread; others that find the report due go on */
static _Atomic int64_t due_ms; /* when the next snapshot is due; 0 before the first */
static _Atomic bool substituted_once;
static _Atomic bool exiting; /* no more snapshots: the last report is due */
/* For the thread that writes: */
static int64_t first_ms, step_ms; /* the time of the first snapshot, and from there to the next */
static bool final_done;
static struct fuseln_snapshot snapshot;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Under a shield until end_writing. wait: for up to 2 s. */
static bool begin_writing(struct fuseln_shield *ret_before, bool wait)
{
    fuseln_shield_raise(ret_before);
    for (int tries = wait ? 200 : 1; tries > 0; tries--) {
        if (!atomic_exchange(&writing, true))
            return true;
        if (wait)
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    fuseln_shield_lower(ret_before);
    return false;
}

static void end_writing(const struct fuseln_shield *before)
{
    atomic_store(&writing, false);
    fuseln_shield_lower(before);
}

static void copy_site(const struct fuseln_site *site, struct fuseln_site_view *view)
{
    view->key = &site->key;
    view->kernel = atomic_load_explicit(&site->kernel, memory_order_acquire);
    view->launches = view->substituted = atomic_load(&site->substituted);
    for (int verdict = 0; verdict < FUSELN_VERDICT_COUNT; verdict++)
        view->launches += view->passed[verdict] = atomic_load(&site->passed[verdict]);
    for (int what = 0; what < FUSELN_PAIRING_COUNT; what++)
        view->sums[what] = atomic_load(&site->sums[what]);
    view->checked.compared = atomic_load(&site->checked.compared);
    view->checked.issued = atomic_load(&site->checked.issued);
    view->checked.inconclusive = atomic_load(&site->checked.inconclusive);
    view->checked.failed = atomic_load(&site->checked.failed);
    for (int verdict = 0; verdict < FUSELN_VERDICT_COUNT; verdict++)
        view->checked.unchecked[verdict] = atomic_load(&site->checked.unchecked[verdict]);
    fuseln_site_fields(site, view->checked.field);
    view->rows_first = atomic_load(&site->rows_first);
    view->rows_min = atomic_load(&site->rows_min);
    view->rows_max = atomic_load(&site->rows_max);
}

/* Insertion sort leaves equals in the order of their first launch, and qsort would allocate. */
static void insert_site(const struct fuseln_site_view *view)
{
    size_t at = snapshot.site_count++;
    for (; at > 0 && snapshot.sites[at - 1].launches < view->launches; at--)
        snapshot.sites[at] = snapshot.sites[at - 1];
    snapshot.sites[at] = *view;
}

static void copy_foreign(void)
{
    const struct fuseln_foreign *norm;
    snapshot.foreign_count = 0;
    for (size_t i = 0; (norm = fuseln_foreign_at(i)); i++) {
        const uint64_t launches = atomic_load(&norm->launches);
        if (launches)
            snapshot.foreign[snapshot.foreign_count++] = (struct fuseln_foreign_view){norm, launches};
    }
}

static void copy_sites(void)
{
    const struct fuseln_site *site;
    struct fuseln_site_view view;
    fuseln_verify_collect();
    snapshot.recognised = snapshot.substituted = snapshot.site_count = 0;
    memset(snapshot.passed, 0, sizeof snapshot.passed);
    memset(snapshot.sums, 0, sizeof snapshot.sums);
    for (size_t i = 0; i <= FUSELN_SITES_MAX && (site = fuseln_site_at(i)); i++) {
        copy_site(site, &view);
        if (view.launches == 0) /* its first launch is not counted yet */
            continue;
        insert_site(&view);
        snapshot.recognised += view.launches;
        snapshot.substituted += view.substituted;
        for (int verdict = 0; verdict < FUSELN_VERDICT_COUNT; verdict++)
            snapshot.passed[verdict] += view.passed[verdict];
        for (int what = 0; what < FUSELN_PAIRING_COUNT; what++)
            snapshot.sums[what] += view.sums[what];
    }
    for (snapshot.measure_count = 0;
         snapshot.measure_count < FUSELN_MEASURES_MAX &&
         fuseln_measure_at(snapshot.measure_count, &snapshot.measures[snapshot.measure_count]);)
        snapshot.measure_count++;
    copy_foreign();
    snapshot.user = atomic_load_explicit(&fuseln_user_rows, memory_order_acquire);
    snapshot.launches = fuseln_record_launches();
    snapshot.left_out = fuseln_registry_left_out();
}

/* A program that sets its title overwrites the rest of its words by NULs: a long run of them becomes one. */
static size_t remove_padding(char *words, size_t size)
{
    enum { EMPTY_WORDS = 4 }; /* this many in a row may be intended */
    size_t length = 0;
    for (size_t i = 0; i < size;) {
        const size_t word = strlen(words + i) + 1;
        memmove(words + length, words + i, word);
        length += word;
        i += word;
        size_t empty = 0;
        while (i + empty < size && !words[i + empty])
            empty++;
        i += empty > EMPTY_WORDS ? empty : 0;
    }
    return length;
}

static void copy_command(void)
{
    size_t size = fuseln_file_read("/proc/self/cmdline", snapshot.command, sizeof snapshot.command);
    /* The last NUL is missing if the line was cut off or the program overwrote its end. */
    size += size > 0 && snapshot.command[size - 1];
    snapshot.command_size = remove_padding(snapshot.command, size);
    if (snapshot.command_size > 1)
        return;
    fuseln_path_executable(snapshot.command, sizeof snapshot.command);
    snapshot.command_size = strlen(snapshot.command) + 1;
}

static void copy_process(void)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    snapshot.written_us = (uint64_t)wall.tv_sec * 1000000 + (uint64_t)wall.tv_nsec / 1000;
    snapshot.age_us = fuseln_owner_age_us();
    snapshot.id = fuseln_owner_id();
    snapshot.ticks = fuseln_owner_ticks();
    fuseln_path_host(snapshot.host, sizeof snapshot.host);
    snapshot.rank = fuseln_path_rank();
    copy_command();
}

bool fuseln_report_is_checked(const struct fuseln_check_view *checked)
{
    uint64_t sum = checked->issued + checked->inconclusive;
    for (int verdict = 0; verdict < FUSELN_VERDICT_COUNT; verdict++)
        sum += checked->unchecked[verdict];
    return sum > 0;
}

const char *fuseln_report_nearer(const struct fuseln_check_view *checked)
{
    const double ours = checked->field[FUSELN_CHECK_SQUARES_OURS], theirs = checked->field[FUSELN_CHECK_SQUARES_THEIRS];
    return ours < theirs ? "ours" : ours > theirs ? "original" : "equal";
}

double fuseln_report_saved(const struct fuseln_measure_view *bucket)
{
    return bucket->decided && bucket->ours ? (bucket->original_us - bucket->ours_us) * (double)bucket->launches : 0;
}

double fuseln_report_root(double square)
{
    return __builtin_sqrt(square); /* one instruction, as -fno-math-errno is set */
}

static const char *why_nothing(void)
{
    if (snapshot.recognised > 0)
        return NULL;
    if (snapshot.foreign_count > 0)
        return "No layer norm was recognised: those of this program ran on kernels that fuseln does not know. "
               "torch.compile makes its own (inductor). PyTorch runs RMS norms by quack where nvidia-cutlass-dsl is "
               "installed, unless TORCH_DISABLE_NATIVE_JIT=1.";
    if (fuseln_registry_targets() == 0)
        return "No layer norm was recognised: no library of this program registered a layer-norm kernel that fuseln "
               "knows. torch.compile and Triton make kernels of their own; a statically linked CUDA runtime registers "
               "out of sight.";
    return "No layer norm was recognised: layer-norm kernels that fuseln knows were registered, but none was launched. "
           "Either the program ran no layer norm on the GPU, or torch.compile or a fused kernel of another name did "
           "it.";
}

static void write_now(bool final)
{
    fuseln_report_file_arm();
    copy_sites();
    copy_process();
    snapshot.final = final;
    snapshot.mode = fuseln_mode_name(fuseln_config_get()->mode);
    snapshot.why = why_nothing();
    snapshot.device_count = fuseln_device_reports(snapshot.devices, FUSELN_DEVICES_MAX);
    fuseln_report_file_write(&snapshot);
}

/* 1, 2, 4, 8, 16 s after the first, then every FUSELN_REPORT_EVERY s. Snapshots that no launch came for are skipped. */
static void schedule(int64_t now)
{
    if (!first_ms) {
        first_ms = now;
        step_ms = 1000;
    }
    while (first_ms + step_ms <= now)
        step_ms += step_ms < 16000 ? step_ms : fuseln_config_get()->report_every_s * INT64_C(1000);
    atomic_store(&due_ms, first_ms + step_ms);
}

static bool is_wanted(void)
{
    const struct fuseln_config *config = fuseln_config_get();
    return config->report[0] && config->mode != FUSELN_MODE_OFF;
}

void fuseln_report_arm(void)
{
    struct fuseln_shield before;
    if (!is_wanted() || !begin_writing(&before, false))
        return;
    fuseln_report_file_arm();
    end_writing(&before);
}

static void write_due(bool first, bool substituted, int64_t now)
{
    if (exiting || fuseln_report_file_is_inherited() || (!first && now < atomic_load(&due_ms)))
        return;
    if (substituted)
        atomic_store(&substituted_once, true);
    schedule(now);
    write_now(false);
}

void fuseln_report_tick(bool substituted)
{
    struct fuseln_shield before;
    if (!is_wanted())
        return;
    bool first = substituted && !atomic_load_explicit(&substituted_once, memory_order_relaxed);
    int64_t now = now_ms();
    if (!first && now < atomic_load_explicit(&due_ms, memory_order_relaxed))
        return;
    int saved = errno;
    if (begin_writing(&before, false)) {
        write_due(first, substituted, now);
        end_writing(&before);
    }
    errno = saved;
}

void fuseln_report_write(void)
{
    struct fuseln_shield before;
    if (!is_wanted() || fuseln_report_file_is_inherited() || fuseln_record_launches() == 0)
        return;
    int saved = errno;
    atomic_store(&exiting, true);
    if (begin_writing(&before, true)) {
        if (!final_done)
            write_now(true);
        final_done = true;
        end_writing(&before);
    } else {
        pr_warn("FUSELN_REPORT=%.900s: the last report is not written: another thread is still writing one",
                fuseln_config_get()->report);
    }
    errno = saved;
}

void fuseln_report_after_fork(void)
{
    atomic_store(&writing, false);
    atomic_store(&due_ms, 0);
    atomic_store(&substituted_once, false);
    first_ms = 0;
    atomic_store(&exiting, false);
    final_done = false;
    fuseln_report_file_after_fork();
}
