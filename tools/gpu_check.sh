#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/gpu_check.sh [--small] [FOLDER]: does everything work on this machine's GPU? Builds with the machine's nvcc,
# then runs PyTorch under fuseln (tests/gpu/check.py), programs that launch through the driver (tests/gpu/programs.py)
# and every kernel of ours under compute-sanitizer (tests/gpu/sample.c). Takes at most 8 minutes. The output also goes
# to gpu_check.txt in FOLDER (build-gpu/results). Exit status: 1 if a step failed, 77 without a GPU.
# TEST_BUILD=DIRECTORY uses the build there.
# --small rehearses with few shapes: tests/softgpu/run --cpu-ops -- tools/gpu_check.sh --small
set -uo pipefail
# shellcheck source=tests/gpu/steps.sh
. "$(dirname "$0")/../tests/gpu/steps.sh"

gpu_command="tools/${0##*/} $*" small=()
if [ "${1:-}" = --small ]; then
    small=(--small)
    shift
fi
case $#:${1:-} in
[01]:[!-]* | 0:) ;;
*) fuseln_die "usage: tools/gpu_check.sh [--small] [FOLDER]" ;;
esac

gpu_begin gpu_check 460 "${1:-}"
gpu_build
sample=$fuseln_root/tests/gpu/sample.sh
gpu_step sample-build 60 "$sample" build
gpu_step sample 60 "$sample" run
gpu_step check.py 180 "$gpu_python" -u "$fuseln_root/tests/gpu/check.py" "${small[@]}" "$TEST_BUILD/gpu/check"
gpu_step programs.py 180 "$gpu_python" -u "$fuseln_root/tests/gpu/programs.py" "${small[@]}" "$TEST_BUILD/gpu/programs"
for tool in memcheck racecheck initcheck synccheck; do
    gpu_step "$tool" 100 "$sample" "$tool"
done
gpu_finish
