/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of targets against the names that real wheels register (tests/data/symbols): exactly one row recognises
 * each layer-norm name of each PyTorch wheel, and what it says of the arguments agrees with the signature that c++filt
 * prints. Of other programs, as many names as `others` says are recognised, each by one row of that program.
 */
#include "test.h"

#include "hooks/targets/match.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>

enum { LINE = 1024 };

/* The function name in a demangled signature decides the operation. Longest first: some are prefixes of others. */
static const struct {
    const char *function;
    enum fuseln_op op;
    bool statistics_are_outputs;
} functions[] = {
    {"::vectorized_layer_norm_kernel<", FUSELN_OP_FORWARD, true},
    {"::RowwiseMomentsCUDAKernel<", FUSELN_OP_MOMENTS, true},
    {"::LayerNormForwardCUDAKernel<", FUSELN_OP_APPLY, false},
    {"::layer_norm_grad_input_kernel<", FUSELN_OP_DX, false},
    {"::layer_norm_grad_input_kernel_vectorized<", FUSELN_OP_DX, false},
    {"::GammaBetaBackwardSimpleCUDAKernel<", FUSELN_OP_DGAMMA, false},
    {"::GammaBetaBackwardCUDAKernel<", FUSELN_OP_DGAMMA, false},
    {"::GammaBetaBackwardCUDAKernel_32x32<", FUSELN_OP_DGAMMA, false},
    {"::GammaBetaBackwardCUDAKernelTemplate<", FUSELN_OP_DGAMMA, false},
};

static const char *const elements[] = {"float", "c10::Half", "c10::BFloat16", "double"};

static const char *parameter_text(const struct fuseln_target *target, unsigned i, bool statistics_are_outputs,
                                  char *buffer)
{
    const char *element = elements[target->dtype], *acc = target->dtype == FUSELN_DTYPE_F64 ? "double" : "float";

    switch (target->layout.role[i]) {
    case FUSELN_ROLE_ROWS:
    case FUSELN_ROLE_COLS:
        return target->layout.type[i] == FUSELN_ARG_I32 ? "int" : "long";
    case FUSELN_ROLE_EPS:
        return target->layout.type[i] == FUSELN_ARG_F64 ? "double" : "float";
    case FUSELN_ROLE_MEAN:
    case FUSELN_ROLE_RSTD:
        sprintf(buffer, statistics_are_outputs ? "%s*" : "%s const*", acc);
        return buffer;
    case FUSELN_ROLE_X:
    case FUSELN_ROLE_DY:
    case FUSELN_ROLE_GAMMA:
    case FUSELN_ROLE_BETA:
        sprintf(buffer, "%s const*", element);
        return buffer;
    default:
        sprintf(buffer, "%s*", element);
        return buffer;
    }
}

/* The last template argument if there is one for RMS norm: the third, or the eighth of the gamma and beta template. */
static bool rms_argument(const char *demangled)
{
    const char *arguments = strchr(demangled, '<');
    size_t commas = 0, before = strstr(demangled, "Template<") ? 7 : 2;

    for (const char *at = arguments; *at && *at != '('; at++)
        commas += *at == ',';
    return commas == before && strstr(arguments, ", true>(") != NULL;
}

static void check_signature(const struct fuseln_target *target, const char *demangled)
{
    char expected[LINE] = "(", buffer[64];
    size_t f = 0, count = sizeof(functions) / sizeof(functions[0]);

    while (f < count && !strstr(demangled, functions[f].function))
        f++;
    assert_true(f < count);
    assert_int_equal(target->op, functions[f].op);
    for (unsigned i = 0; i < target->layout.count; i++) {
        strcat(expected, i ? ", " : "");
        strcat(expected, parameter_text(target, i, functions[f].statistics_are_outputs, buffer));
    }
    strcat(expected, ")");
    const char *parameters = strrchr(demangled, '(');
    assert_non_null(parameters);
    assert_string_equal(parameters, expected);
    assert_int_equal(target->rms, rms_argument(demangled));
}

static size_t rows_that_match(const char *symbol, struct fuseln_target *ret_target)
{
    struct fuseln_target_row row;
    size_t matches = 0;

    for (size_t i = 0; fuseln_targets_row(i, &row); i++)
        matches += fuseln_targets_match_row(i, symbol, ret_target);
    return matches;
}

/* Calls check for each pair of lines (mangled, demangled) of a file of names; returns how many there were. */
static size_t for_each_name(const char *path, void (*check)(const char *symbol, const char *demangled))
{
    char command[LINE], symbol[LINE], demangled[LINE];
    size_t n = 0;
    FILE *names = fopen(path, "r"), *filter;

    assert_non_null(names);
    snprintf(command, sizeof(command), "c++filt < '%s'", path);
    filter = popen(command, "r");
    assert_non_null(filter);
    while (fgets(symbol, sizeof(symbol), names) && fgets(demangled, sizeof(demangled), filter)) {
        symbol[strcspn(symbol, "\n")] = '\0';
        demangled[strcspn(demangled, "\n")] = '\0';
        if (symbol[0] == '\0')
            continue;
        check(symbol, demangled);
        n++;
    }
    fclose(names);
    assert_int_equal(pclose(filter), 0);
    return n;
}

static void check_recognised(const char *symbol, const char *demangled)
{
    struct fuseln_target target, alone;

    assert_int_equal(rows_that_match(symbol, &alone), 1);
    assert_true(fuseln_targets_match(symbol, &target));
    assert_memory_equal(&target, &alone, sizeof(target));
    assert_true(strncmp(target.name, "pytorch/", 8) == 0);
    assert_int_equal(strstr(target.name, "/rms-") != NULL, target.rms);
    assert_string_equal(strrchr(target.name, '/') + 1, fuseln_dtype_name(target.dtype));
    check_signature(&target, demangled);
}

/* Programs other than PyTorch: a file of their names, what their targets begin with, and how many are recognised. */
static const struct other {
    const char *file, *program;
    size_t recognised;
    bool without_const; /* its kernels do not say what they only read */
} others[] = {
    // clang-format off
    {"apex-6424da3b.txt",          "apex/",   16, false},
    {"ctranslate2-4.8.5.txt",      "ctranslate2/", 6, false},
    {"ctransformers-0.2.27.txt",   "ggml/",   2, false},
    {"gpt4all-2.8.2.txt",          "ggml/",   4, false},
    {"ggml-2025.txt",              "ggml/",   8, false},
    {"lmdeploy-0.18.0.txt",        "lmdeploy/", 20, false},
    {"onnxruntime-gpu-1.31.1.txt", "onnxruntime/", 84, false},
    {"paddlepaddle-gpu-2.6.2.txt", "",         0, false},
    {"sglang-kernel-0.4.10.txt",   "sglang/", 25, true},
    {"vllm-0.23.0.txt",            "vllm/",   21, false},
    {"vllm-0.25.1.txt",            "vllm/",   42, false},
    {"vllm-0.33.0.txt",            "vllm/",   42, false},
    // clang-format on
};
static const struct other *tested;
static size_t recognised;

static enum fuseln_arg_type type_of(const char *parameter, size_t length)
{
    static const struct {
        const char *text;
        enum fuseln_arg_type type;
    } types[] = {{"int", FUSELN_ARG_I32},   {"unsigned int", FUSELN_ARG_U32}, {"long", FUSELN_ARG_I64},
                 {"float", FUSELN_ARG_F32}, {"double", FUSELN_ARG_F64},       {"bool", FUSELN_ARG_BOOL}};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strlen(types[i].text) == length && memcmp(types[i].text, parameter, length) == 0)
            return types[i].type;
    return parameter[length - 1] == '*' ? FUSELN_ARG_PTR : FUSELN_ARG_TYPE_COUNT;
}

static bool is_output(const struct fuseln_target *target, unsigned argument)
{
    const unsigned outputs = 1u << FUSELN_ROLE_Y | 1u << FUSELN_ROLE_DX | 1u << FUSELN_ROLE_DGAMMA |
                             1u << FUSELN_ROLE_DBETA | 1u << FUSELN_ROLE_SUM,
                   statistics = 1u << FUSELN_ROLE_MEAN | 1u << FUSELN_ROLE_RSTD;
    const bool makes_statistics = target->op == FUSELN_OP_FORWARD || target->op == FUSELN_OP_MOMENTS;
    bool output = target->layout.role[argument] == FUSELN_ROLE_REQUIRE; /* required to be null */

    for (unsigned i = 0; i < target->layout.pointer_count; i++)
        if (target->layout.pointers[i].argument == argument)
            output |= (outputs | (makes_statistics ? statistics : 0)) >> target->layout.pointers[i].role & 1;
    return output;
}

/* The arguments have the types of the parameters, and what the kernel may write is an output. */
static void check_parameters(const struct fuseln_target *target, const char *demangled)
{
    const char *at = strrchr(demangled, '(') + 1;
    unsigned i = 0;

    for (size_t length; *at; at += length + strspn(at + length, ", )"), i++) {
        length = strcspn(at, ",)");
        const bool is_pointer = at[length - 1] == '*', is_const = is_pointer && !strncmp(at + length - 6, "const*", 6);
        assert_true(i < target->layout.count);
        assert_int_equal(target->layout.type[i], type_of(at, length));
        if (is_pointer && is_const == is_output(target, i) && target->layout.role[i] != FUSELN_ROLE_REQUIRE &&
            (is_const || !tested->without_const))
            fail_msg("argument %u of %s: is it written?", i, demangled);
    }
    assert_int_equal(i, target->layout.count);
}

static void check_other(const char *symbol, const char *demangled)
{
    struct fuseln_target target, alone;
    const bool matches = fuseln_targets_match(symbol, &target);

    assert_int_equal(rows_that_match(symbol, &alone), matches);
    recognised += matches;
    if (!matches)
        return;
    assert_memory_equal(&target, &alone, sizeof(target));
    assert_true(strncmp(target.name, tested->program, strlen(tested->program)) == 0);
    assert_string_equal(strrchr(target.name, '/') + 1, fuseln_dtype_name(target.dtype));
    check_parameters(&target, demangled);
}

TEST(every_name_of_every_pytorch_wheel_is_recognised_by_one_row)
{
    glob_t files;
    size_t names = 0;

    assert_int_equal(glob(FUSELN_TEST_DATA "/symbols/torch-*.txt", 0, NULL, &files), 0);
    assert_int_equal(files.gl_pathc, 7); /* of 14 wheels: a file's name lists those whose names are the same */
    for (size_t i = 0; i < files.gl_pathc; i++)
        names += for_each_name(files.gl_pathv[i], check_recognised);
    globfree(&files);
    assert_int_equal(names, 24 + 28 + 32 + 92 + 184 + 2 * 120);
}

TEST(names_of_other_programs_are_recognised_by_their_own_rows_alone)
{
    for (tested = others; tested < others + sizeof(others) / sizeof(others[0]); tested++) {
        char path[LINE];
        snprintf(path, sizeof(path), FUSELN_TEST_DATA "/symbols/%s", tested->file);
        recognised = 0;
        assert_true(for_each_name(path, check_other) > 1);
        assert_int_equal(recognised, tested->recognised);
    }
}

#define LN   "_ZN2at6native53_GLOBAL__N__4da244e1_20_layer_norm_kernel_cu_9c5ada8a"
#define TAIL "28vectorized_layer_norm_kernelIffLb0EEEviT0_PKT_S6_S6_PS3_S7_PS4_"

TEST(near_misses_are_foreign)
{
    static const char *const names[] = {
        "",
        "_ZN2at6native",
        LN,
        /* group_norm: same function name, other translation unit or other parameters */
        "_ZN2at6native59_GLOBAL__N__4da244e1_20_group_norm_kernel_cu_ef1a7132_2652024RowwiseMomentsCUDAKernelIfEEvlT_"
        "PKS3_PS3_S6_",
        LN "24RowwiseMomentsCUDAKernelIfEEvlT_PKS3_PS3_S6_",
        /* CTranslate2 and Paddle: only the namespace */
        "_ZN2at6native26LayerNormForwardCUDAKernelIfjEEvT0_fPKT_S4_S4_PS2_",
        LN TAIL "i",                                                            /* one parameter more */
        LN "28vectorized_layer_norm_kernelIffLb0EEEviT0_PKT_S6_S6_PS3_S7_PS5_", /* another type at the end */
        LN "28vectorized_layer_norm_kernelIffLb2EEEviT0_PKT_S6_S6_PS3_S7_PS4_",
        LN "28vectorized_layer_norm_kernelIffLb0ELb0EEEviT0_PKT_S6_S6_PS3_S7_PS4_",
        LN "28vectorized_layer_norm_kernelIfdLb0EEEviT0_PKT_S6_S6_PS3_S7_PS4_",
        LN "L28vectorized_layer_norm_kernelIffLb0EEEviT0_PKT_S6_S6_PS3_S7_PS4_",
        LN "28vectorized_layer_norm_kernelIN3c104HalfEfLb0EEEviT0_PKT_S6_S6_PS3_S7_PS4_", /* float's substitutions */
        "_ZN2at6native52_GLOBAL__N__4da244e1_20_layer_norm_kernel_cu_9c5ada8a" TAIL,      /* length too short */
        "_ZN2at6native54_GLOBAL__N__4da244e1_20_layer_norm_kernel_cu_9c5ada8a" TAIL,
        "_ZN2at6native53_GLOBAL__N__4DA244E1_20_layer_norm_kernel_cu_9c5ada8a" TAIL,
        "_ZN2at53_GLOBAL__N__4da244e1_20_layer_norm_kernel_cu_9c5ada8a" TAIL,
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct fuseln_target target;
        if (fuseln_targets_match(names[i], &target))
            fail_msg("matched: %s", names[i]);
    }
}

TEST(norms_of_others_are_told_by_their_names)
{
    static const struct {
        const char *name, *maker; /* NULL: no norm */
    } rows[] = {
        {"triton_per_fused_native_layer_norm_0", "inductor"},
        {"triton_red_fused__fused_rms_norm_backward_add_7", "inductor"},
        {"kernel_cutlass_kernel_torch_vendorquackrmsnormRMSNorm_object_at__tensorptrbf16gmemalign16o1024i64div81_0",
         "quack"},
        {"kernel_cutlass_kernel_quackrmsnormRMSNormBackward_object_at_", "quack"},
        {"_layer_norm_fwd_1pass_kernel", "other"},
        {"_ZN4vllm15rms_norm_kernelIfLi8EEEvPT_PKS1_lS4_fii", "other"},
        {"cuApplyLayerNorm", "other"},
        {LN TAIL "i", "other"}, /* PyTorch's, of a release that is newer than we are */
        {"triton_per_fused_native_group_norm_0", NULL},
        {"triton_poi_fused_add_relu_0", NULL},
        {"kernel_cutlass_kernel_quackgemm_sm90GemmSm90_object_at_", NULL},
        {"layer_nor", NULL},
        {"layer", NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fuseln_target target;
        const char *maker = fuseln_targets_norm_maker(rows[i].name);
        assert_string_equal(maker ? maker : "", rows[i].maker ? rows[i].maker : "");
        assert_false(fuseln_targets_match(rows[i].name, &target));
    }
}

TEST(a_unit_name_followed_by_a_number_is_recognised)
{
    struct fuseln_target target;

    assert_true(fuseln_targets_match("_ZN2at6native59_GLOBAL__N__4da244e1_20_layer_norm_kernel_cu_9c5ada8a_26520" TAIL,
                                     &target));
    assert_string_equal(target.name, "pytorch/forward/vectorized/f32");
}

TEST(known_builds_are_known_by_their_whole_id)
{
    struct fuseln_known_build build, other;
    char cut[40] = "";
    size_t i = 0;

    for (; fuseln_targets_build(i, &build); i++) {
        assert_int_equal(strlen(build.build_id), 40);
        assert_int_equal(strspn(build.build_id, "0123456789abcdef"), 40);
        assert_true(fuseln_targets_known_build(build.build_id));
        memcpy(cut, build.build_id, 39);
        assert_false(fuseln_targets_known_build(cut));
        assert_int_equal(strlen(build.code), 16);
        assert_true(*build.version && *build.cuda && *build.machine);
        for (size_t j = 0; j < i; j++)
            assert_true(fuseln_targets_build(j, &other) && strcmp(other.build_id, build.build_id) != 0);
    }
    assert_int_not_equal(i, 0);
    assert_false(fuseln_targets_known_build(""));
}

int main(void)
{
    return run_registered_tests();
}
