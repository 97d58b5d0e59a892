/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings: defaults, good and bad values of every parser, warnings that wait and come once, FUSELN_ONLY,
 * FUSELN_SKIP, mistyped names, threads that read at the same time.
 */
#include "child.h"

#include "base/config.h"
#include "hooks/process.h"

static void check_defaults(void)
{
    const struct fuseln_config *config = fuseln_config_get();
    check(config->mode == FUSELN_MODE_REPLACE && config->report_every_s == 30 && config->scratch_bytes == 32u << 20);
    check(!*config->report && !*config->trace && !*config->skip && !*config->log_path);
    check(config->log_level == FUSELN_LOG_WARN && config->folder[0] == '/' && config->hooks == 3);
    check(config->pairs == FUSELN_PAIRING_PAIRED);
    check(fuseln_config_hooks(FUSELN_BOUNDARY_RUNTIME) && fuseln_config_hooks(FUSELN_BOUNDARY_DRIVER));
    fuseln_process_warn();
}

TEST(the_defaults_apply_and_nothing_is_said)
{
    assert_child(check_defaults, "FUSELN_MODE", "", "FUSELN_LOG", "");
    assert_string_equal(stderr_text, "");
}

static void check_values(void)
{
    const struct fuseln_config *config = fuseln_config_get();
    check(config->mode == FUSELN_MODE_OBSERVE && config->report_every_s == 5 && config->scratch_bytes == 3u << 30);
    check(!strcmp(config->report, "a%p.json") && !strcmp(config->trace, "t") && !strcmp(config->skip, "rms,cols=7"));
    check(config->log_level == FUSELN_LOG_DEBUG && !strcmp(config->log_path, "/x:y"));
    check(config->pairs == FUSELN_PAIRING_UNSEEN);
    check(!fuseln_config_hooks(FUSELN_BOUNDARY_RUNTIME) && fuseln_config_hooks(FUSELN_BOUNDARY_DRIVER));
    fuseln_process_warn();
}

TEST(good_values_are_taken)
{
    assert_child(check_values, "FUSELN_MODE", "observe", "FUSELN_REPORT", "a%p.json", "FUSELN_REPORT_EVERY", "5",
                 "FUSELN_TRACE", "t", "FUSELN_LOG", "debug:/x:y", "FUSELN_SKIP", "rms,cols=7", "FUSELN_SCRATCH", "3g",
                 "FUSELN_HOOKS", "driver", "FUSELN_ONLY", "nothing*, test_conf*");
    assert_string_equal(stderr_text, "");
}

static void read_twice_and_warn_twice(void)
{
    fuseln_config_get();
    struct stat info;
    check(!fstat(2, &info) && info.st_size == 0); /* the warning waits */
    fuseln_process_warn();
    fuseln_process_warn();
}

/* Variable, bad value, what the warning must name besides the variable and the value. */
TEST(a_bad_value_warns_once_and_keeps_the_default)
{
    static char long_value[1200], long_name[300];
    static const char *const rows[][3] = {
        {"FUSELN_MODE", "replcae", "observe"},
        {"FUSELN_REPORT_EVERY", "0", "1 to 86400"},
        {"FUSELN_REPORT_EVERY", "-5", "30 stays"},
        {"FUSELN_REPORT_EVERY", "86401", "86400"},
        {"FUSELN_REPORT_EVERY", "5s", "seconds"},
        {"FUSELN_LOG", "loud", "debug"},
        {"FUSELN_HOOKS", "runtime,drivers", "runtime driver"},
        {"FUSELN_HOOKS", ",", "runtime,driver stays"},
        {"FUSELN_SCRATCH", "32MB", "32M stays"},
        {"FUSELN_SCRATCH", "-1", "K, M or G"},
        {"FUSELN_SCRATCH", " 1", "32M stays"},
        {"FUSELN_SCRATCH", "99999999999G", "32M stays"},
        {"FUSELN_SKIP", "bckward", "backward"},
        {"FUSELN_SKIP", "cols=x7", "cols=N"},
        {"FUSELN_SKIP", "cols=", "left out"},
        {"FUSELN_REPORT", long_value, "unset"},
        {"FUSELN_REPORT", "a%q{FUSELN_NO}", "is not set"},
        {"FUSELN_TRACE", "a%z", "%z is not known"},
        {"FUSELN_ONLY", long_name, "255 bytes), this word is left out"},
    };
    strcpy(long_name, "test_config,");
    memset(long_name + strlen(long_name), 'x', 256);
    memset(long_value, 'x', sizeof long_value - 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        folder_renew();
        assert_child(read_twice_and_warn_twice, rows[i][0], rows[i][1]);
        assert_int_equal(occurrences(stderr_text, "\n"), 1);
        assert_int_equal(strncmp(stderr_text, "fuseln[", 7), 0);
        assert_non_null(strstr(stderr_text, rows[i][0]));
        assert_non_null(strstr(stderr_text, rows[i][2]));
        if (strlen(rows[i][1]) < 200)
            assert_non_null(strstr(stderr_text, rows[i][1]));
    }
}

static void check_other_words(void)
{
    const struct fuseln_target target = {.name = "a/b", .op = FUSELN_OP_DX};
    check(fuseln_config_skips(fuseln_config_get(), &target, &(struct fuseln_call){.cols = 8, .rms = true}));
    fuseln_process_warn();
}

static void check_no_pairs(void)
{
    check(fuseln_config_get()->pairs == FUSELN_PAIRING_SKIPPED);
}

TEST(skip_and_measure_switch_pairs_off)
{
    assert_child(check_no_pairs, "FUSELN_SKIP", "rms,pairs");
    assert_child(check_no_pairs, "FUSELN_MODE", "measure");
}

TEST(a_bad_word_in_skip_leaves_the_others)
{
    assert_child(check_other_words, "FUSELN_SKIP", "forward, bckward,rms");
    assert_non_null(strstr(stderr_text, "\"bckward\""));
}

static void check_first_word(void)
{
    const struct fuseln_target target = {.name = "a/b", .op = FUSELN_OP_DX};
    const struct fuseln_config *config = fuseln_config_get();
    check(fuseln_config_skips(config, &target, &(struct fuseln_call){.cols = 7}));
    check(!fuseln_config_skips(config, &target, &(struct fuseln_call){.cols = 8}));
    fuseln_process_warn();
}

TEST(of_a_skip_that_is_too_long_the_words_that_fit_are_taken)
{
    char list[1100];
    memset(list, 0, sizeof list);
    for (size_t at = 0; at < 1080; at += 7)
        strcpy(list + at, at < 1016 ? "cols=7," : "cols=8,"); /* 1023 bytes end within the first of these */
    assert_child(check_first_word, "FUSELN_SKIP", list);
    assert_non_null(strstr(stderr_text, "longer than 1023 bytes: \"cols=8\" and what follows is left out\n"));
    assert_int_equal(occurrences(stderr_text, "\n"), 1);
}

TEST(a_mistyped_name_is_reported_with_the_nearest)
{
    assert_child(read_twice_and_warn_twice, "FUSELN_REPROT", "x", "FUSELN_REPORT_EVRY", "1",
                 "FUSELN_A_VERY_LONG_NAME_THAT_NOBODY_EVER_MEANT_TO_SET_AT_ALL_0123456789", "1");
    assert_int_equal(occurrences(stderr_text, "\n"), 3);
    assert_non_null(strstr(stderr_text, "FUSELN_REPROT is not a variable of fuseln (the nearest is FUSELN_REPORT)"));
    assert_non_null(
        strstr(stderr_text, "FUSELN_REPORT_EVRY is not a variable of fuseln (the nearest is FUSELN_REPORT_EVERY)"));
}

static void exit_with_mode(void)
{
    _exit((int)fuseln_config_get()->mode);
}

TEST(only_named_executables_are_affected)
{
    static const struct {
        const char *only;
        int mode;
    } rows[] = {
        {"python*", FUSELN_MODE_OFF},    {"test_config", FUSELN_MODE_REPLACE}, {"a,b,test_c[o]*", FUSELN_MODE_REPLACE},
        {"test_confi", FUSELN_MODE_OFF}, {"/x/test_config", FUSELN_MODE_OFF},  {",", FUSELN_MODE_OFF}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(child(exit_with_mode, "FUSELN_ONLY", rows[i].only), rows[i].mode);
}

TEST(a_name_that_no_file_can_have_is_not_cut)
{
    char name[257] = "";

    memset(name, 'x', 255);
    assert_true(fuseln_config_names(name, name, ""));
    char *const executable = strdup(name);
    name[255] = 'y';
    assert_false(fuseln_config_names(name, executable, ""));
    free(executable);
}

static void exec_under_another_name(void)
{
    execl("/proc/self/exe", "/x/other-name", "--mode", NULL);
}

TEST(an_executable_is_named_by_its_file_and_by_argv_0)
{
    assert_int_equal(child(exec_under_another_name, "FUSELN_ONLY", "test_config"), FUSELN_MODE_REPLACE);
    assert_int_equal(child(exec_under_another_name, "FUSELN_ONLY", "other-*"), FUSELN_MODE_REPLACE);
    assert_int_equal(child(exec_under_another_name, "FUSELN_ONLY", "another-name"), FUSELN_MODE_OFF);
}

TEST(skip_names_targets)
{
    static const struct fuseln_library library = {.build_id = "0a1b2c3d"};
    static const struct fuseln_target target = {
        .name = "pytorch/dgamma/f16", .op = FUSELN_OP_DGAMMA, .dtype = FUSELN_DTYPE_F16, .library = &library};
    static const struct {
        const char *skip;
        bool skipped;
    } rows[] = {{"", false},
                {"backward", true},
                {"forward", false},
                {"dgamma", true},
                {"dx", false},
                {"f16", true},
                {"bf16", false},
                {"f1", false},
                {"rms", false},
                {"cols=768", true},
                {"cols=76", false},
                {"cols=7680", false},
                {"build=0a1", true},
                {"build=0A1B", true},
                {"build=1", false},
                {"build=0a1b2c3d4", false},
                {"pytorch/dgamma/f16", true},
                {"pytorch/dgamma/f1", false},
                {"f32,, dgamma", true}};
    struct fuseln_config config;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        strcpy(config.skip, rows[i].skip);
        if (fuseln_config_skips(&config, &target, &(struct fuseln_call){.cols = 768}) != rows[i].skipped)
            fail_msg("FUSELN_SKIP=%s", rows[i].skip);
    }
    strcpy(config.skip, "build=0");
    assert_false(
        fuseln_config_skips(&config, &(struct fuseln_target){.name = "no library"}, &(struct fuseln_call){.cols = 1}));
}

static const struct fuseln_config *got[16];
static void *get(void *number)
{
    return (void *)(got[(uintptr_t)number] = fuseln_config_get());
}

static void read_by_threads(void)
{
    run_threads(16, get);
    for (int i = 0; i < 16; i++)
        check(got[i] == got[0]);
    check(got[0]->mode == FUSELN_MODE_OBSERVE);
}

TEST(threads_agree)
{
    for (int i = 0; i < 50; i++)
        assert_child(read_by_threads, "FUSELN_MODE", "observe");
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--mode"))
        exit_with_mode();
    return run_registered_tests();
}
