#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/coverage.sh [--list]: which lines of the library do the tests run? Builds the library with gcc's counters into
# build-coverage/, runs the tests that exercise it (everything else comes from build/), and prints the coverage of src,
# hooks and the host code of kernels. Fails below 95 %, or if a line that did not run has no reason in
# tests/coverage/not_covered.txt; --list prints such lines in that file's format. Takes some minutes.
# A failing test does not fail this script: a test that inspects the library itself (sections, stack, instructions,
# callers, files) may fail because of the counters. The exit code is printed beside it.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
cd "$fuseln_root"
case "${1:-}" in
"" | --list) ;;
*) fuseln_die "usage: tools/coverage.sh [--list]" ;;
esac

fuseln_step "building build/" tools/build.sh
build=$fuseln_root/build-coverage
mkdir -p "$build"
cp -a --update build/images "$build/"
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
fuseln_generator="Unix Makefiles" fuseln_targets="fuseln fuseln_command unit_tests" fuseln_step "building $build" \
    fuseln_cmake "$build" -DCMAKE_BUILD_TYPE=Debug -DFUSELN_COVERAGE=ON -DFUSELN_TESTS=ON
find "$build" -name '*.gcda' -delete

# A copy of the build folder, by links, in which the library and the command have counters.
rm -rf "$build/run"
mkdir "$build/run"
ln -s "$fuseln_root"/build/* "$build/run/"
ln -f "$build/libfuseln.so" "$build/fuseln" "$build/run/"

timed() { # timed COMMAND...: runs it, prints its time and its exit code if not 0
    local begin=$SECONDS status=0
    "$@" >"$build/last.txt" 2>&1 || status=$?
    printf '%4d s  %s%s\n' $((SECONDS - begin)) "${*: -1}" "$([ $status = 0 ] || echo "  (exit code $status)")" >&2
}
for program in "$build"/tests/unit/test_*; do
    timed "$program"
done
export TEST_BUILD=$build/run TEST_SOURCE=$fuseln_root TEST_VENV=$fuseln_cache/torch-$fuseln_torch
for script in tests/preload/test_*.py tests/cli/test_*.py tests/faults/*.py; do
    case $script in */test_quiet.py) continue ;; esac # the counters' own files would fail it
    timed python3 "$script"
done
timed python3 tests/threads/soak.py 5
for script in tests/torch/test_*.py; do
    timed "$TEST_VENV/bin/python" -m pytest -q -p no:cacheprovider "$script"
done
python3 tests/coverage/lines.py "$build" "$@"
