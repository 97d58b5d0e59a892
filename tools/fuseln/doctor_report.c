/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the doctor says of the reports of the program's run (doctor.h). The library has just written them, so they are
 * not checked as `fuseln report` checks its files: what is missing counts as 0.
 */
#include "tools/fuseln/doctor.h"

#include "base/fuseln.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define CHECK         "run"
#define NOTHING       "nothing to do: "
#define RAISE_SCRATCH "raise FUSELN_SCRATCH"

/* What to do where launches were passed on to the original for this reason. */
static const struct {
    const char *remedy; /* NULL: nothing */
    bool wanted;        /* the settings ask for it, so it is not BAD if every launch was */
} verdicts[FUSELN_VERDICT_COUNT] = {
    [FUSELN_VERDICT_OBSERVE] = {"unset FUSELN_MODE", true},
    [FUSELN_VERDICT_SKIP] = {"take it out of FUSELN_SKIP", true},
    [FUSELN_VERDICT_CHECK] = {NOTHING "later launches are replaced if these are right (FUSELN_CHECK)", true},
    [FUSELN_VERDICT_VERIFY] = {"unset FUSELN_MODE once you know", true},
    [FUSELN_VERDICT_MEASURE] = {"unset FUSELN_MODE once you know", true},
    [FUSELN_VERDICT_SLOWER] = {NULL, true},
    [FUSELN_VERDICT_SCRATCH] = {RAISE_SCRATCH},
    [FUSELN_VERDICT_IMAGE] = {"see what is said of driver and device above"},
    [FUSELN_VERDICT_DRIVER] = {"see what is said of driver and device above"},
    [FUSELN_VERDICT_REFUSED] = {"run once more with FUSELN_LOG=debug, and report it"},
    [FUSELN_VERDICT_CAPTURE] = {"run a step before the capture; gradients of gamma and beta of many rows stay with the "
                                "original there"},
    [FUSELN_VERDICT_FAILED] = {"report it, with the line that tells what was found"},
};

/* The same where a backward reads dY and X twice. */
static const char *const unpaired[FUSELN_PAIRING_COUNT] = {
    [FUSELN_PAIRING_SKIPPED] = "take pairs out of FUSELN_SKIP",
    [FUSELN_PAIRING_NOSCRATCH] = RAISE_SCRATCH,
    [FUSELN_PAIRING_FAILED] = "see why launches were passed on, above",
};

/* The same for norms by kernels that fuseln does not know, by maker. */
static const struct {
    const char *maker, *remedy;
} makers[] = {
    {"inductor", NOTHING "torch.compile makes kernels of its own; its backends eager and aot_eager keep PyTorch's"},
    {"quack", "TORCH_DISABLE_NATIVE_JIT=1 leaves RMS norms to PyTorch's own kernels, which are replaced"},
    {"other", "the report names the kernels, in foreign_norms"},
};

/* ---- reading the reports ---- */

static json_t *read_reports(const char *folder)
{
    char path[2 * PATH_MAX];
    struct dirent *entry;
    json_t *reports = json_array();
    DIR *files = opendir(folder);
    while (files && (entry = readdir(files))) {
        const char *dot = strrchr(entry->d_name, '.');
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        json_t *report = dot && !strcmp(dot, ".json") ? json_load_file(path, 0, NULL) : NULL;
        if (report)
            json_array_append_new(reports, report);
    }
    if (files)
        closedir(files);
    return reports;
}

/* Sum over the reports of totals.KEY, or of totals.GROUP.KEY. */
static long long total(const json_t *reports, const char *group, const char *key)
{
    long long sum = 0;
    for (size_t i = 0; i < json_array_size(reports); i++) {
        const json_t *totals = json_object_get(json_array_get(reports, i), "totals");
        sum += json_integer_value(json_object_get(group ? json_object_get(totals, group) : totals, key));
    }
    return sum;
}

static const char *text_of(const json_t *object, const char *key, const char *absent)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && *text ? text : absent;
}

static long long number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* ---- what they say ---- */

static void say_reasons(struct doctor *doctor, const json_t *reports)
{
    for (enum fuseln_verdict verdict = FUSELN_VERDICT_OK + 1; verdict < FUSELN_VERDICT_COUNT; verdict++) {
        const char *key = fuseln_verdict_key(verdict), *remedy = verdicts[verdict].remedy;
        const long long count = total(reports, "reasons", key);
        if (count)
            doctor_say(doctor, FINDING_NOTE, CHECK, remedy ? remedy : NOTHING "the original ran in its place",
                       "%lld passed on to the original (%s): %s", count, key, fuseln_verdict_text(verdict));
    }
}

/* It is BAD if layer norms were recognised and none was replaced, unless the settings ask for just that. */
static void say_totals(struct doctor *doctor, const json_t *reports)
{
    const long long recognised = total(reports, NULL, "recognised"), replaced = total(reports, NULL, "substituted");
    const size_t processes = json_array_size(reports);
    long long wanted = 0;
    for (int verdict = 0; verdict < FUSELN_VERDICT_COUNT; verdict++)
        if (verdicts[verdict].wanted)
            wanted += total(reports, "reasons", fuseln_verdict_key((enum fuseln_verdict)verdict));
    const enum finding finding = replaced ? FINDING_OK : wanted == recognised ? FINDING_NOTE : FINDING_BAD;
    doctor_say(doctor, FINDING_OK, CHECK, NULL, "the preload is in effect: %lld kernel launches seen in %zu process%s",
               total(reports, NULL, "launches"), processes, processes == 1 ? "" : "es");
    if (!recognised)
        doctor_say(doctor, FINDING_NOTE, CHECK, "fuseln scan LIBRARY tells which layer-norm kernels a library holds",
                   "%s", text_of(json_array_get(reports, 0), "why", "no layer norm was recognised"));
    else
        doctor_say(doctor, finding, CHECK, replaced ? NULL : "see the reasons below",
                   "%lld layer norms recognised, %lld replaced", recognised, replaced);
    say_reasons(doctor, reports);
}

static void say_device(struct doctor *doctor, const json_t *device)
{
    const char *compiler = text_of(device, "compiler", NULL);
    doctor_say(doctor, FINDING_OK, CHECK, NULL,
               "device %lld: %s, compute capability %s, driver of CUDA %s, image %s%s%s", number(device, "index"),
               text_of(device, "name", "?"), text_of(device, "compute_capability", "?"), text_of(device, "driver", "?"),
               text_of(device, "image", "none"), compiler ? " by " : "", compiler ? compiler : "");
}

static void say_library(struct doctor *doctor, const json_t *site)
{
    const char *library = text_of(site, "library", NULL), *build = text_of(site, "build_id", "without an id"),
               *runtime = text_of(site, "runtime", "?");
    if (!library)
        return;
    if (!strcmp(text_of(site, "build", ""), "known")) {
        doctor_say(doctor, FINDING_OK, CHECK, NULL, "%s, build %s, %s CUDA runtime", library, build, runtime);
        return;
    }
    char *remedy = fuseln_text("FUSELN_MODE=verify compares every launch; FUSELN_SKIP=build=%s leaves it out", build);
    doctor_say(doctor, FINDING_NOTE, CHECK, remedy,
               "%s, build %s, %s CUDA runtime: this build was not tested, it is %s", library, build, runtime,
               json_is_null(json_object_get(site, "verify")) ? "replaced by name alone" : "compared first");
    free(remedy);
}

static void say_site(struct doctor *doctor, const json_t *site)
{
    say_library(doctor, site);
    if (json_is_true(json_object_get(json_object_get(site, "verify"), "failed")))
        doctor_say(doctor, FINDING_BAD, CHECK, verdicts[FUSELN_VERDICT_FAILED].remedy,
                   "%s, %lld columns: compared with the original and found wrong", text_of(site, "target", "?"),
                   number(site, "cols"));
}

static long long launches_by(const json_t *reports, const char *maker)
{
    long long sum = 0;
    for (size_t i = 0; i < json_array_size(reports); i++) {
        const json_t *norm, *norms = json_object_get(json_array_get(reports, i), "foreign_norms");
        size_t j;
        json_array_foreach(norms, j, norm) sum +=
            strcmp(text_of(norm, "maker", ""), maker) == 0 ? number(norm, "launches") : 0;
    }
    return sum;
}

static void say_norms(struct doctor *doctor, const json_t *reports)
{
    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++) {
        const long long launches = launches_by(reports, makers[i].maker);
        if (launches)
            doctor_say(doctor, FINDING_NOTE, CHECK, makers[i].remedy,
                       "%lld launches of norm kernels that fuseln does not know (%s)", launches, makers[i].maker);
    }
}

/* dx is how many dX were replaced. If not one of them was to be paired, the user is told which dX come alone. */
static void say_pairs(struct doctor *doctor, const json_t *reports, long long dx)
{
    const long long pairs = total(reports, NULL, "pairs");
    long long apart = 0;
    for (enum fuseln_pairing what = FUSELN_PAIRING_PAIRED + 1; what < FUSELN_PAIRING_COUNT; what++) {
        const char *key = fuseln_pairing_key(what);
        const long long count = total(reports, "unpaired", key);
        apart += count;
        if (count)
            doctor_say(doctor, FINDING_NOTE, CHECK,
                       unpaired[what] ? unpaired[what] : NOTHING "both were replaced, each by its own kernel",
                       "%lld backwards read dY and X twice (%s): %s", count, key, fuseln_pairing_text(what));
    }
    if (pairs || apart)
        doctor_say(doctor, FINDING_OK, CHECK, NULL, "%lld pairs: backwards that read dY and X once", pairs);
    else if (dx)
        doctor_say(doctor, FINDING_OK, CHECK, NULL,
                   "no pairs: dX of few rows (16 for each multiprocessor), above 8192 columns, in double, in stream "
                   "capture or without gradients of gamma and beta comes alone");
}

static void say_all(struct doctor *doctor, const json_t *reports)
{
    json_t *report, *item;
    size_t i, j;
    long long dx = 0;
    say_totals(doctor, reports);
    say_norms(doctor, reports);
    json_array_foreach(reports, i, report)
    {
        json_array_foreach(json_object_get(report, "devices"), j, item) say_device(doctor, item);
        json_array_foreach(json_object_get(report, "sites"), j, item)
        {
            say_site(doctor, item);
            if (!strcmp(text_of(item, "op", ""), "dx"))
                dx += number(item, "substituted");
        }
    }
    say_pairs(doctor, reports, dx);
}

bool doctor_say_reports(struct doctor *doctor, const char *folder)
{
    json_t *reports = read_reports(folder);
    const bool any = json_array_size(reports) > 0;
    if (any)
        say_all(doctor, reports);
    json_decref(reports);
    return any;
}
