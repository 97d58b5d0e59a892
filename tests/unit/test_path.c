/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path templates: each escape, unset variables and unknown escapes, relative paths after chdir, paths that are too
 * long.
 */
#include "child.h"

#include "base/config.h"
#include "base/path.h"

static void check_expansions(void)
{
    char path[FUSELN_PATH_MAX], complaint[FUSELN_COMPLAINT_MAX], host[256];
    static const struct {
        const char *from, *to, *complaint;
    } rows[] = {
        {"/a", "/a", ""},
        {"/a%%b", "/a%b", ""},
        {"/%r", "/7", ""},
        {"/%e", "/test_path", ""},
        {"/x-%q{FOO}-%q{EMPTY}.json", "/x-b_r-.json", "%q{FOO} would lead into another folder"},
        {"/out/%q{UP}.json", "/out/_.._x.json", "%q{UP} would lead"},
        {"/out/%q{DOTS}/r.json", "/out/__/r.json", "%q{DOTS} would lead"},
        {"%q{EMPTY}/out/%q{ABS}", "/out/_abs", "%q{ABS} would lead"},
        {"/out/%q{VERSION}.json", "/out/v1..2.json", ""},
        {"%q{ABS}/x", "/abs/x", ""}, /* a variable that begins the template may name a folder */
        {"/x%q{NONE_SUCH}y", "/xy", "NONE_SUCH is not set"},
        {"/x%z", "/x%z", "%z is not known"},
        {"/x%", "/x%", "is not known"},
        {"/x%q{FOO", "/x%q{FOO", "%q is not known"},
        {"/x%qFOO}", "/x%qFOO}", "%q is not known"},
        {"/100%\xc3\xa9", "/100%\xc3\xa9", "is not known"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check(!fuseln_path_expand(rows[i].from, fuseln_config_get()->folder, path, complaint));
        if (strcmp(path, rows[i].to) || (*rows[i].complaint ? !strstr(complaint, rows[i].complaint) : *complaint))
            fprintf(stderr, "%s: %s (%s)\n", rows[i].from, path, complaint), _exit(8);
    }
    gethostname(host, sizeof host);
    check(!fuseln_path_expand("/%p.%h", fuseln_config_get()->folder, path, NULL));
    check(!strcmp(path, format("/%d.%s", (int)getpid(), host)));
}

TEST(templates_expand)
{
    assert_child(check_expansions, "RANK", "7", "OMPI_COMM_WORLD_RANK", "8", "FOO", "b/r", "EMPTY", "", "ABS", "/abs",
                 "UP", "/../x", "DOTS", "..", "VERSION", "v1..2");
    assert_string_equal(stderr_text, "");
}

static void check_rank_with_slashes(void)
{
    char path[FUSELN_PATH_MAX], complaint[FUSELN_COMPLAINT_MAX];
    check(!fuseln_path_expand("/out/r%r.json", fuseln_config_get()->folder, path, complaint) &&
          !strcmp(path, "/out/r_.._.._etc_x.json"));
    check(strstr(complaint, "%r would lead into another folder"));
    check(!fuseln_path_expand("%r.json", fuseln_config_get()->folder, path, NULL) && !strstr(path, "../"));
}

TEST(a_rank_stays_in_the_folder)
{
    assert_child(check_rank_with_slashes, "RANK", "/../../etc/x");
    assert_string_equal(stderr_text, "");
}

static void exit_with_rank(void)
{
    char path[FUSELN_PATH_MAX];
    check(!fuseln_path_expand("/%r", fuseln_config_get()->folder, path, NULL));
    check(path[1] != '\0');
    _exit(atoi(path + 1));
}

TEST(the_rank_is_the_first_variable_set_or_0)
{
    assert_int_equal(child(exit_with_rank, "RANK", "", "SLURM_PROCID", "5"), 5);
    assert_int_equal(child(exit_with_rank, "OMPI_COMM_WORLD_RANK", "4", "SLURM_PROCID", "5"), 4);
    assert_child(exit_with_rank, "RANK", "");
    static const char *const names[] = {"PMI_RANK", "PMIX_RANK", "MV2_COMM_WORLD_RANK", "PALS_RANKID",
                                        "FLUX_TASK_RANK"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(child(exit_with_rank, names[i], "6"), 6);
        assert_int_equal(child(exit_with_rank, names[i], "6", "SLURM_PROCID", "0"), 6); /* mpirun in a batch script */
        assert_int_equal(child(exit_with_rank, names[i], "6", "RANK", "9"), 9);
    }
}

TEST_IN_CHILD(relative_paths_start_where_the_program_did, "FUSELN_MODE", "off")
{
    char path[FUSELN_PATH_MAX];
    check(!chdir(folder));
    fuseln_config_get();
    check(!chdir("/"));
    check(!fuseln_path_expand("a/b", fuseln_config_get()->folder, path, NULL));
    check(!strcmp(path, in_folder("a/b")));
}

static void check_long(void)
{
    char path[FUSELN_PATH_MAX] = "as it was";
    check(fuseln_path_expand("/%q{LONG}%q{LONG}", fuseln_config_get()->folder, path, NULL) < 0);
    check(!strcmp(path, "as it was"));
    check(!fuseln_path_expand("/%q{LONG}", fuseln_config_get()->folder, path, NULL) && strlen(path) == 4001);
    check(fuseln_path_expand("%q{LONG}%q{PART}", fuseln_config_get()->folder, path, NULL) <
          0); /* too long with its folder */
}

TEST(a_path_that_is_too_long_is_refused)
{
    static char value[4001], part[96];
    memset(value, 'x', 4000);
    memset(part, 'y', 94);
    assert_child(check_long, "LONG", value, "PART", part);
}

int main(void)
{
    return run_registered_tests();
}
