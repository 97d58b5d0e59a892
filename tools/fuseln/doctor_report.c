/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the doctor says after the program's run: of the reports, or of there being none.
 */
#include "tools/fuseln/doctor.h"

#include "base/fuseln.h"
#include "hooks/real.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK "run"

json_t *doctor_reports_read(const char *folder)
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

static const char *remedy_of(enum fuseln_verdict verdict)
{
    switch (verdict) {
    case FUSELN_VERDICT_OBSERVE:
        return "unset FUSELN_MODE";
    case FUSELN_VERDICT_SKIP:
        return "take it out of FUSELN_SKIP";
    case FUSELN_VERDICT_SCRATCH:
        return "raise FUSELN_SCRATCH";
    case FUSELN_VERDICT_IMAGE:
    case FUSELN_VERDICT_DRIVER:
        return "see what is said of driver and device above";
    case FUSELN_VERDICT_REFUSED:
        return "run once more with FUSELN_LOG=debug, and report it";
    case FUSELN_VERDICT_CAPTURE:
        return "run a step before the capture; gradients of gamma and beta of many rows stay with the original there";
    case FUSELN_VERDICT_CHECK:
        return "nothing to do: later launches are replaced if these are right (FUSELN_CHECK)";
    case FUSELN_VERDICT_FAILED:
        return "report it, with the line that tells what was found";
    case FUSELN_VERDICT_VERIFY:
    case FUSELN_VERDICT_MEASURE:
        return "unset FUSELN_MODE once you know";
    default:
        return "nothing to do: the original ran in its place";
    }
}

static void say_totals(struct doctor *doctor, const json_t *reports)
{
    const long long recognised = total(reports, NULL, "recognised"), replaced = total(reports, NULL, "substituted");
    static const enum fuseln_verdict wanted[] = {FUSELN_VERDICT_OBSERVE, FUSELN_VERDICT_SKIP,    FUSELN_VERDICT_CHECK,
                                                 FUSELN_VERDICT_VERIFY,  FUSELN_VERDICT_MEASURE, FUSELN_VERDICT_SLOWER};
    long long chosen = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        chosen += total(reports, "reasons", fuseln_verdict_key(wanted[i]));
    doctor_say(doctor, FINDING_OK, CHECK, NULL, "the preload is in effect: %lld kernel launches seen in %zu process%s",
               total(reports, NULL, "launches"), json_array_size(reports), json_array_size(reports) == 1 ? "" : "es");
    if (recognised == 0)
        doctor_say(doctor, FINDING_NOTE, CHECK, "fuseln scan LIBRARY tells which layer-norm kernels a library holds",
                   "%s", text_of(json_array_get(reports, 0), "why", "no layer norm was recognised"));
    else
        doctor_say(doctor,
                   replaced               ? FINDING_OK
                   : chosen == recognised ? FINDING_NOTE
                                          : FINDING_BAD,
                   CHECK, replaced ? NULL : "see the reasons below", "%lld layer norms recognised, %lld replaced",
                   recognised, replaced);
    for (int verdict = 1; verdict < FUSELN_VERDICT_COUNT; verdict++) {
        const char *key = fuseln_verdict_key((enum fuseln_verdict)verdict);
        const long long count = total(reports, "reasons", key);
        if (count)
            doctor_say(doctor, FINDING_NOTE, CHECK, remedy_of((enum fuseln_verdict)verdict),
                       "%lld passed on to the original (%s): %s", count, key,
                       fuseln_verdict_text((enum fuseln_verdict)verdict));
    }
}

/* Is the text new to the set? It is in it then. */
static bool is_new(json_t *said, const char *text)
{
    if (json_object_get(said, text))
        return false;
    json_object_set_new(said, text, json_true());
    return true;
}

static void say_devices(struct doctor *doctor, const json_t *report, json_t *said)
{
    const json_t *devices = json_object_get(report, "devices");
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *device = json_array_get(devices, i);
        char *line = fuseln_text("device %lld: %s, compute capability %s, driver of CUDA %s, image %s%s%s",
                                 (long long)json_integer_value(json_object_get(device, "index")),
                                 text_of(device, "name", "?"), text_of(device, "compute_capability", "?"),
                                 text_of(device, "driver", "?"), text_of(device, "image", "none"),
                                 json_is_string(json_object_get(device, "compiler")) ? " by " : "",
                                 text_of(device, "compiler", ""));
        if (is_new(said, line))
            doctor_say(doctor, FINDING_OK, CHECK, NULL, "%s", line);
        free(line);
    }
}

static void say_site(struct doctor *doctor, const json_t *site, json_t *said)
{
    const char *library = text_of(site, "library", NULL), *build = text_of(site, "build_id", "without an id");
    if (!library)
        return;
    const bool known = !strcmp(text_of(site, "build", ""), "known");
    char *line = fuseln_text("%s, build %s, %s CUDA runtime%s", library, build, text_of(site, "runtime", "?"),
                             known ? ""
                             : json_is_null(json_object_get(site, "verify"))
                                 ? ": this build was not tested, it is replaced by name alone"
                                 : ": this build was not tested, it is compared first");
    char *remedy = fuseln_text("FUSELN_MODE=verify compares every launch; FUSELN_SKIP=build=%s leaves it out", build);
    if (is_new(said, line))
        doctor_say(doctor, known ? FINDING_OK : FINDING_NOTE, CHECK, known ? NULL : remedy, "%s", line);
    free(line);
    free(remedy);
}

static void say_failed(struct doctor *doctor, const json_t *site)
{
    if (json_is_true(json_object_get(json_object_get(site, "verify"), "failed")))
        doctor_say(doctor, FINDING_BAD, CHECK, remedy_of(FUSELN_VERDICT_FAILED),
                   "%s, %lld columns: compared with the original and found wrong", text_of(site, "target", "?"),
                   (long long)json_integer_value(json_object_get(site, "cols")));
}

static long long say_sites(struct doctor *doctor, const json_t *report, json_t *said)
{
    const json_t *sites = json_object_get(report, "sites");
    long long dx = 0;
    for (size_t i = 0; i < json_array_size(sites); i++) {
        const json_t *site = json_array_get(sites, i);
        say_site(doctor, site, said);
        say_failed(doctor, site);
        if (!strcmp(text_of(site, "op", ""), "dx"))
            dx += json_integer_value(json_object_get(site, "substituted"));
    }
    return dx;
}

static void say_pairs(struct doctor *doctor, const json_t *reports, long long dx)
{
    const long long pairs = total(reports, NULL, "pairs");
    long long apart = 0;
    for (int what = FUSELN_PAIRING_PAIRED + 1; what < FUSELN_PAIRING_COUNT; what++) {
        const char *key = fuseln_pairing_key((enum fuseln_pairing)what);
        const long long count = total(reports, "unpaired", key);
        apart += count;
        if (count)
            doctor_say(doctor, FINDING_NOTE, CHECK,
                       what == FUSELN_PAIRING_SKIPPED     ? "take pairs out of FUSELN_SKIP"
                       : what == FUSELN_PAIRING_NOSCRATCH ? "raise FUSELN_SCRATCH"
                                                          : "nothing to do: both were replaced, each by its own kernel",
                       "%lld backwards read dY and X twice (%s): %s", count, key,
                       fuseln_pairing_text((enum fuseln_pairing)what));
    }
    if (pairs || apart)
        doctor_say(doctor, FINDING_OK, CHECK, NULL, "%lld pairs: backwards that read dY and X once", pairs);
    else if (dx)
        doctor_say(doctor, FINDING_OK, CHECK, NULL,
                   "no pairs: dX of few rows (16 for each multiprocessor), above 8192 columns, in double, in stream "
                   "capture or without gradients of gamma and beta comes alone");
}

static void say_runtime(struct doctor *doctor, const char *path)
{
    static const char *const nodes[] = {
#define X(suffix, node) node,
        FUSELN_CUDART_NODES(X)
#undef X
    };
    const char *name = strrchr(path, '/') + 1;
    bool known = strncmp(name, "libcudart.so.", 13) != 0; /* another name tells no release */
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0] && !known; i++)
        known = !strncmp(name, nodes[i], strlen(nodes[i])) && strchr(".", name[strlen(nodes[i])]);
    doctor_say(doctor, known ? FINDING_OK : FINDING_NOTE, CHECK,
               known ? NULL : "its launches are seen at the driver, if at all: get a newer fuseln",
               "CUDA runtime loaded: %s%s", path, known ? "" : ", of a release that fuseln does not know");
}

/* The files of driver and runtimes that the processes had mapped, each once. */
static void say_files(struct doctor *doctor, const struct doctor_processes *processes, json_t *said)
{
    for (size_t i = 0; i < processes->count; i++) {
        const struct doctor_process *process = &processes->list[i];
        if (process->driver[0] && is_new(said, process->driver))
            doctor_say(doctor, FINDING_OK, CHECK, NULL, "driver library loaded: %s", process->driver);
        for (size_t j = 0; j < RUNTIMES_MAX && process->runtimes[j][0]; j++)
            if (is_new(said, process->runtimes[j]))
                say_runtime(doctor, process->runtimes[j]);
    }
}

void doctor_say_reports(struct doctor *doctor, const json_t *reports, const struct doctor_processes *processes)
{
    json_t *said = json_object();
    long long dx = 0;
    say_totals(doctor, reports);
    for (size_t i = 0; i < json_array_size(reports); i++) {
        say_devices(doctor, json_array_get(reports, i), said);
        dx += say_sites(doctor, json_array_get(reports, i), said);
    }
    say_pairs(doctor, reports, dx);
    say_files(doctor, processes, said);
    json_decref(said);
}

static bool uses_cuda(const struct doctor_process *process)
{
    return process->driver[0] || process->runtimes[0][0];
}

/* The process that the preload did not reach: one that uses CUDA, else the last. NULL: there is none. */
static const struct doctor_process *find_lost(const struct doctor_processes *processes)
{
    const struct doctor_process *lost = NULL;
    for (size_t i = 0; i < processes->count; i++) {
        const struct doctor_process *process = &processes->list[i];
        if (!process->fuseln && (!lost || uses_cuda(process) || !uses_cuda(lost)))
            lost = process;
    }
    return lost;
}

static const struct doctor_process *find_reached(const struct doctor_processes *processes)
{
    const struct doctor_process *reached = NULL;
    for (size_t i = 0; i < processes->count; i++)
        if (processes->list[i].fuseln && (!reached || uses_cuda(&processes->list[i])))
            reached = &processes->list[i];
    return reached;
}

static void say_lost(struct doctor *doctor, const struct doctor_process *lost)
{
    const int pid = (int)lost->pid;
    if (!lost->dynamic)
        doctor_say(doctor, FINDING_BAD, CHECK, "link it dynamically: with a shared C library",
                   "%s (process %d) is statically linked: LD_PRELOAD has no effect on it", lost->executable, pid);
    else if (lost->asked)
        doctor_say(
            doctor, FINDING_BAD, CHECK, "fuseln doctor -- that program says more",
            "the loader did not preload libfuseln.so into %s (process %d), though its LD_PRELOAD names it: it is "
            "setuid, has file capabilities, or another C library",
            lost->executable, pid);
    else
        doctor_say(
            doctor, FINDING_BAD, CHECK,
            "set LD_PRELOAD behind the wrapper, in front of the program itself (env LD_PRELOAD=... PROGRAM), or "
            "among the variables that the launcher passes on (mpirun -x, srun --export, ray's runtime_env)",
            "the preload was dropped on the way: %s (process %d) runs without LD_PRELOAD (a wrapper cleared it: env "
            "-i, env -u, sudo, a launcher)",
            lost->executable, pid);
}

void doctor_say_silence(struct doctor *doctor, const struct doctor_processes *processes)
{
    const struct doctor_process *lost = find_lost(processes), *reached = find_reached(processes);
    json_t *said = json_object();
    if (lost && (uses_cuda(lost) || !reached || !uses_cuda(reached)))
        say_lost(doctor, lost);
    else if (reached && uses_cuda(reached))
        doctor_say(
            doctor, FINDING_NOTE, CHECK,
            "did it compute on the device? If it did: a library loaded with RTLD_DEEPBIND, or a static runtime that "
            "finds the driver by dlvsym, launches out of sight",
            "libfuseln.so is in %s, which loads CUDA, but no kernel launch was seen", reached->executable);
    else if (reached)
        doctor_say(doctor, FINDING_NOTE, CHECK, "name a program that computes on the device",
                   "libfuseln.so is in %s, but it loads no CUDA library", reached->executable);
    else
        doctor_say(doctor, FINDING_NOTE, CHECK, "name a program that computes on the device",
                   "no kernel launch was seen, and the program ended too soon to look at its processes");
    say_files(doctor, processes, said);
    json_decref(said);
}
