/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report: what it says, when it is written, and that every snapshot is complete. The test moves the clock.
 */
#include "report_child.h"

#include "base/log.h"
#include "core/foreign.h"
#include "core/registry.h"

TEST(the_json_report_says_what_happened)
{
    assert_child(launch_some, REPORT, "RANK", "3");
    assert_string_equal(stderr_text, "");
    json_auto_t *report = load(in_folder("r.json"));
    const json_t *site = value(report, "sites.1"), *device = value(report, "devices.0");
    assert_int_equal(check_sums(report), 9);
    assert_int_equal(number(report, "totals.substituted"), 3);
    assert_int_equal(number(report, "totals.reasons.capture"), 4);
    assert_int_equal(number(report, "process.pid"), child_pid);
    assert_int_equal(number(report, "process.rank"), 3);
    assert_true(json_is_true(value(report, "final")));
    assert_true(json_is_null(value(report, "why")));
    double written = json_real_value(value(report, "written_at"));
    assert_true(written > 1.6e9 && time(NULL) - written < 60 && time(NULL) - written > -2);
    assert_int_equal(number(report, "sites.0.launches"), 5); /* most launches first */
    assert_int_equal(number(report, "sites.0.passed_through.scratch"), 1);
    assert_string_equal(text(report, "sites.0.build"), "unverified");
    assert_string_equal(text(site, "target"), forward.name);
    assert_string_equal(text(site, "symbol"), "_Zfwd");
    assert_string_equal(text(site, "library"), "libknown.so");
    assert_string_equal(text(site, "build_id"), "ab12");
    assert_string_equal(text(site, "build"), "known");
    assert_string_equal(text(site, "op"), "forward");
    assert_string_equal(text(site, "dtype"), "f32");
    assert_string_equal(text(site, "kernel"), "fuseln_ln_forward_warp8_f32");
    assert_true(json_is_false(value(site, "rms")));
    assert_int_equal(number(site, "cols"), 1024);
    assert_int_equal(number(site, "rows"), 64);
    assert_int_equal(number(site, "rows_min"), 64);
    assert_int_equal(number(site, "rows_max"), 256);
    assert_int_equal(number(site, "device"), 0);
    assert_int_equal(json_array_size(value(site, "null_arguments")), 2);
    assert_string_equal(text(device, "name"), "Test \"GPU\"");
    assert_string_equal(text(device, "driver"), "12.2");
    assert_string_equal(text(device, "image"), "sm_90");
    assert_int_equal(number(device, "scratch_bytes"), 1234567);
    assert_int_equal(number(device, "scratch_wanted_bytes"), 48 << 20);
}

static void launch_many_sites(void)
{
    for (int64_t cols = 1; cols <= 1100; cols++)
        launch(&forward, cols, 1, FUSELN_VERDICT_OK);
}

TEST(eleven_hundred_sites_end_in_other)
{
    assert_child(launch_many_sites, REPORT);
    json_auto_t *report = load(in_folder("r.json"));
    assert_int_equal(check_sums(report), 1100);
    assert_int_equal(json_array_size(value(report, "sites")), FUSELN_SITES_MAX + 1);
    assert_string_equal(text(report, "sites.0.target"), "other");
    assert_int_equal(number(report, "sites.0.launches"), 1100 - FUSELN_SITES_MAX);
    assert_true(json_is_null(value(report, "sites.0.op")));
}

static void do_nothing(void) {}

TEST(a_process_that_launched_nothing_writes_nothing)
{
    assert_child(do_nothing, REPORT, "FUSELN_MODE", "bad");
    assert_int_not_equal(access(in_folder("r.json"), F_OK), 0);
    assert_child(launch_some, REPORT, "FUSELN_MODE", "off");
    assert_child(launch_some, REPORT, "FUSELN_ONLY", "other", "FUSELN_X", "");
    assert_int_not_equal(access(in_folder("r.json"), F_OK), 0);
    assert_string_equal(stderr_text, "");
}

static void assert_no_line_is_longer(size_t columns)
{
    for (const char *line = stderr_text; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= columns);
}

static void launch_foreign(void)
{
    count_launch();
}

static void register_and_launch_foreign(void)
{
    fuseln_registry_add(&forward, &forward, &forward);
    count_launch();
}

static void launch_foreign_norm(void)
{
    launch_foreign();
    atomic_fetch_add(&fuseln_foreign_get("triton_per_fused_native_layer_norm_0", "inductor")->launches, 1);
}

static void launch_foreign_norm_too(void)
{
    fuseln_foreign_get("looked up and never launched", "quack");
    launch_some();
    launch_foreign_norm();
}

TEST(the_report_names_the_layer_norms_that_fuseln_does_not_know)
{
    assert_int_equal(child(launch_foreign_norm_too, REPORT), 0);
    json_auto_t *report = load(in_folder("r.json"));
    assert_int_equal(check_sums(report), 10);
    assert_true(json_is_null(value(report, "why")));
    assert_int_equal(json_array_size(value(report, "foreign_norms")), 1);
    assert_string_equal(text(report, "foreign_norms.0.maker"), "inductor");
    assert_string_equal(text(report, "foreign_norms.0.symbol"), "triton_per_fused_native_layer_norm_0");
    assert_int_equal(number(report, "foreign_norms.0.launches"), 1);
    assert_int_equal(number(report, "totals.recognised"), 8);
    assert_int_equal(child(launch_foreign_norm_too, "FUSELN_REPORT", "stderr"), 0);
    assert_non_null(strstr(stderr_text, "             1  inductor     triton_per_fused_native_layer_norm_0\n"));
}

TEST(a_report_without_layer_norms_says_why)
{
    static const struct {
        void (*body)(void);
        const char *why;
    } rows[] = {{launch_foreign, "no library"},
                {register_and_launch_foreign, "none was launched"},
                {launch_foreign_norm, "does not know"}};
    for (size_t i = 0; i < 3; i++) {
        assert_child(rows[i].body, REPORT);
        json_auto_t *report = load(in_folder("r.json"));
        assert_int_equal(check_sums(report), 1);
        assert_non_null(strstr(text(report, "why"), rows[i].why));
        assert_child(rows[i].body, "FUSELN_REPORT", "stderr");
        assert_non_null(strstr(stderr_text, "No layer norm was recognised"));
        assert_no_line_is_longer(100);
    }
}

/* C0 and C1 controls, a line break, half a character, a change of writing direction. */
#define HOSTILE            \
    "\033]0;x\007\xc2\x9b" \
    "31m\nfuseln: all replaced\xff\xe2\x80\xae"

static void launch_in_a_hostile_library(void)
{
    static const struct fuseln_library library = {.name = HOSTILE, .build_id = "ab12"};
    static struct fuseln_target target; /* the report at exit reads it */
    target = forward;
    target.library = &library;
    launch(&target, 64, 64, FUSELN_VERDICT_OK);
    pr_warn("cannot read %s", HOSTILE);
}

TEST(foreign_names_cannot_control_a_terminal)
{
    assert_child(launch_in_a_hostile_library, "FUSELN_REPORT", "stderr", "RANK", HOSTILE, "FUSELN_SKIP", HOSTILE);
    assert_non_null(strstr(stderr_text, "rank ?]0;x"));
    assert_non_null(strstr(stderr_text, "library ?]0;x??31m?fuseln: all replaced"));
    assert_non_null(strstr(stderr_text, "cannot read ?]0;x??31m?fuseln: all replaced??"));
    assert_null(strstr(stderr_text, "\nfuseln: all"));
    for (const char *c = stderr_text; *c; c++)
        assert_true(*c == '\n' || (*c >= ' ' && *c < 0x7f));
}

/* Launches in the report on disk, -1 if there is none. Runs in the child. */
static int64_t on_disk(void)
{
    json_auto_t *report = load(in_folder("r.json"));
    int64_t launches = report ? number(report, "totals.launches") : -1;
    check(!report || json_is_false(value(report, "final")));
    return launches;
}

TEST_IN_CHILD(snapshots_are_due_after_1_2_4_8_16_s_and_then_at_intervals, REPORT, "FUSELN_REPORT_EVERY", "7")
{
    static const int64_t due_s[] = {1, 2, 4, 8, 16, 23, 30}; /* FUSELN_REPORT_EVERY=7 */
    int64_t count = 1, written = 1;
    launch(&forward, 1, 1, FUSELN_VERDICT_OK);
    check(on_disk() == 1);
    for (size_t i = 0; i < sizeof due_s / sizeof *due_s; i++) {
        clock_ms = due_s[i] * 1000 - 1000;
        launch(&forward, 1, 1, FUSELN_VERDICT_OK);
        count++;
        check(on_disk() == (i == 0 ? 1 : written));
        clock_ms = due_s[i] * 1000;
        launch(&gradient, 1, 1, FUSELN_VERDICT_CAPTURE); /* any recognised launch will do */
        written = ++count;
        check(on_disk() == written);
    }
    clock_ms = 100000; /* missed ones are skipped: the next is due at 100 + 7 - (100 - 30) % 7 */
    launch(&forward, 1, 1, FUSELN_VERDICT_OK);
    check(on_disk() == ++count);
    clock_ms = 106000;
    launch(&forward, 1, 1, FUSELN_VERDICT_OK);
    check(on_disk() == count);
    _exit(0);
}

TEST(the_last_snapshot_survives_sigkill)
{
    assert_int_equal(child(launch_and_be_killed, REPORT), 256 + SIGKILL);
    assert_true(report_launches("r.json") >= 1);
    assert_false(report_is_final("r.json"));
}

static _Atomic bool stop;

static void *launch_until_stopped(void *unused)
{
    for (int64_t i = 0; !stop; i++) {
        launch(i % 3 ? &forward : &gradient, i % 50, i % 9, i % 5 ? FUSELN_VERDICT_OK : FUSELN_VERDICT_CAPTURE);
        clock_ms += 1000;
    }
    return unused;
}

static void read_while_threads_launch(void)
{
    pthread_t thread;
    int64_t last = 0, reports = 0;
    for (int i = 0; i < 4; i++)
        pthread_create(&thread, NULL, launch_until_stopped, NULL);
    while (reports < 50) {
        json_auto_t *report = load(in_folder("r.json"));
        if (!report)
            continue;
        int64_t launches = check_sums(report);
        check(launches >= last);
        reports += launches > last;
        last = launches;
    }
    exit(0); /* while they launch */
}

TEST(every_snapshot_is_complete_and_adds_up)
{
    assert_child(read_while_threads_launch, REPORT, "FUSELN_REPORT_EVERY", "1");
    report_launches("r.json");
    assert_true(report_is_final("r.json"));
}

static void launch_wide(void)
{
    static struct fuseln_target long_name;
    memset(long_name.name, 'n', sizeof long_name.name - 1);
    for (int i = 0; i < 7; i++)
        launch(&long_name, 65536, 1 << i, FUSELN_VERDICT_OK);
    launch_some();
}

TEST(the_text_report_is_a_table_of_100_columns)
{
    assert_child(launch_some, "FUSELN_REPORT", "stderr", "RANK", "1");
    assert_int_equal(occurrences(stderr_text, "fuseln["), 0);
    assert_non_null(strstr(stderr_text, "9 kernel launches, 8 layer norms: 3 replaced, 5 passed on"));
    assert_non_null(strstr(stderr_text, "rank 1"));
    assert_non_null(strstr(stderr_text, "sm_90 by NVRTC 12.0.140"));
    assert_non_null(strstr(stderr_text, "libknown.so, build ab12: known"));
    assert_non_null(strstr(stderr_text, "pytorch/rms-dgamma/bf16*"));
    assert_non_null(strstr(stderr_text, "64-256"));
    assert_non_null(strstr(stderr_text, " forward_warp8_f32\n"));
    assert_non_null(strstr(stderr_text, fuseln_verdict_text(FUSELN_VERDICT_CAPTURE)));
    assert_true(strstr(stderr_text, gradient.name) < strstr(stderr_text, forward.name)); /* most launches first */
    assert_no_line_is_longer(100);
    assert_child(launch_wide, "FUSELN_REPORT", in_folder("r.txt"));
    assert_non_null(strstr(read_file(in_folder("r.txt"), stderr_text, sizeof stderr_text), "65536"));
    assert_null(strstr(stderr_text, "still running"));
}

TEST(a_rank_that_is_no_number_of_64_bits_is_a_text)
{
    assert_child(launch_some, REPORT, "RANK", "9223372036854775808");
    json_auto_t *report = load(in_folder("r.json"));
    assert_string_equal(text(report, "process.rank"), "9223372036854775808");
}

static void exec_with_odd_words(void)
{
    execl("/proc/self/exe", "a \"b\"\n", "--launch", "\\\xc3\xa9\t\x7f", "\xff\xc0\x80\xed\xa0\x80!",
          "\xf0\x9f\x98\x80", "", NULL);
}

TEST(odd_words_make_valid_json)
{
    char name[] = "q\"\n\xc3\xa9.json";
    assert_child(exec_with_odd_words, "FUSELN_REPORT", in_folder(name), "RANK", "a\"b");
    json_auto_t *report = load(in_folder(name));
    const json_t *command = value(report, "process.command");
    static const char *const words[] = {
        "a \"b\"\n",        "--launch",
        "\\\xc3\xa9\t\x7f", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!",
        "\xf0\x9f\x98\x80", ""};
    assert_int_equal(json_array_size(command), sizeof words / sizeof *words);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_string_equal(json_string_value(json_array_get(command, i)), words[i]);
    assert_string_equal(text(report, "process.rank"), "a\"b");
    assert_child(exec_with_odd_words, "FUSELN_REPORT", "stderr");
    assert_non_null(strstr(stderr_text, "\na \"b\"? --launch"));
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--launch"))
        return launch_some(), 0;
    return run_registered_tests();
}
