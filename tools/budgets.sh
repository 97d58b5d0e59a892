#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/budgets.sh [GROUP...]: measures the library's cost on the host and reads the kernels' cost off their machine
# code; needs no GPU. Each line has the name, the measured value, the budget, their ratio (above 1: missed) and, for
# kernels, PyTorch's own figure. Exits 1 if a budget is missed. Groups (default: all): foreign matched registrations
# process size; from machine code: stack early accesses forward held flight sums backward prologue unaligned. Run
# tools/build.sh first.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
[ -e "$fuseln_root/build/libfuseln.so" ] || fuseln_die "build/libfuseln.so is missing: run tools/build.sh"
fuseln_need_packages valgrind binutils libzstd1
fuseln_need_nvrtc
fuseln_need_nvdisasm
fuseln_need_torch
export TEST_BUILD=$fuseln_root/build TEST_VENV=$fuseln_cache/torch-$fuseln_torch
# Test the disassembly reader before trusting its figures.
python3 "$fuseln_root/tests/budgets/test_sass.py" -q || fuseln_die "the disassembly reader failed its own test"
exec python3 "$fuseln_root/tests/budgets/budgets.py" "$@"
