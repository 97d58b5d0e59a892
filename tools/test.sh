#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/test.sh: installs what is needed, builds, and runs every test that this machine can run, then the budgets. Prints
# what was skipped, and fails if a test was skipped that does not need a GPU. The last line has the counts.
#
# tools/test.sh --all [PART...]: what takes long, in parts (none named: that of above, called tests, and every other).
# A part that passed on a clean checkout leaves a stamp with the commit in the cache and is not run again there, so
# --all may be interrupted and called again. At the end a table says what became of each part.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
build=$fuseln_root/build
wheels_py=$fuseln_root/tests/torch/wheels.py
python=$fuseln_cache/torch-$fuseln_torch/bin/python

# Each part is a function part_NAME; a part wheels=VERSION is that one wheel.
parts=(tests drawn checks mutants rules faults soak fuzz coverage programs launchers aarch64)

part_drawn() { DRAWN_CASES=1500 RANDOM_PROGRAMS=500 ctest --output-on-failure -R 'torch/test_(wheel|pairs)$'; }
part_checks() { tests/accuracy/test_check 2000; }
part_mutants() { python3 "$fuseln_root/tests/mutants/mutants.py" "$build"; }
part_rules() { "$python" "$fuseln_root/tests/mutants/rules.py" "$build"; }
part_faults() { python3 "$fuseln_root/tests/faults/sweep.py" --all; } # tools/faults.sh makes the README's table
part_soak() { python3 "$fuseln_root/tests/threads/soak.py" 300 && python3 "$fuseln_root/tests/threads/races.py" 30; }
part_fuzz() { for word in scan report rows; do python3 "$fuseln_root/tests/fuzz/fuzz.py" $word 300 || return; done; }
part_coverage() { "$fuseln_root/tools/coverage.sh"; }
part_programs() { # from large wheels
    fuseln_need_wheel tensorflow 2.21.0
    fuseln_need_wheel jax 0.10.2 cuda12
    fuseln_need_wheel ctranslate2 4.8.5
    fuseln_need_wheel cupy-cuda13x 14.2.0
    fuseln_need_wheel vllm 0.33.0 "" torch==2.14.0 numpy
    fuseln_need_wheel numba-cuda 0.30.4 cu13
    python3 "$fuseln_root/tests/programs/wheels.py" "$build" "$fuseln_cache" "$fuseln_cache/torch-$fuseln_torch"
}

part_aarch64() { # by qemu
    fuseln_need_static aarch64
    "$fuseln_root/tools/build.sh" --arch aarch64 &&
        ctest --test-dir "$build/aarch64" --output-on-failure -j"$(nproc)" &&
        python3 "$fuseln_root/tests/packages/aarch64.py"
}

part_launchers() {
    fuseln_need_launchers
    LAUNCHERS=$fuseln_launchers "$python" -m pytest -q "$fuseln_root/tests/torch/launchers.py"
}

part_tests() {
    local log passed skipped failed status=0
    log=$(mktemp)
    # Outside the label gpu every test must run; inside it, exit code 77 means that there is no GPU.
    ctest --output-on-failure -j"$(nproc)" -LE '^gpu$' | tee "$log" || status=1
    if grep -q '\*\*\*Skipped\|\*\*\*Not Run' "$log"; then
        fuseln_say "a test outside the label gpu was skipped"
        status=1
    fi
    if [[ $(ctest -N -L '^gpu$') =~ 'Test '\ *'#' ]]; then # not `| grep -q`, which may kill ctest by SIGPIPE
        ctest --output-on-failure -L '^gpu$' | tee -a "$log" || status=1
    fi
    passed=$(grep -c '^ *[0-9]*/[0-9]* Test .* Passed ' "$log" || true)
    skipped=$(grep -c '^ *[0-9]*/[0-9]* Test .*\*\*\*Skipped' "$log" || true)
    failed=$(grep '^ *[0-9]*/[0-9]* Test ' "$log" | grep -vc ' Passed \|\*\*\*Skipped' || true)
    [ "$passed" -gt 0 ] || { status=1; fuseln_say "no test ran"; }
    if "$fuseln_root/tools/budgets.sh"; then # one more test
        passed=$((passed + 1))
    else
        failed=$((failed + 1)) status=1
    fi
    sed -n 's/^ *[0-9]*\/[0-9]* Test *#[0-9]*: \([^ ]*\) .*\*\*\*Skipped.*/skipped: \1/p' "$log"
    rm -f "$log"
    echo "$passed passed, $failed failed, $skipped skipped"
    return $status
}

# wanted_parts WORD...: a part a line.
wanted_parts() {
    local word allowed
    allowed=" ${parts[*]} wheels $(printf 'wheels=%s ' $("$wheels_py" --versions))"
    [ $# -gt 0 ] || set -- "${parts[@]}" wheels
    for word in "$@"; do
        [[ $allowed == *" $word "* ]] || fuseln_die "unknown part $word (allowed:$allowed)"
        if [ "$word" = wheels ]; then
            printf 'wheels=%s\n' $("$wheels_py" --versions)
        else
            echo "$word"
        fi
    done
}

all=
case "${1:-}" in
"") wanted=tests ;;
--all)
    shift
    all=1
    wanted=$(wanted_parts "$@")
    ;;
*) fuseln_die "usage: tools/test.sh [--all [PART...]]" ;;
esac

# Uncommitted changes leave no stamp, but for the rows that the wheels write; nor does a commit made meanwhile.
commit=$(git -C "$fuseln_root" rev-parse HEAD)
clean() {
    [ -z "$(git -C "$fuseln_root" status --porcelain -- . ':!tests/data/wheels.json')" ] &&
        [ "$(git -C "$fuseln_root" rev-parse HEAD)" = "$commit" ]
}

stamps= # folder of this commit's
if [ -n "$all" ] && clean; then
    stamps=$fuseln_cache/passed/$commit
    mkdir -p "$stamps"
elif [ -n "$all" ]; then
    fuseln_say "there are uncommitted changes: what passes leaves no stamp"
fi
passed_before() { [ -n "$stamps" ] && [ -e "$stamps/$1" ]; }

declare -A became
report_parts() {
    local part
    for part in "${parts[@]}" $(printf 'wheels=%s ' $("$wheels_py" --versions)); do
        ! passed_before "$part" || : "${became[$part]:=passed before}"
        printf '%-21s %s\n' "$part" "${became[$part]:-not run}"
    done
}

fuseln_need_packages binutils valgrind libjemalloc2 libmimalloc-dev libzstd1 liblz4-1 python3-dev
fuseln_need_packages clang libclang-rt-dev # the fuzz targets
fuseln_need_packages zsh groff-base # read the completions and the man pages
fuseln_need_packages lintian dpkg-dev file xz-utils # packages
fuseln_need_browser
fuseln_need_debian11
fuseln_need_models
fuseln_need_neighbours
fuseln_need_nvcc
fuseln_need_library ctranslate2 4.8.5 'ctranslate2.libs/libctranslate2-*'
fuseln_need_wheel onnxruntime-gpu 1.31.1 "" numpy onnx==1.23.2 flatbuffers packaging protobuf
fuseln_need_library ctransformers 0.2.27 ctransformers/lib/cuda/libctransformers.so
fuseln_need_library gpt4all 2.8.2 gpt4all/llmodel_DO_NOT_MODIFY/build/libllamamodel-mainline-cuda.so
fuseln_need_library vllm 0.33.0 vllm/_C_stable_libtorch.abi3.so
fuseln_need_library sglang-kernel 0.4.10 sgl_kernel/sm90/common_ops.abi3.so
fuseln_need_torch "$fuseln_torch_cuda12"
"$fuseln_root/tools/build.sh"
cd "$build"
export TEST_BUILD=$build TEST_SOURCE=$fuseln_root

[ -z "$all" ] || trap report_parts EXIT
status=0
for part in $wanted; do
    ! passed_before "$part" || continue
    started=$SECONDS
    became[$part]=interrupted
    if (case $part in wheels=*) "$wheels_py" "${part#wheels=}" ;; *) "part_$part" ;; esac); then # exit ends the part
        became[$part]="passed, $((SECONDS - started)) s"
        [ -z "$stamps" ] || ! clean || touch "$stamps/$part"
    else
        became[$part]="FAILED, $((SECONDS - started)) s"
        status=1
    fi
done
exit $status
