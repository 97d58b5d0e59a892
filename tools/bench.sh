#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/bench.sh [--dry-run] telling | all [FOLDER]: times PyTorch's layer-norm kernels and ours on this machine's GPU,
# in one process (tests/gpu/bench.py), and measures the copy bandwidth in the same run.
#
#   telling  20 shapes whose times answer most; few rows with libraries that begin to pair at 4, 8 and 16 rows a
#            multiprocessor (FUSELN_DIRECT_ROWS, three builds that differ in this number); and, beside PyTorch's and
#            ours, the kernels of torch.compile, Liger-Kernel and QuACK as far as they are here (tests/gpu/peers.py)
#   all      that, and every shape, operation and element type
#
# Stops after $GPU_SECONDS (540) with its build; called again with the same FOLDER (build-gpu/results), goes on where it
# stopped. Writes bench.txt and bench.csv into the folder of this device and commit below FOLDER. tools/gains.py draws a
# chart of them, on any machine. TEST_BUILD=DIRECTORY uses the build there.
#
# libfuseln.so is preloaded, and a small library in front of it (tests/gpu/switch.c) sends each launch either to fuseln
# or straight to the runtime. All ways thus share PyTorch's code, allocator, stream, tensors and clocks, and alternate;
# they differ only in the function that the launch call is bound to, which is all that LD_PRELOAD changes. fuseln's
# report must account for exactly the launches that were sent to it.
#
#   flushed  one launch between two events after reading four times the L2; the device is busy, so no host time counts
#   warm     up to 20 launches back to back between two events, queued while the device is blocked; L2 as they leave it
#   graph    a CUDA graph of 100 launches; what cannot be replaced in capture is the original there
#
# The table shows medians and interquartile ranges of 5 to 41 repetitions and marks every missed budget.
# Exit status: 1 if a measurement failed, a launch took the wrong way or cases are left, 77 without a GPU.
# To rehearse: tests/softgpu/run --cpu-ops -- tools/bench.sh telling
set -uo pipefail
# shellcheck source=tests/gpu/steps.sh
. "$(dirname "$0")/../tests/gpu/steps.sh"
gpu_command="tools/${0##*/} $*"

# bench STEP SECONDS ARGUMENT...: bench.py stops itself before the step's time is up, to check what it has. It ends
# between two cases, and one with kernels that are first compiled takes long.
bench() {
    local step=$1 margin=20 seconds=$(($2 < gpu_until - SECONDS ? $2 : gpu_until - SECONDS))
    [ "$step" != peers ] || margin=80
    gpu_step "$step" "$2" "$gpu_python" -u "$fuseln_root/tests/gpu/bench.py" "${gpu_small[@]}" \
        --seconds $((seconds - margin)) "${@:3}" "$gpu_folder"
}
telling() {
    local rows
    bench telling 200 telling
    for rows in 4 8 16; do
        bench "direct-rows $rows" 60 rows --library "direct$rows=$TEST_BUILD/gpu/libfuseln-$rows.so"
    done
    bench peers 300 peers
}
all() {
    telling
    bench all 500 all
}

gpu_options "$@"
set -- "${gpu_arguments[@]}"
case $#:${1:-} in
[12]:telling | [12]:all) ;;
*) fuseln_die "usage: tools/bench.sh [--dry-run] telling | all [FOLDER]" ;;
esac
gpu_begin bench "${2:-}"
gpu_build
gpu_build_rows
"$1"
gpu_again chart 30 "$gpu_python" "$fuseln_root/tests/gpu/chart.py" "$gpu_folder/bench.csv"
gpu_finish
