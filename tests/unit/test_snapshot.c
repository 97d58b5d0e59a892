/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both reports of drawn snapshots: commands, hosts, ranks and names of any length and bytes, counters and statistics of
 * any size, numbers or not. Under the sanitizers this finds what a line or a column has no room for.
 */
#include "test.h"

#include "base/clean.h"
#include "report/report_snapshot.h"
#include "report/wording.h"

#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>

enum { SNAPSHOTS = 1000, REPORT_BYTES = 1 << 20, SITES = 4 };

static uint64_t drawn = 88172645463325252u;

static uint64_t draw(uint64_t below)
{
    drawn ^= drawn << 13; /* Marsaglia's xorshift */
    drawn ^= drawn >> 7;
    drawn ^= drawn << 17;
    return (drawn >> 16) % below;
}

/* As large as a counter can be, for a sum of some of them. */
static uint64_t draw_count(void)
{
    static const uint64_t edges[] = {0, 9, 999, 999999, 10000000, UINT32_MAX, UINT64_C(1) << 53, INT64_MAX >> 8};
    return draw(2) ? edges[draw(8)] : (UINT64_C(1) << draw(55)) - draw(2);
}

static double draw_real(void)
{
    static const double edges[] = {0, 0.5, 999999.5, 9.99e11, DBL_TRUE_MIN, DBL_MAX, (double)INFINITY, (double)NAN};
    return draw(2) ? edges[draw(8)] : ldexp(1, (int)draw(2000) - 1000);
}

static size_t draw_text(char *ret_text, size_t size)
{
    static const char *const parts[] = {"a",    "\xc3\xa9",         "\033[2J",      "\n", "\xff", "%s%n",
                                        "\xc2", "\xf0\x9f\x98\x80", "\xe2\x80\xae", " ",  "\"",   "\\"};
    const size_t length = draw(2) ? size - 1 : draw(size);
    size_t at = 0;
    for (const char *part; at < length; at += strlen(part)) {
        part = parts[draw(3) ? 0 : draw(12)];
        if (strlen(part) > length - at)
            part = parts[0];
        memcpy(ret_text + at, part, strlen(part));
    }
    ret_text[length] = '\0';
    return length;
}

static struct fuseln_library library;
static struct fuseln_target target = {.library = &library, .symbol = "_Z1k"};
static struct fuseln_site site = {.key = {.target = &target}};
static struct fuseln_foreign norm = {.maker = "inductor"};
static char rank[300];
static struct fuseln_snapshot snapshot = {.id = "0", .rank = rank, .mode = "replace"};

static void draw_process(void)
{
    snapshot.final = draw(2);
    snapshot.age_us = draw_count();
    draw_text(snapshot.host, sizeof snapshot.host);
    draw_text(rank, sizeof rank);
    snapshot.command_size = 1 + draw_text(snapshot.command, 1 + draw(draw(2) ? 200 : sizeof snapshot.command));
    snapshot.launches = draw_count();
    snapshot.device_count = draw(FUSELN_DEVICES_MAX + 1);
    for (size_t i = 0; i < snapshot.device_count; i++) {
        struct fuseln_device_report *device = &snapshot.devices[i];
        *device = (struct fuseln_device_report){.image = draw(2) ? "" : "sm_90", .compiler = "NVRTC 12.0.140"};
        draw_text(device->name, sizeof device->name);
        draw_text(device->compute_capability, sizeof device->compute_capability);
        device->scratch_bytes = device->scratch_wanted = draw_count();
    }
}

static void draw_site(struct fuseln_site_view *view)
{
    *view = (struct fuseln_site_view){.key = &site.key, .rows_max = (int64_t)draw_count()};
    view->launches = draw_count();
    view->substituted = draw_count();
    for (int verdict = 0; verdict < FUSELN_VERDICT_COUNT; verdict++)
        view->passed[verdict] = view->checked.unchecked[verdict] = draw(9) ? 0 : draw_count();
    view->checked.compared = view->checked.inconclusive = draw_count();
    for (int i = 0; i < FUSELN_CHECK_FIELDS; i++) /* only errors can be any number */
        view->checked.field[i] =
            i < FUSELN_CHECK_SQUARES || i == FUSELN_CHECK_FIRST ? (double)draw_count() : draw_real();
}

static void draw_sites(void)
{
    draw_text(library.name, sizeof library.name);
    memset(library.build_id, 0, sizeof library.build_id);
    memset(library.build_id, 'f', draw(41));
    draw_text(target.name, sizeof target.name);
    site.key.cols = (int64_t)draw_count();
    snapshot.site_count = draw(SITES + 1);
    for (size_t i = 0; i < snapshot.site_count; i++)
        draw_site(&snapshot.sites[i]);
    snapshot.measure_count = 1;
    snapshot.measures[0] = (struct fuseln_measure_view){.site = &site,
                                                        .rows_to = (int64_t)draw_count(),
                                                        .decided = draw(2),
                                                        .ours = draw(2),
                                                        .ours_us = draw_real(),
                                                        .original_us = draw_real(),
                                                        .bytes = draw_real()};
    draw_text(norm.name, sizeof norm.name);
    snapshot.foreign_count = 1;
    snapshot.foreign[0] = (struct fuseln_foreign_view){&norm, draw_count()};
}

static char *written_by(void (*write)(const struct fuseln_snapshot *, struct fuseln_out *))
{
    static char bytes[REPORT_BYTES];
    struct fuseln_out out = {.fd = -1, .buffer = bytes, .capacity = sizeof bytes - 1};
    write(&snapshot, &out);
    assert_int_equal(out.error, 0);
    bytes[out.length] = '\0';
    return bytes;
}

static bool is_clean(const char *text)
{
    uint32_t code_point;
    for (size_t length; *text; text += length)
        if (!(length = fuseln_utf8_length(text, &code_point)) || (code_point < ' ' && code_point != '\n'))
            return false;
    return true;
}

static void assert_is_apart(const char *text, uint64_t count)
{
    char number[FUSELN_COUNT_MAX], apart[FUSELN_COUNT_MAX + 2];
    snprintf(apart, sizeof apart, " %s ", fuseln_word_count(number, count));
    assert_non_null(strstr(text, apart));
}

TEST(any_text_and_any_number_find_room_in_the_reports)
{
    for (int i = 0; i < SNAPSHOTS; i++) {
        draw_process();
        draw_sites();
        const char *text = written_by(fuseln_report_text);
        assert_true(is_clean(text));
        assert_non_null(strstr(text, " (pid "));
        for (size_t at = 0; at < snapshot.site_count; at++) {
            assert_is_apart(text, snapshot.sites[at].launches);
            assert_is_apart(text, snapshot.sites[at].substituted);
        }
        json_t *report = json_loads(written_by(fuseln_report_json), 0, NULL);
        assert_int_equal(json_array_size(json_object_get(report, "sites")), snapshot.site_count);
        json_decref(report);
    }
}

int main(void)
{
    return run_registered_tests();
}
