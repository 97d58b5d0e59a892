#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/test.sh [--all]: installs what is needed, builds, and runs every test that this machine can run, then the
# budgets. Prints what was skipped, and fails if a test was skipped that does not need a GPU. The last line has the
# counts. --all adds what takes long: more random cases and programs, tools/faults.sh, tools/coverage.sh, 2,000 shapes
# for the checks, the mutants of our kernels and of the pairing rules, and programs from large wheels.
set -euo pipefail
. "$(dirname "$0")/setup.sh"

case "${1:-}" in
"") ;;
--all) export DRAWN_CASES=1500 RANDOM_PROGRAMS=500 ;; # tests/torch; 150 and 200 otherwise
*) fuseln_die "usage: tools/test.sh [--all]" ;;
esac

fuseln_need_packages binutils valgrind libjemalloc2 libmimalloc-dev libzstd1 liblz4-1 python3-dev
fuseln_need_packages clang libclang-rt-dev # the fuzz targets
fuseln_need_debian11
fuseln_need_models
fuseln_need_neighbours
"$fuseln_root/tools/build.sh"

cd "$fuseln_root/build"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
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

also() { # also COMMAND...: counts as one more test
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        status=1
    fi
}
also "$fuseln_root/tools/budgets.sh"
if [ "${1:-}" = --all ]; then
    also "$fuseln_root/tools/faults.sh"
    also "$fuseln_root/tools/coverage.sh"
    also tests/accuracy/test_check 2000
    also python3 "$fuseln_root/tests/mutants/mutants.py" "$fuseln_root/build"
    also "$fuseln_cache/torch-$fuseln_torch/bin/python" "$fuseln_root/tests/mutants/rules.py" "$fuseln_root/build"
    fuseln_need_wheel tensorflow 2.21.0
    fuseln_need_wheel onnxruntime-gpu 1.31.1
    fuseln_need_wheel jax 0.10.2 cuda12
    fuseln_need_wheel ctranslate2 4.8.5
    fuseln_need_wheel cupy-cuda13x 14.2.0
    fuseln_need_wheel vllm 0.33.0 "" torch==2.14.0 numpy
    fuseln_need_wheel numba-cuda 0.30.4 cu13
    also python3 "$fuseln_root/tests/programs/wheels.py" "$fuseln_root/build" "$fuseln_cache" \
        "$fuseln_cache/torch-$fuseln_torch"
fi
sed -n 's/^ *[0-9]*\/[0-9]* Test *#[0-9]*: \([^ ]*\) .*\*\*\*Skipped.*/skipped: \1/p' "$log"
echo "$passed passed, $failed failed, $skipped skipped"
exit $status
