/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the doctor says of the reports of the program's run, added up as by `fuseln report` (doctor.h).
 */
#include "tools/fuseln/doctor.h"

#include "base/fuseln.h"
#include "report/wording.h"
#include "tools/fuseln/merge.h"

#include <stdlib.h>
#include <string.h>

#define CHECK         "run"
#define RAISE_SCRATCH "raise FUSELN_SCRATCH"

/* What to do where launches were passed on to the original for this reason. NULL: nothing. */
static const char *const passed_remedies[FUSELN_VERDICT_COUNT] = {
    [FUSELN_VERDICT_OBSERVE] = "unset FUSELN_MODE",
    [FUSELN_VERDICT_SKIP] = "take it out of FUSELN_SKIP",
    [FUSELN_VERDICT_CHECK] = "nothing to do: later launches are replaced if these are right (FUSELN_CHECK)",
    [FUSELN_VERDICT_VERIFY] = "unset FUSELN_MODE once you know",
    [FUSELN_VERDICT_MEASURE] = "unset FUSELN_MODE once you know",
    [FUSELN_VERDICT_SCRATCH] = RAISE_SCRATCH,
    [FUSELN_VERDICT_IMAGE] = "see what is said of driver and device above",
    [FUSELN_VERDICT_DRIVER] = "see what is said of driver and device above",
    [FUSELN_VERDICT_REFUSED] = "run once more with FUSELN_LOG=debug, and report it",
    [FUSELN_VERDICT_CAPTURE] = "run a step before the capture; gradients of gamma and beta of many rows that are not "
                               "paired stay with the original there",
    [FUSELN_VERDICT_FAILED] = "report it, with the line that tells what was found",
};

/* The same where a backward reads dY and X twice. */
static const char *const unpaired_remedies[FUSELN_PAIRING_COUNT] = {
    [FUSELN_PAIRING_SKIPPED] = "take pairs out of FUSELN_SKIP",
    [FUSELN_PAIRING_NOSCRATCH] = RAISE_SCRATCH,
    [FUSELN_PAIRING_FAILED] = "see why launches were passed on, above",
};

/* The settings ask for these, so it is not BAD if every launch was passed on for one of them. */
static const enum fuseln_verdict wanted[] = {FUSELN_VERDICT_OBSERVE, FUSELN_VERDICT_SKIP,    FUSELN_VERDICT_CHECK,
                                             FUSELN_VERDICT_VERIFY,  FUSELN_VERDICT_MEASURE, FUSELN_VERDICT_SLOWER};

/* Returns the sum of the counts. */
static long long say_reasons(const json_t *counts, const char *what, const struct fuseln_reason *reasons,
                             const char *const *remedies, size_t size)
{
    long long sum = 0;
    for (size_t i = 1; i < size; i++) {
        const long long count = fuseln_count_at(counts, reasons[i].key);
        sum += count;
        if (count)
            doctor_say(NOTE, CHECK, remedies[i] ? remedies[i] : "nothing to do", "%lld %s (%s): %s", count, what,
                       reasons[i].key, reasons[i].text);
    }
    return sum;
}

static const char *text_of(const json_t *object, const char *key, const char *absent)
{
    const char *text = fuseln_text_at(object, key);
    return *text ? text : absent;
}

/* It is BAD if layer norms were recognised and none was replaced, unless the settings ask for just that. */
static void say_totals(const json_t *totals, size_t processes, const char *why)
{
    const json_t *reasons = json_object_get(totals, "reasons");
    const long long recognised = fuseln_count_at(totals, "recognised"),
                    replaced = fuseln_count_at(totals, "substituted");
    long long asked = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        asked += fuseln_count_at(reasons, fuseln_verdict_key(wanted[i]));
    const enum finding finding = replaced ? OK : asked == recognised ? NOTE : BAD;
    doctor_say(OK, CHECK, NULL, "the preload is in effect: %lld kernel launches seen in %zu process%s",
               fuseln_count_at(totals, "launches"), processes, processes == 1 ? "" : "es");
    if (!recognised)
        doctor_say(NOTE, CHECK, "fuseln scan LIBRARY tells which layer-norm kernels a library holds", "%s", why);
    else
        doctor_say(finding, CHECK, replaced ? NULL : "see the reasons below",
                   "%lld layer norms recognised, %lld replaced", recognised, replaced);
    say_reasons(reasons, "passed on to the original", fuseln_passed_reasons, passed_remedies, FUSELN_VERDICT_COUNT);
}

static void say_device(const json_t *device)
{
    const char *compiler = fuseln_text_at(device, "compiler");
    const long long count = fuseln_count_at(device, "count");
    doctor_say(OK, CHECK, NULL, "%lld device%s: %s, compute capability %s, driver of CUDA %s, image %s%s%s", count,
               count == 1 ? "" : "s", fuseln_text_at(device, "name"), fuseln_text_at(device, "compute_capability"),
               fuseln_text_at(device, "driver"), text_of(device, "image", "none"), *compiler ? " by " : "", compiler);
}

static void say_library(const json_t *site)
{
    const char *library = fuseln_text_at(site, "library"), *build = text_of(site, "build_id", "without an id"),
               *runtime = text_of(site, "runtime", "?");
    if (!*library)
        return;
    if (!strcmp(fuseln_text_at(site, "build"), "known")) {
        doctor_say(OK, CHECK, NULL, "%s, build %s, %s CUDA runtime", library, build, runtime);
        return;
    }
    char *remedy = fuseln_text("FUSELN_MODE=verify compares every launch; FUSELN_SKIP=build=%s leaves it out", build);
    doctor_say(NOTE, CHECK, remedy, "%s, build %s, %s CUDA runtime: this build was not tested, it is %s", library,
               build, runtime, !json_object_get(site, "verify") ? "replaced by name alone" : "compared first");
    free(remedy);
}

static void say_site(const json_t *site)
{
    say_library(site);
    if (json_is_true(json_object_get(json_object_get(site, "verify"), "failed")))
        doctor_say(BAD, CHECK, passed_remedies[FUSELN_VERDICT_FAILED],
                   "%s, %lld columns: compared with the original and found wrong", fuseln_text_at(site, "target"),
                   fuseln_count_at(site, "cols"));
}

/* Where none was recognised, the report's `why` says more of them. */
static void say_norms(const json_t *report)
{
    long long launches = 0;
    FOREACH_ITEM(norm, json_object_get(report, "foreign_norms"))
        launches += fuseln_count_at(norm, "launches");
    if (launches)
        doctor_say(NOTE, CHECK,
                   "the report names them, in foreign_norms; TORCH_DISABLE_NATIVE_JIT=1 leaves quack's RMS norms to "
                   "PyTorch's own kernels, which are replaced",
                   "%lld launches of norm kernels that fuseln does not know", launches);
}

/* dx is how many dX were replaced. If not one of them was to be paired, the user is told which dX come alone. */
static void say_pairs(const json_t *totals, long long dx)
{
    const long long pairs = fuseln_count_at(totals, "pairs"),
                    apart = say_reasons(json_object_get(totals, "unpaired"), "backwards read dY and X twice",
                                        fuseln_unpaired_reasons, unpaired_remedies, FUSELN_PAIRING_COUNT);
    if (pairs || apart)
        doctor_say(OK, CHECK, NULL, "%lld pairs: backwards that read dY and X once", pairs);
    else if (dx)
        doctor_say(
            OK, CHECK, NULL,
            "no pairs: dX of few rows, of the longest rows, in double or without gradients of gamma and beta comes "
            "alone");
}

static void say_all(const json_t *report, size_t processes)
{
    const json_t *totals = json_object_get(report, "totals");
    long long dx = 0;
    say_totals(totals, processes, text_of(report, "why", "no layer norm was recognised"));
    say_norms(report);
    FOREACH_ITEM(item, json_object_get(report, "devices"))
        say_device(item);
    FOREACH_ITEM(item, json_object_get(report, "sites")) {
        say_site(item);
        if (!strcmp(fuseln_text_at(item, "op"), "dx"))
            dx += fuseln_count_at(item, "substituted");
    }
    say_pairs(totals, dx);
}

bool doctor_say_reports(const char *folder)
{
    struct fuseln_merged merged = fuseln_merge_new();
    const size_t count = fuseln_merge_folder(&merged, folder);
    fuseln_merge_finish(&merged, 0);
    if (count > 0)
        say_all(merged.report, count);
    fuseln_merge_free(&merged);
    return count > 0;
}
