#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/bench.sh [--rehearse] [FOLDER]: times PyTorch's layer-norm kernels and ours on this machine's GPU, in one
# process (tests/gpu/bench.py), and measures the copy bandwidth in the same run. Takes at most 8 minutes; the most
# important shapes come first. Writes bench.txt and bench.csv into FOLDER (build-gpu/results). tools/gains.py draws a
# chart of them, on any machine.
#
# libfuseln.so is preloaded, and a small library in front of it (tests/gpu/switch.c) sends each launch either to fuseln
# or straight to the runtime. Both sides thus share PyTorch's code, allocator, stream, tensors and clocks, and
# alternate; they differ only in the function that the launch call is bound to, which is all that LD_PRELOAD changes.
# fuseln's report must account for exactly the launches that were sent to it.
#
#   flushed  one launch between two events after reading four times the L2; the device is busy, so no host time counts
#   warm     up to 20 launches back to back between two events, queued while the device is blocked; L2 as they leave it
#   graph    a CUDA graph of 100 launches: forward and dX only (in capture, gamma and beta stay with the original)
#
# The table shows medians and interquartile ranges of 5 to 41 repetitions and marks every missed budget.
# Exit status: 1 if a measurement failed or a launch took the wrong way, 77 without a GPU. TEST_BUILD=DIRECTORY uses the
# build there; BENCH_SECONDS=N sets the time limit (470).
# --rehearse runs a few tiny shapes: tests/softgpu/run --cpu-ops -- tools/bench.sh --rehearse
set -uo pipefail
# shellcheck source=tests/gpu/steps.sh
. "$(dirname "$0")/../tests/gpu/steps.sh"

rehearse=()
gpu_command="tools/${0##*/} $*"
if [ "${1:-}" = --rehearse ]; then
    rehearse=(--rehearse 9)
    shift
fi
case $#:${1:-} in
[01]:[!-]* | 0:) ;;
*) fuseln_die "usage: tools/bench.sh [--rehearse] [FOLDER]" ;;
esac

gpu_begin bench "${BENCH_SECONDS:-470}" "${1:-}"
gpu_build
left=$((gpu_until - SECONDS - 30))
gpu_step bench.py $((left + 15)) "$gpu_python" -u "$fuseln_root/tests/gpu/bench.py" "${rehearse[@]}" \
    --seconds $((left - 15)) "$gpu_folder"
gpu_step chart 30 "$gpu_python" "$fuseln_root/tests/gpu/chart.py" "$gpu_folder/bench.csv"
gpu_finish
