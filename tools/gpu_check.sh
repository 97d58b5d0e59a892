#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/gpu_check.sh [--dry-run] WORD [FOLDER]: does everything work on this machine's GPU? WORD is one of
#
#   first       every kernel of ours once; pairs: bits, counts, sums that may be stale; the modes and the first-use
#               check; PyTorch's calls at all widths (tests/gpu/check.py)
#   sanitizers  every kernel under compute-sanitizer (tests/gpu/sample.c), racecheck by row size since it is slow
#   programs    other people's programs beside fuseln (tests/gpu/programs.py)
#   all         the three
#   build       builds what those and tools/bench.sh need, for compute capability $GPU_ARCH (90), where no GPU is
#
# Builds with the machine's nvcc, or uses $TEST_BUILD. Stops after $GPU_SECONDS (540); called again with the same
# FOLDER (build-gpu/results), goes on with what has not passed. The output also goes to gpu_check.txt in the folder of
# this device and commit below FOLDER. --dry-run prints the steps and their time limits. Exit status: 1 if a step failed
# or had no time left, 77 without a GPU. To rehearse: tests/softgpu/run --cpu-ops -- tools/gpu_check.sh all
set -uo pipefail
# shellcheck source=tests/gpu/steps.sh
. "$(dirname "$0")/../tests/gpu/steps.sh"
tests=$fuseln_root/tests/gpu
gpu_command="tools/${0##*/} $*"

check() { gpu_step "$1" "$2" "$gpu_python" -u "$tests/check.py" "${gpu_small[@]}" "$1" "$TEST_BUILD/gpu/check"; }
first() {
    gpu_step sample 60 "$tests/sample.sh" run ${gpu_small:+240}
    check pairs 120
    check modes 120
    check cases 240
}
sanitizers() {
    local tool bytes
    for tool in memcheck initcheck synccheck; do
        gpu_step "$tool" 60 "$tests/sample.sh" "$tool"
    done
    for bytes in $("$TEST_BUILD/gpu/sample" list 2>/dev/null || echo ROW-BYTES); do
        gpu_step "racecheck $bytes" 60 "$tests/sample.sh" racecheck "$bytes"
    done
}
programs() {
    local kind
    for kind in closed training clients; do
        gpu_step "programs $kind" 150 "$gpu_python" -u "$tests/programs.py" "${gpu_small[@]}" "$kind" \
            "$TEST_BUILD/gpu/programs"
    done
}

gpu_options "$@"
set -- "${gpu_arguments[@]}"
case $#:${1:-} in
[12]:first | [12]:sanitizers | [12]:programs) words=$1 ;;
[12]:all) words="first programs sanitizers" ;;
1:build) words='' gpu_arch=${GPU_ARCH:-90} ;;
*) fuseln_die "usage: tools/gpu_check.sh [--dry-run] first | sanitizers | programs | all | build [FOLDER]" ;;
esac
gpu_begin gpu_check "${2:-}"
gpu_build
[ -z "${gpu_arch:-}" ] || gpu_build_rows
for word in $words; do
    "$word"
done
gpu_finish
