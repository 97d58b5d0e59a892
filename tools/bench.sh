#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/bench.sh [--rehearse] [FOLDER]: PyTorch's layer-norm kernels and ours, timed on the GPU of this machine in one
# process (tests/gpu/bench.py), and the copy bandwidth of the same run. At most 8 minutes; the most important shapes
# come first. FOLDER (build-gpu/results) gets bench.txt, bench.csv and, where matplotlib is, bench.png, which
# tests/gpu/chart.py also draws later and elsewhere.
#
# One process: libfuseln.so is preloaded, and a small library before it (tests/gpu/switch.c) sends a launch to fuseln or
# past it to the runtime. So both sides share PyTorch's code, allocator, stream, tensors and clocks, they alternate, and
# what differs is what LD_PRELOAD itself changes: the function that the launch's name is bound to. fuseln needs no
# switch for it. Its report must account for every launch that was sent to it, and for no other.
#
#   flushed  one launch between two events, after reading four times the L2; the device is busy, so no host time counts
#   warm     up to 20 launches back to back between two events, queued while the device is held; L2 as they left it
#   graph    a CUDA graph of 100 launches: forward and dX; in capture fuseln leaves gamma and beta to the original
#
# Medians, and the distance of the quartiles, of 5 to 41 repetitions. Budgets that are missed are marked in the table.
# Exit status: 1 if something could not be measured or went the wrong way, 77 without a GPU. TEST_BUILD=DIRECTORY takes
# the build there; BENCH_SECONDS=N is the limit (470).
# --rehearse: a few tiny shapes: tests/softgpu/run --cpu-ops -- tools/bench.sh --rehearse
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
gpu_step chart 30 "$gpu_python" "$fuseln_root/tests/gpu/chart.py" "$gpu_folder/bench.csv" "$gpu_folder/bench.png"
gpu_finish
