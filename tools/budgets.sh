#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/budgets.sh [GROUP...]: measures, on the built library and its device images, what the project promises to cost,
# without a GPU; a line for each: name, measured, budget, ratio (above 1 is missed), the same figure of PyTorch's own
# kernel. Exit 1 if one is missed. Groups, all unless named: foreign matched registrations process size; of the machine
# code stack accesses forward flight backward unaligned. Run tools/build.sh before.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
[ -e "$fuseln_root/build/libfuseln.so" ] || fuseln_die "build/libfuseln.so is missing: run tools/build.sh"
fuseln_need_packages valgrind binutils libzstd1
fuseln_need_nvrtc
fuseln_need_nvdisasm
fuseln_need_torch
export TEST_BUILD=$fuseln_root/build TEST_VENV=$fuseln_cache/torch-$fuseln_torch
# The reader of machine code is checked before it is believed.
python3 "$fuseln_root/tests/budgets/test_sass.py" -q || fuseln_die "the reader failed its test: no budget was read"
exec python3 "$fuseln_root/tests/budgets/budgets.py" "$@"
