/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of report and trace share: launches as the pipeline records them, a clock that the test moves, reports
 * read back.
 */
#ifndef FUSELN_TESTS_REPORT_CHILD_H
#define FUSELN_TESTS_REPORT_CHILD_H

#include "child.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/json.h"
#include "kernels/host/variant.h"
#include "report/report.h"

/* The usual setting of a child. */
#define REPORT "FUSELN_REPORT", in_folder("r.json")

static _Atomic int64_t clock_ms; /* added to the coarse clock, by which snapshots are due */

#pragma GCC diagnostic ignored "-Wmissing-prototypes"
/* SHIFT: by how many seconds a preload library shifts the time of day. */
int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
    long error = syscall(SYS_clock_gettime, clock, ret_time);
    if (clock == CLOCK_MONOTONIC_COARSE)
        ret_time->tv_sec += clock_ms / 1000;
    else if (getenv("SHIFT"))
        ret_time->tv_sec += atoi(getenv("SHIFT"));
    return (int)error;
}

/* SLOW: more time passes between the look at a path and the rename; STALL: this many seconds. SKEW: by how many seconds
 * the clock of the file server is ahead. */
static inline int rename_slowly(const char *from, const char *to, unsigned flags)
{
    struct timespec times[2];
    if (getenv("SLOW"))
        usleep(500);
    if (getenv("STALL"))
        sleep((unsigned)atoi(getenv("STALL")));
    if (flags ? syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags)
              : syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to))
        return -1;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &times[0]);
    times[0].tv_sec += getenv("SKEW") ? atoi(getenv("SKEW")) : 0;
    times[1] = times[0];
    if (getenv("SKEW"))
        utimensat(AT_FDCWD, to, times, 0);
    return 0;
}

int rename(const char *from, const char *to)
{
    return rename_slowly(from, to, 0);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    (void)from_folder, (void)to_folder;
    return rename_slowly(from, to, flags);
}

static const struct fuseln_library known = {.name = "libknown.so", .build_id = "ab12", .known = true};
static const struct fuseln_library unknown = {.name = "libnew.so"};
static const struct fuseln_target forward = {
    .name = "pytorch/forward/vectorized/f32", .symbol = "_Zfwd", .library = &known};
static const struct fuseln_target gradient = {.name = "pytorch/rms-dgamma/bf16",
                                              .op = FUSELN_OP_DGAMMA,
                                              .dtype = FUSELN_DTYPE_BF16,
                                              .rms = true,
                                              .symbol = "_Zgrad",
                                              .library = &unknown};

static inline void launch(const struct fuseln_target *target, int64_t cols, int64_t rows, enum fuseln_verdict verdict)
{
    const struct fuseln_site_key key = {
        .target = target, .cols = cols, .width = 16, .nulls = 1u << FUSELN_ROLE_GAMMA | 1u << FUSELN_ROLE_BETA};
    bool is_new;
    count_launch();
    fuseln_site_record(fuseln_site_get(&key, &is_new), verdict, rows, verdict ? NULL : "fuseln_ln_forward_warp8_f32");
    fuseln_report_tick(verdict == FUSELN_VERDICT_OK);
}

/* One line of the trace, of a launch of `forward`. */
static inline void trace_one(int64_t rows)
{
    static const struct fuseln_variant variant = {.name = "our_kernel"};
    static const struct fuseln_plan plan = {.kernel = {&variant}};
    const struct fuseln_site_key key = {.target = &forward, .cols = 12, .device = 1};
    const struct fuseln_launch launch = {.stream = (void *)0xabc, .grid = {1, 2, 3}, .block = {32, 4, 1}};
    bool is_new;
    errno = 77;
    fuseln_trace(&(struct fuseln_pass){
        .launch = &launch, .site = fuseln_site_get(&key, &is_new), .call.rows = rows, .job.plan = &plan});
    check(errno == 77);
}

static inline void launch_some(void)
{
    errno = 77;
    for (int i = 0; i < 3; i++)
        launch(&forward, 1024, 64 << i, FUSELN_VERDICT_OK);
    for (int i = 0; i < 5; i++)
        launch(&gradient, 768, 9, i == 4 ? FUSELN_VERDICT_SCRATCH : FUSELN_VERDICT_CAPTURE);
    count_launch();
    check(errno == 77);
}

static inline json_t *load(const char *path)
{
    json_error_t error;
    json_t *json = json_load_file(path, 0, &error);
    if (!json && json_error_code(&error) != json_error_cannot_open_file)
        fail_msg("%s:%d: %s", path, error.line, error.text);
    return json;
}

/* A value of the report by its path, "sites.0.cols"; NULL if it is not there. */
static inline json_t *value(const json_t *json, const char *path)
{
    char key[64];
    for (size_t length; (length = strcspn(path, ".")) > 0; path += length + (path[length] == '.')) {
        snprintf(key, sizeof key, "%.*s", (int)length, path);
        json = isdigit((unsigned char)*key) ? json_array_get(json, (size_t)atoi(key)) : json_object_get(json, key);
    }
    return (json_t *)(uintptr_t)json;
}

/* -1 if it is not there, or no integer. */
static inline int64_t number(const json_t *json, const char *path)
{
    const json_t *found = value(json, path);
    return json_is_integer(found) ? json_integer_value(found) : -1;
}

/* "" if it is not there, or no string. */
static inline const char *text(const json_t *json, const char *path)
{
    const char *found = json_string_value(value(json, path));
    return found ? found : "";
}

/* Asserts what must hold in every report; returns how many launches it counts. */
static inline int64_t check_sums(const json_t *report)
{
    int64_t substituted = 0, passed = 0, count;
    size_t i;
    json_t *site, *reason;
    const char *key;
    json_array_foreach(value(report, "sites"), i, site)
    {
        int64_t here = 0;
        json_object_foreach(value(site, "passed_through"), key, reason) here += json_integer_value(reason);
        count = number(site, "substituted");
        assert_int_equal(number(site, "launches"), count + here);
        substituted += count;
        passed += here;
    }
    assert_int_equal(number(report, "schema"), 1);
    assert_int_equal(number(report, "totals.substituted"), substituted);
    assert_int_equal(number(report, "totals.passed_through"), passed);
    assert_int_equal(number(report, "totals.recognised"), substituted + passed);
    assert_true(number(report, "totals.launches") >= substituted + passed);
    return number(report, "totals.launches");
}

/* Of a report in the folder: a number, the launches it counts, whether it says it is the last. */
static inline int64_t report_number(const char *name, const char *path)
{
    json_auto_t *report = load(in_folder(name));
    return number(report, path);
}

static inline int64_t report_launches(const char *name)
{
    json_auto_t *report = load(in_folder(name));
    return check_sums(report);
}

static inline bool report_is_final(const char *name)
{
    json_auto_t *report = load(in_folder(name));
    assert_true(json_is_boolean(value(report, "final")));
    return json_is_true(value(report, "final"));
}

/* The folder: how many reports, how many launches they count, and how many other files. */
struct found {
    size_t reports, strangers;
    int64_t launches;
};
static inline struct found find_reports(void)
{
    struct found found = {0};
    char name[256];
    FILE *names = popen(format("ls -A %s", folder), "r");
    while (fgets(name, sizeof name, names)) {
        name[strcspn(name, "\n")] = '\0';
        if (!strcmp(name, "stderr"))
            continue;
        json_auto_t *report = strstr(name, ".json") ? load(in_folder(name)) : NULL;
        found.strangers += !report;
        found.reports += report != NULL;
        found.launches += report ? check_sums(report) : 0;
    }
    pclose(names);
    return found;
}

/* assert_found(.reports = 1, .launches = 9): what is in the folder, and nothing else. */
#define assert_found(...) assert_found_is((struct found){__VA_ARGS__})
static inline void assert_found_is(struct found expected)
{
    const struct found found = find_reports();
    assert_int_equal(found.reports, expected.reports);
    assert_int_equal(found.launches, expected.launches);
    assert_int_equal(found.strangers, expected.strangers);
}

static inline void launch_and_be_killed(void)
{
    launch_some();
    raise(SIGKILL);
}

#endif
